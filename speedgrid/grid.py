"""The grid of cells: which measurements exist, what their files are called, in which order they run."""

import itertools
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

# The values of each axis of a grid, by the names of AXES.
Axes: TypeAlias = Mapping[str, list[Any]]
# A configuration with every default filled in, as of speedgrid.settings.complete; config/schema.yaml has its keys.
Config: TypeAlias = dict[str, Any]
AXES = ("model", "backend", "precision", "resolution", "batch_size")
# What a timing is for: a round of the grid, or a control of the run (see `measuring_order`).
TURN = r"(round|sentinel|twin)\d+"
# The name of a model, which may have dots and hyphens within it: what follows it in the name of a cell has none.
MODEL = r"\w[\w.-]*"
# The names of a cell, as `Cell.PATTERN`, and of a timing of it.
CELL = re.compile(rf"({MODEL})-(\w+)-(\w+)-r(\d+)-b(\d+)")
TIMING = re.compile(rf"(?P<cell>{CELL.pattern})-(?P<turn>{TURN})")
# Large enough to be bound by the device and not by the host, small enough to be quick.
CONTROL_PLACE = {"resolution": 224, "batch_size": 32}


@dataclass(frozen=True, order=True)
class Cell:
    """One configuration to measure; the only place that knows how a cell is written in a file name.

    model: its name, as of `model_name`.
    resolution: height and width of the square input, in pixels.
    batch_size: images per call.
    """

    PATTERN: ClassVar[str] = "{model}-{backend}-{precision}-r{resolution}-b{batch_size}"

    model: str
    backend: str
    precision: str
    resolution: int
    batch_size: int

    @classmethod
    def parse(cls, name: str) -> "Cell":
        """Read a cell from its name. Raises ValueError when the name is not one that `str(cell)` gives."""
        match = CELL.fullmatch(name)
        if not match:
            raise ValueError(f"cell name {name!r} does not read as {cls.PATTERN}, e.g. resnet18-pytorch-fp32-r224-b1")
        return cls(match[1], match[2], match[3], int(match[4]), int(match[5]))

    @classmethod
    def of(cls, model: str, backend: str, precision: str, resolution: str, batch_size: str, **_: str) -> "Cell":
        """Return the cell of a rule's wildcards, which are text."""
        return cls(model, backend, precision, int(resolution), int(batch_size))

    def __str__(self) -> str:
        return self.PATTERN.format(**asdict(self))


def model_name(entry: str | Mapping[str, Any]) -> str:
    """Return the name of an entry of the configuration's `models`: a bare name, or that of a source of its own."""
    return entry if isinstance(entry, str) else entry["name"]


def axes_of(config: Config) -> dict[str, list[Any]]:
    """Return the values of each axis of a configuration's grid, models by their names."""
    return {"model": [model_name(one) for one in config["models"]], **config["grid"][config["device"]]}


def cells(axes: Mapping[str, Iterable[Any]]) -> list[Cell]:
    """Return the full product of the axes, the last axis fastest."""
    return [Cell(*values) for values in itertools.product(*(axes[axis] for axis in AXES))]


def turn_number(turn: str) -> int:
    """Return the number of a turn: 2 of round2 or twin2."""
    return int(turn.lstrip("abcdefghijklmnopqrstuvwxyz"))


def nearest(values: Iterable[int], wanted: int) -> int:
    """Return the value that is nearest to `wanted`, the smaller one of two."""
    return min(sorted(set(values)), key=lambda value: abs(value - wanted))


def control_cell(axes: Axes) -> Cell:
    """Return the cell that controls a run: first model, backend and precision of `axes`, at CONTROL_PLACE or near it.

    It depends on the grid alone, so that another report needs no new measurement.
    """
    place = {axis: nearest(axes[axis], wanted) for axis, wanted in CONTROL_PLACE.items()}
    return Cell(axes["model"][0], axes["backend"][0], axes["precision"][0], **place)


def evaluated_cells(axes: Axes, resolution: int) -> list[Cell]:
    """Return the cells whose sessions accuracy is measured with: one for each model, backend and precision.

    At the resolution of the grid nearest to `resolution`, with the batch size nearest to the control cell's.
    """
    place = {
        "resolution": [nearest(axes["resolution"], resolution)],
        "batch_size": [nearest(axes["batch_size"], CONTROL_PLACE["batch_size"])],
    }
    return cells({**axes, **place})


def measuring_order(grid: Iterable[Cell], control: Cell, seed: int, rounds: int) -> list[str]:
    """Return the names of all timings, as TIMING, in the order in which they are to be measured.

    Rounds follow each other, each in a fresh random order: random interleaving keeps drift of the machine from
    favouring one backend (https://github.com/google/benchmark/blob/main/docs/random_interleaving.md). The cells of one
    place (model, resolution, batch size), which are compared with each other, are measured one after another, in a
    random order of places and of the cells of each: what the machine does to all of them at that time is then known,
    and taken off their ratios. Two controls of the run itself are among them. Turns sentinel1, sentinel2 ... time the
    control cell at the start, and in the middle and at the end of each round, which shows drift. Turns twin1, twin2 ...
    time it once more in each round, under another name, at its own place: the two must tie, and by how much they do
    not is the run's noise floor.
    """
    ordered = sorted(grid, key=str)
    order = [f"{control}-sentinel1"]
    for number in range(1, rounds + 1):
        drawn = random.Random(f"{seed}-{number}")
        places: dict[tuple[str, int, int], list[str]] = {}
        for cell in ordered:
            places.setdefault(place_of(cell), []).append(f"{cell}-round{number}")
        places.setdefault(place_of(control), []).append(f"{control}-twin{number}")
        shuffled: list[str] = []
        for place in drawn.sample(list(places.values()), len(places)):
            shuffled += drawn.sample(place, len(place))
        shuffled.insert(len(shuffled) // 2, f"{control}-sentinel{2 * number}")
        order += [*shuffled, f"{control}-sentinel{2 * number + 1}"]
    return order


def place_of(cell: Cell) -> tuple[str, int, int]:
    """Return the place of a cell: all cells there do the same work, each in another way."""
    return cell.model, cell.resolution, cell.batch_size


def timings(axes: Axes, rounds: int) -> list[str]:
    """Return the names of all timings of a grid in alphabetical order, as TIMING."""
    return sorted(measuring_order(cells(axes), control_cell(axes), 0, rounds))
