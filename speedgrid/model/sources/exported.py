"""A program that torch.export saved (.pt2): reading one may run code, so only where the user says `trust: true`.

https://github.com/pytorch/pytorch/issues/153410
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from speedgrid.launcher.inputs import file_fault
from speedgrid.launcher.outputs import one_line
from speedgrid.model.sources.source import ModelError, OfFile

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Exported(OfFile):
    """A model in a file of torch.export.save."""

    module: ClassVar[bool] = True

    def require(self) -> None:
        """Raise ModelError unless the file is there and can be read."""
        if fault := file_fault(self.path):
            raise ModelError(f"config key models has {self.name!r} of {self.path!r}, which {fault}.")

    def files(self) -> list[str]:
        """Return the file."""
        return [self.path]

    def build(self, classes: int) -> "nn.Module":
        """Return the module of the program, with its weights. Raises ModelError where it cannot be read."""
        import torch

        with torch.device("cpu"):  # a program is bound to the device of its tensors
            try:
                module = torch.export.load(self.path).module()
            except Exception as error:
                raise ModelError(
                    f"{self.path} cannot be read as a program of torch.export ({one_line(error)}); write it with "
                    "torch.export.save(torch.export.export(model, inputs), path)."
                ) from error
        # It says which mode it was exported in, and refuses to be asked for one.
        module.train = module.eval = lambda *_: module
        return module
