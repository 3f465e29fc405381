"""Training on digits. That a whole one succeeds, and knows large images, is tested on the run of tests/test_smoke."""

import copy
from contextlib import contextmanager

import pytest
import torch

from speedgrid.data.digits import Digits
from speedgrid.model import modules as models
from speedgrid.model import training


@contextmanager
def short():
    """Train for two steps, look at 16 digits, and take statistics from 32 of at most 96 pixels."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"STEPS": 2, "EVALUATION": 16, "LARGEST": 96, "CALIBRATED": 32}.items():
            patch.setattr(training, name, value)
        yield


@pytest.fixture(scope="module")
def trained():
    """Return a model that was trained so from seed 0, and how."""
    with short():
        return training.train("resnet18", 0, "cpu")


def test_a_seed_gives_the_same_weights_and_another_seed_others(trained):
    with short():
        others = [training.train("resnet18", seed, "cpu")[0] for seed in (0, 1)]
    states = [module.state_dict() for module in (trained[0], *others)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["conv1.weight"], states[2]["conv1.weight"])


def test_what_is_trained_is_the_published_architecture_ready_for_use(trained):
    module, how = trained
    assert not module.training
    assert models.classes(module) == 1000
    assert list(module.state_dict()) == list(models.build("resnet18").state_dict())
    assert all(value.is_contiguous() for value in module.state_dict().values())
    assert (how["steps"], how["canvas"], how["seed"]) == (2, 64, 0)
    assert how["epochs"] == pytest.approx(2 * 32 / 1245, abs=0.01)
    assert 0 <= how["top1_held_out"] <= 1
    assert how["seconds"] > 0


@pytest.mark.parametrize(("name", "canvas"), [("resnet18", 64), ("mobilenet_v3_small", 64), ("vit_b_16", 224)])
def test_a_model_is_trained_on_the_smallest_images_that_it_takes(name, canvas):
    assert next(size for size in training.CANVASES if training.takes(name, size)) == canvas


@pytest.mark.parametrize(
    ("name", "steps"), [("resnet18", 60), ("resnet50", 60), ("efficientnet_b0", 127), ("mobilenet_v3_small", 180)]
)
def test_a_cheap_model_is_trained_for_longer(name, steps):
    assert training.steps(name, 64) == steps


def test_every_image_is_trained_on_before_any_comes_again():
    steps = list(training.batches(10, 4, 5, seed=0))
    assert [len(step) for step in steps] == [4] * 5
    order = torch.cat(steps).tolist()
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert order[:10] != order[10:20]


def test_where_only_the_last_layer_is_fitted_it_alone_changes_and_learns(monkeypatch, resnet):
    monkeypatch.setattr(training, "FITTED", 200)
    module, digits = copy.deepcopy(resnet), Digits(0)
    how = training.fit_head(module, digits, 64)
    assert how["method"] == "last layer fitted to 200 digits"
    changed = [name for name, value in module.named_parameters() if not torch.equal(value, resnet.get_parameter(name))]
    assert changed == ["fc.weight", "fc.bias"]
    # Of ten classes, by chance 0.1: the features are those of a network that was never trained.
    assert training.top1(module, digits, "evaluation", 64, 100) > 0.6


def test_a_model_with_auxiliary_heads_is_trained_by_its_own_logits():
    plain = torch.ones(2, 3)
    assert training.logits(plain) is plain
    from torchvision.models.googlenet import GoogLeNetOutputs

    assert training.logits(GoogLeNetOutputs(plain, None, None)) is plain


def test_statistics_are_those_of_training_digits_at_the_largest_size_that_matters(trained):
    module, _ = trained
    with short(), torch.inference_mode():
        images = Digits(0).images("training", training.LARGEST, 0, training.CALIBRATED)
        mean = module.conv1(torch.from_numpy(images)).mean(dim=(0, 2, 3))
    torch.testing.assert_close(module.bn1.running_mean, mean, rtol=1e-3, atol=1e-4)


def test_top1_is_the_share_of_right_answers():
    digits = Digits(0)

    class Oracle(torch.nn.Module):
        """Right about the first 15 of 20 digits."""

        def __init__(self):
            super().__init__()
            self.left = digits.labels("evaluation", 20)

        def forward(self, images):
            answers = [self.left.pop(0) if len(self.left) > 5 else 999 for _ in images]
            return torch.nn.functional.one_hot(torch.tensor(answers), 1000).float()

    assert training.top1(Oracle(), digits, "evaluation", 32, 20) == 0.75
