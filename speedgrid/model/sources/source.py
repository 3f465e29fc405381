"""The protocol of a source of models: what the rest of speedgrid asks of it."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from speedgrid import InputError
from speedgrid.launcher.inputs import expanded

if TYPE_CHECKING:
    from torch import nn

    from speedgrid.data.inputs import Input

# What a model is for. `raw` is whatever its tensors are: heads, heatmaps, features.
TASKS = ("classification", "segmentation", "detection", "embedding", "raw")


class ModelError(InputError):
    """A model that there is none of; the message names it and what would be right."""


class Source(Protocol):
    """One model by its name in the grid.

    module: it is a torch module; else it is an ONNX file. gives_weights: what it builds has the weights that are meant.
    inputs: as declared; none declared is one image. task: of TASKS. weights: the path of its own checkpoint, with
    {resolution} to be filled in, or None for the configuration's key model.weights.
    """

    module: ClassVar[bool]
    gives_weights: ClassVar[bool]

    @property
    def trains(self) -> bool:
        """Whether it is trained on digits where there are no weights."""

    @property
    def name(self) -> str:
        """The name in the grid, in files and in tables."""

    @property
    def task(self) -> str:
        """The task of the model, one of TASKS."""

    @property
    def inputs(self) -> "tuple[Input, ...]":
        """The inputs that the configuration declares."""

    @property
    def weights(self) -> str | None:
        """The place of its own checkpoint."""

    def require(self) -> None:
        """Raise ModelError unless there is such a model, as far as that is seen without importing what is slow."""

    def files(self) -> list[str]:
        """Return the user's files that the model is made of; a change of one makes all that is measured of it stale."""

    def build(self, classes: int) -> "nn.Module":
        """Return the model as a torch module with random weights; raises ModelError where there is none."""

    def smallest_resolution(self) -> int:
        """Return the side in pixels of the smallest images that the model is known to take."""


@dataclass(frozen=True)
class OfFile:
    """A source that is a file of the user's. model: its path; weights are in it, and sizes."""

    gives_weights: ClassVar[bool] = True
    trains: ClassVar[bool] = False

    name: str
    model: str
    task: str = "raw"
    inputs: "tuple[Input, ...]" = ()

    @property
    def weights(self) -> None:
        """The place of a checkpoint: none, as its weights are in the file."""
        return None

    @property
    def path(self) -> str:
        """The path of the file."""
        return expanded(self.model)

    def smallest_resolution(self) -> int:
        """Return 1: what sizes a file takes is seen when it is run."""
        return 1


def registered(package: str, folder: str, pattern: re.Pattern[str]) -> frozenset[str]:
    """Return the names that a package registers in the files of a folder, read there: importing it takes seconds.

    pattern: finds them in a text. Empty where the package is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return frozenset()
    files = Path(spec.origin).parent.joinpath(folder).glob("*.py")
    return frozenset(name for file in files for name in pattern.findall(file.read_text(encoding="utf-8")))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known names that are nearest to another one, for a sentence; one that all know where none is near."""
    return ", ".join(difflib.get_close_matches(name, sorted(known), n=3)) or "resnet18"
