"""The right classes of the evaluation images, and those that the float32 model gives them."""

import numpy as np

from speedgrid.data import arrays
from speedgrid.data.source import DataError, Labelled
from speedgrid.evidence import onnx_answers
from speedgrid.evidence.evaluation import Answers
from speedgrid.launcher.reading import read_json
from speedgrid.machine.threads import shared_cores
from speedgrid.model.described import Origin

# Images at once for the float32 model.
BATCH = 16


def classify(model: str, weights: str, origin: str, images: str, about: str, description: str | None = None) -> Answers:
    """Return the classes that the float32 model on the CPU gives the evaluation images, and the right ones.

    weights, images: files; the weights of a model that is an ONNX file are that file, which is as its `description`
    says. origin, about: descriptions of weights and images (JSON). `labels` are None where the images have none, or
    none that these weights were made for. Raises DataError if a label is no class of the model.
    """
    made, known = read_json(origin, Origin), read_json(about, Labelled)
    labels = known.pop("labels")
    if not (made["own"] if known["source"] != "digits" else made["trained"]):
        labels = None
    if labels and max(labels) >= made["classes"]:
        raise DataError(
            f"config key data.images: {known['source']} has images of class {max(labels)}, but {made['source']} tells "
            f"{made['classes']} classes apart, 0 to {made['classes'] - 1}; give weights for these classes, or call the "
            "folders by the numbers of theirs."
        )
    folders = known.get("class_folders") or []
    if labels and not known.get("numbered") and 0 < len(folders) < made["classes"]:
        raise DataError(
            f"config key data.images: {known['source']} has {len(folders)} class folders, numbered in alphabetical "
            f"order from {folders[0]['name']!r} on, but {made['source']} tells {made['classes']} classes apart; call "
            "the folders by the numbers of theirs, or add an empty folder for each class that has no image."
        )
    pictures = arrays.read(images)
    if not description:
        predicted = by_module(model, weights, pictures)
    elif (described := read_json(description, dict))["status"] == "ok":
        predicted = onnx_answers.answers(weights, pictures, described["batch"]).argmax(axis=1).tolist()
    else:
        predicted, labels = [], None
    return {"model": model, "images": known, "labels": labels, "predicted": predicted}


def by_module(model: str, weights: str, pictures: np.ndarray) -> list[int]:
    """Return the classes that a module gives images, float32 [count, 3, height, width], or rows of inputs."""
    import torch

    from speedgrid.model import modules as models
    from speedgrid.model import tensors
    from speedgrid.precision import set_torch_math

    set_torch_math("fp32")
    torch.set_num_threads(shared_cores())
    module = models.load(model, weights)
    with torch.inference_mode():
        found = [
            module(*tensors.fed(np.array(pictures[start : start + BATCH]), torch.float32)).argmax(dim=1)
            for start in range(0, len(pictures), BATCH)
        ]
    return torch.cat(found).tolist()
