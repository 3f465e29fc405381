"""One evaluation: which class a session gives each image, whatever happens."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import TRAINING, CornerSession, corner_logits, fake_backend

from speedgrid.data import DataError
from speedgrid.data.sequence import images
from speedgrid.evidence import classes
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import write_json
from speedgrid.measure import accuracy
from speedgrid.measure.loading import Files
from speedgrid.table.accuracy import judge, shares

CELL = Cell("none", "fake", "fp32", 32, 2)
PICTURES = images(0, 32, 0, 5)
CLASSES = corner_logits(PICTURES).argmax(axis=1).tolist()
ABOUT = {"source": "digits", "count": 5, "resolution": 32, "seed": 0}


@pytest.fixture
def backend(monkeypatch):
    """Register a backend named `fake`, whose functions a test replaces."""
    return fake_backend(
        monkeypatch,
        lambda cell, device, artifact, options: {"twice": CornerSession(cell)}[options["settings"]["run"]],
        {"run": "twice"},
    )


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "images.npy", PICTURES)
    write_json(tmp_path / "answers.json", {"model": "none", "images": ABOUT, "labels": [1] * 5, "predicted": [2] * 5})
    return Files("none", str(tmp_path / "images.npy"), answers=str(tmp_path / "answers.json"))


def evaluate(files, cell=CELL, died=None, **changes):
    return accuracy.evaluate(cell, "cpu", replace(files, **changes), 0, died)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8])
def test_every_image_gets_one_class_whatever_the_batch_size(backend, files, batch_size):
    found = evaluate(files, Cell("none", "fake", "fp32", 32, batch_size))
    assert (found["status"], found["reason"], found["predicted"]) == ("ok", "", CLASSES)
    assert (found["labels"], found["expected"], found["images"]) == ([1] * 5, [2] * 5, ABOUT)
    assert found["cell"]["batch_size"] == batch_size
    assert "fingerprint" in found
    assert judge(found) is None
    json.dumps(found)


def test_an_output_that_was_not_written_is_a_wrong_result(backend, files):
    backend.load = lambda cell, *_: CornerSession(cell, spoil=lambda logits: None)
    found = evaluate(files)
    assert (found["status"], found["predicted"]) == ("ok", None)  # it ran
    assert judge(found) == ("wrong_result", "an output is missing or not finite")
    assert shares(found) == {}


@pytest.mark.parametrize(("function", "status"), [("available", "unavailable"), ("unsupported", "unsupported")])
def test_a_backend_that_cannot_is_not_evaluated_and_says_why(backend, files, function, status):
    setattr(backend, function, lambda *_: "not here")
    found = evaluate(files)
    assert (found["status"], found["reason"], found["predicted"]) == (status, "not here", None)


def test_an_engine_that_was_not_built_hands_on_why(backend, files, tmp_path):
    write_json(tmp_path / "build.json", {"status": "failed", "reason": "no tactic"})
    found = evaluate(files, build=str(tmp_path / "build.json"))
    assert (found["status"], found["reason"]) == ("failed", "no tactic")


def test_an_evaluation_that_was_killed_says_so(backend, files):
    found = evaluate(files, died="killed by signal 9")
    assert (found["status"], found["reason"]) == ("failed", "killed by signal 9")


def test_an_error_is_a_reason_and_stops_nothing(backend, files):
    def load(*_):
        raise MemoryError("9 GB")

    backend.load = load
    found = evaluate(files)
    assert (found["status"], found["reason"]) == ("out_of_memory", "9 GB")
    assert "Traceback" in found["traceback"]


@pytest.fixture
def trained(tmp_path, resnet):
    """Return a function that classifies five images of 64 pixels by a model of 1000 classes, and what it must give."""
    pictures = images(0, 64, 0, 5)
    np.save(tmp_path / "images.npy", pictures)
    torch.save(resnet.state_dict(), tmp_path / "weights.pth")
    with torch.inference_mode():
        expected = resnet(torch.from_numpy(pictures)).argmax(dim=1).tolist()

    def classify(origin, about):
        made = {
            "own": False,
            "trained": None,
            "source": "weights.pth",
            "classes": 1000,
            "sha256": "ab",
            "parameters": 1,
        }
        origin = {"model": "resnet18", "resolution": 64, **made, **origin}
        write_json(tmp_path / "origin.json", origin)
        write_json(tmp_path / "about.json", {**ABOUT, **about})
        names = ("weights.pth", "origin.json", "images.npy", "about.json")
        return classes.classify("resnet18", *(str(tmp_path / name) for name in names))

    return classify, expected


LABELLED = {
    "digits, on which they were trained": ({"trained": TRAINING}, {"source": "digits"}, True),
    "a folder, for a checkpoint": ({"own": True}, {"source": "photos"}, True),
    "digits, for a checkpoint": ({"own": True}, {"source": "digits"}, False),
    "a folder, for seeded weights": ({}, {"source": "photos"}, False),
}


@pytest.mark.parametrize(("origin", "about", "counted"), LABELLED.values(), ids=LABELLED)
def test_labels_count_for_weights_that_were_made_for_them(trained, origin, about, counted):
    classify, expected = trained
    found = classify(origin, {**about, "labels": [0, 1, 2, 3, 4]})
    assert found["predicted"] == expected
    assert found["labels"] == ([0, 1, 2, 3, 4] if counted else None)
    assert "labels" not in found["images"]
    assert found["model"] == "resnet18"


def test_images_without_labels_are_classified_too(trained):
    classify, expected = trained
    found = classify({"own": True}, {"source": "photos", "labels": None})
    assert (found["labels"], found["predicted"]) == (None, expected)


def test_more_classes_than_the_model_has_are_refused_with_both_numbers(trained):
    with pytest.raises(
        DataError, match=r"photos has images of class 12, but weights\.pth tells 10 classes apart, 0 to 9"
    ):
        trained[0]({"own": True, "classes": 10}, {"source": "photos", "labels": [0, 1, 12, 3, 4]})


FOLDERS = [{"name": name, "number": number, "images": 2} for number, name in enumerate(("ape", "cat", "dog"))]


def test_fewer_class_folders_than_the_model_has_classes_are_refused_where_their_order_numbers_them(trained):
    about = {"source": "photos", "labels": [0, 1, 2, 0, 1], "class_folders": FOLDERS, "numbered": False}
    with pytest.raises(
        DataError,
        match=r"photos has 3 class folders, numbered in alphabetical order from 'ape' on, but weights\.pth tells 10",
    ):
        trained[0]({"own": True, "classes": 10}, about)
    assert trained[0]({"own": True, "classes": 3}, about)["labels"] == [0, 1, 2, 0, 1]
    assert trained[0]({"own": True}, about | {"numbered": True})["labels"] == [0, 1, 2, 0, 1]
