"""The protocol of a source of models: what the rest of speedgrid asks of it."""

from typing import TYPE_CHECKING, ClassVar, Protocol

from speedgrid import InputError

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
