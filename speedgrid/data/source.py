"""What all sources of images share: the names of the parts, and how many images each has."""

from typing import TypedDict

from speedgrid import InputError
from speedgrid.data.resolution import Resolution

REFERENCE = 64
CALIBRATION = 128
PARTS = ("reference", "calibration", "evaluation")
# ImageNet's mean and deviation of the channels red, green and blue, as all of torchvision's presets have them.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class ClassFolder(TypedDict):
    """A class folder: its name, the model's class that it stands for, and how many images it has."""

    name: str
    number: int
    images: int


class Images(TypedDict, total=False):
    """The description of images. source: `random`, `digits` or a folder. part, count, resolution: of those of a file.

    classes: how many there are, None without labels. labels: their classes, None where they have none. Of a folder
    also: class_folders; numbered: these are called by their numbers. copies: images that were left out, as others are
    the same by content. passed_over: hidden names and those of a system's. others: files that are no images by their
    names, by what these end in. evaluated, calibrating: the parts of a data set.
    """

    part: str
    count: int
    resolution: Resolution
    labels: list[int] | None
    source: str
    seed: int
    images_in_folder: int
    classes: int | None
    class_folders: list[ClassFolder]
    numbered: bool
    copies: int
    passed_over: int
    others: dict[str, int]
    evaluated: str
    calibrating: str


class Labelled(Images):
    """The description of images in a file, which says whether they have labels."""


class DataError(InputError):
    """Images that cannot be used; the message names the key or the file and what would be right."""
