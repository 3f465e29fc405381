"""Check a configuration against the strict schema and fill in its defaults."""

import math
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema.exceptions import ValidationError, best_match

from speedgrid import ROOT, InputError, backends, grid
from speedgrid.grid import Config
from speedgrid.launcher.reading import FileError, as_number, other_base, read_own_yaml, read_yaml, short
from speedgrid.launcher.rounds import most_rounds
from speedgrid.launcher.strict import FORMATS, LONGEST_NAME, LONGEST_PATH, Strict
from speedgrid.machine.device import resolve
from speedgrid.model import sources
from speedgrid.precision import EXPERIMENTAL, PRECISIONS

# The backend that speed-ups are relative to where a grid has it and it runs.
FIRST_REFERENCE = "pytorch"
SCHEMA_FILE = ROOT / "config" / "schema.yaml"
# A longer number is none of a configuration; Snakemake takes a minute to plan so many timings.
BITS, MOST_TIMINGS = 4096, 20_000


class SettingsError(InputError):
    """A configuration that cannot be run; the message names the key, the value and what would be right."""


def read_schema() -> dict[str, Any]:
    """Return config/schema.yaml as a dictionary."""
    return deepcopy(_schema())


@cache
def _schema() -> dict[str, Any]:
    return read_own_yaml(SCHEMA_FILE)


def require_readable(file: str | Path) -> None:
    """Raise SettingsError, one sentence, if a file of configuration cannot be read, has no keys, or has one twice."""
    try:
        if not isinstance(found := read_yaml(file), dict):
            raise FileError(f"{file} is {short(found)}; it must have keys, such as `device: auto`.")
    except FileError as error:
        raise SettingsError(f"configuration {error}") from None


def complete(config: Config, given: Mapping[str, Any] | None = None) -> Config:
    """Return a copy of `config` with every default filled in and `device` resolved to cuda or cpu.

    given: what `--config` had, the numbers in which Snakemake leaves as text where they are nested; it goes before
    `config`. Raises SettingsError, one sentence, if it cannot run.
    """
    try:
        return _complete(config, given or {})
    except RecursionError:
        raise SettingsError("the configuration is nested too deeply; config/schema.yaml has all of its keys.") from None


def _complete(config: Config, given: Mapping[str, Any]) -> Config:
    schema = read_schema()
    completed = deepcopy(config)
    if isinstance(completed, dict):
        _overwrite(completed, given)
    _refuse_endless(completed)
    completed = _with_defaults(completed, schema)
    validator = Strict(schema, format_checker=FORMATS)
    for error in validator.iter_errors(completed):
        _read_number(completed, error)
    if error := best_match(validator.iter_errors(completed)):
        raise SettingsError(_sentence(error))
    try:
        grid.read_resolutions(completed)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    completed["models"] = sources.complete(completed["models"])
    completed["device"] = resolve(completed["device"])
    _expand_auto(completed)
    _choose_reference(completed)
    _check_combinations(completed)
    return completed


def _refuse_endless(config: object) -> None:
    """Raise SettingsError for a number that Python would not write: YAML takes any number of hexadecimal digits."""
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [("", config)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, int) and value.bit_length() > BITS:
            raise SettingsError(f"config key {key[1:]} is a number of thousands of digits; it must be smaller.")
        if isinstance(value, dict | list) and id(value) not in seen:  # an anchor may lead back to where it stands
            seen.add(id(value))
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [(f"{key}.{str(name)[:40]}", one) for name, one in inner]


def _overwrite(config: Config, given: Mapping[str, Any]) -> None:
    """Put what `--config` had into a configuration, its texts read as a file of YAML has them."""
    for key, value in given.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            _overwrite(config[key], value)
        else:
            config[key] = _resolved(value)


def _resolved(value):
    if isinstance(value, Mapping):
        return {key: _resolved(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(one) for one in value]
    if not isinstance(value, str) or other_base(value):
        return value
    try:
        found = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        return value
    return found if isinstance(found, int | float) or (found is None and value) else value


def _read_number(config: Config, error: ValidationError) -> None:
    """Put a number where a configuration has one that YAML 1.1 takes for text, such as 1e-3."""
    value, wanted = error.instance, error.validator_value
    asked = error.validator == "type" and "number" in ([wanted] if isinstance(wanted, str) else wanted)
    if not asked or as_number(value) is value:
        return
    *path, last = error.absolute_path
    place: Any = config
    for key in path:
        place = place[key]
    place[last] = as_number(value)


def _with_defaults(value, schema: dict[str, Any]):
    if not isinstance(value, dict):
        return value
    for key, subschema in schema.get("properties", {}).items():
        if key not in value and "default" in subschema:
            value[key] = deepcopy(subschema["default"])
        elif key not in value and subschema.get("type") == "object":
            value[key] = {}
        if key in value:
            value[key] = _with_defaults(value[key], subschema)
    return value


def _sentence(error: ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path) or "the top level"
    # Of alternatives that of the value's own type.
    error = next((one for one in error.context or () if one.validator not in ("type", "enum")), error)
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(name for name in error.instance if name not in known)
        return f"config key {short(unknown)} at {key} is unknown; known keys there are {', '.join(known)}."
    wanted = {
        "enum": lambda: f"one of {', '.join(map(str, error.validator_value))}",
        "required": lambda: f"complete: {error.message}",
        "type": lambda: f"of type {' or '.join([kinds] if isinstance(kinds := error.validator_value, str) else kinds)}",
        "anyOf": lambda: " or an ".join(one.get("type") or one["enum"][0] for one in error.validator_value),
        "minLength": lambda: "text that is not empty",
        "maxLength": lambda: f"text of at most {error.validator_value} letters",
        "minItems": lambda: f"a list of at least {error.validator_value}",
        "maxItems": lambda: f"a list of at most {error.validator_value}",
        "uniqueItems": lambda: "a list without repeats",
        "minimum": lambda: f"at least {error.validator_value}",
        "maximum": lambda: f"at most {error.validator_value}",
        "exclusiveMinimum": lambda: f"more than {error.validator_value}",
        "pattern": lambda: f"text that matches {error.validator_value}",
        "pixels": lambda: "from {} to {} pixels, or HEIGHTxWIDTH such as 640x384".format(*error.validator_value),
        "format": lambda: (
            f"a path of at most {LONGEST_PATH} bytes, each name of at most {LONGEST_NAME}, with no control characters"
        ),
    }.get(error.validator, lambda: error.message)()
    return f"config key {key} is {short(error.instance)}; it must be {wanted}."


def _expand_auto(config: Config) -> None:
    """Replace the precision `auto` by the precisions that the device has."""
    device = config["device"]
    axes = config["grid"][device]
    if "auto" not in axes["precision"]:
        return
    if len(axes["precision"]) > 1:
        raise SettingsError(
            f"config key grid.{device}.precision is {axes['precision']!r}; auto means every precision that the device "
            "has, and must be alone."
        )
    all_axes = grid.axes_of(config)
    names = [name for name in PRECISIONS if name not in EXPERIMENTAL and backends.able(name, all_axes, device)]
    if not names:
        raise SettingsError(
            f"config key grid.{device}.precision is ['auto'], but none of {', '.join(axes['backend'])} runs on this "
            "machine; write the precisions out, and every cell says why it cannot run."
        )
    axes["precision"] = names


def _choose_reference(config: Config) -> None:
    """Replace `auto` in the reference by what the grid has.

    The precision is the most exact one; the backend is the first that can run it here, PyTorch before the others.
    """
    device, reference = config["device"], config["report"]["reference"]
    axes = grid.axes_of(config)
    if reference["precision"] == "auto":
        reference["precision"] = min(axes["precision"], key=list(PRECISIONS).index)
    if reference["backend"] == "auto":
        names = sorted(axes["backend"], key=lambda name: name != FIRST_REFERENCE)
        able = (name for name in names if backends.able(reference["precision"], axes | {"backend": [name]}, device))
        reference["backend"] = next(able, names[0])


def _check_combinations(config: Config) -> None:
    timing, reference = config["timing"], config["report"]["reference"]
    axes = grid.axes_of(config)
    most = most_rounds(timing)
    timings = math.prod(len(axes[axis]) for axis in grid.AXES) * most
    if timings > MOST_TIMINGS:
        raise SettingsError(
            f"config key grid.{config['device']} has cells for {timings:,} timings in {most} rounds; they "
            f"must be at most {MOST_TIMINGS:,}: take fewer values, or fewer timing.rounds."
        )
    if timing["min_seconds"] > timing["max_seconds"]:
        raise SettingsError(
            f"config key timing.min_seconds is {timing['min_seconds']}; "
            f"it must be at most timing.max_seconds, {timing['max_seconds']}."
        )
    device = config["device"]
    for axis in ("backend", "precision"):
        values = config["grid"][device][axis]
        if reference[axis] not in values:
            raise SettingsError(
                f"config key report.reference.{axis} is {reference[axis]!r}; it must be in "
                f"grid.{device}.{axis}, {values}, because every speed-up is relative to it."
            )


def document() -> str:
    """Return a Markdown table of every key, its default and its meaning, from the schema."""
    schema = read_schema()
    lines = ["| key | default | meaning |", "|---|---|---|"]

    def walk(node: dict[str, Any], path: str) -> None:
        for key, child in node.get("properties", {}).items():
            where = f"{path}{key}"
            if "$ref" in child:
                axes = schema["$defs"]["axes"]["properties"]
                lines.extend(
                    f"| `{where}.{axis}` | `{child['default'][axis]}` | {child['description']} {about['description']} |"
                    for axis, about in axes.items()
                )
            elif child.get("type") == "object":
                walk(child, f"{where}.")
            else:
                values = f" One of {', '.join(map(str, child['enum']))}." if "enum" in child else ""
                default = "null" if child["default"] is None else child["default"]
                lines.append(f"| `{where}` | `{default}` | {child['description']}{values} |")

    walk(schema, "")
    return "\n".join(lines) + "\n"
