"""How the HTML pages of a report are made: one file each, which opens from disk with no network."""

from pathlib import Path

from speedgrid.grid import axes_of
from speedgrid.table.run import Description
from speedgrid.text.language import ACTIVE, SOURCE, _
from speedgrid.text.templates import html


def render(template: str | Path, **texts) -> str:
    """Return a page from a Jinja template; texts are escaped. Raises jinja2.UndefinedError for one that is missing."""
    path = Path(template)
    return html(path.parent).get_template(path.name).render(language=ACTIVE[-1].info().get("language", SOURCE), **texts)


def title(run: Description) -> str:
    """Return the models and the device that a page is about. run: as of speedgrid.table.description."""
    return _("{model} on {device}").format(
        model=", ".join(axes_of(run["config"])["model"]), device=run["machine"]["device_name"]
    )
