"""What people call models, and the name of each in torchvision, whose operations can be counted."""

import difflib
import re
from collections.abc import Iterator
from functools import cache

from speedgrid.model.sources import torchvision

# What stands before or behind the name of an architecture and changes nothing of its operations.
AROUND = re.compile(
    r"^(?:torchvision|timm|models?|tv|hf|tf|pretrained)[\s/._:-]+|"
    r"[\s._-]+(?:pretrained|imagenet|in1k|in22k|1k|tv|fp32|fp16|int8|model|backbone|classifier)$|"
    r"\.(?:[a-z0-9_]+_in\d+k\w*|pth|pt|onnx|engine|plan)$|_weights\.\w+$"
)
SIZES = {"tiny": "t", "small": "s", "base": "b", "medium": "m", "large": "l", "huge": "h"}
# Only torchvision's own: a ResNet-50 "v1.5" is its only one, and GoogLeNet the first Inception.
SAME = {"inceptionv1": "googlenet", "resnet50v15": "resnet50", "resnet101v15": "resnet101", "resnet152v15": "resnet152"}


def resolve(text: str) -> str | None:
    """Return torchvision's name of a model that is written `ResNet-50`, `ViT-B/16` or `MobilenetV2`, or None."""
    return next((known for form in _forms(text) if (known := _by_form().get(form))), None)


def nearest(text: str) -> list[str]:
    """Return the torchvision models whose names are nearest to a text; none where none is near."""
    form = next(_forms(text))
    family = re.match(r"[a-z]*", form)
    alike = [name for key, name in _by_form().items() if family and len(family[0]) > 2 and key.startswith(family[0])]
    near = [_by_form()[key] for key in difflib.get_close_matches(form, list(_by_form()), n=3, cutoff=0.75)]
    return list(dict.fromkeys([*near, *sorted(set(alike), key=lambda name: (len(name), name))]))[:3]


def _bare(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _forms(text: str) -> Iterator[str]:
    """Yield the forms of a name without case and marks, the longest first."""
    text = text.strip().lower()
    yield _bare(text)
    inner = re.sub(r"\s*\([^()]*\)", "", text)
    while (shorter := AROUND.sub("", inner)) != inner:
        inner = shorter
    yield _bare(inner)
    without_side = re.sub(r"[\s_@-]+\d{3}(?:px)?(?:[\s_-]*[x×]\s*\d{3})?$", "", inner)
    yield _bare(without_side)
    yield _bare(re.sub(r"[\s_-]100$", "", inner))
    yield _bare(re.sub(r"patch", "", without_side))
    yield _bare(re.sub(r"(?<=v[23])[\s_-]1[._]0$", "", without_side))  # mobilenet_v2_1.0_224: of the usual width


@cache
def _by_form() -> dict[str, str]:
    """Return torchvision's names by all of their forms that mean one model only."""
    found: dict[str, set[str]] = {}
    for name in torchvision.known():
        for form in _written(name):
            found.setdefault(form, set()).add(name)
    forms = {form: next(iter(names)) for form, names in found.items() if len(names) == 1}
    exact = {_bare(name): name for name in torchvision.known()}
    return forms | exact | {form: name for form, name in SAME.items() if name in torchvision.known()}


def _written(name: str) -> Iterator[str]:
    """Yield the ways to write a model: a size by its letter or its word, a width of 1 as nothing."""
    yield _bare(name)
    for word, letter in SIZES.items():
        yield _bare(re.sub(rf"_{letter}(?=_|$)", f"_{word}", name))
        yield _bare(re.sub(rf"_{word}(?=_|$)", f"_{letter}", name))
    if name.endswith(("_1_0", "1_0")) and "x1_0" not in name:  # squeezenet1_0, mnasnet1_0
        yield _bare(name.removesuffix("_0"))
