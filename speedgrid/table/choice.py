"""Which precision to take: of each backend's the fastest that costs little accuracy."""

import pandas as pd

from speedgrid.grid import AXES
from speedgrid.precision import EXPERIMENTAL
from speedgrid.table.across import comparable
from speedgrid.table.run import Table
from speedgrid.text.status import TRUE_TO_LABEL

# How far answers that are no class of an image agree with the right ones.
SHARES = ("pixel_agreement", "matched_boxes", "exact_integers")


def top1_loss(table: Table) -> pd.Series:
    """Return the share of images, 0 to 1, by which each row's top-1 is worse than the float model's.

    By labels where there are any. Else the share of the images that get another class than float64 gives them, an
    upper bound of it; of models of another task that of the pixels, boxes or integers. NaN where none is known.
    """
    agreement = table.top1_agreement.astype(float)
    for name in SHARES:
        if name in table:
            agreement = agreement.fillna(table[name].astype(float))
    disagreement = 1 - agreement
    return table["top1_loss"].astype(float).fillna(disagreement) if "top1_loss" in table else disagreement


def eligible(table: Table) -> pd.Series:
    """Return which rows have a speed that a precision can be chosen by: proven, and not of an experimental one."""
    return table.status.isin(TRUE_TO_LABEL) & table.latency_ms.notna() & ~table.precision.isin(EXPERIMENTAL)


def chosen(table: Table, max_top1_loss: float) -> pd.Series:
    """Return which rows are the choice: of each backend, resolution and batch size the fastest within the limit."""
    # A share of images is compared in whole images: rounding must not decide at the limit itself.
    within = table[eligible(table) & (top1_loss(table) <= max_top1_loss + 1e-9)]
    place = [axis for axis in AXES if axis != "precision"]
    within = within.assign(comparable_ms=comparable(within, within.latency_ms, larger=False))
    return pd.Series(table.index.isin(within.groupby(place).comparable_ms.idxmin()), table.index)
