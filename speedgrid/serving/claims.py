"""Streams under load, judged: how many cameras a place serves, from the runs of its record alone."""

from dataclasses import dataclass

import numpy as np

from speedgrid.serving.seen import Kind, Run, Streams
from speedgrid.serving.verdict import FAILED, Blocks, Verdict, judge


@dataclass(frozen=True)
class Claim:
    """The claim on one kind of arrivals and one deadline: the most streams that pass, and what was seen beside it.

    streams: 0 where none passed. beyond: the verdict on one stream more, None where it was not tried. stopped: on the
    smallest number that was tried and did not pass.
    """

    kind: Kind
    deadline_ms: float
    streams: int
    verdict: Verdict | None
    beyond: Verdict | None
    stopped: Verdict | None = None


def verdicts(found: Streams, kind: Kind, deadline_ms: float, confirmed: bool = True) -> dict[int, Verdict]:
    """Return the verdict on each number of streams by the runs that count, in order.

    confirmed: by the runs that the search did not use, so that nothing is judged by what it was chosen for.
    """
    by_streams: dict[int, list[Run]] = {}
    for run in found["runs"]:
        asked_for = (run["kind"], run["deadline_ms"]) == (kind, deadline_ms)
        if asked_for and not run["doubts"] and (run["confirms"] or not confirmed):
            by_streams.setdefault(run["streams"], []).append(run)
    asked = found["asked"]
    limit, confidence = round(1 - asked["quantile"], 12), asked["confidence"]
    judged = ((streams, blocks_of(runs)) for streams, runs in sorted(by_streams.items()))
    return {streams: judge(blocks, limit, confidence, asked["seed"]) for streams, blocks in judged}


def blocks_of(runs: list[Run]) -> Blocks:
    """Return the blocks of runs of one number of streams, one run after the other."""
    frames = np.array([one for run in runs for one in run["frames"]], np.int64)
    misses = np.array([one for run in runs for one in run["misses"]], np.int64)
    return Blocks(frames, misses, runs[0]["streams"], any(run["diverged"] for run in runs), runs[0]["kind"])


def claim(found: Streams, kind: Kind = "periodic", times: float = 1.0) -> Claim | None:
    """Return the claim on a kind of arrivals, with a multiple of the deadline; None where no such run counts.

    None that was confirmed below it may have failed: one lucky run above a failure is no claim.
    """
    deadline = found["asked"]["deadline_ms"] * times
    seen = verdicts(found, kind, deadline)
    if not seen:
        return None
    most, stopped = 0, None
    for streams, verdict in seen.items():
        if verdict.word == "passes":
            most, stopped = streams, None
        else:
            stopped = stopped or verdict
        if verdict.word in FAILED:
            break
    return Claim(kind, deadline, most, seen.get(most), seen.get(most + 1), stopped)
