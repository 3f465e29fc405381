"""The protocol of a source of models: what the rest of speedgrid asks of it."""

from typing import TYPE_CHECKING, Protocol

from speedgrid import InputError

if TYPE_CHECKING:
    from torch import nn


class ModelError(InputError):
    """A model that there is none of; the message names it and what would be right."""


class Source(Protocol):
    """One model by its name in the grid."""

    @property
    def name(self) -> str:
        """The name in the grid, in files and in tables."""

    def require(self) -> None:
        """Raise ModelError unless there is such a model, as far as that is seen without importing what is slow."""

    def build(self, classes: int) -> "nn.Module":
        """Return the model as a torch module with random weights; raises ModelError where there is none."""

    def smallest_resolution(self) -> int:
        """Return the side in pixels of the smallest images that the model is known to take."""
