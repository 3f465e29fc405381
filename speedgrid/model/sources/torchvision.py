"""Torchvision's models of images, whose names are read from its files: importing takes seconds.

tests/test_models.py holds them against those that torchvision itself lists.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from speedgrid.model.sources.source import ModelError, nearest, registered

if TYPE_CHECKING:
    from torch import nn

    from speedgrid.data.inputs import Input

# How torchvision registers a function under its own name.
REGISTERED = re.compile(r"^@register_model\(\)\n(?:(?!def ).*\n)*def (\w+)\(", re.MULTILINE)


# Classes that torchvision's own weights tell apart: of photographs, of their pixels, and of boxes.
IMAGENET = 1000
CLASSES = {"segmentation": 21, "detection": 91}
# Detectors that also draw what is in a box.
BEYOND_BOXES = re.compile("mask|keypoint")


@cache
def known(task: str = "") -> frozenset[str]:
    """Return the names of the models of a task in the torchvision that is installed; none where it is not.

    task: segmentation, detection ..., which have folders of their own; without one, classification.
    """
    return registered("torchvision", f"models/{task}", REGISTERED)


@dataclass(frozen=True)
class Torchvision:
    """A model of torchvision's, by the name that torchvision gives it. model: that name, where `name` is another."""

    module: ClassVar[bool] = True
    gives_weights: ClassVar[bool] = False

    name: str
    model: str = ""
    weights: str | None = None
    inputs: "tuple[Input, ...]" = ()

    @property
    def task(self) -> str:
        """The task: that of the folder of torchvision's that it is in."""
        return next((task for task in CLASSES if self.called in known(task)), "classification")

    @property
    def trains(self) -> bool:
        """Whether it can be trained on digits: it tells classes apart."""
        return self.task == "classification"

    @property
    def called(self) -> str:
        """The name that torchvision gives it."""
        return self.model or self.name

    def require(self) -> None:
        """Raise ModelError for a name that is no model's. Without torchvision every name passes, to fail later."""
        if self.called in known("detection") and BEYOND_BOXES.match(self.called):
            raise ModelError(
                f"config key models has {self.called!r}, a detection model whose masks or keypoints belong to as many "
                "boxes as it finds, which is not compared here; take one of fasterrcnn, fcos, retinanet or ssd, or "
                "give a file as onnx: FILE."
            )
        named = known().union(*map(known, CLASSES))
        if known() and self.called not in named:
            raise ModelError(
                f"config key models has {self.called!r}; its entries must be torchvision models that classify, segment "
                f"or detect, such as {nearest(self.called, named)}."
            )

    def files(self) -> list[str]:
        """Return no files: torchvision's version is a param of what depends on it."""
        return []

    def build(self, classes: int) -> "nn.Module":
        """Return the model with random weights; raises ModelError if torchvision has no such model.

        Detectors are as of speedgrid.model.detectors.
        """
        self.require()
        import torch
        from torchvision import models

        if self.task == "classification":
            return models.get_model(self.called, weights=None, num_classes=classes)
        own = CLASSES[self.task] if classes == IMAGENET else classes
        asked = {"weights": None, "weights_backbone": None, "num_classes": own}
        if self.task == "segmentation":
            return models.get_model(self.called, **asked)
        from speedgrid.model import detectors

        with torch.device("cpu"):  # anchors are computed when it is made
            return detectors.of_tensors(models.get_model(self.called, **asked))

    def smallest_resolution(self) -> int:
        """Return the side in pixels of the smallest images that a model takes, as torchvision says of its weights."""
        from torchvision import models

        named = [weights.meta.get("min_size", (1, 1)) for weights in models.get_model_weights(self.called)]
        return min(map(max, named))
