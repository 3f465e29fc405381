"""Do latencies agree with independent tools?

    python -m benchmarks.agreement [CELLS]

Takes PyTorch cells of a finished run (default 10, spread over the grid), loads each in a fresh fork, and times the
loaded session by turns with speedgrid's own `timing.measure` and with other people's timers. Prints tool / speedgrid.
Like is compared with like:

* latency: torch.utils.benchmark's `Timer("run(); synchronize()").blocked_autorange()`, one request in flight on the
  host clock, against the median of `host_ms`. Between two looks at the clock the tool makes a block of calls and
  takes their mean, the more calls the faster they are; a rare slow call is in its figure and not in a median. It times
  with one thread unless it is told otherwise: here it has the threads of the cell.
* back to back (CUDA): the same with `run()` alone, which waits only at the end of a block, against the
  probe `back_to_back`. The tool's block begins with an idle GPU, as our loop does, and is shorter.
* device time (CUDA): `triton.testing.do_bench(..., return_mode="median")` against the median of `device_ms`, both
  between CUDA events around each call. Two things remain different. do_bench clears the L2 cache before each call,
  which a call that finds its weights there feels; and it submits all calls without waiting, so that a call may be
  submitted while the cache is being cleared, where ours starts on an idle GPU and has the host's submission in it. A
  cell that is bound by submission (trtexec's rule: submitting takes more than 0.8 of the device time) is marked.
"""

import sys
import tempfile
from statistics import median

from benchmarks.finished import cells, launcher, name
from benchmarks.loaded import answer, in_fork
from speedgrid.data.samples import Samples
from speedgrid.measure import timing
from speedgrid.measure.probes import Context, back_to_back
from speedgrid.record import Asked
from speedgrid.table.limiter import waits_for_host

# How often each timer has its turn; who begins alternates. Many short turns, because a machine drifts meanwhile.
TURNS = 8
# Faster cells are mostly what a timer itself costs.
SLOW_MS = 1.0


def measure(session, asked: Asked) -> dict:
    """Time a loaded session by turns.

    Returns its median latency in ms, whether it is bound by submission, and for each tool tool / speedgrid by turns.
    """
    tools, ours, theirs = make_tools(session), [], []
    for turn in range(TURNS):
        if turn % 2:
            theirs.append({tool: time() for tool, (time, _) in tools.items()})
        ours.append(own(session, asked))
        if not turn % 2:
            theirs.append({tool: time() for tool, (time, _) in tools.items()})
    bound = [waits_for_host(median(one.submit_ms), median(one.device_ms)) for one, _ in ours if one.device_ms]
    return {
        "latency_ms": median(median(one.host_ms) for one, _ in ours),
        "bound": any(bound),
        "ratios": {
            tool: [found[tool] / figure(*one) for found, one in zip(theirs, ours, strict=True)]
            for tool, (_, figure) in tools.items()
        },
    }


def own(session, asked: Asked) -> tuple[Samples, float | None]:
    """Return speedgrid's samples of a session, and the ms of a call back to back on a GPU."""
    samples = timing.measure(session, asked)
    if session.stream is None:
        return samples, None
    return samples, back_to_back.measure(session, Context(asked, None, samples, median(samples.host_ms) / 1000))["ms"]


def make_tools(session) -> dict[str, tuple]:
    """Return for each tool a function that times `session` in ms, and one that takes the same figure of `own`."""
    latency = (lambda: torch_ms(session, "run(); synchronize()"), lambda samples, loop: median(samples.host_ms))
    if session.stream is None:
        return {"torch.utils.benchmark / latency": latency}
    return {
        "torch.utils.benchmark / latency": latency,
        "torch.utils.benchmark / back to back": (
            lambda: torch_ms(session, "run()"),
            lambda samples, loop: loop,
        ),
        "triton.testing.do_bench / device time": (
            lambda: triton_ms(session),
            lambda samples, loop: median(samples.device_ms),
        ),
    }


def torch_ms(session, statement: str) -> float:
    """Return the median time of a statement in ms by torch.utils.benchmark."""
    import torch
    from torch.utils.benchmark import Timer

    names = {"run": session.run, "synchronize": session.synchronize}
    with session.active():
        timer = Timer(statement, globals=names, num_threads=torch.get_num_threads())
        return timer.blocked_autorange().median * 1000


def triton_ms(session) -> float:
    """Return the median time of a call on the device in ms by Triton."""
    from triton.testing import do_bench

    with session.active():
        return do_bench(session.run, return_mode="median")


def summarise(found: dict[str, dict]) -> list[str]:
    """Return a line for each tool: its median and its worst ratio over the slow ones of the cells, given by name."""
    slow = {cell: one for cell, one in found.items() if one["latency_ms"] > SLOW_MS}
    if not slow:
        return [f"none of {len(found)} cells is slower than {SLOW_MS:g} ms"]
    lines = []
    for tool in next(iter(slow.values()))["ratios"]:
        ratios = {cell: median(one["ratios"][tool]) for cell, one in slow.items()}
        worst = max(ratios, key=lambda cell: max(ratios[cell], 1 / ratios[cell]))
        bound = ", bound by submission" if slow[worst]["bound"] else ""
        lines.append(
            f"{tool}: {median(ratios.values()):.4f} in the median over {len(slow)} cells slower than {SLOW_MS:g} ms, "
            f"worst {ratios[worst]:.4f} ({worst}{bound})"
        )
    return lines


def main(count: int) -> None:
    """Print the ratios of each cell, and the summary of each tool."""
    found = {}
    with tempfile.TemporaryDirectory() as folder, launcher() as address:
        for first, *_ in cells(count, "pytorch"):
            one = found[name(first)] = in_fork("benchmarks.agreement", first, folder, address)
            ratios = ", ".join(f"{tool} {median(turns):.4f}" for tool, turns in one["ratios"].items())
            bound = " (bound by submission)" if one["bound"] else ""
            print(f"{name(first)}: {one['latency_ms']:.4g} ms{bound}; {ratios}", flush=True)
    print(*summarise(found), sep="\n")


if __name__ == "__main__" and not answer(measure):
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
