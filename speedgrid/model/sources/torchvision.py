"""Torchvision's classification models, whose names are read from its files: importing it takes seconds.

tests/test_models.py holds them against those that torchvision itself lists.
"""

import difflib
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from speedgrid.model.sources.source import ModelError

if TYPE_CHECKING:
    from torch import nn

# How torchvision registers a function under its own name.
REGISTERED = re.compile(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


@cache
def known() -> frozenset[str]:
    """Return the names of all classification models of the torchvision that is installed; none where it is not."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return frozenset()
    # Detection, segmentation, video and the others are in folders of their own.
    files = (Path(spec.origin).parent / "models").glob("*.py")
    return frozenset(name for file in files for name in REGISTERED.findall(file.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Torchvision:
    """A model of torchvision's, by the name that torchvision gives it."""

    name: str

    def require(self) -> None:
        """Raise ModelError for a name that is no model's. Without torchvision every name passes, to fail later."""
        if known() and self.name not in known():
            near = ", ".join(difflib.get_close_matches(self.name, sorted(known()), n=3)) or "resnet18"
            raise ModelError(
                f"config key models has {self.name!r}; "
                f"its entries must be torchvision classification models, such as {near}."
            )

    def build(self, classes: int) -> "nn.Module":
        """Return the model with random weights; raises ModelError if torchvision has no such classification model."""
        self.require()
        from torchvision import models

        return models.get_model(self.name, weights=None, num_classes=classes)

    def smallest_resolution(self) -> int:
        """Return the side in pixels of the smallest images that a model takes, as torchvision says of its weights."""
        from torchvision import models

        return min(max(weights.meta["min_size"]) for weights in models.get_model_weights(self.name))
