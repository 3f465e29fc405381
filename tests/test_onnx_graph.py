"""The arithmetic of an ONNX graph: each operator by hand and against torch's counter, and what is no arithmetic."""

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from speedgrid.model import flops, onnx_graph
from speedgrid.model.onnx_graph import GraphError, Layer

IMAGES = ["batch", 3, 8, 8]


def write(path, nodes, inputs, constants=(), outputs=None):
    """Write a graph of `nodes` with inputs and outputs {name: shape} and constants {name: shape or array}."""
    values = {
        name: np.zeros(what, np.float32) if isinstance(what, tuple) else what for name, what in dict(constants).items()
    }
    made = outputs or {nodes[-1].output[0]: None}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in made.items()],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)
    return str(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "graph.onnx"


def test_a_convolution_costs_its_filter_for_each_output_element(path):
    node = helper.make_node("Conv", ["images", "w", "b"], ["y"], "conv", strides=[2, 2], pads=[1, 1, 1, 1])
    graph = onnx_graph.read(write(path, [node], {"images": IMAGES}, {"w": (5, 3, 3, 3), "b": (5,)}))
    assert graph.layers == [Layer("conv", 2 * 5 * 4 * 4 * 3 * 3 * 3, 5 * 3 * 3 * 3, 3 * 8 * 8 + 5 * 4 * 4)]
    assert graph.flop == graph.layers[0].flop
    assert (graph.weight_elements, graph.input_elements, graph.output_elements) == (135, 192, 80)


def test_groups_divide_the_work(path):
    node = helper.make_node("Conv", ["images", "w"], ["y"], "depthwise", group=3, kernel_shape=[3, 3])
    [layer] = onnx_graph.read(write(path, [node], {"images": IMAGES}, {"w": (6, 1, 3, 3)})).layers
    assert layer.flop == 2 * 6 * 6 * 6 * 9


def test_a_product_with_a_transposed_left_operand(path):
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["y"], "plain", transB=1),
        helper.make_node("Gemm", ["y", "v"], ["z"], "turned", transA=1),
    ]
    graph = onnx_graph.read(write(path, nodes, {"x": ["batch", 7]}, {"w": (5, 7), "b": (5,), "v": (1, 4)}))
    assert [layer.flop for layer in graph.layers] == [2 * 1 * 7 * 5, 2 * 5 * 1 * 4]
    assert [layer.weight_elements for layer in graph.layers] == [35, 4]


def test_attention_has_two_products_of_activations_for_each_head(path):
    # 2 heads of 10 tokens and 8 channels; the second product is batched over the heads.
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["scores"], "scores"),
        helper.make_node("Softmax", ["scores"], ["shares"], "softmax"),
        helper.make_node("MatMul", ["shares", "v"], ["y"], "values"),
    ]
    inputs = {"q": ["batch", 2, 10, 8], "k": ["batch", 2, 8, 10], "v": ["batch", 2, 10, 8]}
    graph = onnx_graph.read(write(path, nodes, inputs))
    assert graph.layers == [
        Layer("scores", 2 * 2 * 10 * 10 * 8, 0, 2 * 80 + 2 * 80 + 200),
        Layer("values", 2 * 2 * 10 * 8 * 10, 0, 200 + 2 * 80 + 2 * 80),
    ]
    assert graph.weight_elements == 0


def test_an_einsum_of_two_tensors_is_a_product(path):
    node = helper.make_node("Einsum", ["x", "w"], ["y"], "sum", equation="b i d, d e -> b i e")
    [layer] = onnx_graph.read(write(path, [node], {"x": ["batch", 4, 6]}, {"w": (6, 5)})).layers
    assert (layer.flop, layer.weight_elements) == (2 * 4 * 6 * 5, 30)


@pytest.mark.parametrize("equation", ["...i,ij->...j", "ai,aj,ak->ijk"])
def test_an_einsum_that_is_not_one_product_is_refused_by_name(path, equation):
    names = ["x", "w", "v"][: equation.count(",") + 1]
    node = helper.make_node("Einsum", names, ["y"], "odd", equation=equation)
    file = write(path, [node], {"x": ["batch", 4]}, {"w": (4, 4), "v": (4, 4)})
    with pytest.raises(GraphError, match=r"graph\.onnx: the arithmetic of node 'odd' \(Einsum\) is of the equation"):
        onnx_graph.read(file)


def test_what_is_computed_from_weights_alone_is_a_weight(path):
    nodes = [
        helper.make_node("Transpose", ["w"], ["turned"], "transpose", perm=[1, 0]),
        helper.make_node("MatMul", ["x", "turned"], ["y"], "product"),
    ]
    graph = onnx_graph.read(write(path, nodes, {"x": ["batch", 7]}, {"w": (5, 7)}))
    assert graph.layers == [Layer("product", 70, 35, 7 + 5)]


def test_a_weight_that_two_layers_share_is_one_weight_of_the_model(path):
    nodes = [helper.make_node("MatMul", [given, "w"], [made], made) for given, made in (("x", "y"), ("y", "z"))]
    graph = onnx_graph.read(write(path, nodes, {"x": ["batch", 6]}, {"w": (6, 6)}))
    assert graph.weight_elements == 36
    assert [layer.weight_elements for layer in graph.layers] == [36, 36]


def test_norms_and_activations_are_not_counted(path):
    nodes = [helper.make_node("Relu", ["images"], ["a"]), helper.make_node("Add", ["a", "images"], ["y"])]
    graph = onnx_graph.read(write(path, nodes, {"images": IMAGES}))
    assert (graph.layers, graph.flop) == ([], 0)


def test_a_shape_that_is_computed_from_the_inputs_is_followed(path):
    nodes = [
        helper.make_node("Shape", ["images"], ["shape"], "shape", end=1),
        helper.make_node("Concat", ["shape", "rest"], ["flat"], "concat", axis=0),
        helper.make_node("Reshape", ["images", "flat"], ["x"], "reshape"),
        helper.make_node("MatMul", ["x", "w"], ["y"], "product"),
    ]
    constants = {"rest": np.array([192], np.int64), "w": (192, 4)}
    assert onnx_graph.read(write(path, nodes, {"images": IMAGES}, constants)).flop == 2 * 192 * 4


def test_an_unknown_shape_is_an_error_that_names_the_node_and_the_tensor(path):
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"], "where"),
        helper.make_node("Cast", ["places"], ["picked"], "cast", to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["w", "picked"], ["y"], "product"),
    ]
    file = write(path, nodes, {"x": ["batch", 7]}, {"w": (5, 2)})
    with pytest.raises(GraphError) as caught:
        onnx_graph.read(file)
    assert str(caught.value) == (
        f"{file}: the arithmetic of node 'product' (MatMul) cannot be counted, "
        "because the shape of its tensor 'picked' is unknown."
    )


def test_shapes_that_contradict_each_other_are_an_error_that_names_the_file_and_the_node(path):
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "product")
    file = write(path, [node], {"x": ["batch", 7]}, {"w": (5, 2)})
    with pytest.raises(GraphError, match=r"graph\.onnx: onnx cannot infer its shapes \(.*node name: product.*\)\.$"):
        onnx_graph.read(file)


@st.composite
def convolutions(draw):
    """Draw a convolution, plain or transposed, and the height of its input."""
    groups, kernel = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kind = draw(st.sampled_from([torch.nn.Conv2d, torch.nn.ConvTranspose2d]))
    module = kind(
        groups * draw(st.integers(1, 4)),
        groups * draw(st.integers(1, 4)),
        kernel,
        groups=groups,
        stride=draw(st.integers(1, 3)),
        padding=draw(st.integers(0, kernel - 1)),
        dilation=draw(st.integers(1, 2)),
    )
    return module, draw(st.integers(8, 12))


@given(convolutions())
@settings(max_examples=40)
def test_any_convolution_costs_what_torch_counts(tmp_path_factory, case):
    module, height = case
    image = torch.zeros(1, module.in_channels, height, height)
    with FlopCounterMode(display=False) as counter:
        expected = module(image)
    node = helper.make_node(
        "ConvTranspose" if isinstance(module, torch.nn.ConvTranspose2d) else "Conv",
        ["images", "w"],
        ["y"],
        group=module.groups,
        strides=module.stride,
        pads=module.padding * 2,
        dilations=module.dilation,
    )
    path = tmp_path_factory.getbasetemp() / "convolution.onnx"
    inputs = {"images": ["batch", *image.shape[1:]]}
    graph = onnx_graph.read(write(path, [node], inputs, {"w": tuple(module.weight.shape)}))
    assert graph.flop == counter.get_total_flops()
    assert graph.output_elements == expected.numel()
    assert graph.weight_elements == module.weight.numel()


@pytest.mark.parametrize(
    ("kind", "domain", "names"),
    [
        ("LSTM", "", ["LSTM"]),
        ("QLinearConv", "", ["QLinearConv"]),
        ("FusedMatMul", "com.microsoft", ["FusedMatMul"]),
        ("MatMul", "somebody.else", ["MatMul"]),
        ("Magic", "somebody.else", ["Magic"]),  # it reads a matrix
        ("<b>Conv</b>", "somebody.else", ["an operator without a usual name"]),
        ("Relu", "", []),
        ("Convert", "com.microsoft.other", ["Convert"]),
        ("Conv", "", []),
    ],
)
def test_operators_that_multiply_and_are_not_counted_are_named(kind, domain, names):
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0] * 4)
    node = helper.make_node(kind, ["x", "w"], ["y"], domain=domain)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    model = helper.make_model(helper.make_graph([node, node], "graph", [value], [], [weight]))
    assert onnx_graph.uncounted(model) == names


def test_products_in_a_branch_are_not_counted_and_so_named():
    product = helper.make_node("MatMul", ["x", "x"], ["y"])
    body = helper.make_graph([product], "body", [], [])
    node = helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)
    assert onnx_graph.uncounted(helper.make_model(helper.make_graph([node], "graph", [], []))) == ["MatMul"]


def test_a_file_with_such_an_operator_has_no_count_but_a_reason(tmp_path):
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0] * 4)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in ("x", "y")]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("FusedMatMul", ["m", "w"], ["y"], domain="com.microsoft"),
    ]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], [weight])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "model.onnx")
    counted = flops.count_file(str(tmp_path / "model.onnx"))
    assert counted["flop"] is counted["onnx_flop"] is None
    assert counted["reason"] == "the arithmetic of FusedMatMul cannot be counted"
    assert onnx_graph.flop_per_image(str(tmp_path / "model.onnx")) is None
