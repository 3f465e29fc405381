"""What a request pays beside the model's call: preprocessing of decoded photographs, and copies to a GPU and back.

Each step is timed alone, and all of them as one request, each waiting for the one before it, so that they overlap
nowhere and have to add up. They are timed in turn, one call of each and again from the first: whatever else the
machine does meets all of them, and each finds the caches as the others left them, as it does in a request. A server
that overlaps requests pays less for each; that is not measured here.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, TypeAlias

from speedgrid.data.preprocessing import photograph_size, preprocess
from speedgrid.data.resolution import Resolution, read
from speedgrid.data.samples import Samples
from speedgrid.launcher.outputs import one_line
from speedgrid.measure import probes
from speedgrid.record import Record
from speedgrid.text.column import LOWER, MS, NUMBER, Column
from speedgrid.text.language import N_

ORDER, WITH_TIMING = 20, False
SENTENCE = N_(
    "A request end to end goes from decoded photographs to logits on the host, each step waiting for the last."
)
# How long turns go on, and how many there are however slow they are; the first one warms up.
SECONDS = 0.4
FEWEST_TURNS = 5
# The ways from photographs to logits on the host, and their steps.
WAYS = {
    "cpu": ("preprocess_cpu", "copy_in_pinned", "call", "copy_out_pinned"),
    "gpu": ("copy_in_uint8", "preprocess_gpu", "call", "copy_out_pinned"),
}
# Step or whole, its label, and one sentence. The call is timed again, beside the steps: latency_ms is of other moments.
TIMES = (
    (
        "preprocess_cpu",
        N_("preprocessing on the CPU"),
        "Median time to make the model's input of decoded photographs (uint8) on the CPU.",
    ),
    (
        "copy_in_pinned",
        N_("input in, pinned"),
        "Median time to copy the model's input to the GPU from pinned memory.",
    ),
    (
        "copy_in_pageable",
        N_("input in, pageable"),
        "Median time to copy the model's input to the GPU from pageable memory; in neither sum.",
    ),
    (
        "copy_in_uint8",
        N_("photographs in, pinned"),
        "Median time to copy decoded photographs (uint8) to the GPU from pinned memory.",
    ),
    (
        "preprocess_gpu",
        N_("preprocessing on the GPU"),
        "Median time to make the model's input of decoded photographs (uint8) on the GPU.",
    ),
    (
        "call",
        N_("call"),
        "Median time of the model's call alone, timed again in turn with the other steps of a request.",
    ),
    (
        "copy_out_pinned",
        N_("logits out, pinned"),
        "Median time to copy the model's output to pinned memory of the host.",
    ),
    (
        "copy_out_pageable",
        N_("logits out, pageable"),
        "Median time to copy the model's output to pageable memory of the host; in neither sum.",
    ),
    (
        "parts_cpu",
        N_("sum of the steps, preprocessed on the CPU"),
        "Sum of preprocessing on the CPU, both pinned copies and the call; empty where it is not near the whole.",
    ),
    (
        "end_to_end_cpu",
        N_("whole, preprocessed on the CPU"),
        "Median time of a request as a whole, its steps one after another; empty where `parts_cpu_ms` is.",
    ),
    (
        "parts_gpu",
        N_("sum of the steps, preprocessed on the GPU"),
        "Sum of the photographs' copy, preprocessing on the GPU, the call and the output's copy; empty where it is not "
        "near the whole.",
    ),
    (
        "end_to_end_gpu",
        N_("whole, preprocessed on the GPU"),
        "Median time of a request as a whole, its steps one after another; empty where `parts_gpu_ms` is.",
    ),
)
COLUMNS = tuple(Column(f"{name}_ms", NUMBER, MS, LOWER, label, about, proven=True) for name, label, about in TIMES)
# The group of the documentation that they are in, and the column that they follow.
TITLE, AFTER = "A request end to end", "energy_power_w"
# How far the sum of the steps may be from the whole. Seen on two cores that other programs used too: 5 % in their
# quiet moments, 20 % in most of the others; what is further off was disturbed.
ADD_UP = 0.2
# What a step alone takes more than in a request: two CUDA events are recorded around it.
EVENTS_MS = 0.02
# The steps and the request as a whole, in the table: what disturbs a machine meets both.
STEPS_AND_WHOLE, STEPS_AND_WHOLE_MS = 0.25, 0.1


def asked(cell, turn, device, timing, control) -> bool:
    """Whether a timing measures it: in the first round, since once is enough, where the configuration wants it."""
    return turn == "round1" and timing["end_to_end"]


Operation: TypeAlias = Callable[[], object]


class Steps:
    """Operations of a session one after another, as timing calls them: `run` waits for all but the last."""

    def __init__(self, session, operations: list[Operation]):
        self.session, self.operations, self.stream = session, operations, session.stream

    def run(self) -> None:
        """Do each operation, waiting for it before the next."""
        *first, last = self.operations
        for operation in first:
            operation()
            self.session.synchronize()
        last()


def measure(session, context: probes.Context) -> dict[str, Any]:
    """Return the raw samples of a request's steps, as of `steps`, on as many threads as the cell was asked to use."""
    return measure_steps(session, context.asked.cpu_threads)


def measure_steps(session, threads: int) -> dict[str, Any]:
    """Return the raw samples of each step and of each way through them, as plain JSON values.

    session: one that has been fed and run; its input is overwritten. threads: of preprocessing on the CPU. Returns
    `samples`: by step, and `end_to_end_cpu` and `end_to_end_gpu` for the ways, `host_ms` and `device_ms` of each;
    `photograph`: height and width; `threads`. On the CPU there are no copies: preprocessing writes where the call
    reads. What fails, for want of memory say, costs a cell nothing: then `error` says why.
    """
    import torch

    try:
        with session.active(), torch.inference_mode(), torch.cuda.stream(session.stream), torch_threads(threads):
            operations = on_cpu(session) if session.stream is None else on_gpu(session)
            steps = {name: Steps(session, [operation]) for name, operation in operations.items()}
            for way, names in WAYS.items():
                if f"preprocess_{way}" in operations:
                    chain = [operations[name] for name in names if name in operations]
                    steps[f"end_to_end_{way}"] = Steps(session, chain)
            samples = take_turns(steps)
    except Exception as error:
        return {"samples": {}, "error": one_line(error)}
    return {"samples": samples, "photograph": photograph_size(resolution_of(session)), "threads": threads}


def take_turns(steps: dict[str, Steps]) -> dict[str, dict[str, list[float]]]:
    """Time one call of each, again and again, and return `host_ms` and `device_ms` of each by name."""
    from speedgrid.measure import timing  # scipy, which planning need not import

    with timing.collector_off():
        one_turn(steps)
        turns: list[dict[str, Samples]] = []
        end = time.perf_counter() + SECONDS
        while len(turns) < FEWEST_TURNS or time.perf_counter() < end:
            turns.append(one_turn(steps))
    return {
        name: {
            clock: [sample for turn in turns for sample in getattr(turn[name], clock)]
            for clock in ("host_ms", "device_ms")
        }
        for name in steps
    }


def one_turn(steps: dict[str, Steps]) -> dict[str, Samples]:
    """Return the samples of one call of each by name."""
    from speedgrid.measure import timing

    found = {}
    for name, one in steps.items():
        samples = Samples([])
        (timing.once_on_host if one.stream is None else timing.once_with_events)(one, samples)
        found[name] = timing.rounded(samples)
    return found


def on_gpu(session) -> dict[str, Operation]:
    """Return the operations of a session on a GPU by name, in an order in which each finds its data."""
    import torch

    photographs = decoded(session).pin_memory()
    photographs_on_gpu = torch.empty_like(photographs, device=session.input.device)
    # Like the session's own buffers in type and memory format, so that a copy moves bytes and converts nothing.
    pinned, pageable = (torch.empty_like(session.input, device="cpu", pin_memory=pin) for pin in (True, False))
    pageable.zero_()  # memory that was never written has no pages to copy from
    out_pinned, out_pageable = (torch.empty_like(session.result, device="cpu", pin_memory=pin) for pin in (True, False))
    return {
        "preprocess_cpu": lambda: preprocess(photographs, pinned),
        "copy_in_pageable": lambda: session.input.copy_(pageable),
        "copy_in_pinned": lambda: session.input.copy_(pinned, non_blocking=True),
        "copy_in_uint8": lambda: photographs_on_gpu.copy_(photographs, non_blocking=True),
        "preprocess_gpu": lambda: preprocess(photographs_on_gpu, session.input),
        "call": session.run,
        # What a call returns may be another tensor each time.
        "copy_out_pageable": lambda: out_pageable.copy_(session.result),
        "copy_out_pinned": lambda: out_pinned.copy_(session.result, non_blocking=True),
    }


def on_cpu(session) -> dict[str, Operation]:
    """Return the operations of a session on the CPU by name."""
    import torch

    photographs, target = decoded(session), torch.as_tensor(session.input)
    return {"preprocess_cpu": lambda: preprocess(photographs, target), "call": session.run}


def decoded(session):
    """Return a batch of photographs in random colours, uint8 [batch_size, height, width, 3] on the host.

    What they show costs nothing: resizing and copying take as long for any picture.
    """
    import torch

    shape = (session.shape[0], *photograph_size(resolution_of(session)), 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def resolution_of(session) -> Resolution:
    """Return the resolution of a session's input."""
    return read("x".join(map(str, session.shape[-2:])))


@contextmanager
def torch_threads(count: int):
    """Let torch compute on the CPU with `count` threads, and then with as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def columns(records: list[Record], row: dict[str, Any]) -> dict[str, float | None]:
    """Return COLUMNS from the first of a cell's records that has a request; a way that does not add up has no whole.

    Steps that a device does not have are None, as is all of it where nothing was measured.
    """
    requests = [one["samples"] for one in probes.seen(records, "request") if one["samples"]]
    samples: dict[str, dict[str, list[float]]] = requests[0] if requests else {}
    found: dict[str, float | None] = {f"{name}_ms": median(sample["host_ms"]) for name, sample in samples.items()}
    for way, names in WAYS.items():
        steps = [median(samples[name]["host_ms"]) for name in names if name in samples]
        parts, whole = sum(steps), found.get(f"end_to_end_{way}_ms")
        if whole is None or abs(parts - whole) > ADD_UP * whole + EVENTS_MS * len(steps):
            found[f"end_to_end_{way}_ms"] = found[f"parts_{way}_ms"] = None
        else:
            found[f"parts_{way}_ms"] = parts
    return {column.name: found.get(column.name) for column in COLUMNS}


def checks(line: dict[str, Any]) -> Iterator[str]:
    """The steps of a request add up to their sum, and within a tolerance to the request that was measured whole."""
    for way, names in WAYS.items():
        parts, whole = line[f"parts_{way}_ms"], line[f"end_to_end_{way}_ms"]
        steps = [value for name in names if (value := line[f"{name}_ms"]) == value]  # NaN: the device has no such step
        if abs(parts - sum(steps)) > 1e-6 * abs(parts):
            terms = " + ".join(f"{step:.6g}" for step in steps)
            yield f"parts_{way}_ms = {parts:.6g}, but its steps are {terms} = {sum(steps):.6g} ms"
        if abs(parts - whole) > STEPS_AND_WHOLE * whole + STEPS_AND_WHOLE_MS:
            yield f"its steps take {parts:.6g} ms, but end_to_end_{way}_ms = {whole:.6g}"
