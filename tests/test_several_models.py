"""The whole workflow on two models of other kinds than the first, one of them by a function: both in one run."""

import json
import re

import pandas as pd
import pytest
from workflow import run_once

from speedgrid import settings
from speedgrid.report import plots

pytest_plugins = ["workflow"]

BACKENDS = ["pytorch", "onnxruntime", "openvino"]
RESOLUTION = 64
# A vision transformer of two blocks, by a function that torchvision happens to have: as anybody's own module. It takes
# one resolution alone, and has what networks of convolutions lack: attention, layer norm, GELU.
TRANSFORMER = {
    "name": "small-vit",
    "factory": "torchvision.models.vision_transformer:VisionTransformer",
    "arguments": {
        "image_size": RESOLUTION,
        "patch_size": 16,
        "num_layers": 2,
        "num_heads": 4,
        "hidden_dim": 64,
        "mlp_dim": 128,
        "num_classes": 1000,
    },
    "trust": True,
    "task": "classification",
}
MODELS = ["mobilenet_v3_small", "small-vit"]
# 2 x multiply-adds of an image: by torch's counter; and of 16 patches and a class token by hand, patches, two blocks
# (queries, keys and values, attention, its projection, two layers) and the head.
BLOCK = 2 * (17 * 64 * 192 + 2 * 17 * 17 * 64 + 17 * 64 * 64 + 2 * 17 * 64 * 128)
FLOP = {"mobilenet_v3_small": 13_032_960, "small-vit": 2 * 16 * 768 * 64 + 2 * BLOCK + 2 * 64 * 1000}


# The configuration of a run of a few seconds a cell.
QUICK = {
    "device": "cpu",
    "models": [MODELS[0], TRANSFORMER],
    "grid": {"cpu": {"backend": BACKENDS, "precision": ["fp32"], "resolution": [RESOLUTION], "batch_size": [2]}},
    "data": {"images": "random"},  # training takes minutes; tests/test_training.py has it
    "timing": {"rounds": 1, "timed_runs": 3, "warmup_runs": 1, "min_seconds": 0, "max_seconds": 0.3},
    "report": {"resolution": RESOLUTION, "batch_size": 2},
    "published": [],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a finished run."""
    for one in run_once(tmp_path_factory.mktemp("models"), config=QUICK):
        yield one.workflow


def test_every_cell_is_right_in_its_precision(folder):
    table = pd.read_csv(folder / "artifacts/results.csv")
    assert list(zip(table.model, table.backend, strict=True)) == [(m, b) for m in MODELS for b in BACKENDS]
    assert set(zip(table.status, table.observed_precision, strict=True)) <= {
        (status, "fp32") for status in ("ok", "unstable", "busy")
    }
    assert (table.top1_agreement == 1).all()
    assert (table[table.backend == "pytorch"].speedup == 1).all()


def test_the_arithmetic_of_each_model_is_counted_twice(folder):
    counted = json.loads((folder / "artifacts/flops.json").read_text())
    assert {model: list(sizes) for model, sizes in counted.items()} == {model: [str(RESOLUTION)] for model in MODELS}
    for model in MODELS:
        one = counted[model][str(RESOLUTION)]
        assert one["flop"] == one["onnx_flop"] == FLOP[model]


def test_the_report_answers_for_each_model_and_draws_its_plots(folder):
    report = (folder / "report/report.md").read_text()
    assert report.startswith(f"# {', '.join(MODELS)} on ")
    assert report.count("**For throughput** at") == len(MODELS)
    links = re.findall(r"\]\((plots/[^)]+\.png)\)", report)
    assert sorted({link.split("/")[1].rpartition("-")[0] for link in links}) == sorted(MODELS)
    shown = plots.asked(settings.complete(QUICK))
    assert len(links) == len(MODELS) * len(shown) - (len(MODELS) - 1) * sum(
        plot.of_run for plot in plots.PLOTS.values()
    )
    assert all((folder / "report" / link).is_file() for link in links)
    headings = re.findall(r"^## (.+): what to deploy$", report, re.MULTILINE)
    assert headings == MODELS
