"""What people call precisions, and the name of each here."""

import re

from speedgrid.precision import PRECISIONS

WORDS = {
    "fp32": {
        "fp32",
        "float32",
        "float",
        "single",
        "singleprecision",
        "f32",
        "32",
        "32bit",
        "32bits",
        "full",
        "fullprecision",
    },
    "tf32": {"tf32", "tensorfloat32", "tensorfloat"},
    # Automatic mixed precision multiplies in float16, or in bfloat16 at the same rate.
    "fp16": {
        "fp16",
        "float16",
        "half",
        "halfprecision",
        "f16",
        "16",
        "16bit",
        "16bits",
        "amp",
        "mixed",
        "mixedprecision",
    },
    "bf16": {"bf16", "bfloat16", "bfloat", "brainfloat16"},
    "int8": {
        "int8",
        "i8",
        "uint8",
        "8",
        "8bit",
        "8bits",
        "w8a8",
        "qint8",
        "quint8",
        "int8ptq",
        "int8qat",
        "ptqint8",
        "qatint8",
    },
    "fp8": {"fp8", "float8", "e4m3", "fp8e4m3", "float8e4m3", "float8e4m3fn"},
}
BY_WORD = {word: name for name, words in WORDS.items() for word in words}
# These are of a precision in a header too, where `32` and `full` may be of anything.
IN_HEADERS = {
    "fp32",
    "float32",
    "f32",
    "tf32",
    "fp16",
    "float16",
    "half",
    "f16",
    "bf16",
    "bfloat16",
    "int8",
    "i8",
    "fp8",
    "amp",
}


def known(text: str) -> str | None:
    """Return the project's name of a precision; None for an unknown precision, or several."""
    return BY_WORD.get(re.sub(r"[^a-z0-9]", "", re.sub(r"torch\.", "", text.lower())))


def named(text: str) -> str:
    """Return the project's name of a precision; an unknown precision stays as it is."""
    return known(text) or text.strip()


def at_least(precision: str) -> tuple[str, ...]:
    """Return the precisions in which a row labelled so may truly have run: its own, and those that are more exact."""
    order = list(PRECISIONS)
    return tuple(order[: order.index(precision) + 1]) if precision in PRECISIONS else tuple(order)
