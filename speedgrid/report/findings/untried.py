"""What a run did not try that its device has: precisions, backends and batch sizes, and what they would take."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

import yaml

from speedgrid.backends.variants import VARIANTS
from speedgrid.grid import axes_of
from speedgrid.precision import PRECISIONS
from speedgrid.report.findings.effects import saturation
from speedgrid.report.findings.topic import Topic
from speedgrid.table.run import Description, Table
from speedgrid.text.markup import _, code_in_cell
from speedgrid.text.words import backend_name, listed, measured

# The largest that a configuration may have.
LARGEST_BATCH = 4096


def untried(table: Table, run: Description) -> Topic:
    """Return a line for each axis that has more on this device: what it is, how to add it, and the minutes it takes.

    The minutes are estimated from the pace of this run: builds, rounds, and cells that are loaded side by side in it.
    """
    config = run["config"]
    axes, device = axes_of(config), config["device"]
    has = {name: set(able(VARIANTS[name].precisions[device], run)) for name in VARIANTS}
    tried = {
        "precision": set(axes["precision"]),
        "backend": set(axes["backend"]),
        "batch_size": set(axes["batch_size"]),
    }
    precisions = {one for name in tried["backend"] for one in has[name]} - tried["precision"]
    backends = [name for name in VARIANTS if has[name] & tried["precision"] and name not in tried["backend"]]
    sizes = batch_sizes(table)
    more: dict[str, list[Any]] = {
        "precision": [name for name in PRECISIONS if name in precisions and not PRECISIONS[name].experimental],
        "backend": backends,
        "batch_size": sizes,
    }
    wanted = {
        "precision": sum(name in has[one] for one in tried["backend"] for name in more["precision"]),
        "backend": sum(len(has[name] & tried["precision"]) for name in backends),
        "batch_size": len(sizes) * len(table.groupby(["backend", "precision"])),
    }
    lines = [line_of(axis, added, wanted[axis], run) for axis, added in more.items() if added]
    if not lines:
        return Topic()
    head = [_("not tried"), _("line of the configuration that adds it"), _("cells"), _("minutes, about")]
    sentence = _("This device has more than this run tried. A `precision: [auto]` tries every one that runs here.")
    return Topic([sentence], head, lines)


def able(precisions: Iterable[str], run: Description) -> list[str]:
    """Return the precisions that a GPU has units for, by its compute capability; on a CPU all."""
    found = cast(Mapping[str, Any], run["machine"]).get("compute_capability")
    if not found:
        return list(precisions)
    capability = tuple(int(part) for part in str(found).split("."))
    return [name for name in precisions if (PRECISIONS[name].first_capability or (0, 0)) <= capability]


def batch_sizes(table: Table) -> list[int]:
    """Return powers of two that lack between those of a run, and the next one where images/s still rose at the last."""
    sizes = {int(size) for size in table.batch_size}
    powers = {2**power for power in range(max(sizes).bit_length())} - sizes
    lines = [
        line.sort_values("batch_size")
        for _place, line in measured(table).groupby(["backend", "precision", "resolution"])
        if line.batch_size.nunique() > 1
    ]
    rising = any(saturation(line).batch_size == max(sizes) for line in lines)
    following = 2 ** max(sizes).bit_length()
    return sorted(powers | ({following} if rising and following <= LARGEST_BATCH else set()))


def line_of(axis: str, added: list[Any], combinations: int, run: Description) -> list[Any]:
    """Return the line of one axis. combinations: of the axes that are listed, without resolutions and batch sizes."""
    config = run["config"]
    axes, device = axes_of(config), config["device"]
    others = [name for name in ("resolution", "batch_size") if name != axis]
    cells = combinations * len(axes["model"])
    for name in others:
        cells *= len(axes[name])
    values = sorted({*axes[axis], *added}) if axis == "batch_size" else [*axes[axis], *added]
    text = yaml.safe_dump({"grid": {device: {axis: values}}}, default_flow_style=True, width=10_000).strip()
    names = [backend_name(name) for name in added] if axis == "backend" else [str(one) for one in added]
    sentences = _("precisions: {names}"), _("backends: {names}"), _("batch sizes: {names}")
    what = sentences[("precision", "backend", "batch_size").index(axis)]
    return [
        what.format(names=listed(names, most=20)),
        code_in_cell(text.removeprefix("{").removesuffix("}")),
        cells,
        minutes(cells, run),
    ]


def minutes(cells: int, run: Description) -> str:
    """Return the minutes that more cells would take at the pace of the run, as text; empty if none is known."""
    known = sum(run["statuses"].values())
    spans = [(one["began"], one["ended"]) for one in run.get("sessions", ())]
    spans = spans or [(run["measured_from"], run["measured_to"])]
    try:
        times = [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in spans]
        seconds = sum((end - start).total_seconds() for start, end in times)
    except (TypeError, ValueError):  # of a result that others wrote
        return ""
    return str(max(1, round(cells * seconds / known / 60))) if known and seconds else ""
