"""Decide cell by cell whether B is faster than A, slower, the same, or whether nobody can tell."""

import numpy as np
import pandas as pd

from speedgrid.comparison.noise import Rounds
from speedgrid.statistics import LEVEL

FASTER, SLOWER, SAME, UNDECIDED = VERDICTS = ("FASTER", "SLOWER", "SAME", "UNDECIDED")
# Share of wrong ones among the cells called FASTER or SLOWER.
FALSE_DISCOVERIES = 0.05
# One-sided, so that the whole 95 % interval of a cell that is the SAME lies within the band.
EQUIVALENCE = (1 - LEVEL) / 2
# Steady cells of two runs on one machine, directly after each other, differed by up to 0.7 %: what is closer than
# this is neither FASTER nor SLOWER, however narrow its interval.
CLOSE = 1.01


def decide(
    cells: dict[str, tuple[Rounds, Rounds]], ratios: dict[str, float], threshold: float, waiting=()
) -> pd.DataFrame:
    """Return `ratio`, `low`, `high`, `p_differs`, `p_same` and `verdict` of each cell, B over A in time.

    cells: moderated rounds in A and B. ratios: of the cells' latencies, which the intervals are widened to contain.
    threshold: the band of SAME reaches from 1 / (1 + threshold) to 1 + threshold. waiting: the cells that wait for
    their host.

    FASTER and SLOWER: Welch's t-test on the moderated variances, of "the ratio is 1". SAME: two one-sided t-tests of
    "it lies outside the band" (TOST: Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987). Both
    families of p-values are corrected by Benjamini and Hochberg, apart for cells that wait for their host, which can
    hardly be told and would take evidence from the others (Sun et al., Genetic Epidemiology 30, 2006). Decisions are
    made on them, and the intervals, which no such correction fits, are those of each cell by itself: wherever a verdict
    is reached, its interval excludes 1, or lies within the band.
    """
    from scipy.stats import false_discovery_control

    found = pd.DataFrame(
        [compare(*cells[cell], ratios[cell], np.log1p(threshold)) for cell in cells],
        index=list(cells),
        columns=["ratio", "low", "high", "p_differs", "p_same"],
    ).astype(float)
    for group in (found.index.isin(waiting), ~found.index.isin(waiting)):
        if (known := group & found.p_differs.notna()).any():
            for name in ("p_differs", "p_same"):
                found.loc[known, name] = false_discovery_control(found.loc[known, name])
    differs = (found.p_differs < FALSE_DISCOVERIES) & ((found.low > 1) | (found.high < 1))
    found["verdict"] = np.select(
        [
            differs & (found.ratio >= CLOSE),
            differs & (found.ratio <= 1 / CLOSE),
            (found.p_same < EQUIVALENCE) & (found.low >= 1 / (1 + threshold)) & (found.high <= 1 + threshold),
        ],
        [SLOWER, FASTER, SAME],
        UNDECIDED,
    )
    return found


def compare(a: Rounds, b: Rounds, ratio: float, band: float) -> tuple[float, float, float, float, float]:
    """Return (ratio, low, high, p of no difference, p of a difference beyond the band) of one cell.

    band: its upper end as a logarithm. A side of which nothing is known is believed to vary as the other does.
    Where that is so of both, nothing is known of what differs between processes: there is no interval, and nothing is
    decided.
    """
    from scipy.special import stdtr, stdtrit

    if not a.freedom and not b.freedom:
        return ratio, np.nan, np.nan, np.nan, np.nan
    known = [one if one.freedom else other for one, other in ((a, b), (b, a))]
    parts = np.array([max(one.inside, other.variance) / one.count for one, other in zip((a, b), known, strict=True)])
    # Welch and Satterthwaite; a side that lends its variance to the other knows no more than before.
    if not a.freedom or not b.freedom:
        degrees = known[0].freedom
    elif 1 in (a.count, b.count):  # a spread that is not of the cell itself; with more degrees nine in ten are right
        degrees = min(a.freedom, b.freedom)
    else:
        degrees = parts.sum() ** 2 / (parts**2 / [a.freedom, b.freedom]).sum()
    error, distance = np.sqrt(parts.sum()), b.centre - a.centre
    half = stdtrit(degrees, 0.5 + LEVEL / 2) * error
    differs, same = 2 * stdtr(degrees, -abs(distance) / error), stdtr(degrees, (abs(distance) - band) / error)
    low, high = np.exp(distance - half), np.exp(distance + half)
    return ratio, min(ratio, low), max(ratio, high), differs, same
