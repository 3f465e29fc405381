"""A finding as the report shows it: what it comes to in a sentence, and its table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from speedgrid.table.across import cell_of
from speedgrid.text.markup import Markdown, target


@dataclass(frozen=True)
class Topic:
    """Sentences with a table under them, either of which may be missing. rows: of as many values as `head` has."""

    sentences: Sequence[Markdown] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()

    def __bool__(self) -> bool:
        return bool(self.sentences or self.rows)


def filled(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[list[str], list[list[Any]]]:
    """Return the head and the rows of a table without the columns that are empty in every row."""
    kept = [index for index in range(len(head)) if any(row[index] for row in rows)]
    return [head[index] for index in kept], [[row[index] for index in kept] for row in rows]


def linked(text: str, row) -> Markdown:
    """Return a text as a link to the row's cell in the explorer, which lies beside the report."""
    return Markdown("[{}](explorer.html#cell={})").format(text, target(str(cell_of(row))))
