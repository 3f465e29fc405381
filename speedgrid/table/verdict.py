"""What a cell really computed, told from the errors of its answers.

Rounding leaves a fingerprint: on ResNet-18 at 224 pixels the signal-to-noise ratio is about 120 dB for IEEE float32,
60 for TF32 and float16, 43 for bfloat16. Limits halfway between what each precision is expected to give on this very
model (speedgrid.evidence.rounding) tell them apart, whatever the label says; a float16 session differs from a TF32 one
by the type of its tensors.
"""

import itertools
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from speedgrid.data.answers import Errors, Expected, Parity
from speedgrid.evidence.snr import by_image, summarise
from speedgrid.precision import QUANTISED
from speedgrid.record import Record
from speedgrid.table import counted

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
# An image with an error of half its answer, in dB, was not rounded where rounding leaves all of them so much better:
# more where integers are used, which cut numbers that no image of the calibration had.
HALF, BETTER, BETTER_CUT = 6.0, 10.0, 16.0
# Nor does rounding leave an image so far below the worst one that was simulated, in dB and times the unevenness.
BEYOND, BEYOND_UNEVEN = 6.0, 1.5
# An answer was given to another image where it is right for that one, with up to so many times the error that is
# expected, and has so many times that error for its own.
RIGHT, WRONG = 2.0, 6.0
# How far below its expected SNR, in dB, a float precision may lie at least where integers are known to be worse.
ROOM = 6.0
# Precisions whose errors are nearer to each other than this in dB are not told apart: boxes or zeros show none.
ALIKE = 1.0


class Images(NamedTuple):
    """Images one by one beside what rounding was simulated to do to them; nothing in older records.

    own_db: SNR of each that was simulated. expected_db: what it is expected to be, by precision. strays: how many
    answers were given to another image. rest_db: SNR of each that was compared, but not simulated.
    """

    own_db: np.ndarray
    expected_db: dict[str, np.ndarray]
    strays: int
    rest_db: np.ndarray


NO_IMAGES = Images(np.array([]), {}, 0, np.array([]))


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
    if seen.errors and expected and (found := counted.judge(record.cell.precision, seen.errors, expected)):
        return Verdict(*found)
    return verdict(
        record.cell.precision,
        seen.dtype,
        parity_of(record),
        expected.snr_db if expected else {},
        seen.quantised_nodes,
        expected.uneven_db if expected else 0.0,
        images_of(seen.errors, expected, record.cell.precision),
    )


def images_of(errors: Errors | None, expected: Expected | None, precision: str) -> Images:
    """Return the images of a session labelled `precision` one by one, as far as they were simulated."""
    if errors is None or expected is None:
        return NO_IMAGES
    own_db = by_image(errors)
    count = min([errors.images, *map(len, expected.images_db.values())])
    simulated = {name: np.array(one[:count]) for name, one in expected.images_db.items()}
    normal = np.full(len(own_db), expected.snr_db[precision])
    normal[:count] = simulated.get(precision, np.inf)
    found = strays(errors, normal) if precision in simulated else 0
    return Images(own_db[:count] if simulated else NO_IMAGES.own_db, simulated, found, own_db[count:])


def strays(errors: Errors, normal: np.ndarray) -> int:
    """Return how many answers were given to another image. normal: SNR that is expected of each, in dB."""
    signal, noise = np.array(errors.signal), np.array(errors.noise)
    other = np.array([np.inf if one is None else one for one in errors.nearest or [None] * len(noise)])
    usual = signal * 10 ** (-normal / 20)
    return int(((other < RIGHT * usual) & (noise > WRONG * usual)).sum())


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


def observe(
    precision: str, dtype: str, parity: Parity | None, expected: dict[str, float], images: Images = NO_IMAGES
) -> str | None:
    """Return the precision that explains the error of a cell labelled `precision`; None, a wrong answer, if none does.

    expected: SNR in dB of each precision on this model and resolution. Limits lie halfway between neighbours. Answers
    that are better than the label's were computed in a more exact precision only if each image says so: a few images
    are often all of them easy ones.
    """
    if parity is None:
        return None
    names, found = candidates(precision, dtype), explaining(precision, dtype, parity.snr_db, expected)
    if found and precision in names and abs(expected[found] - expected[precision]) < ALIKE:
        found = precision
    if precision in names and found != precision:
        own, place = names.index(precision), names.index(found) if found else len(names)
        limits = limits_of(precision, dtype, expected)
        if place < own:
            pairs = {names[one]: (names[one : one + 2], limits[one]) for one in range(place, own)}
            clear = (name for name, pair in pairs.items() if clearly_above(precision, *pair, parity, expected, images))
            found = next(clear, precision)
            if found != precision:  # better than its label: nearer to integers or not, it is no wrong answer
                return found
        elif mostly_above(names[own : own + 2], limits[own], parity, images):
            found = precision
    return None if found is None or like_integers(found, parity, expected, images) else found


def explaining(precision: str, dtype: str, snr_db: float, expected: dict[str, float]) -> str | None:
    """Return the most exact precision that explains an error of `snr_db` of all images together."""
    pairs = zip(candidates(precision, dtype), limits_of(precision, dtype, expected), strict=True)
    return next((name for name, limit in pairs if snr_db >= limit), None)


def mostly_above(names: tuple[str, ...], limit: float, parity: Parity, images: Images) -> bool:
    """Say whether a label explains its error but for a few images that are harder than those that were simulated.

    A float precision does where the images that were simulated are in the mean better than halfway to the next one. An
    integer one, which cuts numbers beyond the range that it was given, does where the median image is, if anything is
    left of the others.
    """
    if names[0] in QUANTISED:
        return parity.snr_db_median >= limit and parity.snr_db >= HALF
    return len(names) > 1 and len(images.own_db) > 0 and bool((images.own_db - halfway(names, images)).mean() >= 0)


def like_integers(name: str, parity: Parity, expected: dict[str, float], images: Images) -> bool:
    """Say whether an error is nearer to that of integers than to that of a float precision, where both were simulated.

    It is so of all images together and, in the mean, of those that were simulated: some are easier than others.
    """
    if name in QUANTISED or not {name, "int8"} <= images.expected_db.keys():
        return False
    own, worse = images.expected_db[name], images.expected_db["int8"]
    above = images.own_db - np.minimum(own - ROOM, (own + worse) / 2)
    return parity.snr_db < min(expected[name] - ROOM, (expected[name] + expected["int8"]) / 2) and above.mean() < 0


def limits_of(precision: str, dtype: str, expected: dict[str, float]) -> list[float]:
    """Return the least SNR in dB of each of a cell's candidates: halfway to the next one.

    That of the least exact is SLACK below what is expected of it, and not below half of it: at 0 dB the error is as
    large as the answer.
    """
    names = candidates(precision, dtype)
    limits = [(expected[one] + expected[less]) / 2 for one, less in itertools.pairwise(names)]
    last = expected[names[-1]]
    return [*limits, max(last - SLACK, last / 2)]


def clearly_above(
    precision: str,
    names: tuple[str, ...],
    limit: float,
    parity: Parity,
    expected: dict[str, float],
    images: Images,
) -> bool:
    """Say whether an error shows the more exact one of two precisions, where `precision` was the label.

    Each image is better than halfway between the two, as simulated on it or else on all: one that is not may be as
    good as its label has it, and the others are easy. Four images are so by chance,
    of a model whose images differ much: in the mean they are three quarters of the way. What is expected to leave
    little of the answers is no measure of what is too good.
    """
    if parity.snr_db < max(limit, expected[names[0]] - SLACK) or expected[precision] < BETTER:
        return False
    if not all(name in images.expected_db for name in names):
        return parity.snr_db_min >= limit
    near = images.own_db - (images.expected_db[names[0]] + halfway(names, images)) / 2
    each = (images.own_db >= halfway(names, images)).all() and (images.rest_db >= limit).all()
    return bool(each and near.mean() >= 0)


def halfway(names: tuple[str, ...], images: Images) -> np.ndarray:
    """Return the SNR in dB halfway between precisions, for each image that was simulated."""
    return np.mean([images.expected_db[name] for name in names], axis=0)


def verdict(
    precision: str,
    dtype: str,
    parity: Parity | None,
    expected: dict[str, float],
    quantised: dict[str, Any] | None = None,
    uneven_db: float = 0.0,
    images: Images = NO_IMAGES,
) -> Verdict:
    """Return the verdict on a cell labelled `precision`.

    expected: as of `observe`. quantised: of a quantised session, how many of its convolutions and matrix products
    execute so: `executed`, `of`. uneven_db: how far below the median image rounding alone leaves the worst one.
    """
    if parity is None:
        return Verdict("wrong_result", "outputs are missing or not finite", None)
    observed = observe(precision, dtype, parity, expected, images)
    if wrong := wrong_images(precision, dtype, observed, parity, expected, uneven_db, images):
        return Verdict("wrong_result", f"some images are computed wrongly: {wrong}", None)
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


def wrong_images(
    precision: str,
    dtype: str,
    observed: str | None,
    parity: Parity,
    expected: dict[str, float],
    uneven_db: float,
    images: Images,
) -> str:
    """Return a clause with the evidence that a few images were computed wrongly; empty where there is none.

    An image that is too good never does: what counts is how far the worst one is below the median one, or below the
    best median that rounding leaves: in the label's precision, or in a less exact one that was observed. Nor do
    images that are all as bad, which no precision explains.
    """
    if images.strays:
        return f"{images.strays} answers are nearer to the right answer to another image than to that to their own"
    names = candidates(precision, dtype)
    too_good = precision in names and observed in names[: names.index(precision)]
    held_to = precision if too_good else observed or names[-1]
    usual = expected[held_to]
    far = min(parity.snr_db_median, usual + uneven_db) - parity.snr_db_min > uneven_db + UNEVEN
    if len(simulated := images.expected_db.get(held_to, NO_IMAGES.own_db)):
        usual = max(usual - uneven_db - BETTER, float(simulated.min()) - BEYOND - BEYOND_UNEVEN * uneven_db)
    else:
        usual -= uneven_db + (BETTER_CUT if held_to in QUANTISED else BETTER)
    far |= observed is not None and parity.snr_db_min < min(HALF, usual)
    # A lower precision lowers every image. Where the median one shows a higher one than all together, a few are wrong.
    if observed != precision and not too_good:
        best = replace(parity, snr_db=max(parity.snr_db, parity.snr_db_median))
        far |= observe(precision, dtype, best, expected, images) != observed
    worst = f"{parity.snr_db_min:.0f} dB SNR on the worst image, {parity.snr_db_median:.0f} on the median one"
    return f"{worst}, of which rounding explains {uneven_db:.0f} dB" if far else ""


def doubt(precision: str, expected: dict[str, float]) -> float:
    """Return the SNR in dB that says which classes are too close to call: what is expected of a precision.

    Of a quantised one it is that of tf32, or every flip would be excused by the very error that it comes from.
    """
    return expected["tf32" if precision in QUANTISED else precision]
