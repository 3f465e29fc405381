"""What to deploy: for throughput, for latency and for energy, what is gained by it, and what it costs."""

import math
from typing import Any

import pandas as pd

from speedgrid.data.resolution import Resolution, in_words
from speedgrid.grid import Config, nearest
from speedgrid.report.findings import demands
from speedgrid.report.findings.answer_table import answer_table
from speedgrid.report.findings.costs import costs, reference_best
from speedgrid.report.findings.objectives import OBJECTIVES, advantage, best, interval, ties
from speedgrid.report.findings.topic import Topic
from speedgrid.table.run import Reference, Table
from speedgrid.text.markup import Markdown, _
from speedgrid.text.words import label, listed, measured, number, setting


def answers(table: Table, resolution: Resolution, config: Config, margin: float) -> list[Markdown]:
    """Return the settings to deploy at a resolution, a few sentences an objective, after what is demanded.

    config: `report.reference`, and the demands of speedgrid.report.findings.demands. margin: below it settings tie.
    """
    rows = at_resolution(table, resolution)
    if rows.empty:
        nothing = _("Nothing was measured at {size} pixels, so there is nothing to recommend.")
        return [nothing.format(size=in_words(resolution))]
    asked = demands.demands(config)
    found = [demands.sentence(rows, asked)] if asked else []
    eligible, reference = demands.meeting(rows, asked), config["report"]["reference"]
    winners = winning(eligible, margin)
    return [*found, *(recommendation(name, row, eligible, rows, reference, margin) for name, row in winners.items())]


def at_resolution(table: Table, resolution: Resolution) -> Table:
    """Return the rows of a resolution that have a speed."""
    rows = measured(table)
    return rows[rows.resolution == resolution]


def winning(eligible: Table, margin: float) -> dict[str, Any]:
    """Return the row to recommend for each objective that one has a figure for. eligible: rows that may be."""
    found = {name: chosen(name, eligible, margin) for name in OBJECTIVES}
    return {name: row for name, row in found.items() if row is not None}


def shown(table: Table, resolution: Resolution, config: Config, margin: float) -> list[Topic]:
    """Return the tables of the answer: what to take, all that meets the demands, ties, and what the winners cost."""
    rows = at_resolution(table, resolution)
    if rows.empty:
        return []
    asked = demands.demands(config)
    eligible = demands.meeting(rows, asked)
    best_of = winning(eligible, margin)
    found = [
        answer_table(best_of, rows, config, margin),
        Topic(tied(best_of, eligible, margin)),
        demands.all_that_meet(rows, asked),
        costs(best_of, rows, config["report"]["reference"]),
    ]
    return [one for one in found if one]


def recommended(table: Table, name: str, config: Config, margin: float):
    """Return the row that the answer names for one objective, at the report's resolution; None where it names none."""
    rows = measured(table)
    rows = rows[rows.resolution == nearest(table.resolution, config["report"]["resolution"])]
    return chosen(name, demands.meeting(rows, demands.demands(config)), margin)


def recommendation(name: str, winner, rows: Table, everything: Table, reference: Reference, margin: float) -> Markdown:
    """Return the recommendation for one objective, with its gain.

    rows: those that may be recommended. everything: all of the same resolution, to compare with.
    """
    parts = [
        headline(name, winner),
        preference(winner, rows, OBJECTIVES[name], margin),
        gained(name, winner, everything, reference, margin),
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
        "throughput": _("**For throughput** at {size} pixels: **{setting}**, {figure} images/s{between}."),
        "latency": _("**For latency** at {size} pixels: **{setting}**, {figure} ms a call{between}."),
        "energy": _("**For energy** at {size} pixels: **{setting}**, {figure} mJ an image{between}."),
    }[name]
    return sentence.format(size=in_words(row.resolution), setting=setting(row), figure=number(value), between=between)


def preference(winner, rows: Table, objective, margin: float) -> Markdown:
    """Say why the row with the best figure is not the one that is recommended; empty where it is."""
    top = best(rows, objective)
    if top.name == winner.name:
        return Markdown()
    return _("{setting} has {figure}: of the settings within {margin} % of it, this one takes least memory.").format(
        setting=setting(top), figure=number(top[objective.column]), margin=f"{100 * (margin - 1):.1f}"
    )


def gained(name: str, winner, rows: Table, reference: Reference, margin: float) -> Markdown:
    """Say how much better a row is than the reference at its best batch size; empty where there is nothing to say."""
    base = reference_best(rows, reference, OBJECTIVES[name])
    if base is None or base.name == winner.name:
        return Markdown()
    text = _("{label} at its best (batch size {batch_size})").format(label=label(base), batch_size=base.batch_size)
    return gain(name, advantage(winner, base, OBJECTIVES[name]), text, margin)


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


def tied(best_of: dict[str, Any], rows: Table, margin: float) -> list[Markdown]:
    """Name the settings that recommended ones cannot be told apart from, and say what a tie is; nothing without any."""
    found = []
    for name, winner in best_of.items():
        others = ties(rows, winner, OBJECTIVES[name], margin)
        if len(others):
            names = listed([setting(row) for _name, row in others.iterrows()], most=2)
            text = {
                "throughput": _("**This run cannot rank for throughput**: {winner} is in a tie with {names}."),
                "latency": _("**This run cannot rank for latency**: {winner} is in a tie with {names}."),
                "energy": _("**This run cannot rank for energy**: {winner} is in a tie with {names}."),
            }[name]
            found.append(text.format(winner=setting(winner), names=names))
    if found:
        tie = _("A tie: that they differ by more than {doubt} % is not certain.")
        found.append(tie.format(doubt=f"{100 * (margin - 1):.1f}"))
    return found


def by_resolution(table: Table, config: Config, margin: float) -> list[dict[str, Any]]:
    """Return the settings to deploy at each resolution: `resolution`, by objective the text of its setting or ""."""
    return [
        {"resolution": resolution} | winners(here, config, margin)
        for resolution, here in measured(table).groupby("resolution")
    ]


def by_model(table: Table, resolution: Resolution, config: Config, margin: float) -> list[dict[str, Any]]:
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
