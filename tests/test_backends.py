"""The backends: what they refuse on a machine without a GPU, and what they run on a CPU."""

import ctypes
import json
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from processes import python

from speedgrid import backends
from speedgrid.backends.variants import VARIANTS
from speedgrid.builders import onnx_export as export
from speedgrid.grid import Cell

OPTIONS = {"cpu_threads": 1}
ORT_TUNED = {"cudnn_conv_algo_search": "EXHAUSTIVE", "enable_cuda_graph": "1"}
NEED_A_GPU = ("onnxruntime_tensorrt", "tensorrt", "torch_tensorrt", "torch_tensorrt_graph")


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - {"openvino"}))
def test_a_missing_gpu_makes_a_cell_unavailable_with_a_reason(no_gpu, name):
    status, reason = backends.refusal(Cell("resnet18", name, "fp32", 64, 1), "cuda")
    assert status == "unavailable"
    assert reason.startswith("no NVIDIA GPU on this machine")


@pytest.mark.parametrize(
    ("name", "device", "reason"),
    [
        *((name, "cpu", "TensorRT needs an NVIDIA GPU") for name in NEED_A_GPU),
        ("openvino", "cuda", "OpenVINO runs on the CPU here"),
    ],
)
def test_a_backend_of_the_other_device_is_unavailable(name, device, reason):
    status, found = backends.refusal(Cell("resnet18", name, "fp32", 64, 1), device)
    assert status == "unavailable"
    assert found.startswith(reason)


@pytest.mark.parametrize(
    ("name", "precision", "word"),
    [
        ("pytorch", "tf32", "TF32 is a format of NVIDIA's tensor cores"),
        ("onnxruntime", "tf32", "a CPU has none"),
        ("onnxruntime", "fp16", "no fp16 convolution"),
        ("onnxruntime", "bf16", "no bf16 convolution"),
        ("openvino", "tf32", "a CPU has none"),
        ("openvino", "fp8", "OpenVINO has no fp8 on a CPU"),
        ("onnxruntime", "fp8", "no fp8 convolution"),
        ("pytorch", "int8", "no int8 convolution"),
        ("pytorch", "fp8", "no fp8 convolution"),
        ("inductor", "tf32", "TF32 is a format of NVIDIA's tensor cores"),
        ("onnxruntime_tuned", "fp32", "its CPU provider has none"),
    ],
)
def test_a_precision_that_a_cpu_lacks_is_unsupported_with_a_reason(name, precision, word):
    status, reason = backends.refusal(Cell("resnet18", name, precision, 64, 1), "cpu")
    assert status == "unsupported"
    assert word in reason


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - {*NEED_A_GPU, "onnxruntime_tuned"}))
def test_fp32_on_the_cpu_is_refused_by_none(name):
    assert backends.refusal(Cell("resnet18", name, "fp32", 64, 1), "cpu") is None


@pytest.mark.parametrize("size", [1, 2, 8])
def test_cudnn_is_loaded_by_another_batch_size_than_the_cells_for_which_it_would_then_time_nothing(size):
    from speedgrid.backends import pytorch

    seen = []
    pytorch.load_libraries(Cell("resnet18", "pytorch_tuned", "fp32", 64, size), "cpu", seen.append, "channels_last")
    [images] = seen
    assert images.shape[0] in {1, 2} - {size}
    assert images.shape[1:] == (3, 64, 64)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert not images.any()


def test_an_unknown_backend_has_no_module():
    with pytest.raises(KeyError, match="no_such_backend"):
        backends.get("no_such_backend")


@pytest.mark.parametrize(("name", "layout"), [("pytorch", "contiguous_format"), ("pytorch_tuned", "channels_last")])
def test_eager_pytorch_gives_the_models_own_outputs_and_sees_new_input(weights, reference_64, name, layout):
    from speedgrid.backends import pytorch
    from speedgrid.data.sequence import images

    options = OPTIONS | {"settings": backends.settings(name)}
    session = pytorch.load(Cell("resnet18", name, "fp32", 64, 2), "cpu", weights, options)
    for start in (0, 2):
        session.feed(images(0, 64, start, 2))
        session.poison()
        with session.active():
            session.run()
        np.testing.assert_allclose(session.output(), reference_64[start : start + 2], rtol=1e-3, atol=1e-4)
    assert session.dtype == "float32"
    assert session.details["executes_on"] == "cpu"
    assert session.details["fp32_precision"] == "ieee"
    assert session.details["memory_format"] == layout
    assert session.input.is_contiguous(memory_format=getattr(torch, layout))
    # A CPU has neither.
    assert not session.details["cudnn_benchmark"]
    assert not session.details["cuda_graph"]


@pytest.fixture
def loaded(monkeypatch):
    """Run the module that loads TensorRT's libraries, with nothing really loaded; return (file, mode) of each."""

    def run():
        calls = []
        monkeypatch.setattr(ctypes, "CDLL", lambda name, mode: calls.append((name, mode)))
        runpy.run_path(str(Path(backends.__file__).parent / "tensorrt_libraries.py"))
        return calls

    return run


def test_libraries_of_both_flavours_are_loaded_for_the_whole_process_and_no_others(tmp_path, monkeypatch, loaded):
    files = {
        "tensorrt_rtx_libs": ["libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1", "libother.so"],
        "tensorrt_libs": ["libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10"],
    }
    for package, names in files.items():
        monkeypatch.delitem(sys.modules, package, raising=False)
        (tmp_path / package).mkdir()
        for name in ("__init__.py", *names):
            (tmp_path / package / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert loaded() == [
        (str(tmp_path / "tensorrt_rtx_libs" / "libtensorrt_rtx.so.1"), ctypes.RTLD_GLOBAL),
        (str(tmp_path / "tensorrt_libs" / "libnvinfer.so.10"), ctypes.RTLD_GLOBAL),
    ]


def test_a_machine_without_tensorrt_loads_none_of_its_libraries(monkeypatch, loaded):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert loaded() == []


def printed_by(program):
    """Run a program in a process of its own and return the JSON that it prints."""
    return json.loads(python("-c", program).stdout)


def test_tensorrts_libraries_load_without_a_gpu_and_without_torch():
    program = (
        "import json, sys, speedgrid.backends.tensorrt_libraries; maps = open('/proc/self/maps').read(); "
        "print(json.dumps(['libtensorrt_rtx.so' in maps or 'libnvinfer.so' in maps, 'torch' in sys.modules]))"
    )
    installed = any(find_spec(name) for name in ("tensorrt_rtx_libs", "tensorrt_libs"))
    assert printed_by(program) == [installed, False]


def test_cudnns_parts_are_loaded_from_the_folder_of_the_cudnn_in_use():
    program = (
        "import json, speedgrid.backends.cudnn_libraries; maps = open('/proc/self/maps').read().splitlines(); "
        "print(json.dumps(sorted({line.split()[-1] for line in maps if 'libcudnn' in line})))"
    )
    loaded = [Path(name) for name in printed_by(program)]
    main = [path for path in loaded if path.name.startswith("libcudnn.so")]
    parts = {path.name.split(".")[0].removeprefix("libcudnn_") for path in loaded if path not in main}
    assert {path.parent for path in loaded} == {path.parent for path in main}
    assert parts >= ({"cnn", "graph", "heuristic"} if main else set())


@pytest.mark.parametrize(
    ("name", "precision", "expected"),
    [
        ("onnxruntime", "fp32", {"use_tf32": "0"}),
        ("onnxruntime", "tf32", {"use_tf32": "1"}),
        ("onnxruntime", "fp16", {"use_tf32": "1"}),
        ("onnxruntime_tuned", "fp32", {"use_tf32": "0", **ORT_TUNED}),
        ("onnxruntime_tuned", "fp16", {"use_tf32": "1", "prefer_nhwc": "1", **ORT_TUNED}),
    ],
)
def test_onnx_runtime_is_asked_for_what_variant_and_precision_say(name, precision, expected):
    from speedgrid.backends import onnxruntime

    assert onnxruntime.provider_options(precision, backends.settings(name)) == expected


@pytest.fixture
def pool(tmp_path):
    """Return an ONNX file of a graph with a free batch size, which it computes a shape from."""
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 4, 4, 4]) for name in ("x", "y")]
    nodes = [
        helper.make_node("MaxPool", ["x"], ["pooled"], kernel_shape=[1, 1]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Reshape", ["pooled", "shape"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "pool", ends[:1], ends[1:])
    path = str(tmp_path / "pool.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_a_session_knows_its_batch_size_and_computes_no_shapes(pool, tmp_path):
    import onnxruntime as ort

    from speedgrid.backends import onnxruntime

    assert onnxruntime.BATCH == export.BATCH
    asked = onnxruntime.session_options(3)
    asked.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    session = ort.InferenceSession(pool, asked, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[0] == 3
    assert "Shape" not in {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}


def test_operators_that_a_provider_does_not_run_are_named_with_their_opset(pool, monkeypatch):
    from speedgrid.backends import onnxruntime

    refused = RuntimeError("nodes are assigned to the default CPU EP, but fallback is disabled")
    assert onnxruntime.lacking(refused, pool, 1, "CPUExecutionProvider") == ""
    monkeypatch.setattr(onnxruntime, "left_out", lambda session, provider: ["MaxPool", "Pad"])
    assert onnxruntime.lacking(refused, pool, 1, "CPUExecutionProvider") == "MaxPool, Pad of opset 20"


def test_an_operator_that_no_provider_has_is_named_by_the_error_itself(tmp_path):
    import onnxruntime as ort

    from speedgrid.backends import onnxruntime

    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.BFLOAT16, ["batch", 4, 4, 4]) for name in ("x", "y")]
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    graph = helper.make_graph([node], "pool", ends[:1], ends[1:])
    path = str(tmp_path / "pool.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10), path)
    with pytest.raises(Exception, match="MaxPool") as refused:
        ort.InferenceSession(path, onnxruntime.session_options(1), providers=["CPUExecutionProvider"])
    assert onnxruntime.lacking(refused.value, path, 1, "CPUExecutionProvider") == "MaxPool of opset 22"


def test_nodes_of_other_providers_are_seen(pool):
    import onnxruntime as ort

    from speedgrid.backends import onnxruntime

    session = ort.InferenceSession(pool, onnxruntime.session_options(1), providers=["CPUExecutionProvider"])
    assert onnxruntime.left_out(session, "CPUExecutionProvider") == []
    assert "MaxPool" in onnxruntime.left_out(session, "CUDAExecutionProvider")
