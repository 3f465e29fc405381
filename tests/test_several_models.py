"""The whole workflow on models of other kinds than the first: by a function, and an ONNX file; all in one run."""

import json
import re
import shutil

import onnx_files
import pandas as pd
import pytest
from processes import python
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


# What a detector's file is like: two outputs, and no module.
HEADS = "two-heads"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a finished run."""
    base = tmp_path_factory.mktemp("models")
    file = onnx_files.two_heads(base / "heads.onnx")
    models = [*QUICK["models"], {"name": HEADS, "onnx": str(file)}]
    for one in run_once(base, config=QUICK | {"models": models}):
        yield one.workflow


def table_of(folder, *models):
    table = pd.read_csv(folder / "artifacts/results.csv")
    return table[table.model.isin(models)]


def test_every_cell_is_right_in_its_precision(folder):
    table = table_of(folder, *MODELS)
    assert list(zip(table.model, table.backend, strict=True)) == [(m, b) for m in MODELS for b in BACKENDS]
    assert set(zip(table.status, table.observed_precision, strict=True)) <= {
        (status, "fp32") for status in ("ok", "unstable", "busy")
    }
    assert (table.top1_agreement == 1).all()
    assert (table[table.backend == "pytorch"].speedup == 1).all()


def test_the_arithmetic_of_each_model_is_counted_twice(folder):
    counted = json.loads((folder / "artifacts/flops.json").read_text())
    sizes = {model: list(found) for model, found in counted.items()}
    assert sizes == {model: [str(RESOLUTION)] for model in (*MODELS, HEADS)}
    for model in MODELS:
        one = counted[model][str(RESOLUTION)]
        assert one["flop"] == one["onnx_flop"] == FLOP[model]
    layers = counted[MODELS[0]][str(RESOLUTION)]["layers"]
    depthwise = [layer for layer in layers if layer["flop"] < layer["activation_elements"] * 30]
    assert len(depthwise) >= 11


def test_the_report_answers_for_each_model_and_draws_its_plots(folder):
    report = (folder / "report/report.md").read_text()
    assert report.startswith(f"# {', '.join([*MODELS, HEADS])} on ")
    assert report.count("**For throughput** at") == len(MODELS) + 1
    links = re.findall(r"\]\((plots/[^)]+\.png)\)", report)
    models = [*MODELS, HEADS]
    assert sorted({link.split("/")[1].rpartition("-")[0] for link in links}) == sorted(models)
    shown = plots.asked(settings.complete(QUICK))
    assert len(links) == len(models) * len(shown) - (len(models) - 1) * sum(
        plot.of_run for plot in plots.PLOTS.values()
    )
    assert all((folder / "report" / link).is_file() for link in links)
    headings = re.findall(r"^## (.+): what to deploy$", report, re.MULTILINE)
    assert headings == models


def test_a_file_runs_where_no_module_is_needed(folder):
    table = table_of(folder, HEADS).set_index("backend")
    assert table.status["pytorch"] == "unsupported"
    assert set(table.observed_precision[["onnxruntime", "openvino"]]) == {"fp32"}


def test_each_model_is_handed_over_in_a_folder_of_its_own_and_a_file_with_its_inputs(folder):
    asked = ("deploy", "--keep-going", "--configfile", "config/test.yaml")
    outcome = folder.snakemake(*asked)
    winner = table_of(folder, MODELS[1]).sort_values("throughput_fps").backend.iloc[-1]
    if winner == "pytorch":  # its module is code of the user's, which no folder has
        assert outcome.code != 0
        assert "whose module is code of yours" in outcome.log
        assert not (folder / "deploy" / MODELS[1]).exists()
    else:
        assert outcome.code == 0, outcome.log
    assert {MODELS[0], HEADS} <= {one.name for one in (folder / "deploy").iterdir()}
    out = folder / "deploy" / HEADS
    about = json.loads((out / "model.json").read_text())
    assert about["inputs"] == [{"name": "image", "shape": [2, 3, 64, 64], "dtype": "float32"}]
    assert [(one["name"], one["shape"]) for one in about["outputs"]] == [
        ("scores", [2, 1, 32, 32]),
        ("boxes", [2, 2, 32, 32]),
    ]
    assert "| `boxes` | 2 x 2 x 32 x 32 | float32 |" in (out / "README.md").read_text()
    assert about["preprocessing"] is None
    assert not (out / "photographs.py").exists()
    assert "photo" not in (out / "README.md").read_text()
    done = python("check.py", cwd=out, code=None)
    assert done.returncode in (0, 2), done.stdout + done.stderr
    assert "answers: those of the report" in done.stdout
    shutil.rmtree(out)
    again = 2 if winner == "pytorch" else 1  # of several, only what is not there
    assert folder.plan(*asked).jobs == {"deploy": 1, "hand_over": again}
