"""Right answers of ONNX graphs: each operator in float64, beside ONNX Runtime, and how exact they are."""

import numpy as np
import pytest
from graphs import model, numbers, single, value
from onnx import TensorProto, helper

from speedgrid.evidence.graph import answers
from speedgrid.evidence.graph.answers import FLOAT32, FLOAT64, compute, noise_of, snr_of, unfused
from speedgrid.evidence.graph.evaluator import Evaluator
from speedgrid.evidence.graph.retyped import retyped

IMAGE = [1, 4, 9, 7]
WEIGHT = numbers(6, 4, 3, 2, seed=1)
TWO = {"kernel_shape": [3, 2], "strides": [2, 1]}
EDGE = {**TWO, "pads": [0, 1, 1, 0]}
CHANNELS = [numbers(4, seed=seed) for seed in (1, 2, 3)] + [np.abs(numbers(4, seed=4)) + 0.5]
SIZES = np.array([1, 4, 13, 5])
SCALES = np.array([1, 1, 1.7, 0.6], np.float32)
CUBIC = {"mode": "cubic", "cubic_coeff_a": -0.5}
CASES = {
    "convolution": single("Conv", IMAGE, WEIGHT, numbers(6), pads=[1, 0, 1, 1], strides=[2, 1]),
    "convolution, dilated": single("Conv", IMAGE, WEIGHT, dilations=[2, 3]),
    "convolution, same size": single("Conv", IMAGE, WEIGHT, auto_pad="SAME_UPPER", strides=[2, 2]),
    "convolution, same size below": single("Conv", IMAGE, WEIGHT, auto_pad="SAME_LOWER"),
    "convolution of groups": single("Conv", IMAGE, numbers(6, 2, 3, 2), group=2),
    "convolution of a line": single("Conv", [1, 4, 20], numbers(3, 4, 5), pads=[2, 1]),
    "convolution of a volume": single("Conv", [1, 2, 5, 6, 7], numbers(3, 2, 2, 3, 2)),
    "transposed": single("ConvTranspose", IMAGE, numbers(4, 3, 2, 2), numbers(3), strides=[2, 2]),
    "transposed, padded": single("ConvTranspose", IMAGE, numbers(4, 3, 3, 3), strides=[2, 3], pads=[1, 0, 0, 1]),
    "transposed, of groups": single("ConvTranspose", IMAGE, numbers(4, 3, 3, 2), group=2, dilations=[2, 1]),
    "transposed, one more": single("ConvTranspose", IMAGE, numbers(4, 3, 2, 2), strides=[2, 2], output_padding=[1, 1]),
    "transposed, to a size": single("ConvTranspose", IMAGE, numbers(4, 3, 3, 3), strides=[2, 2], output_shape=[18, 14]),
    "transposed, same size": single("ConvTranspose", IMAGE, numbers(4, 3, 3, 3), strides=[2, 2], auto_pad="SAME_LOWER"),
    "largest": single("MaxPool", IMAGE, **TWO),
    "largest, padded": single("MaxPool", IMAGE, **EDGE, opset=12),
    "largest, the last window too": single("MaxPool", IMAGE, **TWO, ceil_mode=1, dilations=[2, 1]),
    "largest and where": single("MaxPool", IMAGE, **TWO, outputs=2),
    "mean": single("AveragePool", IMAGE, **TWO, opset=9),
    "mean, padded": single("AveragePool", IMAGE, **EDGE),
    "mean, padded with zeros": single("AveragePool", IMAGE, **EDGE, count_include_pad=1),
    "mean, the last window too": single("AveragePool", IMAGE, **TWO, ceil_mode=1),
    "mean, dilated": single("AveragePool", IMAGE, **TWO, dilations=[2, 2]),
    "norm of old": single("BatchNormalization", IMAGE, *CHANNELS, opset=9, momentum=0.9, epsilon=1e-3),
    "norm of 8": single("BatchNormalization", IMAGE, *CHANNELS, opset=8),
    "norm": single("BatchNormalization", IMAGE, *CHANNELS, opset=15, momentum=0.9),
    "error function": single("Erf", IMAGE),
    "gelu": single("Gelu", IMAGE),
    "gelu by tanh": single("Gelu", IMAGE, approximate="tanh"),
    "line cut off": single("HardSigmoid", IMAGE, alpha=0.3, beta=0.4),
    "line cut off, as usual": single("HardSigmoid", IMAGE),
    "swish": single("HardSwish", IMAGE),
    "named axes": single("Einsum", IMAGE, numbers(7, 3), equation="nchw,wk->nhkc"),
    "product": single("MatMul", IMAGE, numbers(7, 5)),
    "product of matrices": single("Gemm", [1, 5], numbers(3, 5), numbers(3), alpha=0.5, transB=1),
    "layer norm": single("LayerNormalization", IMAGE, numbers(7), numbers(7, seed=2)),
    "group norm": single("GroupNormalization", IMAGE, *CHANNELS[:2], num_groups=2, opset=21),
    "instance norm": single("InstanceNormalization", IMAGE, *CHANNELS[:2]),
    "shares": single("Softmax", IMAGE, axis=1),
    "resized": single("Resize", IMAGE, None, None, SIZES),
    "resized by ratios": single("Resize", IMAGE, None, SCALES, mode="linear"),
    "resized, ceiling": single("Resize", IMAGE, None, None, SIZES, nearest_mode="ceil"),
    "resized, asymmetric": single(
        "Resize", IMAGE, None, None, SIZES, coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    ),
    "resized, linear to a size": single("Resize", IMAGE, None, None, SIZES, mode="linear"),
    "resized, corners": single(
        "Resize", IMAGE, None, None, SIZES, mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "resized, cubic": single("Resize", IMAGE, None, None, np.array([1, 4, 18, 14]), **CUBIC),
    "resized, of torch": single(
        "Resize", IMAGE, None, None, SIZES, mode="linear", coordinate_transformation_mode="pytorch_half_pixel"
    ),
    "resized, antialiased": single("Resize", IMAGE, None, None, SIZES, mode="linear", antialias=1),
    "resized of 10": single("Resize", IMAGE, np.array([1, 1, 2, 2], np.float32), opset=10),
    "resized of 9": single("Upsample", IMAGE, np.array([1, 1, 2, 2], np.float32), opset=9, mode="linear"),
    "ONNX Runtime's own": single("QuickGelu", IMAGE, domain="com.microsoft", alpha=1.5),
}
# What nothing but ONNX Runtime computes here, in float32.
IN_FLOAT32 = (
    "largest and where",
    "mean, dilated",
    "group norm",
    "resized, antialiased",
    "resized of 9",
    "ONNX Runtime's own",
)


@pytest.mark.parametrize("case", CASES)
def test_an_operator_gives_what_onnx_runtime_gives_and_is_exact_to_float64(case):
    given = {"x": numbers(*[one.dim_value for one in CASES[case].graph.input[0].type.tensor_type.shape.dim], seed=7)}
    found = compute(CASES[case], given)
    assert (found.method, found.reason) == (FLOAT64, "")
    assert found.outputs["y0"].dtype == np.float64
    assert found.agreement_db["y0"] > 120
    assert bool(found.elsewhere) == (case in IN_FLOAT32)
    assert (found.own_db["y0"] < 200) == (case in IN_FLOAT32 and case != "largest and where")  # which rounds nothing
    if case == "largest and where":
        assert np.array_equal(found.outputs["y1"], unfused(CASES[case])(given)["y1"])


def chain():
    """Return a graph with a convolution, a cast, a constant, a branch and a sum, and with two outputs."""
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("Constant", [], ["k"], value_float=number), helper.make_node("Mul", ["sum", "k"], ["b"])],
            name,
            [],
            [value("b")],
        )
        for name, number in (("then", 0.1), ("else", 3.0))
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Cast", ["conv"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Relu", ["cast"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["sum"]),
        helper.make_node("If", ["yes"], ["scaled"], **branches),
        helper.make_node("ArgMax", ["relu"], ["place"], axis=1),
    ]
    return model(nodes, {"x": ["n", 3, "h", "w"]}, ["scaled", "place"], {"w": numbers(5, 3, 3, 3), "yes": True})


def test_casts_constants_and_branches_have_the_type_of_the_evaluator():
    found = compute(chain(), {"x": numbers(3, 3, 6, 6)})
    assert found.own_db["scaled"] > 250  # 0.1 as float32 has it, in float64
    assert list(found.own_db) == ["scaled"]  # integers have no noise
    assert found.outputs["place"].dtype == np.int64
    assert len(found.outputs["scaled"]) == len(found.outputs["place"]) == 3


def test_weights_of_float16_keep_their_values():
    weights = numbers(5, 3, 3, 3).astype(np.float16)
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    half = model([node], {"x": ["n", 3, 6, 6]}, ["y"], {"w": weights})
    half.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    wide = model([node], {"x": ["n", 3, 6, 6]}, ["y"], {"w": weights.astype(np.float32)})
    pictures = {"x": numbers(2, 3, 6, 6).astype(np.float16)}
    found = compute(half, pictures)
    assert snr_of(found.outputs["y"], compute(wide, {"x": pictures["x"].astype(np.float32)}).outputs["y"]) > 280
    assert half.graph.initializer[0].data_type == TensorProto.FLOAT16  # the model itself is as it was
    assert 50 < found.agreement_db["y"] < 90  # what ONNX Runtime has of it is float16


def test_the_noise_of_float32_is_seen_without_knowing_what_is_right():
    made, given = chain(), {"x": numbers(1, 3, 6, 6)}
    exact = Evaluator(made, np.float64).run(given)["scaled"]
    known = snr_of(unfused(made)(given)["scaled"], exact)
    assert noise_of(unfused(made), given)["scaled"] == pytest.approx(known, abs=12)


def test_what_float64_would_take_too_long_for_has_the_noise_of_float32():
    found = compute(chain(), {"x": numbers(2, 3, 6, 6)}, instead="float64 would take too long")
    assert (found.method, found.reason) == (FLOAT32, "float64 would take too long")
    assert 110 < found.own_db["scaled"] < 180
    assert 110 < found.agreement_db["scaled"] < 180


def test_a_graph_that_the_evaluator_does_not_run_is_computed_by_the_runtime_and_it_is_said(monkeypatch):
    def broken(*_):
        raise NotImplementedError("no such\noperator")

    monkeypatch.setattr(answers, "Evaluator", broken)
    found = compute(chain(), {"x": numbers(2, 3, 6, 6)})
    assert (found.method, found.agreement_db) == (FLOAT32, {})
    assert found.reason.startswith("the evaluator of float64 does not run it (NotImplementedError: no such operator")


def test_a_batch_that_the_file_fixes_is_filled_and_what_fills_it_is_left_out():
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    made = model([node], {"x": [4, 6]}, ["y"], {"shape": np.array([4, 2, 3])})
    given = {"x": numbers(6, 6)}
    assert np.array_equal(compute(made, given, rows=4).outputs["y"], given["x"].reshape(6, 2, 3).astype(np.float64))


def test_inputs_are_those_without_a_value_and_constants_are_computed_once():
    made = chain()
    made.graph.input.append(value("w"))
    made.graph.node.insert(0, helper.make_node("Add", ["w", "w"], ["unused"]))
    evaluator = Evaluator(made, np.float32)
    assert evaluator.inputs == ["x"]
    assert evaluator.constants["unused"].dtype == np.float32
    assert len(evaluator.nodes) == 6
    assert evaluator.run({"x": numbers(1, 3, 6, 6)})["scaled"].dtype == np.float32


def test_what_a_model_says_of_shapes_is_left_out_of_its_copy_alone():
    made = chain()
    made.graph.value_info.append(value("conv", [1, 5, 6, 6]))
    changed = retyped(made, np.float64)
    assert not changed.graph.value_info
    assert {one.data_type for one in changed.graph.initializer} == {TensorProto.DOUBLE, TensorProto.BOOL}
    assert len(made.graph.value_info) == 1


@pytest.mark.parametrize(("found", "right", "db"), [([1.1], [1.0], 20.0), ([0.0], [0.0], 320.0), ([1.0], [0.0], 0.0)])
def test_hand_computed_ratios(found, right, db):
    assert snr_of(np.array(found), np.array(right)) == pytest.approx(db)
    assert snr_of(np.array([np.nan]), np.array(right)) == snr_of(np.zeros(2), np.array(right)) == 0.0
