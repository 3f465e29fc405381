"""Check a configuration against the strict schema and fill in its defaults."""

import math
from copy import deepcopy
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError, best_match

from speedgrid import ROOT, backends
from speedgrid.grid import Config
from speedgrid.machine.device import resolve
from speedgrid.precision import EXPERIMENTAL, PRECISIONS

# The backend that speed-ups are relative to where a grid has it and it runs.
FIRST_REFERENCE = "pytorch"
SCHEMA_FILE = ROOT / "config" / "schema.yaml"


# JSON Schema takes 64.0 for an integer and infinity for a number; file names and loops do not.
Strict = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            ),
        }
    ),
)


class SettingsError(ValueError):
    """A configuration that cannot be run; the message names the key, the value and what would be right."""


def read_schema() -> dict[str, Any]:
    """Return config/schema.yaml as a dictionary."""
    return yaml.safe_load(SCHEMA_FILE.read_text())


def complete(config: Config) -> Config:
    """Return a copy of `config` with every default filled in and `device` resolved to cuda or cpu.

    Raises SettingsError, one sentence, if it cannot run.
    """
    schema = read_schema()
    completed = _with_defaults(deepcopy(config), schema)
    error = best_match(Strict(schema).iter_errors(completed))
    if error:
        raise SettingsError(_sentence(error))
    completed["device"] = resolve(completed["device"])
    _expand_auto(completed)
    _choose_reference(completed)
    _check_combinations(completed)
    return completed


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
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(name for name in error.instance if name not in known)
        return f"config key {unknown!r} at {key} is unknown; known keys there are {', '.join(known)}."
    wanted = {
        "enum": lambda: f"one of {', '.join(map(str, error.validator_value))}",
        "required": lambda: f"complete: {error.message}",
        "type": lambda: f"of type {_either(error.validator_value)}",
        "minLength": lambda: "text that is not empty",
        "minItems": lambda: f"a list of at least {error.validator_value}",
        "uniqueItems": lambda: "a list without repeats",
        "minimum": lambda: f"at least {error.validator_value}",
        "maximum": lambda: f"at most {error.validator_value}",
        "exclusiveMinimum": lambda: f"more than {error.validator_value}",
        "pattern": lambda: f"text that matches {error.validator_value}",
    }.get(error.validator, lambda: error.message)()
    return f"config key {key} is {error.instance!r}; it must be {wanted}."


def _either(types: str | list[str]) -> str:
    return types if isinstance(types, str) else " or ".join(types)


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
    all_axes = {"model": config["models"], **axes}
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
    axes = {"model": config["models"], **config["grid"][device]}
    if reference["precision"] == "auto":
        reference["precision"] = min(axes["precision"], key=list(PRECISIONS).index)
    if reference["backend"] == "auto":
        names = sorted(axes["backend"], key=lambda name: name != FIRST_REFERENCE)
        able = (name for name in names if backends.able(reference["precision"], axes | {"backend": [name]}, device))
        reference["backend"] = next(able, names[0])


def _check_combinations(config: Config) -> None:
    timing, reference = config["timing"], config["report"]["reference"]
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
