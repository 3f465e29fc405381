"""What a device can do at most by its data sheet."""

import re
from functools import cache
from pathlib import Path
from typing import NotRequired, TypedDict

from speedgrid import ROOT
from speedgrid.launcher.reading import FileError, of_kind, read_yaml

HARDWARE_FILE = ROOT / "config" / "hardware.yaml"


class DataSheet(TypedDict):
    """An entry of config/hardware.yaml: TFLOP/s by precision, and GB/s of the memory where that is known.

    match: a pattern of the names of devices. source: the address of the data sheet. cache_mb: of the last level.
    """

    match: str
    tflops: dict[str, float]
    source: str
    bandwidth_gb_s: NotRequired[float]
    cache_mb: NotRequired[float]


class Hardware(TypedDict):
    """The content of config/hardware.yaml."""

    devices: list[DataSheet]


class Rates(TypedDict):
    """The rates that a device reaches, as measured: TFLOP/s of a matrix product by precision, GB/s of a copy.

    cache_mb: of the last level. idle_power_w: of a GPU. None is what it does not have, or does not tell.
    """

    gemm_tflops: dict[str, float | None]
    copy_gb_s: float | None
    cache_mb: float | None
    idle_power_w: float | None


class Measured(Rates):
    """The rates that a device reaches, or the reason why nothing was measured."""

    reason: str


class Peaks(Rates):
    """The most that a device can do: as measured, and by its data sheet, empty or None where there is none."""

    data_sheet_tflops: dict[str, float]
    data_sheet_gb_s: float | None
    data_sheet_source: str | None


def data_sheet(device_name: str) -> DataSheet | None:
    """Return the entry of config/hardware.yaml for a device, or None if there is none.

    It has `tflops` by precision and their `source`, and where it is known `bandwidth_gb_s`. The most specific
    (longest) matching name wins. Raises FileError for a file that is not as it should be.
    """
    entries, name = sheets(), str(HARDWARE_FILE)
    try:
        matches = [entry for entry in entries if re.search(entry["match"], device_name)]
    except re.error as error:
        raise FileError(f"{name} has a match that is no regular expression ({error}); mend it.") from None
    return max(matches, key=lambda entry: len(entry["match"]), default=None)


def sheets() -> list[DataSheet]:
    """Return the entries of config/hardware.yaml. Raises FileError for a file that is not as it should be."""
    found = HARDWARE_FILE.stat() if HARDWARE_FILE.exists() else None
    return _sheets(HARDWARE_FILE, found and (found.st_mtime_ns, found.st_size))


@cache
def _sheets(path: Path, _changed: tuple[int, int] | None) -> list[DataSheet]:
    content = read_yaml(path)
    return of_kind(content, Hardware, str(path), "an entry has match, tflops by precision, and source")["devices"]
