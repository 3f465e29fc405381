"""The registry of the columns of the table of results: each is declared once, and all that read the table read this."""

from typing import Any

from speedgrid.measure import probes
from speedgrid.table.columns_of_evidence import (
    ACCURACY,
    ANSWER,
    CHOICE,
    CONDITIONS,
    MEASURING,
    PRECISION,
)
from speedgrid.table.columns_of_speed import EFFICIENCY, MEMORY, SPEED, SPEEDUP, TELEMETRY
from speedgrid.table.columns_of_streams import STREAMS
from speedgrid.table.columns_of_video import DECODING
from speedgrid.text import column
from speedgrid.text.column import INTEGER, LOWER, NONE, PIXELS, Column
from speedgrid.text.language import N_

AXES = (
    Column("model", column.TEXT, NONE, None, N_("model"), "The model, as the configuration names it."),
    Column("backend", column.TEXT, NONE, None, N_("backend"), "The runtime, or a variant of it with other settings."),
    Column(
        "precision",
        column.TEXT,
        NONE,
        None,
        N_("precision"),
        "The precision asked for; `fp32` is IEEE float32.",
    ),
    Column(
        "resolution",
        column.SIZE,
        PIXELS,
        None,
        N_("resolution"),
        "Height and width of the input: one number of a square, `HEIGHTxWIDTH` of any other.",
    ),
    Column("batch_size", INTEGER, NONE, None, N_("batch size"), "Images of one call."),
)
OUTCOME = (
    Column(
        "status",
        column.TEXT,
        NONE,
        None,
        N_("status"),
        "What happened to the cell: `ok`, or what is wrong.",
    ),
    Column("reason", column.TEXT, NONE, None, N_("reason"), "Why the status is not `ok`, in words."),
    Column(
        "caveats",
        column.TEXT,
        NONE,
        None,
        N_("caveats"),
        "What of warming up and timing was cut short, or never became steady, in words.",
    ),
)
Group = tuple[str, tuple[Column, ...]]


def with_probes(groups: tuple[Group, ...]) -> tuple[Group, ...]:
    """Return groups of columns with those of each probe after the column that it names, or in a group of their own."""
    found = list(groups)
    for probe in probes.all_probes().values():
        place = next(index for index, (_, group) in enumerate(found) if probe.AFTER in {one.name for one in group})
        if hasattr(probe, "TITLE"):
            found.insert(place + 1, (probe.TITLE, probe.COLUMNS))
            continue
        title, group = found[place]
        after = [one.name for one in group].index(probe.AFTER) + 1
        found[place] = (title, (*group[:after], *probe.COLUMNS, *group[after:]))
    return tuple(found)


# What a reader finds under which title. Their order is that of the table; probes add their own.
GROUPS = with_probes(
    (
        ("The cell", AXES),
        ("What happened", OUTCOME),
        ("Speed", SPEED),
        ("Arithmetic, memory and speed-up", (*EFFICIENCY, *MEMORY, *SPEEDUP)),
        ("What ran, and how right its answers are", (*PRECISION, *ANSWER, *ACCURACY, *CHOICE)),
        ("Clock, power and energy", TELEMETRY),
        ("Video", DECODING),
        ("Camera streams under load", STREAMS),
        ("Conditions", CONDITIONS),
        ("The measuring", MEASURING),
    )
)
COLUMNS: tuple[Column, ...] = tuple(one for _title, group in GROUPS for one in group)
BY_NAME = {one.name: one for one in COLUMNS}
# What a page says of a column where it stands, by the file that has them: to be translated.
TEXTS = {"speedgrid/table/columns.py": [one.about for one in COLUMNS]}
# Of each name in the table, an interval's ends too, the column that it belongs to.
OF = {name: one for one in COLUMNS for name in one.names()}
NAMES = tuple(OF)
TEXT = frozenset(one.name for one in COLUMNS if one.kind == column.TEXT)
# Figures of speed, with their intervals: empty in rows whose answer is not proven.
PROVEN = tuple(name for one in COLUMNS if one.proven for name in one.names())
# Columns that follow from the latency and so have its interval -> what they are at so many ms a call.
FROM_LATENCY = {
    "fps": lambda latency_ms, batch_size: 1000 * batch_size / latency_ms,
    "ms_per_image": lambda latency_ms, batch_size: latency_ms / batch_size,
}


def interval(row, name: str) -> tuple[Any, Any]:
    """Return (low, high), the 95 % interval of a figure, or (None, None) if its column has none.

    row: of the table, as a mapping or a pandas.Series; or rows of it as a pandas.DataFrame, then each is a Series.
    What follows from the latency has its interval; that of a rate is turned round.
    """
    if derive := FROM_LATENCY.get(name):
        ends = [derive(row[end], row["batch_size"]) for end in ("latency_ms_low", "latency_ms_high")]
        low, high = ends if BY_NAME[name].better == LOWER else reversed(ends)
        return low, high
    if not BY_NAME[name].interval:
        return None, None
    _name, low, high = BY_NAME[name].names()
    return row[low], row[high]


def called(name: str, reference: str | None = None) -> str:
    """Return a column's label, in the language that is spoken; see Column.called."""
    return BY_NAME[name].called(reference)


def heading(name: str, reference: str | None = None) -> str:
    """Return a column's label with its unit, in the language that is spoken; see Column.heading."""
    return BY_NAME[name].heading(reference)


def document() -> str:
    """Return docs/columns.md: every column with its unit, which direction is better, its interval and its meaning."""
    parts = [
        "# The columns of results.csv",
        "From the registry in `speedgrid/table/columns.py`; written by `make docs`.",
        "One row per cell of the grid, measured or not; a field is empty where there is nothing to say. An interval "
        "is of 95 %: the column's name with `_low` and `_high` after it. Units are in names; a column without a unit "
        "is a name, a ratio, a share from 0 to 1, or how many there are of something. Rows whose answer is not proven "
        "have no speed, nor what follows from it.",
    ]
    for title, group in GROUPS:
        lines = ["| column | type | unit | better | interval | meaning |", "|---|---|---|---|---|---|"]
        parts += [f"## {title}", "\n".join([*lines, *map(line, group)])]
    return "\n\n".join(parts) + "\n"


def line(one: Column) -> str:
    """Return the row of one column in its table of docs/columns.md."""
    if one.interval:
        ends = ", ".join(f"`{name}`" for name in one.names()[1:])
    else:
        ends = "that of `latency_ms`" if one.name in FROM_LATENCY else "none"
    return f"| `{one.name}` | {one.kind} | {one.unit or 'none'} | {one.better or 'neither'} | {ends} | {one.about} |"
