"""A user's ONNX file: looked at without onnx, which takes a second to import; speedgrid.builders.onnx_bind reads it."""

import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from speedgrid.launcher.inputs import file_fault
from speedgrid.model.sources.source import ModelError, OfFile

if TYPE_CHECKING:
    from torch import nn

# The name of a file beside it that holds tensors, as protobuf writes an entry {key: "location", value: NAME} of at most
# 127 bytes (https://onnx.ai/onnx/repo-docs/ExternalData.html).
LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])")
# A file whose tensors are elsewhere is small; a larger one is not searched for their names.
MOST_SEARCHED = 64_000_000
# How files begin that people take for ONNX files, and what would make one of them.
BEGINNINGS = {
    b"version https://git-lfs": "is a Git LFS pointer and not the file that it points to; fetch that with git lfs pull",
    b"<": "is a page of HTML or XML, as a server sends one in place of a file; fetch it again",
    b"PK": "is a ZIP file, as PyTorch writes checkpoints and programs; export it with torch.onnx.export",
    b"\x80": "is a pickle; export the model with torch.onnx.export",
    b"ORTM": "is in ONNX Runtime's own format; give the ONNX file that it was made from",
}


@dataclass(frozen=True)
class OnnxFile(OfFile):
    """A model in an ONNX file. inputs: what the file leaves open, or what it fixes and need not."""

    module: ClassVar[bool] = False

    def require(self) -> None:
        """Raise ModelError unless the file and those beside it are there and can be read."""
        for path in (self.path, *self.external()):
            if fault := file_fault(path):
                raise ModelError(f"config key models has {self.name!r} of {path!r}, which {fault}.")
        with Path(self.path).open("rb") as file:
            begin = file.read(32)
        problem = "is empty; export the model again" if not begin else None
        for beginning, words in BEGINNINGS.items():
            problem = words if begin.startswith(beginning) else problem
        if problem:
            raise ModelError(f"config key models has {self.name!r} of {self.path!r}, which {problem}.")

    def external(self) -> list[str]:
        """Return the paths of the files beside it that hold its tensors. Raises ModelError for one elsewhere."""
        file = Path(self.path)
        if file_fault(file) or not 0 < file.stat().st_size <= MOST_SEARCHED:
            return []
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            ends = ((match.end(), match[1][0]) for match in LOCATION.finditer(content))
            names = {content[end : end + length].decode(errors="replace") for end, length in ends}
        for name in names:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ModelError(
                    f"config key models has {self.name!r} of {self.path!r}, whose tensors are in {name!r}; files with "
                    "tensors must lie beside it."
                )
        return sorted(str(file.parent / name) for name in names)

    def files(self) -> list[str]:
        """Return the user's files: the model and its tensors."""
        return [self.path, *self.external()]

    def build(self, classes: int) -> "nn.Module":
        """Raise ModelError: there is no torch module in an ONNX file."""
        raise ModelError(f"{self.name} is an ONNX file, which has no PyTorch module.")
