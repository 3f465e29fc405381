"""A strict reader of the Markdown of pages, for tests: which elements a page has, and which text it shows.

It reads what GitHub and CommonMark read, as far as pages have it, and more: whatever anybody's reader might take for
mark-up counts (addresses, formulas, templates). It shares nothing with speedgrid.text.markup, which it checks.
"""

import html
import re
import string
from dataclasses import dataclass, field

FENCE = re.compile(r"(`{3,}|~{3,})(.*)")
# Of a block: what the line begins with, and the element that this makes.
BLOCKS = (
    (re.compile(r"#{1,6}( |$)"), "heading"),
    (re.compile(r"[*+-]( |$)"), "item"),
    (re.compile(r"\d{1,9}[.)]( |$)"), "ordered item"),
    (re.compile(r">"), "quotation"),
    (re.compile(r"(=+|-+|([*_-] *){3,})$"), "rule"),
    (re.compile(r"\[[^]]*\]:"), "definition"),
    (re.compile(r"(:|\$\$|!!!|\{%)"), "other"),
)
LINES = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
TAG = re.compile(r"<(/?[A-Za-z][\w-]*)[^<>]*>|<!--|<\?|<![A-Z]|<[a-z][\w+.-]*:[^<> ]*>", re.IGNORECASE)
NOTHING = "<!-- -->"
MAIL = re.compile(r"[\w.+-]@[\w.@-]")
# Everything that someone's reader makes something of, where it is not escaped.
ACTIVE = (
    (re.compile(r"!?\[(?:\\.|[^\]\\])*\]\([^)]*\)"), "link"),
    (re.compile(r"\]\([^()\s]*\)|\]\(|\]\[|\[\[|\[[ xX^]"), "link"),
    (re.compile(r"https?://|ftp://|www\.", re.IGNORECASE), "address"),
    (re.compile(r"~+"), "struck"),
    (re.compile(r"\$"), "formula"),
    (re.compile(r"\{[{%#:.=]"), "template"),
    # Python-Markdown's attributes of a heading or a cell, at its end, or of what stands right before them.
    (re.compile(r"\S\s*\{:?[ ]*[^}\n ][^}\n]*\}\s*$|^\{:? *[\w.#-][^}\n']*\}"), "attributes"),
    (re.compile(r"<"), "tag"),
    (re.compile(r"\*+(?!\*)(?! |$)|(?<! )\*+|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)"), "emphasis"),
)


@dataclass
class Read:
    """What a page is: the elements in their order, and what is shown, a text for each line that is no block of code."""

    elements: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def read(page: str) -> Read:
    """Return what a page of Markdown is."""
    found, fence = Read(), ""
    for line in LINES.split(page):
        opened = FENCE.match(line)
        if fence:
            if opened and len(opened[1]) >= len(fence) and opened[1][0] == fence[0] and not opened[2].strip():
                fence = ""
        elif opened and "`" not in opened[2]:
            fence = opened[1]
            found.elements.append("block of code")
        elif line.startswith(("    ", "\t")):
            found.elements.append("block of code")
        else:
            _block(line.strip(" "), found)
    return found


def _block(line: str, found: Read) -> None:
    row = line.startswith("|") and line.endswith("|")
    if row and set(line) <= set("|- :"):
        found.elements.append(f"head of {line.count('|') - 1}")
        return
    begun = True
    while begun and not row:
        begun = next(((match, name) for one, name in BLOCKS if (match := one.match(line))), None)
        if begun:
            found.elements.append(begun[1])
            line = line[begun[0].end() :].strip(" ")
    # A stroke ends a cell, in code too, unless a backslash stands before it.
    texts = re.split(r"(?<!\\)\|", line)[1:-1] if row else [line]
    if row:
        found.elements.append(f"row of {len(texts)}")
    for text in texts:
        found.lines.append(inline(text.strip(" "), found.elements))


def inline(text: str, elements: list[str]) -> str:
    """Return what a text within a line shows, and add its elements."""
    shown, plain, at, in_code = [], [], 0, False
    while at < len(text):
        length, piece = _piece(text, at, elements)
        shown.append(piece)
        # GitHub looks for addresses once it has read everything else: what is no text ends one, even a comment.
        in_code = (in_code or text.startswith("<code>", at)) and not text.startswith("</code>", at)
        plain.append("\0" if in_code or text[at] in "<`" else piece)
        at += length
    elements += ["address"] * len(MAIL.findall("".join(plain)))
    return "".join(shown)


def _piece(text: str, at: int, elements: list[str]) -> tuple[int, str]:
    """Return how long the piece of a text is that begins somewhere, and what it shows."""
    if text[at] == "\\" and at + 1 < len(text) and text[at + 1] in string.punctuation:
        return 2, text[at + 1]
    if entity := re.compile(r"&(#\d{1,7}|#x[0-9a-f]{1,6}|\w+);", re.IGNORECASE).match(text, at):
        return len(entity[0]), html.unescape(entity[0])
    if text[at] == "`":
        run = re.compile("`+").match(text, at)[0]
        closed = re.compile(rf"(?<!`){run}(?!`)").search(text, at + len(run))
        elements.append("code" if closed else "stray backtick")
        if not closed:
            return len(run), run
        return closed.end() - at, text[at + len(run) : closed.start()].strip(" ")
    if text.startswith(NOTHING, at):
        return len(NOTHING), ""
    if tag := TAG.match(text, at):
        name = (tag[1] or tag[0]).lower()
        if name != "/code":
            elements.append("code" if name == "code" else f"tag {name}")
        return len(tag[0]), ""
    for one, name in ACTIVE:
        if match := one.match(text, at):
            elements.append(name)
            # Of a link, where it goes is not shown.
            return (
                (1 if match[0][0] != "]" else len(match[0]), "")
                if name == "link"
                else (len(match[0]), "" if name == "emphasis" else match[0])
            )
    return 1, text[at]
