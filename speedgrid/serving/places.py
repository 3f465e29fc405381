"""The places that serve streams: which a configuration names, and with which batch sizes each of them does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from speedgrid import InputError
from speedgrid.data import resolution as sizes
from speedgrid.data.resolution import Resolution
from speedgrid.grid import Axes, Cell, Config
from speedgrid.launcher.reading import read_json, short

# The value of the configuration's key that leaves the choice to the table, and the key.
RECOMMENDED, KEY = "recommended", "serving.for"
PATTERN = "{model}-{backend}-{precision}-r{resolution}"
# Processes that a number of cameras is confirmed in, one after another.
ROUNDS = 3
AXES = ("model", "backend", "precision", "resolution")


class Chosen(TypedDict):
    """A place that is to serve: its name, as of PATTERN, and the batch sizes that are loaded for it, rising."""

    place: str
    batch_sizes: list[int]


class PlaceError(InputError):
    """A place that cannot serve; the message names the key of the configuration, and what would be right."""


def require(config: Config, axes: Axes) -> None:
    """Raise PlaceError, one sentence, if the configuration names what its grid has not, or demands the unknown."""
    serving = config["serving"]
    asked, example = serving["for"], name_of(*(axes[axis][0] for axis in AXES))
    wanted = f"it must be {RECOMMENDED}, null, or a list of settings of the grid such as [{example}]"
    if (isinstance(asked, str) and asked != RECOMMENDED) or asked == []:
        raise PlaceError(f"config key {KEY} is {short(asked)}; {wanted}.")
    for number, name in enumerate(named(serving)):
        if not within(name, axes):
            raise PlaceError(
                f"config key {KEY}.{number} is {short(name)}, which the grid does not have; it must be like {example}: "
                "a model, a backend, a precision and a resolution of the grid."
            )
    if config["minimum_streams"] and asked is None:
        raise PlaceError(
            f"config key minimum_streams is {config['minimum_streams']}, but {KEY} is null, so that no setting is "
            f"known to serve any; {KEY} must be {RECOMMENDED} or a list of settings."
        )
    if serving["in_flight"] > 1 and config["device"] == "cpu":
        raise PlaceError(
            f"config key serving.in_flight is {serving['in_flight']}, but on the CPU a call ends before the next one "
            "begins; it must be 1."
        )
    if "periodic" not in serving["arrivals"]:
        raise PlaceError(
            f"config key serving.arrivals is {short(serving['arrivals'])}; it must have periodic, of which the claim "
            "is."
        )


def named(serving: Mapping[str, Any]) -> list[str]:
    """Return the names of the places that a configuration names itself."""
    return serving["for"] if isinstance(serving["for"], list) else []


def within(name: str, axes: Axes) -> bool:
    """Say whether a grid has the place of a name."""
    try:
        cell = cell_of(name, 1)
    except ValueError:
        return False
    return all(getattr(cell, axis) in axes[axis] for axis in AXES)


def name_of(model: str, backend: str, precision: str, resolution: Resolution) -> str:
    """Return the name of a place."""
    return PATTERN.format(model=model, backend=backend, precision=precision, resolution=resolution)


def cell_of(name: str, batch_size: int) -> Cell:
    """Return the cell of a place with a batch size. Raises ValueError where the name is none of a place."""
    return Cell.parse(f"{name}-b{batch_size}")


def asked(
    config: Config, model: str, backend: str, precision: str, resolution: str, batch_sizes: list[int]
) -> dict[str, Any]:
    """Return the demand on a place, as speedgrid.serving.record.Asked has it, of plain JSON values."""
    serving = config["serving"]
    place = {"model": model, "backend": backend, "precision": precision, "resolution": sizes.read(resolution)}
    same = ("fps", "quantile", "confidence", "batching", "queue", "arrivals", "blocks", "in_flight")
    return {
        "place": place | {"batch_sizes": batch_sizes},
        "device": config["device"],
        **{name: serving[name] for name in same},
        "deadline_ms": deadline_ms(config),
        "rounds": ROUNDS,
        "seed": config["model"]["seed"],
        "cpu_threads": config["timing"]["cpu_threads"],
        "patience_seconds": config["timing"]["patience_seconds"],
    }


def deadline_ms(config: Config) -> float:
    """Return the time from a frame's planned arrival to its result that a configuration allows."""
    return config["serving"]["deadline_ms"] or 1000 / config["serving"]["fps"]


def find(chosen: list[Chosen], name: str) -> Chosen:
    """Return the place of a name. Raises PlaceError where it was not chosen."""
    for one in chosen:
        if one["place"] == name:
            return one
    raise PlaceError(f"{name} is none of the settings that serve streams; config key {KEY} may name it.")


def read(path: str | Path) -> list[Chosen]:
    """Return the places that were chosen, in their order. Raises FileError for another file."""
    return read_json(path, list[Chosen])
