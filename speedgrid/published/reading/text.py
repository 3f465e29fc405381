"""The text of a file that somebody else wrote, and of one cell of it without the mark-up that it was published in."""

import codecs
import html
import re
import stat
from pathlib import Path

from speedgrid import InputError

# What a table may have at most, in bytes.
LARGEST = 10_000_000


class PublishedError(InputError):
    """A published table that cannot be read; the message names the file, what it has and what would be right."""


def read(file: Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with its mark, as Excel writes it. Raises PublishedError."""
    content = _content(file)
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "UTF-16" if marked else "UTF-8"
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
        place = text.find("\0")
        line = text.count("\n", 0, place) + 1
        wrong = "a byte of zero, which no text has" if place >= 0 else None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = f"the byte {content[error.start]:#04x}, which is not {encoding}"
    if wrong:
        raise PublishedError(
            f"published table {file}, line {line}, cannot be read: it has {wrong}; it must be a CSV file in UTF-8."
        )
    return text


def _content(file: Path) -> bytes:
    try:
        state = file.stat()
        regular = stat.S_ISREG(state.st_mode)
        content = file.read_bytes() if regular and state.st_size <= LARGEST else None
    except OSError as error:
        raise PublishedError(
            f"published table {file} cannot be read: {error.strerror}; it must be a CSV file."
        ) from None
    if not regular:  # a pipe would be waited for, and a device has no end
        raise PublishedError(f"published table {file} is a folder or a device; it must be a CSV file.")
    if content is None:
        raise PublishedError(f"published table {file} has more than {LARGEST:,} bytes; a table of speeds is smaller.")
    return content


def short(text: str) -> str:
    """Return the beginning of a text that may be a whole book, in one line."""
    text = "".join(letter if letter.isprintable() else " " for letter in text[:200])
    return text if len(text) <= 100 else f"{text[:80]}..."


# Of Markdown, HTML and LaTeX what stands around text, and what to put in its place.
MARKUP = tuple(
    (re.compile(pattern, re.IGNORECASE), put)
    for pattern, put in (
        (r"<sup>\s*[\d*†‡§a-z]\s*</sup>", ""),  # the mark of a footnote
        (r"<[a-z/][^<>]{0,200}>", " "),
        (r"!\[[^\]]*\]\([^)]*\)", " "),
        (r"\[([^\]]*)\]\([^)]*\)", r"\1"),
        (r"\\(?:mathbf|textbf|mathrm|text|bm)\s*", ""),
        (r"\\pm\b", "±"),
        (r"\\times\b", "×"),
        (r"\\([%_#&|*~])", r"\1"),
        (r"\*\*|~~|[`${}]", ""),
        (r"^\s*(__|\*|_)(?=\S)(.*\S)\1\s*$", r"\2"),
        (r"(?<=[\w%)×])\s*[*†‡§¹]+\s*$", ""),
        (r"[↑↓⬆⬇▲▼\ufe0f]", " "),
        ("[\u2212\u2010\u2011]", "-"),
        ("[\u00a0\u2007\u2009\u202f]", " "),
    )
)


def plain(cell: str) -> str:
    """Return a header or a cell in one line, without the mark-up of Markdown, HTML or LaTeX around its text."""
    text = html.unescape(cell)
    for pattern, put in MARKUP:
        text = pattern.sub(put, text)
    return " ".join(text.split())
