"""What is in a checkpoint that holds Python objects, with nothing of it run.

A pickle names the classes and functions that it is made of. Here those that make tensors are what they are, and every
other name is a class of this module, which does nothing and keeps what it is given: whatever the file names, neither it
nor its module is ever imported (https://docs.python.org/3/library/pickle.html#restricting-globals).
"""

import io
import pickle
import pickletools
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch


def storage(content: bytes) -> Any:
    """Return the numbers of a tensor that was written by pickle itself, which are a checkpoint in the pickle."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


# What tensors, parameters and state dicts are made with.
MADE_WITH = {
    "torch._utils._rebuild_tensor": torch._utils._rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
    "torch._utils._rebuild_parameter": torch._utils._rebuild_parameter,
    "torch.storage._load_from_bytes": storage,
    "torch.Size": torch.Size,
    **{f"{module}.{kind.__name__}": kind for module in ("builtins", "__builtin__") for kind in (dict, list, set)},
    "collections.OrderedDict": OrderedDict,
}

# What the training scripts of torchvision and timm, Lightning and mmengine write beside weights: data alone.
KNOWN = {
    "argparse.Namespace",
    "builtins.getattr",
    "__builtin__.getattr",
    "_codecs.encode",
    "collections.defaultdict",
    "datetime.datetime",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "mmengine.config.config.ConfigDict",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pytorch_lightning.utilities.parsing.AttributeDict",
}
# Of a checkpoint as versions of torch before 1.6 wrote it, and before the numbers: what it is, its protocol, the
# machine, the content, and the keys of the numbers.
PICKLES = 5


class Inert:
    """An object of a file, of which nothing runs: it keeps what it was made of."""

    dump_patches = False  # else torch would compare the source of this class with that in an old file
    given: tuple[Any, ...]
    kept: list[tuple[Any, Any]]
    state: Any

    def __new__(cls, *given: Any, **named: Any):
        """Return an object that keeps `given`, whatever it is."""
        self = super().__new__(cls)
        self.given, self.kept, self.state = given, [], None
        return self

    def __init__(self, *given: Any, **named: Any):
        """Do nothing."""

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.kept.append((key, value))

    def __call__(self, *given: Any, **named: Any) -> "Inert":
        """Return another object: what a file would have called is not."""
        return Inert(*given)

    def append(self, item: Any) -> None:
        """Keep an item, as of a list."""
        self.kept.append((None, item))

    def extend(self, items: Any) -> None:
        """Keep items, as of a list."""
        self.kept += [(None, item) for item in items]

    def add(self, item: Any) -> None:
        """Keep an item, as of a set."""
        self.append(item)


class Unpickler(pickle.Unpickler):
    """An unpickler that imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the function that makes tensors, or a class that does nothing, for the name of anything else."""
        path = f"{module}.{name}"
        if path in MADE_WITH:
            return MADE_WITH[path]
        if module == "torch" and isinstance(found := getattr(torch, name, None), torch.dtype):
            return found
        return type(name.rpartition(".")[2] or "Inert", (Inert,), {"path": path})


def load(path: str | Path) -> Any:
    """Return the content of a checkpoint, in which objects other than tensors are Inert. Raises what torch raises."""
    module = SimpleNamespace(
        Unpickler=Unpickler,
        load=lambda file, **options: Unpickler(file, **options).load(),
        UnpicklingError=pickle.UnpicklingError,
        __name__="inert",
    )
    with warnings.catch_warnings(action="ignore"):  # on sources of classes, which are none here
        if not zipfile.is_zipfile(path) and ends(path) == 1:  # written by pickle and not by torch
            with open(path, "rb") as file:
                return Unpickler(file).load()
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=module)


def names(path: str | Path) -> list[str]:
    """Return the names of what a checkpoint has beside tensors and plain data, by its pickle; none where unreadable."""
    found: list[str] = []
    strings: list[str] = []
    try:
        for operation, argument, _ in operations(path):
            if operation.name == "GLOBAL":
                found.append(argument.replace(" ", "."))
            elif operation.name == "STACK_GLOBAL" and len(strings) > 1:
                found.append(f"{strings[-2]}.{strings[-1]}")
            if isinstance(argument, str):
                strings.append(argument)
    except Exception:  # of a damaged file what was found so far
        pass
    plain = {*MADE_WITH, *(f"torch.{name}" for name in dir(torch) if name.endswith("Storage"))}
    return list(dict.fromkeys(one for one in found if one not in plain))


def known(path: str | Path) -> bool:
    """Say whether a checkpoint has nothing beside tensors but what common training scripts write as data."""
    found = names(path)
    return bool(found) and all(one in KNOWN or one.startswith("numpy.dtypes.") for one in found)


def operations(path: str | Path) -> Any:
    """Yield the operations of the pickles in a checkpoint, as of pickletools.genops."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            member = next(name for name in archive.namelist() if name.partition("/")[2] == "data.pkl")
            yield from pickletools.genops(archive.read(member))
        return
    with open(path, "rb") as file:
        for _ in range(PICKLES):
            if not file.peek(1):
                return
            yield from pickletools.genops(file)


def cut_off(path: str | Path) -> bool:
    """Say whether a pickle, or a checkpoint as versions of torch before 1.6 wrote it, ends within its pickles."""
    return ends(path) not in (1, PICKLES)


def ends(path: str | Path) -> int:
    """Return how many pickles there are at the beginning of a file, PICKLES at most; 0 if one is cut off."""
    try:
        return sum(operation.name == "STOP" for operation, *_ in operations(path))
    except Exception:
        return 0
