"""Intervals of figures over rounds, of ratios and of shares: each contains the truth in 95 % of cases.

How often they do is simulated in tests/test_statistics.py.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import special

from speedgrid.evidence.between import Spread
from speedgrid.statistics import LEVEL, central_interval, median, order_statistic_interval

# Rounds that tell of their own spread; of fewer, cells that are like theirs say more.
ENOUGH = 3
# Cells whose rounds tell what they have in common.
FEWEST_TOGETHER = 3


class Rounds(list[np.ndarray]):
    """The samples of a cell, round by round, with what every interval asks of them, which is reckoned once."""

    @cached_property
    def medians(self) -> np.ndarray:
        """The median of each round."""
        return np.array([median(samples) for samples in self])

    @cached_property
    def logs(self) -> np.ndarray:
        """The logarithms of the rounds' medians."""
        return np.log(self.medians)

    @cached_property
    def error_within(self) -> float:
        """The standard error of the mean logarithm of the rounds' medians, were all processes alike."""
        intervals = [central_interval(np.asarray(samples, float), 0.5, special.ndtr(1.0)) for samples in self]
        return float(np.mean([np.log(high / low) / 2 for low, high in intervals]) / np.sqrt(len(self)))

    @classmethod
    def of(cls, rounds: list[np.ndarray]) -> "Rounds":
        """Return rounds as such, themselves if they are."""
        return rounds if isinstance(rounds, Rounds) else cls(rounds)


def median_interval(rounds: list[np.ndarray], like: Spread | None = None) -> tuple[float, float, float]:
    """Return (median, low, high) over rounds: the median of the rounds' medians with its 95 % interval.

    With one round: order statistics of its samples, which know nothing of what differs between processes. From two
    rounds on: Student's t over the logarithms of the rounds' medians, which contains it, and which is wide for two
    rounds because two say little; the interval is that of their mean, widened to the median where that lies outside.
    Where all rounds agree by chance, it is not narrower than one standard error on either side, as the samples within
    rounds have it: 96 % of intervals then contain the truth where processes do not differ at all, 98 % where besides
    each round is worth few independent samples. Samples are times, above 0.

    like: the spread between processes of the cells that are like this one (speedgrid.evidence.between). Of fewer than
    ENOUGH rounds the interval is then Student's t over that spread, moved towards what two rounds say themselves: 93 to
    98 % of intervals contain the truth, whether cells are alike or not.
    """
    known = Rounds.of(rounds)
    middle = median(known.medians)
    if like and len(known) < ENOUGH:
        return _borrowed(known, middle, like)
    if len(known) == 1:
        return (middle, *order_statistic_interval(known[0]))
    logs = known.logs
    error = logs.std(ddof=1) / np.sqrt(len(known))
    half = max(special.stdtrit(len(known) - 1, 0.5 + LEVEL / 2) * error, known.error_within)
    return middle, min(middle, float(np.exp(logs.mean() - half))), max(middle, float(np.exp(logs.mean() + half)))


def spread_of(rounds: list[np.ndarray], like: Spread | None = None) -> Spread | None:
    """Return the spread between processes that `median_interval` of rounds rests on; None where nothing is known."""
    known = Rounds.of(rounds)
    own = float(known.logs.var(ddof=1)) if len(known) > 1 else 0.0
    if len(known) >= ENOUGH or not like:
        return Spread(own, len(known) - 1) if len(known) > 1 else None
    inside = within(known)
    found = like.moderated(max(own, inside), len(known) - 1)
    return Spread(max(found.variance, inside), found.freedom)


def _borrowed(rounds: Rounds, middle: float, like: Spread) -> tuple[float, float, float]:
    """Return `median_interval` of one or two rounds with the spread of cells that are like them."""
    logs, known = rounds.logs, spread_of(rounds, like)
    assert known is not None
    half = float(special.stdtrit(known.freedom, 0.5 + LEVEL / 2) * np.sqrt(known.variance / len(logs)))
    low, high = order_statistic_interval(rounds[0]) if len(rounds) == 1 else (middle, middle)
    return middle, min(low, float(np.exp(logs.mean() - half))), max(high, float(np.exp(logs.mean() + half)))


def within(rounds: list[np.ndarray]) -> float:
    """Return the variance of the logarithm of one round's median as the samples within rounds have it."""
    intervals = [order_statistic_interval(samples) for samples in rounds]
    return float(np.mean([(np.log(high / low) / 2 / special.ndtri(0.5 + LEVEL / 2)) ** 2 for low, high in intervals]))


class Course(NamedTuple):
    """The common course of cells that are measured side by side: a machine that is slower in one of them.

    effects: [rounds], in logarithms, 0 on average. cells: how many it is the mean of.
    """

    effects: np.ndarray
    cells: int

    def off(self, logs: np.ndarray) -> np.ndarray:
        """Return logarithms of one of the cells without it, as far from each other as they are by themselves.

        A cell's own part of the mean goes with it: a share 1 / cells of its variance, which is put back.
        """
        if len(logs) != len(self.effects):  # it has no such round, or one that counts for nothing
            return logs
        rest = logs - self.effects
        return rest.mean() + (rest - rest.mean()) / np.sqrt(1 - 1 / self.cells)


def course(cells: Sequence[list[np.ndarray]]) -> Course | None:
    """Return the common course of cells that were measured side by side in several rounds; None where it is not known.

    cells: of each the samples of its rounds. Of two cells it would be half of their difference, which is looked for.
    """
    most = max(map(len, cells), default=0)
    whole = [Rounds.of(rounds).logs for rounds in cells if len(rounds) == most]
    if most < 2 or len(whole) < FEWEST_TOGETHER:
        return None
    logs = np.array(whole)
    return Course((logs - logs.mean(axis=1, keepdims=True)).mean(axis=0), len(whole))


def compare(
    over: list[np.ndarray], under: list[np.ndarray], common: Course | None = None
) -> tuple[float, float, float]:
    """Return (ratio, low, high) of two cells' medians over rounds, `over` / `under`, with its 95 % interval.

    Welch's t-test over the logarithms of the rounds' medians, which knows that two cells of few rounds together say
    more than each by itself (as scipy.stats.ttest_ind with equal_var=False has it). Never narrower than one standard
    error, as the samples within rounds have it: 99 % of intervals then contain the truth where processes do not differ
    at all. Widened to the ratio of the medians where that lies outside. With one round of either: `ratio_interval` of
    their `median_interval`s. Samples are times, above 0.

    common: as of `course`, of cells that both are among. What all of them have in common in a round says nothing of how
    two of them differ, and is taken off: where it is ten times the rest, the interval is an eighth as wide; where there
    is none, it is as wide as without. 94 to 97 % of intervals contain the truth, also where cells suffer unevenly.
    """
    if min(len(over), len(under)) < 2:
        return ratio_interval(median_interval(over), median_interval(under))
    known = [Rounds.of(rounds) for rounds in (over, under)]
    logs = [common.off(one.logs) if common else one.logs for one in known]
    value = float(np.median(known[0].medians) / np.median(known[1].medians))
    middle, half = logs[0].mean() - logs[1].mean(), float(np.hypot(known[0].error_within, known[1].error_within))
    half = max(half, _welch(*logs))
    return value, min(value, float(np.exp(middle - half))), max(value, float(np.exp(middle + half)))


def _welch(one: np.ndarray, other: np.ndarray) -> float:
    """Return the half-width of the interval of a difference of two means, by Welch's t-test; 0 where none varies."""
    errors = np.array([values.var(ddof=1) / len(values) for values in (one, other)])
    if not errors.any():
        return 0.0
    freedom = errors.sum() ** 2 / (errors**2 / [len(one) - 1, len(other) - 1]).sum()
    return float(special.stdtrit(freedom, 0.5 + LEVEL / 2) * np.sqrt(errors.sum()))


def ratio_interval(over: tuple[float, float, float], under: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return (ratio, low, high) of two independent (value, low, high).

    Half-widths are added in quadrature on a logarithmic scale (Zou and Donner, Statistics in Medicine 27, 2008). It
    contains the truth in 95 % of cases where each interval rests on one round of hundreds of samples, and in up to
    99 % where it rests on 50 samples or on three rounds: each is as wide as itself demands, and both know more.
    """
    value = over[0] / under[0]
    low = np.hypot(np.log(over[0] / over[1]), np.log(under[2] / under[0]))
    high = np.hypot(np.log(over[2] / over[0]), np.log(under[0] / under[1]))
    return value, float(value * np.exp(-low)), float(value * np.exp(high))


def share_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, `hits` of `count`: Wilson's score interval.

    It holds near 0 and 1, where the normal interval fails (Brown, Cai and DasGupta, Statistical Science 16, 2001).
    """
    from scipy import stats  # half a second, which a timing need not pay

    low, high = stats.binomtest(hits, count).proportion_ci(LEVEL, method="wilson")
    return float(low), float(high)


def paired_loss(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float]:
    """Return (loss, low, high): by how much the share of right answers falls from `before` to `after`.

    Both are boolean [count], for the same images in the same order. Newcombe's interval of a difference of paired
    shares from their Wilson intervals and their correlation, with continuity correction (Statistics in Medicine 17,
    1998, pages 2635 to 2650, method 10). It is not empty where no answer differs: so many images cannot show that
    none ever does.
    """
    count, first, second = len(before), before.mean(), after.mean()
    low_1, high_1 = share_interval(int(before.sum()), count)
    low_2, high_2 = share_interval(int(after.sum()), count)
    both, neither = int((before & after).sum()), int((~before & ~after).sum())
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    product = (both + lost) * (won + neither) * (both + won) * (lost + neither)
    covariance: float = both * neither - lost * won
    if covariance > 0:
        covariance = max(covariance - count / 2, 0)
    correlation = covariance / np.sqrt(product) if product else 0.0
    below = spread(first - low_1, high_2 - second, correlation)
    above = spread(second - low_2, high_1 - first, correlation)
    return float(first - second), float(first - second - below), float(first - second + above)


def spread(one: float, other: float, correlation: float) -> float:
    """Return the root of two correlated half-widths added in quadrature."""
    return float(np.sqrt(max(one**2 - 2 * correlation * one * other + other**2, 0.0)))
