"""Small ONNX graphs for tests."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def tensor(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def value(name, shape=None, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs, outputs, constants=(), opset=20, **domains):
    """Return a model of nodes. inputs: shapes by name, of floats. constants: arrays by name. outputs: names."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [value(name, shape) for name, shape in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [tensor(name, one) for name, one in dict(constants).items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, one) for name, one in domains.items())]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def single(kind, shape, *constants, opset=20, domain="", outputs=1, **attributes):
    """Return a model of one node: its first input `x` is the model's, the others are constants; None is left out."""
    names = ["" if one is None else f"c{number}" for number, one in enumerate(constants)]
    node = helper.make_node(kind, ["x", *names], [f"y{at}" for at in range(outputs)], domain=domain, **attributes)
    known = {name: one for name, one in zip(names, constants, strict=True) if name}
    domains = {domain: 1} if domain else {}
    return model([node], {"x": shape}, [f"y{at}" for at in range(outputs)], known, opset, **domains)


def numbers(*shape, seed=0):
    """Return normal numbers, float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
