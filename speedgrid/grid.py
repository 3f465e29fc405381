"""The grid of cells: which measurements exist, what their files are called, in which order they run."""

import itertools
import random
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from speedgrid.data import resolution as sizes
from speedgrid.data.resolution import Resolution

# The values of each axis of a grid, by the names of AXES.
Axes: TypeAlias = Mapping[str, list[Any]]
# A configuration with every default filled in, as of speedgrid.settings.complete; config/schema.yaml has its keys.
Config: TypeAlias = dict[str, Any]
AXES = ("model", "backend", "precision", "resolution", "batch_size")
# What a timing is for: a round of the grid, or a control of the run (see `measuring_order`), or of a session of its
# own that was added to a run, by whose number it then ends (see `plan`).
TURN = r"(round|sentinel|twin|reference)\d+(s\d+)?"
# The name of a model, which may have dots and hyphens within it: what follows it in the name of a cell has none.
MODEL = r"\w[\w.-]*"
# The names of a cell, as `Cell.PATTERN`, and of a timing of it.
CELL = re.compile(rf"({MODEL})-(\w+)-(\w+)-r({sizes.PATTERN})-b(\d+)")
TIMING = re.compile(rf"(?P<cell>{CELL.pattern})-(?P<turn>{TURN})")
# Timings of the control cell that show drift: at the start, in the middle and at the end.
SENTINELS = 3
# Large enough to be bound by the device and not by the host, small enough to be quick.
CONTROL_PLACE = {"resolution": 224, "batch_size": 32}


@dataclass(frozen=True, order=True)
class Cell:
    """One configuration to measure; the only place that knows how a cell is written in a file name.

    model: its name, as of `model_name`.
    resolution: of the input, as of speedgrid.data.resolution; ValueError is raised for one that is none.
    batch_size: images per call.
    """

    PATTERN: ClassVar[str] = "{model}-{backend}-{precision}-r{resolution}-b{batch_size}"

    model: str
    backend: str
    precision: str
    resolution: Resolution
    batch_size: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolution", sizes.read(self.resolution))

    @classmethod
    def parse(cls, name: str) -> "Cell":
        """Read a cell from its name. Raises ValueError when the name is not one that `str(cell)` gives."""
        match = CELL.fullmatch(name)
        found = cls(match[1], match[2], match[3], match[4], int(match[5])) if match else None
        if match is None or found is None or str(found.resolution) != match[4]:
            raise ValueError(f"cell name {name!r} does not read as {cls.PATTERN}, e.g. resnet18-pytorch-fp32-r224-b1")
        return found

    @classmethod
    def of(cls, model: str, backend: str, precision: str, resolution: str, batch_size: str, **_: str) -> "Cell":
        """Return the cell of a rule's wildcards, which are text."""
        return cls(model, backend, precision, resolution, int(batch_size))

    def __str__(self) -> str:
        return self.PATTERN.format(**vars(self))


def model_name(entry: str | Mapping[str, Any]) -> str:
    """Return the name of an entry of the configuration's `models`: a bare name, or that of a source of its own."""
    return entry if isinstance(entry, str) else entry["name"]


def axes_of(config: Config) -> dict[str, list[Any]]:
    """Return the values of each axis of a configuration's grid, models by their names."""
    return {"model": [model_name(one) for one in config["models"]], **config["grid"][config["device"]]}


def read_resolutions(config: Config) -> None:
    """Replace the resolutions of a configuration by what they are, as of speedgrid.data.resolution.

    Raises ValueError, one sentence, where one size stands twice: 224 and 224x224 are one.
    """
    for section in (config["accuracy"], config["report"]):
        section["resolution"] = sizes.read(section["resolution"])
    lists = {f"grid.{device}.resolution": (axes, "resolution") for device, axes in config["grid"].items()}
    lists["timing.energy_resolutions"] = config["timing"], "energy_resolutions"
    for key, (section, name) in lists.items():
        found = [sizes.read(one) for one in section[name]]
        if len(set(found)) < len(found):
            twice = next(one for one in found if found.count(one) > 1)
            raise ValueError(f"config key {key} has {sizes.in_words(twice)} pixels twice; it must have no repeats.")
        section[name] = found


def cells(axes: Mapping[str, Iterable[Any]]) -> list[Cell]:
    """Return the full product of the axes, the last axis fastest."""
    return [Cell(*values) for values in itertools.product(*(axes[axis] for axis in AXES))]


def turn_number(turn: str) -> int:
    """Return the number of a turn: 2 of round2 or twin2, and of twin2s3, the second twin of session 3."""
    return int(turn.lstrip("abcdefghijklmnopqrstuvwxyz").partition("s")[0])


def kind_of(name: str) -> str:
    """Return the kind of a turn, or of a timing by its name: round, sentinel, twin or reference."""
    return name.rpartition("-")[2].rstrip("s0123456789")


def session_number(name: str) -> int:
    """Return the number of the session whose control a turn or a timing is; 1 of what is a run's from its beginning."""
    return int(name.rpartition("s")[2]) if re.search(r"-?[a-z]+\d+s\d+$", name) else 1


def nearest(values: Iterable[Any], wanted: Any) -> Any:
    """Return the value that is nearest to `wanted`, the smaller one of two: of batch sizes, or of resolutions.

    Resolutions are as near as the squares with as many pixels.
    """
    side = sizes.side_of(wanted)
    return min(
        sorted(map(sizes.read, set(values))), key=lambda value: (abs(sizes.side_of(value) - side), value != wanted)
    )


def control_cell(axes: Axes) -> Cell:
    """Return the cell that controls a run: first model, backend and precision of `axes`, at CONTROL_PLACE or near it.

    It depends on the grid alone, so that another report needs no new measurement.
    """
    place = {axis: nearest(axes[axis], wanted) for axis, wanted in CONTROL_PLACE.items()}
    return Cell(axes["model"][0], axes["backend"][0], axes["precision"][0], **place)


def evaluated_cells(axes: Axes, resolution: Resolution) -> list[Cell]:
    """Return the cells whose sessions accuracy is measured with: one for each model, backend and precision.

    At the resolution of the grid nearest to `resolution`, with the batch size nearest to the control cell's.
    """
    place = {
        "resolution": [nearest(axes["resolution"], resolution)],
        "batch_size": [nearest(axes["batch_size"], CONTROL_PLACE["batch_size"])],
    }
    return cells({**axes, **place})


def measuring_order(grid: Iterable[Cell], control: Cell, seed: int, rounds: int) -> list[list[str]]:
    """Return the names of all timings, as TIMING, of each round in the order in which they are to be measured.

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
    order = []
    for number in range(1, rounds + 1):
        drawn = random.Random(f"{seed}-{number}")
        places: dict[tuple[str, Resolution, int], list[str]] = {}
        for cell in ordered:
            places.setdefault(place_of(cell), []).append(f"{cell}-round{number}")
        places.setdefault(place_of(control), []).append(f"{control}-twin{number}")
        shuffled: list[str] = []
        for place in drawn.sample(list(places.values()), len(places)):
            shuffled += drawn.sample(place, len(place))
        shuffled.insert(len(shuffled) // 2, f"{control}-sentinel{2 * number}")
        order.append([*shuffled, f"{control}-sentinel{2 * number + 1}"])
    return [[f"{control}-sentinel1", *order[0]], *order[1:]]


def round_of(name: str) -> int | None:
    """Return the round that a timing belongs to; None of the sentinels of a session that was added to a run."""
    turn = name.rpartition("-")[2]
    if kind_of(name) != "sentinel":
        return turn_number(turn)
    return max(1, turn_number(turn) // 2) if session_number(name) == 1 else None


def added(grid: Iterable[Cell], names: Iterable[str]) -> list[str]:
    """Return the controls of sessions that were added to a run, sorted. names: of all timings that are there."""
    wanted = {str(cell) for cell in grid}
    found = (TIMING.fullmatch(name) for name in names)
    return sorted(one[0] for one in found if one and session_number(one["turn"]) > 1 and one["cell"] in wanted)


def plan(
    stages: Sequence[Sequence[str]],
    grid: Sequence[Cell],
    control: Cell,
    reference: Mapping[str, str],
    seed: int,
    done: Set[str],
) -> list[list[str]]:
    """Return the names of all timings that a run asks for, stage by stage, in the order in which they are measured.

    stages: what is asked for, known one after the other: whatever a later one is, the plan of those before it stays.
    done: the timings that are there. Where they are a part of all, the others are a session of measuring of their own,
    in which the machine may be another one: so it has controls of its own, as a run has them, and for each round of a
    place the reference cell there, unless that is among them. What earlier sessions had stays. reference: `backend` and
    `precision` that speed-ups are relative to.
    """
    of_grid = {str(cell) for cell in grid}
    there = [one for one in sorted(done) if (known := TIMING.fullmatch(one)) and known["cell"] in of_grid]
    earlier = added(grid, done)
    session = 1 + max(map(session_number, done), default=0)
    beside = [cell for cell in grid if (cell.backend, cell.precision) == (reference["backend"], reference["precision"])]
    found: list[list[str]] = []
    for number, order in enumerate(stages, start=1):
        own = [one for one in earlier if (round_of(one) or len(stages)) == number or len(stages) == 1]
        missing = [one for one in order if one not in done]
        asked = [*own, *order]
        if missing and there:
            drawn = random.Random(f"{seed}-s{session}" + f"-{number}" * (number > 1))
            extra = session_order(missing, there, control, beside, drawn, session, number)
            asked = [*own, *(one for one in order if one in done), *extra]
        before = {one for stage in found for one in stage}
        found.append([one for one in dict.fromkeys(asked) if one not in before])
    return found


def session_order(
    missing: Sequence[str],
    there: Sequence[str],
    control: Cell,
    references: Sequence[Cell],
    drawn: random.Random,
    session: int,
    number: int = 1,
) -> list[str]:
    """Return the timings of a session that is added to a run, in order: what is missing, and its controls.

    there: the run's other timings. references: the reference cells of all places. number: of the round that controls
    are of where nothing but controls is missing.
    """
    blocks: dict[tuple[int, tuple[str, Resolution, int]], list[str]] = {}
    for one in missing:
        if (found := TIMING.fullmatch(one)) and kind_of(one) == "round":
            blocks.setdefault((turn_number(found["turn"]), place_of(Cell.parse(found["cell"]))), []).append(one)
    wanted = {(cell, number): place for cell in references for number, place in blocks if place == place_of(cell)}
    after: dict[str, list[str]] = {}
    for (cell, number), place in wanted.items():
        if f"{cell}-round{number}" not in missing:
            after.setdefault(drawn.choice(blocks[number, place]), []).append(f"{cell}-reference{number}s{session}")
    order = [name for one in missing for name in (one, *after.get(one, ()))]
    numbers = sorted({number for number, _ in blocks}) or [number]
    extra = [f"{control}-twin{number}s{session}" for number in numbers[: lacking(missing, "twin", len(numbers))]]
    if not after and (link := linking(there, control, references)):
        extra += [f"{link}-reference{number}s{session}" for number in numbers]
    for name in extra:
        order.insert(drawn.randint(0, len(order)), name)
    count = lacking(missing, "sentinel", SENTINELS)
    sentinels = [f"{control}-sentinel{number}s{session}" for number in range(1, 1 + count)]
    half = len(order) // 2
    return [*sentinels[:1], *order[:half], *sentinels[2:], *order[half:], *sentinels[1:2]]


def linking(there: Sequence[str], control: Cell, references: Iterable[Cell]) -> Cell | None:
    """Return the reference cell that links a session with what is there, the nearest, where the control does not."""
    known = {found["cell"] for one in there if (found := TIMING.fullmatch(one))}
    if str(control) in known:
        return None
    able = [cell for cell in references if str(cell) in known]

    def far(cell: Cell) -> tuple[float, int]:
        sides = sizes.side_of(cell.resolution), sizes.side_of(control.resolution)
        return abs(sides[0] - sides[1]), abs(cell.batch_size - control.batch_size)

    return min(able, key=far, default=None)


def lacking(names: Sequence[str], kind: str, count: int) -> int:
    """Return the number of turns of a kind that timings lack beside `count`."""
    return max(0, count - sum(kind_of(name) == kind for name in names))


def place_of(cell: Cell) -> tuple[str, Resolution, int]:
    """Return the place of a cell: all cells there do the same work, each in another way."""
    return cell.model, cell.resolution, cell.batch_size


def timings(axes: Axes, rounds: int, there: Iterable[str] = (), certain: int | None = None) -> list[str]:
    """Return the names of all timings of a grid, as TIMING: in alphabetical order those of a run, and those `added`.

    there: names of all timings that were measured. certain: the rounds that every cell has, all where it is not given;
    of those beyond, what is there.
    """
    grid, found = cells(axes), set(there)
    order = measuring_order(grid, control_cell(axes), 0, rounds)
    asked = [one for stage in order[:certain] for one in stage]
    beyond = [one for stage in order[len(order[:certain]) :] for one in stage if one in found]
    return [*sorted([*asked, *beyond]), *added(grid, found)]
