"""Models that are not torchvision's classifiers: timm's, a function of the user's, a saved program, segmentation."""

import textwrap

import numpy as np
import pytest
import torch

from speedgrid import settings
from speedgrid.builders import onnx_export
from speedgrid.evidence import onnx_answers, reference, rounding
from speedgrid.model import checkpoints, flops, modules, sources, weights
from speedgrid.model.sources import ModelError
from speedgrid.model.sources import torchvision as of_torchvision

MINE = """
import torch
from torch import nn

class Heads(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body, self.norm = nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width)
        self.heat, self.box = nn.Conv2d(width, 1, 1), nn.Conv2d(width, 2, 1)
        self.register_buffer("scale", torch.full((1, 3, 1, 1), 0.5), persistent=False)

    def forward(self, images):
        features = torch.relu(self.norm(self.body(images * self.scale)))
        return {"heat": self.heat(features), "box": self.box(features)}

def heads(width=8):
    return Heads(width)

def broken():
    raise KeyError("no such thing")

def number():
    return 3
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a folder with a module of the user's, whose name no other test has; forget all models afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_of_tests.py").write_text(textwrap.dedent(MINE))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "mine_of_tests", raising=False)
    yield
    sources.declare([])


def declared(**entry):
    entry = {"name": "model", **entry}
    sources.declare(sources.complete([entry]))
    return sources.find("model")


def factory(function="heads", **more):
    return declared(factory=f"mine_of_tests:{function}", trust=True, **more)


@pytest.mark.parametrize("entry", [{"factory": "mine_of_tests:heads"}, {"exported": "two.pt2"}])
def test_what_runs_code_wants_the_users_word_for_it(entry):
    with pytest.raises(ModelError, match="which runs code of its own; add `trust: true`"):
        settings.complete({"device": "cpu", "models": [entry]})
    assert settings.complete({"device": "cpu", "models": [{**entry, "trust": True}]})["models"][0]["trust"] is True
    with pytest.raises(ModelError, match="add `trust: true`"):
        settings.complete({"device": "cpu", "models": [{**entry, "trust": False}]})


def test_a_factory_is_looked_at_without_being_run():
    factory("broken").require()
    factory().require()
    for name, message in (("none.at_all:f", "there is no module none.at_all"), ("mine_of_tests", "must read as")):
        with pytest.raises(ModelError, match=message):
            declared(factory=name, trust=True).require()


@pytest.mark.parametrize("module", ["os", "sys", "zipimport"])
def test_a_module_that_python_is_made_with_has_no_file_and_no_model(module):
    with pytest.raises(ModelError, match=f"factory: '{module}:path', and there is no module {module}"):
        sources.require([declared(factory=f"{module}:path", trust=True).name])


ENTRIES = {
    "torchvision": {"torchvision": "resnet18"},
    "factory": {"factory": "mine_of_tests:heads", "trust": True},
    "exported": {"exported": "program.pt2", "trust": True},
    "onnx": {"onnx": "model.onnx"},
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_values_of_an_input_are_looked_for_and_belong_to_what_is_measured_of_any_source(tmp_path, entry):
    for name in ("program.pt2", "model.onnx"):
        (tmp_path / name).write_bytes(b"\x08\x0a")
    one = declared(**entry, inputs={"x": {"values": "mine.npz"}})
    for make, words in ((lambda: None, "is not there"), ((tmp_path / "mine.npz").mkdir, "is no file but a folder")):
        make()
        with pytest.raises(ModelError, match=rf"config key models has 'model' of 'mine\.npz', which {words}\."):
            sources.require([one.name])
    (tmp_path / "mine.npz").rmdir()
    (tmp_path / "mine.npz").touch()
    sources.require([one.name])
    assert "mine.npz" in sources.files(one.name)


@pytest.mark.parametrize(
    ("function", "message"),
    [("broken", "does not give a model (KeyError"), ("number", "returns a int"), ("absent", "AttributeError")],
)
def test_a_factory_that_gives_no_module_is_one_sentence(function, message):
    factory(function).require()
    with pytest.raises(modules.WeightsError) as caught:
        modules.build("model")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def prepared(tmp_path, resolution=32):
    origin = weights.prepare("model", None, 0, resolution, str(tmp_path / "w.pth"))
    return origin, str(tmp_path / "w.pth")


def test_a_factory_with_several_heads_and_a_buffer_of_no_state_dict_is_measured_by_head(tmp_path):
    one = factory(arguments={"width": 4})
    origin, path = prepared(tmp_path)
    assert origin["own"]
    assert origin["source"].startswith("mine_of_tests.py as its source gives them")
    assert one.files() == ["mine_of_tests.py"]
    module = modules.load("model", path)
    assert module.scale.flatten().tolist() == [0.5] * 3
    rows = modules.rows_of("model", 0, 32, 0, 8)
    answers = reference.compute("model", path, rows)
    assert answers.dtype.names == ("heat", "box")
    assert answers["box"].shape == (8, 2, 16, 16)
    found = rounding.expected("model", path, rows, answers)
    assert set(found["outputs"]) == {"heat", "box"}
    assert all(one["snr_db"]["fp32"] > one["snr_db"]["tf32"] + 20 for one in found["outputs"].values())
    described = onnx_export.attempt("model", path, "fp32", 32, str(tmp_path / "m.onnx"))
    assert described["status"] == "ok", described
    exported = onnx_answers.answers(str(tmp_path / "m.onnx"), rows)
    np.testing.assert_allclose(exported["box"], answers["box"], atol=1e-4)
    assert flops.flop_per_image("model", 32) == 2 * 16 * 16 * (4 * 27 + 4 + 8)


def test_a_factorys_own_checkpoint_is_loaded(tmp_path):
    factory(weights="mine.pth")
    made = modules.build("model")
    torch.nn.init.constant_(made.heat.bias, 7.0)
    torch.save(made.state_dict(), "mine.pth")
    assert checkpoints.find("weights/{model}.pth", "model", 32, "none.json") == "mine.pth"
    assert modules.load("model", "mine.pth").heat.bias.item() == 7
    factory(weights="none.pth")
    with pytest.raises(checkpoints.CheckpointError, match=r"config key models is 'none\.pth'"):
        checkpoints.find("weights/{model}.pth", "model", 32, "none.json")


def test_a_saved_program_keeps_its_weights(tmp_path):
    import mine_of_tests

    module = mine_of_tests.heads().eval()
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    torch.export.save(torch.export.export(module, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=(batch,)), "two.pt2")
    declared(exported="two.pt2", trust=True).require()
    origin, path = prepared(tmp_path)
    assert (origin["own"], origin["source"]) == (True, "two.pt2 as its source gives them, seed 0")
    rows = modules.rows_of("model", 0, 32, 0, 3)
    with torch.inference_mode():
        right = module(torch.from_numpy(rows))
        found = modules.load("model", path)(torch.from_numpy(rows))
    assert torch.equal(found["heat"], right["heat"])
    answers = reference.compute("model", path, rows)
    seen = rounding.expected("model", path, rows, answers)["outputs"]
    factory()
    torch.save(module.state_dict(), "layers.pth")
    layers = rounding.expected("model", "layers.pth", rows, answers)["outputs"]
    for name in ("heat", "box"):  # the same as where there are layers to round in
        for precision in ("tf32", "fp16", "bf16", "int8"):
            assert seen[name]["snr_db"][precision] == pytest.approx(layers[name]["snr_db"][precision], abs=6), precision
        assert seen[name]["snr_db"]["fp32"] > seen[name]["snr_db"]["tf32"] + 30


@pytest.mark.parametrize("content", [b"no program", b"PK\x03\x04"])
def test_a_program_that_cannot_be_read_is_one_sentence(tmp_path, content):
    (tmp_path / "bad.pt2").write_bytes(content)
    declared(exported="bad.pt2", trust=True).require()
    with pytest.raises(modules.WeightsError, match=r"cannot be read as a program of torch\.export") as caught:
        modules.build("model")
    assert "\n" not in str(caught.value)


def test_models_of_timm_have_names_with_dots_and_are_known_without_importing_it(tmp_path):
    timm = pytest.importorskip("timm")
    from speedgrid.model.sources import timm_model

    assert set(timm.list_models()) <= timm_model.known()
    with pytest.raises(ModelError, match=r"timm: 'resnet81'.*such as resnet"):
        declared(timm="resnet81").require()
    model = declared(timm="resnet18.a1_in1k")
    assert settings.complete({"device": "cpu", "models": [{"timm": "resnet18.a1_in1k"}]})["models"] == [
        {"name": "resnet18.a1_in1k", "timm": "resnet18.a1_in1k"}
    ]
    assert model.build(7).fc.out_features == 7
    assert not model.trains


def test_torchvisions_segmentation_and_detection_are_known_by_their_folders():
    from torchvision import models

    of_its = {task: set(models.list_models(module=getattr(models, task))) for task in ("segmentation", "detection")}
    assert {task: set(of_torchvision.known(task)) for task in of_its} == of_its
    for name in of_its["segmentation"]:
        sources.require([name])
        assert (sources.find(name).task, sources.find(name).trains) == ("segmentation", False)
    for name in of_its["detection"]:
        assert (sources.find(name).task, sources.find(name).trains) == ("detection", False)
    module = modules.build("lraspp_mobilenet_v3_large")
    with torch.inference_mode():
        found = module(torch.zeros(1, 3, 32, 32))
    assert {name: tuple(one.shape) for name, one in found.items()} == {"out": (1, 21, 32, 32)}
