"""JSON Schema as strict as a configuration needs it: with paths, sizes in pixels, whole patterns and finite numbers."""

import math
import re
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, validators
from jsonschema.exceptions import ValidationError

from speedgrid.data import resolution
from speedgrid.launcher.reading import short

# Names of this many bytes are what file systems take, and paths of this many what Linux takes.
LONGEST_NAME, LONGEST_PATH = 255, 4095
FORMATS = FormatChecker(formats=())


@FORMATS.checks("path")
def is_path(value: object) -> bool:
    """Say whether a text can be the path of a file; of other values that is not asked."""
    if not isinstance(value, str):
        return True
    path = value.encode(errors="replace")
    longest = max(map(len, path.split(b"/")))
    return len(path) <= LONGEST_PATH and longest <= LONGEST_NAME and value.isprintable()


def whole_match(validator: Draft202012Validator, pattern: str, value: object, schema: dict[str, Any]):
    """Yield an error where a text is not one that a pattern describes, from its beginning to its end.

    JSON Schema searches for a pattern, and finds a `$` before a newline at the end, too.
    """
    if isinstance(value, str) and not re.fullmatch(pattern, value):
        yield ValidationError(f"{short(value)} does not match {pattern}")


def sides_within(validator: Draft202012Validator, limits: list[int], value: object, schema: dict[str, Any]):
    """Yield an error where a value is no resolution with sides within limits."""
    try:
        fine = all(limits[0] <= side <= limits[1] for side in resolution.size_of(resolution.read(value)))
    except ValueError:
        fine = False
    if not fine:
        yield ValidationError(f"{short(value)} is no resolution")


# JSON Schema takes 64.0 for an integer and infinity for a number; file names and loops do not.
Strict = validators.extend(
    Draft202012Validator,
    validators={"pattern": whole_match, "pixels": sides_within},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                not isinstance(value, bool)
                and (isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)))
            ),
        }
    ),
)
