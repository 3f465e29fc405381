"""The folder that is handed over: written whole or not at all, and working with no speedgrid in it."""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from speedgrid import record
from speedgrid.data.source import Images
from speedgrid.grid import Cell
from speedgrid.handover import contents, recipes
from speedgrid.handover.contents import Files
from speedgrid.handover.programs import programs
from speedgrid.handover.recipes import Recipe
from speedgrid.handover.winner import HandoverError, cell_of, winner
from speedgrid.launcher.outputs import make_way, replacing
from speedgrid.launcher.reading import read_json
from speedgrid.model import sources
from speedgrid.model.described import Origin
from speedgrid.record import Record, Seen
from speedgrid.table.run import Description, Table
from speedgrid.text import language, templates
from speedgrid.text.words import number, setting, with_interval

# Programs that the README tells of by themselves.
APART = ("photographs.py", "check.py")


@dataclass(frozen=True)
class Places:
    """The files of a run, by patterns with the axes of a cell to be filled in.

    artifacts: of what was timed, by model, backend and precision, joined by hyphens. images: those that each model was
    given. bound: of the description of a user's ONNX file. timing: of a record of the first round.
    """

    artifacts: dict[str, str]
    images: dict[str, str]
    described: str = "artifacts/images/reference-r{resolution}.json"
    logits: str = "artifacts/references/logits-{model}-r{resolution}.npy"
    timing: str = f"artifacts/timings/{Cell.PATTERN}-round1.json"
    bound: str = "artifacts/onnx/{model}-fp32-r{resolution}.json"

    def files(self, cell: Cell) -> Files:
        """Return the files of a cell."""
        artifact = self.artifacts[f"{cell.model}-{cell.backend}-{cell.precision}"]
        patterns = (artifact, self.images[cell.model], self.logits, self.described)
        return Files(*(Path(one.format(**asdict(cell))) for one in patterns))

    def read_record(self, cell: Cell) -> tuple[Record, Seen]:
        """Return the record of a cell's first round, and what was seen then. Raises HandoverError where none was.

        What was made of a user's ONNX file does not say what its inputs and outputs are, as the file as it was bound
        does: they are added to the build.
        """
        path = self.timing.format(**asdict(cell))
        found = record.read(path)
        if found.cell != cell or found.seen is None:
            raise HandoverError(f"{path} has no measurement of {cell}; delete it and run again.")
        if not sources.find(cell.model).module:
            bound = read_json(self.bound.format(**asdict(cell)), dict)
            build = {name: bound[name] for name in ("inputs", "outputs")} | (found.build or {})
            found = replace(found, build=build)
        assert found.seen is not None, "it was looked at above"
        return found, found.seen


def hand_over(
    table: Table, run: Description, model: str, objective: str, places: Places, source: Path, folder: Path
) -> None:
    """Write the folder of the setting that a run recommends for a model and an objective.

    source: the folder with the programs and the README's template. Raises HandoverError where nothing is recommended,
    or something that it needs is gone.
    """
    write(winner(table, run, model, objective), run, objective, places, source, folder)


def write(row: Any, run: Description, objective: str, places: Places, source: Path, folder: Path) -> None:
    """Write the folder of one row of a run's table; see `hand_over`."""
    cell = cell_of(row)
    files = places.files(cell)
    files.require()
    found, seen = places.read_record(cell)
    origin = next(one for one in run["weights"] if (one["model"], one["resolution"]) == (cell.model, cell.resolution))
    described = read_json(files.described, Images)
    made = recipes.recipe(found, seen, origin["classes"])
    reference, snr_db = contents.reference(files, seen)
    about = contents.about(found, seen, made, row, described, origin["classes"], snr_db)
    about["outputs"] = recipes.outputs(found, seen, sum(name.startswith("outputs") for name in reference))
    with replacing(folder) as whole:
        whole.mkdir()
        shutil.copyfile(files.artifact, whole / made.file)
        np.savez_compressed(whole / "reference.npz", allow_pickle=False, **reference)
        written = programs(made, source, photographs=about["preprocessing"] is not None)
        for name, text in written.items():
            (whole / name).write_text(text, encoding="utf-8")
        needed = contents.requirements(made, found.environment)
        (whole / "requirements.txt").write_text("".join(f"{one}\n" for one in needed), encoding="utf-8")
        (whole / "model.json").write_text(f"{json.dumps(about, indent=1)}\n", encoding="utf-8")
        said = readme(row, about, run, origin, made, objective, source, list(written))
        (whole / "README.md").write_text(said, encoding="utf-8")
        make_way(folder)


def readme(
    row: Any,
    about: dict[str, Any],
    run: Description,
    origin: Origin,
    made: Recipe,
    objective: str,
    source: Path,
    written: list[str],
) -> str:
    """Return the README of a folder, in the language of the run's report. written: the names of its programs."""
    config = run["config"]
    place = config["model"]["weights"].replace("{model}", row.model).replace("{resolution}", str(row.resolution))
    with language.speaking(config["report"]["language"]):
        environment = templates.markdown(source, number=number)
        return environment.get_template("README.md.j2").render(
            about=about,
            compiled=made.compiled,
            programs=[name for name in written if name not in APART],
            machine=run["machine"],
            objective=objective,
            origin=origin,
            place=place,
            row=row,
            setting=setting(row),
            latency=with_interval(row.latency_ms, row.latency_ms_low, row.latency_ms_high),
        )
