"""A record held against itself: figures in it that cannot all be true, each in a clause with its arithmetic.

What is held together was measured twice, by two clocks or in two places, or follows from how it is measured
(speedgrid.measure). Where a busy machine can come between the two, the bounds are as wide as it was seen to make them.
"""

import itertools
import math
import shlex
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

import numpy as np

from speedgrid.grid import CELL
from speedgrid.launcher.outputs import one_line
from speedgrid.precision import BYTES
from speedgrid.record import Record, Seen
from speedgrid.statistics import median, order_statistic_interval, quantile_of
from speedgrid.table import aside
from speedgrid.table.answers import answers

# Fewer timed calls than this no timing has, however slow they are (speedgrid.measure.timing).
FEWEST_RUNS = 3
# What passes between timed calls, in seconds: of each, of all, and as a share of the time: CUDA events, looks at the
# interval, and what else had the processor.
BETWEEN_EACH, BETWEEN_ALL, BETWEEN_SHARE = 1e-4, 0.05, 0.15
# What collecting garbage before the first call and the like take, in seconds and as a share of the time.
BEFORE, BEFORE_SHARE = 1.0, 0.25
# An event is as exact as half a microsecond, in ms; what a call takes on the host beyond its time on the device: waking
# up and being told, in ms and as a share of it.
EVENT_MS, HOST_MS, HOST_SHARE = 0.005, 1.0, 0.5
# A call back to back takes so many times one that is waited for. Seen on GPUs: 0.63 to 1.15 in the median of rounds; of
# one timing more, where the processor is half as fast a moment later.
BACK_TO_BACK = (0.3, 2.5)
# Samples are whole nanoseconds; multiples of a microsecond no clock counts in.
COARSE_NS = 1000
# Where there are ten times as many nanoseconds as samples, fewer than this share of them are the same by chance.
REPEATED = 0.25
# The interval of samples is looked at with another statistic in another version: it may be so many times the target.
WIDER = 2.0
# Memory holds the weights but for what was free before: a heap gives freed memory again, a GPU's driver does not.
HELD = {"cpu": 0.5, "cuda": 0.9}
# The clock of telemetry and of a record may be set meanwhile, and the last reading ends a moment later; in seconds.
CLOCKS_APART = 5.0
# What energy per call, calls and seconds multiply to is the power, but for what rounding leaves.
ROUNDED = 0.01


def contradictions(record: Record, weight_elements: int | None = None) -> list[str]:
    """Return the contradictions in a record, each in a clause; none of one that saw nothing.

    weight_elements: of its model, which its memory held.
    """
    seen = record.seen
    if seen is None:
        return []
    if nothing := list(no_speed(seen)):
        return nothing
    rules = RULES if weight_elements is None else (*RULES, partial(memory, weight_elements=weight_elements))
    return [one for rule in rules for one in held(rule, record, seen)]


def held(rule: Callable[[Record, Seen], Iterator[str]], record: Record, seen: Seen) -> list[str]:
    """Return the findings of a rule; figures that it cannot reckon with are not believed either."""
    try:
        with np.errstate(all="ignore"):
            return list(rule(record, seen))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return [f"its figures cannot be held together ({one_line(error)})"]


def no_speed(seen: Seen) -> Iterator[str]:
    """Find a record that ran with no timed call, or with one that took no time."""
    host = seen.samples.host_ms
    if len(host) < FEWEST_RUNS:
        yield f"its status is ok with {len(host)} timed calls, and a timing has {FEWEST_RUNS} at least"
    elif odd := [one for one in host if not 0 < one < math.inf]:
        yield f"a timed call took {odd[0]} ms"


def resolution(record: Record, seen: Seen) -> Iterator[str]:
    """Find samples that no clock gave: fractions of a nanosecond, all alike, in order, or all of them round."""
    for name in ("host_ms", "device_ms", "submit_ms"):
        ns = 1e6 * np.array(getattr(seen.samples, name))
        if len(broken := np.flatnonzero(np.abs(ns - ns.round()) > 0.01)):
            yield (
                f"{len(broken)} of {len(ns)} samples of {name} are no whole nanoseconds, such as "
                f"{ns[broken[0]] / 1e6!r} ms, and they are written in whole ones"
            )
    whole = np.round(1e6 * np.array(seen.samples.host_ms)).astype(np.int64)
    step = int(np.gcd.reduce(whole))
    if whole.min() == whole.max():
        yield f"its {len(whole)} timed calls took {whole[0] / 1e6:g} ms each, to the nanosecond"
    elif (room := quartiles_apart(whole)) > 10 * step * len(whole) and repeated(whole) > REPEATED:
        yield (
            f"{repeated(whole):.0%} of its {len(whole)} timed calls took as long as another one to the nanosecond, and "
            f"half of them lie {room / 1e6:.4g} ms apart"
        )
    elif len(whole) >= 10 and (np.diff(whole) >= 0).all():
        yield f"its {len(whole)} timed calls are in the order of how long they took"
    elif len(whole) >= 5 and step >= COARSE_NS:
        yield f"its {len(whole)} timed calls took multiples of {step / 1000:g} microseconds each, to the nanosecond"


def quartiles_apart(whole: np.ndarray) -> float:
    """Return the range between the quartiles of samples."""
    ordered = np.sort(whole)
    return quantile_of(ordered, 0.75) - quantile_of(ordered, 0.25)


def repeated(whole: np.ndarray) -> float:
    """Return the share of samples, 0 to 1, that are the same as an earlier one."""
    return 1 - len(np.unique(whole)) / len(whole)


def wall_time(record: Record, seen: Seen) -> Iterator[str]:
    """Timed calls follow each other without a pause, in the time that the whole timing took."""
    samples, lap = seen.samples, seen.seconds.get("timing")
    count, total, timed = len(samples.host_ms), sum(samples.host_ms) / 1000, samples.timed_seconds
    most = BETWEEN_ALL + BETWEEN_EACH * count + BETWEEN_SHARE * timed
    what = f"its {count} timed calls take {total:.4g} s together, and {timed:.4g} s passed while they were timed"
    if total > timed + 1e-3:
        yield f"{what}: {total - timed:.4g} s too few"
    elif timed - total > most:
        yield f"{what}: {timed - total:.4g} s between calls, where {most:.4g} s are the most"
    parts = samples.warmup_seconds + timed
    if lap is not None and parts > lap + 0.01:
        yield (
            f"warming up for {samples.warmup_seconds:.4g} s and timing for {timed:.4g} s are {parts:.4g} s, "
            f"more than the {lap:.4g} s that both took"
        )
    loop = 0.0 if "back_to_back" in seen.seconds else seen.probes.get("back_to_back", {}).get("seconds") or 0.0
    most = BEFORE + (1 + BEFORE_SHARE) * (parts + loop + samples.paused_seconds)
    if lap is not None and lap > most:
        yield f"warming up and timing took {parts:.4g} s of {lap:.4g} s, where {most:.4g} s are the most for them"


def stopping(record: Record, seen: Seen) -> Iterator[str]:
    """A timing goes on until what was asked is reached, or its time is over."""
    asked, samples = record.asked, seen.samples
    count, timed = len(samples.host_ms), samples.timed_seconds
    if not asked.timed_runs or not asked.target_percent:  # of an older record, that does not say
        return
    least = asked.max_seconds if samples.capped else min(asked.min_seconds, asked.max_seconds)
    if timed < least - 1e-3:
        yield f"it was timed for {timed:.4g} s, and {least:g} s were asked for at least"
    if not samples.capped:
        if count < asked.timed_runs:
            yield f"it ended by itself after {count} timed calls, and {asked.timed_runs} were asked for at least"
        # While there was patience, slices in quiet alone counted.
        elif (reach := least_reach_percent(record)) > WIDER * asked.target_percent:
            yield f"it ended by itself at an interval of ±{reach:.2g} %, and ±{asked.target_percent:g} % was asked for"
    if samples.slices and sum(one.calls for one in samples.slices) != count:
        yield f"its slices have {sum(one.calls for one in samples.slices)} calls, and it has {count}"


def least_reach_percent(record: Record) -> float:
    """Return the reach of a record's interval, or of its slices in quiet alone, whichever is less."""
    calm, reach = aside.calm(record), reach_percent(record)
    return reach if calm is record else min(reach, reach_percent(calm))


def reach_percent(record: Record) -> float:
    """Return the reach of the interval of a record's median to either side, in percent of it."""
    low, high = order_statistic_interval(np.array(record.host_ms))
    return 50 * (high - low) / median(record.host_ms)


def clocks(record: Record, seen: Seen) -> Iterator[str]:
    """A call on a GPU is timed by the host, by the device within that, and until it returned."""
    samples = seen.samples
    counts = [len(samples.host_ms), len(samples.device_ms), len(samples.submit_ms)]
    wanted = counts[:1] * 3 if record.asked.device == "cuda" else [counts[0], 0, 0]
    if counts != wanted:
        yield "it has {} samples of the host's clock, {} of the device's and {} until a call returned".format(*counts)
        return
    if not samples.device_ms:
        return
    host, device = (median(one) for one in (samples.host_ms, samples.device_ms))
    both = f"a call takes {host:.6g} ms by the host's clock and {device:.6g} ms by the device's"
    if device > 1.01 * host + EVENT_MS:
        yield f"{both}, which is a part of it"
    elif host > (1 + HOST_SHARE) * device + HOST_MS:
        yield f"{both}, {host - device:.4g} ms more, where {HOST_SHARE * device + HOST_MS:.4g} ms are the most"
    late = np.array(samples.submit_ms) - np.array(samples.host_ms)
    if late.max() > 1e-5:
        yield f"a call returned {late.max():.4g} ms after its result was there"


def back_to_back(record: Record, seen: Seen) -> Iterator[str]:
    """A loop that never waits runs as many calls as were meant to fill its time, each about as long as a timed one."""
    loop = seen.probes.get("back_to_back")
    if not loop or None in loop.values():  # older records may not say how many calls it had
        return
    if record.asked.device != "cuda":
        yield "it has calls back to back on a CPU, where each is waited for"
        return
    host, product = float(np.median(seen.samples.host_ms)), loop["ms"] * loop["runs"]
    if abs(product - 1000 * loop["seconds"]) > ROUNDED * product + 0.01:
        yield (
            f"{loop['runs']} calls back to back of {loop['ms']:.6g} ms are {product:.6g} ms, "
            f"not the {1000 * loop['seconds']:.6g} ms that they took"
        )
    low, high = BACK_TO_BACK
    if not low * host <= loop["ms"] <= high * host:
        yield (
            f"a call takes {loop['ms']:.6g} ms back to back and {host:.6g} ms by itself, {loop['ms'] / host:.2f} times "
            f"as long, where {low:g} to {high:g} times is possible"
        )
    if "back_to_back" not in record.asked.probes:  # of an older record, whose loop was another one
        return
    seconds = min(record.asked.min_seconds, record.asked.max_seconds)
    if (meant := int(1000 * seconds / host)) > 5 and abs(loop["runs"] / meant - 1) > 0.25:
        yield (
            f"{loop['runs']} calls ran back to back, where {seconds:g} s of calls of {host:.6g} ms, which it says that "
            f"they take, are {meant}"
        )


def energy(record: Record, seen: Seen) -> Iterator[str]:
    """Energy is power times time."""
    used = seen.probes.get("energy")
    if not used:
        return
    power = used["joules_per_call"] * used["calls"] / used["seconds"]
    if abs(power - used["power_w"]) > ROUNDED * used["power_w"] + 0.01:
        yield (
            f"{used['joules_per_call']:.6g} J a call x {used['calls']:.6g} calls in {used['seconds']:.6g} s is "
            f"{power:.6g} W, not {used['power_w']:.6g} W"
        )


def telemetry(record: Record, seen: Seen) -> Iterator[str]:
    """Readings of a GPU come one after another, from before the first call to after the last, and before the record."""
    found = seen.telemetry
    if not found or len(found.time) < 2:
        return
    if any(len(one) != len(found.time) for one in vars(found).values()):
        yield f"its telemetry has {len(found.time)} times and another number of readings"
    span = found.time[-1] - found.time[0]
    window = seen.samples.warmup_seconds + seen.samples.timed_seconds
    lasted = f"its telemetry lasted {span:.4g} s"
    if min(np.diff(found.time)) < -CLOCKS_APART or span < 0.8 * window - 0.5:
        yield f"{lasted}, and warming up and timing {window:.4g} s within that"
    longest = sum(seen.seconds.get(name, 0.0) for name in ("timing", "back_to_back"))
    if longest and span > 1.5 * longest + CLOCKS_APART:
        yield f"{lasted}, and what it was read beside {longest:.4g} s"
    written = datetime.fromisoformat(record.measured_at).timestamp()
    if found.time[-1] > written + CLOCKS_APART:
        yield f"its telemetry ends {found.time[-1] - written:.0f} s after it was written"


def names(record: Record, seen: Seen) -> Iterator[str]:
    """The cell, the turn and the device of a record are in its command, its machine and its build too."""
    quoted = any(one in record.command for one in "'\"\\")
    words = shlex.split(record.command) if quoted else record.command.split()  # a twentieth of the time
    if (cell := next((one for one in words if CELL.fullmatch(one)), None)) not in (None, str(record.cell)):
        yield f"it is of {record.cell}, and its command measures {cell}"
    if "--turn" in words[:-1] and (turn := words[words.index("--turn") + 1]) != record.turn:
        yield f"it is of {record.turn}, and its command measures {turn}"
    if (device := record.environment.get("device")) not in (None, record.asked.device):
        yield f"it was asked for on {record.asked.device}, and its machine is described for {device}"
    if record.build and (status := record.build.get("status", "ok")) != "ok":
        yield f"it ran, and what it ran was not built ({status})"


def memory(record: Record, seen: Seen, weight_elements: int) -> Iterator[str]:
    """A loaded model's memory holds its weights, and the most that a process had never falls."""
    readings = [(name, one) for name, one in seen.memory.readings_mb.items() if one is not None]
    device = record.asked.device
    if device == "cpu":
        for (before, less), (after, more) in itertools.pairwise(readings):
            if more < less:
                yield f"its process had {less:.6g} MB at most when {before}, and {more:.6g} MB when {after}"
    peak = seen.memory.peak_mb()
    if peak is None or seen.memory.whole_device:
        return
    size = min(BYTES[name] for name in (record.cell.precision, "fp16" if seen.dtype != "float32" else "fp32"))
    least = HELD[device] * weight_elements * size / 1e6
    if peak < least:
        yield (
            f"it took {peak:.4g} MB of memory, and its weights alone are {weight_elements} numbers of {size} bytes, "
            f"of which it holds {least:.4g} MB at least"
        )


RULES = (resolution, wall_time, stopping, clocks, back_to_back, energy, telemetry, names, answers)
