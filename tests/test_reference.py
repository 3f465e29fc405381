"""The right answers in float64."""

import copy
import json

import numpy as np
import pytest
import torch

from speedgrid.data import arrays
from speedgrid.data.sequence import images
from speedgrid.evidence import reference
from speedgrid.evidence.rounding import expected


def test_the_reference_is_the_model_in_float64_for_any_number_of_images(resnet, reference_64):
    # 10 images are a full batch of 8 and a part of one.
    with torch.inference_mode():
        answers = copy.deepcopy(resnet).double()(torch.from_numpy(images(0, 64, 0, 10)).double()).numpy()
    assert reference_64.dtype == np.float64
    assert reference_64.shape == (10, 1000)
    np.testing.assert_allclose(reference_64, answers, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (3, 2), (64, 2)])
def test_a_reference_leaves_cores_to_those_of_other_resolutions(weights, monkeypatch, cores, threads):
    monkeypatch.setattr("speedgrid.machine.threads.physical_cores", lambda: cores)
    reference.compute("resnet18", weights, images(0, 32, 0, 1))
    assert torch.get_num_threads() == threads


def test_an_array_is_read_as_it_was_written_and_stays_on_disk(tmp_path):
    logits = np.random.default_rng(0).standard_normal((3, 5))
    np.save(tmp_path / "logits.npy", logits)
    read = arrays.read(tmp_path / "logits.npy")
    np.testing.assert_array_equal(read, logits)
    assert isinstance(read, np.memmap)
    assert not read.flags.writeable


def test_what_is_prepared_is_answers_and_what_each_precision_is_expected_to_give(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "shared_cores", lambda: 1)
    paths = {name: tmp_path / name for name in ("images.npy", "logits.npy", "expected.json")}
    pictures = images(3, 32, 0, 10)
    np.save(paths["images.npy"], pictures)
    reference.prepare("resnet18", weights, *map(str, paths.values()), "cpu")
    answers = reference.compute("resnet18", weights, pictures)
    np.testing.assert_array_equal(np.load(paths["logits.npy"]), answers)
    assert json.loads(paths["expected.json"].read_text()) == expected("resnet18", weights, pictures, answers)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(paths)


@pytest.mark.parametrize(
    ("model", "resolution", "device", "count"),
    [
        ("resnet18", 224, "cpu", 27),
        ("resnet18", 512, "cpu", 16),
        ("vit_b_16", 224, "cpu", 16),
        ("vit_b_16", 224, "cuda", 64),
    ],
)
def test_a_cpu_is_given_as_many_answers_as_it_can_be_compared_with_and_a_gpu_all(model, resolution, device, count):
    assert min(64, reference.images_for(model, resolution, device)) == count


def test_what_is_prepared_for_a_cpu_are_the_first_images(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "CPU_FLOP", 0)
    paths = {name: str(tmp_path / name) for name in ("images.npy", "logits.npy", "expected.json")}
    pictures = images(3, 32, 0, 20)
    np.save(paths["images.npy"], pictures)
    reference.prepare("resnet18", weights, *paths.values(), "cpu")
    np.testing.assert_array_equal(np.load(paths["logits.npy"]), reference.compute("resnet18", weights, pictures[:16]))
