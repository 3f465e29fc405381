"""Compare a timed session's outputs with the float64 reference, and tell from the error what it really computed.

Rounding leaves a fingerprint: on ResNet-18 the signal-to-noise ratio is about 127 dB for IEEE float32, 63 for TF32,
61 for float16, 43 for bfloat16 and 31 for int8. Bands around these tell them apart, whatever the label says; a
float16 session differs from a TF32 one by the type of its tensors.
"""

import time
from dataclasses import asdict, dataclass

import numpy as np

from speedgrid.reference import batch

# Lowest SNR in dB of each arithmetic, best first, by the type of the session's tensors.
BANDS = {
    "float32": (("fp32", 100.0), ("tf32", 50.0), ("bf16", 30.0)),
    "float16": (("fp16", 45.0), ("bf16", 30.0)),
    "bfloat16": (("bf16", 30.0),),
}


@dataclass(frozen=True)
class Parity:
    """How far outputs are from the reference. Worst image for snr_db_min and cosine_min; else over all images.

    top1_agreement: share of images with the same best class, not counting flips between classes that the reference
    itself separates by less than twice the largest error.
    """

    images: int
    snr_db: float
    snr_db_min: float
    relative_l2: float
    cosine_min: float
    top1_agreement: float

    def as_dict(self) -> dict:
        """Return plain JSON values."""
        return {name: round(float(value), 9) for name, value in asdict(self).items()} | {"images": self.images}


def compare(outputs: np.ndarray, reference: np.ndarray) -> Parity | None:
    """Compare float64 arrays [images, classes]. None if an output is not finite: then nothing can be compared."""
    if not np.isfinite(outputs).all():
        return None
    error = outputs - reference
    signal, noise = np.linalg.norm(reference, axis=1), np.linalg.norm(error, axis=1)
    tiny = np.finfo(float).tiny
    snr = 20 * np.log10(np.maximum(signal, tiny) / np.maximum(noise, signal * 1e-16 + tiny))
    norms = np.maximum(np.linalg.norm(outputs, axis=1) * signal, tiny)
    ordered = np.sort(reference, axis=1)
    margin = ordered[:, -1] - ordered[:, -2] if reference.shape[1] > 1 else np.full(len(reference), np.inf)
    flipped = (outputs.argmax(axis=1) != reference.argmax(axis=1)) & (margin > 2 * np.abs(error).max(axis=1))
    return Parity(
        images=len(reference),
        snr_db=float(snr.mean()),
        snr_db_min=float(snr.min()),
        relative_l2=float(np.linalg.norm(error) / max(np.linalg.norm(reference), tiny)),
        cosine_min=float(((outputs * reference).sum(axis=1) / norms).min()),
        top1_agreement=float(1 - flipped.mean()),
    )


def observe(dtype: str, parity: Parity | None) -> str | None:
    """Return the precision whose band the SNR falls into, or None if it is below every band: a wrong answer."""
    if parity is None:
        return None
    return next((name for name, lowest in BANDS[dtype] if parity.snr_db >= lowest), None)


def verdict(precision: str, dtype: str, parity: Parity | None) -> tuple[str, str, str | None]:
    """Judge a cell labelled `precision`. Returns (status, reason, observed precision)."""
    observed = observe(dtype, parity)
    if observed == precision:
        return "ok", "", observed
    if observed is None:
        what = (
            "outputs are missing or not finite" if parity is None else f"outputs are off by {parity.snr_db:.0f} dB SNR"
        )
        return "wrong_result", f"{what}, which no precision explains", None
    return (
        "wrong_precision",
        f"labelled {precision}, but its error ({parity.snr_db:.0f} dB SNR on {dtype} tensors) is that of {observed}",
        observed,
    )


def check(session, images: np.ndarray, logits: np.ndarray, seconds: float) -> Parity | None:
    """Run `session` on the reference images, at least one batch, until all are done or `seconds` are over.

    images: float32 [count, 3, resolution, resolution]; logits: their float64 reference outputs [count, classes].
    None if an output is missing or not finite.
    """
    size = session.shape[0]
    outputs, done, deadline = [], 0, time.monotonic() + seconds
    while done < len(logits) and (not outputs or time.monotonic() < deadline):
        session.feed(batch(images, done, size))
        session.poison()
        with session.active():
            session.run()
        outputs.append(session.output()[: len(logits) - done])
        done += size
    found = np.concatenate(outputs)
    return compare(found, logits[: len(found)])
