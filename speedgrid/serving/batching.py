"""Batching: how many of the frames that wait go into the next call, by a named policy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Policy = Literal["none", "greedy", "padded", "tick"]


@dataclass(frozen=True)
class Waiting:
    """The queue at one moment: its frames, how long the oldest has waited, whether more are to come at all; in ns."""

    frames: int
    oldest_ns: int
    more: bool


# Given what waits, the batch size of the next call, or None: wait.
Choose = Callable[[Waiting], int | None]


def chooser(policy: Policy, sizes: list[int], streams: int, period_ns: float) -> Choose:
    """Return the choice of a policy among the batch sizes that are loaded.

    none: one frame a call, in the smallest size. greedy: the largest size that can be filled, no waiting; Triton's
    dynamic batcher without delay does so. padded: all that wait in one call, in the smallest size that holds them, the
    rest of it empty. tick: as padded, but it waits up to a period for a frame of each stream, as DeepStream's muxer.
    Where even the smallest size is more than what waits, it is padded.
    """
    sizes = sorted(sizes)

    def greedy(waiting: Waiting) -> int:
        return max((size for size in sizes if size <= waiting.frames), default=sizes[0])

    def padded(waiting: Waiting) -> int:
        return min((size for size in sizes if size >= waiting.frames), default=sizes[-1])

    def tick(waiting: Waiting) -> int | None:
        full = waiting.frames >= min(streams, sizes[-1])
        return padded(waiting) if full or waiting.oldest_ns >= period_ns or not waiting.more else None

    return {"none": lambda waiting: sizes[0], "greedy": greedy, "padded": padded, "tick": tick}[policy]


def cheaper(service_ms: dict[int, float], frames: int) -> Policy:
    """Return which of greedy and padded takes less time for all queues of up to `frames`, by measured service times.

    service_ms: of one call, by batch size.
    """
    sizes = sorted(service_ms)
    total = {"greedy": 0.0, "padded": 0.0}
    for waiting in range(1, frames + 1):
        for policy in total:
            choose, left = chooser(policy, sizes, frames, 0.0), waiting  # type: ignore[arg-type]
            while left > 0:
                size = choose(Waiting(left, 0, True))
                assert size is not None  # neither waits
                total[policy] += service_ms[size]
                left -= size
    return "padded" if total["padded"] < total["greedy"] else "greedy"
