"""The names of torchvision's classification models, read from its files: importing it takes seconds.

tests/test_models.py holds them against those that torchvision itself lists.
"""

import difflib
import re
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from speedgrid import InputError

# How torchvision registers a function under its own name.
REGISTERED = re.compile(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


class ModelError(InputError):
    """A model that there is none of; the message names it and those whose names are nearest."""


@cache
def known() -> frozenset[str]:
    """Return the names of all classification models of the torchvision that is installed; none where it is not."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return frozenset()
    # Detection, segmentation, video and the others are in folders of their own.
    files = (Path(spec.origin).parent / "models").glob("*.py")
    return frozenset(name for file in files for name in REGISTERED.findall(file.read_text(encoding="utf-8")))


def require(names: Iterable[str]) -> None:
    """Raise ModelError for the first name that is no model's. Without torchvision every name passes, to fail later."""
    for name in names:
        if known() and name not in known():
            near = ", ".join(difflib.get_close_matches(name, sorted(known()), n=3)) or "resnet18"
            raise ModelError(
                f"config key models has {name!r}; "
                f"its entries must be torchvision classification models, such as {near}."
            )
