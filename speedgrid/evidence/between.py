"""How far processes of one cell differ: each cell's few rounds, with what the cells of its run that are like it say.

One round tells nothing of it, and two tell little. Cells of one run are alike, so the variance of each is moved towards
theirs as far as they agree: the moderated t-statistic (Smyth, Statistical Applications in Genetics and Molecular
Biology 3, 2004; limma). A cell of one round has theirs alone, with the degrees of freedom that are then known.
`python -m benchmarks.rounds` simulates how often the intervals contain the truth.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

# No clock knows more: rounds that agree to the last digit do so by chance. Of logarithms, squared.
SMALLEST = 1e-4**2
# Fewer cells than this do not show how far cells are alike; then a cell may differ as if so many degrees were known.
FEWEST, LITTLE = 6, 2.5
# The logarithms of n variances are taken for farther apart than they are by this over n: few agree by chance.
DOUBT = 1.3
# Cells of which less is known than this have no interval that anybody could use.
LEAST = 1.0
# A cell whose variance one like the others has less often than this is no longer like them.
UNLIKE = 0.01


class Spread(NamedTuple):
    """The variance of the logarithm of one round's median, with its degrees of freedom."""

    variance: float
    freedom: float

    def moderated(self, own: float, freedom: float) -> "Spread":
        """Return the spread of a cell with a variance of its own, moved towards this one of its like.

        own: its variance. freedom: its degrees of freedom, 0 of one round. One that is unlike the others is left as it
        is.
        """
        if not freedom:
            return self
        if own > self.variance * special.fdtri(freedom, self.freedom, 1 - UNLIKE):
            return Spread(own, freedom)
        known = self.freedom + freedom
        return Spread((self.freedom * self.variance + freedom * own) / known, known)


def common(known: Sequence[Spread]) -> Spread | None:
    """Return the spread that cells of a run have in common; None where no cell has two rounds.

    known: of each cell with two rounds or more its own variance and degrees of freedom. Were the true variances scaled
    inverse chi-square, the estimates would be the result's variance times F(freedom of the cell, freedom of the
    result): the two are those whose mean and variance of the logarithms are the estimates' (Smyth's method of moments).
    """
    if not known:
        return None
    variances, freedom = (np.array(column, float) for column in zip(*known, strict=True))
    variances = np.maximum(variances, SMALLEST)
    total, count = float(freedom.sum()), len(known)
    if count < FEWEST:
        return Spread(float((freedom * variances).sum() / total), min(total, LITTLE))
    logs = np.log(variances) - special.digamma(freedom / 2) + np.log(freedom / 2)
    surplus = float(logs.var(ddof=1)) * (DOUBT + 3 / count) - float(special.polygamma(1, freedom / 2).mean())
    alike = max(LEAST, 2 * inverse_trigamma(surplus)) if surplus > 0 else np.inf
    if not np.isfinite(alike) or alike > 1e4:
        return Spread(float((freedom * variances).sum() / total), total)
    variance = np.exp(logs.mean() + special.digamma(alike / 2) - np.log(alike / 2))
    return Spread(float(variance), float(min(alike, total)))


def inverse_trigamma(value: float) -> float:
    """Return the number whose trigamma function is a value above 0, by Newton's method (Smyth 2004, appendix)."""
    if value > 1e7:
        return float(1 / np.sqrt(value))
    if value < 1e-6:
        return float(1 / value)
    found = 0.5 + 1 / value
    for _ in range(50):
        trigamma = special.polygamma(1, found)
        step = trigamma * (1 - trigamma / value) / special.polygamma(2, found)
        found += step
        if -step / found < 1e-8:
            break
    return float(found)
