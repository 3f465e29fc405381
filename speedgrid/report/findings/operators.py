"""Where the time of a call goes, of the best setting and of the reference, as the report's tables and sentences."""

import re
from collections.abc import Iterable
from itertools import zip_longest
from typing import TypedDict

from speedgrid.table.operators import Profile
from speedgrid.table.run import Reference, Table
from speedgrid.text.markup import Markdown, _
from speedgrid.text.words import label, measured, number, place

# A bar of this many characters: arithmetic, other operators, gaps.
WIDTH, BLOCKS = 30, "█▒░"
# Longer names of kernels are cut: what is left tells them apart.
LONGEST_NAME = 48


class Operators(TypedDict):
    """The tables of a model's operators: the place, a row of parts for each setting, and the longest of each.

    settings: the best one, and the reference where that is another. parts: a text for each of setting, ms of a call,
    and the shares of arithmetic, other operators and gaps, and a bar of them. longest: in each row, for each of
    settings, an operator and its share.
    """

    place: str
    head: list[Markdown]
    settings: list[str]
    parts: list[list[str]]
    longest: list[list[str]]
    sentence: Markdown


def operators(table: Table, profiles: Iterable[Profile], reference: Reference) -> Operators | None:
    """Return the tables of a model's operators, or None where none of its cells that have a speed was profiled.

    table: rows of one model. profiles: as of speedgrid.table.operators.profiles, of all models. The best is the fastest
    of those that were profiled.
    """
    keys = ["model", "backend", "precision", "resolution", "batch_size"]
    known = {tuple(one[key] for key in keys): one for one in profiles}  # type: ignore[literal-required]
    with_speed = measured(table)
    profiled = [one in known for one in zip(*(with_speed[key].tolist() for key in keys), strict=True)]
    rows = [row for _i, row in with_speed[profiled].iterrows()]
    if not rows:
        return None
    best = min(rows, key=lambda row: row.latency_ms)
    others = [row for row in rows if (row.backend, row.precision) == (reference["backend"], reference["precision"])]
    shown = [best, *(row for row in others if row.name != best.name)]
    found = [known[tuple(row[keys])] for row in shown]
    columns = [[(short(one["name"], one["type"]), share(one["ms"], of)) for one in of["longest"]] for of in found]
    return {
        "place": place(best),
        "head": [
            _("setting"),
            _("ms of a profiled call"),
            _("arithmetic, %"),
            _("other operators, %"),
            _("gaps, %"),
            _("arithmetic █, other operators ▒, gaps ░"),
        ],
        "settings": [label(row) for row in shown],
        "parts": [parts(label(row), profile) for row, profile in zip(shown, found, strict=True)],
        "longest": [[text for pair in line for text in pair] for line in zip_longest(*columns, fillvalue=("", ""))],
        "sentence": sentence(label(best), found[0]),
    }


def parts(name: str, profile: Profile) -> list[str]:
    """Return the row of a setting: its name, ms of a call, the shares of the three parts, and their bar."""
    times = [profile["arithmetic_ms"], profile["memory_ms"], profile["gaps_ms"]]
    return [name, number(profile["call_ms"]), *(share(one, profile) for one in times), bar(times)]


def share(ms: float, profile: Profile) -> str:
    """Write a time as a share of the profiled call, in percent."""
    return f"{100 * ms / profile['call_ms']:.1f}"


def bar(times: list[float]) -> str:
    """Return a bar of WIDTH characters, as much of each as its share of the sum; the ends of parts are rounded."""
    total, ends = sum(times), [0]
    for number_, _time in enumerate(times, start=1):
        ends.append(round(WIDTH * sum(times[:number_]) / total))
    return "".join(block * (end - start) for block, start, end in zip(BLOCKS, ends, ends[1:], strict=False))


def short(name: str, kind: str) -> str:
    """Return the name of an operator with its type, or that of a kernel without types, arguments and its far end."""
    if name != kind:
        return f"{name} ({kind})" if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}... ({kind})"
    plain = re.sub(r"^void |[<(].*$", "", name) or name
    return plain if len(plain) <= LONGEST_NAME else f"{plain[:LONGEST_NAME]}..."


def sentence(name: str, profile: Profile) -> Markdown:
    """Say in which of the three parts the best setting spends its time."""
    times = [profile["arithmetic_ms"], profile["memory_ms"], profile["gaps_ms"]]
    words = _(
        "{name} spends {arithmetic} % of a call in convolutions and matrix products, {memory} % in other operators, "
        "and {gaps} % in none."
    )
    arithmetic, memory, gaps = (share(one, profile) for one in times)
    return words.format(name=name, arithmetic=arithmetic, memory=memory, gaps=gaps)
