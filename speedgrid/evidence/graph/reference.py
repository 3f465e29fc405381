"""The right answers of a model that is an ONNX file, and what each precision does to them."""

import logging
from typing import Any

import numpy as np

from speedgrid.data import arrays
from speedgrid.evidence import onnx_rounding
from speedgrid.evidence.graph import rounding
from speedgrid.evidence.graph.answers import FLOAT64, Answers, compute
from speedgrid.evidence.rounding import ExpectedErrors
from speedgrid.launcher.outputs import one_line
from speedgrid.launcher.reading import read_onnx

log = logging.getLogger(__name__)
# Operations that float64 is worth: minutes on two cores.
MOST_FLOP = 2e12
# Images and operations of a simulation, as of speedgrid.evidence.rounding.
FEWEST, FLOP = 8, 3e10

# SNR in dB of float32 that needs no other look, and by how much it must else be above that of ten bits.
CLEAR, APART = 90.0, 6.0


def answer(
    file: str, images: np.ndarray, fixed: int | None, flop: float, task: str = ""
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the right answers of a file to rows of inputs, and the errors that rounding is expected to make on some.

    images: an array of its only input, or a structured one (speedgrid.data.arrays). fixed: the batch size that the file
    has. flop: of one image. task: of the model. The errors are as of speedgrid.record.Expected. The answers are in
    float64 where that is worth its time and agrees with ONNX Runtime; else they are those of ONNX Runtime in float32,
    and so are they and the simulation where the graph cannot be followed node by node.
    """
    model, rows = read_onnx(file), fixed or 1
    weights = {one.name for one in model.graph.initializer}
    name = next(one.name for one in model.graph.input if one.name not in weights)
    inputs = {key or name: one for key, one in arrays.fields(images).items()}
    right = compute(model, inputs, rows, "" if flop * len(images) <= MOST_FLOP else "float64 would take too long")
    count = max(FEWEST, int(FLOP / flop))
    some = {key: one[:count] for key, one in inputs.items()}
    try:
        errors = rounding.expected(model, some, first(right, count), rows, task)
        if right.method == FLOAT64 and (doubtful := doubt(errors)):
            right = compute(model, inputs, rows, doubtful)
            errors = rounding.expected(model, some, first(right, count), rows, task)
    except Exception as error:
        log.warning("rounding is simulated by ONNX Runtime, because the evaluator failed: %s", one_line(error))
        return by_runtime(file, right, images[:count], fixed, task)
    if right.reason:
        log.warning("the right answers are those of ONNX Runtime in float32: %s", right.reason)
    worst = rounding.worst(errors)
    several = {"outputs": errors} if len(errors) > 1 else {}
    known = {"reference": right.method, "own_db": right.own_db.get(worst)}
    return joined(right), {**errors[worst], **several, **known}


def doubt(errors: dict[str, ExpectedErrors]) -> str:
    """Return why answers in float64 are not believed, in one clause; empty where they are.

    Two that compute float32 are beside them: ONNX Runtime, and the evaluator itself. An error that is no smaller than
    that of ten bits is none of rounding: one of the two computes another function. What people have is ONNX Runtime's.
    """
    for name, one in errors.items():
        if "same" in one:  # an integer, or a box that is not found, is no small error
            continue
        exact, ten_bits = one["snr_db"]["fp32"], one["snr_db"]["tf32"]
        if exact < min(CLEAR, ten_bits + APART):
            return f"float32 and the evaluator of float64 differ: {exact:.0f} dB SNR on {name}"
    return ""


def first(right: Answers, count: int) -> dict[str, np.ndarray]:
    """Return the answers to the first images."""
    return {name: one[:count] for name, one in right.outputs.items()}


def joined(right: Answers) -> np.ndarray:
    """Return the answers as one array, floats in float64."""
    return arrays.joined(right.outputs)


def by_runtime(
    file: str, right: Answers, images: np.ndarray, fixed: int | None, task: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the answers, and the errors that nodes of rounding in the graph make on ONNX Runtime."""
    found = joined(right)
    errors = onnx_rounding.expected(file, images, found[: len(images)], fixed, task)
    return found, {**errors, "reference": right.method, "own_db": min(right.own_db.values(), default=None)}
