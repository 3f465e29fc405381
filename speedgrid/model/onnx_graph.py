"""How much arithmetic and traffic an ONNX file asks for, layer by layer, read from its graph and not from torch."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import onnx

from speedgrid import InputError
from speedgrid.launcher.reading import read_onnx

# Larger tensors are weights: of those, shape inference needs the shape alone.
LARGEST_SHAPE_CONSTANT = 1000
# In the names of operators that multiply matrices or filters: Conv, QLinearConv, FusedMatMul, MultiHeadAttention ...
PRODUCT = re.compile("Conv(?!ert)|MatMul|Gemm|Einsum|Attention|LSTM|GRU|RNN")


class GraphError(InputError):
    """A graph whose arithmetic cannot be counted; the message names the file and the node."""


@dataclass(frozen=True)
class Layer:
    """One convolution or matrix product of one image.

    flop: 2 x multiply-adds. weight_elements: of what does not depend on the image, read once a batch.
    activation_elements: of what does, inputs and output together.
    """

    name: str
    flop: int
    weight_elements: int
    activation_elements: int


@dataclass(frozen=True)
class Graph:
    """The layers of a model, and the elements of its weights (each once), and of one image's input and output."""

    layers: list[Layer]
    weight_elements: int
    input_elements: int
    output_elements: int

    @property
    def flop(self) -> int:
        """The floating-point operations of one image."""
        return sum(layer.flop for layer in self.layers)


Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = dict[str, Shape]
Attributes: TypeAlias = dict[str, Any]


def read(path: str) -> Graph:
    """Return the Graph of the ONNX file in `path` at a batch size of 1.

    Counted are the multiply-adds of convolutions (direct, also where a filter meets padding) and of matrix products,
    attention among them, times two. As in torch.utils.flop_counter, biases, norms and activations are not counted, and
    neither is what a compiler may save. Weights are the matrices of convolutions and products, without biases. Shapes
    are those of onnx's own inference (https://onnx.ai/onnx/api/shape_inference.html), which starts from those that the
    exporter wrote, and refuses them where they contradict. Raises GraphError where one is unknown, and where operators
    multiply that are not counted here: what is counted beside them would be too little.
    """
    model = read_onnx(path)
    if names := uncounted(model):
        raise GraphError(f"{path}: the arithmetic of {', '.join(names)} cannot be counted.")
    try:
        shapes = infer_shapes(model)
    except onnx.shape_inference.InferenceError as error:
        raise GraphError(f"{path}: onnx cannot infer its shapes ({' '.join(str(error).split())}).") from None
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    # Whatever is computed from an image is an activation; the rest, such as transposed weights, is constant.
    activations = {value.name for value in graph.input} - weights
    layers: list[Layer] = []
    matrices: dict[str, int] = {}
    for node in graph.node:
        given = [name for name in node.input if name]
        if activations.intersection(given):
            activations.update(node.output)
        if node.op_type not in FLOP:
            continue
        known = operand_shapes(path, node, shapes)
        constant = {name: prod(known[name]) for name in given[:2] if name not in activations}
        matrices |= constant
        moved = sum(prod(known[name]) for name in (*given[:2], node.output[0]) if name in activations)
        layers.append(Layer(node.name, flop_of(path, node, known), sum(constant.values()), moved))
    ends = [[value.name for value in values] for values in (graph.input, graph.output)]
    return Graph(
        layers,
        sum(matrices.values()),
        *(sum(prod(shapes[name]) for name in names if name not in weights) for names in ends),
    )


def uncounted(model: onnx.ModelProto) -> list[str]:
    """Return the operators of a model that multiply matrices or filters and that are not counted here, each once.

    Those are told by their names, as ONNX and ONNX Runtime's own domain have them; of another domain also by a constant
    of two axes or more that they read. Operators in the bodies of control flow run any number of times.
    """
    matrices = {one.name for one in model.graph.initializer if len(one.dims) > 1}
    found: dict[str, None] = {}
    for node in model.graph.node:
        foreign = node.domain not in ("", "ai.onnx")
        nested = [kind for attribute in node.attribute for kind in products_within(attribute)]
        multiplies = bool(PRODUCT.search(node.op_type)) or (foreign and bool(matrices.intersection(node.input)))
        if nested or (multiplies and (foreign or node.op_type not in FLOP)):
            name = nested[0] if nested else node.op_type
            found[name if name.isidentifier() else "an operator without a usual name"] = None
    return list(found)


def products_within(attribute: onnx.AttributeProto) -> list[str]:
    """Return the operators that multiply in the graphs of an attribute."""
    graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs
    nodes = [node for graph in graphs for node in graph.node]
    inner = [kind for node in nodes for one in node.attribute for kind in products_within(one)]
    return [node.op_type for node in nodes if PRODUCT.search(node.op_type)] + inner


def flop_per_image(path: str) -> float | None:
    """Return the floating-point operations of one image in a user's ONNX file, or None where they cannot be counted."""
    try:
        return read(path).flop / batch_of(read_onnx(path))
    except GraphError:
        return None


def batch_of(model: onnx.ModelProto) -> int:
    """Return the batch size of a model's inputs where it is a number, else 1, which shapes are inferred for."""
    dims = model.graph.input[0].type.tensor_type.shape.dim if model.graph.input else ()
    return dims[0].dim_value or 1 if dims else 1


def infer_shapes(model: onnx.ModelProto) -> Shapes:
    """Return the shapes of all tensors that onnx can infer for one image; changes `model`."""
    graph = model.graph
    batch = {value.type.tensor_type.shape.dim[0].dim_param for value in graph.input} - {""}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in batch:
                dimension.dim_value = 1
            elif dimension.dim_param:
                dimension.ClearField("dim_param")  # an expression, such as 49*batch: for the inference to work out
    for tensor in graph.initializer:
        if prod(tensor.dims) > LARGEST_SHAPE_CONSTANT:
            tensor.ClearField("raw_data")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes: Shapes = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        dimensions = value.type.tensor_type.shape.dim
        if all(dimension.HasField("dim_value") for dimension in dimensions):
            shapes[value.name] = tuple(dimension.dim_value for dimension in dimensions)
    return shapes | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def operand_shapes(path: str, node: onnx.NodeProto, shapes: Shapes) -> Shapes:
    """Return the shapes of a node's operands and output. Raises GraphError if one is not known."""
    names = [name for name in (*node.input[:2], node.output[0]) if name]
    for name in names:
        if name not in shapes:
            raise GraphError(
                f"{path}: the arithmetic of node {node.name!r} ({node.op_type}) cannot be counted, "
                f"because the shape of its tensor {name!r} is unknown."
            )
    return {name: shapes[name] for name in names}


def flop_of(path: str, node: onnx.NodeProto, shapes: Shapes) -> int:
    """Return 2 x the multiply-adds of a node whose operands are known. Raises GraphError for an unusual Einsum."""
    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    operands = [shapes[name] for name in node.input[:2]]
    try:
        return 2 * FLOP[node.op_type](operands, shapes[node.output[0]], attributes)
    except NotImplementedError as error:
        raise GraphError(f"{path}: the arithmetic of node {node.name!r} ({node.op_type}) is {error}.") from None


def convolution(operands: list[Shape], output: Shape, attributes: Attributes) -> int:
    """Return the multiply-adds of a convolution: each output element needs one for each weight of its filter.

    A filter [channels of its group, *kernel] is what follows the first dimension of the weights: groups are in it.
    """
    return prod(output) * prod(operands[1][1:])


def transposed_convolution(operands: list[Shape], output: Shape, attributes: Attributes) -> int:
    """Return the multiply-adds of a transposed convolution: each input element meets each weight of its channel."""
    return prod(operands[0]) * prod(operands[1][1:])


def gemm(operands: list[Shape], output: Shape, attributes: Attributes) -> int:
    """Return multiply-adds of a product of two matrices, either of which may be given transposed."""
    rows, columns = operands[0]
    return prod(output) * (rows if attributes.get("transA") else columns)


def matrix_product(operands: list[Shape], output: Shape, attributes: Attributes) -> int:
    """Return multiply-adds of products over the last dimension of the left operand, batched or not."""
    return prod(output) * operands[0][-1]


def einsum(operands: list[Shape], output: Shape, attributes: Attributes) -> int:
    """Return multiply-adds of a product of two tensors: the product of all dimensions that the equation names.

    Raises NotImplementedError for an ellipsis and for other than two operands.
    """
    equation = attributes["equation"].decode().replace(" ", "")
    terms = equation.split("->")[0].split(",")
    if "." in equation or len(terms) != 2:
        raise NotImplementedError(f"of the equation {equation!r}, which is not one product of two tensors")
    return prod(
        {
            name: size
            for term, shape in zip(terms, operands, strict=True)
            for name, size in zip(term, shape, strict=True)
        }.values()
    )


# Multiply-adds by operator, from the shapes of its first two inputs and of its output.
FLOP: dict[str, Callable[[list[Shape], Shape, Attributes], int]] = {
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "Gemm": gemm,
    "MatMul": matrix_product,
    "Einsum": einsum,
}
