"""TensorRT by its own parser: TensorRT-RTX builds engines with no GPU, so a real one is built here."""

import json
from types import SimpleNamespace

import pytest

from speedgrid.backends import onnxruntime_tensorrt, tensorrt, tensorrt_api
from speedgrid.builders import tensorrt as tensorrt_engine
from speedgrid.grid import Cell
from speedgrid.machine import device

CELL = Cell("resnet18", "tensorrt", "fp32", 64, 2)


@pytest.fixture
def onnx_file(exported_64):
    if tensorrt_api.package() != "tensorrt_rtx":
        pytest.skip("TensorRT-RTX is not installed; full TensorRT needs a GPU to build")
    return str(exported_64[0])


def test_an_engine_is_built_whole_from_the_onnx_file(onnx_file, tmp_path):
    output = tmp_path / "one.engine"
    record = tensorrt_engine.build_engine(CELL, onnx_file, str(output))
    assert record["network_layers"] > 40
    assert record["coverage_percent"] == 100
    assert record["build_seconds"] > 0
    assert record["engine_mb"] == round(output.stat().st_size / 1e6, 3) > 40  # it has the weights in it


def test_what_tensorrt_cannot_do_is_an_error_in_its_own_words(onnx_file, tmp_path):
    nonsense = tmp_path / "nonsense.onnx"
    nonsense.write_bytes(b"nonsense")
    with pytest.raises(RuntimeError, match=r"could not read .*nonsense.onnx: .*Failed to parse the ONNX model"):
        tensorrt_engine.build_engine(CELL, str(nonsense), str(tmp_path / "none.engine"))
    other = Cell("resnet18", "tensorrt", "fp32", 96, 2)
    with pytest.raises(RuntimeError, match=r"could not build from .*: .*profile has min=96"):
        tensorrt_engine.build_engine(other, onnx_file, str(tmp_path / "none.engine"))
    assert not (tmp_path / "none.engine").exists()


@pytest.mark.parametrize(("status", "reason"), [("failed", "ONNX export: no operator"), ("ok", "")])
def test_without_an_onnx_file_or_a_gpu_there_is_no_engine_and_a_reason(tmp_path, no_gpu, status, reason):
    description, output = tmp_path / "fp32.json", tmp_path / "one.engine"
    description.write_text(json.dumps({"status": status, "reason": reason}))
    record = tensorrt_engine.build(CELL, "cuda", "none.onnx", str(description), str(output))
    assert record["status"] == (status if reason else "unavailable")
    assert record["reason"].startswith(reason or "no NVIDIA GPU on this machine")
    assert record["build_seconds"] is None
    assert output.read_bytes() == b""


@pytest.mark.parametrize(("package", "alone"), [("tensorrt_rtx", False), ("tensorrt", True)])
def test_only_full_tensorrt_has_the_gpu_to_itself(monkeypatch, tmp_path, package, alone):
    asked = []
    description = tmp_path / "fp32.json"
    description.write_text('{"status": "ok", "reason": ""}')
    monkeypatch.setattr(tensorrt_api, "package", lambda: package)
    monkeypatch.setattr(tensorrt_engine, "attempt", lambda cell, device, output, work, alone: asked.append(alone))
    tensorrt_engine.build(CELL, "cuda", "none.onnx", str(description), "none.engine")
    assert asked == [alone]


def test_layers_are_counted_by_the_type_that_they_write():
    half, full = {"Format/Datatype": "Half"}, {"Format/Datatype": "Float"}
    layers = [
        {"Name": "a", "Outputs": [half]},
        {"Name": "b", "Outputs": [half, half]},
        {"Name": "c", "Outputs": [full]},
    ]
    assert tensorrt_engine.count_types(json.dumps({"Layers": layers})) == {"Half": 2, "Float": 1}
    assert tensorrt_engine.count_types(json.dumps({"Layers": ["a", "b"]})) == {}
    assert tensorrt_engine.count_types("{}") == {}


def test_a_result_that_is_missing_is_an_error_with_the_first_thing_that_was_logged():
    log = SimpleNamespace(errors=["out of memory", "cannot go on"])
    for missing in (None, False):
        with pytest.raises(RuntimeError, match="TensorRT could not load it: out of memory"):
            tensorrt_api.must(missing, log, "load it")
    with pytest.raises(RuntimeError, match="it does not say why"):
        tensorrt_api.must(None, SimpleNamespace(errors=[]), "load it")
    assert tensorrt_api.must(0, log, "count") == 0


def test_a_package_that_cannot_be_imported_makes_its_cells_unavailable(monkeypatch):
    monkeypatch.setattr(device, "gpu_count", lambda: 1)
    monkeypatch.setattr(tensorrt_api, "find_spec", lambda name: None)
    assert "neither tensorrt_rtx nor tensorrt is installed" in tensorrt.available("cuda")
    monkeypatch.setattr(tensorrt_api, "bindings", lambda: (_ for _ in ()).throw(OSError("libnvinfer.so.10: no file")))
    assert "libnvinfer.so.10: no file" in tensorrt.available("cuda")


def test_a_provider_whose_libraries_are_missing_is_seen_by_loading_it(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "gpu_count", lambda: 1)
    reason = onnxruntime_tensorrt.available("cuda")
    if tensorrt_api.find_spec("tensorrt") is None:
        # ONNX Runtime lists it all the same.
        assert reason.startswith(("ONNX Runtime's TensorRT provider does not load (", "this ONNX Runtime build has no"))
    (tmp_path / "libonnxruntime_providers_shared.so").write_bytes(b"")
    assert "does not load" in onnxruntime_tensorrt.unloadable(tmp_path)


def test_the_options_of_onnx_runtimes_tensorrt_fix_shape_and_precision():
    cell = Cell("resnet18", "onnxruntime_tensorrt", "fp16", 64, 2)
    settings = {"trt_builder_optimization_level": 3, "trt_cuda_graph_enable": True}
    options = onnxruntime_tensorrt.provider_options(cell, {"images": [3, 64, 64]}, settings)
    assert options.pop("trt_profile_opt_shapes") == options.pop("trt_profile_min_shapes") == "images:2x3x64x64"
    assert options == {
        "trt_builder_optimization_level": "3",
        "trt_cuda_graph_enable": "1",
        "trt_profile_max_shapes": "images:2x3x64x64",
        "trt_fp16_enable": "1",
    }
    assert "IEEE fp32" in onnxruntime_tensorrt.unsupported(
        Cell("resnet18", "onnxruntime_tensorrt", "fp32", 64, 2), "cuda"
    )
