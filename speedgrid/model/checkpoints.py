"""The user's checkpoints, found without reading them: a dry-run has no time to import torch."""

import difflib
import itertools
import json
import os
from collections.abc import Iterable
from pathlib import Path

from speedgrid import InputError
from speedgrid.data.resolution import Resolution
from speedgrid.launcher.inputs import expanded, file_fault
from speedgrid.model.sources import find as source_by_name

# Where a checkpoint may be, and need not be.
DEFAULT = "weights/best_{model}_{resolution}.pth"
# How the names of checkpoints end.
ENDINGS = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".tar", ".pkl")


class CheckpointError(InputError):
    """A checkpoint that is not where the configuration says; the message names the key, the file and what is wrong."""


def find(pattern: str, model: str, resolution: Resolution, described: str | Path) -> str | None:
    """Return the path of the user's checkpoint for a model at a resolution, or None where there need not be one.

    pattern: of the config key model.weights, which goes for models that have no weights of their own. There need not be
    one at its default place, unless the weights of an earlier run were taken from there. described: the description of
    those weights, where there were any. Raises CheckpointError for one that is missing or no readable file.
    """
    source = source_by_name(model)
    key, pattern = ("models", source.weights) if source.weights else ("model.weights", pattern)
    if source.gives_weights and not source.weights:
        return None
    path = expanded(pattern.format(model=model, resolution=resolution))
    if not (fault := file_fault(path)):
        return path
    which = f"config key {key} is {pattern!r}, and for {model} at {resolution} pixels {path!r} {fault}"
    if os.path.lexists(path):
        raise CheckpointError(f"{which}; it must be a file that can be read.")
    if pattern != DEFAULT:
        raise CheckpointError(
            f"{which}; put a checkpoint there, or leave the key out to measure with weights that need none."
        )
    if source_of(described) == path:
        raise CheckpointError(
            f"{which}, though the results of this folder were measured with it; "
            f"put it back, or remove {described} to measure without it."
        )
    return None


def require(pattern: str, models: Iterable[str], resolutions: Iterable[Resolution], described: str) -> None:
    """Look for every checkpoint of a grid as `find` does. described: with placeholders, as `pattern` is."""
    for model, resolution in itertools.product(models, resolutions):
        find(pattern, model, resolution, described.format(model=model, resolution=resolution))


def unasked(pattern: str, models: Iterable[str], resolutions: Iterable[Resolution]) -> list[str]:
    """Return a sentence on each checkpoint in weights/ that nothing of a grid asks for, and on what is."""
    folder = Path(DEFAULT).parent
    places = {
        os.path.normpath(
            expanded(pattern.format(model=model, resolution=resolution))
        ): f"{model} at {resolution} pixels"
        for model, resolution in itertools.product(models, resolutions)
    }
    there = sorted(str(path) for path in folder.glob("*") if path.name.endswith(ENDINGS) and path.name[0] != ".")
    found = []
    for path in there:
        if path not in places:
            missing = [place for place in places if not os.path.lexists(place)] or list(places)
            [near] = difflib.get_close_matches(path, missing, n=1, cutoff=0)
            found.append(f"{path} is not used: nothing asks for it; that of {places[near]} would be {near}.")
    return found


def source_of(described: str | Path) -> str | None:
    """Return the checkpoint that prepared weights were taken from by their description; None if from none."""
    try:
        origin = json.loads(Path(described).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there are no weights yet, or they will be made again
        return None
    return origin.get("source") if isinstance(origin, dict) and origin.get("own") else None
