"""The images below a folder and their classes, as torchvision's ImageFolder has them, and parts of a data set.

What a system puts beside images is none: hidden files and folders, those of macOS's archives, thumbnails of a server.
Links are followed, but none that leads to a folder that was looked into already.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

# Of torchvision's ImageFolder.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# What is a system's beside what is a user's: of macOS's archives, of a Synology, of a QNAP, of Windows, of ext4.
SYSTEM = {
    "__MACOSX",
    "@eaDir",
    "#recycle",
    "@Recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "__pycache__",
}
SYSTEM |= {"Thumbs.db", "desktop.ini", "Desktop.ini"}
# What the levels of a data set are called.
LEVELS = {
    "train": {"train", "training", "trainset", "trn", "calib", "calibration"},
    "val": {"val", "valid", "validation", "valset", "dev", "eval", "evaluation"},
    "test": {"test", "testing", "testset", "tst", "holdout"},
}
# What may stand beside that: train2017, val_images, ILSVRC2012_img_val.
BESIDE = {"set", "data", "dataset", "images", "image", "imgs", "img", "split", "part", "imagenet", "ilsvrc", "coco"}
NUMBER = re.compile(r"^\d{1,2}[\s._-]+(?=[a-z])")  # 01_train
WORDS = re.compile(r"(?:19|20)\d\d(?!\d)|[a-z]+|\d+")


class BrokenLinks(Exception):
    """Links that lead nowhere: `paths`."""

    def __init__(self, paths: list[str]):
        super().__init__(", ".join(paths))
        self.paths = paths


class TreeError(Exception):
    """A folder whose images have no clear classes; the message is a clause after its name, and what would be right."""


@dataclass(frozen=True)
class Level:
    """One folder of images. classes: the files of each class folder by its name, in order; files: where it has none."""

    classes: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def count(self) -> int:
        """Return how many images there are."""
        return len(self.files) + sum(map(len, self.classes.values()))


@dataclass
class Passed:
    """The entries passed over: names that are no user's, folders looked into before, links that lead nowhere.

    others: how many files end in something else than an image does, by that ending.
    """

    names: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def read(folder: str) -> tuple[dict[str, Level], Passed]:
    """Return the images of a folder by level, `""` where it has none, and what was passed over.

    Raises TreeError, BrokenLinks, and OSError where something cannot be listed.
    """
    passed = Passed()
    whole = _level(folder, passed)
    if passed.broken:
        # A link may have been a folder of images; but where an image is gone, that is said first.
        raise BrokenLinks([path for path in passed.broken if is_image(path)] or passed.broken)
    named = {name: level_of(name) for name, files in whole.classes.items() if files}
    known = [level for level in named.values() if level]
    if len(set(known)) > 1 and len(known) < len(named):
        odd = next(name for name, level in named.items() if not level)
        raise TreeError(
            f"holds {_listed([name for name in named if named[name]])} beside {odd!r}; it must hold such parts of a "
            "data set, or class folders, alone"
        )
    if not named or len(known) < len(named):
        _refuse_wrapper(folder, whole)
        return {"": whole}, passed
    if len(set(known)) < len(known):
        raise TreeError(f"holds {_listed(list(named))}, of which two are one part of a data set; keep one of them")
    levels = {level: _level(os.path.join(folder, name), Passed()) for name, level in named.items() if level}
    if len(set(bool(level.classes) for level in levels.values())) > 1:
        flat = next(name for name, level in levels.items() if not level.classes)
        raise TreeError(f"has class folders in one part and none in {flat!r}; all of its parts must have them, or none")
    return levels, passed


def level_of(name: str) -> str | None:
    """Return the level that a folder's name stands for, which may be numbered: train, val or test."""
    words = [word for word in WORDS.findall(NUMBER.sub("", name.lower())) if word not in BESIDE]
    left = [word for word in words if not re.fullmatch(r"(?:19|20)\d\d", word)]
    return next((level for level, names in LEVELS.items() if len(left) == 1 and left[0] in names), None)


def is_image(name: str) -> bool:
    """Say whether a file's name ends as that of an image does."""
    return name.lower().endswith(EXTENSIONS)


def _level(folder: str, passed: Passed) -> Level:
    """Return the images of one folder: subfolders are classes, also empty ones, as ImageFolder counts them."""
    entries = _visible(folder, passed)
    seen = {_identity(folder)}
    classes = {entry.name: sorted(_below(entry.path, seen.copy(), passed)) for entry in entries if entry.is_dir()}
    inside = next((name for name, found in classes.items() if found), None)
    # A folder that is called as an image is one of the images that cannot be read.
    files = [entry.path for entry in entries if is_image(entry.name) and not (inside and entry.is_dir())]
    passed.others.update(
        os.path.splitext(entry.name)[1].lower() for entry in entries if not entry.is_dir() and not is_image(entry.name)
    )
    if files and inside:
        raise TreeError(
            f"holds images beside the class folder {inside!r}; it must hold either images or one folder of images for "
            "each class"
        )
    return Level(classes if inside else {}, files)


def _below(folder: str, seen: set[tuple[int, int]], passed: Passed) -> Iterator[str]:
    """Yield the images in a folder and below it. seen: folders that are not looked into again."""
    if (here := _identity(folder)) in seen:
        passed.names.append(folder)
        return
    seen.add(here)
    for entry in _visible(folder, passed):
        if entry.is_dir():
            yield from _below(entry.path, seen, passed)
        elif is_image(entry.name):
            yield entry.path
        else:
            passed.others[os.path.splitext(entry.name)[1].lower()] += 1


def _visible(folder: str, passed: Passed) -> list[os.DirEntry[str]]:
    """Return the entries of a folder in order, without what is no user's, and without links that lead nowhere."""
    found = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith(".") or entry.name in SYSTEM:
            passed.names.append(entry.path)
        elif entry.is_symlink() and not os.path.exists(entry.path):
            passed.broken.append(entry.path)
        else:
            found.append(entry)
    return found


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _refuse_wrapper(folder: str, whole: Level) -> None:
    """Raise TreeError for one folder around all class folders, of which all images would be one class."""
    holding = [name for name, files in whole.classes.items() if files]
    if len(holding) != 1:
        return
    inside = os.path.join(folder, holding[0])
    parents = {os.path.relpath(file, inside).split(os.sep)[0] for file in whole.classes[holding[0]]}
    direct = any(os.path.dirname(file) == inside for file in whole.classes[holding[0]])
    if len(parents) > 1 and not direct:
        raise TreeError(
            f"holds one folder of images, {holding[0]!r}, with {len(parents)} folders of images in it, so that all "
            f"would be of one class; name {inside!r} instead"
        )


def _listed(names: list[str]) -> str:
    return " and ".join(map(repr, names[:3]))


def numbered(names: Mapping[str, object]) -> bool:
    """Say whether all class folders are called by numbers."""
    return bool(names) and all(name.isdecimal() for name in names)
