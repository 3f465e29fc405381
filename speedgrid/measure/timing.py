"""Time one session: latency with one request in flight, and throughput from back-to-back runs.

The protocol is that of trtexec, nvbench and MLPerf's SingleStream brought together: warm up by count and until
steady, time each call on the host clock and on CUDA events, and measure throughput in a loop of its own, with no
events inside it. Nothing but the call is in the timed region, and the garbage collector is off.
"""

import gc
import statistics
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import numpy as np

from speedgrid.statistics import order_statistic_interval

# Timed calls that a cell always gets, however slow it is: fewer give no spread at all.
FEWEST_RUNS = 3
# Calls of the throughput loop that a cell always gets.
FEWEST_BACK_TO_BACK = 5
# Two windows of warm-up calls whose medians differ by less are steady.
STEADY = 0.02
# The part of max_seconds that warming up may take.
WARMUP_SHARE = 0.25


@dataclass(frozen=True)
class Settings:
    """How long a cell is measured.

    Counts and min_seconds are minimums; from there on a cell stops when the 95 % interval of its median is within
    target_percent of it on either side. max_seconds wins over all of them.
    """

    warmup_runs: int
    timed_runs: int
    min_seconds: float
    max_seconds: float
    target_percent: float


@dataclass
class Samples:
    """Raw samples of one cell in one round, in ms a call.

    host_ms: from before the call to after waiting for it. device_ms: between CUDA events around the call; empty on
    the CPU. submit_ms: until the call returned, without waiting. throughput_ms: one number, back to back.
    """

    host_ms: list[float] = field(default_factory=list)
    device_ms: list[float] = field(default_factory=list)
    submit_ms: list[float] = field(default_factory=list)
    throughput_ms: float | None = None
    throughput_runs: int = 0
    throughput_seconds: float = 0.0
    warmup_runs: int = 0
    warmup_seconds: float = 0.0
    timed_seconds: float = 0.0
    steady: bool = False
    capped: bool = False

    def as_dict(self) -> dict:
        """Return plain JSON values, samples rounded to a nanosecond."""
        values = asdict(self)
        for name in ("host_ms", "device_ms", "submit_ms"):
            values[name] = [round(value, 6) for value in values[name]]
        return values


def measure(session, settings: Settings) -> Samples:
    """Warm `session` up and time it. The session must have been fed."""
    samples = Samples()
    with session.active(), collector_off():
        warm_up(session, settings, samples)
        time_latency(session, settings, samples)
        if session.stream is not None:
            time_throughput(session, settings, samples)
    return samples


@contextmanager
def collector_off():
    """Keep Python's garbage collector out of the timed region."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def warm_up(session, settings: Settings, samples: Samples) -> None:
    """Call until the minimum count is reached and two windows of calls agree, or a share of max_seconds is over."""
    calls: list[float] = []
    started = time.perf_counter()
    window = settings.warmup_runs
    while time.perf_counter() - started < settings.max_seconds * WARMUP_SHARE or not calls:
        before = time.perf_counter()
        session.run()
        session.synchronize()
        calls.append(time.perf_counter() - before)
        # Compare windows only where one ends, and only when clocks have had a tenth of a second to ramp up.
        if len(calls) % window == 0 and len(calls) >= 2 * window and sum(calls) > 0.1:
            last, before_last = (
                statistics.median(calls[-window:]),
                statistics.median(calls[-2 * window : -window]),
            )
            if abs(last - before_last) <= STEADY * before_last:
                samples.steady = True
                break
        # Slow calls are steady after their minimum count: nothing in a call of 50 ms is still being launched.
        if len(calls) >= window and sum(calls) / len(calls) > 0.05:
            samples.steady = abs(calls[-1] - statistics.median(calls)) <= 5 * STEADY * statistics.median(calls)
            break
    samples.warmup_runs, samples.warmup_seconds = len(calls), round(time.perf_counter() - started, 6)


def time_latency(session, settings: Settings, samples: Samples) -> None:
    """Time calls one after another, waiting for each: the closed loop of one client."""
    once = once_with_events if session.stream is not None else once_on_host
    started = time.perf_counter()
    next_look = settings.timed_runs
    while True:
        once(session, samples)
        elapsed, runs = time.perf_counter() - started, len(samples.host_ms)
        if runs >= FEWEST_RUNS and elapsed >= settings.max_seconds:
            samples.capped = runs < settings.timed_runs or not tight(samples.host_ms, settings.target_percent)
            break
        if runs >= next_look and elapsed >= settings.min_seconds:
            if tight(samples.host_ms, settings.target_percent):
                break
            # Looking costs a millisecond: each time wait for a quarter more samples.
            next_look = runs * 5 // 4
    samples.timed_seconds = round(time.perf_counter() - started, 6)


def tight(host_ms: list[float], target_percent: float) -> bool:
    """Say whether the interval of the median is within the target: nvbench's stop rule, on the median.

    https://github.com/NVIDIA/nvbench/blob/main/docs/cli_help.md (stopping criterion stdrel)
    """
    low, high = order_statistic_interval(np.array(host_ms))
    return high - low <= 2 * target_percent / 100 * statistics.median(host_ms)


def once_on_host(session, samples: Samples) -> None:
    """Time one call that returns when it is done."""
    start = time.perf_counter_ns()
    session.run()
    end = time.perf_counter_ns()
    samples.host_ms.append((end - start) / 1e6)


def once_with_events(session, samples: Samples) -> None:
    """Time one call on both clocks."""
    import torch

    before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start = time.perf_counter_ns()
    before.record(session.stream)
    session.run()
    submitted = time.perf_counter_ns()
    after.record(session.stream)
    after.synchronize()
    end = time.perf_counter_ns()
    samples.host_ms.append((end - start) / 1e6)
    samples.submit_ms.append((submitted - start) / 1e6)
    samples.device_ms.append(before.elapsed_time(after))


def time_throughput(session, settings: Settings, samples: Samples) -> None:
    """Time a loop that never waits, between two events: what a saturated server gets from one process."""
    import torch

    seconds = min(settings.min_seconds, settings.max_seconds)
    runs = max(FEWEST_BACK_TO_BACK, int(seconds * 1000 / statistics.median(samples.host_ms)))
    before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    before.record(session.stream)
    for _ in range(runs):
        session.run()
    after.record(session.stream)
    after.synchronize()
    total = before.elapsed_time(after)
    samples.throughput_ms, samples.throughput_runs = total / runs, runs
    samples.throughput_seconds = round(total / 1000, 6)
