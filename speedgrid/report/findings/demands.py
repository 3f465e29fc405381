"""What a configuration demands of a setting: which rows meet it, and what comes closest where none does."""

from typing import NamedTuple

import pandas as pd

from speedgrid.grid import Config
from speedgrid.measure import percentiles
from speedgrid.report.findings.topic import Topic, linked
from speedgrid.table.columns import BY_NAME
from speedgrid.table.run import Table
from speedgrid.text.column import LOWER
from speedgrid.text.markup import Markdown, _
from speedgrid.text.words import figure, label, number, setting


class Demand(NamedTuple):
    """A limit on one column, or on the worse end of its interval. key: of the configuration. text: how it is written.

    beyond_doubt: met by the worse end, so that it is met beyond doubt.
    """

    key: str
    name: str
    limit: float
    text: str
    beyond_doubt: bool = False

    @property
    def at_most(self) -> bool:
        """Whether less is better; else the limit is met by what is at least as much."""
        return BY_NAME[self.name].better == LOWER

    @property
    def column(self) -> str:
        """The column that is compared with the limit."""
        return f"{self.name}_{'high' if self.at_most else 'low'}" if self.beyond_doubt else self.name

    def missed_by(self, rows: Table) -> pd.Series:
        """Return by which factor each row misses the limit: 0 where it is met, NaN where nothing was measured."""
        values = rows[self.column].astype(float)
        ratio = values / self.limit if self.at_most else self.limit / values
        return (ratio - 1).clip(lower=0)


def demands(config: Config) -> list[Demand]:
    """Return the demands of a configuration, in the order of its schema.

    A latency is met by the upper end of its interval, so that it is met beyond doubt. A run of an older version knows
    of no demands on percentiles.
    """
    budget = config["budget"]
    known = [
        Demand("budget.latency_ms", "latency_ms", budget["latency_ms"], _("latency at most"), beyond_doubt=True),
        *(
            Demand(
                f"budget.{key}", key, budget.get(key), _("{percent} % of the calls in at most").format(percent=percent)
            )
            for key, percent in percentiles.KEYS.items()
        ),
        Demand("budget.memory_mb", "memory_mb", budget["memory_mb"], _("memory at most")),
        Demand("minimum_fps", "throughput_fps", config["minimum_fps"], _("at least")),
        Demand("minimum_streams", "streams", config["minimum_streams"], _("cameras in time at least")),
        Demand("minimum_top1", "top1", config["minimum_top1"], _("top-1 at least")),
        Demand(
            "minimum_top1_agreement", "top1_agreement", config["minimum_top1_agreement"], _("top-1 agreement at least")
        ),
    ]
    return [demand for demand in known if demand.limit is not None]


def before_streams(config: Config) -> Config:
    """Return a configuration without the demand on cameras, of which nothing is known until all rounds are over."""
    return {**config, "minimum_streams": None}


def written(demand: Demand, value: float) -> str:
    """Write the limit of a demand, or a row's figure for it, with its unit."""
    column = BY_NAME[demand.name]
    text = figure(value, column)
    return f"{text} {_(column.unit)}" if column.unit else text


def meeting(rows: Table, asked: list[Demand]) -> Table:
    """Return the rows that meet every demand."""
    met = pd.Series(True, rows.index)
    for demand in asked:
        met &= demand.missed_by(rows) == 0
    return rows[met]


def sentence(rows: Table, asked: list[Demand]) -> Markdown:
    """Say how many rows meet the demands, or, where none does, which comes closest and by how much it misses."""
    limits = ", ".join(f"{demand.text} {written(demand, demand.limit)}" for demand in asked)
    met = len(meeting(rows, asked))
    if met:
        return _("**Demanded**: {limits}. {met} of {count} settings meet this.").format(
            limits=limits, met=met, count=len(rows)
        )
    return (
        Markdown(" ")
        .join([_("**Demanded**: {limits}. No setting meets this.").format(limits=limits), closest(rows, asked)])
        .strip()
    )


def closest(rows: Table, asked: list[Demand]) -> Markdown:
    """Name the row whose worst miss is smallest, and what it misses; empty if no row has all the figures."""
    missed = pd.DataFrame({demand.key: demand.missed_by(rows) for demand in asked}, rows.index).dropna()
    if missed.empty:
        return _("No setting has a figure for all of it.")
    row = rows.loc[missed.max(axis=1).idxmin()]
    return _("Closest comes {setting}: {misses}.").format(setting=setting(row), misses=misses(row, asked))


def misses(row, asked: list[Demand]) -> Markdown:
    """Say what a row has instead of each limit that it misses, or that nothing is known of it."""
    found = []
    for demand in asked:
        limit = f"{demand.text} {written(demand, demand.limit)}"
        miss = demand.missed_by(row.to_frame().T).iloc[0]
        if pd.isna(miss):
            found.append(_("nothing known instead of {limit}").format(limit=limit))
        elif miss > 0:
            found.append(_("{value} instead of {limit}").format(value=written(demand, row[demand.column]), limit=limit))
    return Markdown(", ").join(found)


def standing(row, asked: list[Demand]) -> Markdown:
    """Say whether a row meets every demand: of those that it meets the one that it meets most barely, or its misses."""
    if found := misses(row, asked):
        return _("no: {misses}").format(misses=found)
    values = {demand: float(row[demand.column]) for demand in asked}
    barely = max(asked, key=lambda one: values[one] / one.limit if one.at_most else one.limit / values[one])
    return _("yes: {value}, {limit}").format(
        value=written(barely, values[barely]), limit=f"{barely.text} {written(barely, barely.limit)}"
    )


def all_that_meet(rows: Table, asked: list[Demand]) -> Topic:
    """Return every setting that meets the demands: a line for each backend and precision, with its batch sizes."""
    met = meeting(rows, asked)
    if not asked or met.empty:
        return Topic()
    lines = []
    for _place, line in met.groupby(["backend", "precision"], sort=False):
        sizes = Markdown(", ").join(
            linked(str(row.batch_size), row) for _index, row in line.sort_values("batch_size").iterrows()
        )
        rates = line.throughput_fps.fillna(line.fps)
        lines.append([label(line.iloc[0]), sizes, number(line.latency_ms.min()), number(rates.max())])
    head = [_("setting"), _("batch sizes that meet it"), _("least ms a call"), _("most images/s")]
    return Topic([_("**Every setting that meets what is demanded**:")], head, lines)
