"""A user's own images: a folder with one subfolder for each class, or with images alone, which then have no labels."""

import itertools
import os
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from speedgrid.data import pictures
from speedgrid.data.source import CALIBRATION, PARTS, REFERENCE, DataError, Images
from speedgrid.launcher.inputs import expanded, file_fault, folder_fault

# Of torchvision's ImageFolder.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# Fewer cannot fill three parts with a few images each.
FEWEST = 32


class Folder:
    """The images of a folder, split at random from a seed, by class where there are classes.

    Classes are the subfolders in alphabetical order, as torchvision's ImageFolder numbers them; subfolders that are
    all called by numbers have these numbers. Raises DataError if the folder cannot serve.
    """

    def __init__(self, path: str | Path, seed: int):
        self.path, self.seed = Path(expanded(str(path))), seed
        try:
            self.classes = self._classes()
            self.files = self._files()
        except OSError as error:
            raise self._refusal(error.filename, f"cannot be read ({error.strerror})") from None
        self.parts = split(self.files, seed)

    def _classes(self) -> list[str]:
        """Return the names of the subfolders that hold images, sorted; empty if the images lie in the folder itself."""
        if fault := folder_fault(self.path):
            raise DataError(
                f"config key data.images is {str(self.path)!r}, which {fault}; "
                "it must be digits, random or a folder that can be read."
            )
        entries = sorted(os.scandir(self.path), key=lambda entry: entry.name)
        for entry in entries:
            self._refuse_broken_link(entry.path)
        names = [entry.name for entry in entries if entry.is_dir() and next(self._found(entry.name), None)]
        if names and any(is_image(entry.name) for entry in entries if entry.is_file()):
            raise DataError(
                f"config key data.images is {str(self.path)!r}, which holds images beside the class folder "
                f"{names[0]!r}; it must hold either images or one folder of images for each class."
            )
        return names

    def _files(self) -> dict[str, int | None]:
        """Return every image's path below the folder, with its class or None, in order."""
        if self.classes:
            numbered = all(name.isdecimal() for name in self.classes)
            if numbered:
                self._refuse_equal_numbers()
            files: dict[str, int | None] = {
                file: int(name) if numbered else index
                for index, name in enumerate(self.classes)
                for file in sorted(self._found(name))
            }
        else:
            files = dict.fromkeys(sorted(entry.path for entry in os.scandir(self.path) if is_image(entry.name)))
        if len(files) < FEWEST:
            raise DataError(
                f"config key data.images is {str(self.path)!r}, which holds {len(files)} images "
                f"({', '.join(EXTENSIONS)}); it must hold at least {FEWEST}."
            )
        return {os.path.relpath(file, self.path): label for file, label in files.items()}

    def _found(self, name: str) -> Iterator[str]:
        """Yield the paths of the images in a subfolder and below it. Raises DataError where they cannot be listed."""

        def refuse(error: OSError) -> None:
            raise self._refusal(error.filename, f"cannot be read ({error.strerror})")

        for where, _, names in os.walk(self.path / name, onerror=refuse, followlinks=True):
            for path in (os.path.join(where, one) for one in names):
                if is_image(path):
                    yield path
                else:
                    self._refuse_broken_link(path)

    def _refuse_broken_link(self, path: str) -> None:
        """Raise DataError for a link that leads nowhere: it may have been a folder of images."""
        if os.path.islink(path) and not os.path.exists(path):
            raise self._refusal(path, file_fault(path))

    def _refusal(self, path: str, fault: str | None) -> DataError:
        return DataError(
            f"config key data.images is {str(self.path)!r}, of which {path!r} {fault}; replace or remove it."
        )

    def require(self, part: str, most: int) -> None:
        """Raise DataError unless the first `most` files of a part are there and can be read."""
        for path in self.paths(part, most):
            if fault := file_fault(path):
                raise self._refusal(path, fault)

    def _refuse_equal_numbers(self) -> None:
        """Raise DataError if two class folders have names that are one number, such as `01` and `1`."""
        known: dict[int, str] = {}
        for name in self.classes:
            if (other := known.setdefault(int(name), name)) != name:
                raise DataError(
                    f"config key data.images is {str(self.path)!r}, whose class folders {other!r} and {name!r} are "
                    f"both of class {int(name)}; each class must have a number of its own."
                )

    def size(self, part: str, most: int) -> int:
        """Return how many images a part has."""
        return min(len(self.parts[part]), most)

    def labels(self, part: str, count: int) -> list[int] | None:
        """Return the classes of the first `count` images of a part, or None where there are no class folders."""
        found = [self.files[name] for name in self.parts[part][:count]]
        return [label for label in found if label is not None] if self.classes else None

    def paths(self, part: str, most: int | None = None) -> list[str]:
        """Return the first `most` files of a part: all that is made of the part is stale when one of them changes."""
        return [str(self.path / name) for name in self.parts[part][:most]]

    def images(self, part: str, resolution: int, start: int, count: int):
        """Return images `start` to `start + count` of a part, float32 [count, 3, resolution, resolution]."""
        import numpy as np
        from torchvision.models import ResNet18_Weights

        # The preset that most of torchvision's models are evaluated with: the shorter side to 8/7 of the resolution
        # (256 at 224), bilinear and antialiased, the middle cut out, ImageNet's mean and deviation.
        preset = ResNet18_Weights.DEFAULT.transforms(crop_size=resolution, resize_size=round(resolution * 8 / 7))
        return np.stack([preset(pictures.read(path)).numpy() for path in self.paths(part)[start : start + count]])

    def describe(self) -> Images:
        """Return the description of a folder's images."""
        return {
            "source": str(self.path),
            "seed": self.seed,
            "images_in_folder": len(self.files),
            "classes": len(self.classes) or None,
        }


def split(files: dict[str, int | None], seed: int) -> dict[str, list[str]]:
    """Return the files of each of PARTS, in order; of few files an eighth is reference and a quarter calibration.

    Each class's files are shuffled and spread evenly from 0 to 1, all are ordered by their place there, and the parts
    taken one after another: so each part, and each beginning of one, has of every class the share that the folder has.
    """
    by_class = defaultdict(list)
    for name, label in files.items():
        by_class[label].append(name)
    place: dict[str, float] = {}
    for label, names in by_class.items():
        chance = random.Random(f"{seed}-{label}")
        chance.shuffle(names)
        place |= {name: (index + chance.random()) / len(names) for index, name in enumerate(names)}
    order = sorted(place, key=lambda name: (place[name], name))
    reference, calibration = min(REFERENCE, len(order) // 8), min(CALIBRATION, len(order) // 4)
    ends = (0, reference, reference + calibration, None)
    return {part: order[slice(*pair)] for part, pair in zip(PARTS, itertools.pairwise(ends), strict=True)}


def is_image(name: str) -> bool:
    """Say whether a file's name ends as that of an image does."""
    return name.lower().endswith(EXTENSIONS)
