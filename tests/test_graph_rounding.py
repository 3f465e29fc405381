"""What rounding does to ONNX graphs: beside the same for modules, and beside runtimes that really round."""

import copy

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from graphs import model, numbers
from onnx import helper
from wheels import CENTERFACE, DETECTOR, model_of

from speedgrid.builders import onnx_export
from speedgrid.data.answers import Expected
from speedgrid.data.sequence import images
from speedgrid.evidence import reference
from speedgrid.evidence import rounding as of_modules
from speedgrid.evidence.graph import rounding
from speedgrid.evidence.graph.answers import compute
from speedgrid.evidence.graph.evaluator import Evaluator
from speedgrid.evidence.graph.retyped import retyped
from speedgrid.evidence.parity import compare
from speedgrid.evidence.snr import summarise
from speedgrid.model import modules as models
from speedgrid.precision import PRECISIONS
from speedgrid.table.verdict import images_of, verdict

# By how much in dB an exported graph and its module may differ: the export has folded norms, which are rounded once
# where a module's layers are rounded twice, and fp32 is what this processor's kernels make of it, for a graph the worse
# of two: 1.2 to 3.2 dB apart on MobileNetV3 with SSE4.1, AVX2 or neither. Limits of the verdict lie 35 dB away.
TOLERANCE = {"fp32": 6, "tf32": 1, "fp16": 4, "bf16": 6, "int8": 2, "fp8": 1}


def near(found, expected):
    return {name: abs(found[name] - expected[name]) < TOLERANCE[name] for name in PRECISIONS}


def test_resnet18_has_the_same_expectations_as_a_graph_and_as_a_module(exported_64, reference_64, expected_64):
    pictures = {"images": images(0, 64, 0, 8)}
    found = rounding.expected(onnx.load(exported_64[0]), pictures, {"logits": reference_64[:8]})["logits"]
    assert all(near(found["snr_db"], expected_64["snr_db"]).values()), found
    assert list(found["images_db"]) == list(PRECISIONS)
    assert {len(one) for one in found["images_db"].values()} == {8}
    assert found["uneven_db"] == pytest.approx(expected_64["uneven_db"], abs=3)


def test_so_has_a_model_with_other_layers(tmp_path):
    weights, file = str(tmp_path / "weights.pth"), str(tmp_path / "model.onnx")
    torch.save(models.seeded("mobilenet_v3_small", 0, 64).state_dict(), weights)
    onnx_export.export("mobilenet_v3_small", weights, "fp32", 64, file)
    pictures = images(0, 64, 0, 8)
    logits = reference.compute("mobilenet_v3_small", weights, pictures)
    found = rounding.expected(onnx.load(file), {"images": pictures}, {"logits": logits})["logits"]
    of_module = of_modules.expected("mobilenet_v3_small", weights, pictures, logits)
    assert all(near(found["snr_db"], of_module["snr_db"]).values()), (found["snr_db"], of_module["snr_db"])


def simulated(made, precision, **given):
    evaluator = Evaluator(made, np.float32)
    return rounding.Simulation(evaluator, precision, given).run(given)


LINEAR = model(
    [helper.make_node("Gemm", ["x", "w", "b"], ["p"], transB=1), helper.make_node("Relu", ["p"], ["y"])],
    {"x": [1, 2]},
    ["y"],
    {"w": np.array([[1 + 2**-11, 1.0]], np.float32), "b": np.array([2.0**-18], np.float32)},
)


@pytest.mark.parametrize(
    ("precision", "product"), [("fp32", None), ("tf32", 1 + 2**-10 + 3 + 2**-18), ("fp16", 4.0), ("bf16", 4.0)]
)
def test_hand_computed_layers(precision, product):
    given = np.array([[1 + 2**-12, 3.0]], np.float32)
    if precision == "fp32":
        assert Evaluator(LINEAR, np.float32).run({"x": given})["y"].item() > 4.0
    else:
        assert simulated(LINEAR, precision, x=given)["y"].item() == product


def test_what_a_runtime_computes_in_one_go_is_stored_once():
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("Add", ["square", "x"], ["sum"]),
        helper.make_node("Neg", ["sum"], ["y"]),
    ]
    given = np.array([1 + 2.0**-7 + 2.0**-8], np.float32)  # of nine bits: x is not rounded, its square would be
    exact = -(given.astype(float) ** 2 + given)
    once = torch.tensor(exact).float().bfloat16().item()
    assert simulated(model(nodes, {"x": [1]}, ["y"]), "bf16", x=given)["y"].item() == once
    shown = simulated(model(nodes, {"x": [1]}, ["y", "square"]), "bf16", x=given)
    assert shown["square"].item() == torch.tensor(given**2).bfloat16().item() != given.item() ** 2


@pytest.mark.parametrize(
    ("kind", "place", "axes", "attributes", "axis"),
    [
        ("Conv", 1, 4, {}, 0),
        ("ConvTranspose", 1, 4, {}, 1),
        ("Gemm", 1, 2, {}, 1),
        ("Gemm", 1, 2, {"transB": 1}, 0),
        ("Gemm", 0, 2, {"transA": 1}, 1),
        ("MatMul", 1, 3, {}, 2),
        ("MatMul", 0, 2, {}, 0),
        ("MatMul", 1, 1, {}, None),
        ("Einsum", 1, 2, {}, None),
    ],
)
def test_the_axis_of_output_channels(kind, place, axes, attributes, axis):
    assert rounding.output_channels(helper.make_node(kind, ["a", "b"], ["c"], **attributes), place, axes) == axis


def test_integers_have_a_scale_for_each_output_channel_of_a_weight():
    weights = np.array([[1.27, 127.0], [0.014, 1.4]], np.float32)  # columns are output channels
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": [2, 2]}, ["y"], {"w": weights})
    one = rounding.Simulation(Evaluator(made, np.float32), "int8", {"x": np.eye(2, dtype=np.float32)})
    assert one.weights["w", 1].ravel().tolist() == pytest.approx([1.27, 127.0, 0.01, 1.0])


def test_a_graph_that_overflows_in_float16_has_no_signal_there():
    weights = numbers(5, 3, 3, 3) * np.float32(1e6)
    made = model([helper.make_node("Conv", ["x", "w"], ["y"])], {"x": ["n", 3, 6, 6]}, ["y"], {"w": weights})
    given = {"x": numbers(2, 3, 6, 6)}
    found = rounding.expected(made, given, compute(made, given).outputs)["y"]
    assert found["snr_db"]["fp16"] == 0.0
    assert found["images_db"]["fp16"] == [0.0, 0.0]
    assert found["snr_db"]["tf32"] > 55 > found["snr_db"]["bf16"] > 40


def in_openvino(made, precision, given):
    """Return the outputs of OpenVINO's CPU plugin with a hint of precision; None where this CPU does not have it."""
    core = pytest.importorskip("openvino").Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    compiled = core.compile_model(
        core.read_model(made.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": precision}
    )
    found = compiled(given)
    return [found[one] for one in compiled.outputs]


def in_onnxruntime(made, given, level=ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
    asked = ort.SessionOptions()
    asked.log_severity_level, asked.graph_optimization_level = 3, level
    session = ort.InferenceSession(made.SerializeToString(), asked, providers=["CPUExecutionProvider"])
    return session.run(None, {one.name: given[one.name] for one in session.get_inputs()})


def in_float16(made, given):
    """Return the outputs of ONNX Runtime for the graph in float16, which it stores so and computes in float32."""
    half = {name: one.astype(np.float16) for name, one in given.items()}
    changed = retyped(made, np.float16)
    own = {name for node in made.graph.node if node.op_type == "Resize" for name in node.input[1:]}
    for at, tensor in enumerate(made.graph.initializer):
        if tensor.name in own:  # the ratios of a Resize are float32 whatever its image is
            changed.graph.initializer[at].CopyFrom(tensor)
    changed.graph.input[0].type.CopyFrom(made.graph.input[0].type)
    changed.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    return in_onnxruntime(changed, half, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)


@pytest.fixture(scope="module", params=[CENTERFACE, DETECTOR], ids=["centerface", "rapidocr"])
def real(request):
    """Return (expected of each output, right answers, outputs by what ran) of a real model on 6 images, 4 simulated."""
    size = (64, 64) if request.param is CENTERFACE else (64, 96)
    name, count = request.param[3], 6
    made = model_of(*request.param, shape=(count, 3, *size))
    given = {name: np.ascontiguousarray(images(0, max(size), 0, count)[:, :, : size[0], : size[1]])}
    free = copy.deepcopy(made)
    free.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    right = compute(free, given)
    assert right.method == "float64"
    assert min(right.own_db.values()) > 180
    some = {key: one[:4] for key, one in given.items()}
    expected = rounding.expected(free, some, {key: one[:4] for key, one in right.outputs.items()})
    tf32 = rounding.Simulation(Evaluator(free, np.float32), "tf32", given).run(given)
    ran = {
        "fp32 of ONNX Runtime": in_onnxruntime(free, given),
        "fp32 of OpenVINO": in_openvino(made, "f32", given),
        "bf16 of OpenVINO": in_openvino(made, "bf16", given),
        "fp16 of ONNX Runtime": in_float16(free, given),
        "tf32 of a simulation": [tf32[one] for one in right.outputs],
    }
    return expected, right.outputs, {key: one for key, one in ran.items() if one is not None}


def judged(real, ran, label, dtype):
    """Return the verdict on the output that falls furthest short of what is expected of a label."""
    expected, right, outputs = real
    short = []
    for name, made in zip(right, outputs[ran], strict=True):
        flat = [np.asarray(one, np.float64).reshape(len(one), -1) for one in (made, right[name])]
        errors, known = compare(*flat), Expected(**expected[name])
        found = summarise(errors)
        given = (known.snr_db, None, known.uneven_db, images_of(errors, known, label))
        short.append((found.snr_db - known.snr_db[label], verdict(label, dtype, found, *given)))
    return min(short, key=lambda one: one[0])[1]


RAN = ["fp32 of ONNX Runtime", "fp32 of OpenVINO", "bf16 of OpenVINO", "fp16 of ONNX Runtime", "tf32 of a simulation"]


@pytest.mark.parametrize("ran", RAN)
def test_a_real_model_that_runs_in_a_precision_is_recognised(real, ran):
    if ran not in real[2]:
        pytest.skip("this CPU has no bf16")
    label = ran[:4]
    assert judged(real, ran, label, "float16" if label == "fp16" else "float32") == ("ok", "", label)


@pytest.mark.parametrize("label", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("ran", RAN)
def test_a_real_model_that_runs_in_another_precision_than_its_label_is_found(real, ran, label):
    if ran not in real[2]:
        pytest.skip("this CPU has no bf16")
    if ran[:4] == label or {ran[:4], label} == {"fp16", "tf32"}:  # both have ten bits; the type tells them apart
        return
    status, _, observed = judged(real, ran, label, "float32")
    assert (status, observed) == ("wrong_precision", "tf32" if ran[:4] == "fp16" else ran[:4])
