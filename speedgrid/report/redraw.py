"""Write a report again from the results of a finished run, with no device: after a change of template, or elsewhere."""

from pathlib import Path
from typing import Any, TypedDict, cast

from speedgrid import ROOT, InputError, settings
from speedgrid.grid import axes_of
from speedgrid.launcher.outputs import write_text
from speedgrid.launcher.reading import of_kind
from speedgrid.model.described import Origin
from speedgrid.published.verdict import audit_all
from speedgrid.report import markdown as report
from speedgrid.report import plots
from speedgrid.report.plots.material import Material
from speedgrid.table import audit
from speedgrid.table.columns import NAMES
from speedgrid.table.run import Description, Table
from speedgrid.text.language import speaking

TEMPLATES = ROOT / "templates"
NEEDED = ("results.csv", "rounds.csv", "run.json", "flops.json")


# What to do about a file that cannot be read.
REMEDY = "take the results from where they were made again"


class RedrawError(InputError):
    """A folder without the results of a run; the message names what is missing."""


class Older(TypedDict):
    """The parts that the description of a run of any version has; newer ones are put into it."""

    config: dict[str, Any]
    weights: list[dict[str, Any]]


def redraw(results: str | Path, output: str | Path) -> Path:
    """Write report.md, its pages and its plots to `output` from the folder `results`; return the report's path.

    results: holds the files of NEEDED, as an example and `artifacts/` do. The table is audited first. Raises
    RedrawError if a file is missing, speedgrid.table.audit.AuditError if the table cannot be true.
    """
    folder, output = Path(results), Path(output)
    if missing := [name for name in NEEDED if not (folder / name).exists()]:
        raise RedrawError(f"{folder} has no {', '.join(missing)}; a report is drawn from {', '.join(NEEDED)}.")
    material = Material.read(*(folder / name for name in NEEDED))
    # A run of an older version knows neither the newer keys nor the newer columns.
    of_kind(material.run, Older, str(folder / "run.json"), REMEDY)
    newer = {"accuracy": None, "processor": None, "held": None, "decoding": None}
    run = cast(Description, newer | material.run | {"config": settings.complete(material.run["config"])})
    run["weights"] = [cast(Origin, {"trained": None, **one}) for one in run["weights"]]
    of_kind(run, Description, str(folder / "run.json"), REMEDY)
    table = material.table.reindex(columns=NAMES)
    audit.require(table, run["arithmetic"], run["peaks"], run["config"]["report"]["reference"])
    (output / "plots").mkdir(parents=True, exist_ok=True)
    whole = Material(table, material.rounds, run, material.arithmetic)
    for model in (names := axes_of(run["config"])["model"]):
        plots.draw_all(whole.of(model), output / "plots")
    written = output / "report.md"
    published = audit_all(run["config"]["published"], names[0], material.arithmetic)
    write_text(written, report.markdown(table, run, TEMPLATES / "report.md.j2", published))
    draw_pages(table, run, output)
    return written


def draw_pages(table: Table, run: Description, output: Path) -> None:
    """Write the pages beside a report, which needs none of them and is there before what draws them is imported."""
    from speedgrid.report import explorer, results_page

    with speaking(run["config"]["report"]["language"]):
        write_text(output / "explorer.html", explorer.page(table, run, TEMPLATES / "explorer.html.j2"))
        write_text(output / "results.html", results_page.page(table, run, TEMPLATES / "results.html.j2"))
