"""How templates are rendered: strictly, and in the language that is spoken."""

from pathlib import Path

import jinja2

from speedgrid.text import language


def jinja(folder: str | Path, escape: bool = False) -> jinja2.Environment:
    """Return the Jinja environment that renders the templates of a folder; `_` and `trans` in them are translated.

    escape: texts may not become mark-up, as in HTML. A name that a template uses and is not given raises
    jinja2.UndefinedError.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        extensions=["jinja2.ext.i18n"],
        undefined=jinja2.StrictUndefined,
        autoescape=escape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # The method is one that the extension gives the environment.
    made.install_gettext_callables(language.gettext, language.ngettext, newstyle=True)  # type: ignore[attr-defined]
    return made
