"""Timing in slices beside a neighbour that comes and goes: on a clock that only the session and waiting move."""

import random

import numpy as np
import pandas as pd
import pytest
from builders import TimedSession, make_record, make_refusal, make_table
from neighbours import Beside

from speedgrid.data.samples import Host, Samples
from speedgrid.evidence.quiet import quiet
from speedgrid.measure import slices, timing


class Machine(Beside):
    """One on which a session is timed."""

    def __init__(self, monkeypatch, *spans):
        super().__init__(monkeypatch, *spans)
        for module in (timing, slices):
            monkeypatch.setattr(module, "time", self.clock)
        monkeypatch.setattr(slices, "HostLoad", self.load)


def asking(**changes):
    limits = {"warmup_runs": 1, "timed_runs": 10, "min_seconds": 0.2, "max_seconds": 0.5, "target_percent": 2}
    name = "resnet18-pytorch-fp32-r64-b8"
    return make_refusal(name, "failed", "", **limits | {"patience_seconds": 3} | changes).asked


def timed(machine, ms, **changes):
    session = TimedSession(machine.clock, machine.cost(ms))
    return timing.time_latency(session, asking(**changes), Samples([]))


def test_a_quiet_machine_is_timed_in_slices_of_a_tenth_of_a_second_and_nothing_twice(monkeypatch):
    samples = timed(Machine(monkeypatch), 3)
    assert [one.calls for one in samples.slices] == [34, 33]
    assert len(samples.host_ms) == 67
    assert samples.timed_seconds == pytest.approx(0.201)
    assert [one.started for one in samples.slices] == [0.0, 0.102]


def test_what_a_neighbour_disturbed_is_timed_again_once_it_is_quiet(monkeypatch):
    samples = timed(Machine(monkeypatch, (0, 1500)), 3)
    kept = quiet(samples.slices)
    assert kept[-2:] == [True, True]
    assert not any(kept[:-2])
    assert sum(one.seconds for one in samples.slices[-2:]) >= 0.2
    assert samples.slices[-2].started >= 1.5
    assert not samples.capped


def test_where_quiet_never_comes_patience_ends_and_all_that_was_timed_counts(monkeypatch):
    machine = Machine(monkeypatch, (0, 1e9))
    samples = timed(machine, 3, patience_seconds=1)
    assert not any(quiet(samples.slices))
    assert set(samples.host_ms) == {15.0}
    assert len(samples.host_ms) >= 10
    assert 1 <= machine.now() / 1000 <= 2


def test_without_patience_nothing_is_waited_for(monkeypatch):
    machine = Machine(monkeypatch, (0, 1e9))
    assert timed(machine, 3, patience_seconds=0).timed_seconds == pytest.approx(machine.now() / 1000)


def test_bursts_cost_the_slices_that_they_hit(monkeypatch):
    machine = Machine(monkeypatch, *((start, start + 150) for start in range(120, 5000, 400)))
    samples = timed(machine, 3)
    kept = slices.of_slices(samples.host_ms, samples.slices, quiet(samples.slices))
    assert len(kept) >= 67
    assert len(kept) - kept.count(3.0) <= 2  # a call at whose end a burst begins
    assert len(samples.host_ms) > len(kept)


def test_a_process_that_was_stopped_for_twenty_seconds_times_on(monkeypatch):
    machine = Machine(monkeypatch)
    holes = iter([(3, 20_000)])
    call = next(holes)

    def cost(number):
        return call[1] if number == call[0] else 3

    def between(start, end):
        used = min(1.0, 105 / max(end - start, 1e-9))
        return Host(0.0, 0.0, [0.25, 0.25], waited_cores=0.0, own_cores=1.9 * used, cores=2)

    machine.between = between
    session = TimedSession(machine.clock, cost)
    samples = timing.time_latency(session, asking(), Samples([]))
    kept = slices.of_slices(samples.host_ms, samples.slices, quiet(samples.slices))
    assert set(kept) == {3.0}
    assert len(kept) >= 10


def test_where_others_had_their_turn_caches_are_filled_before_anything_is_timed(monkeypatch):
    from contextlib import contextmanager

    @contextmanager
    def turn():
        yield True

    machine = Machine(monkeypatch)
    session = TimedSession(machine.clock, machine.cost(3))
    samples = timing.time_latency(session, asking(), Samples([]), turn)
    assert session.calls == len(samples.host_ms) + slices.REFILLS * len(samples.slices)


def test_the_account_of_all_slices_is_their_mean_over_time(monkeypatch):
    samples = timed(Machine(monkeypatch, (0, 1e9)), 3, patience_seconds=0)
    found = slices.together(samples.slices)
    assert (found.busy_elsewhere_cores, found.waited_cores, found.own_cores) == (1.0, 1.0, 1.0)
    assert len(found.pace_ms) == 2 * len(samples.slices)
    assert slices.together([]) is None


# How long a call of each of three cells takes in quiet, in ms, and how many times as long beside a neighbour.
ALONE = {"pytorch": 3.0, "onnxruntime": 1.7, "openvino": 1.0}
SUFFERS = {"pytorch": 6, "onnxruntime": 3, "openvino": 5}


def bursts(seed):
    """Return spans of 0.1 to 3 s, with pauses as long, in ms."""
    drawn, found, at = random.Random(seed), [], 0.0
    while at < 200_000:
        found.append((at, at + drawn.uniform(100, 3000)))
        at = found[-1][1] + drawn.uniform(100, 3000)
    return found


def simulated(monkeypatch, seed, spans):
    """Return the table of three rounds of three cells on a machine with a neighbour, processes 1 % apart."""
    machine, noise, records = Machine(monkeypatch, *spans), np.random.default_rng(seed), []
    for turn in ("round1", "round2", "round3"):
        for backend in noise.permutation(list(ALONE)):
            ms = ALONE[backend] * np.exp(0.01 * noise.standard_normal())

            def cost(_, ms=ms, suffers=SUFFERS[backend]):
                beside = any(begin <= machine.now() < stop for begin, stop in machine.spans)
                return ms * np.exp(0.01 * noise.standard_normal()) * (suffers if beside else 1)

            machine.clock.advance(800)  # it is loaded
            samples = timing.time_latency(TimedSession(machine.clock, cost), asking(), Samples([]))
            name = f"resnet18-{backend}-fp32-r64-b8"
            records.append(make_record(name, samples.host_ms, turn=turn, slices=samples.slices))
    return make_table(records)


def test_beside_bursts_half_of_the_time_true_ratios_stay_inside_narrow_intervals(monkeypatch):
    """As sixty such runs had it: 119 of 120 inside, half-width 2.5 %; windows had 164 %, and 15 rows falsely ok."""
    inside, widths = [], []
    for seed in range(8):
        table = simulated(monkeypatch, seed, bursts(seed)).set_index("backend")
        good = table[table.status == "ok"]
        assert ((good.latency_ms / pd.Series(ALONE)[good.index] - 1).abs() < 0.1).all()
        for backend in {"onnxruntime", "openvino"} & set(table.index[table.speedup.notna()]):
            row, truth = table.loc[backend], ALONE["pytorch"] / ALONE[backend]
            inside.append(row.speedup_low <= truth <= row.speedup_high)
            widths.append(np.log(row.speedup_high / row.speedup_low) / 2)
    assert len(inside) >= 12
    assert np.mean(inside) >= 0.9
    assert np.median(widths) < 0.15


def test_beside_a_neighbour_that_never_rests_no_row_is_ok(monkeypatch):
    table = simulated(monkeypatch, 0, [(0, 1e9)])
    assert set(table.status) == {"busy"}
    assert table.speedup[table.backend != "pytorch"].isna().all()
