"""What differs between two results besides speed: the status of cells, their accuracy, and the machine."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from speedgrid.table.run import Description
from speedgrid.text.markup import Markdown

# What stands for a setting that one side does not have.
ABSENT = Markdown("-")
LOST, CHANGED, GAINED = "lost", "changed", "gained"
# In dB of the error's power: an error that doubled is 6 dB, rounding in another order stays well below 3.
SNR_CHANGE = 3.0
# One image of the reference set is more than this.
AGREEMENT_CHANGE = 1e-9


def fate(cells: pd.DataFrame) -> pd.Series:
    """Return the fate, LOST, GAINED or CHANGED, of each cell of both whose status or precision changed.

    LOST: it has no speed any more, or one of another precision than it is labelled with.
    """
    steps = {"ok": 0, "unstable": 0, "busy": 0, "wrong_precision": 1}
    cells = cells[cells.status_a.notna() & cells.status_b.notna()]
    before, after = (cells[name].map(lambda status: steps.get(status, 2)) for name in ("status_a", "status_b"))
    other = (cells.status_a != cells.status_b) | (
        (before < 2) & (after < 2) & (cells.observed_precision_a != cells.observed_precision_b)
    )
    words = np.select([after > before, after < before, other], [LOST, GAINED, CHANGED], "")
    return pd.Series(words, cells.index)[words != ""]


def answers(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose answers are closer to the right ones than they were, or farther from them."""
    snr = (cells.snr_db_b.astype(float) - cells.snr_db_a.astype(float)).abs() >= SNR_CHANGE
    agreement = (cells.top1_agreement_b.astype(float) - cells.top1_agreement_a.astype(float)).abs() > AGREEMENT_CHANGE
    return cells[snr | agreement]


# Of a description, what tells two settings apart; commands and results are not settings.
SETTINGS = ("machine", "config", "gpus", "loaded_beside", "threads", "details")


def setup(a: Description, b: Description) -> list[tuple[str, str, str]]:
    """Return (key, in A, in B) of everything in two descriptions of runs that differs; "-" where it is not there."""
    left, right = (dict(settings(run)) for run in (a, b))
    keys = dict.fromkeys([*left, *right])
    return [(key, left.get(key, ABSENT), right.get(key, ABSENT)) for key in keys if left.get(key) != right.get(key)]


def settings(run: Description) -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text) of each setting, version and weight file that a run depended on."""
    known: dict[str, object] = dict(run)
    yield from flat({key: known[key] for key in SETTINGS if key in known})
    for one in run["weights"]:
        yield f"weights.{one['model']}.{one['resolution']}", f"{one['source']}, sha256 {str(one.get('sha256'))[:12]}"


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text) of every value in nested dictionaries."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from flat(one, f"{path}.{key}" if path else str(key))
    else:
        yield path, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
