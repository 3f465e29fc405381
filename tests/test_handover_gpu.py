"""Folders of what was measured on a GPU, each checked in a process that has no speedgrid."""

import pandas as pd
import pytest
from processes import python
from workflow import Workflow

from speedgrid.handover import folder
from speedgrid.launcher.reading import read_json
from speedgrid.table import saved
from speedgrid.table.run import Description

pytestmark = pytest.mark.gpu

BACKENDS = [
    "pytorch_tuned",
    "pytorch_fused",
    "inductor",
    "onnxruntime",
    "onnxruntime_tuned",
    "torch_tensorrt_graph",
    "tensorrt",
]
GRID = {
    "device": "cuda",
    "grid": {"cuda": {"backend": BACKENDS, "precision": ["fp16", "tf32"], "resolution": [64], "batch_size": [4]}},
    "data": {"images": "random"},
    "timing": {"rounds": 1},
    "report": {"resolution": 64, "batch_size": 4},
}
ARTIFACTS = {
    "pytorch_tuned": "weights/{model}-r{resolution}.pth",
    "pytorch_fused": "weights/{model}-r{resolution}.pth",
    "inductor": f"inductor/{folder.Cell.PATTERN}.pt2",
    "onnxruntime": "onnx/{model}-STORED-r{resolution}.onnx",
    "onnxruntime_tuned": "onnx/{model}-STORED-r{resolution}.onnx",
    "torch_tensorrt_graph": "engines/{model}-{precision}-r{resolution}-b{batch_size}.ts",
    "tensorrt": "tensorrt/{model}-{precision}-r{resolution}-b{batch_size}.engine",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a finished run with the folder of what it recommends."""
    made = Workflow.fresh(tmp_path_factory.mktemp("gpu") / "tree")
    config = made.write_config("gpu.yaml", GRID)
    for targets in ([], ["deploy"]):
        outcome = made.snakemake(*targets, "--configfile", config)
        assert outcome.code == 0, outcome.log
    return made


def assert_works(out):
    """A folder gives the answers of the report; what its speed is, is printed."""
    done = python("check.py", cwd=out, code=None)
    print(out.name, done.stdout, done.stderr)
    assert done.returncode in (0, 2), done.stdout + done.stderr
    assert "answers: those of the report" in done.stdout


def test_what_is_recommended_works(tree):
    assert_works(tree / "deploy/resnet18")


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_works(tree, tmp_path, backend, precision):
    table, run = saved.read(tree / "artifacts/results.parquet"), read_json(tree / "artifacts/run.json", Description)
    row = table[(table.backend == backend) & (table.precision == precision)].iloc[0]
    if pd.isna(row.latency_ms):
        pytest.skip(f"{row.status}: {row.reason}")
    stored = ARTIFACTS[backend].replace("STORED", "fp16" if precision == "fp16" else "fp32")
    patterns = {name: str(tree / getattr(folder.Places, name)) for name in ("described", "logits", "timing")}
    patterns["images"] = {"resnet18": str(tree / "artifacts/images/reference-r{resolution}.npy")}
    places = folder.Places({f"resnet18-{backend}-{precision}": str(tree / "artifacts" / stored)}, **patterns)
    out = tmp_path / f"{backend}-{precision}"
    folder.write(row, run, "throughput", places, tree / "templates/deploy", out)
    assert_works(out)
