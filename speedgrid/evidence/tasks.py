"""Answers beside the right ones as users see them: masks, boxes and integers.

Precisions are told apart by the signal-to-noise ratio of tensors (speedgrid.evidence.parity). What is here says what an
error does to somebody who reads the answer. Non-maximum suppression in a graph, counts of boxes that differ from image
to image, and rows in another order are no errors of a precision: boxes are matched, and those whose score is too near
to the threshold to call are set aside and counted.
"""

from dataclasses import dataclass

import numpy as np

from speedgrid.data.answers import BoxParity, IntegerParity, MaskParity

TINY = np.finfo(float).tiny
# Intersections over unions at which boxes count as the same object: PASCAL VOC's (doi:10.1007/s11263-009-0275-4) and
# one that only boxes which agree to a few per cent have.
LOOSE, TIGHT = 0.5, 0.95


@dataclass(frozen=True)
class Boxes:
    """The boxes of one image. corners: float [count, 4], x1, y1, x2, y2 in pixels; scores, classes: [count]."""

    corners: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def masks(found: np.ndarray, right: np.ndarray) -> MaskParity:
    """Return the parity of scores of classes, float [images, classes, height, width], or of classes without that axis.

    The scores of one class are cut in the middle: at a half where all are from 0 to 1, else at 0. Raises ValueError for
    masks of another shape.
    """
    if found.shape != right.shape:
        raise ValueError(f"masks are {list(found.shape)}; they must be {list(right.shape)}")
    made, exact = found, right
    if right.ndim == 4 and right.shape[1] > 1:
        made, exact = found.argmax(axis=1), right.argmax(axis=1)
    elif right.ndim == 4:
        middle = 0.5 if right.min(initial=0) >= 0 and right.max(initial=1) <= 1 else 0.0
        made, exact = found > middle, right > middle
    same = made == exact
    overlaps = []
    for number in np.union1d(made, exact):
        either = (made == number) | (exact == number)
        overlaps.append((same & either).sum() / either.sum())
    return MaskParity(float(same.mean()), float(np.mean(overlaps)))


def integers(found: np.ndarray, right: np.ndarray) -> IntegerParity:
    """Return the share of integers that are the same; those that only one of both has, of another shape, are not."""
    if found.shape == right.shape:
        return IntegerParity(float((found == right).mean()) if right.size else 1.0, int(right.size))
    return IntegerParity(0.0, int(max(found.size, right.size)))


def boxes(found: list[Boxes], right: list[Boxes], threshold: float = 0.0, near: float = 0.01) -> BoxParity:
    """Return the parity of the boxes of several images, those with a score of `threshold` at least.

    near: how far from the threshold a score may lie for a box without a match to be excused; such a box has fallen on
    the other side. Boxes are matched within their class such that the sum of the overlaps of pairs is largest (H. W.
    Kuhn, The Hungarian method, 1955, by scipy.optimize.linear_sum_assignment): their order plays no part. Raises
    ValueError where the numbers of images differ.
    """
    overlaps: list[float] = []
    differences: list[float] = []
    counts = np.zeros(2, int)
    excused = 0
    for mine, exact in zip(found, right, strict=True):
        pairs = matches(mine, exact, threshold - near)
        sides = [(mine, 0, {one for one, _, _ in pairs}), (exact, 1, {one for _, one, _ in pairs})]
        # A pair that the threshold parts counts as a match, and as excused: one of its two is not seen by a user.
        higher = [max(mine.scores[one], exact.scores[other]) for one, other, _ in pairs]
        lower = [min(mine.scores[one], exact.scores[other]) for one, other, _ in pairs]
        kept = [pair for pair, score in zip(pairs, higher, strict=True) if score >= threshold]
        excused += sum(low < threshold <= high for low, high in zip(lower, higher, strict=True))
        overlaps += [iou for _, _, iou in kept]
        differences += [abs(float(mine.scores[one]) - float(exact.scores[other])) for one, other, _ in kept]
        counts += len(kept)
        for side, at, matched in sides:
            alone = [score for number, score in enumerate(side.scores) if number not in matched]
            clear = sum(score >= threshold + near for score in alone)
            counts[at] += clear
            excused += sum(threshold <= score < threshold + near for score in alone)
    return BoxParity(
        right=int(counts[1]),
        found=int(counts[0]),
        f1_loose=f1(overlaps, LOOSE, counts),
        f1_tight=f1(overlaps, TIGHT, counts),
        mean_iou=float(np.mean(overlaps)) if overlaps else float(not counts.any()),
        score_difference=max(differences, default=0.0),
        excused=excused,
    )


def f1(overlaps: list[float], least: float, counts: np.ndarray) -> float:
    """Return 2 x matches / (boxes on both sides), of matches that overlap by `least`; 1 where there are no boxes."""
    return 2 * sum(one >= least for one in overlaps) / int(counts.sum()) if counts.any() else 1.0


def matches(found: Boxes, right: Boxes, threshold: float) -> list[tuple[int, int, float]]:
    """Return pairs of one class as (place in found, place in right, intersection over union of LOOSE at least)."""
    from scipy.optimize import linear_sum_assignment

    mine, exact = (np.flatnonzero(one.scores >= threshold) for one in (found, right))
    overlap = iou(found.corners[mine], right.corners[exact])
    overlap[found.classes[mine][:, None] != right.classes[exact]] = 0
    overlap[overlap < LOOSE] = 0  # neighbours are no matches
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return [
        (int(mine[row]), int(exact[column]), float(overlap[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if overlap[row, column]
    ]


def iou(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each pair of boxes, float [found, right]; 0 of boxes without an area."""
    low = np.maximum(found[:, None, :2], right[None, :, :2])
    high = np.minimum(found[:, None, 2:], right[None, :, 2:])
    both = np.maximum(high - low, 0).prod(axis=2, dtype=float)
    areas = [np.maximum(one[:, 2:] - one[:, :2], 0).prod(axis=1, dtype=float) for one in (found, right)]
    return both / np.maximum(areas[0][:, None] + areas[1] - both, TINY)
