"""Models of the package timm, by the names that it gives them: https://huggingface.co/docs/timm/reference/models."""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from speedgrid.model.sources.source import ModelError, nearest, registered

if TYPE_CHECKING:
    from torch import nn

    from speedgrid.data.inputs import Input

# How timm registers a function under its own name.
REGISTERED = re.compile(r"^@register_model\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


@cache
def known() -> frozenset[str]:
    """Return the names of all architectures of the timm that is installed, read from its files: importing is slow."""
    return registered("timm", "models", REGISTERED)


@dataclass(frozen=True)
class Timm:
    """A model of timm's with seeded weights, or the user's own. model: its name, of weights a tag after a dot too."""

    module: ClassVar[bool] = True
    gives_weights: ClassVar[bool] = False
    trains: ClassVar[bool] = False

    name: str
    model: str
    task: str = "classification"
    weights: str | None = None
    inputs: "tuple[Input, ...]" = ()

    def require(self) -> None:
        """Raise ModelError where timm is not installed, or has no such model."""
        if not known():
            raise ModelError(f"config key models has timm: {self.model!r}, and timm is not installed: pip install timm")
        name = self.model.partition(".")[0]
        if name not in known():
            near = nearest(name, known())
            raise ModelError(f"config key models has timm: {self.model!r}, which timm has not; such as {near} it has.")

    def files(self) -> list[str]:
        """Return no files: nothing of it is the user's but its weights."""
        return []

    def build(self, classes: int) -> "nn.Module":
        """Return the model with random weights; nothing is fetched."""
        self.require()
        import timm

        return timm.create_model(self.model, pretrained=False, num_classes=classes)

    def smallest_resolution(self) -> int:
        """Return the side in pixels of the images that it was made for."""
        import timm

        about = timm.get_pretrained_cfg(self.model)
        return about.input_size[-1] if about else 1
