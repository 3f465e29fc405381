"""Boxes among the outputs of a detector: which outputs they are, and the errors of those that are matched.

Raw heads are tensors as any others. Boxes that a graph has already chosen come in any order and any number of rows;
their errors are taken pair by pair, so that what remains is rounding.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from speedgrid.data.answers import BoxParity
from speedgrid.evidence import tasks
from speedgrid.evidence.tasks import Boxes

# Boxes that users are shown by default: https://docs.ultralytics.com/modes/predict/#inference-arguments (conf).
SCORE = 0.25
# How far a score may lie from the threshold where rounding decides on which side.
NEAR = 0.01
# x1, y1, x2, y2, score, class: rows of a detector that ends in its own choice.
ROW = 6
Fields = Mapping[str, np.ndarray]


class Layout(NamedTuple):
    """The outputs that hold the corners of boxes, their scores, and their classes; of rows all are one output."""

    corners: str
    scores: str
    classes: str | None


class Matched(NamedTuple):
    """Boxes of a session beside the right ones.

    found, right: float64 [images, boxes, 5], corners and score of those that were matched, others are zeros. parity:
    what users see of all of them.
    """

    found: np.ndarray
    right: np.ndarray
    parity: BoxParity


def layout_of(right: Fields) -> Layout | None:
    """Return the layout of boxes among the right outputs, [images, rows, ...] each; None of outputs that are raw heads.

    They are one output [images, rows, 6], or corners [images, rows, 4] with scores [images, rows], and with classes of
    the same shape or without. Classes are whole numbers. Anything else beside them makes no boxes of them.
    """
    if len(right) == 1:
        ((name, rows),) = right.items()
        return Layout(name, name, name) if rows.ndim == 3 and rows.shape[2] == ROW and are_rows(rows) else None
    corners = [name for name, one in right.items() if one.ndim == 3 and one.shape[2] == 4]
    flat = {name: one for name, one in right.items() if one.ndim == 2}
    if len(corners) != 1 or len(corners) + len(flat) != len(right) or len(flat) > 2:
        return None
    if any(one.shape != right[corners[0]].shape[:2] for one in flat.values()):
        return None
    scores = sorted(flat, key=lambda name: (flat[name].dtype.kind in "iub", whole(flat[name]), "score" not in name))
    return Layout(corners[0], scores[0], scores[1] if len(scores) > 1 else None)


def are_rows(rows: np.ndarray) -> bool:
    """Say whether rows of six numbers end in a score from 0 to 1 and a class."""
    scores, classes = rows[..., 4], rows[..., 5]
    return bool(scores.size and scores.min() >= 0 and scores.max() <= 1 and whole(classes))


def whole(values: np.ndarray) -> bool:
    """Say whether all numbers are whole."""
    return bool((values == np.round(values)).all())


def boxes_of(outputs: Fields, layout: Layout) -> list[Boxes]:
    """Return the boxes of each image."""
    if layout.corners == layout.scores:
        rows = outputs[layout.corners]
        return [Boxes(one[:, :4], one[:, 4], np.round(one[:, 5])) for one in rows]
    corners, scores = outputs[layout.corners], outputs[layout.scores]
    classes = np.round(outputs[layout.classes]) if layout.classes is not None else np.zeros(scores.shape)
    return [Boxes(*one) for one in zip(corners, scores, classes, strict=True)]


def threshold_of(right: list[Boxes]) -> float:
    """Return the score from which boxes count: SCORE, or half of the largest where no right box has so much."""
    largest = max((float(one.scores.max(initial=0)) for one in right), default=0.0)
    return SCORE if largest >= SCORE else largest / 2


def matched(found: Fields, right: Fields, layout: Layout) -> Matched:
    """Return boxes beside the right ones, both outputs by name with the image as first axis.

    A pair that overlaps too little, or only one of both, is no error of rounding: it counts in the parity.
    """
    mine, exact = boxes_of(found, layout), boxes_of(right, layout)
    threshold = threshold_of(exact)
    parity = tasks.boxes(mine, exact, threshold, NEAR)
    rows = np.zeros((2, len(exact), max((len(one.scores) for one in exact), default=0), 5))
    for image, (one, other) in enumerate(zip(mine, exact, strict=True)):
        for place, (at, to, _) in enumerate(sorted(tasks.matches(one, other, threshold), key=lambda pair: pair[1])):
            rows[0, image, place] = [*one.corners[at], one.scores[at]]
            rows[1, image, place] = [*other.corners[to], other.scores[to]]
    return Matched(rows[0], rows[1], parity)
