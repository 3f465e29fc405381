"""Operators of a call: what the profilers of runtimes tell, what it means, and how the report shows it."""

from dataclasses import replace

import numpy as np
import onnx_files
import pytest
from builders import make_record, write_run

from speedgrid import ROOT
from speedgrid.backends import onnxruntime, openvino, pytorch
from speedgrid.data.samples import Samples
from speedgrid.grid import Cell
from speedgrid.measure import cell as measuring
from speedgrid.measure import probes
from speedgrid.measure.probes import operators as probe
from speedgrid.report import markdown
from speedgrid.report.findings import operators as findings
from speedgrid.table import operators

TIMING = {"warmup_runs": 1, "timed_runs": 3, "min_seconds": 0, "max_seconds": 0.1, "target_percent": 5}


def context_of(cell, artifact):
    asked = measuring.asked_of(cell, "round1", "cpu", TIMING | {"cpu_threads": 1}, ["operators"])
    return probes.Context(asked, None, Samples([1.0]), 0.001, str(artifact))


@pytest.mark.parametrize("module", [onnxruntime, openvino], ids=["onnxruntime", "openvino"])
def test_a_runtime_tells_the_operators_of_a_file(module, tmp_path):
    file = onnx_files.two_heads(tmp_path / "small.onnx", ("batch", 3, 32, 32))
    cell = Cell("small", module.__name__.split(".")[-1], "fp32", 32, 2)
    session = module.load(cell, "cpu", str(file), {"cpu_threads": 1, "settings": {}})
    seen = probe.measure(session, context_of(cell, file))
    assert "error" not in seen
    assert sum(operators.is_product(one) for one in seen["operators"]) >= 2  # three convolutions, fused or not
    assert all(one["ms"] > 0 for one in seen["operators"])
    assert [one["ms"] for one in seen["operators"]] == sorted((one["ms"] for one in seen["operators"]), reverse=True)
    assert seen["call_ms"] > 0
    session.feed(np.zeros(session.shape, np.float32))
    session.run()  # the session that was timed is as it was
    assert session.output() is not None


def test_pytorch_tells_those_of_the_session_itself():
    import torch

    from speedgrid.backends.session import TorchSession

    cell = Cell("resnet18", "pytorch", "fp32", 16, 2)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4 * 14 * 14, 5)).eval()
    seen = probe.measure(TorchSession(cell, "cpu", module), context_of(cell, ""))
    types = {one["type"] for one in seen["operators"] if operators.is_product(one)}
    assert "aten::addmm" in types
    assert any("conv" in one for one in types)
    assert pytorch.ARTIFACT == "weights"  # so there is no file to open again


def test_a_profiler_that_fails_costs_a_cell_nothing_and_one_that_is_not_known_is_not_asked(tmp_path):
    cell = Cell("resnet18", "openvino", "fp32", 32, 1)
    seen = probe.measure(None, context_of(cell, tmp_path / "gone.onnx"))
    assert (seen["call_ms"], seen["operators"]) == (None, [])
    assert seen["error"]
    inductor = Cell("resnet18", "inductor", "fp32", 32, 1)
    assert probe.measure(None, context_of(inductor, "")) is None


def test_a_trace_is_read_from_its_last_calls_on():
    def node(start, name, microseconds, kind="Conv"):
        return {"cat": "Node", "ts": start, "dur": microseconds, "name": name, "args": {"op_name": kind}}

    runs = [{"cat": "Session", "name": "model_run", "ts": 100 * number, "dur": 50} for number in range(1, 7)]
    nodes = [node(100 * number + 1, "a_kernel_time", 1000 * number) for number in range(1, 7)]
    fences = [node(101, "a_fence_before", 7)]
    seconds, times = probe.of_trace([{"cat": "Session", "name": "session_initialization"}, *runs, *nodes, *fences])
    assert seconds == pytest.approx(150e-6)
    assert times == {("a", "Conv"): 4.0 + 5.0 + 6.0}


@pytest.mark.parametrize(
    ("kind", "product"),
    [
        ("Convolution", True),
        ("QLinearConv", True),
        ("FullyConnected", True),
        ("MatMulIntegerToFloat", True),
        ("aten::mkldnn_convolution", True),
        ("aten::addmm", True),
        ("aten::bmm", True),
        ("void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_64x64_16x6_nn_align4>", True),
        ("sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x64x32", True),
        ("Convert", False),
        ("Reorder", False),
        ("aten::native_batch_norm", False),
        ("aten::comma", False),
        ("triton_poi_fused_convolution_relu_3", False),
        ("void cudnn::ops::nchwToNhwcKernel<float, float, float, false, true>", False),
        ("void at::native::vectorized_elementwise_kernel<4>", False),
    ],
)
def test_a_product_is_known_by_its_type(kind, product):
    assert operators.is_product({"name": "x", "type": kind, "ms": 1.0}) == product


def profiled(name, call, *times, host_ms=9.0):
    """Return a record with operators of these names, types and ms."""
    record = make_record(name, [host_ms] * 50)
    listed = [dict(zip(("name", "type", "ms"), one, strict=True)) for one in times]
    return replace(record, seen=replace(record.seen, probes={"operators": {"call_ms": call, "operators": listed}}))


PLAIN = profiled(
    "resnet18-pytorch-fp32-r64-b2", 8.0, ("aten::conv2d", "aten::conv2d", 6.0), ("aten::add", "aten::add", 1.0)
)
QUICK = profiled(
    "resnet18-openvino-fp32-r64-b2", 2.0, ("stem", "Convolution", 1.5), ("turn", "Reorder", 0.5), host_ms=3.0
)


def test_parts_of_a_call_add_up_to_it():
    [found] = operators.profiles([PLAIN])
    assert (found["arithmetic_ms"], found["memory_ms"], found["gaps_ms"]) == (6.0, 1.0, 1.0)
    assert found["call_ms"] == 8.0
    # A profiler's clock may say more than the call's.
    [found] = operators.profiles([profiled("resnet18-pytorch-fp32-r64-b2", 4.0, ("a", "Conv", 5.0))])
    assert (found["call_ms"], found["gaps_ms"]) == (5.0, 0.0)


def test_kernels_of_a_gpu_are_operators_of_a_call_between_its_events():
    record = make_record("resnet18-pytorch-fp16-r64-b2")
    names = {"sm80_xmma_gemm_f16f16_f16f32_f32_tn": 0.5, "void at::native::elementwise_kernel<8>": 0.25}
    samples = replace(record.seen.samples, device_ms=[1.0, 1.0, 3.0])
    record = replace(record, seen=replace(record.seen, samples=samples, probes={"kernels": {"ms": names}}))
    [found] = operators.profiles([record])
    assert (found["call_ms"], found["arithmetic_ms"], found["memory_ms"], found["gaps_ms"]) == (1.0, 0.5, 0.25, 0.25)
    assert findings.short(
        "void at::native::elementwise_kernel<8>(int)", "void at::native::elementwise_kernel<8>(int)"
    ) == ("at::native::elementwise_kernel")


def test_only_the_longest_are_kept_and_what_was_not_profiled_has_none():
    many = [(f"n{number}", "Conv", 1.0 + number) for number in range(30)]
    [found] = operators.profiles([profiled("resnet18-pytorch-fp32-r64-b2", 1000.0, *many)])
    assert (found["count"], len(found["longest"]), found["longest"][0]["name"]) == (30, operators.LONGEST, "n29")
    assert operators.profiles([make_record("resnet18-pytorch-fp32-r64-b2")]) == []
    failed = profiled("resnet18-pytorch-fp32-r64-b2", None)
    assert operators.profiles([failed]) == []


def test_the_report_has_the_best_setting_beside_the_reference(tmp_path):
    table, run = write_run(tmp_path, [PLAIN, QUICK])
    text = markdown.markdown(table, run, ROOT / "templates/report.md.j2")
    section = text.split("## Where the time of a call goes\n")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")]
    by_name = {row[0].removeprefix("| "): row[1:] for row in rows if len(row) == 6}
    assert by_name["PyTorch fp32"][:4] == ["8.00", "75.0", "12.5", "12.5"]
    assert by_name["OpenVINO fp32"][:4] == ["2.00", "75.0", "25.0", "0.0"]
    assert "| stem (Convolution) | 75.0 | aten::conv2d | 75.0 |" in section
    assert section.count("---|\n| ") == 2  # a line between would end the table
    assert "* OpenVINO fp32 spends 75.0 % of a call in convolutions" in section
    assert "█" * 22 + "▒" * 8 in section


def test_a_run_without_profiles_has_no_such_section(tmp_path):
    table, run = write_run(tmp_path, [make_record("resnet18-pytorch-fp32-r64-b2")])
    assert "Where the time of a call goes" not in markdown.markdown(table, run, ROOT / "templates/report.md.j2")
    del run["operators"]  # an older description
    assert "Where the time of a call goes" not in markdown.markdown(table, run, ROOT / "templates/report.md.j2")


@pytest.mark.parametrize("times", [[1.0, 0.0, 0.0], [0.3, 0.3, 0.4], [1e-9, 5.0, 1e-9]])
def test_a_bar_is_as_wide_as_it_is_whatever_its_parts(times):
    assert len(findings.bar(times)) == findings.WIDTH


def test_it_is_asked_at_the_place_of_the_control_cell_on_a_cpu_alone():
    control = Cell("resnet18", "pytorch", "fp32", 224, 8)
    asked = [("onnxruntime", 224, 8, "round1", "cpu"), ("onnxruntime", 224, 1, "round1", "cpu")]
    asked += [("onnxruntime", 224, 8, "round2", "cpu"), ("onnxruntime", 224, 8, "round1", "cuda")]
    found = [
        probe.asked(Cell("resnet18", name, "fp32", size, batch), turn, device, {}, control)
        for name, size, batch, turn, device in asked
    ]
    assert found == [True, False, False, False]
