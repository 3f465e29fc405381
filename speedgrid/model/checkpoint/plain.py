"""Plain weights out of a checkpoint that also holds Python objects, or is a whole model: tensors by their names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from speedgrid.launcher.outputs import replacing
from speedgrid.launcher.reading import reason
from speedgrid.model.checkpoint import WeightsError, inert, kinds, tensors

DEEPEST = 100


@dataclass(frozen=True)
class Plain:
    """The plain weights that were written. tensors: how many by key of the file. left: names of objects left out."""

    output: Path
    tensors: dict[str, int]
    left: list[str]

    def __str__(self) -> str:
        parts = ", ".join(f"{count} tensors{f' under {key}' if key else ''}" for key, count in self.tensors.items())
        more = f" and {len(self.left) - 3} more" if len(self.left) > 3 else ""
        without = f", without {', '.join(self.left[:3])}{more}" if self.left else ""
        return f"{self.output} has {parts}{without}. Put it in the place of the original, or name it in model.weights."


def write(path: str | Path, output: str | Path | None = None) -> Plain:
    """Write the tensors in a checkpoint to `output`, by default beside it, and run nothing of it.

    Raises WeightsError, one sentence, where there are none, or where the output is there already.
    """
    kind = kinds.kind(path)
    target = Path(output or Path(path).with_suffix(".plain.pth"))
    if target.exists():
        raise WeightsError(f"{target} is there already; remove it, or name another file with --output.")
    found = weights(_content(path, kind))
    left = inert.names(path) if kind != "safetensors" else []
    if not found:
        arrays = ", but arrays of numpy; load them into the model" if "numpy.ndarray" in left else ""
        raise WeightsError(f"{path} has no tensors under names{arrays}; {kinds.SAVE}.")
    with replacing(target) as temporary:
        torch.save(found, temporary)
    return Plain(target, dict(counts(found)), left)


def _content(path: str | Path, kind: kinds.Kind) -> Any:
    if kind == "safetensors":
        return tensors.safetensors(path)
    try:
        return inert.load(path)
    except MemoryError:
        raise
    except Exception as error:
        problem = f"{path} is not a readable PyTorch checkpoint ({reason(error)})"
        raise WeightsError(f"{problem}; {kinds.CUT if inert.cut_off(path) else kinds.SAVE}.") from error


def weights(content: Any, depth: int = 0) -> Any:
    """Return the tensors in what a checkpoint holds, in dictionaries as they were; None where there are none.

    An object of torch.nn.Module becomes its state dict, and one like a dictionary a dictionary.
    """
    if isinstance(content, torch.Tensor):
        return content.detach()
    if depth > DEEPEST:
        return None
    if isinstance(content, inert.Inert):
        parts = content.state if isinstance(content.state, Mapping) else {}
        if "_parameters" in parts and "_modules" in parts:
            return dict(module(parts, depth)) or None
        content = {name: value for name, value in content.kept if isinstance(name, str)}
    if not isinstance(content, Mapping):
        return None
    found = {name: weights(value, depth + 1) for name, value in content.items() if isinstance(name, str)}
    return {name: value for name, value in found.items() if value is not None} or None


def module(parts: Mapping[str, Any], depth: int, prefix: str = "") -> Iterable[tuple[str, torch.Tensor]]:
    """Yield the state dict of a module by its parts, the attributes of torch.nn.Module."""
    passing = parts.get("_non_persistent_buffers_set")
    passing = passing if isinstance(passing, set) else set()
    for kind in ("_parameters", "_buffers"):
        for name, value in _items(parts.get(kind)):
            if isinstance(value, torch.Tensor) and name not in passing:
                yield f"{prefix}{name}", value.detach()
    for name, inner in _items(parts.get("_modules")):
        if isinstance(inner, inert.Inert) and isinstance(inner.state, Mapping) and depth < DEEPEST:
            yield from module(inner.state, depth + 1, f"{prefix}{name}.")


def _items(content: Any) -> list[tuple[str, Any]]:
    items = content.items() if isinstance(content, Mapping) else getattr(content, "kept", ())
    return [(name, value) for name, value in items if isinstance(name, str)]


def counts(found: Mapping[str, Any], key: str = "") -> Iterable[tuple[str, int]]:
    """Yield how many tensors there are under each key."""
    if own := sum(isinstance(value, torch.Tensor) for value in found.values()):
        yield key, own
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from counts(value, f"{key}.{name}" if key else name)
