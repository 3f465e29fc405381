"""Where models come from: one module per source, each a class with the names of speedgrid.model.sources.source.

A name in the grid stands for the source that the configuration gives it. Importing this imports neither torch nor
torchvision: a configuration is checked without them.
"""

from collections.abc import Iterable

from speedgrid.model.sources.source import ModelError, Source
from speedgrid.model.sources.torchvision import Torchvision

__all__ = ["ModelError", "Source", "find", "require"]


def find(name: str) -> Source:
    """Return the source that a model's name stands for."""
    return Torchvision(name)


def require(names: Iterable[str]) -> None:
    """Raise ModelError for the first name that stands for no model, as far as that is seen without importing it."""
    for name in names:
        find(name).require()
