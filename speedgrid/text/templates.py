"""How templates are rendered: strictly, with data escaped, and in the language that is spoken."""

from collections.abc import Callable
from functools import cache
from gettext import NullTranslations
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from speedgrid.data.resolution import in_words
from speedgrid.text import language, markup

# What makes Markdown of data in a template, each under its own name.
FILTERS: tuple[Callable[..., markup.Markdown], ...] = (
    markup.code,
    markup.code_in_cell,
    markup.fenced,
    markup.html,
    markup.cells,
    markup.target,
)


def markdown(folder: str | Path, **filters: Callable[..., Any]) -> jinja2.Environment:
    """Return the Jinja environment of the Markdown templates in a folder, in which what is no Markdown is escaped.

    What an expression gives is data, unless it is of `speedgrid.text.markup`: `_`, `trans` and FILTERS are. A name that
    a template uses and is not given raises jinja2.UndefinedError. filters: of the caller's own, beside those.
    """
    return _markdown(Path(folder).absolute(), language.ACTIVE[-1], tuple(filters.items()))


def html(folder: str | Path) -> jinja2.Environment:
    """Return the Jinja environment of the HTML templates in a folder: texts may not become mark-up, nor hide others."""
    return _html(Path(folder).absolute(), language.ACTIVE[-1])


# A template is compiled once for each language: what it has of constants is worked out then, in the one that is spoken.
@cache
def _markdown(folder: Path, _spoken: NullTranslations, filters: tuple[tuple[str, Any], ...]) -> jinja2.Environment:
    made = _strict(folder, finalize=markup.Markdown.escape)
    made.filters |= {one.__name__: one for one in FILTERS} | dict(filters)
    return _translated(made, markup.gettext, markup.ngettext)


@cache
def _html(folder: Path, _spoken: NullTranslations) -> jinja2.Environment:
    return _translated(_strict(folder, autoescape=True, finalize=_shown), language.gettext, language.ngettext)


def _strict(folder: str | Path, **options) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        extensions=["jinja2.ext.i18n"],
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
    made.filters["in_words"] = in_words  # of a resolution
    return made


def _translated(made: jinja2.Environment, gettext, ngettext) -> jinja2.Environment:
    # The method is one that the extension gives the environment.
    made.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
    return made


def _shown(value: Any) -> Any:
    """Return a text without what no page can show; what is HTML already, and no text, as it is."""
    return markup.clean(value) if isinstance(value, str) and not isinstance(value, markupsafe.Markup) else value
