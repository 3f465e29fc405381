"""ONNX models with another type of floating-point number throughout: the same graph in float64, or in float32."""

import copy
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

# Types whose every number is one of float64.
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
# Attributes of operators that name the type of what they write.
TYPED = {"Cast": "to", "EyeLike": "dtype", "RandomNormal": "dtype", "RandomUniform": "dtype", "SequenceEmpty": "dtype"}


def retyped(model: onnx.ModelProto, dtype: type[np.floating]) -> onnx.ModelProto:
    """Return a copy of a model whose floating-point tensors, weights and casts all have `dtype`.

    Weights of float16 or bfloat16 keep their values: they become what a runtime multiplies, exactly. Shapes that were
    written into the file are left out: what is computed says them. Subgraphs of
    control flow and functions of the file's own are changed with it.
    """
    changed = copy.deepcopy(model)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    for graph in graphs_of(changed):
        del graph.value_info[:]
        for tensor in graph.initializer:
            retype(tensor, dtype)
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type in FLOATS:
                value.type.tensor_type.elem_type = kind
            value.type.tensor_type.ClearField("shape")
        for node in graph.node:
            retype_node(node, dtype, kind)
    for function in changed.functions:
        for node in function.node:
            retype_node(node, dtype, kind)
    return changed


def graphs_of(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """Yield the graph of a model and those within it."""
    waiting = [model.graph]
    while waiting:
        yield (graph := waiting.pop())
        for node in graph.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs


def retype_node(node: onnx.NodeProto, dtype: type[np.floating], kind: int) -> None:
    """Give the constants and the types that a node names the floating-point type `dtype`, `kind` in ONNX."""
    for attribute in node.attribute:
        if attribute.name == TYPED.get(node.op_type) and attribute.i in FLOATS:
            attribute.i = kind
        elif attribute.type == AttributeProto.TENSOR:
            retype(attribute.t, dtype)
        elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
            values = np.array(helper.get_attribute_value(attribute), dtype)
            attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(values)))
    if node.op_type == "ConstantOfShape" and not node.attribute:
        node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.zeros(1, dtype))))


def retype(tensor: TensorProto, dtype: type[np.floating]) -> None:
    """Give a tensor of floating-point numbers the type `dtype`."""
    if tensor.data_type in FLOATS:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))
