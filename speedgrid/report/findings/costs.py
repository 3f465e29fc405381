"""What the recommended settings cost: memory, errors, right answers, and time to build."""

import math
from typing import Any

import pandas as pd

from speedgrid.report.findings import accuracy
from speedgrid.report.findings.objectives import OBJECTIVES, advantage, best
from speedgrid.report.findings.topic import Topic, filled, linked
from speedgrid.table.across import alike
from speedgrid.table.run import Reference, Table
from speedgrid.text.markup import Markdown, _
from speedgrid.text.words import backend_name, label, number, relabelled, setting, with_interval


def costs(winners: dict[str, Any], rows: Table, reference: Reference) -> Topic:
    """Return a line of costs for each recommended setting that differs.

    winners: the rows by objective. rows: all of the same resolution. Of a setting for several objectives the first one
    says when its build is paid back, and what it gains over the reference's own runtime at its best.
    """
    first = {row.name: (name, row) for name, row in reversed(winners.items())}
    lines = [line(name, row, rows, reference) for name, row in reversed(first.values())]
    head = [
        _("setting"),
        _("memory, MB"),
        _("error, dB SNR"),
        _("same class as float64, %"),
        _("mIoU with the right masks"),
        _("right boxes found (F1), %"),
        _("evaluation images right, %"),
        _("points less than float32"),
        _("same class as float32, %"),
        _("times the best of {backend}").format(backend=backend_name(reference["backend"])),
        _("build, s"),
        _("build paid back"),
    ]
    return Topic([], *filled(head, lines)) if lines else Topic()


def line(name: str, row, rows: Table, reference: Reference) -> list[str]:
    """Return the cells of one setting; empty where nothing was measured."""
    return [
        linked(setting(row), row),
        number(row.memory_mb),
        known(row.snr_db, "{:.0f}"),
        share(row.top1_agreement),
        known(row.miou, "{:.4g}"),
        share(row.matched_boxes),
        known(row.top1, "{}", accuracy.percent),
        known(row.top1_loss, "{}", accuracy.percent),
        "" if pd.notna(row.top1) else known(row.agreement, "{}", accuracy.percent),
        over_own_best(name, row, rows, reference),
        number(row.build_seconds),
        payback(name, row, rows, reference),
    ]


def known(value, text: str, write=lambda value: value) -> str:
    """Write a figure that may be missing."""
    return "" if pd.isna(value) else text.format(write(value))


def share(value) -> str:
    """Write a share in percent, with three digits."""
    return known(value, "{:.3g}", lambda one: 100 * one)


def over_own_best(name: str, row, rows: Table, reference: Reference) -> str:
    """Write how much better a row is than the best of the reference's runtime, in whatever precision; else nothing."""
    objective, backend = OBJECTIVES[name], reference["backend"]
    top = best(rows[rows.backend == backend], objective)
    if row.backend == backend or top is None:
        return ""
    value, low, high = advantage(row, top, objective)
    if not math.isfinite(high):
        return ""
    return _("{ratio}: {precision}, batch size {size}").format(
        ratio=with_interval(value, low, high), precision=top.precision, size=top.batch_size
    )


def reference_best(rows: Table, reference: Reference, objective):
    """Return the best row of the reference backend and precision that ran what it says, or None."""
    own = rows[(rows.backend == reference["backend"]) & (rows.precision == reference["precision"])]
    return best(own[~relabelled(own)], objective)


def payback(name: str, row, rows: Table, reference: Reference) -> Markdown:
    """Say when the time to build has been won back from the reference: in calls for latency, else in images."""
    base = reference_best(rows, reference, OBJECTIVES["latency" if name == "latency" else "throughput"])
    if pd.isna(row.build_seconds) or base is None or not alike(row, base):
        return Markdown()
    if name == "latency":
        saved, text = (base.latency_ms - row.latency_ms) / 1000, _("after {count} calls")
    else:
        saved, text = 1 / base.throughput_fps - 1 / row.throughput_fps, _("after {count} images")
    if saved <= 0:
        return _("never: it is no faster than {label}").format(label=label(base))
    return text.format(count=number(math.ceil(row.build_seconds / saved)))
