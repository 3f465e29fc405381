"""What all sources of images share: the names of the parts, and how many images each has."""

from typing import TypedDict

from speedgrid import InputError

REFERENCE = 64
CALIBRATION = 128
PARTS = ("reference", "calibration", "evaluation")
# ImageNet's mean and deviation of the channels red, green and blue, as all of torchvision's presets have them.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class Images(TypedDict, total=False):
    """The description of images. source: `random`, `digits` or a folder. part, count, resolution: of those of a file.

    classes: how many there are, None without labels. labels: their classes, None where they have none.
    """

    part: str
    count: int
    resolution: int
    labels: list[int] | None
    source: str
    seed: int
    images_in_folder: int
    classes: int | None


class Labelled(Images):
    """The description of images in a file, which says whether they have labels."""


class DataError(InputError):
    """Images that cannot be used; the message names the key or the file and what would be right."""
