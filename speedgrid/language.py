"""The language of a report: its sentences are written in English where they are made, and translated by a catalogue.

A catalogue is a gettext file, `languages/CODE.po`, read as it is: no compiled file needs to be kept beside it.
"""

import gettext as standard
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER = Path(__file__).parents[1] / "languages"
# English needs no catalogue: its sentences are the keys of the others.
SOURCE = "en"
ACTIVE: list[standard.NullTranslations] = [standard.NullTranslations()]


def codes() -> list[str]:
    """Return the languages that a report can be written in."""
    return [SOURCE, *sorted(path.stem for path in FOLDER.glob("*.po"))]


@cache
def translations(code: str) -> standard.NullTranslations:
    """Return the translations into one language. Raises ValueError if there is no catalogue for it."""
    if code == SOURCE:
        return standard.NullTranslations()
    if code not in codes():
        raise ValueError(f"there is no catalogue for language {code!r}; there are {', '.join(codes())}")
    compiled = BytesIO()
    with (FOLDER / f"{code}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=code))
    compiled.seek(0)
    return standard.GNUTranslations(compiled)


@contextmanager
def speaking(code: str):
    """Translate into one language while the block goes on."""
    ACTIVE.append(translations(code))
    try:
        yield
    finally:
        ACTIVE.pop()


def gettext(text: str) -> str:
    """Return `text` in the language that is spoken, placeholders untouched: format afterwards."""
    return ACTIVE[-1].gettext(text)


_ = gettext  # as it is called where sentences are made, so that tools find them


def ngettext(one: str, many: str, count: int) -> str:
    """Return the form of a text that goes with `count`; a language may have more forms than two."""
    return ACTIVE[-1].ngettext(one, many, count)
