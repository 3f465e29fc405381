"""Where models come from: one module per source, each a class with the names of speedgrid.model.sources.source.

An entry of the configuration's key models is the name of one of torchvision's models, or has the key of one source. A
process that works on models knows them by `declare`; a name that was not declared is torchvision's. Importing this
imports neither torch nor torchvision: a configuration is checked without them.
"""

import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from speedgrid.data.inputs import Input
from speedgrid.grid import MODEL
from speedgrid.launcher.inputs import file_fault
from speedgrid.launcher.reading import read_json, short
from speedgrid.model.sources.source import ModelError, Source
from speedgrid.model.sources.torchvision import Torchvision

__all__ = ["Entry", "ModelError", "Source", "complete", "declare", "find", "kind_of", "require"]

Entry: TypeAlias = str | dict[str, Any]
# The key of a source, its module and class, and how a model of it is called where it has no name of its own.
KINDS = {
    "torchvision": ("torchvision", "Torchvision"),
    "timm": ("timm_model", "Timm"),
    "onnx": ("onnx_file", "OnnxFile"),
    "factory": ("factory", "Factory"),
    "exported": ("exported", "Exported"),
}
# What may run code that came with the configuration, and so only where the user says `trust: true`.
RUNS_CODE = ("factory", "exported")
# Letters of a name, which is part of those of files.
LONGEST = 100
_declared: dict[str, Source] = {}


def find(name: str) -> Source:
    """Return the source that a model's name stands for."""
    return _declared.get(name) or Torchvision(name)


def declare(entries: Iterable[Entry]) -> None:
    """Let names stand for the models of a configuration from here on."""
    _declared.clear()
    _declared.update({entry["name"]: source_of(entry) for entry in entries if not isinstance(entry, str)})


def declared_in(path: str) -> str:
    """Declare the models of a configuration that is written in a JSON file, and return its path."""
    declare(read_json(path, dict)["models"])
    return path


def complete(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries of a configuration with the name of each, and declare them.

    Raises ModelError, one sentence, for one with no source, several, a key of another source, or a name twice.
    """
    named = [entry if isinstance(entry, str) else _named(entry) for entry in entries]
    names = [entry if isinstance(entry, str) else entry["name"] for entry in named]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ModelError(f"config key models has two models of the name {twice!r}; give one of them another `name`.")
    declare(named)
    return named


def kind_of(entry: Mapping[str, Any]) -> str:
    """Return the key of an entry's source. Raises ModelError where it has none, or several."""
    kinds = [key for key in KINDS if key in entry]
    if len(kinds) != 1:
        has = " and ".join(kinds) if kinds else "none of them"
        raise ModelError(
            f"config key models has an entry {short(dict(entry))} with {has}; it must have one source: "
            f"{', '.join(KINDS)}."
        )
    return kinds[0]


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    kind = kind_of(entry)
    if kind in RUNS_CODE and not entry.get("trust"):
        raise ModelError(
            f"config key models has {kind}: {entry[kind]!r}, which runs code of its own; add `trust: true` to that "
            "entry if you know where it comes from."
        )
    name = str(entry.get("name") or _default_name(kind, entry[kind]))
    if not re.fullmatch(MODEL, name) or len(name) > LONGEST:
        raise ModelError(
            f"config key models has {kind}: {short(entry[kind])}, which gives no name for files and tables; give that "
            "entry a `name` of letters, digits, dots and hyphens."
        )
    return {"name": name, **entry}


def _default_name(kind: str, value: str) -> str:
    return Path(value).stem if kind in ("onnx", "exported") else value.rpartition(":")[2]


def source_of(entry: Mapping[str, Any]) -> Source:
    """Return the source that an entry with a name describes. Raises ModelError for a key that is not of its source."""
    kind = kind_of(entry)
    module, name = KINDS[kind]
    made = getattr(import_module(f"speedgrid.model.sources.{module}"), name)
    given = {key: value for key, value in entry.items() if key not in ("trust", kind, "inputs")}
    given["model"] = entry[kind]
    known = [key for key in made.__dataclass_fields__ if key not in ("model", "inputs")]
    if unknown := next((key for key in given if key not in (*known, "model")), None):
        raise ModelError(
            f"config key models has {unknown!r} for {entry['name']!r}, which a model of {kind} has not; it has "
            f"{', '.join(known)}, inputs."
        )
    return made(**given, inputs=tuple(Input.of(name, one) for name, one in (entry.get("inputs") or {}).items()))


def require(entries: Iterable[Entry]) -> None:
    """Raise ModelError for the first entry that stands for no model, as far as that is seen without importing it.

    Nor does one whose inputs have values in a file that is not there, or cannot be read.
    """
    for entry in entries:
        found = find(entry if isinstance(entry, str) else entry["name"])
        found.require()
        for path in _values(found):
            if fault := file_fault(path):
                raise ModelError(f"config key models has {found.name!r} of {path!r}, which {fault}.")


def files(name: str) -> list[str]:
    """Return the user's files that a model and its inputs are made of; a change makes what is measured of it stale."""
    found = find(name)
    return [*found.files(), *_values(found)]


def _values(found: Source) -> list[str]:
    return [one.values for one in found.inputs if one.values]
