"""The record of one evaluation of accuracy, as of speedgrid.measure.accuracy. Importing this imports nothing heavy."""

from typing import Any, NotRequired, TypedDict

from speedgrid.data.source import Images
from speedgrid.record import Status


class Answers(TypedDict):
    """The right classes of the evaluation images, and those that the float32 model gives them; see `Evaluation`."""

    model: str
    images: Images
    labels: list[int] | None
    predicted: list[int]


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
