"""A user's own images: a folder with one subfolder for each class, or with images alone, which then have no labels."""

import itertools
import os
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from speedgrid.data import contents, pictures, tree
from speedgrid.data.preprocessing import resized_side
from speedgrid.data.resolution import Resolution, size_of
from speedgrid.data.source import CALIBRATION, PARTS, REFERENCE, ClassFolder, DataError, Images
from speedgrid.data.tree import EXTENSIONS, Level
from speedgrid.launcher.inputs import expanded, file_fault, folder_fault

# Fewer cannot fill three parts with a few images each; of a part of a data set that is evaluated alone, so many.
FEWEST, FEWEST_EVALUATED = 32, 8
# How many faults, and how many classes, a sentence names.
NAMED = 20


class Folder:
    """The images of a folder, split at random from a seed, by class where there are classes.

    Classes are the subfolders in alphabetical order, as torchvision's ImageFolder numbers them, also those that are
    empty; subfolders that are all called by numbers have these numbers. Of the parts of a data set (train, val, test)
    the validation part is evaluated, and the training part gives the other images. Raises DataError if the folder
    cannot serve.
    """

    def __init__(self, path: str | Path, seed: int):
        self.path, self.seed = Path(expanded(str(path))), seed
        if fault := folder_fault(self.path):
            raise self._refused(f"which {fault}; it must be digits, random or a folder that can be read")
        try:
            self.levels, self.passed = tree.read(str(self.path))
        except tree.TreeError as error:
            raise self._refused(f"which {error}") from None
        except tree.BrokenLinks as error:
            raise self._refusal([f"{path!r} {file_fault(path)}" for path in error.paths]) from None
        except OSError as error:
            raise self._refusal([f"{error.filename!r} cannot be read ({error.strerror})"]) from None
        self.evaluated, self.calibrating = self._roles()
        self.classes = self._classes()
        self.files = self._labelled(self.levels[self.calibrating]) | self._labelled(self.levels[self.evaluated])
        self.parts, self.copies = contents.apart(self.path, self._split())

    def _roles(self) -> tuple[str, str]:
        """Return the levels that are evaluated, and that the other images are taken from."""
        evaluated = next(level for level in ("val", "test", "train", "") if level in self.levels)
        calibrating = next((level for level in ("train", "test") if level in self.levels), evaluated)
        for level in dict.fromkeys((evaluated, calibrating)):
            fewest = FEWEST_EVALUATED if level == evaluated != calibrating else FEWEST
            if (count := self.levels[level].count()) < fewest:
                where = f"in {level!r} " if level else ""
                raise self._refused(
                    f"which holds {where}{count} images ({', '.join(EXTENSIONS)}){self._others(' beside {}')}; it must "
                    f"hold at least {fewest}"
                )
        return evaluated, calibrating

    def _classes(self) -> dict[str, int]:
        """Return the number of each class folder. Raises DataError where numbers would say something else."""
        own, known = self.levels[self.evaluated].classes, self.levels[self.calibrating].classes
        if self.calibrating == "train" and (odd := next((name for name in own if name not in known), None)) is not None:
            raise self._refused(
                f"which has the class folder {odd!r} in {self.evaluated!r} and not in 'train'; the classes of both "
                "must be the same, as their order gives them their numbers"
            )
        names = known if self.calibrating == "train" else own
        if not tree.numbered(names):
            return {name: index for index, name in enumerate(names)}
        seen: dict[int, str] = {}
        for name in names:
            if (other := seen.setdefault(int(name), name)) != name:
                raise self._refused(
                    f"whose class folders {other!r} and {name!r} are both of class {int(name)}; each class must have a "
                    "number of its own"
                )
        return {name: int(name) for name in names}

    def _labelled(self, level: Level) -> dict[str, int | None]:
        """Return every image's path below the folder, with its class or None, in order."""
        found: dict[str, int | None] = dict.fromkeys(level.files)
        for name, files in level.classes.items():
            found |= dict.fromkeys(files, self.classes.get(name))
        return {os.path.relpath(file, self.path): label for file, label in found.items()}

    def _split(self) -> dict[str, list[str]]:
        if self.evaluated == self.calibrating:
            return split(self.files, self.seed)
        rest = ordered(self._labelled(self.levels[self.calibrating]), self.seed)
        first = min(REFERENCE, len(rest) // 3)
        evaluation = ordered(self._labelled(self.levels[self.evaluated]), self.seed)
        return dict(zip(PARTS, (rest[:first], rest[first : first + CALIBRATION], evaluation), strict=True))

    def _others(self, phrase: str) -> str:
        """Return a phrase with the files that are no images by what their names end in; empty where there are none."""
        kinds = [
            f"{count} {repr(ending) if ending else 'without an ending'}"
            for ending, count in self.passed.others.most_common(5)
        ]
        more = f" and {len(self.passed.others) - 5} more kinds" if len(self.passed.others) > 5 else ""
        return phrase.format(f"files that are not read ({', '.join(kinds)}{more})") if kinds else ""

    def _refused(self, clause: str) -> DataError:
        return DataError(f"config key data.images is {str(self.path)!r}, {clause}.")

    def _refusal(self, faults: list[str]) -> DataError:
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        which = "it" if len(faults) == 1 else "them"
        return self._refused(f"of which {'; '.join(faults[:NAMED])}{more}; replace or remove {which}")

    def require(self, sizes: dict[str, int]) -> None:
        """Raise DataError unless the files of all parts are there and can be read. sizes: how many at most."""
        paths = [path for part, most in sizes.items() for path in self.paths(part, most)]
        if faults := [f"{path!r} {fault}" for path in paths if (fault := file_fault(path))]:
            raise self._refusal(faults)
        if empty := [part for part in sizes if not self.parts[part]]:
            raise self._refused(
                f"which has no image for {' and '.join(empty)} that is not, by content, among the others; it must hold "
                f"at least {FEWEST} different ones"
            )

    def refuse_unreadable(self, part: str, most: int) -> None:
        """Raise DataError with all files of a part that are no usable images, and with those of the others."""
        sizes = {"reference": REFERENCE, "calibration": CALIBRATION, "evaluation": 200, part: most}
        faults = []
        for path in dict.fromkeys(path for name, count in sizes.items() for path in self.paths(name, count)):
            try:
                pictures.read(path)
            except DataError as error:
                faults.append(str(error).removeprefix("config key data.images: ").removesuffix("."))
        if len(faults) > 1:
            more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
            raise DataError(
                f"config key data.images: {len(faults)} files cannot be used: {'; '.join(faults[:NAMED])}{more}."
            )

    def size(self, part: str, most: int) -> int:
        """Return how many images a part has."""
        return min(len(self.parts[part]), most)

    def labels(self, part: str, count: int | None) -> list[int] | None:
        """Return the classes of the first `count` images of a part, or None where there are no class folders."""
        found = [self.files[name] for name in self.parts[part][:count]]
        return [label for label in found if label is not None] if self.classes else None

    def paths(self, part: str, most: int | None = None) -> list[str]:
        """Return the first `most` files of a part: all that is made of the part is stale when one of them changes."""
        return [str(self.path / name) for name in self.parts[part][:most]]

    def images(self, part: str, resolution: Resolution, start: int, count: int) -> Any:
        """Return images `start` to `start + count` of a part, float32 [count, 3, height, width]."""
        import numpy as np
        from torchvision.models import ResNet18_Weights

        size, found = size_of(resolution), []
        for path in self.paths(part)[start : start + count]:
            picture = pictures.read(path)
            # The preset that most of torchvision's models are evaluated with: the shorter side to 8/7 of the resolution
            # (256 at 224), bilinear and antialiased, the middle cut out, ImageNet's mean and deviation.
            shorter = resized_side((picture.height, picture.width), size)
            preset = ResNet18_Weights.DEFAULT.transforms(resize_size=shorter)
            preset.crop_size = list(size)  # the constructor takes squares alone
            found.append(preset(picture).numpy())
        return np.stack(found)

    def describe(self) -> Images:
        """Return the description of a folder's images."""
        found: Images = {
            "source": str(self.path),
            "seed": self.seed,
            "images_in_folder": len(self.files),
            "classes": len(self.classes) or None,
            "class_folders": self.class_folders(),
            "numbered": tree.numbered(self.classes),
            "copies": self.copies,
            "passed_over": len(self.passed.names),
            "others": dict(self.passed.others.most_common()),
        }
        if self.evaluated != self.calibrating:
            found |= {"evaluated": self.evaluated, "calibrating": self.calibrating}
        return found

    def class_folders(self) -> list[ClassFolder]:
        """Return the class folders in order, each with its number and how many images of those in use it has."""
        counts = Counter(self.files.values())
        return [{"name": name, "number": number, "images": counts[number]} for name, number in self.classes.items()]

    def summary(self) -> str:
        """Say in one line what the images are, and which classes they are of."""
        levels = (
            f" ({self.evaluated} is evaluated, {self.calibrating} calibrates)"
            if self.evaluated != self.calibrating
            else ""
        )
        head = f"Images of {str(self.path)!r}: {len(self.files)}{levels}{self._others(' beside {}')}"
        if not self.classes:
            return f"{head}, without class folders, so without labels."
        folders = self.class_folders()
        named = ", ".join(f"{one['name']!r} {one['images']} (class {one['number']})" for one in folders[:NAMED])
        more = f" and {len(folders) - NAMED} more" if len(folders) > NAMED else ""
        return f"{head}, of {len(folders)} classes: {named}{more}."


def ordered(files: dict[str, int | None], seed: int) -> list[str]:
    """Return files in random order: each beginning of it has of every class the share that all have.

    Each class's files are shuffled and spread evenly from 0 to 1, and all are ordered by their place there.
    """
    by_class = defaultdict(list)
    for name, label in files.items():
        by_class[label].append(name)
    place: dict[str, float] = {}
    for label, names in by_class.items():
        chance = random.Random(f"{seed}-{label}")
        chance.shuffle(names)
        place |= {name: (index + chance.random()) / len(names) for index, name in enumerate(names)}
    return sorted(place, key=lambda name: (place[name], name))


def split(files: dict[str, int | None], seed: int) -> dict[str, list[str]]:
    """Return the files of each of PARTS, in order; of few files an eighth is reference and a quarter calibration.

    They are taken one after another from `ordered` files: so each part, and each beginning of one, has of every class
    the share that the folder has.
    """
    order = ordered(files, seed)
    reference, calibration = min(REFERENCE, len(order) // 8), min(CALIBRATION, len(order) // 4)
    ends = (0, reference, reference + calibration, None)
    return {part: order[slice(*pair)] for part, pair in zip(PARTS, itertools.pairwise(ends), strict=True)}
