"""Small ONNX files for tests, each of one kind that people have."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64


def weight(name="w", shape=(4, 3, 3, 3), seed=0):
    """Return seeded weights of a convolution."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32) / 5
    return numpy_helper.from_array(values, name)


def make(path, inputs, nodes, outputs, initializers=(), ir=8, opset=17, listed=()):
    """Write a model. inputs, outputs: (name, type, dims). listed: initializers that stand among the inputs too."""
    given = [helper.make_tensor_value_info(*one) for one in inputs]
    given += [helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in listed]
    graph = helper.make_graph(
        nodes, "small", given, [helper.make_tensor_value_info(*one) for one in outputs], list(initializers)
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    onnx.save(model, str(path))
    return path


def two_heads(path, dims=("batch", 3, "height", "width"), **more):
    """Write a detector's kind: one image, two maps of half its size."""
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["features"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], ["rectified"]),
        helper.make_node("Conv", ["rectified", "score"], ["scores"]),
        helper.make_node("Conv", ["rectified", "box"], ["boxes"]),
    ]
    weights = [weight(), weight("score", (1, 4, 1, 1), 1), weight("box", (2, 4, 1, 1), 2)]
    outputs = [("scores", FLOAT, None), ("boxes", FLOAT, None)]
    return make(path, [("image", FLOAT, dims)], nodes, outputs, weights, **more)


def flattened(path, size=8):
    """Write a model whose graph has the number of its image's values: it takes no other size."""
    nodes = [
        helper.make_node("Reshape", ["image", "shape"], ["row"]),
        helper.make_node("MatMul", ["row", "w"], ["logits"]),
    ]
    values = 3 * size * size
    shape = numpy_helper.from_array(np.array([0, values], np.int64), "shape")
    return make(
        path,
        [("image", FLOAT, ("batch", 3, size, size))],
        nodes,
        [("logits", FLOAT, ("batch", 5))],
        [weight("w", (values, 5)), shape],
    )


def with_ids(path):
    """Write a model of two inputs: an image of bytes with its channels last, and indices into a table of ten rows."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axis"], ["summed"], keepdims=0),
        helper.make_node("Concat", ["mean", "summed"], ["joined"], axis=1),
        helper.make_node("MatMul", ["joined", "w"], ["logits"]),
    ]
    axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
    return make(
        path,
        [("pixels", UINT8, ("batch", "height", "width", 3)), ("ids", INT64, ("batch", 4))],
        nodes,
        [("logits", FLOAT, ("batch", 6))],
        [weight("table", (10, 2)), axis, weight("w", (5, 6), 1)],
    )


def crossed(path):
    """Write a model whose output has no axis of images."""
    nodes = [helper.make_node("ReduceMean", ["image"], ["mean"], axes=[0, 1], keepdims=0)]
    dims = ("batch", 3, "height", "width")
    return make(path, [("image", FLOAT, dims)], nodes, [("mean", FLOAT, ("height", "width"))])
