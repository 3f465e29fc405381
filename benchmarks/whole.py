"""Whether the files of a run are whole, and whether two runs have the same result."""

import csv
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pandas as pd
from PIL import Image

from speedgrid import record as records
from speedgrid.grid import session_number

# Where the results of a run are.
RESULTS = ("artifacts", "report")
# Files that the same settings give again to the byte.
FIXED = (".npy", ".onnx", ".pth")
EXTRA = " is left over"
# Statuses between which the noise of a machine decides.
NOISE = ("ok", "unstable", "busy")
AXES = ["model", "backend", "precision", "resolution", "batch_size"]


def read_csv(content: bytes) -> None:
    """Read a table of which every line must be there, the last one with its end, and as wide as the first."""
    if not content.endswith(b"\n"):
        raise ValueError("its last line has no end")
    widths = {len(row) for row in csv.reader(io.StringIO(content.decode(), newline=""))}
    if len(widths) != 1:
        raise ValueError(f"its lines have {sorted(widths)} cells")


def read_zip(content: bytes) -> None:
    """Read every member of an archive, as torch writes weights and packages."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"its member {damaged} is damaged")


def read_image(content: bytes) -> None:
    """Read all pixels of an image."""
    with Image.open(io.BytesIO(content)) as image:
        image.load()


def read_onnx(content: bytes) -> None:
    """Read an ONNX file and hold it against the standard: a file that ends between two fields can be parsed."""
    onnx.checker.check_model(onnx.load_from_string(content))


def read_text(content: bytes, ending: str = "") -> None:
    """Read text whose last line must be there with its end, and that must close with `ending`."""
    text = content.decode()
    if not text.endswith("\n") or not text.rstrip().endswith(ending):
        raise ValueError(f"it does not end with {ending or 'a whole line'}")


READERS: dict[str, Callable[[bytes], object]] = {
    ".csv": read_csv,
    ".html": partial(read_text, ending="</html>"),
    ".json": json.loads,
    ".md": read_text,
    ".npy": lambda content: np.load(io.BytesIO(content), allow_pickle=False),
    ".onnx": read_onnx,
    ".parquet": lambda content: pd.read_parquet(io.BytesIO(content)),
    ".png": read_image,
    ".pt2": read_zip,
    ".pth": read_zip,
    ".svg": ElementTree.fromstring,
    ".ts": read_zip,
}


def flaw(path: Path) -> str | None:
    """Return the sign that a file is not whole; None if it is.

    An empty file is whole where the description beside it says why it could not be made.
    """
    content = path.read_bytes()
    if not content:
        return None if said_to_be_unmade(path) else "it is empty"
    try:
        READERS.get(path.suffix, len)(content)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


def said_to_be_unmade(path: Path) -> bool:
    """Say whether the description beside a file says that it could not be made."""
    try:
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["status"] != "ok"
    except (OSError, ValueError, KeyError, TypeError):
        return False


class Looker:
    """Looks for half files, and reads none twice that has not changed."""

    def __init__(self) -> None:
        self.seen: dict[tuple[Path, int, int, int], str | None] = {}

    def half_files(self, folder: Path, names: Iterable[str]) -> list[str]:
        """Return a sentence for each of the named files of a run's folder that is there and not whole."""
        found = []
        for name in sorted(names):
            path = folder / name
            try:
                about = path.stat()
                key = (path, about.st_ino, about.st_mtime_ns, about.st_size)
                if key not in self.seen:
                    self.seen[key] = flaw(path)
            except FileNotFoundError:
                continue
            if self.seen[key]:
                found.append(f"{name}: {self.seen[key]}")
        return found


def results(folder: Path) -> set[str]:
    """Return the names of all files among a run's results."""
    # Folders may vanish meanwhile.
    inside = (one for top in RESULTS for one in os.walk(folder / top))
    return {str(Path(where, name).relative_to(folder)) for where, _, names in inside for name in names}


def differences(folder: Path, undisturbed: Path) -> list[str]:
    """Return a sentence for everything in which a run's results differ from an undisturbed run's; times may."""
    ours, theirs = results(folder), results(undisturbed)
    found = [f"{name} is missing" for name in sorted(theirs - ours)]
    # A run that goes on has a session of its own, with controls that stay (docs/sessions.md).
    more = {name for name in ours - theirs if session_number(Path(name).stem) > 1}
    found += [f"{name}{EXTRA}" for name in sorted(ours - theirs - more)]
    for name in sorted(ours & theirs):
        here, there = folder / name, undisturbed / name
        if here.suffix in FIXED and here.read_bytes() != there.read_bytes():
            found.append(f"{name} has another content")
        if name.startswith("artifacts/timings/"):
            found += other(name, here, there)
    if "artifacts/results.csv" in ours & theirs:
        found += other_rows(*(pd.read_csv(one / "artifacts/results.csv") for one in (folder, undisturbed)))
    return found


def other(name: str, path: Path, undisturbed: Path) -> list[str]:
    """Return a sentence for what differs in the cell, the turn or the status of two records."""
    try:
        ours, theirs = records.read(path), records.read(undisturbed)
    except records.RecordError as error:
        return [str(error)]
    asked = [(key, getattr(ours, key), getattr(theirs, key)) for key in ("cell", "turn", "status")]
    reason = f" ({ours.reason})" if ours.reason else ""
    return [f"{name}: its {key} is {one}{reason}, not {two}" for key, one, two in asked if one != two]


def other_rows(table: pd.DataFrame, undisturbed: pd.DataFrame) -> list[str]:
    """Return a sentence for each cell of either table that has another status in the other one, or none."""
    first, second = (
        one.set_index(AXES)["status"].replace(dict.fromkeys(NOISE, NOISE[0])).to_dict() for one in (table, undisturbed)
    )
    return [
        f"artifacts/results.csv: {'-'.join(map(str, cell))} is {first.get(cell)}, not {second.get(cell)}"
        for cell in sorted({*first, *second}, key=str)
        if first.get(cell) != second.get(cell)
    ]
