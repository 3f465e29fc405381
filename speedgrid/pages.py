"""How the HTML pages of a report are made: one file each, which opens from disk with no network."""

from pathlib import Path

import jinja2

from speedgrid.language import ACTIVE, SOURCE, _


def render(template: str | Path, **texts) -> str:
    """Return a page from a Jinja template; texts are escaped. Raises jinja2.UndefinedError for one that is missing."""
    path = Path(template)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(path.name).render(language=ACTIVE[-1].info().get("language", SOURCE), **texts)


def title(run: dict) -> str:
    """Return what a page is about. run: as of speedgrid.run."""
    return _("{model} on {device}").format(model=run["weights"][0]["model"], device=run["machine"]["device_name"])
