"""Outputs of a timed session beside the float64 reference: the errors that are seen, image by image.

Figures of all images are those of speedgrid.evidence.snr; whether an error is that of a precision, or of none,
speedgrid.table.verdict decides.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from speedgrid.data import arrays
from speedgrid.data.answers import Errors, IntegerParity, MaskParity
from speedgrid.data.sequence import batch
from speedgrid.evidence import detections, tasks
from speedgrid.evidence.detections import Fields
from speedgrid.evidence.snr import TINY, decibels, relative_l2, summarise

# Images that are compared however long they take.
FEWEST = 4


def compare(outputs: np.ndarray, reference: np.ndarray) -> Errors | None:
    """Return the errors of outputs, float64 [images, ...], beside the reference's, image by image.

    None if an output is not finite: then nothing can be compared.
    """
    outputs, reference = outputs.reshape(len(outputs), -1), reference.reshape(len(reference), -1)
    if not np.isfinite(outputs).all():
        return None
    signal, noise = np.linalg.norm(reference, axis=1), np.linalg.norm(outputs - reference, axis=1)
    norms = np.maximum(np.linalg.norm(outputs, axis=1) * signal, TINY)
    ordered = np.sort(reference, axis=1)
    several = reference.shape[1] > 1
    return Errors(
        images=len(reference),
        signal=signal.tolist(),
        noise=noise.tolist(),
        cosine=((outputs * reference).sum(axis=1) / norms).tolist(),
        margin=(ordered[:, -1] - ordered[:, -2]).tolist() if several else [None] * len(reference),
        same_class=(outputs.argmax(axis=1) == reference.argmax(axis=1)).tolist(),
        classes=reference.shape[1],
        nearest=nearest(outputs, reference),
    )


def nearest(outputs: np.ndarray, reference: np.ndarray) -> list[float | None]:
    """Return the L2 distance of each output to the nearest right answer that is not its own; None where all are."""
    rows: dict[bytes, int] = {}  # images are repeated where a batch is larger
    own = np.array([rows.setdefault(row.tobytes(), number) for number, row in enumerate(reference)])
    kept = np.array(list(rows.values()))
    if len(kept) < 2:
        return [None] * len(outputs)
    answers, own = reference[kept], np.searchsorted(kept, own)
    squares = (outputs**2).sum(axis=1)[:, None] + (answers**2).sum(axis=1) - 2 * outputs @ answers.T
    squares[np.arange(len(outputs)), own] = np.inf
    return np.sqrt(np.maximum(squares.min(axis=1), 0.0)).tolist()


def worst(outputs: np.ndarray, reference: np.ndarray, usual: Mapping[str, float], task: str = "") -> Errors | None:
    """Return the errors of the output that is worst beside its `usual` SNR in dB, by name, with the SNR of all of them.

    Outputs are those of a session, in the order of the reference's, whose names are theirs; of one output, its errors.
    task: of the model, which says what else is seen: masks, boxes, integers. Boxes are matched first, and integers
    compared where there is nothing else. None if one is not finite.
    """
    right = arrays.fields(reference)
    found = dict(zip(right, arrays.fields(outputs).values(), strict=True))
    if not all(np.isfinite(one).all() for one in found.values()):
        return None
    if task == "detection" and (layout := detections.layout_of(right)):
        pairs = detections.matched(found, right, layout)
        seen = compare(pairs.found, pairs.right)
        return replace(seen, task=task, boxes=pairs.parity) if seen else None
    floats, whole = split(right)
    kept = of_floats(found, floats, usual) if floats else of_integers(found, whole)
    return replace(
        kept,
        task=task,
        masks=masks_of(found, right) if task == "segmentation" else None,
        integers=replace(integers_of(found, whole), alone=not floats) if whole else None,
    )


def split(outputs: Fields) -> tuple[Fields, Fields]:
    """Return the outputs of floats, and those of integers."""
    whole = {name: one for name, one in outputs.items() if one.dtype.kind in "iub"}
    return {name: one for name, one in outputs.items() if name not in whole}, whole


def of_floats(found: Fields, right: Fields, usual: Mapping[str, float]) -> Errors:
    """Return the errors of the output of floats that is worst beside its usual SNR; all of them are finite."""
    seen = {name: one for name in right if (one := compare(found[name], right[name]))}
    if len(seen) == 1:
        return next(iter(seen.values()))
    together = {name: round(decibels(relative_l2(one)), 2) for name, one in seen.items()}
    name = min(together, key=lambda one: together[one] - usual.get(one, 0.0))
    return replace(seen[name], output=name, outputs_db=together)


def snr_db(outputs: np.ndarray, reference: np.ndarray) -> float:
    """Return the SNR in dB of outputs, float64 [images, classes], all together; 0, no signal, if one is not finite."""
    errors = compare(outputs, reference)
    return round(summarise(errors).snr_db, 2) if errors else 0.0


def of_integers(found: Fields, right: Fields) -> Errors:
    """Return the errors of integers, as of vectors in which each has a place of its own for each value: one-hot."""
    count = len(next(iter(right.values())))
    flat = [(found[name].reshape(count, -1), one.reshape(count, -1)) for name, one in right.items()]
    wrong = np.concatenate([made != exact for made, exact in flat], axis=1)
    number = max(1, wrong.shape[1])
    return Errors(
        images=count,
        signal=[math.sqrt(number)] * count,
        noise=np.sqrt(2 * wrong.sum(axis=1)).tolist(),
        cosine=(1 - wrong.sum(axis=1) / number).tolist(),
        margin=[None] * count,
        same_class=[bool(one) for one in np.logical_not(wrong.any(axis=1))],
        classes=number,
    )


def integers_of(found: Fields, right: Fields) -> IntegerParity:
    """Return the share of all integers that are the same."""
    flat = [np.concatenate([one[name].reshape(-1) for name in right]) for one in (found, right)]
    return tasks.integers(*flat)


def masks_of(found: Fields, right: Fields) -> MaskParity | None:
    """Return the parity of the first output that has the form of masks, [images, classes, height, width]."""
    scores = [name for name, one in right.items() if one.ndim == 4]
    classes = [name for name, one in right.items() if one.ndim == 3 and one.dtype.kind in "iu"]
    name = next(iter(scores + classes), None)
    return None if name is None else tasks.masks(found[name], right[name])


def check(
    session,
    images: np.ndarray,
    logits: np.ndarray,
    seconds: float,
    call_seconds: float,
    usual: Mapping[str, float] = MappingProxyType({}),
    task: str = "",
) -> Errors | None:
    """Compare what `session` has just computed with the reference, then run it on more images until time is over.

    The session must have been fed the first of `images`, again from the first where a batch is larger, poisoned, and
    run: its output is that of the runs before. All of that batch is compared, at least FEWEST images, and all of them
    if `seconds` allow; a call takes `call_seconds`.
    images: float32 [count, 3, height, width], or rows of inputs; logits: their float64 reference outputs [count, ...].
    usual: SNR in dB that is expected of each of several outputs; the worst counts (see `worst`). task: of the model.
    None if an output is missing or not finite.
    """
    size, count, deadline = session.shape[0], len(logits), time.monotonic() + seconds - call_seconds
    outputs, done = [session.output()], size
    while done < count and (done < FEWEST or time.monotonic() < deadline):
        session.feed(batch(images, done, size))
        session.poison()
        with session.active():
            session.run()
        outputs.append(session.output()[: count - done])
        done += size
    found = np.concatenate(outputs)
    compared = worst(found, logits[np.arange(len(found)) % count], usual, task)
    return replace(compared, images=min(len(found), count)) if compared else None
