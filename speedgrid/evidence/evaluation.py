"""The record of one evaluation of accuracy, as of speedgrid.measure.accuracy. Importing this imports nothing heavy."""

from typing import Any, NotRequired, TypedDict

from speedgrid.data.resolution import Resolution
from speedgrid.data.source import Images
from speedgrid.launcher.reading import REMEDY, FileError, of_kind
from speedgrid.record import Status


class Answers(TypedDict):
    """The right classes of the evaluation images, and those that the float32 model gives them; see `Evaluation`."""

    model: str
    images: Images
    labels: list[int] | None
    predicted: list[int]


class Place(TypedDict):
    """The fields of a cell, as plain JSON values."""

    model: str
    backend: str
    precision: str
    resolution: Resolution
    batch_size: int


class Evaluation(TypedDict):
    """The classes that one session gives the evaluation images, as plain JSON values.

    cell: its fields. images: their description. labels: the right classes, None where images have none. expected: those
    of the float32 model. predicted: None where the session gave none.
    """

    cell: dict[str, Any]
    status: Status
    reason: str
    measured_at: str
    fingerprint: str
    command: str
    images: Images
    labels: list[int] | None
    expected: list[int]
    predicted: list[int] | None
    traceback: NotRequired[str]


def whole(content: Any, name: str, remedy: str = REMEDY) -> Evaluation:
    """Return a JSON value that is a whole evaluation. name: of the file that it was read from. Raises FileError."""
    found = of_kind(content, Evaluation, name, remedy)
    of_kind(found["cell"], Place, name, remedy)
    lists = {"labels": found["labels"], "expected": found["expected"], "predicted": found["predicted"]}
    if len({len(one) for one in lists.values() if one is not None}) > 1:
        counts = ", ".join(f"{len(one)} {key}" for key, one in lists.items() if one is not None)
        raise FileError(f"{name} has {counts}; they must be as many as there are images: {remedy}.")
    return found
