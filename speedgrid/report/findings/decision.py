"""What to deploy: for throughput, for latency and for energy, what is gained by it, and what it costs."""

import math
from typing import Any

import pandas as pd

from speedgrid.grid import Config, nearest
from speedgrid.report.findings import accuracy, demands
from speedgrid.report.findings.objectives import OBJECTIVES, advantage, best, interval, ties
from speedgrid.table.across import alike
from speedgrid.table.run import Reference, Table
from speedgrid.text.markup import Markdown, _, ngettext
from speedgrid.text.words import backend_name, label, listed, measured, number, relabelled, setting


def answers(table: Table, resolution: int, config: Config, margin: float) -> list[Markdown]:
    """Return the settings to deploy at a resolution, a paragraph an objective, after the demands of the configuration.

    config: `report.reference`, and the demands of speedgrid.report.findings.demands. margin: below it settings tie.
    """
    rows = measured(table)
    rows = rows[rows.resolution == resolution]
    if rows.empty:
        nothing = _("Nothing was measured at {resolution} x {resolution} pixels, so there is nothing to recommend.")
        return [nothing.format(resolution=resolution)]
    asked = demands.demands(config)
    found = [demands.sentence(rows, asked)] if asked else []
    eligible = demands.meeting(rows, asked)
    texts = (recommendation(name, eligible, rows, config["report"]["reference"], margin) for name in OBJECTIVES)
    return [*found, *filter(None, texts)]


def recommended(table: Table, name: str, config: Config, margin: float):
    """Return the row that the answer names for one objective, at the report's resolution; None where it names none."""
    rows = measured(table)
    rows = rows[rows.resolution == nearest(table.resolution, config["report"]["resolution"])]
    return chosen(name, demands.meeting(rows, demands.demands(config)), margin)


def recommendation(name: str, rows: Table, everything: Table, reference: Reference, margin: float) -> Markdown:
    """Return the paragraph of one objective, empty if no row has a value for it.

    rows: those that may be recommended. everything: all of the same resolution, to compare with.
    """
    objective = OBJECTIVES[name]
    winner = chosen(name, rows, margin)
    if winner is None:
        return Markdown()
    parts = [
        headline(name, winner),
        preference(winner, rows, objective, margin),
        *gains(name, winner, everything, reference, margin),
        price(winner),
        payback(name, winner, everything, reference),
        tied(winner, rows, objective, margin),
    ]
    return Markdown(" ").join(part for part in parts if part)


def chosen(name: str, rows: Table, margin: float):
    """Return the row to recommend: the best; for throughput, of those within the margin the one with least memory."""
    winner = best(rows, OBJECTIVES[name])
    if winner is None or name != "throughput":
        return winner
    close = rows[rows.throughput_fps >= winner.throughput_fps / margin]
    return close.sort_values(["memory_mb", "batch_size"], kind="stable").iloc[0] if close.memory_mb.any() else winner


def headline(name: str, row) -> Markdown:
    """Name the recommended setting and its figure with its interval."""
    value, low, high = interval(row, OBJECTIVES[name])
    between = _between(low, high, _(" (95 % interval {low} to {high})"))
    sentence = {
        "throughput": _(
            "**For throughput** at {resolution} x {resolution} pixels: **{setting}**, {figure} images/s{between}."
        ),
        "latency": _(
            "**For latency** at {resolution} x {resolution} pixels: **{setting}**, {figure} ms a call{between}."
        ),
        "energy": _(
            "**For energy** at {resolution} x {resolution} pixels: **{setting}**, {figure} mJ an image{between}."
        ),
    }[name]
    return sentence.format(resolution=row.resolution, setting=setting(row), figure=number(value), between=between)


def preference(winner, rows: Table, objective, margin: float) -> Markdown:
    """Say why the row with the best figure is not the one that is recommended; empty where it is."""
    top = best(rows, objective)
    if top.name == winner.name:
        return Markdown()
    return _("{setting} has {figure}: of the settings within {margin} % of it, this one takes least memory.").format(
        setting=setting(top), figure=number(top[objective.column]), margin=f"{100 * (margin - 1):.1f}"
    )


def gains(name: str, winner, rows: Table, reference: Reference, margin: float) -> list[Markdown]:
    """Say how much better a row is than the reference at its best batch size, and than its backend's own best."""
    objective, backend = OBJECTIVES[name], reference["backend"]
    base, top = reference_best(rows, reference, objective), best(rows[rows.backend == backend], objective)
    found = []
    if base is not None and base.name != winner.name:
        text = _("{label} at its best (batch size {batch_size})").format(label=label(base), batch_size=base.batch_size)
        found.append(gain(name, advantage(winner, base, objective), text, margin))
    if winner.backend != backend and top is not None and (base is None or top.name != base.name):
        text = _("the best setting of {backend} ({precision}, batch size {batch_size})").format(
            backend=backend_name(backend), precision=top.precision, batch_size=top.batch_size
        )
        found.append(gain(name, advantage(winner, top, objective), text, margin))
    return found


def reference_best(rows: Table, reference: Reference, objective):
    """Return the best row of the reference backend and precision that ran what it says, or None."""
    own = rows[(rows.backend == reference["backend"]) & (rows.precision == reference["precision"])]
    return best(own[~relabelled(own)], objective)


def gain(name: str, ratio: tuple[float, float, float], over: Markdown, margin: float) -> Markdown:
    """Say by how much one setting is better than another, if it is beyond doubt."""
    value, low, high = ratio
    certain = {
        "throughput": _("That is {value} times{between} the rate of {over}."),
        "latency": _("That is {value} times{between} as fast as {over}."),
        "energy": _("That is {value} times{between} the images per joule of {over}."),
    }[name]
    doubtful = _("A gain over {over} is not certain: {value} times{between}.")
    if not math.isfinite(high):
        return _(
            "How it compares with {over} is not known: they were measured in different sessions that nothing links."
        ).format(over=over)
    text = certain if low > margin else doubtful
    return text.format(value=number(value), between=_between(low, high, _(" ({low} to {high})")), over=over)


def _between(low: float, high: float, text: Markdown) -> Markdown:
    """Write an interval, if there is one."""
    return text.format(low=number(low), high=number(high)) if low < high else Markdown()


def price(row) -> Markdown:
    """Say what a row costs: memory, agreement with the float64 reference, accuracy, build time."""
    parts = []
    if pd.notna(row.memory_mb):
        parts.append(_("{memory} MB").format(memory=number(row.memory_mb)))
    if pd.notna(row.snr_db):
        parts.append(_("an error of {snr:.0f} dB SNR").format(snr=row.snr_db))
    if pd.notna(row.top1_agreement):
        share = f"{100 * row.top1_agreement:.3g}"
        parts.append(_("the same class as float64 for {share} % of the images").format(share=share))
    if pd.notna(row.miou):
        parts.append(_("an mIoU of {miou:.4g} with the right masks").format(miou=row.miou))
    if pd.notna(row.matched_boxes):
        share = f"{100 * row.matched_boxes:.3g}"
        parts.append(_("{share} % of the right boxes found (F1)").format(share=share))
    parts += accuracy.price(row)
    if pd.notna(row.build_seconds):
        parts.append(_("{seconds} s to build").format(seconds=number(row.build_seconds)))
    return _("Its price: {parts}.").format(parts=Markdown(", ").join(parts)) if parts else Markdown()


def payback(name: str, row, rows: Table, reference: Reference) -> Markdown:
    """Say when the time to build has been won back from the reference: in calls for latency, else in images."""
    base = reference_best(rows, reference, OBJECTIVES["latency" if name == "latency" else "throughput"])
    if pd.isna(row.build_seconds) or base is None or not alike(row, base):
        return Markdown()
    if name == "latency":
        saved = (base.latency_ms - row.latency_ms) / 1000
        text = _("Its build is paid back after {count} calls, against {label}.")
    else:
        saved = 1 / base.throughput_fps - 1 / row.throughput_fps
        text = _("Its build is paid back after {count} images, against {label}.")
    if saved <= 0:
        return _("It is no faster than {label}, so its build is never paid back.").format(label=label(base))
    return text.format(count=number(math.ceil(row.build_seconds / saved)), label=label(base))


def tied(winner, rows: Table, objective, margin: float) -> Markdown:
    """Name the settings that a recommended one cannot be told apart from."""
    others = ties(rows, winner, objective, margin)
    if others.empty:
        return Markdown()
    names = listed([setting(row) for _name, row in others.iterrows()])
    doubt = f"{100 * (margin - 1):.1f}"
    return ngettext(
        "It is a tie with {names}: that they differ by more than {doubt} % is not certain.",
        "It is a tie with {names}: that it is better than these by more than {doubt} % is not certain.",
        len(others),
    ).format(names=names, doubt=doubt)


def by_resolution(table: Table, config: Config, margin: float) -> list[dict[str, Any]]:
    """Return the settings to deploy at each resolution: `resolution`, by objective the text of its setting or ""."""
    return [
        {"resolution": resolution} | winners(here, config, margin)
        for resolution, here in measured(table).groupby("resolution")
    ]


def by_model(table: Table, resolution: int, config: Config, margin: float) -> list[dict[str, Any]]:
    """Return the settings to deploy for each model: `model`, and for each objective the text of its setting or "".

    Its `top1` is that of the setting for throughput, as a share of images; None where no accuracy was measured.
    """
    rows = measured(table)
    found = []
    for model in table.model.unique():
        here = rows[(rows.model == model) & (rows.resolution == resolution)]
        fastest = chosen("throughput", demands.meeting(here, demands.demands(config)), margin)
        top1 = None if fastest is None else fastest.get("top1")
        known = {"model": model, "top1": None if pd.isna(top1) else top1}
        found.append(known | winners(here, config, margin))
    return found


def winners(rows: Table, config: Config, margin: float) -> dict[str, str]:
    """Return for each objective the text of the row to recommend, with its figure, or "" where there is none."""
    eligible = demands.meeting(rows, demands.demands(config))
    found = {name: chosen(name, eligible, margin) for name in OBJECTIVES}
    return {
        name: "" if row is None else f"{setting(row)}: {number(row[OBJECTIVES[name].column])}"
        for name, row in found.items()
    }
