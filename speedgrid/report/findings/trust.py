"""What a reader must know before any answer: rows that were never measured in quiet, and a run that cannot rank."""

from speedgrid.table.run import Controls, Table
from speedgrid.text.markup import Markdown, _, ngettext
from speedgrid.text.words import label, measured, number, place


def warnings(table: Table, controls: Controls) -> list[Markdown]:
    """Return a sentence for each reason to doubt the answers of a run as a whole, the gravest first."""
    return [one for one in (ranking(controls), busy(table)) if one]


def ranking(controls: Controls) -> Markdown:
    """Return the sentence that a run cannot be ranked, where its negative control tells nothing; else empty."""
    twin = controls["twin"]
    if not twin or twin.get("tells", True):
        return Markdown()
    return _(
        "**This run is not good enough to rank settings.** The same cell, measured under two names, could be {low} to "
        "{high} times as fast as itself: what differs by less cannot be told apart. More rounds (`timing.rounds`), "
        "more patience (`timing.patience_seconds`) or a quieter machine would help."
    ).format(low=number(twin["low"]), high=number(twin["high"]))


def busy(table: Table) -> Markdown:
    """Say how many cells were never measured in quiet, and why; empty where all were."""
    shown = measured(table)
    rows = shown[shown.status == "busy"]
    if rows.empty:
        return Markdown()
    return ngettext(
        "**The machine was busy**: {count} of {done} cells was never measured in quiet, so its speed is not its own; "
        "{setting}, {place}: {reason}. Measured again while nothing else runs, or with more patience "
        "(`timing.patience_seconds`), it may be faster, and the answers may be others.",
        "**The machine was busy**: {count} of {done} cells were never measured in quiet, so their speed is not their "
        "own; {setting}, {place}: {reason}. Measured again while nothing else runs, or with more patience "
        "(`timing.patience_seconds`), they may be faster, and the answers may be others.",
        len(rows),
    ).format(
        count=len(rows),
        done=len(shown),
        setting=label(rows.iloc[0]),
        place=place(rows.iloc[0]),
        reason=rows.iloc[0].reason,
    )
