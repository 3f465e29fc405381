"""Timings that are long enough for what is demanded of a percentile: one late call of a hundred takes hundreds."""

import math
from typing import Any

# The percentiles that a demand can be put on, each with its key in `budget`.
KEYS = {f"latency_p{percent}_ms": percent for percent in (90, 95, 99)}
LONGEST_SECONDS = 3600.0


def long_enough(timing: dict[str, Any], budget: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a timing, with as many calls of each round as the demanded percentiles take.

    timing, budget: of a complete configuration. A round may be set aside, and the others still tell. A cell has the
    time for so many calls of the demanded latency: what is slower cannot meet the demand. That time is rounded up to a
    power of two, so that a demand can change a little and what was timed is still long enough.
    """
    asked = {key: percent for key, percent in KEYS.items() if budget.get(key)}
    if not asked:
        return timing
    from speedgrid.statistics import FEWEST_FOR_PERCENTILE  # scipy, which a plan without such a demand does without

    rounds = timing["rounds"] if isinstance(timing["rounds"], int) else 1
    calls = {key: math.ceil(FEWEST_FOR_PERCENTILE[percent] / max(1, rounds - 1)) for key, percent in asked.items()}
    seconds = max(count * budget[key] / 1000 for key, count in calls.items())
    seconds = min(2.0 ** math.ceil(math.log2(seconds)), LONGEST_SECONDS)
    return timing | {
        "timed_runs": max(timing["timed_runs"], *calls.values()),
        "max_seconds": max(timing["max_seconds"], seconds),
    }
