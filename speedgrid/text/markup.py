"""What keeps text from elsewhere plain text on a page: names, reasons, versions, whatever others filled in.

A page is made of two kinds of text. What is `Markdown` was written for it, here; everything else is data, and is
escaped where it enters the page: those of its characters that would be read as mark-up, and no others. It cannot be
forgotten: `Markdown` escapes what is put into it, a template whatever is not `Markdown` (speedgrid.text.templates), and
a sentence that is put together in another way is data too, so that its own stars are seen. HTML is markupsafe's, once
the text is `clean`.
"""

import re
from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import quote

import markupsafe

from speedgrid.text import language

# Ends of lines, as anybody counts them, and characters that no page can show.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# What turns the direction of all that comes after it, and halves of characters, which no file can hold.
UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# A number for a character is never mark-up, not even in code, in HTML and in the cell of a table, where a backslash
# escapes nothing; a backslash is easier to read. What stands within a word or before a number is often no mark-up.
# GitHub makes links of addresses of e-mail in the text that it shows, whatever was escaped in it, and of what begins
# with `www.`: an empty comment ends such a text before its @, and shows nothing.
SPECIAL = re.compile(
    r"""(?P<numbered>
        [<`|~$]
        | & (?=\#?\w+;)
        | \{ (?=[{%\#:.] | [^{}]*= | [^{}']*\})  # of what others run over a page; attributes of what stands before
        | (?<!\A) \{ (?=[^{}]*\} \s* \Z)         # them, as Python-Markdown has them: of a word too, at an end
        | (?<=\w) : (?=//)          # an address becomes a link by itself
        | (?<=www) \.
        | \A [>=:]
    ) | (?P<apart>
        (?<!\A) (?<!\s) @ (?=\S)
    ) | (?P<escaped>
        [*\[\]]
        | ! (?=\Z) | \A ! (?=!)
        | (?<![^\W_]) _+
        | _+ (?![^\W_])
        | \\ (?=[!-/:-@\[-`{-~] | \Z)
        | \A \# | \# \Z
        | \A [+-] (?=[\s-] | \Z)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
NOTHING = "<!-- -->"
# The beginning of an ordered list.
ORDERED = re.compile(r"\A(\d{1,9})([.)])(?=\s|\Z)")
# What code between backticks cannot hold.
NO_CODE, NO_CODE_IN_CELLS = re.compile(r"`|\{[{%#]"), re.compile(r"[`|]|\{[{%#]")
ADDRESS = re.compile(
    r"https?://[a-z0-9](?:[a-z0-9/.-]|(?<=[a-z0-9])_(?=[a-z0-9])|[?=%&#+](?=[a-z0-9]))*", re.IGNORECASE
)
# Places of a sentence that stand between backticks: what is put there is code, whose escapes are others.
IN_CODE, IN_CODE_OF_TEMPLATES = re.compile(r"`\{(\w+)\}`"), re.compile(r"`%\((\w+)\)s`")


def clean(text: Any) -> str:
    """Return a text in one line, without what no page can show and what changes how the rest of it is read."""
    return UNSEEN.sub("\ufffd", CONTROLS.sub(" ", str(text))).strip()


class Markdown(markupsafe.Markup):
    """A text that is Markdown, made here: what is added to it, joined by it or formatted into it is escaped.

    What is formatted into it between backticks is `code`. It is no HTML: on such a page its stars are stars.
    """

    __slots__ = ()

    def __new__(cls, text: str = "") -> Self:
        return str.__new__(cls, text)

    @classmethod
    def escape(cls, text: Any, /) -> Self:
        """Return a text as Markdown that shows it as it is, in one line; what is Markdown already is returned."""
        if isinstance(text, cls):
            return text
        return cls(ORDERED.sub(r"\1\\\2", SPECIAL.sub(_escape, clean(text))))

    def __html__(self) -> markupsafe.Markup:  # type: ignore[override]
        return markupsafe.escape(str(self))

    def __mod__(self, values: Any, /) -> Self:
        if not isinstance(values, dict):
            return super().__mod__(values)
        inside = {f"{name}`": code(values[name]) for name in IN_CODE_OF_TEMPLATES.findall(self)}
        text = self.__class__(IN_CODE_OF_TEMPLATES.sub(r"%(\1`)s", str(self)))
        return markupsafe.Markup.__mod__(text, values | inside)

    def format(self, *args: Any, **kwargs: Any) -> Self:
        """Return the text with its places filled in, escaped."""
        return self.__class__(_Formatter(self.escape).vformat(IN_CODE.sub(r"{\1!c}", str(self)), args, kwargs))


class _Formatter(markupsafe.EscapeFormatter):
    def convert_field(self, value: Any, conversion: Any) -> Any:
        return code(value) if conversion == "c" else super().convert_field(value, conversion)


def _escape(found: re.Match[str]) -> str:
    if found["apart"]:
        return f"{NOTHING}@"
    return "".join(f"&#{ord(one)};" if found["numbered"] else f"\\{one}" for one in found[0])


def code_in_cell(text: Any) -> Markdown:
    """Return a text as code within the cell of a table, where a stroke ends the cell, in code too."""
    return code(text, NO_CODE_IN_CELLS)


def code(text: Any, excluded: re.Pattern[str] = NO_CODE) -> Markdown:
    """Return a text as code within a line: nothing for nothing, and where backticks cannot hold it, as HTML has it."""
    known = clean(text)
    if excluded.search(known):
        inside = re.sub(r"[^\w\s]|_", lambda found: f"&#{ord(found[0])};", known)
        return Markdown(f"<code>{inside}</code>")
    return Markdown(f"`{known}`" if known else "")


def fenced(text: str, language: str = "") -> Markdown:
    """Return a text of many lines as a block of code, whose fence is longer than any in it."""
    lines = "\n".join(UNSEEN.sub("\ufffd", CONTROLS.sub(" ", line)) for line in text.split("\n"))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", lines)), default=0))
    return Markdown(f"{fence}{language}\n{lines.rstrip()}\n{fence}")


def target(path: str) -> Markdown:
    """Return the path of a file as a link to it needs it; of a name that is no UTF-8, its bytes."""
    return Markdown(quote(path, errors="surrogateescape"))


def address(text: Any) -> Markdown:
    """Return a text that may be the address of a page on the web: of one, what those who show Markdown link to."""
    known = clean(text)
    return Markdown(known) if ADDRESS.fullmatch(known) else Markdown.escape(known)


def html(text: Any) -> Markdown:
    """Return a text for a line that is HTML within Markdown, where nothing but HTML is mark-up."""
    return Markdown(markupsafe.escape(clean(text)))


def cells(values: Iterable[Any]) -> Markdown:
    """Return the line of a table with a cell for each value."""
    return Markdown("| {} |").format(Markdown(" | ").join(values))


def gettext(text: str) -> Markdown:
    """Return a sentence of this program, written as Markdown, in the language that is spoken."""
    return Markdown(language.gettext(text))


_ = gettext  # as it is called where sentences are made, so that Babel finds them


def ngettext(one: str, many: str, count: int) -> Markdown:
    """Return the translated form of a sentence that goes with `count`, as Markdown."""
    return Markdown(language.ngettext(one, many, count))
