"""The whole workflow on models of other kinds than the first: several in one run, and one of a fixed resolution."""

import json
import re

import pandas as pd
import pytest
from workflow import run_once

from speedgrid import settings
from speedgrid.report import plots

pytest_plugins = ["workflow"]

BACKENDS = ["pytorch", "onnxruntime", "openvino"]
CONVOLUTIONS = ["mobilenet_v3_small", "convnext_tiny"]
# 2 x multiply-adds of an image at the resolution of its run, by torch's counter.
FLOP = {
    "mobilenet_v3_small": 13_032_960,
    "convnext_tiny": 728_844_288,
    "vit_b_32": 8_818_372_608,
}


def quick(models, resolution):
    """Return the configuration of a run of a few seconds a cell."""
    axes = {"backend": BACKENDS, "precision": ["fp32"], "resolution": [resolution], "batch_size": [2]}
    return {
        "device": "cpu",
        "models": models,
        "grid": {"cpu": axes},
        "data": {"images": "random"},  # training five models takes minutes; tests/test_training.py has it
        "timing": {"rounds": 1, "timed_runs": 3, "warmup_runs": 1, "min_seconds": 0, "max_seconds": 0.3},
        "report": {"resolution": resolution, "batch_size": 2},
        "published": [],
    }


@pytest.fixture(scope="module", params=[(CONVOLUTIONS, 64), (["vit_b_32"], 224)], ids=["convolutions", "transformer"])
def run(request, tmp_path_factory):
    """Return (models, resolution, folder) of a finished run."""
    models, resolution = request.param
    for one in run_once(tmp_path_factory.mktemp("models"), config=quick(models, resolution)):
        yield models, resolution, one.workflow


def test_every_cell_is_right_in_its_precision(run):
    models, _, folder = run
    table = pd.read_csv(folder / "artifacts/results.csv")
    assert list(zip(table.model, table.backend, strict=True)) == [(m, b) for m in models for b in BACKENDS]
    assert set(zip(table.status, table.observed_precision, strict=True)) <= {
        (status, "fp32") for status in ("ok", "unstable", "busy")
    }
    assert (table.top1_agreement == 1).all()
    assert (table[table.backend == "pytorch"].speedup == 1).all()


def test_the_arithmetic_of_each_model_is_counted_twice(run):
    models, resolution, folder = run
    counted = json.loads((folder / "artifacts/flops.json").read_text())
    assert {model: list(sizes) for model, sizes in counted.items()} == {model: [str(resolution)] for model in models}
    for model in models:
        one = counted[model][str(resolution)]
        assert one["flop"] == one["onnx_flop"] == FLOP[model]


def test_the_report_answers_for_each_model_and_draws_its_plots(run):
    models, resolution, folder = run
    report = (folder / "report/report.md").read_text()
    assert report.startswith(f"# {', '.join(models)} on ")
    assert report.count("**For throughput** at") == len(models)
    links = re.findall(r"\]\((plots/[^)]+\.png)\)", report)
    assert sorted({link.split("/")[1].split("-")[0] for link in links}) == sorted(models)
    shown = plots.asked(settings.complete(quick(models, resolution)))
    assert len(links) == len(models) * len(shown) - (len(models) - 1) * sum(
        plot.of_run for plot in plots.PLOTS.values()
    )
    assert all((folder / "report" / link).is_file() for link in links)
    headings = re.findall(r"^## (.+): what to deploy$", report, re.MULTILINE)
    assert headings == (models if len(models) > 1 else [])
