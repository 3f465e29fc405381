"""Bad input stops Snakemake with one sentence, before any job where it can, and loses nothing that was measured."""

import os
import re
import shutil

import pytest
from workflow import SMOKE, Workflow

from speedgrid import settings

pytest_plugins = ["workflow"]

BAD_CONFIGS = {
    "unknown key": (
        {"timing": {"timed_run": 3}},
        "config key 'timed_run' at timing is unknown; known keys there are "
        + ", ".join(settings.read_schema()["properties"]["timing"]["properties"])
        + ".",
    ),
    "wrong type": (
        {"timing": {"timed_runs": "many"}},
        "config key timing.timed_runs is 'many'; it must be of type integer.",
    ),
    "empty list": (
        {"grid": {"cpu": {"batch_size": []}}},
        "config key grid.cpu.batch_size is []; it must be a list of at least 1.",
    ),
    "min above max": (
        {"timing": {"min_seconds": 5, "max_seconds": 1}},
        "config key timing.min_seconds is 5; it must be at most timing.max_seconds, 1.",
    ),
    "images nowhere": (
        {"data": {"images": "photos"}},
        "config key data.images is 'photos', which is not there; "
        "it must be digits, random or a folder that can be read.",
    ),
    "video nowhere": (
        {"serving": {"video": "cameras.mp4"}},
        "config key serving.video is 'cameras.mp4', which is not there; it must be photographs or a video that can be "
        "read.",
    ),
    "reference not measured": (
        {"report": {"reference": {"backend": "torch_tensorrt"}}},
        "config key report.reference.backend is 'torch_tensorrt'; it must be in grid.cpu.backend, "
        "['pytorch', 'onnxruntime', 'openvino'], because every speed-up is relative to it.",
    ),
}


@pytest.fixture(scope="module")
def finished(smoke, tmp_path_factory):
    """Return a copy of the finished run that every bad configuration has to leave as it is."""
    folder = tmp_path_factory.mktemp("finished")
    yield smoke.workflow.copy(folder / "tree")
    shutil.rmtree(folder)


@pytest.mark.parametrize(("change", "sentence"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_bad_configuration_stops_before_any_job_with_one_sentence(finished, change, sentence):
    tree = finished
    before = tree.generated()
    assert len(before) > 20
    outcome = tree.forked(*SMOKE, tree.write_config("bad.yaml", change))
    assert outcome.code != 0
    assert sentence in outcome.log.splitlines()
    assert "Job stats" not in outcome.log
    assert "Traceback" not in outcome.log
    assert tree.generated() == before


class Code:
    """What runs a command when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def bad_weights(folder, mark):
    """Write checkpoints that cannot be used and return the resolution of each."""
    import torch

    state = {"conv1.weight": torch.zeros(64, 3, 7, 7)}
    torch.save({"state_dict": state, "hook": Code(mark)}, folder / "best_resnet18_64.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, folder / "best_resnet18_96.pth")
    torch.save(state, folder / "best_resnet18_128.pth")
    cut = (folder / "best_resnet18_128.pth").read_bytes()
    (folder / "best_resnet18_128.pth").write_bytes(cut[: len(cut) // 2])
    return {"code": 64, "architecture": 96, "unreadable": 128}


@pytest.fixture(scope="module")
def refused(smoke, tmp_path_factory):
    """Return (tree, results before, outcome, mark) of one run on three bad checkpoints, after a finished run."""
    folder = tmp_path_factory.mktemp("refused")
    tree, mark = smoke.workflow.copy(folder / "tree"), folder / "mark"
    sizes = bad_weights(tree / "weights", mark)
    config = tree.write_config("sizes.yaml", {"grid": {"cpu": {"resolution": sorted(sizes.values())}}})
    before = tree.generated()
    outcome = tree.snakemake("--keep-going", *SMOKE, config)
    return tree, before, outcome, mark


@pytest.mark.parametrize(
    ("resolution", "sentence"),
    [
        pytest.param(
            64,
            "weights/best_resnet18_64.pth holds pickled Python objects (posix.system), which could run code and are "
            "refused; save the weights alone, with torch.save(model.state_dict(), path), or run `python -m "
            "scripts.plain_weights weights/best_resnet18_64.pth`, which writes what weights there are to another file "
            "and runs nothing of this one.",
            id="code",
        ),
        pytest.param(
            96,
            "weights/best_resnet18_96.pth does not hold weights of resnet18 "
            "(first difference: bn1.bias / features.0.weight); "
            "put its architecture into models or give weights of resnet18.",
            id="architecture",
        ),
        pytest.param(
            128,
            "weights/best_resnet18_128.pth is not a readable PyTorch checkpoint (a ZIP file that is cut off or "
            "damaged: File is not a zip file); fetch or copy it again, or write it with "
            "torch.save(model.state_dict(), path).",
            id="unreadable",
        ),
    ],
)
def test_weights_that_cannot_be_used_are_refused_by_name(refused, resolution, sentence):
    tree, _, outcome, _ = refused
    assert outcome.code != 0
    failed = re.findall(r"output: (artifacts/weights/resnet18-r\d+\.pth)", outcome.log)
    assert f"artifacts/weights/resnet18-r{resolution}.pth" in failed
    assert [line for line in outcome.log.splitlines() if line.endswith(sentence)] != []
    assert not (tree / f"artifacts/weights/resnet18-r{resolution}.pth").exists()


def test_code_in_weights_does_not_run(refused):
    tree, _, _, mark = refused
    import torch

    assert not mark.exists()
    torch.load(tree / "weights/best_resnet18_64.pth", weights_only=False)  # the file would have run it
    assert mark.exists()


def test_bad_weights_cost_nothing_that_was_measured(refused):
    tree, before, outcome, _ = refused
    after = tree.generated()
    # Stale with the resolutions that this run adds; what the run was asked for.
    renewed = ("artifacts/flops.json", "artifacts/config.json")
    assert len(before) > 20
    assert [name for name in before if name not in renewed and after.get(name) != before[name]] == []
    assert outcome.jobs["time_cell"] == 18 + 4 + 1  # and the controls of the run, and the reference of before
    assert outcome.timings == set()


def test_a_model_that_does_not_exist_is_refused_with_the_nearest_ones(place):
    tree = Workflow.fresh(place)
    config = tree.write_config("bad.yaml", {"models": ["resnet19"]})
    outcome = tree.dry_run(*SMOKE, config)
    assert outcome.code != 0
    sentence = (
        "config key models has 'resnet19'; its entries must be torchvision "
        "models that classify, segment or detect, such as resnet18"
    )
    assert sentence in outcome.log
    assert "Traceback" not in outcome.log
    assert outcome.jobs == {}


def test_images_of_a_size_that_a_model_does_not_take_are_refused_with_the_right_one(place):
    tree = Workflow.fresh(place)
    change = {"models": ["vit_b_32"], "data": {"images": "random"}, "grid": {"cpu": {"resolution": [64]}}}
    outcome = tree.snakemake("artifacts/results.parquet", *SMOKE, tree.write_config("bad.yaml", change))
    assert outcome.code != 0
    assert "config key grid.<device>.resolution has 64, at which vit_b_32 does not run" in outcome.log
    assert "with vit_b_32 in models it must be [224].\n" in outcome.log
    assert not (tree / "artifacts/weights/vit_b_32-r64.pth").exists()
    assert outcome.timings == set()
