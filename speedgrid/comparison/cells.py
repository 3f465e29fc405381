"""Bring two results together: which cells can be compared, what became of them, and what else changed."""

from dataclasses import asdict, dataclass

import pandas as pd

from speedgrid.comparison import noise, verdicts
from speedgrid.comparison.differences import LOST, fate
from speedgrid.comparison.load import ComparisonError, Result
from speedgrid.grid import AXES, Cell
from speedgrid.table.limiter import HOST_LAUNCH
from speedgrid.table.run import Table
from speedgrid.table.sizes import sized
from speedgrid.text.status import SHOWN

# Columns of the table of compared cells, and of its CSV.
COLUMNS = (
    *AXES,
    "verdict",
    "regression",
    "ratio",
    "ratio_low",
    "ratio_high",
    "clock_ratio",
    "cycle_ratio",
    "p_differs",
    "p_same",
    "latency_ms_a",
    "latency_ms_b",
    "rounds_a",
    "rounds_b",
    "status_a",
    "status_b",
    "observed_precision_a",
    "observed_precision_b",
    "snr_db_a",
    "snr_db_b",
    "top1_agreement_a",
    "top1_agreement_b",
    "reason_a",
    "reason_b",
)
# What is shown of both sides.
NUMBERS = ("latency_ms", "rounds", "sm_clock_mhz", "snr_db", "top1_agreement")
BESIDE = ["status", "observed_precision", "reason", *NUMBERS]
# A cell of which one side has no speed, or ran another precision: there is nothing to compare.
NOT_COMPARED, ONLY_A, ONLY_B = "NOT COMPARED", "ONLY IN A", "ONLY IN B"


@dataclass(frozen=True)
class Comparison:
    """A and B, `threshold` (0.05 is 5 %), and one row for each cell of either with COLUMNS, by name."""

    a: Result
    b: Result
    threshold: float
    cells: pd.DataFrame

    @property
    def regressions(self) -> pd.DataFrame:
        """Rows for which a gate closes: slower beyond the threshold, or without the speed that they had."""
        return self.cells[self.cells.regression]


def compare(a: Result, b: Result, threshold: float) -> Comparison:
    """Return the comparison of two results. Raises ComparisonError if they have no model in common.

    threshold: as in speedgrid.comparison.verdicts.decide. A regression is a cell that is SLOWER, with a ratio of 1 +
    threshold or more, or one that had a speed in A and has lost it in B.
    """
    if not verdicts.CLOSE - 1 < threshold < 1:
        raise ComparisonError(
            f"the threshold is {100 * threshold:g} %; it must be more than {100 * (verdicts.CLOSE - 1):.0f} % and less "
            "than 100 %."
        )
    models = [list(dict.fromkeys(one.table.model)) for one in (a, b)]
    if not set(models[0]) & set(models[1]):
        names = [", ".join(one) for one in models]
        raise ComparisonError(
            f"{a.name} is of {names[0]} and {b.name} of {names[1]}; two results of one model can be compared."
        )
    cells = side_by_side(a.table, b.table)
    if not (cells.status_a.notna() & cells.status_b.notna()).any():
        raise ComparisonError(f"{a.name} and {b.name} have no cell in common; two results of one grid can be compared.")
    shown = cells.status_a.isin(SHOWN) & cells.status_b.isin(SHOWN)
    comparable = shown & (cells.observed_precision_a == cells.observed_precision_b)
    cells = cells.join(decide(a, b, cells.index[comparable], threshold))
    for word, where in ((ONLY_A, cells.status_b.isna()), (ONLY_B, cells.status_a.isna())):
        cells["verdict"] = cells.verdict.mask(where, word)
    cells["verdict"] = cells.verdict.fillna(NOT_COMPARED)
    # Time is cycles over frequency: what the clock explains, and what is left.
    cells["clock_ratio"] = (cells.sm_clock_mhz_a / cells.sm_clock_mhz_b).where(comparable)
    cells["cycle_ratio"] = cells.ratio / cells.clock_ratio
    slower = (cells.verdict == verdicts.SLOWER) & (cells.ratio >= 1 + threshold)
    cells["regression"] = slower | cells.index.isin(fate(cells)[lambda fates: fates == LOST].index)
    return Comparison(a, b, threshold, cells[list(COLUMNS)])


def side_by_side(a: Table, b: Table) -> pd.DataFrame:
    """Return the rows of two tables beside each other, by the names of their cells: those of A, then B's own."""
    names = list(dict.fromkeys([*a.index, *b.index]))
    axes = sized(pd.DataFrame([asdict(Cell.parse(name)) for name in names], index=names))
    return axes.join([a[BESIDE].add_suffix("_a"), b[BESIDE].add_suffix("_b")])


def decide(a: Result, b: Result, names, threshold: float) -> pd.DataFrame:
    """Return ratio, interval, p-values and verdict of the cells `names`."""
    known_a, known_b = noise.moderate(
        (rounds(a), a.table.limiter), (rounds(b), b.table.limiter), repeats=(*a.repeats, *b.repeats)
    )
    ratios = b.table.latency_ms[names] / a.table.latency_ms[names]
    waiting = {name for one in (a, b) for name in one.table.index[one.table.limiter == HOST_LAUNCH]}
    pairs = {name: (known_a[name], known_b[name]) for name in names}
    found = verdicts.decide(pairs, ratios.to_dict(), threshold, waiting)
    return found.rename(columns={"low": "ratio_low", "high": "ratio_high"})


def rounds(result: Result) -> dict[str, noise.Rounds]:
    """Return the Rounds of each cell with a speed: from its samples, or else from the table's interval."""
    shown = result.table[result.table.status.isin(SHOWN) & result.table.latency_ms.notna()]
    return {
        name: noise.of_samples(result.samples[name])
        if name in result.samples
        else noise.of_interval(row.latency_ms, row.latency_ms_low, row.latency_ms_high, int(row.rounds), row.freedom)
        for name, row in shown.iterrows()
    }
