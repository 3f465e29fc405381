"""What error each precision makes on a model that is an ONNX file, as speedgrid.evidence.rounding has it of a module.

The graph is computed in float32, node by node. On their way, what products read and what is stored is rounded.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch

from speedgrid.evidence.graph.answers import Arrays, in_parts, single_threaded, unfused
from speedgrid.evidence.graph.evaluator import Evaluator, read_by
from speedgrid.evidence.rounding import ROUND, ExpectedErrors, Run, Scaled, gathered, run_errors, to_int8_by_channel
from speedgrid.precision import PRECISIONS, QUANTISED

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum")
# Operators that runtimes compute in one go with the next of them: what is between is never stored.
# fmt: off
FUSED = {
    "Abs", "Add", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log",
    "Mul", "Neg", "Pow", "PRelu", "Reciprocal", "ReduceMean", "ReduceSum", "Relu", "Sigmoid", "Softplus",
    "Softsign", "Sqrt", "Sub", "Tanh",
}
# fmt: on
# Precisions that round what products read alone.
READ_ALONE = ("tf32", "fp8")


def expected(
    model: onnx.ModelProto, inputs: Arrays, answers: Arrays, rows: int = 1, task: str = ""
) -> dict[str, ExpectedErrors]:
    """Return the errors that each precision makes on images, as of speedgrid.evidence.rounding, by output of floats.

    inputs: by name, with the image as first axis. answers: the right ones, as of speedgrid.evidence.graph.answers, by
    output. rows: images of one call. task: of the model; boxes and integers are as of
    speedgrid.evidence.rounding.run_errors. The error of fp32 is the larger one of two that compute it: runtimes'
    functions such as sigmoid have steps of their own (ONNX Runtime's is exact to 1e-8, whatever it is a part of).
    """
    evaluator = Evaluator(model, np.float32)
    found: dict[str, list[Run]] = {}
    runs = {"fp32": [evaluator.run, unfused(model)]}
    for precision in PRECISIONS:
        if precision != "fp32":
            runs[precision] = [Simulation(evaluator, precision, inputs, rows).run]
    for precision, several in runs.items():
        found[precision] = [run_errors(in_parts(run, inputs, rows), answers, task) for run in several]
    return gathered(found)


class Simulation:
    """A graph in float32 that rounds as a precision does.

    tf32 and fp8 round what convolutions and matrix products read; the others also what is stored: the outputs of
    products, and of each chain of operators that a runtime computes in one go its last. Sums are exact to float32.
    int8 and fp8 have the ranges that `inputs` give: of activations for the tensor, of weights for each output channel
    in int8 and for the tensor in fp8 (https://arxiv.org/abs/2004.09602 sections 3 and 4).
    """

    def __init__(self, evaluator: Evaluator, precision: str, inputs: Arrays, rows: int = 1):
        self.evaluator = evaluator
        self.read_alone = precision in READ_ALONE
        self.make: Callable[[], Any]
        self.make, self.of_weights = ROUND[precision]
        self.activations: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}
        self.weights: dict[tuple[str, int | None], np.ndarray] = {}
        self.consumers: dict[str, list[str]] = defaultdict(list)
        for node in evaluator.nodes:
            for name in read_by(node):
                self.consumers[name].append(node.op_type)
        if precision in QUANTISED:
            with single_threaded():
                for start in range(0, len(next(iter(inputs.values()))), rows):
                    self.run({name: one[start : start + rows] for name, one in inputs.items()})
        for one in self.activations.values():
            if isinstance(one, Scaled):
                one.calibrating = False

    def run(self, given: Arrays) -> dict[str, np.ndarray]:
        """Return the outputs for inputs, both by name."""
        with np.errstate(all="ignore"):  # what overflows in float16
            return self.evaluator.run(given, self)

    def read(self, node: onnx.NodeProto, values: list[np.ndarray | None]) -> list[np.ndarray | None]:
        """Return the rounded inputs of a product."""
        if node.op_type not in PRODUCTS:
            return values
        count = len(values) if node.op_type == "Einsum" else 2
        return [self._operand(node, place, one) if place < count else one for place, one in enumerate(values)]

    def written(self, node: onnx.NodeProto, values: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """Return a stored tensor, rounded."""
        if self.read_alone:
            return values
        return tuple(
            self._activation(name, one) if one.dtype == np.float32 and self._stored(node, name) else one
            for name, one in zip(node.output, values, strict=False)
        )

    def _stored(self, node: onnx.NodeProto, name: str) -> bool:
        readers = self.consumers[name]
        alone = len(readers) == 1 and readers[0] in FUSED and name not in self.evaluator.outputs
        return node.op_type not in FUSED or not alone

    def _operand(self, node: onnx.NodeProto, place: int, value: np.ndarray | None) -> np.ndarray | None:
        if value is None or value.dtype != np.float32:
            return value
        name = node.input[place]
        if name not in self.evaluator.constants:
            return self._activation(name, value)
        axis = output_channels(node, place, value.ndim)
        if (name, axis) not in self.weights:
            self.weights[name, axis] = self._weight(value, axis)
        return self.weights[name, axis]

    def _activation(self, name: str, value: np.ndarray) -> np.ndarray:
        if not value.size:
            return value
        if name not in self.activations:
            self.activations[name] = self.make()
        return self.activations[name](torch.tensor(value)).numpy()

    def _weight(self, value: np.ndarray, axis: int | None) -> np.ndarray:
        """Return a weight as it is rounded. axis: of its output channels; None where it has none of its own."""
        if axis is None or self.of_weights is not to_int8_by_channel:
            rounded = self.of_weights(torch.tensor(value)[None])[0]
            return rounded.numpy()
        return np.moveaxis(self.of_weights(torch.tensor(np.moveaxis(value, axis, 0).copy())).numpy(), 0, axis)


def output_channels(node: onnx.NodeProto, place: int, axes: int) -> int | None:
    """Return the axis of a product's operand that is also one of its output; None where all of it has one scale."""
    transposed = {one.name: one.i for one in node.attribute if one.name in ("transA", "transB")}
    if node.op_type in ("Conv", "ConvTranspose"):
        return (0 if node.op_type == "Conv" else 1) if place == 1 else None
    if node.op_type == "Gemm":
        return int(not transposed.get("transB", 0)) if place == 1 else int(transposed.get("transA", 0))
    if node.op_type == "MatMul" and axes > 1:
        return axes - 1 if place == 1 else axes - 2
    return None


def worst(found: dict[str, ExpectedErrors]) -> str:
    """Return the name of the output that rounding to ten bits changes most, which tells precisions apart last."""
    return min(found, key=lambda name: found[name]["snr_db"].get("tf32", math.inf))
