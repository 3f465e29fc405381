"""The weights of one resolution."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from builders import TRAINING

from speedgrid.data.digits import Digits
from speedgrid.model import modules as models
from speedgrid.model.weights import prepare


def test_missing_weights_are_seeded_and_said_to_be(tmp_path, resnet):
    output = tmp_path / "out.pth"
    assert prepare("resnet18", None, 0, 64, str(output)) == {
        "model": "resnet18",
        "resolution": 64,
        "source": "seeded, seed 0",
        "own": False,
        "trained": None,
        "sha256": hashlib.sha256(output.read_bytes()).hexdigest(),
        "parameters": 11_689_512,
        "classes": 1000,
    }
    assert torch.equal(torch.load(output)["conv1.weight"], resnet.conv1.weight)


def test_a_users_checkpoint_is_taken_over_as_a_plain_state_dict_and_is_not_written(tmp_path, resnet):
    own, output = tmp_path / "own.pth", tmp_path / "out.pth"
    state = resnet.state_dict() | {"fc.weight": torch.ones(3, 512), "fc.bias": torch.zeros(3)}
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, own)
    before = own.read_bytes()
    description = prepare("resnet18", str(own), 0, 64, str(output))
    assert own.read_bytes() == before
    assert description["own"] is True
    assert description["source"] == str(own)
    assert description["sha256"] == hashlib.sha256(before).hexdigest()
    assert description["classes"] == 3
    assert description["parameters"] == 11_689_512 - 997 * 513
    assert list(torch.load(output)) == list(state)


def test_weights_trained_on_digits_have_statistics_of_their_resolution(tmp_path, resnet, weights):
    output, training = tmp_path / "out.pth", tmp_path / "training.json"
    training.write_text(json.dumps(TRAINING))
    description = prepare("resnet18", None, 0, 96, str(output), trained=weights, training=str(training))
    assert (description["source"], description["own"]) == ("trained on handwritten digits, seed 0", False)
    assert description["trained"] == TRAINING
    assert description["sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    state = torch.load(output)
    assert torch.equal(state["conv1.weight"], resnet.conv1.weight)
    images = torch.from_numpy(Digits(0).images("training", 96, 0, 64))
    mean = resnet.conv1(images).mean(dim=(0, 2, 3))
    torch.testing.assert_close(state["bn1.running_mean"], mean, rtol=1e-3, atol=1e-4)


def test_weights_trained_on_digits_are_taken_as_they_are_at_large_resolutions(tmp_path, resnet, weights):
    output, training = tmp_path / "out.pth", tmp_path / "training.json"
    training.write_text(json.dumps(TRAINING))
    prepare("resnet18", None, 0, 256, str(output), trained=weights, training=str(training))
    assert torch.equal(torch.load(output)["bn1.running_mean"], resnet.bn1.running_mean)


def test_a_users_checkpoint_comes_before_weights_trained_on_digits(tmp_path, resnet, weights):
    own = tmp_path / "own.pth"
    torch.save(resnet.state_dict(), own)
    description = prepare("resnet18", str(own), 0, 64, str(tmp_path / "out.pth"), trained=weights, training="none")
    assert (description["own"], description["trained"], description["source"]) == (True, None, str(own))


def test_a_checkpoint_that_cannot_be_used_stops_with_its_name_and_writes_nothing(tmp_path):
    own, output = tmp_path / "own.pth", tmp_path / "out.pth"
    own.write_bytes(b"")
    with pytest.raises(models.WeightsError, match=r"own\.pth is empty"):
        prepare("resnet18", str(own), 0, 64, str(output))
    assert not Path(output).exists()


@pytest.mark.parametrize(
    ("model", "resolution", "error", "right"),
    [
        ("alexnet", 32, "RuntimeError", "have 63 or more"),
        ("vit_b_32", 256, "AssertionError", "be [224]"),
        ("maxvit_t", 256, "RuntimeError", "be [224]"),
    ],
)
def test_images_of_a_size_that_a_model_does_not_take_are_refused_in_one_sentence(
    tmp_path, model, resolution, error, right
):
    with pytest.raises(models.WeightsError) as caught:
        prepare(model, None, 0, resolution, str(tmp_path / "out.pth"))
    message = str(caught.value)
    assert message.startswith(
        f"config key grid.<device>.resolution has {resolution}, at which {model} does not run ({error}: "
    )
    assert message.endswith(f"; with {model} in models it must {right}.")
    assert "\n" not in message
    assert not (tmp_path / "out.pth").exists()


def test_an_error_that_has_nothing_to_do_with_the_size_of_images_is_not_blamed_on_it(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no memory")

    monkeypatch.setattr(models, "seeded", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        prepare("resnet18", None, 0, 64, str(tmp_path / "out.pth"))
