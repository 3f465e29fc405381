"""The search for the largest number of streams that passes: bracketed by arithmetic, bisected by short probes.

No step concludes from one run alone, as an error of one step would spoil all that follow. The number that is claimed
is confirmed, with the next one, on runs that the search did not use.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from speedgrid.serving.arrivals import Kind, draw
from speedgrid.serving.loop import Plan
from speedgrid.serving.replay import at_once_ns, capacity, replay
from speedgrid.serving.verdict import Blocks, Verdict, by_block, judge

# Blocks of a probe, and how many more times it is made while it stays undecided.
PROBE_BLOCKS, PROBE_TRIES = 40, 4
# The arithmetic's upper end knows service times one after another; under load they may be a little shorter.
MARGIN = 1.1
# Blocks of a replay, which takes no time of the machine's.
REPLAY_BLOCKS = 100
# Makes `blocks` blocks of `streams` streams, drawn from a seed.
Probe = Callable[[int, int, int], Blocks]


@dataclass(frozen=True)
class Target:
    """The demand on a run: frames a second of each stream, how late they may be, the share that may, and arrivals."""

    fps: float
    deadline_ns: float
    limit: float = 0.01
    confidence: float = 0.95
    arrivals: Kind = "periodic"


@dataclass
class Found:
    """The end of a search: the streams that the probes let through, and what each probe said, in its order."""

    streams: int
    steps: list[tuple[int, Verdict]] = field(default_factory=list)


def predicted(service_ns: dict[int, int], target: Target, plan: Plan, seed: int) -> int:
    """Return the largest number of streams that a replay with constant service times lets through; 0 if it is none."""
    most = capacity(service_ns, target.fps)
    if target.arrivals == "synchronised":
        times = at_once_ns(service_ns, plan.choose, most)
        return next((number for number, time in enumerate(times) if time > target.deadline_ns), most)
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        arrivals = draw(target.arrivals, middle, target.fps, REPLAY_BLOCKS, seed)
        blocks = by_block(arrivals, replay(arrivals, service_ns, plan), target.deadline_ns)
        passes = not blocks.diverged and blocks.misses.sum() <= target.limit * blocks.frames.sum()
        low, high = (middle, high) if passes else (low, middle)
    return low


def search(probe: Probe, service_ns: dict[int, int], target: Target, plan: Plan, seed: int) -> Found:
    """Return the largest number of streams that probes do not fail; to be confirmed.

    service_ns: of one call, by batch size, as measured one after another: the first probe is at what a replay with them
    predicts, and beyond what they carry something is tried only where that much passes. From there steps double until
    one side of the bracket is found.
    """
    most = max(1, int(capacity(service_ns, target.fps) * MARGIN))
    found = Found(0)
    low, high = 0, most + 1

    def passes(streams: int) -> bool:
        verdict = _probe(probe, streams, target, seed + 1000 * len(found.steps))
        found.steps.append((streams, verdict))
        return verdict.word in ("passes", "undecided")

    at, step = min(max(predicted(service_ns, target, plan, seed), 1), most), 1
    while high - low > 1:
        if passes(at):
            low = at
            if low == most:  # they were measured while something else slowed them down
                most *= 2
                high = most + 1
        else:
            high = at
        if low == 0 or high > most:
            at = max(1, high - step) if low == 0 else min(most, low + step)
            step *= 2
            at = at if low < at < high else (low + high) // 2
        else:
            at = (low + high) // 2
    found.streams = low
    return found


def _probe(probe: Probe, streams: int, target: Target, seed: int) -> Verdict:
    """Return the verdict of a probe, which is made longer while it is undecided.

    One that missed nothing is not: of few streams no probe has the frames to pass, and what follows confirms it.
    """
    blocks = probe(streams, PROBE_BLOCKS, seed)
    for more in range(1, PROBE_TRIES + 1):
        verdict = judge(blocks, target.limit, target.confidence, seed)
        if verdict.word != "undecided" or not verdict.rate or more == PROBE_TRIES:
            break
        blocks += probe(streams, PROBE_BLOCKS, seed + more)
    return verdict
