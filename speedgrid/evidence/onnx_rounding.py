"""What error each precision makes on a model that is an ONNX file: simulated in its graph, as rounding.py in modules.

What a precision would round is rounded by nodes of plain arithmetic, which every opset has: the sums stay float32.
"""

import copy
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper

from speedgrid.data import arrays
from speedgrid.evidence import onnx_answers
from speedgrid.evidence.rounding import errors_of, gathered, run_errors
from speedgrid.launcher.reading import read_onnx

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Images of a simulation, as of speedgrid.evidence.rounding.
FEWEST = 8
FLOP = 3e10
# Bits of a number that each precision keeps (with the one that is not stored), and whether what layers write is rounded
# too: https://docs.nvidia.com/cuda/cublas for TF32, IEEE 754 and bfloat16 for the others.
KEPT = {"tf32": (11, False), "fp16": (11, True), "bf16": (8, True)}
PRECISIONS = (*KEPT, "int8")
# Of one rounded float32 number: no outputs are nearer to each other by more than chance.
MOST_DB = 24 * 20 * np.log10(2)
Ranges: TypeAlias = dict[str, tuple[float, float]]


def expected(file: str, images: np.ndarray, answers: np.ndarray, fixed: int | None, task: str = "") -> dict[str, Any]:
    """Return the error that each precision makes on rows of inputs, as of speedgrid.evidence.rounding.expected.

    answers: of the file as it is written. Of a model with several outputs it is in `outputs` for each, by its name. The
    error of float32 is what ONNX Runtime's optimisations change. fixed: the batch size that the file has. task: of the
    model, as of speedgrid.evidence.rounding.run_errors.
    """
    rounded = {"fp32": answers_of(file, images, fixed, optimised=True)}
    model = read_onnx(file)
    ranges = find_ranges(model, images, fixed)
    for precision in PRECISIONS:
        changed = simulate(model, precision, ranges).SerializeToString()
        rounded[precision] = onnx_answers.answers(changed, images, fixed)
    right, made = arrays.fields(answers), {precision: arrays.fields(one) for precision, one in rounded.items()}
    runs = {precision: [run_errors(one, right, task)] for precision, one in made.items()}
    each: dict[str, Any] = dict(gathered(runs))
    if not any("same" in one for one in each.values()):
        each = {name: of_output({key: one[name] for key, one in made.items()}, right[name]) for name in each}
    least = min(each, key=lambda name: each[name]["snr_db"]["tf32"])
    several = {"outputs": each} if len(each) > 1 else {}
    return {**each[least], **several, "reference": "onnxruntime fp32"}


def of_output(rounded: dict[str, np.ndarray], answers: np.ndarray) -> dict[str, Any]:
    """Return the error of one output in each precision: `snr_db`, `uneven_db`, `images_db`."""
    found = {precision: errors_of(outputs, answers) for precision, outputs in rounded.items()}
    most = round(float(MOST_DB), 2)
    return {
        "snr_db": {precision: min(snr_db, most) for precision, (snr_db, _, _) in found.items()},
        "uneven_db": round(max(found[precision][1] for precision in KEPT), 2),
        "images_db": {precision: np.minimum(each, most).tolist() for precision, (_, _, each) in found.items()},
    }


def answers_of(file: str, images: np.ndarray, fixed: int | None, optimised: bool) -> np.ndarray:
    """Return the outputs of a file in float64, with or without ONNX Runtime's optimisations."""
    found = onnx_answers.run(file, arrays.fields(images), fixed, optimised)
    return arrays.joined({name: one.astype(np.float64) for name, one in found.items()})


def simulate(model: onnx.ModelProto, precision: str, ranges: Ranges) -> onnx.ModelProto:
    """Return a copy of a model that rounds as `precision` does what products read, and where it must what they write.

    int8 rounds activations to 256 steps of their range and weights to 255 of each output channel's.
    """
    changed = copy.deepcopy(model)
    weights = {tensor.name: tensor for tensor in changed.graph.initializer}
    made: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in changed.graph.node:
        if node.op_type in PRODUCTS:
            for place, name in enumerate(list(node.input)[:2]):
                if name in weights:
                    round_weight(changed, weights[name], node, place, precision)
                elif precision != "int8" or name in ranges:
                    if name not in made:
                        limits = ranges.get(name) if precision == "int8" else None
                        made[name] = add_rounding(changed, nodes, name, precision, limits)
                    node.input[place] = made[name]
        nodes.append(node)
        if precision in KEPT and KEPT[precision][1] and node.op_type in PRODUCTS:
            inner = f"{node.output[0]}/written"
            outer, node.output[0] = node.output[0], inner
            add_rounding(changed, nodes, inner, precision, None, outer)
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    del changed.graph.value_info[:]
    return changed


def add_rounding(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    name: str,
    precision: str,
    limits: tuple[float, float] | None,
    output: str | None = None,
) -> str:
    """Add nodes that round the tensor `name`, and return what they write.

    A float is rounded to fewer bits by Veltkamp's splitting (Dekker 1971, doi:10.1007/BF01397083, section 5); to whole
    steps by adding and taking off 1.5 x 2^23, beyond which float32 has no fractions.
    """
    output = output or f"{name}/{precision}"

    def constant(value: float) -> str:
        label = f"{output}/c{len(model.graph.initializer)}"
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), label))
        return label

    def node(kind: str, *given: str, to: str | None = None) -> str:
        to = to or f"{output}/{len(nodes)}"
        nodes.append(helper.make_node(kind, list(given), [to]))
        return to

    if limits is None:
        factor = node("Mul", name, constant(2.0 ** (24 - KEPT[precision][0]) + 1))
        return node("Sub", factor, node("Sub", factor, name), to=output)
    step = max(limits[1] - limits[0], float(np.finfo(np.float32).tiny)) / 255
    whole = node("Add", node("Div", name, constant(step)), constant(1.5 * 2**23))
    return node("Mul", node("Sub", whole, constant(1.5 * 2**23)), constant(step), to=output)


def round_weight(
    model: onnx.ModelProto, tensor: onnx.TensorProto, node: onnx.NodeProto, place: int, precision: str
) -> None:
    """Give a product a rounded copy of its weight; in int8 it has a scale for each output channel."""
    values = numpy_helper.to_array(tensor)
    if values.dtype != np.float32:
        return
    if precision == "int8":
        axis = {"ConvTranspose": 1, "MatMul": values.ndim - 1}.get(node.op_type, 0)
        largest = np.abs(values).max(tuple(one for one in range(values.ndim) if one != axis), keepdims=True)
        step = np.maximum(largest, np.finfo(np.float32).tiny) / 127
        rounded = (values / step).round() * step
    else:
        factor = values * np.float32(2.0 ** (24 - KEPT[precision][0]) + 1)
        rounded = factor - (factor - values)
    name = f"{tensor.name}/{precision}/{node.op_type}"
    if name not in {one.name for one in model.graph.initializer}:
        model.graph.initializer.append(numpy_helper.from_array(rounded.astype(np.float32), name))
    node.input[place] = name


def find_ranges(model: onnx.ModelProto, images: np.ndarray, fixed: int | None) -> Ranges:
    """Return the smallest and largest number of each activation that a product reads, with 0, on rows of inputs."""
    shown = copy.deepcopy(model)
    weights = {tensor.name for tensor in shown.graph.initializer}
    own = {value.name for value in shown.graph.input}
    read = {name for node in shown.graph.node if node.op_type in PRODUCTS for name in list(node.input)[:2]}
    names = sorted(read - weights - own)
    del shown.graph.output[:]
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    fields = arrays.fields(images)
    given = {one.name: fields[one.name] if one.name in fields else fields[""] for one in shown.graph.input}
    found = dict(given) if not names else given | onnx_answers.run(shown.SerializeToString(), given, fixed)
    kept = {name: one for name, one in found.items() if name in read and one.dtype == np.float32}
    return {name: (min(0.0, float(one.min())), max(0.0, float(one.max()))) for name, one in kept.items()}
