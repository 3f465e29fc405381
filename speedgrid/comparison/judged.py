"""Judge a finished run again, by today's rules, from its records alone: with no device, and nothing measured again."""

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TypedDict

from speedgrid import grid
from speedgrid.comparison.load import REMEDY, ComparisonError, Result, base_of, parse, read_tables, records
from speedgrid.evidence.evaluation import Evaluation, whole
from speedgrid.launcher.outputs import write_json
from speedgrid.launcher.reading import Kind, of_kind
from speedgrid.launcher.rounds import certain_rounds, most_rounds
from speedgrid.machine.data_sheet import Measured
from speedgrid.model.described import Arithmetic
from speedgrid.serving.decoded import Decoding
from speedgrid.serving.places import PATTERN
from speedgrid.serving.record import Serving
from speedgrid.serving.seen import Streams
from speedgrid.table import choice, held_streams
from speedgrid.table.across import cells_of
from speedgrid.table.columns_of_evidence import ACCURACY
from speedgrid.table.description import Finished, Material, finish
from speedgrid.table.run import Description, Table
from speedgrid.text.markup import clean

# Ten times what the workflow plans (speedgrid.settings).
MOST_TIMINGS = 200_000


class Chosen(TypedDict):
    """The parts that judging reads of the key accuracy."""

    max_top1_loss: float


class Judged(NamedTuple):
    """A run as today's rules judge it. changes: a sentence for each row whose status is another than before."""

    run: Finished
    description: Description
    arithmetic: Arithmetic
    changes: list[str]

    def write(self, folder: Path) -> None:
        """Write the files that speedgrid.report.redraw makes a report of."""
        folder.mkdir(parents=True, exist_ok=True)
        self.run.write(folder / "results.csv", folder / "rounds.csv", folder / "run.json")
        write_json(folder / "run.json", dict(self.description))
        write_json(folder / "flops.json", self.arithmetic)


class Judgeable(TypedDict):
    """The parts that judging reads of a configuration beside what a comparison does."""

    accuracy: Chosen


def judge(source: str | Path) -> Judged:
    """Return the run in a folder or an archive, judged again.

    Raises ComparisonError if it has no records, or not what a table is made of beside them.
    """
    before, base = read_tables(source), base_of(source)
    for name in ("timings", "flops.json", "peaks.json"):
        if not (base / name).exists():
            raise ComparisonError(
                f"{source} has no {name}; a run is judged again from its records, so give a folder in which speedgrid "
                "ran, or an archive of `make archive`."
            )
    config = before.run["config"]
    of_kind(config, Judgeable, str(base / "run.json"), REMEDY)
    axes, timing = grid.axes_of(config), config["timing"]
    if (count := math.prod(map(len, axes.values())) * most_rounds(timing)) > MOST_TIMINGS:
        raise ComparisonError(f"{source} has a grid of {count:,} timings; a run has at most {MOST_TIMINGS:,}.")
    cells = grid.cells(axes)
    there = records(base / "timings")
    certain, most = certain_rounds(timing), most_rounds(timing)
    timings = set(grid.timings(axes, most, (one.name for one in there), certain))
    of_run = [one for one in there if one.name in timings]
    if not of_run:
        raise ComparisonError(f"{source} has no record of its own grid in timings; measure first.")
    arithmetic: Arithmetic = read_as(base / "flops.json", Arithmetic)
    rates, evaluations = read_as(base / "peaks.json", Measured), evaluated(base)
    beside = (decoded(before, base), served(before, base))
    material = Material(of_run, before.run["weights"], arithmetic, rates, evaluations, *beside)
    loss = config["accuracy"]["max_top1_loss"]
    found = finish(cells, material, config["report"]["reference"], loss, lending=certain < most)
    if not evaluations:
        keep_accuracy(found, before, loss)
    description = Description(**found.summary, config=config)
    return Judged(found, description, arithmetic, changes(before.table, found.table))


def evaluated(base: Path | zipfile.Path) -> list[Evaluation]:
    """Return the records of accuracy that a result has; archives of older versions have none."""
    folder = base / "accuracy"
    if not folder.exists():
        return []
    paths: Iterable[Path | zipfile.Path] = folder.iterdir()
    return [whole(parse(path), str(path), REMEDY) for path in sorted(paths, key=str) if path.name.endswith(".json")]


def decoded(before: Result, base: Path | zipfile.Path) -> Decoding | None:
    """Return the record of decoding that a result has; None where decoding was not measured."""
    return read_as(base / "decoding.json", Decoding) if before.run.get("decoding") else None


def served(before: Result, base: Path | zipfile.Path) -> list[Serving]:
    """Return the records of the streams under load that a result tells of, in its order.

    Raises ComparisonError where one is not there.
    """
    told = of_kind(before.run.get("streams", []), list[Streams], f"{before.name}: streams", REMEDY)
    folder = base / "serving"
    there = {path.name: path for path in folder.iterdir()} if told and folder.exists() else {}
    names = [f"{PATTERN.format(**one['place'])}.json" for one in told]
    if absent := next((name for name in names if name not in there), None):
        raise ComparisonError(f"{before.name} tells of streams under load, but has no serving/{absent}; {REMEDY}.")
    return [held_streams.read(there[name], REMEDY) for name in names]


def read_as(path: Path | zipfile.Path, kind: type[Kind]) -> Kind:
    """Return the JSON object in a file, of a kind as of speedgrid.launcher.reading. Raises InputError if it is none."""
    return of_kind(parse(path), kind, str(path), REMEDY)


def keep_accuracy(found: Finished, before: Result, max_top1_loss: float) -> None:
    """Take over the accuracy of a table, in place, where its records are not kept; the choice rests on it."""
    names = [name for column in ACCURACY for name in column.names() if name in before.table]
    cells = [str(cell) for cell in cells_of(found.table)]
    kept = before.table.reindex(cells)[names].set_axis(found.table.index)
    found.table[names] = kept.where(found.table.latency_ms.notna())
    found.table["auto"] = choice.chosen(found.table, max_top1_loss)
    found.summary["accuracy"] = before.run.get("accuracy")


def changes(before: Table, after: Table) -> list[str]:
    """Return a sentence for each row whose status changed. before: by the names of its cells."""
    found = []
    for cell, row in zip(cells_of(after), after.itertuples(), strict=True):
        name = str(cell)
        was = before.status.get(name, "not there")
        if was != row.status:
            # For a terminal, to which more than letters may mean something.
            found.append(clean(f"{name}: {was} -> {row.status}{f', {row.reason}' if row.reason else ''}"))
    return found
