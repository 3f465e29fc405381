"""The programs of a folder: that of its runtime, what it shares with others, and modules of this library."""

import re
from pathlib import Path

from speedgrid import ROOT
from speedgrid.handover.recipes import Recipe
from speedgrid.launcher import sources

# How a module imports another one of this library; in a folder they lie beside each other.
IMPORT = re.compile(r"^(\s*)from speedgrid(?:\.\w+)*\.(\w+) import ", re.MULTILINE)
SHARED = ("batches", "photographs", "check")


def programs(made: Recipe, source: Path, photographs: bool = True) -> dict[str, str]:
    """Return the text of each program of a folder by its name.

    source: where those for folders are. photographs: the model takes them, and not arrays of its own.
    """
    own = (source / "predict" / f"{made.program}.py").read_text(encoding="utf-8")
    shared = (*SHARED, *(["tensors"] if "from tensors import" in own else []))
    found = {"predict.py": own}
    found |= {f"{name}.py": (source / "shared" / f"{name}.py").read_text(encoding="utf-8") for name in shared}
    if not photographs:
        del found["photographs.py"]
    return found | {f"{name.split('.')[-1]}.py": alone(name, function) for name, function in made.library.items()}


def alone(module: str, function: str | None) -> str:
    """Return the text of a module of this library for a folder that has no other. function: all that is taken of it."""
    path = sources.file_of(module)
    if function:
        return f'"""A part of {module}."""\n\n{sources.reached(path, function)}\n'
    return IMPORT.sub(r"\1from \2 import ", (ROOT / path).read_text(encoding="utf-8"))
