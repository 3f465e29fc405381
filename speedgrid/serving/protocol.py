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
from speedgrid.serving.replay import at_once_ns
from speedgrid.serving.search import Found, Target, predicted, search
from speedgrid.serving.verdict import FAILED, Blocks, judge

# Periods of each block, of which the first two settle: what counts is how often phases are drawn, not how long each
# draw lasts.
PERIODS = 6
# Blocks of a claim beside the first: a third of its own.
SIDE_SHARE = 3
# More numbers that are tried where the one that was found is not the largest that passes, of the first claim and of one
# beside it; from the first on each step is twice as long, until one passes and one does not.
TRIES, SIDE_TRIES = 8, 2
# The first of those steps, as a share of the number, at least one.
STEP = 0.02
# The backlog at which a run has diverged, in frames that arrive within a deadline.
BACKLOG = 5


@dataclass(frozen=True)
class Claim:
    """One claim: how frames arrive, and how many deadlines late they may be."""

    arrivals: Kind
    deadlines: int = 1


FIRST, LATE = Claim("periodic"), Claim("periodic", 2)


def claims(asked: Asked) -> list[Claim]:
    """Return the claims of a place: on periodic streams first, then on other arrivals, and on twice the deadline."""
    return [FIRST, *(Claim(kind) for kind in asked.arrivals if kind != FIRST.arrivals), LATE]


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
        found = {claim: searching.find(claim).streams for claim in claims(asked)}
        memory = bench.memory()
    searched = time.monotonic()
    confirming = _Confirmation(asked, start, policy, service_ns)
    confirming.all(found)
    target = _target(asked, FIRST)
    served = plan(asked, Level(FIRST, most(service_ns, asked), 1, 0), policy)
    return Load(
        policy=policy,
        service=service,
        predicted=predicted(service_ns, target, served, asked.seed),
        probes=searching.runs,
        runs=confirming.runs,
        memory=memory,
        seconds={"search": round(searched - began, 1), "confirm": round(time.monotonic() - searched, 1)},
        timeline=confirming.timelines.get(max(confirming.largest(FIRST), 1)),
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
            blocks = min(blocks, self.asked.blocks)  # a probe is no longer than what it prepares
            run, _ = self.bench.run(Level(claim, streams, blocks, seed), self.policy)
            self.runs.append(run)
            return run.blocks()

        # With more streams than there can be, so that `tick` waits for all of them.
        served = plan(self.asked, Level(claim, most(self.service_ns, self.asked), 1, 0), self.policy)
        return search(probe, self.service_ns, _target(self.asked, claim), served, self.asked.seed)


class _Confirmation:
    """The confirmation of what a search found: its runs, and of each number of the first claim a block."""

    def __init__(self, asked: Asked, start: Start, policy: Policy, service_ns: dict[int, int]):
        self.asked, self.start, self.policy, self.service_ns = asked, start, policy, service_ns
        self.runs: list[Run] = []
        self.timelines: dict[int, Timeline] = {}

    def all(self, found: dict[Claim, int]) -> None:
        """Confirm all claims: of the first one the largest number that passes and the next one, of the others one."""
        streams = found[FIRST]
        first = [(FIRST, number) for number in (streams, streams + 1) if number]
        self.rounds([*first, *((claim, number) for claim, number in found.items() if claim != FIRST and number)])
        for claim in found:
            step = max(1, round(STEP * found[claim]))
            for _ in range(TRIES if claim == FIRST else SIDE_TRIES):
                if (number := self.next(claim, step)) is None:
                    break
                self.rounds([(claim, number)])
                step *= 2

    def next(self, claim: Claim, step: int) -> int | None:
        """Return the number of streams to be tried next; None where nothing is left, or runs are not to be relied on.

        Below all that were tried where none passed; above them where all did; else between.
        """
        tried = {one.streams: self.word(claim, one.streams) for one in self.runs if self.is_of(one, claim)}
        if not tried or "" in tried.values():
            return None
        low = self.largest(claim)
        high = min((number for number, word in tried.items() if word != "passes" and number > low), default=None)
        if high is None:
            return low + step if claim == FIRST else None
        if low == 0:
            return max(1, high - step) if high > 1 else None
        # What a claim beside the first passes is enough: the next number is not said of it.
        return (low + high) // 2 if high - low > 1 and claim == FIRST else None

    def largest(self, claim: Claim) -> int:
        """Return the largest number that passes, below all that have failed; 0 if none does."""
        found = 0
        for streams in sorted({one.streams for one in self.runs if self.is_of(one, claim)}):
            word = self.word(claim, streams)
            if word in FAILED:
                break
            found = streams if word == "passes" else found
        return found

    def is_of(self, run: Run, claim: Claim) -> bool:
        """Say whether a run is of a claim."""
        return (run.arrivals, run.deadline_ms) == (claim.arrivals, claim.deadlines * self.asked.deadline_ms)

    def word(self, claim: Claim, streams: int) -> str:
        """Return the verdict on a number of streams by the runs that count; empty where none does."""
        blocks = pooled([one for one in self.runs if one.streams == streams and self.is_of(one, claim)])
        return judge(blocks, round(1 - self.asked.quantile, 9), self.asked.confidence).word if blocks else ""

    def rounds(self, levels: list[tuple[Claim, int]]) -> None:
        """Serve levels in each round, each of which has a process of its own; what has failed is not served again."""
        wanted = list(dict.fromkeys(one for claim, streams in levels for one in self.with_hardest(claim, streams)))
        for number in range(1, self.asked.rounds + 1):
            left = [one for one in wanted if self.word(*one) not in FAILED]
            if not left:
                break
            with self.start() as bench:
                for claim, streams in left:
                    self.serve(bench, claim, streams, number)

    def with_hardest(self, claim: Claim, streams: int) -> list[tuple[Claim, int]]:
        """Return the levels that show a claim up to a number: of frames that come at once fewer may take longer."""
        if claim.arrivals != "synchronised":
            return [(claim, streams)]
        choose = plan(self.asked, Level(claim, streams, 1, 0), self.policy).choose
        times = at_once_ns(self.service_ns, choose, streams)
        return [(claim, 1 + max(range(streams), key=times.__getitem__)), (claim, streams)]

    def serve(self, bench: Bench, claim: Claim, streams: int, number: int) -> None:
        """Serve one level in the process of a round."""
        share = self.asked.rounds * (1 if claim == FIRST else SIDE_SHARE)
        # No seed of a search, nor of another number of streams.
        seed = self.asked.seed + 1_000_000 * number + 1000 * streams + 7 * claims(self.asked).index(claim)
        run, timeline = bench.run(Level(claim, streams, ceil(self.asked.blocks / share), seed, number), self.policy)
        self.runs.append(run)
        if claim == FIRST:
            self.timelines.setdefault(streams, timeline)
