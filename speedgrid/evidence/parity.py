"""Outputs of a timed session beside the float64 reference: the errors that are seen, image by image.

Figures of all images are those of speedgrid.evidence.snr; whether an error is that of a precision, or of none,
speedgrid.table.verdict decides.
"""

import time
from dataclasses import replace

import numpy as np

from speedgrid.data.answers import Errors
from speedgrid.data.sequence import batch

# Images that are compared however long they take.
FEWEST = 4
TINY = np.finfo(float).tiny


def compare(outputs: np.ndarray, reference: np.ndarray) -> Errors | None:
    """Return the errors of outputs, float64 [images, classes], beside the reference's, image by image.

    None if an output is not finite: then nothing can be compared.
    """
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


def check(session, images: np.ndarray, logits: np.ndarray, seconds: float, call_seconds: float) -> Errors | None:
    """Compare what `session` has just computed with the reference, then run it on more images until time is over.

    The session must have been fed the first of `images`, again from the first where a batch is larger, poisoned, and
    run: its output is that of the runs before. All of that batch is compared, at least FEWEST images, and all of them
    if `seconds` allow; a call takes `call_seconds`.
    images: float32 [count, 3, resolution, resolution]; logits: their float64 reference outputs [count, classes].
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
    compared = compare(found, logits[np.arange(len(found)) % count])
    return replace(compared, images=min(len(found), count)) if compared else None
