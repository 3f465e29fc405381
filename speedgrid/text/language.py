"""The language of a report: its sentences are written in English where they are made, and translated by a catalogue.

A catalogue is a gettext file, `languages/CODE.po`, read as it is: no compiled file needs to be kept beside it. Babel is
imported only where it works, since the workflow imports this module whenever it starts.
"""

import gettext as standard
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from functools import cache
from io import BytesIO

from speedgrid import ROOT
from speedgrid.launcher.outputs import replacing

FOLDER = ROOT / "languages"
# English needs no catalogue: its sentences are the keys of the others.
SOURCE = "en"
ACTIVE: list[standard.NullTranslations] = [standard.NullTranslations()]
# Where sentences are made, and how Babel finds them there.
MADE_IN = {"speedgrid": [("**.py", "python")], "templates": [("**.j2", "jinja2.ext:babel_extract")]}
KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}


def codes() -> list[str]:
    """Return the languages that a report can be written in."""
    return [SOURCE, *sorted(path.stem for path in FOLDER.glob("*.po"))]


@cache
def translations(code: str) -> standard.NullTranslations:
    """Return the translations into one language. Raises ValueError if there is no catalogue for it."""
    from babel.messages.mofile import write_mo

    if code == SOURCE:
        return standard.NullTranslations()
    if code not in codes():
        raise ValueError(f"there is no catalogue for language {code!r}; there are {', '.join(codes())}")
    compiled = BytesIO()
    write_mo(compiled, read(code))
    compiled.seek(0)
    return standard.GNUTranslations(compiled)


def read(code: str):
    """Return the catalogue of one language (babel.messages.Catalog)."""
    from babel.messages.pofile import read_po

    with (FOLDER / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def extract(declared: Mapping[str, Iterable[str]]):
    """Return a catalogue with every text that this version can write, none of them translated.

    declared: texts that no call of `_` or `N_` marks, by the file that they are registered in.
    """
    from babel.messages import Catalog
    from babel.messages.extract import extract_from_dir

    found = Catalog(project="speedgrid", charset="utf-8")
    options = {"**.j2": {"newstyle_gettext": "true"}}
    for folder, methods in MADE_IN.items():
        texts = extract_from_dir(ROOT / folder, methods, options, keywords=KEYWORDS, strip_comment_tags=True)
        for file, _line, text, *_more in sorted(texts, key=lambda one: one[:2]):
            found.add(text, locations=[(f"{folder}/{file}", 1)])
    for file, known in declared.items():
        for text in known:
            found.add(text, locations=[(file, 1)])
    return found


def update(code: str, declared: Mapping[str, Iterable[str]]) -> int:
    """Bring the catalogue of one language up to date, and return how many texts wait for their translation.

    declared: as of `extract`.
    """
    from babel.messages import Catalog
    from babel.messages.pofile import write_po

    known = read(code) if code in codes() else Catalog(locale=code, project="speedgrid", version="0", fuzzy=False)
    created = known.creation_date
    known.update(extract(declared), no_fuzzy_matching=True)
    known.creation_date, known.header_comment = created, "# Texts of speedgrid: python -m scripts.update_language"
    known.obsolete.clear()
    with replacing(FOLDER / f"{code}.po") as temporary, temporary.open("wb") as file:
        write_po(file, known, omit_header=False, include_lineno=False, width=120, sort_by_file=True)
    return sum(not all(forms(message)) for message in known if message.id)


def forms(message) -> tuple[str, ...]:
    """Return all forms of a message's translation: one, or one for each kind of number."""
    return message.string if isinstance(message.string, tuple) else (message.string,)


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


_ = gettext  # as it is called where sentences are made, so that Babel finds them


def N_(text: str) -> str:  # the name that gettext's manual gives it
    """Mark a text for translation, and return it as it is: for a constant that is translated when it is shown."""
    return text


def ngettext(one: str, many: str, count: int) -> str:
    """Return the translated form of a text that goes with `count`; a language may have more forms than two."""
    return ACTIVE[-1].ngettext(one, many, count)


def thousands() -> str:
    """Return the separator of thousands: a comma where a point is the decimal mark, else what cannot be mistaken."""
    return _(",")
