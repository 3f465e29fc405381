"""Timings that are long enough for a demand on a percentile."""

import numpy as np
import pytest

from speedgrid import settings
from speedgrid.measure.percentiles import KEYS, long_enough
from speedgrid.statistics import percentile


def timing_of(rounds=3, **budget):
    found = settings.complete({"device": "cpu", "timing": {"rounds": rounds}, "budget": budget})
    return found["timing"], long_enough(found["timing"], found["budget"])


def test_without_a_demand_on_a_percentile_a_timing_is_as_it_was_asked():
    before, after = timing_of(latency_ms=5, memory_mb=100)
    assert after == before


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("rounds", [1, 2, 3, 10])
def test_the_calls_of_all_rounds_but_one_tell_the_percentile(key, rounds):
    _, after = timing_of(rounds, **{key: 60})
    kept = max(1, rounds - 1) * after["timed_runs"]
    assert percentile(np.arange(kept, dtype=float), KEYS[key]) is not None
    # The time is enough for calls that just meet the demand.
    assert after["max_seconds"] >= after["timed_runs"] * 0.06 or after["timed_runs"] == 10


def test_a_slightly_different_demand_asks_for_the_same_timing():
    assert timing_of(latency_p99_ms=60)[1] == timing_of(latency_p99_ms=55)[1]
    assert timing_of(latency_p99_ms=60)[1] != timing_of(latency_p99_ms=600)[1]


def test_a_users_longer_timing_stays_and_none_lasts_for_ever():
    before = settings.complete({"device": "cpu", "timing": {"timed_runs": 5000, "max_seconds": 60}})["timing"]
    after = long_enough(before, {"latency_p99_ms": 1, "latency_p95_ms": None})
    assert (after["timed_runs"], after["max_seconds"]) == (5000, 60)
    assert long_enough(before, {"latency_p99_ms": 1e9})["max_seconds"] == 3600


def test_of_several_percentiles_the_one_that_takes_most_decides():
    both, one = (
        timing_of(**budget)[1] for budget in ({"latency_p90_ms": 9, "latency_p99_ms": 9}, {"latency_p99_ms": 9})
    )
    assert both == one
