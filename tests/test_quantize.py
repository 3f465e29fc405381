"""int8 ONNX files, and what the sessions of such files say that they executed."""

import json

import numpy as np
import onnx
import pytest
from graphs import model, numbers
from onnx import TensorProto, helper, numpy_helper
from wheels import CENTERFACE, model_of

from speedgrid.backends import onnxruntime, openvino
from speedgrid.builders import onnx_int8 as quantize
from speedgrid.data import arrays
from speedgrid.data.sequence import images
from speedgrid.evidence.parity import compare
from speedgrid.evidence.snr import summarise
from speedgrid.grid import Cell
from speedgrid.launcher import outputs
from speedgrid.measure.cell import _expected, asked_of, measure_cell
from speedgrid.measure.loading import Files
from speedgrid.table.verdict import judge, parity_of, verdict

OPTIONS = {
    "cpu_threads": 1,
    "warmup_runs": 1,
    "timed_runs": 3,
    "min_seconds": 0,
    "max_seconds": 1,
    "target_percent": 50,
}


@pytest.fixture(scope="module")
def files(exported_64, reference_64, expected_64, tmp_path_factory):
    """Return the paths of a float32 and an int8 file, and of a reference; `description` is that of the int8 file."""
    folder = tmp_path_factory.mktemp("quantised")
    paths = {name: str(folder / name) for name in ("int8.onnx", "images", "logits", "expected")}
    paths["fp32.onnx"] = str(exported_64[0])
    described = quantize.attempt(paths["fp32.onnx"], images(0, 64, 100, 24), paths["int8.onnx"])
    for name, array in (("images", images(0, 64, 0, 8)), ("logits", reference_64[:8])):
        np.save(folder / f"{name}.npy", array)
        paths[name] += ".npy"
    outputs.write_json(paths["expected"], expected_64)
    return paths | {"description": described}


def measure(files, backend, artifact, precision="int8", batch_size=1, **changes):
    """Return the record of a cell of ResNet-18 that runs one of the files."""
    asked = asked_of(Cell("resnet18", backend, precision, 64, batch_size), "round1", "cpu", OPTIONS, [])
    paths = {name: files[name] for name in ("images", "logits", "expected")}
    return measure_cell(Files(**{**paths, "artifact": files[artifact], **changes}), asked)


def test_every_convolution_and_product_is_offered_as_integers_and_tensors_stay_float32(files):
    described = files["description"]
    assert (described["status"], described["reason"]) == ("ok", "")
    assert described["offered_nodes"] == {"offered": 21, "of": 21}
    assert described["calibration_images"] == 24
    assert described["weight_bits"] == (7 if quantize.saturates() else 8)
    assert described["build_seconds"] > 0
    model = onnx.load(files["int8.onnx"])
    onnx.checker.check_model(model, full_check=True)
    ends = [*model.graph.input, *model.graph.output]
    assert [value.name for value in ends] == ["images", "logits"]
    assert {value.type.tensor_type.elem_type for value in ends} == {TensorProto.FLOAT}
    json.dumps(described)


def test_weights_are_signed_with_a_scale_a_channel_and_activations_unsigned_with_one(files):
    graph = onnx.load(files["int8.onnx"]).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    made_by = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        activation, weight = (made_by[name] for name in node.input[:2])
        channels = constants[weight.input[0]].dims[0]
        assert constants[weight.input[0]].data_type == TensorProto.INT8
        assert list(constants[weight.input[1]].dims) == [channels]
        assert constants[activation.input[2]].data_type == TensorProto.UINT8
        assert np.prod(constants[activation.input[1]].dims) == 1


def test_weights_are_narrow_enough_for_sums_of_products_on_this_processor(files):
    graph = onnx.load(files["int8.onnx"]).graph
    scales = {node.input[1] for node in graph.node if node.op_type == "DequantizeLinear"}
    arrays = [numpy_helper.to_array(one) for one in graph.initializer if one.name not in scales]
    largest = max(int(abs(one.astype(int)).max()) for one in arrays if one.dtype == np.int8 and one.ndim > 1)
    assert largest == (64 if quantize.saturates() else 127)


def product(activation: int, weight: int) -> int:
    """Return the sum of 64 products of an unsigned and a signed integer, as ONNX Runtime computes it on this CPU."""
    import onnxruntime as ort

    given = helper.make_tensor_value_info("a", TensorProto.UINT8, [1, 64])
    made = helper.make_tensor_value_info("y", TensorProto.INT32, [1, 1])
    weights = numpy_helper.from_array(np.full((64, 1), weight, np.int8), "b")
    node = helper.make_node("MatMulInteger", ["a", "b"], ["y"])
    graph = helper.make_graph([node], "product", [given], [made], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return int(session.run(None, {"a": np.full((1, 64), activation, np.uint8)})[0][0, 0])


def test_a_processor_is_known_to_saturate_by_what_it_computes():
    assert product(255, 127) == (32 * 32767 if quantize.saturates() else 64 * 255 * 127)
    assert product(255, 64) == 64 * 255 * 64  # what weights of 7 bits are for


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags\t\t: fpu avx avx2", True),
        ("flags\t\t: fpu avx2 avx512f avx512bw", True),
        ("flags\t\t: fpu avx2 avx_vnni", False),
        ("flags\t\t: fpu avx512f avx512_vnni", False),
        ("Features\t: fp asimd", False),
        ("", False),
    ],
)
def test_what_has_vnni_or_is_no_x86_does_not_saturate(monkeypatch, tmp_path, text, expected):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{text}\n")
    monkeypatch.setattr(quantize, "CPUINFO", tmp_path / "cpuinfo")
    assert quantize.saturates() is expected


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_session_of_the_int8_file_is_int8_and_says_what_executed_so(backend, files, expected_64):
    found = measure(files, backend, "int8.onnx", batch_size=2)
    assert judge(found) == ("ok", "", "int8")
    executed = found.seen.quantised_nodes
    assert (executed["executed"], executed["of"]) == (21, 21)
    assert sum(executed["types"].values()) == 21
    assert found.seen.dtype == "float32"
    # It was calibrated on other images than the simulation, and rounds where the runtime rounds.
    assert parity_of(found).snr_db == pytest.approx(expected_64["snr_db"]["int8"], abs=4)
    # What the file says, followed in floats, is what a runtime's integers come close to.
    assert parity_of(found).snr_db == pytest.approx(files["description"]["expected_snr_db"], abs=3)


def test_what_is_expected_of_int8_is_what_the_file_says_and_no_simulation(files, expected_64, tmp_path):
    """EfficientNet-B0 of 96 pixels has 12 dB where 31 are simulated, and gives 99 of 100 images the same class."""
    outputs.write_json(tmp_path / "build.json", files["description"])
    outputs.write_json(tmp_path / "expected.json", expected_64 | {"snr_db": expected_64["snr_db"] | {"int8": 90.0}})
    what = (files, "onnxruntime", "int8.onnx", "int8", 2)
    simulated = {"expected": str(tmp_path / "expected.json")}
    assert judge(measure(*what, **simulated)).status == "wrong_result"
    found = measure(*what, **simulated, build=str(tmp_path / "build.json"))
    assert judge(found) == ("ok", "", "int8")
    assert found.seen.expected.snr_db["int8"] == files["description"]["expected_snr_db"]


def test_so_it_is_of_each_output_of_a_file_with_several(tmp_path):
    one = {"snr_db": {"fp32": 120.0, "int8": 9.0}, "uneven_db": 1.0, "images_db": {"fp32": [120.0], "int8": [9.0]}}
    outputs.write_json(tmp_path / "expected.json", one | {"outputs": {"heat": one, "size": one}})
    build = {"expected_snr_db": 20.0, "outputs_snr_db": {"heat": 20.0, "size": 30.0, "place": 40.0}}
    files = Files(**dict.fromkeys(("images", "logits", "artifact"), ""), expected=str(tmp_path / "expected.json"))
    found = _expected("int8", files, build)
    assert [found.of(name).snr_db["int8"] for name in ("", "heat", "size")] == [20.0, 20.0, 30.0]
    assert "int8" not in found.of("size").images_db
    assert found.of("size").images_db["fp32"] == [120.0]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_float_file_under_the_label_int8_is_what_it_is(backend, files):
    found = measure(files, backend, "fp32.onnx")
    assert judge(found)[::2] == ("wrong_precision", "fp32")
    assert found.seen.quantised_nodes["executed"] == 0
    assert found.seen.quantised_nodes["of"] == 21


def test_a_session_that_multiplies_floats_of_int8_numbers_is_no_int8_row(files, monkeypatch):
    """As ONNX Runtime does where it has no integer kernel: without its optimisations it is so on every provider."""
    import onnxruntime as ort

    def unoptimised(batch_size, cpu_threads=None):
        settings = ort.SessionOptions()
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        return settings

    monkeypatch.setattr(onnxruntime, "session_options", unoptimised)
    found = measure(files, "onnxruntime", "int8.onnx")
    assert found.seen.quantised_nodes["executed"] == 0
    assert judge(found)[::2] == ("wrong_precision", "fp32")
    assert "none of its 21 convolutions and matrix products is executed in int8" in judge(found).reason


def test_openvino_in_bf16_is_bf16_where_the_cpu_has_it_and_else_unsupported_with_what_there_is(files):
    found = measure(files, "openvino", "fp32.onnx", "bf16")
    if reason := openvino.unsupported(found.cell, "cpu"):
        assert reason.startswith("this CPU has no bf16 arithmetic that OpenVINO uses; it offers ")
        assert (found.status, found.reason) == ("unsupported", reason)
    else:
        assert (judge(found), found.seen.dtype) == (("ok", "", "bf16"), "float32")


def test_an_export_that_failed_has_no_int8_either_and_says_so(tmp_path):
    (tmp_path / "fp32.onnx").touch()
    found = quantize.attempt(str(tmp_path / "fp32.onnx"), images(0, 64, 0, 1), str(tmp_path / "int8.onnx"))
    assert found["status"] == "failed"
    assert found["reason"].startswith("int8 quantisation: ValueError:")
    assert found["reason"].endswith("fp32.onnx is empty, because the model was not exported.")
    assert (tmp_path / "int8.onnx").read_bytes() == b""


@pytest.mark.parametrize(
    ("given", "resolution", "used", "most"),
    [(128, 224, 128, 4), (128, 64, 128, 49), (128, 512, 24, 1), (128, 1024, 16, 1), (10, 1024, 10, 1)],
)
def test_large_images_are_calibrated_in_fewer_and_smaller_calls(files, given, resolution, used, most):
    pictures = np.broadcast_to(np.float32(0), (given, 3, resolution, resolution))
    reader, sizes = quantize.Reader(pictures, files["fp32.onnx"]), []
    while (part := reader.get_next()) is not None:
        sizes.append(len(part["images"]))
    assert sum(sizes) == used == reader.count
    assert max(sizes) == min(most, used)


def test_calibration_reads_every_image_once_and_in_order(files):
    pictures = images(0, 32, 0, 20)
    reader = quantize.Reader(pictures, files["fp32.onnx"])
    reader.size = 7
    parts = [part["images"] for part in iter(reader.get_next, None)]
    assert np.array_equal(np.concatenate(parts), pictures)


def test_a_graph_of_several_inputs_and_outputs_and_a_fixed_batch_is_quantised(tmp_path):
    nodes = [
        helper.make_node("Conv", ["a", "w"], ["c"]),
        helper.make_node("Add", ["c", "b"], ["heat"]),
        helper.make_node("GlobalAveragePool", ["heat"], ["mean"]),
        helper.make_node("ArgMax", ["heat"], ["place"], axis=1),
    ]
    made = model(nodes, {"a": [4, 3, 6, 6], "b": [4, 5, 4, 4]}, ["heat", "mean", "place"], {"w": numbers(5, 3, 3, 3)})
    for one, kind in zip(made.graph.output, (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT64), strict=True):
        one.type.tensor_type.elem_type = kind
    onnx.save(made, tmp_path / "fp32.onnx")
    rows = arrays.joined({"a": numbers(10, 3, 6, 6), "b": numbers(10, 5, 4, 4, seed=1)})
    found = quantize.attempt(str(tmp_path / "fp32.onnx"), rows, str(tmp_path / "int8.onnx"))
    assert (found["status"], found["reason"], found["calibration_images"]) == ("ok", "", 10)
    assert found["offered_nodes"] == {"offered": 1, "of": 1}
    assert list(found["outputs_snr_db"]) == ["heat", "mean"]
    assert 20 < found["expected_snr_db"] == min(found["outputs_snr_db"].values()) < 60


def test_centerface_of_an_old_opset_and_four_outputs_is_quantised(tmp_path):
    onnx.save(model_of(*CENTERFACE), tmp_path / "fp32.onnx")
    found = quantize.attempt(str(tmp_path / "fp32.onnx"), images(0, 64, 0, 16), str(tmp_path / "int8.onnx"))
    assert (found["status"], found["reason"]) == ("ok", "")
    assert found["offered_nodes"]["offered"] >= 60
    assert list(found["outputs_snr_db"]) == ["537", "538", "539", "540"]
    assert 5 < found["expected_snr_db"] < 30


def test_a_partly_quantised_graph_says_how_much(tmp_path):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    nodes = [
        helper.make_node("QLinearMatMul", ["x"] * 8, ["a"]),
        helper.make_node("MatMul", ["a", "x"], ["b"]),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    onnx.save(helper.make_model(helper.make_graph(nodes, "partly", [value], [value])), tmp_path / "partly.onnx")
    found = onnxruntime.quantised_nodes(str(tmp_path / "partly.onnx"))
    assert found == {"executed": 1, "of": 2, "types": {"QLinearMatMul": 1, "MatMul": 1}}


def test_a_plugins_layers_are_counted_by_the_precision_that_they_read():
    nodes = {("Convolution", "u8"): 5, ("Convolution", "f32"): 2, ("MatMul", "i8"): 1, ("Pooling", "u8"): 4}
    assert openvino.quantised_nodes(nodes) == {
        "executed": 6,
        "of": 8,
        "types": {"Convolution u8": 5, "Convolution f32": 2, "MatMul i8": 1},
    }


def test_the_verdict_has_the_reason_that_a_reader_needs_where_int8_is_bad():
    expected = {"fp32": 120.0, "tf32": 50.0, "fp16": 48.0, "bf16": 30.0, "int8": 14.0, "fp8": 10.0}
    reference = np.random.default_rng(0).standard_normal((16, 1000))
    noise = np.random.default_rng(1).standard_normal(reference.shape)
    found = summarise(compare(reference + 0.7 * noise, reference))
    status, reason, _ = verdict("int8", "float32", found, expected, {"executed": 52, "of": 54})
    assert status == "wrong_result"
    assert reason == "its error (3 dB SNR on float32 tensors, 14 expected) is one that no precision explains"
