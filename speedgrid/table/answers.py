"""The errors of a record's answers held against each other: what geometry and the way of comparing demand of them."""

import math
from collections.abc import Iterator

import numpy as np

from speedgrid.record import Errors, Parity, Record, Seen
from speedgrid.table.verdict import CANDIDATES

# Relative rounding of a norm, and of 1 - cosine, of float64 numbers.
NORM, COSINE = 1e-6, 1e-13
# The SNR in dB of numbers that are rounded to a type, where their logarithms are spread evenly: 12 times the mean
# square of 1 to 2 over the square of the step between them; answers are not so much better, unless they are few.
ROUNDED = {"float16": 74.0, "bfloat16": 56.0}
CHANCE_DB, FEW = 6.0, 100


def answers(record: Record, seen: Seen) -> Iterator[str]:
    """Errors of answers fit together, the images that were compared, and the type that they are computed in."""
    if seen.dtype not in CANDIDATES:
        yield f"its tensors are of {seen.dtype}, which is none of {', '.join(CANDIDATES)}"
    nodes = seen.quantised_nodes
    if nodes and nodes["executed"] > nodes["of"]:
        yield f"{nodes['executed']} of its {nodes['of']} products executed quantised"
    fused = seen.details.get("fused_convolutions")
    if fused and fused["executed"] > fused["of"]:
        yield f"{fused['executed']} of its {fused['of']} convolutions were fused"
    if seen.errors is not None:
        yield from shares(seen.errors)
        yield from counts(record, seen.errors) or [*geometry(seen.errors), *rounding(seen.dtype, seen.errors)]
    elif seen.parity is not None:
        yield from figures(seen.parity)


def shares(errors: Errors) -> Iterator[str]:
    """Find shares of boxes, pixels or integers that are none, or contradict each other."""
    masks, boxes, integers = errors.masks, errors.boxes, errors.integers
    found = [*vars(masks).values()] if masks else []
    found += [boxes.f1_loose, boxes.f1_tight, boxes.mean_iou] if boxes else []
    found += [integers.exact] if integers else []
    if any(not 0 <= one <= 1 for one in found):
        yield f"a share of its answers is not from 0 to 1: {', '.join(f'{one:g}' for one in found)}"
    elif masks and (masks.miou == 1) != (masks.pixel_agreement == 1):
        yield f"{masks.pixel_agreement:.6g} of its pixels have the right class, and an mIoU of {masks.miou:.6g}"
    elif boxes and (boxes.f1_tight > boxes.f1_loose or min(boxes.right, boxes.found, boxes.excused) < 0):
        yield f"F1 of its boxes is {boxes.f1_loose:.6g}, and {boxes.f1_tight:.6g} where they must overlap more"
    elif integers and (integers.count < 1 or integers.exact * integers.count % 1 > NORM * integers.count):
        yield f"{integers.exact:.6g} of its {integers.count} integers are the right ones, which is no whole number"


def counts(record: Record, errors: Errors) -> list[str]:
    """Return a clause if the number of images is wrong: whole batches are compared, up to the last reference image."""
    size, found = record.cell.batch_size, len(errors.noise)
    lengths = {len(errors.signal), len(errors.cosine), len(errors.margin), len(errors.same_class)}
    if {found, len(errors.nearest) or found} | lengths != {found}:
        return [f"it has {found} errors of images and another number of their cosines, margins or classes"]
    if found < size or errors.images > found or (errors.images < found and found != size):
        return [f"{found} answers to {errors.images} images were compared, and its batches have {size}"]
    return []


def geometry(errors: Errors) -> Iterator[str]:
    """Find errors that no two vectors have: a difference is no shorter than the distance that their angle demands.

    A difference between two classes is no longer than the vector times the root of 2, and the best class changes by an
    error no smaller than that difference, over the root of 2.
    """
    signal, noise, cosine = (np.array(one, float) for one in (errors.signal, errors.noise, errors.cosine))
    if not (np.isfinite(signal).all() and np.isfinite(noise).all() and (np.abs(cosine) <= 1 + NORM).all()):
        yield "an error of its answers is not finite, or a cosine is beyond 1"
        return
    sine = np.sqrt(np.maximum(0.0, 1 - cosine**2 - COSINE))
    least = np.where(cosine < 0, signal, sine * signal)
    if len(short := np.flatnonzero(noise < (1 - 1e-3) * least)):
        one = short[0]
        yield (
            f"the error of {len(short)} of its {len(noise)} answers is less than their angle allows: a cosine of "
            f"{cosine[one]:.9g} to a right answer of norm {signal[one]:.6g} is an error of {least[one]:.4g} at least, "
            f"not {noise[one]:.4g}"
        )
    for number, (margin, same) in enumerate(zip(errors.margin, errors.same_class, strict=True)):
        if margin is None:
            continue
        if margin > (math.sqrt(2) + NORM) * signal[number]:
            yield f"two classes of an answer of norm {signal[number]:.6g} differ by {margin:.6g}"
            return
        if not same and noise[number] * math.sqrt(2) < margin * (1 - NORM):
            yield (
                f"an answer has another best class, which {margin:.4g} separate, by an error of {noise[number]:.4g}, "
                f"where {margin / math.sqrt(2):.4g} is the least"
            )
            return


def rounding(dtype: str, errors: Errors) -> Iterator[str]:
    """Find answers with less error than rounding to the type of their tensors makes."""
    signal, noise = (float(np.linalg.norm(one)) for one in (errors.signal, errors.noise))
    found = 20 * math.log10(max(signal, NORM) / max(noise, 1e-16 * signal, 1e-300))
    if (
        errors.of_tensors
        and len(errors.noise) * errors.classes >= FEW
        and found > (most := ROUNDED.get(dtype, math.inf)) + CHANCE_DB
    ):
        yield f"its answers have {found:.4g} dB SNR, and rounding them to {dtype} leaves {most:g} dB"


def figures(parity: Parity) -> Iterator[str]:
    """Find figures of older records that do not follow from each other."""
    snr_db = -20 * math.log10(max(parity.relative_l2, 1e-16))
    if abs(snr_db - parity.snr_db) > 0.01:
        yield f"an error of {parity.relative_l2:.6g} of the answers is {snr_db:.4g} dB SNR, not {parity.snr_db:.4g}"
    if parity.snr_db_min > min(parity.snr_db, parity.snr_db_median) + 0.01:
        yield (
            f"its worst image has {parity.snr_db_min:.4g} dB SNR, the median one {parity.snr_db_median:.4g} and all "
            f"together {parity.snr_db:.4g}"
        )
