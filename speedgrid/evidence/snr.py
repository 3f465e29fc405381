"""Figures of the errors of all compared images: signal-to-noise ratios in dB, and how often the best class agrees."""

import numpy as np

from speedgrid.data.answers import Errors, Parity

TINY = np.finfo(float).tiny


def summarise(errors: Errors, expected_db: float = np.inf) -> Parity:
    """Return the figures of all images together; worst image for snr_db_min and cosine_min.

    snr_db: of all outputs together, so that one wrong image is not averaged away; snr_db_median: of the median image,
    which a few wrong ones leave alone. top1_agreement: share of images with the same best class, not counting flips
    between classes that the reference itself separates by less than six times the root-mean-square error of outputs
    with an SNR of expected_db.
    """
    signal, noise = np.array(errors.signal), np.array(errors.noise)
    relative = relative_l2(errors)
    margin = np.array([np.inf if one is None else one for one in errors.margin])
    doubtful = margin < 6 * signal / np.sqrt(errors.classes) * 10 ** (-expected_db / 20)
    flipped = ~np.array(errors.same_class) & ~doubtful
    return Parity(
        images=errors.images,
        snr_db=decibels(relative),
        snr_db_min=decibels(float((noise / np.maximum(signal, TINY)).max())),
        snr_db_median=decibels(float(np.median(noise / np.maximum(signal, TINY)))),
        relative_l2=relative,
        cosine_min=min(errors.cosine),
        top1_agreement=float(1 - flipped.mean()),
    )


def relative_l2(errors: Errors) -> float:
    """Return the L2 norm of the errors of all images together, as a share of that of their right answers."""
    return float(np.linalg.norm(errors.noise) / max(np.linalg.norm(errors.signal), TINY))


def by_image(errors: Errors) -> np.ndarray:
    """Return the SNR in dB of each image."""
    relative = np.array(errors.noise) / np.maximum(np.array(errors.signal), TINY)
    return -20 * np.log10(np.maximum(relative, 1e-16))


def unevenness(parity: Parity) -> float:
    """Return by how many dB the worst image is worse than the median one."""
    return parity.snr_db_median - parity.snr_db_min


def decibels(relative: float) -> float:
    """Return the SNR in dB of a relative error; exact float64 equality is 320 dB."""
    return float(-20 * np.log10(max(relative, 1e-16)))
