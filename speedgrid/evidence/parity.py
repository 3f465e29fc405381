"""Compare a timed session's outputs with the float64 reference, and tell from the error what it really computed.

Rounding leaves a fingerprint: on ResNet-18 at 224 pixels the signal-to-noise ratio is about 120 dB for IEEE float32,
60 for TF32 and float16, 43 for bfloat16. Limits halfway between what each precision is expected to give on this very
model (speedgrid.evidence.rounding) tell them apart, whatever the label says; a float16 session differs from a TF32 one
by the type of its tensors.
"""

import itertools
import time
from dataclasses import asdict, dataclass, replace

import numpy as np

from speedgrid.data.sequence import batch
from speedgrid.precision import QUANTISED

# What a session with tensors of a type can be computing, most exact first.
CANDIDATES = {"float32": ("fp32", "tf32", "bf16"), "float16": ("fp16",), "bfloat16": ("bf16",)}
# What computes where a quantised model is only emulated.
EMULATED = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
# How far below its expected SNR the least exact candidate may lie, in dB, before the answer counts as wrong: sums in
# half precision instead of float32, which the expectation does not have, cost up to 10 dB on ResNet-18.
SLACK = 20.0
# An image that is further below the median one than rounding leaves it, by more than this in dB, was not rounded but
# computed wrongly. On trained weights rounding itself leaves images up to 26 dB below; eight simulated images of
# EfficientNet-B0 show all but 19 of it in 99 of 100 choices of the eight, those of ResNet-18 all but 8.
UNEVEN = 20.0
# Images that are compared however long they take.
FEWEST = 4


@dataclass(frozen=True)
class Parity:
    """How far outputs are from the reference. Worst image for snr_db_min and cosine_min; else over all images.

    snr_db: of all outputs together, so that one wrong image is not averaged away; snr_db_median: of the median image,
    which a few wrong ones leave alone. top1_agreement: share of images with the same best class, not counting flips
    between classes that the reference itself separates by less than six times the root-mean-square error that is
    expected of the precision.
    """

    images: int
    snr_db: float
    snr_db_min: float
    snr_db_median: float
    relative_l2: float
    cosine_min: float
    top1_agreement: float

    def as_dict(self) -> dict:
        """Return plain JSON values."""
        return {name: round(float(value), 9) for name, value in asdict(self).items()} | {"images": self.images}


def compare(outputs: np.ndarray, reference: np.ndarray, expected_db: float = np.inf) -> Parity | None:
    """Compare float64 arrays [images, classes]. None if an output is not finite: then nothing can be compared.

    expected_db: the SNR that the outputs should have; it says which classes are too close to call.
    """
    if not np.isfinite(outputs).all():
        return None
    error = outputs - reference
    tiny = np.finfo(float).tiny
    signal, noise = np.linalg.norm(reference, axis=1), np.linalg.norm(error, axis=1)
    relative = np.linalg.norm(error) / max(np.linalg.norm(reference), tiny)
    norms = np.maximum(np.linalg.norm(outputs, axis=1) * signal, tiny)
    ordered = np.sort(reference, axis=1)
    margin = ordered[:, -1] - ordered[:, -2] if reference.shape[1] > 1 else np.full(len(reference), np.inf)
    doubtful = margin < 6 * signal / np.sqrt(reference.shape[1]) * 10 ** (-expected_db / 20)
    flipped = (outputs.argmax(axis=1) != reference.argmax(axis=1)) & ~doubtful
    return Parity(
        images=len(reference),
        snr_db=decibels(relative),
        snr_db_min=decibels(float((noise / np.maximum(signal, tiny)).max())),
        snr_db_median=decibels(float(np.median(noise / np.maximum(signal, tiny)))),
        relative_l2=float(relative),
        cosine_min=float(((outputs * reference).sum(axis=1) / norms).min()),
        top1_agreement=float(1 - flipped.mean()),
    )


def unevenness(parity: Parity) -> float:
    """Return by how many dB the worst image is worse than the median one."""
    return parity.snr_db_median - parity.snr_db_min


def decibels(relative: float) -> float:
    """Return the SNR in dB of a relative error; exact float64 equality is 320 dB."""
    return float(-20 * np.log10(max(relative, 1e-16)))


def candidates(precision: str, dtype: str) -> tuple[str, ...]:
    """Return what a session labelled `precision` with tensors of a type can be computing, most exact first.

    Only a session that is labelled so can be quantised: a float one with an error of that size is wrong. Such a session
    has float tensors outside; that it does not compute in bf16 instead, its nodes tell better than its error.
    """
    if precision in QUANTISED:
        return (*(name for name in CANDIDATES[dtype] if name != "bf16"), precision)
    return CANDIDATES[dtype]


def observe(precision: str, dtype: str, parity: Parity | None, expected: dict[str, float]) -> str | None:
    """Return the precision that explains the error of a cell labelled `precision`; None, a wrong answer, if none does.

    expected: SNR in dB of each precision on this model and resolution. Limits lie halfway between neighbours.
    """
    return None if parity is None else explaining(precision, dtype, parity.snr_db, expected)


def explaining(precision: str, dtype: str, snr_db: float, expected: dict[str, float]) -> str | None:
    """Return the most exact precision that explains an error of `snr_db`, as `observe` does."""
    names = candidates(precision, dtype)
    limits = [(expected[one] + expected[less]) / 2 for one, less in itertools.pairwise(names)]
    # Half of what is expected is the least: at 0 dB the error is as large as the answer.
    limits.append(max(expected[names[-1]] - SLACK, expected[names[-1]] / 2))
    return next((name for name, limit in zip(names, limits, strict=True) if snr_db >= limit), None)


def verdict(
    precision: str,
    dtype: str,
    parity: Parity | None,
    expected: dict[str, float],
    quantised: dict | None = None,
    uneven_db: float = 0.0,
) -> tuple[str, str, str | None]:
    """Judge a cell labelled `precision`. Returns (status, reason, observed precision).

    expected: as of `observe`. quantised: of a quantised session, how many of its convolutions and matrix products
    execute so: `executed`, `of`. uneven_db: how far below the median image rounding alone leaves the worst one.
    """
    if parity is None:
        return "wrong_result", "outputs are missing or not finite", None
    observed = observe(precision, dtype, parity, expected)
    # A lower precision lowers every image. Where the median one shows a higher one than all together, a few are wrong.
    typical = explaining(precision, dtype, max(parity.snr_db, parity.snr_db_median), expected)
    if typical != observed or unevenness(parity) > uneven_db + UNEVEN:
        worst = f"{parity.snr_db_min:.0f} dB SNR on the worst image, {parity.snr_db_median:.0f} on the median one"
        rounds = f"of which rounding explains {uneven_db:.0f} dB"
        return "wrong_result", f"some images are computed wrongly: {worst}, {rounds}", None
    found = f"its error ({parity.snr_db:.0f} dB SNR on {dtype} tensors, {expected[precision]:.0f} expected)"
    if observed is None:
        return "wrong_result", f"{found} is one that no precision explains", None
    if observed in QUANTISED and not (quantised and quantised["executed"]):
        # Numbers that are rounded and then multiplied as floats have the error of integers without their speed.
        products = quantised["of"] if quantised else 0
        of = f"none of its {products} convolutions and matrix products is" if products else "no node is known to be"
        return "wrong_precision", f"labelled {precision}, but {of} executed in {precision}", EMULATED[dtype]
    if observed == precision:
        return "ok", "", observed
    return "wrong_precision", f"labelled {precision}, but {found} is that of {observed}", observed


def doubt(precision: str, expected: dict[str, float]) -> float:
    """Return the SNR in dB that says which classes are too close to call: what is expected of a precision.

    Of a quantised one it is that of tf32, or every flip would be excused by the very error that it comes from.
    """
    return expected["tf32" if precision in QUANTISED else precision]


def check(
    session, images: np.ndarray, logits: np.ndarray, seconds: float, call_seconds: float, expected_db: float
) -> Parity | None:
    """Compare what `session` has just computed with the reference, then run it on more images until time is over.

    The session must have been fed the first of `images`, again from the first where a batch is larger, poisoned, and
    run: its output is that of the runs before. All of that batch is compared, at least FEWEST images, and all of them
    if `seconds` allow; a call takes `call_seconds`.
    images: float32 [count, 3, resolution, resolution]; logits: their float64 reference outputs [count, classes].
    expected_db: as of `compare`. None if an output is missing or not finite.
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
    compared = compare(found, logits[np.arange(len(found)) % count], expected_db)
    return replace(compared, images=min(len(found), count)) if compared else None
