"""The state dicts in a checkpoint, and the one whose names are those of a model.

Training scripts wrap: a file has the weights under a key, beside an average of them or an optimiser, and every name
begins with what the model was an attribute of. What is taken off is stated, and whatever is left does not fit is not
taken.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from speedgrid.launcher.reading import short
from speedgrid.model.checkpoint import WeightsError
from speedgrid.model.checkpoint.kinds import advice
from speedgrid.model.described import Part

State = dict[str, torch.Tensor]
# Where training scripts commonly put the state dict inside a checkpoint; of two that fit, the first is taken.
WRAPPERS = ("", "state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "module")
# Words of a key or prefix that holds an average of the weights, or another network than the one that was trained.
AVERAGES = ("ema", "average", "averaged", "avg", "swa", "shadow", "teacher", "momentum", "target")
# What data-parallel, sharded and compiled training and activation checkpoints put into names, wherever they stand.
ADDED = {"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# What averaging (torch.optim.swa_utils, mmengine) and counting of operations (thop) add beside weights.
BESIDE = {"n_averaged", "steps", "total_ops", "total_params"}
# Models have it, and old checkpoints do not: torch itself does without.
OPTIONAL = "num_batches_tracked"
DEEPEST = 5


@dataclass(frozen=True)
class Taken:
    """A state dict with the names of a model. key: of the part of the file, empty for the whole. prefix: taken off."""

    state: State = field(repr=False)
    key: str
    prefix: str

    def __str__(self) -> str:
        return ".".join(filter(None, (self.key, self.prefix.rstrip(".")))) or "the file as a whole"

    def average(self) -> bool:
        """Say whether a part is an average of the weights, or a network beside the one that was trained."""
        words = f"{self.key}.{self.prefix}".lower().replace(".", "_").replace("-", "_").split("_")
        return any(word in AVERAGES for word in words)

    def order(self) -> tuple[bool, int]:
        """Return the place of a part among those that fit: what was trained first, at its usual places first."""
        return self.average(), WRAPPERS.index(self.key) if self.key in WRAPPERS else len(WRAPPERS)


def take(path: str, content: Any, model: str, names: Collection[str]) -> tuple[State, Part]:
    """Return the state dict in a checkpoint's content that has the names of a model, and which part of it that is.

    names: of the model's own state dict. Raises WeightsError, one sentence with `path`, where none fits, or several
    that differ.
    """
    found = list(candidates(content))
    if not found:
        raise WeightsError(f"{path} holds no state dict; {advice(path)}.")
    fits = sorted((one for key, state in found for one in fitting(key, state, names)), key=Taken.order)
    if not fits:
        raise WeightsError(
            f"{path} does not hold weights of {model} ({nearest(found, names)}); "
            f"put its architecture into models or give weights of {model}."
        )
    first, *others = fits
    rivals = {str(one) for one in others if one.order() == first.order() and not same(one.state, first.state)}
    if rivals:
        listed = ", ".join(short(one) for one in (str(first), *sorted(rivals)))
        raise WeightsError(
            f"{path} holds several networks that are weights of {model}, {listed}, and nothing says which is meant; "
            "write that one alone, with torch.save(model.state_dict(), path)."
        )
    passed = list(dict.fromkeys(str(one) for one in others if not same(one.state, first.state)))
    return first.state, {"key": first.key, "prefix": first.prefix, "others": passed}


def candidates(content: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, State]]:
    """Yield the key and the tensors of every dictionary in a checkpoint that has tensors under names."""
    if not isinstance(content, Mapping) or depth > DEEPEST:
        return
    state = {name: value for name, value in content.items() if isinstance(name, str) and torch.is_tensor(value)}
    if state:
        yield key, state
    for name, value in content.items():
        if isinstance(name, str):
            yield from candidates(value, f"{key}.{name}" if key else name, depth + 1)


def fitting(key: str, state: State, names: Collection[str]) -> Iterator[Taken]:
    """Yield the parts of a state dict whose names are those of a model, each with what is taken off its names."""
    allowed = set(names)
    needed = {name for name in allowed if not name.endswith(OPTIONAL)}
    for forms in ({name: name for name in state}, without_added(state)):
        for prefix, count in coverage(forms.values(), needed).items():
            inside = {form[len(prefix) :]: name for name, form in forms.items() if form.startswith(prefix)}
            inside = {form: name for form, name in inside.items() if form.rpartition(".")[2] not in BESIDE}
            if count == len(needed) and set(inside) <= allowed:
                yield taken(key, prefix, inside, state)
        inside = {form.partition(".")[2]: name for name, form in forms.items() if form not in BESIDE}
        if len(inside) + len(BESIDE & set(forms)) == len(forms) and needed <= set(inside) <= allowed:
            yield taken(
                key, ", ".join(dict.fromkeys(f"{name.partition('.')[0]}." for name in inside.values())), inside, state
            )


def taken(key: str, prefix: str, inside: Mapping[str, str], state: State) -> Taken:
    """Return the part of a state dict that `inside` gives new names, with what was taken off them as it stood there."""
    prefixes = {name[: -len(form)] for form, name in inside.items() if name.endswith(form)}
    return Taken(
        {form: state[name] for form, name in inside.items()}, key, prefixes.pop() if len(prefixes) == 1 else prefix
    )


def without_added(names: Collection[str]) -> dict[str, str]:
    """Return the names without what training adds to them, by names as they are; all so where two would be one."""
    forms = {name: ".".join(one for one in name.split(".") if one not in ADDED) for name in names}
    return forms if len(set(forms.values())) == len(forms) else {name: name for name in names}


def coverage(forms: Collection[str], needed: Collection[str]) -> Counter[str]:
    """Return how many of a model's names there are behind each prefix."""
    found: Counter[str] = Counter()
    for form in forms:
        parts = form.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in needed:
                found["".join(f"{part}." for part in parts[:start])] += 1
    return found


def nearest(found: list[tuple[str, State]], names: Collection[str]) -> str:
    """Say what the first difference between a model and the state dict is that comes nearest to it."""
    needed = {name for name in names if not name.endswith(OPTIONAL)}
    best: tuple[int, str, set[str]] = (-1, "", set())
    for _, state in found:
        forms = set(without_added(state).values())
        prefix, count = next(iter(coverage(forms, needed).most_common(1)), ("", 0))
        if count > best[0]:
            best = count, prefix, {form[len(prefix) :] for form in forms if form.startswith(prefix)}
    _, prefix, given = best
    odd = [*sorted(needed - given)[:1], *sorted(given - set(names) - BESIDE)[:1]]
    behind = f" behind the prefix {short(prefix)}" if prefix else ""
    return f"first difference{behind}: {' / '.join(short_name(one) for one in odd)}"


def short_name(name: str) -> str:
    """Return a name of a tensor as a sentence can have it."""
    return name if name.isprintable() and len(name) <= 100 else short(name)


def same(one: State, other: State) -> bool:
    """Say whether two state dicts have the same numbers."""
    return one.keys() == other.keys() and all(
        value is other[name] or (value.shape == other[name].shape and torch.equal(value, other[name]))
        for name, value in one.items()
    )
