"""Latency of one session with one request in flight.

The protocol is that of trtexec, nvbench and MLPerf's SingleStream brought together: warm up by count and until
steady, and time each call on the host clock and on CUDA events, in slices (speedgrid.measure.slices). Nothing but the
call is in the timed region, and the garbage collector is off. Throughput from back-to-back runs is a probe
(speedgrid.measure.probes.back_to_back).
"""

import gc
import statistics
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from speedgrid.data.samples import Samples
from speedgrid.measure.slices import Course, Turn, undivided
from speedgrid.record import Asked
from speedgrid.statistics import order_statistic_interval

# Two windows of warm-up calls whose medians differ by less are steady.
STEADY = 0.02
# The part of max_seconds that warming up may take.
WARMUP_SHARE = 0.25


def measure(session, asked: Asked, turn: Turn = undivided) -> Samples:
    """Warm `session` up, time it, and return its samples. The session must have been fed.

    turn: gives it the device, for warming up and for each slice.
    """
    with session.active(), collector_off():
        with turn():
            samples = warm_up(session, asked)
        return time_latency(session, asked, samples, turn)


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


def warm_up(session, asked: Asked) -> Samples:
    """Call until the minimum count is reached and two windows of calls agree, or a share of max_seconds is over.

    Returns samples that hold nothing yet but how the session was warmed up.
    """
    calls: list[float] = []
    steady = False
    started = time.perf_counter()
    window = asked.warmup_runs
    while time.perf_counter() - started < asked.max_seconds * WARMUP_SHARE or not calls:
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
                steady = True
                break
        # Slow calls are steady after their minimum count: nothing in a call of 50 ms is still being launched.
        if len(calls) >= window and sum(calls) / len(calls) > 0.05:
            steady = abs(calls[-1] - statistics.median(calls)) <= 5 * STEADY * statistics.median(calls)
            break
    seconds = round(time.perf_counter() - started, 6)
    return Samples([], warmup_runs=len(calls), warmup_seconds=seconds, steady=steady)


def time_latency(session, asked: Asked, samples: Samples, turn: Turn = undivided) -> Samples:
    """Time calls one after another, waiting for each: the closed loop of one client, in slices.

    Returns `samples`, which say how the session was warmed up, with those of these calls, rounded to a nanosecond.
    """
    once = once_with_events if session.stream is not None else once_on_host
    return rounded(Course(session, asked, samples, once, tight, turn).run())


def rounded(samples: Samples) -> Samples:
    """Return samples rounded to a nanosecond, beyond which clocks say nothing."""
    host_ms, device_ms, submit_ms = (
        [round(value, 6) for value in clock] for clock in (samples.host_ms, samples.device_ms, samples.submit_ms)
    )
    return replace(samples, host_ms=host_ms, device_ms=device_ms, submit_ms=submit_ms)


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
