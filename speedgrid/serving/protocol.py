"""The protocol of a serving job: times of calls, a search, and a confirmation on data of its own in fresh processes.

Each claim has its arrivals and its deadline. The first one, periodic streams with phases drawn anew in each block, is
confirmed with all blocks, and so is one stream more; the others with a part of them.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from speedgrid.record import Memory
from speedgrid.serving.arrivals import Kind
from speedgrid.serving.batching import Policy, cheaper, chooser
from speedgrid.serving.loop import Plan
from speedgrid.serving.record import Asked, Load, Run, Service, Timeline, pooled
from speedgrid.serving.search import Found, Target, predicted, search
from speedgrid.serving.verdict import Blocks, judge

# Periods of each block, of which the first two settle.
PERIODS = 9
# Blocks of a claim beside the first: a third of its own.
SIDE_SHARE = 3
# Smaller numbers that are tried where the one that was found is not confirmed, each less by such a share, at least one.
TRIES, STEP = 3, 0.02
# The backlog at which a run has diverged, in frames that arrive within a deadline.
BACKLOG = 5


@dataclass(frozen=True)
class Claim:
    """One claim: how frames arrive, and how many deadlines late they may be."""

    arrivals: Kind
    deadlines: int = 1


FIRST = Claim("periodic")
CLAIMS = (FIRST, Claim("synchronised"), Claim("poisson"), Claim("periodic", 2))


@dataclass(frozen=True)
class Level:
    """One number of streams of a claim, and how long it is served. round: 0 is a probe."""

    claim: Claim
    streams: int
    blocks: int
    seed: int
    round: int = 0


class Bench(Protocol):
    """A fresh process in which all sessions of a place are loaded and warm."""

    def service(self) -> list[Service]:
        """Return the time of a call of each batch size, measured one call after another."""
        ...

    def memory(self) -> Memory:
        """Return the memory of all sessions together."""
        ...

    def run(self, level: Level, policy: Policy) -> tuple[Run, Timeline]:
        """Return the run of a level, and one of its blocks."""
        ...


Start = Callable[[], AbstractContextManager[Bench]]


def plan(asked: Asked, level: Level, policy: Policy) -> Plan:
    """Return the way in which a level is served."""
    period_ns = 1e9 / asked.fps
    deadline_s = level.claim.deadlines * asked.deadline_ms / 1000
    return Plan(
        choose=chooser(policy, asked.place.batch_sizes, level.streams, period_ns),
        queue=asked.queue,
        in_flight=asked.in_flight,
        backlog=ceil(BACKLOG * deadline_s * level.streams * asked.fps) if asked.queue == "keep" else None,
        patience_ns=period_ns if policy == "tick" else None,
    )


def measure(asked: Asked, start: Start) -> Load:
    """Return the observations of a place under load. start: gives a fresh process for each round."""
    began = time.monotonic()
    with start() as bench:
        service = bench.service()
        service_ns = {one.batch_size: round(1e6 * one.median_ms) for one in service}
        policy = chosen(asked, service)
        searching = _Search(asked, bench, policy, service_ns)
        found = {claim: searching.find(claim).streams for claim in CLAIMS}
        memory = bench.memory()
    searched = time.monotonic()
    confirming = _Confirmation(asked, start, policy)
    confirming.all(found)
    target = _target(asked, FIRST)
    return Load(
        policy=policy,
        service=service,
        predicted=predicted(
            service_ns, target, plan(asked, Level(FIRST, most(service_ns, asked), 1, 0), policy), asked.seed
        ),
        probes=searching.runs,
        runs=confirming.runs,
        memory=memory,
        seconds={"search": round(searched - began, 1), "confirm": round(time.monotonic() - searched, 1)},
        timeline=confirming.timeline,
    )


def chosen(asked: Asked, service: list[Service]) -> Policy:
    """Return the policy that was asked for; of `greedy` and `padded` that with shorter calls for `auto`."""
    if asked.batching != "auto":
        return asked.batching
    return cheaper({one.batch_size: one.median_ms for one in service}, asked.place.batch_sizes[-1])


def most(service_ns: dict[int, int], asked: Asked) -> int:
    """Return a number of streams that no queue of a plan is too short for."""
    return max(1, ceil(max(size / ns for size, ns in service_ns.items()) * 1e9 / asked.fps))


def _target(asked: Asked, claim: Claim) -> Target:
    deadline_ns = claim.deadlines * asked.deadline_ms * 1e6
    return Target(asked.fps, deadline_ns, round(1 - asked.quantile, 9), asked.confidence, claim.arrivals)


class _Search:
    """The search of one process: its runs, in their order."""

    def __init__(self, asked: Asked, bench: Bench, policy: Policy, service_ns: dict[int, int]):
        self.asked, self.bench, self.policy, self.service_ns = asked, bench, policy, service_ns
        self.runs: list[Run] = []

    def find(self, claim: Claim) -> Found:
        """Return the largest number of streams that probes of a claim do not fail."""

        def probe(streams: int, blocks: int, seed: int) -> Blocks:
            run, _ = self.bench.run(Level(claim, streams, blocks, seed), self.policy)
            self.runs.append(run)
            return run.blocks()

        # With more streams than there can be, so that `tick` waits for all of them.
        served = plan(self.asked, Level(claim, most(self.service_ns, self.asked), 1, 0), self.policy)
        return search(probe, self.service_ns, _target(self.asked, claim), served, self.asked.seed)


class _Confirmation:
    """The confirmation of what a search found: its runs, and a block of the number that is confirmed."""

    def __init__(self, asked: Asked, start: Start, policy: Policy):
        self.asked, self.start, self.policy = asked, start, policy
        self.runs: list[Run] = []
        self.timelines: dict[int, Timeline] = {}
        self.timeline: Timeline | None = None

    def all(self, found: dict[Claim, int]) -> None:
        """Confirm all claims; and of the first one the next number, from where on it is the largest that passes."""
        streams = found[FIRST]
        first = [(FIRST, number) for number in (streams, streams + 1) if number]
        self.rounds([*first, *((claim, number) for claim, number in found.items() if claim != FIRST and number)])
        for _ in range(TRIES):
            if streams == 0 or self.word(streams) == "passes":
                break
            streams = max(0, streams - max(1, round(STEP * streams)))
            self.rounds([(FIRST, number) for number in (streams, streams + 1) if number and not self.of(number)])
        for _ in range(TRIES):
            if self.word(streams + 1) != "passes":
                break
            streams += 1
            self.rounds([(FIRST, streams + 1)])
        self.timeline = self.timelines.get(streams or 1)

    def of(self, streams: int) -> list[Run]:
        """Return the runs of the first claim with a number of streams."""
        deadline = self.asked.deadline_ms
        return [
            one for one in self.runs if (one.arrivals, one.streams, one.deadline_ms) == ("periodic", streams, deadline)
        ]

    def word(self, streams: int) -> str:
        """Return the verdict on a number of streams of the first claim."""
        return judge(pooled(self.of(streams)), round(1 - self.asked.quantile, 9), self.asked.confidence).word

    def rounds(self, levels: list[tuple[Claim, int]]) -> None:
        """Serve levels in each round, each of which has a process of its own."""
        if not levels:
            return
        for number in range(1, self.asked.rounds + 1):
            with self.start() as bench:
                for claim, streams in levels:
                    share = self.asked.rounds * (1 if claim == FIRST else SIDE_SHARE)
                    # No seed of a search, nor of another number of streams.
                    seed = self.asked.seed + 1_000_000 * number + 1000 * streams + 7 * CLAIMS.index(claim)
                    level = Level(claim, streams, ceil(self.asked.blocks / share), seed, number)
                    run, timeline = bench.run(level, self.policy)
                    self.runs.append(run)
                    if claim == FIRST:
                        self.timelines.setdefault(streams, timeline)
