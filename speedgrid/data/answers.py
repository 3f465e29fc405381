"""Answers of a session beside the right ones: the types of what is seen of their errors, and of what is expected."""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class MaskParity:
    """Semantic masks beside the right ones: `pixel_agreement`, the share of pixels of the same class, and `miou`.

    miou: mean intersection over union of all classes that either has, over all images together, as of Long, Shelhamer
    and Darrell (arXiv:1411.4038), section 5.
    """

    pixel_agreement: float
    miou: float


@dataclass(frozen=True)
class BoxParity:
    """Boxes beside the right ones, matched one to one within their class, as of speedgrid.evidence.tasks.boxes.

    right, found: how many there are, without those excused. f1_loose, f1_tight: F1 of matches whose boxes overlap by
    a half and by 0.95. mean_iou: of the former, 1 where there is nothing to match. score_difference: the largest
    of a match. excused: boxes of which one side has none, with a score so near to the threshold that rounding decides.
    """

    right: int
    found: int
    f1_loose: float
    f1_tight: float
    mean_iou: float
    score_difference: float
    excused: int


@dataclass(frozen=True)
class IntegerParity:
    """Integers beside the right ones: labels, counts, places.

    exact: share that is the same. count: of all. alone: the model gives nothing else.
    """

    exact: float
    count: int
    alone: bool = False


@dataclass(frozen=True)
class Errors:
    """Errors of a session's outputs beside the float64 reference, one number for each compared image.

    images: how many different ones. signal, noise: L2 norms of the reference's outputs and of the difference. margin:
    between the reference's two best classes; None of one class. same_class: both have the same best class. nearest: L2
    distance to the nearest right answer of another image; None where no other image has another answer. Empty in older
    records. output: the name of the output that they are of, of a model with several: the one that falls furthest short
    of what its precision gives it. outputs_db: SNR in dB of each of several, of all images together. task: of the
    model; empty in older records. masks, boxes, integers: what users see of them, where the model gives such. The
    errors are those of matched boxes where there are boxes, and of integers where there is nothing else.
    """

    images: int
    signal: list[float]
    noise: list[float]
    cosine: list[float]
    margin: list[float | None]
    same_class: list[bool]
    classes: int
    nearest: list[float | None] = field(default_factory=list, compare=False)
    output: str = ""
    outputs_db: dict[str, float] = field(default_factory=dict)
    task: str = ""
    masks: MaskParity | None = None
    boxes: BoxParity | None = None
    integers: IntegerParity | None = None

    @property
    def of_integers(self) -> bool:
        """Whether the model gives nothing but integers, which rounding changes seldom, and then wholly."""
        return self.integers is not None and self.integers.alone

    @property
    def of_tensors(self) -> bool:
        """Whether the errors are those of tensors, as a session wrote them."""
        return self.boxes is None and not self.of_integers


@dataclass(frozen=True)
class Parity:
    """Figures of all compared images, as of speedgrid.evidence.parity: what records before format 4 have of Errors."""

    images: int
    snr_db: float
    snr_db_min: float
    snr_db_median: float
    relative_l2: float
    cosine_min: float
    top1_agreement: float


@dataclass(frozen=True)
class Expected:
    """Errors that rounding is expected to make on this model: SNR in dB by precision, and its unevenness in dB.

    images_db: SNR in dB of each simulated image, the first of those that sessions are compared on, by precision; empty
    in older records, and without a precision whose SNR is not simulated but known of the very file that runs.
    outputs: the same of each output of a model with several, by its name. reference: what the right answers are of.
    own_db: SNR in dB of the right answers, as their own rounding leaves them; None where it was not looked at.
    same: share of boxes (F1) or integers that are the same, by precision, of `same_of` of them; empty of other answers.
    """

    snr_db: dict[str, float]
    uneven_db: float = 0.0
    images_db: dict[str, list[float]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    reference: str = "float64"
    own_db: float | None = None
    same: dict[str, float] = field(default_factory=dict)
    same_of: int = 0

    def usual(self, precision: str) -> dict[str, float]:
        """Return the SNR in dB that is expected of each of several outputs in a precision."""
        return {name: self.of(name).snr_db[precision] for name in self.outputs}

    def of(self, output: str) -> "Expected":
        """Return the errors that are expected of one output."""
        return replace(self, **self.outputs[output], outputs={}) if output in self.outputs else self
