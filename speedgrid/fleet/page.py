"""Write what was found of a fleet: a page in Markdown, the same in HTML, a table in CSV, and a plot for each model."""

import base64
from pathlib import Path
from typing import Any

from speedgrid import ROOT
from speedgrid.fleet import plot, words
from speedgrid.fleet.differences import differences
from speedgrid.fleet.machines import FleetError, device
from speedgrid.fleet.ranking import Fleet
from speedgrid.launcher.outputs import write_text
from speedgrid.report import html_page
from speedgrid.text import templates
from speedgrid.text.language import SOURCE, _, codes, speaking
from speedgrid.text.status import SHOWN
from speedgrid.text.words import listed, number, with_interval

MARKDOWN, HTML = ROOT / "templates" / "fleet.md.j2", ROOT / "templates" / "fleet.html.j2"


def write(fleet: Fleet, output: str | Path, language: str | None = None) -> list[Path]:
    """Write the pages of a fleet to `output` and beside it; return the paths of all, the Markdown first.

    language: that of the first machine's configuration where none is asked for. Raises FleetError if `output` is not
    named as Markdown is, or the language is not known.
    """
    output = Path(output)
    if output.suffix != ".md":
        raise FleetError(f"the output is {output}; its name must end in .md, and its tables and plots lie beside it.")
    spoken = language or fleet.machines[0].run["config"]["report"].get("language", SOURCE)
    if spoken not in codes():
        raise FleetError(f"the language is {spoken}; known are {', '.join(codes())}.")
    table, page = output.with_suffix(".csv"), output.with_suffix(".html")
    write_text(table, fleet.rows.to_csv(index=False, float_format="%.10g"))
    with speaking(spoken):
        pictures = {model: plot.draw(fleet, model, output.with_suffix("")) for model in fleet.rows.model.unique()}
        found = contents(fleet) | {"table": table.name}
        links = {model: paths[-1].name for model, paths in pictures.items()}
        write_text(
            output, templates.markdown(MARKDOWN.parent).get_template(MARKDOWN.name).render(found, pictures=links)
        )
        inside = {model: _inline(paths[0]) for model, paths in pictures.items()}
        write_text(page, html_page.render(HTML, **found, pictures=inside))
    return [output, page, table, *(path for paths in pictures.values() for path in paths)]


def _inline(path: Path) -> str:
    """Return a picture as an address that holds all of it, so that the page is one file; in an image no script runs."""
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"


def contents(fleet: Fleet) -> dict[str, Any]:
    """Return all texts of the pages, in the language that is spoken, without mark-up."""
    return {
        "title": _("A fleet of {count} machines").format(count=len(fleet.machines)),
        "notes": words.demanded(fleet) + words.notes(fleet),
        "machines": machines(fleet),
        "models": [of_model(fleet, model) for model in fleet.rows.model.unique()],
        "differences": [
            (one.key, value, listed(names))
            for one in differences(fleet.machines)
            for value, names in one.values.items()
        ],
        "method": words.method(fleet),
    }


def machines(fleet: Fleet) -> list[list[str]]:
    """Return the line of each machine: its name, result, version, time, cells with a speed, and price."""
    return [
        [
            one.name,
            one.result.name,
            device(one.result),
            str(one.run["machine"].get("commit") or ""),
            one.run["measured_to"],
            _("{done} of {cells}").format(done=int(one.table.status.isin(SHOWN).sum()), cells=len(one.table)),
            "" if one.price is None else words.with_currency(fleet, "cost", number(one.price)),
        ]
        for one in fleet.machines
    ]


def of_model(fleet: Fleet, model: str) -> dict[str, Any]:
    """Return the answers for one model: sentences, a table for each goal, and in short the other resolutions."""
    rows = fleet.rows[fleet.rows.model == model]
    resolution = fleet.resolution_of(model)
    here = rows[rows.resolution == resolution]
    tables = [(goal, fleet.at(model, resolution, goal)) for goal in here.goal.unique()]
    others = [size for size in sorted(rows.resolution.unique()) if size != resolution]
    return {
        "model": model,
        "resolution": resolution,
        "answers": [" ".join(words.answer(fleet, table)) for _goal, table in tables]
        + words.cheapest(fleet, model, resolution),
        "tables": [
            {
                "title": _(words.TITLES[goal].heading),
                "figure": _(words.TITLES[goal].figure),
                "lines": [line(fleet, row) for row in table.itertuples()],
            }
            for goal, table in tables
        ],
        "others": [
            (size, _(words.TITLES[goal].heading), " ".join(words.answer(fleet, fleet.at(model, size, goal))))
            for size in others
            for goal in rows[rows.resolution == size].goal.unique()
        ],
    }


def line(fleet: Fleet, row) -> list[str]:
    """Return the line of one machine in the table of a goal."""
    if row.verdict == "NOTHING":
        return [row.machine, "", "", "", _(words.VERDICTS[row.verdict]), ""]
    return [
        row.machine,
        words.setting_of(row),
        words.figure_of(fleet, row),
        with_interval(row.ratio, row.ratio_low, row.ratio_high),
        _(words.VERDICTS[row.verdict]),
        number(row.memory_mb),
    ]
