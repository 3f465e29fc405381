"""Answers that are right or wrong as a whole, boxes and integers, held against what rounding was seen to change."""

from speedgrid.data.answers import Errors, Expected

# What a simulation did not see at all happens at most so often, of as many, with 95 % confidence: J. A. Hanley
# and A. Lippman-Hand, If nothing goes wrong, is everything all right?, JAMA 249 (1983), doi:10.1001/jama.249.13.1743.
THREE = 3.0
# Whatever was simulated, so few differ unnoticed, and so many are wrong.
FEW, MANY = 0.01, 0.5


def judge(precision: str, errors: Errors, expected: Expected) -> tuple[str, str, None] | None:
    """Return status, reason and no observed precision, of answers that are wrong, or show no precision; else None.

    Boxes have corners and scores, which show what computed them where they are matched. Integers have nothing of it.
    """
    if errors.boxes is None and not errors.of_integers:
        return None
    if clause := differing(precision, errors, expected):
        return "wrong_result", clause, None
    return ("ok", "", None) if errors.of_integers or not any(errors.signal) else None


def differing(precision: str, errors: Errors, expected: Expected) -> str:
    """Return a clause if more boxes or integers differ than rounding explains; else an empty one.

    Explained is three times the share that was simulated to differ, and what as many may have hidden.
    """
    known = expected.same.get(precision)
    if known is None:
        return ""
    share, what = same_share(errors)
    most = min(THREE * (1 - known) + max(THREE / max(expected.same_of, 1), FEW), MANY)
    if 1 - share <= most:
        return ""
    return (
        f"{100 * (1 - share):.3g} % of its {what} are not the right ones, and rounding to {precision} explains "
        f"{100 * most:.3g} %"
    )


def same_share(errors: Errors) -> tuple[float, str]:
    """Return the share of boxes or integers that are the same, and what they are."""
    if errors.boxes is not None:
        return errors.boxes.f1_loose, "boxes"
    assert errors.integers is not None, "judged are boxes and integers alone"
    return errors.integers.exact, "integers"
