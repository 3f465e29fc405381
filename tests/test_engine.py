"""Engines: a build that cannot be done is a record with a reason, never a crash."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from speedgrid import backends
from speedgrid.builders import attempt as build
from speedgrid.builders import torch_tensorrt as engine
from speedgrid.grid import Cell

CELL = Cell("resnet18", "torch_tensorrt", "fp16", 64, 1)


def test_a_cpu_gets_no_engine_and_a_reason(tmp_path):
    output = tmp_path / "one.ts"
    record = engine.build(CELL, "cpu", "resnet18", "none.pth", str(output))
    assert record == {
        "status": "unavailable",
        "reason": "TensorRT needs an NVIDIA GPU",
        "build_seconds": None,
    }
    assert output.read_bytes() == b""


def test_a_machine_without_a_gpu_gets_no_engine_and_a_reason(tmp_path, no_gpu):
    record = engine.build(CELL, "cuda", "resnet18", "none.pth", str(tmp_path / "one.ts"))
    assert record["status"] == "unavailable"
    assert record["reason"].startswith("no NVIDIA GPU on this machine")


@pytest.fixture
def buildable(monkeypatch):
    monkeypatch.setattr(backends, "refusal", lambda cell, device: None)
    return monkeypatch


def test_a_compiler_that_gives_up_is_a_failure_in_one_line_and_leaves_no_half_engine(tmp_path, buildable):
    output = tmp_path / "one.ts"

    def give_up(*_):
        output.write_bytes(b"half an engine")
        raise RuntimeError("unsupported\n  operator " + "x" * 1000)

    buildable.setattr(engine, "compile_engine", give_up)
    record = engine.build(CELL, "cuda", "resnet18", "none.pth", str(output))
    assert record["status"] == "failed"
    assert record["reason"].startswith("engine build: RuntimeError: unsupported operator xxx")
    assert len(record["reason"]) < 350
    assert "give_up" in record["traceback"]
    assert output.read_bytes() == b""


def test_an_engine_that_was_built_keeps_its_file_and_says_how_long_it_took(tmp_path, buildable):
    output = tmp_path / "one.ts"

    def compiled(*_):
        output.write_bytes(b"engine")
        return {"build_seconds": 1.5}

    buildable.setattr(engine, "compile_engine", compiled)
    record = engine.build(CELL, "cuda", "resnet18", "none.pth", str(output))
    assert record == {"status": "ok", "reason": "", "build_seconds": 1.5}
    assert output.read_bytes() == b"engine"


class Part:
    """A part of a compiled model: `operations` of torch, or an engine with what its inspector says."""

    def __init__(self, operations=0, layers=()):
        self.graph = SimpleNamespace(nodes=[SimpleNamespace(op="call_function")] * operations)
        self.get_layer_info = lambda: json.dumps({"Layers": list(layers)})


def test_a_build_says_how_much_is_inside_engines_and_of_a_quantised_one_what_executes_so():
    convolution = {"LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "INT8"}]}
    parts = {"_run_on_acc_0": Part(layers=[convolution] * 3), "_run_on_gpu_1": Part(2), "_run_on_acc_2": Part()}
    compiled = SimpleNamespace(named_children=parts.items)
    whole = {"engines": 2, "torch_parts": 1, "coverage_percent": 90.0}
    assert engine.describe(compiled, 20, "fp16") == whole
    nodes = engine.describe(compiled, 20, "int8")["quantised_nodes"]
    assert (nodes["executed"], nodes["of"]) == (3, 3)


@pytest.mark.parametrize(("installed", "alone"), [("torch-tensorrt", True), ("torch-tensorrt-rtx", False)])
def test_a_build_works_beside_others_unless_its_compiler_times_kernels(tmp_path, buildable, installed, alone):
    steps = []

    @contextmanager
    def working(alone=False):
        steps.append(f"alone: {alone}")
        yield
        steps.append("done")

    buildable.setattr(engine.environment, "versions", lambda names: {name: "2" for name in names if name == installed})
    buildable.setattr(engine, "timing_cache", lambda output: "none.cache")
    buildable.setattr(engine, "compile_engine", lambda *_: steps.append("compiles") or {})
    buildable.setattr(build.gpus, "working", working)
    engine.build(CELL, "cuda", "resnet18", "none.pth", str(tmp_path / "one.ts"))
    assert steps == [f"alone: {alone}", "compiles", "done"]


def test_builds_of_another_environment_share_no_timing_cache(monkeypatch):
    names = set()
    for text in ("driver 1", "driver 1", "driver 2"):
        monkeypatch.setattr(engine, "fingerprint", lambda machine, backend, text=text: text)
        names.add(engine.timing_cache("engines/one.ts"))
    assert len(names) == 2
    assert all(name.startswith("engines/timing-") for name in names)
