"""What a cell really computed, told from the errors of its answers.

Rounding leaves a fingerprint: on ResNet-18 at 224 pixels the signal-to-noise ratio is about 120 dB for IEEE float32,
60 for TF32 and float16, 43 for bfloat16. Limits halfway between what each precision is expected to give on this very
model (speedgrid.evidence.rounding) tell them apart, whatever the label says; a float16 session differs from a TF32 one
by the type of its tensors.
"""

import itertools
from typing import Any, NamedTuple

from speedgrid.evidence.snr import summarise, unevenness
from speedgrid.precision import QUANTISED
from speedgrid.record import Parity, Record

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


class Verdict(NamedTuple):
    """The meaning of a record: a status of speedgrid.text.status, why, and the precision that was observed, if any."""

    status: str
    reason: str = ""
    observed: str | None = None


def judge(record: Record) -> Verdict:
    """Return the verdict on one measurement; one that did not run keeps its own status and reason."""
    if record.seen is None:
        return Verdict(record.status, record.reason)
    seen, expected = record.seen, record.seen.expected
    return verdict(
        record.cell.precision,
        seen.dtype,
        parity_of(record),
        expected.snr_db if expected else {},
        seen.quantised_nodes,
        expected.uneven_db if expected else 0.0,
    )


def parity_of(record: Record) -> Parity | None:
    """Return the figures of a record's errors; None where there are none, because nothing could be compared."""
    seen = record.seen
    if seen is None or seen.errors is None or seen.expected is None:
        return seen.parity if seen else None
    return summarise(seen.errors, doubt(record.cell.precision, seen.expected.snr_db))


def candidates(precision: str, dtype: str) -> tuple[str, ...]:
    """Return the precisions that a session labelled `precision` with tensors of a type can run, most exact first.

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
    quantised: dict[str, Any] | None = None,
    uneven_db: float = 0.0,
) -> Verdict:
    """Return the verdict on a cell labelled `precision`.

    expected: as of `observe`. quantised: of a quantised session, how many of its convolutions and matrix products
    execute so: `executed`, `of`. uneven_db: how far below the median image rounding alone leaves the worst one.
    """
    if parity is None:
        return Verdict("wrong_result", "outputs are missing or not finite", None)
    observed = observe(precision, dtype, parity, expected)
    # A lower precision lowers every image. Where the median one shows a higher one than all together, a few are wrong.
    typical = explaining(precision, dtype, max(parity.snr_db, parity.snr_db_median), expected)
    if typical != observed or unevenness(parity) > uneven_db + UNEVEN:
        worst = f"{parity.snr_db_min:.0f} dB SNR on the worst image, {parity.snr_db_median:.0f} on the median one"
        rounds = f"of which rounding explains {uneven_db:.0f} dB"
        return Verdict("wrong_result", f"some images are computed wrongly: {worst}, {rounds}", None)
    found = f"its error ({parity.snr_db:.0f} dB SNR on {dtype} tensors, {expected[precision]:.0f} expected)"
    if observed is None:
        return Verdict("wrong_result", f"{found} is one that no precision explains", None)
    if observed in QUANTISED and not (quantised and quantised["executed"]):
        # Numbers that are rounded and then multiplied as floats have the error of integers without their speed.
        products = quantised["of"] if quantised else 0
        of = f"none of its {products} convolutions and matrix products is" if products else "no node is known to be"
        return Verdict("wrong_precision", f"labelled {precision}, but {of} executed in {precision}", EMULATED[dtype])
    if observed == precision:
        return Verdict("ok", "", observed)
    return Verdict("wrong_precision", f"labelled {precision}, but {found} is that of {observed}", observed)


def doubt(precision: str, expected: dict[str, float]) -> float:
    """Return the SNR in dB that says which classes are too close to call: what is expected of a precision.

    Of a quantised one it is that of tf32, or every flip would be excused by the very error that it comes from.
    """
    return expected["tf32" if precision in QUANTISED else precision]
