"""How far rounds of one cell differ: each cell's few rounds, with what all cells of its run say about them.

Three rounds tell little about their own spread. Cells of one run are alike, so each one's variance is moved towards
theirs, as far as they agree: the moderated t-statistic (Smyth, Statistical Applications in Genetics and Molecular
Biology 3, 2004; limma), with its robust form for cells that are not like the others (Phipson et al., Annals of Applied
Statistics 10, 2016).

Seen on an NVIDIA H200 with 288 cells in three rounds: the standard deviation of the logarithms of the rounds' medians
is 0.4 % in compute-bound cells (half of them), 1.1 % in kernel-bound ones, with one in ten above 4.5 %, and 15 % in
host-launch-bound ones, which jump between two speeds: they are a group of their own, with a rule of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from speedgrid.evidence import between, intervals
from speedgrid.evidence.between import Spread
from speedgrid.statistics import LEVEL
from speedgrid.table.limiter import HOST_LAUNCH

# No clock knows more: rounds that agree to the last digit do so by chance. Of logarithms, squared.
SMALLEST = 1e-4**2
# Fewer variances than this, two of a cell of both runs, say nothing about others.
FEWEST = 24
# A cell with a variance that one like the others has less often than this is left as it is.
UNLIKE = 0.01
# The quartiles of n variances are taken for farther apart than they are by this over n, so that few cells do not seem
# to agree by chance: grids of 6 to 288 cells, none of which has changed, then have a false alarm in 5 % of comparisons.
DOUBT = 12
QUARTILES = (0.25, 0.75)


@dataclass(frozen=True)
class Rounds:
    """The rounds of one cell: their centre and their spread, in logarithms of ms; times have been above 0.

    centre: mean of the rounds' medians. variance: of one round about it, of which `freedom` degrees are known.
    inside: variance of one round's median as its own samples have it, below which `variance` is not believed.
    """

    centre: float
    variance: float
    freedom: float
    count: int
    inside: float = 0.0


def of_samples(samples: list[np.ndarray]) -> Rounds:
    """Return the Rounds of one cell from the samples of each, in ms."""
    logs = np.log([np.median(one) for one in samples])
    variance = float(logs.var(ddof=1)) if len(logs) > 1 else 0.0
    return Rounds(float(logs.mean()), variance, len(logs) - 1, len(logs), intervals.within(samples))


def of_interval(value: float, low: float, high: float, count: int, freedom: float = np.nan) -> Rounds:
    """Return the Rounds of one cell from a table's latency and its interval over `count` rounds, in ms.

    Inverts speedgrid.evidence.intervals.median_interval, exact where the interval is Student's t over the rounds.
    freedom: the degrees of freedom of that interval, where the table has them.
    """
    from scipy import special

    if count < 2:
        return Rounds(float(np.log(value)), 0.0, 0, count)
    half = np.log(high / low) / 2
    variance = (half / special.stdtrit(freedom if freedom > 0 else count - 1, 0.5 + LEVEL / 2)) ** 2 * count
    return Rounds(float(np.log(low * high) / 2), float(variance), count - 1, count)


def moderate(*runs: tuple[dict[str, Rounds], pd.Series], repeats: Sequence[Spread] = ()) -> list[dict[str, Rounds]]:
    """Return the rounds of all cells of each run with moderated variances and degrees of freedom.

    runs: of each, the rounds and the word of speedgrid.table.limiter by cell. Cells of all runs are taken together:
    where the runs are not alike, their variances agree less, and each cell is moved less. Cells of one round have the
    spread of all others and of `repeats`, further timings of a cell, as far as anything is known of it.
    """
    moderated = [dict(rounds) for rounds, _ in runs]
    steady: dict[tuple[int, str], Rounds] = {}
    waiting: dict[tuple[int, str], Rounds] = {}
    for number, (rounds, limiters) in enumerate(runs):
        for cell, one in rounds.items():
            if one.freedom:
                group = waiting if limiters.get(cell) == HOST_LAUNCH else steady
                group[number, cell] = replace(one, variance=max(one.variance, one.inside, SMALLEST))
    for (number, cell), one in (_shrink(steady) | _raise(waiting)).items():
        moderated[number][cell] = one
    for number, (rounds, limiters) in enumerate(runs):
        for cell, one in rounds.items():
            if not one.freedom:
                waits = limiters.get(cell) == HOST_LAUNCH
                moderated[number][cell] = _lent(one, waiting if waits else steady, () if waits else repeats)
    return moderated


def _lent(one: Rounds, group: dict[tuple[int, str], Rounds], repeats: Sequence[Spread]) -> Rounds:
    """Return a cell of one round with the spread of the others, where anything is known of it."""
    like = between.common([*(Spread(other.variance, other.freedom) for other in group.values()), *repeats])
    return replace(one, variance=like.variance, freedom=like.freedom) if like else one


def _raise(group: dict[tuple[int, str], Rounds]) -> dict[tuple[int, str], Rounds]:
    """Raise the variance of each cell that waits for its host to that of the usual such cell, where it is below.

    All three rounds of a cell that jumps between two speeds are at the same one in a quarter of cases.
    """
    usual = np.median([one.variance for one in group.values()]) if group else 0.0
    return {key: replace(one, variance=max(one.variance, float(usual))) for key, one in group.items()}


def _shrink(group: dict[tuple[int, str], Rounds]) -> dict[tuple[int, str], Rounds]:
    """Move each cell's variance towards that of all cells, unless it is unlike theirs."""
    from scipy import stats

    freedom = np.array([one.freedom for one in group.values()])
    scale, weight = prior(np.array([one.variance for one in group.values()]), freedom)
    if not weight:
        return group
    highest = {own: scale * stats.f.isf(UNLIKE, own, weight) for own in set(freedom)}
    return {
        key: one if one.variance > highest[one.freedom] else _towards(one, scale, weight, freedom.sum())
        for key, one in group.items()
    }


def _towards(one: Rounds, scale: float, weight: float, most: float) -> Rounds:
    """Average a variance with the prior's; all cells together know no more than `most` degrees of freedom."""
    variance = (weight * scale + one.freedom * one.variance) / (weight + one.freedom)
    return replace(one, variance=max(variance, one.inside), freedom=min(weight + one.freedom, most))


def prior(variances: np.ndarray, freedom: np.ndarray) -> tuple[float, float]:
    """Return the (variance, degrees of freedom) that cells have in common, (0, 0) where they say nothing.

    variances, freedom: [cells], estimates above 0 with their degrees of freedom. Were the true variances scaled inverse
    chi-square, the estimates would be `variance` times F(freedom, degrees): the two are chosen so that its quartiles
    are those of the estimates, which some strange cells do not move.
    """
    from scipy import optimize, stats

    usual = np.bincount(freedom.astype(int), minlength=1).argmax()
    alike = variances[freedom == usual]
    if len(alike) < FEWEST:
        return 0.0, 0.0
    seen = np.log(np.divide(*np.quantile(alike, QUARTILES)[::-1])) * (1 + DOUBT / len(alike))

    def surplus(logarithm: float) -> float:
        low, high = stats.f.ppf(QUARTILES, usual, np.exp(logarithm))
        return np.log(high / low) - seen

    fewest, most = np.log([0.1, 1000.0])
    if surplus(fewest) <= 0:
        return 0.0, 0.0
    weight = np.exp(most if surplus(most) >= 0 else optimize.brentq(surplus, fewest, most))
    return float(np.median(alike) / stats.f.median(usual, weight)), float(weight)
