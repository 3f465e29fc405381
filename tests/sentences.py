"""The sentences of a page of Markdown, as its readers count them."""

import re

# Of a page what is no sentence of its author: code, the page's own mark-up, and pictures.
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
MARK_UP = re.compile(r"<[^>]+>|!\[[^\]]*\]\([^)]*\)|(?<=\])\([^)]*\)")
END = re.compile(r"(?<=[.!?])[*_]*\s+|$")


def sentences(markdown: str) -> list[str]:
    """Return the sentences of a text, and those of each cell of its tables, where a semicolon is between two facts."""
    found = []
    for line in MARK_UP.sub("", CODE.sub("", markdown)).splitlines():
        text = re.sub(r"^\s*(?:[*#-]+|\d+\.)\s+", "", line).strip()
        parts = re.split(r"\||; ", text) if text.startswith("|") else [text]
        found += [one.strip() for part in parts for one in END.split(part) if one.strip()]
    return found


def longest(markdown: str, most: int = 30) -> list[str]:
    """Return the sentences of more words than `most`."""
    return [one for one in sentences(markdown) if len(one.split()) > most]
