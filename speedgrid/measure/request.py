"""What a request pays beside the model's call: preprocessing of decoded photographs, and copies to a GPU and back.

Each step is timed alone, and all of them as one request, each waiting for the one before it, so that they overlap
nowhere and have to add up. They are timed in turn, one call of each and again from the first: whatever else the
machine does meets all of them, and each finds the caches as the others left them, as it does in a request. A server
that overlaps requests pays less for each; that is not measured here.
"""

import time
from contextlib import contextmanager

from speedgrid.data.preprocessing import photograph_size, preprocess
from speedgrid.measure import timing
from speedgrid.record import one_line

# How long turns go on, and how many there are however slow they are; the first one warms up.
SECONDS = 0.4
FEWEST_TURNS = 5
# The ways from photographs to logits on the host, and their steps.
WAYS = {
    "cpu": ("preprocess_cpu", "copy_in_pinned", "call", "copy_out_pinned"),
    "gpu": ("copy_in_uint8", "preprocess_gpu", "call", "copy_out_pinned"),
}


class Steps:
    """Operations of a session one after another, as timing calls them: `run` waits for all but the last."""

    def __init__(self, session, operations: list):
        self.session, self.operations, self.stream = session, operations, session.stream

    def run(self) -> None:
        """Do each operation, waiting for it before the next."""
        *first, last = self.operations
        for operation in first:
            operation()
            self.session.synchronize()
        last()


def measure(session, threads: int) -> dict:
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
    return {"samples": samples, "photograph": photograph_size(session.shape[-1]), "threads": threads}


def take_turns(steps: dict[str, Steps]) -> dict[str, dict]:
    """Time one call of each, again and again, and return `host_ms` and `device_ms` of each by name."""
    with timing.collector_off():
        one_turn(steps)
        turns, end = [], time.perf_counter() + SECONDS
        while len(turns) < FEWEST_TURNS or time.perf_counter() < end:
            turns.append(one_turn(steps))
    return {
        name: {clock: [sample for turn in turns for sample in turn[name][clock]] for clock in ("host_ms", "device_ms")}
        for name in steps
    }


def one_turn(steps: dict[str, Steps]) -> dict[str, dict]:
    """Return the samples of one call of each by name."""
    found = {}
    for name, one in steps.items():
        samples = timing.Samples()
        (timing.once_on_host if one.stream is None else timing.once_with_events)(one, samples)
        found[name] = samples.as_dict()
    return found


def on_gpu(session) -> dict:
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


def on_cpu(session) -> dict:
    """Return the operations of a session on the CPU by name."""
    import torch

    photographs, target = decoded(session), torch.as_tensor(session.input)
    return {"preprocess_cpu": lambda: preprocess(photographs, target), "call": session.run}


def decoded(session):
    """Return a batch of photographs in random colours, uint8 [batch_size, height, width, 3] on the host.

    What they show costs nothing: resizing and copying take as long for any picture.
    """
    import torch

    shape = (session.shape[0], *photograph_size(session.shape[-1]), 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@contextmanager
def torch_threads(count: int):
    """Let torch compute on the CPU with so many threads, and then with as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
