"""Timing, on a clock that only the session moves: counts, caps, floors and the garbage collector."""

import gc
import time

import pytest
import torch
from builders import Clock, TimedSession, make_record, make_refusal, make_table

from speedgrid.data.samples import Samples
from speedgrid.measure import slices, timing
from speedgrid.measure.probes import Context, back_to_back


def asking(warmup_runs, timed_runs, min_seconds, max_seconds, target_percent):
    """Return what a timing is asked with these limits."""
    limits = {"warmup_runs": warmup_runs, "timed_runs": timed_runs, "target_percent": target_percent}
    name = "resnet18-pytorch-fp32-r64-b8"
    return make_refusal(name, "failed", "", min_seconds=min_seconds, max_seconds=max_seconds, **limits).asked


PUBLISHED = asking(10, 50, 0.5, 10, 2)


class Untold:
    """A machine that does not tell what else it does."""

    def read(self):
        return None


def of_test(monkeypatch):
    """Return the clock of warming up and timing, on a machine that tells nothing."""
    clock = Clock()
    for module in (timing, slices):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(slices, "HostLoad", Untold)
    return clock


def timed(monkeypatch, cost, settings=PUBLISHED):
    """Return (samples, session) of a session whose call i takes `cost(i)` ms, or `cost` ms."""
    clock = of_test(monkeypatch)
    session = TimedSession(clock, cost if callable(cost) else lambda call: cost)
    return timing.measure(session, settings), session


def test_every_sample_is_the_time_of_one_call(monkeypatch):
    samples, session = timed(monkeypatch, lambda call: 3 + call % 2)
    assert samples.host_ms == [3 + call % 2 for call in range(samples.warmup_runs, session.calls)]
    assert samples.device_ms == samples.submit_ms == []


def test_the_session_is_entered_once_around_all_calls(monkeypatch):
    assert timed(monkeypatch, 3)[1].entered == 1


@pytest.mark.parametrize(
    ("milliseconds", "runs"),
    [(3, 167), (11, 50), (100, 50)],  # 167 calls of 3 ms are the first that take 0.5 s
)
def test_a_cell_is_timed_until_both_minimum_count_and_time_are_reached(monkeypatch, milliseconds, runs):
    samples, _ = timed(monkeypatch, milliseconds)
    assert len(samples.host_ms) == runs
    assert samples.timed_seconds == pytest.approx(runs * milliseconds / 1000)
    assert not samples.capped


def test_a_slow_cell_stops_below_its_count_after_max_seconds_and_says_so(monkeypatch):
    samples, _ = timed(monkeypatch, 400, asking(10, 50, 0.5, 3, 2))
    assert len(samples.host_ms) == 8
    assert samples.capped


def test_the_slowest_cell_still_gets_three_calls(monkeypatch):
    samples, _ = timed(monkeypatch, 60_000, asking(10, 50, 0.5, 3, 2))
    assert samples.host_ms == [60_000.0] * 3
    assert samples.warmup_runs == 1
    assert samples.capped


def test_a_cell_that_reaches_its_count_when_time_is_over_is_not_capped(monkeypatch):
    samples, _ = timed(monkeypatch, 400, asking(10, 5, 0, 1.8, 2))
    assert len(samples.host_ms) == 5
    assert not samples.capped


@pytest.mark.parametrize(("uneven", "runs"), [(0, 50), (40, 63), (50, 78)])
def test_a_cell_is_timed_until_the_interval_of_its_median_is_narrow(monkeypatch, uneven, runs):
    clock = of_test(monkeypatch)
    session = TimedSession(clock, lambda call: (2, 6)[call % 2] if call < uneven else 4)
    samples = timing.time_latency(session, asking(1, 50, 0, 10, 2), Samples([], warmup_runs=3, steady=True))
    # Looks come after 50, 63 and 78 calls: each time a quarter more, and half a slice.
    assert (len(samples.host_ms), samples.capped) == (runs, False)
    assert (samples.warmup_runs, samples.steady) == (3, True)  # as they were given


def test_a_cell_whose_interval_stays_wide_is_timed_to_the_end_and_says_so(monkeypatch):
    samples, _ = timed(monkeypatch, lambda call: 3 + call % 2, asking(10, 50, 0.5, 3.5, 2))
    assert (len(samples.host_ms), samples.capped) == (1000, True)


@pytest.mark.parametrize(("target", "tight"), [(2.0, True), (1.9, False)])
def test_an_interval_is_narrow_if_it_reaches_no_farther_than_the_target_on_either_side(target, tight):
    # The interval of five samples is as wide as they are: 4 % of the median.
    assert timing.tight([98.0, 100.0, 100.0, 100.0, 102.0], target) is tight


def test_warming_up_stops_when_two_windows_agree_and_a_tenth_of_a_second_is_over(monkeypatch):
    samples, _ = timed(monkeypatch, 3)  # 30 calls take 0.09 s, 40 take 0.12 s
    assert (samples.warmup_runs, samples.warmup_seconds, samples.steady) == (40, 0.12, True)


def test_warming_up_goes_on_while_calls_get_faster(monkeypatch):
    samples, _ = timed(monkeypatch, lambda call: 10 * 0.99**call if call < 60 else 5)
    # Calls 71 to 80 are the first window that agrees with the one before it.
    assert (samples.warmup_runs, samples.steady) == (80, True)
    assert set(samples.host_ms) == {5.0}


def test_a_cell_that_never_gets_steady_is_timed_after_a_quarter_of_max_seconds_and_says_so(monkeypatch):
    # Windows of 10 calls take 10 and 20 ms a call in turn; the limit of 0.945 s falls into call 65.
    samples, _ = timed(monkeypatch, lambda call: 10 + call // 10 % 2 * 10, asking(10, 50, 0.5, 3.78, 2))
    assert (samples.warmup_runs, samples.steady) == (65, False)


def test_slow_calls_are_warm_after_their_minimum_count(monkeypatch):
    samples, _ = timed(monkeypatch, 200)
    assert (samples.warmup_runs, samples.steady) == (10, True)


def test_max_seconds_wins_over_the_minimum_count_of_warm_ups(monkeypatch):
    samples, _ = timed(monkeypatch, 200, asking(10, 50, 0.5, 2, 2))
    assert (samples.warmup_runs, samples.steady) == (3, False)


def test_samples_are_rounded_to_a_nanosecond():
    samples = timing.rounded(Samples([1.23456789], [0.0000004], [2.0], warmup_runs=7, steady=True))
    assert samples == Samples([1.234568], [0.0], [2.0], warmup_runs=7, steady=True)


def test_the_garbage_collector_is_off_during_calls_and_on_afterwards(monkeypatch):
    seen = []

    def cost(call):
        seen.append(gc.isenabled())
        return 3

    timed(monkeypatch, cost)
    assert set(seen) == {False}
    assert gc.isenabled()


def test_a_garbage_collector_that_was_off_stays_off(monkeypatch):
    gc.disable()
    try:
        timed(monkeypatch, 3)
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("call", [0, 45])
def test_the_garbage_collector_is_on_again_after_an_exception(monkeypatch, call):
    def cost(number):
        if number == call:
            raise RuntimeError("the driver died")
        return 3

    with pytest.raises(RuntimeError, match="the driver died"):
        timed(monkeypatch, cost)
    assert gc.isenabled()


def test_the_real_clock_measures_a_sleep():
    slept = []

    class Sleeping(TimedSession):
        def run(self):
            began = time.perf_counter_ns()
            time.sleep(0.005)
            slept.append((time.perf_counter_ns() - began) / 1e6)

    samples = timing.measure(Sleeping(None, None), asking(1, 5, 0, 60, 100))
    assert len(samples.host_ms) == 5
    ratios = [sample / known for sample, known in zip(samples.host_ms, slept[-5:], strict=True)]
    # Whatever a busy machine makes of a sleep, a sample is as long and hardly longer.
    assert 1 <= min(ratios) < 1.2


class Stream:
    """A device that works off what it is given, one piece after another, beside the host."""

    def __init__(self, clock):
        self.clock, self.free_at = clock, 0

    def work(self, ms):
        self.free_at = max(self.free_at, self.clock.ns) + round(ms * 1e6)

    def synchronize(self):
        self.clock.ns = max(self.clock.ns, self.free_at)


class Event:
    """torch.cuda.Event on such a stream."""

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self, stream):
        self.stream, self.at = stream, max(stream.free_at, stream.clock.ns)

    def synchronize(self):
        self.stream.clock.ns = max(self.stream.clock.ns, self.at)

    def elapsed_time(self, other):
        return (other.at - self.at) / 1e6


class StreamSession(TimedSession):
    """A session that takes 0.5 ms to submit a call and `cost` ms on the device to do it."""

    def __init__(self, clock, cost):
        super().__init__(clock, cost)
        self.stream = Stream(clock)

    def run(self):
        self.clock.advance(0.5)
        self.stream.work(self.cost(self.calls))
        self.calls += 1

    def synchronize(self):
        self.stream.synchronize()


@pytest.fixture
def on_stream(monkeypatch):
    def measure(ms, settings=PUBLISHED):
        clock = of_test(monkeypatch)
        monkeypatch.setattr(torch.cuda, "Event", Event)
        session = StreamSession(clock, lambda call: ms)
        return timing.measure(session, settings), session

    return measure


def test_on_a_gpu_both_clocks_and_the_time_to_submit_are_kept(on_stream):
    samples, _ = on_stream(2)
    assert len(samples.host_ms) == len(samples.device_ms) == len(samples.submit_ms) == 200
    assert set(samples.host_ms) == set(samples.device_ms) == {2.5}
    assert set(samples.submit_ms) == {0.5}


def back(on_stream, ms):
    """Return (samples, what a session's calls back to back took, session)."""
    samples, session = on_stream(ms)
    context = Context(PUBLISHED, None, samples, 0.001)
    return samples, back_to_back.measure(session, context), session


def test_throughput_is_timed_back_to_back_where_calls_overlap_their_submission(on_stream):
    samples, found, session = back(on_stream, 2)
    assert found["runs"] == 200  # 0.5 s of calls of 2.5 ms
    assert found["ms"] == pytest.approx((0.5 + 200 * 2) / 200)
    assert session.calls == samples.warmup_runs + 200 + 200
    assert session.entered == 2


@pytest.mark.parametrize(("ms", "runs"), [(49.5, 10), (79.5, 6), (99.5, 5), (1999.5, 5)])
def test_throughput_is_timed_for_min_seconds_and_for_five_calls_at_least(on_stream, ms, runs):
    _, found, _ = back(on_stream, ms)
    assert found["runs"] == runs
    assert found["seconds"] == pytest.approx((0.5 + runs * ms) / 1000)


def test_the_garbage_collector_is_off_during_calls_back_to_back(on_stream, monkeypatch):
    seen = []
    monkeypatch.setattr(Stream, "work", lambda stream, ms: seen.append(gc.isenabled()))
    back(on_stream, 2)
    assert set(seen) == {False}
    assert gc.isenabled()


def test_calls_are_timed_back_to_back_on_a_gpu_alone_and_in_every_turn():
    cell = PUBLISHED.cell
    assert back_to_back.asked(cell, "sentinel3", "cuda", {}, cell)
    assert not back_to_back.asked(cell, "round1", "cpu", {}, cell)


def test_throughput_of_a_row_is_that_of_its_rounds_with_their_interval():
    loops = [{"back_to_back": {"ms": ms, "runs": 200, "seconds": ms / 5}} for ms in (2.0, 1.9, 2.1)]
    rounds = [
        make_record(str(PUBLISHED.cell), [4.0] * 50, turn=f"round{number}", probes=loop)
        for number, loop in enumerate(loops, 1)
    ]
    found = make_table(rounds).loc[0]
    assert found.throughput_fps == pytest.approx(8 / 0.002)
    assert found.throughput_fps_low < found.throughput_fps < found.throughput_fps_high
    alone = make_table(rounds[:1]).loc[0]
    assert alone.throughput_fps == pytest.approx(8 / 0.002)
    assert alone[["throughput_fps_low", "throughput_fps_high"]].isna().all()
