"""The right answers of a model that is an ONNX file: in float64 where that can be done, and their own error."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import onnx

from speedgrid.evidence import onnx_answers
from speedgrid.evidence.graph.evaluator import Evaluator
from speedgrid.evidence.snr import decibels
from speedgrid.launcher.outputs import one_line
from speedgrid.machine.threads import shared_cores

FLOAT64, FLOAT32 = "float64", "onnxruntime fp32"
# Inputs are changed by so much of themselves to see what rounding does to the outputs: more than a step of float32
# (2^-24), so that each of its roundings is another one, and so little that what it changes truly is straight.
STEP = 2.0**-20
# The squared factors (1, -2, 1) of a second difference: independent errors of one size grow by their root.
GROWTH = 6**0.5

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Answers:
    """The right answers to images, and what they are.

    outputs: by name, float64 where they are floats, each with the image as first axis. method: FLOAT64 or FLOAT32.
    own_db: SNR in dB of each output of floats, as its own rounding leaves it on the first image (320 is exact).
    agreement_db: SNR of ONNX Runtime in float32 beside float64 there; empty where there is no float64. reason: why
    they are not in float64, in one clause. elsewhere: how many nodes of each operator were computed in float32.
    """

    outputs: dict[str, np.ndarray]
    method: str
    own_db: dict[str, float]
    agreement_db: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    elsewhere: dict[str, int] = field(default_factory=dict)


def compute(model: onnx.ModelProto, inputs: Arrays, rows: int = 1, instead: str = "") -> Answers:
    """Return the right answers of a model to inputs by name, each with the image as first axis.

    They are in float64, by an evaluator that is none of the runtimes which are measured; where it cannot run the model,
    they are those of ONNX Runtime's CPU provider in float32, with no node fused or replaced. rows: images of one call,
    as many as the model's batch where that is fixed. instead: why they are to be ONNX Runtime's in any case.
    """
    first = {name: one[:rows] for name, one in inputs.items()}
    runtime = unfused(model)
    try:
        evaluator = Evaluator(model, np.float64)
        with single_threaded():
            single = evaluator.run(first)
    except Exception as error:
        reason = instead or f"the evaluator of float64 does not run it ({one_line(error)})"
        return _answers(runtime, inputs, rows, FLOAT32, reason=reason)
    beside = runtime(first)
    agreement = {name: round(snr_of(beside[name], one), 2) for name, one in single.items() if one.dtype.kind == "f"}
    seen = {"agreement_db": agreement, "elsewhere": evaluator.elsewhere, "reason": instead}
    run, method = (runtime, FLOAT32) if instead else (evaluator.run, FLOAT64)
    return _answers(run, inputs, rows, method, **seen)


def _answers(run: Callable[[Arrays], dict[str, np.ndarray]], inputs: Arrays, rows: int, method: str, **seen) -> Answers:
    return Answers(in_parts(run, inputs, rows), method, noise_of(run, inputs, rows), **seen)


def in_parts(run: Callable[[Arrays], dict[str, np.ndarray]], inputs: Arrays, rows: int = 1) -> dict[str, np.ndarray]:
    """Return the outputs of `run` for all images, `rows` in a call, floats in float64.

    Images of a last call that is not full are repeated. A core computes one call: threads within float64 convolutions
    wait for each other (speedgrid.evidence.reference).
    """
    count = len(next(iter(inputs.values())))
    starts = range(0, count, rows)

    def call(start: int) -> dict[str, np.ndarray]:
        places = np.arange(start, start + rows) % count
        made = run({name: np.ascontiguousarray(one[places]) for name, one in inputs.items()})
        return {name: one.astype(np.float64) if one.dtype.kind == "f" else one for name, one in made.items()}

    with single_threaded(), workers() as pool:
        parts = list(pool.map(call, starts))
    return {name: np.concatenate([one[name] for one in parts])[:count] for name in parts[0]}


def workers() -> ThreadPoolExecutor:
    """Return a pool of as many threads as work shares, each of which computes PyTorch's operators alone."""
    import torch

    return ThreadPoolExecutor(shared_cores(), initializer=torch.set_num_threads, initargs=(1,))


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let this thread compute PyTorch's operators alone while this is open, and as before thereafter."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def unfused(model: onnx.ModelProto) -> Callable[[Arrays], dict[str, np.ndarray]]:
    """Return a session that runs a model on ONNX Runtime's CPU provider in float32 with all optimisations off."""
    session = onnx_answers.session_of(model.SerializeToString(), threads=1)
    names = [one.name for one in session.get_outputs()]
    asked_for = [one.name for one in session.get_inputs()]

    def run(given: Arrays) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {name: given[name] for name in asked_for}), strict=True))

    return run


def noise_of(run: Callable[[Arrays], dict[str, np.ndarray]], inputs: Arrays, rows: int = 1) -> dict[str, float]:
    """Return the SNR in dB that the rounding of `run` leaves each of its outputs of floats, on the first images.

    By second differences: where an input changes a little, the outputs change in a straight line but for rounding, so
    that f(x + hx) - 2 f(x) + f(x - hx) is what is left of three independent errors. J. J. More and S. M. Wild,
    Estimating Computational Noise, SIAM J. Sci. Comput. 33 (2011), doi:10.1137/100786125, section 3.
    No number needs to be known exactly. Empty where no input is of floats.
    """
    first = {name: one[:rows] for name, one in inputs.items()}
    if not any(one.dtype.kind == "f" for one in first.values()):
        return {}

    def moved(step: float) -> dict[str, np.ndarray]:
        return run(
            {name: one * one.dtype.type(1 + step) if one.dtype.kind == "f" else one for name, one in first.items()}
        )

    with single_threaded(), workers() as pool:
        below, middle, above = pool.map(moved, (-STEP, 0.0, STEP))
    found = {}
    for name, one in middle.items():
        if one.dtype.kind == "f" and one.shape == below[name].shape == above[name].shape:
            exact = one.astype(np.float64)
            difference = below[name].astype(np.float64) - 2 * exact + above[name].astype(np.float64)
            found[name] = round(snr_of(exact + difference / GROWTH, exact), 2)
    return found


def snr_of(found: np.ndarray, right: np.ndarray) -> float:
    """Return the SNR in dB of an array beside the right one, of all its numbers together; 0 if one is not finite."""
    if found.shape != right.shape or not np.isfinite(found).all():
        return 0.0
    signal = float(np.linalg.norm(right))
    noise = float(np.linalg.norm(found.astype(np.float64) - right))
    return decibels(noise / signal) if signal else (320.0 if not noise else 0.0)
