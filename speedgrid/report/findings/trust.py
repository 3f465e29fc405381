"""How far a run can be trusted: what a reader must know before any answer, and its quality in a few lines."""

from collections.abc import Sequence

from speedgrid.report.findings.objectives import margin_of
from speedgrid.table.run import Controls, Sitting, Table
from speedgrid.text.markup import Markdown, _, ngettext
from speedgrid.text.words import label, measured, number, place, relabelled

# What measures a run again, all of it in one session.
ANEW = "snakemake --forcerun time_cell"
# Sessions between which the control cell differs by less are of one machine.
SAME = 1.05


def warnings(table: Table, controls: Controls, sittings: Sequence[Sitting] = ()) -> list[Markdown]:
    """Return a sentence for each reason to doubt the answers of a run as a whole, the gravest first.

    sittings: the sessions that it was measured in.
    """
    return [one for one in (ranking(controls), changed(sittings), withheld(table, sittings), busy(table)) if one]


def changed(sittings: Sequence[Sitting]) -> Markdown:
    """Return the sentence that a machine changed between sessions of measuring; empty where it did not."""
    apart = [one for one in sittings if (found := one["slowdown"]) and (found[1] > SAME or found[2] < 1 / SAME)]
    if not apart:
        return Markdown()
    worst = max(apart, key=lambda one: one["slowdown"][0] if one["slowdown"] else 0.0)
    value, low, high = worst["slowdown"] or (1.0, 1.0, 1.0)
    return _(
        "**The machine changed between the sessions of this run**: in session {number} of {count} the same cell took "
        "{ratio} times ({low} to {high}) as long as in the quickest. Cells of two sessions are compared through the "
        "reference of each, so those intervals are wider. `{command}` measures all anew, in one session."
    ).format(
        number=worst["number"],
        count=len(sittings),
        ratio=number(value),
        low=number(low),
        high=number(high),
        command=ANEW,
    )


def withheld(table: Table, sittings: Sequence[Sitting]) -> Markdown:
    """Say how many cells nothing links with those of other sessions; empty where there are none."""
    shown = measured(table)
    if len(sittings) < 2 or "slowdown" not in shown:
        return Markdown()
    rows = shown[shown.slowdown.isna()]
    if rows.empty:
        return Markdown()
    return ngettext(
        "**{count} of {done} cells was measured in a session that nothing links with the others**: how many times as "
        "fast it is, is withheld. `{command}` measures all anew, in one session.",
        "**{count} of {done} cells were measured in a session that nothing links with the others**: how many times as "
        "fast they are, is withheld. `{command}` measures all anew, in one session.",
        len(rows),
    ).format(count=len(rows), done=len(shown), command=ANEW)


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


def quality(table: Table, controls: Controls, sittings: Sequence[Sitting] = ()) -> list[Markdown]:
    """Return the quality of a run in at most five lines: whether it can rank, and which of its cells are in doubt."""
    shown = measured(table)
    if shown.empty:
        return []
    busy_ones, restless = (int((shown.status == name).sum()) for name in ("busy", "unstable"))
    lines = [
        can_rank(controls),
        of_cells(busy_ones, len(shown), _("**Busy**: {count} of {done} cells, which were never measured in quiet.")),
        of_cells(restless, len(shown), _("**Unstable**: {count} of {done} cells, whose intervals are wide.")),
        without_speed(table, shown),
        of_sessions(sittings),
    ]
    return [line for line in lines if line]


def can_rank(controls: Controls) -> Markdown:
    """Say whether a run is good enough to rank settings, by its negative control."""
    twin, margin = controls["twin"], margin_of(controls["noise_floor_percent"])
    if not twin:
        return _("**Whether it can rank settings is not known**: no cell was timed under two names.")
    if not twin.get("tells", True):
        return _("**Not good enough to rank settings**: one cell is {low} to {high} times as fast as itself.").format(
            low=number(twin["low"]), high=number(twin["high"])
        )
    return _(
        "**Good enough to rank settings**: the same cell under another name has {ratio} times the speed. What differs "
        "by less than {margin} % is a tie."
    ).format(ratio=f"{twin['ratio']:.3f}", margin=f"{100 * (margin - 1):.1f}")


def of_cells(count: int, done: int, text: Markdown) -> Markdown:
    """Say how many cells something is true of; nothing of none."""
    return text.format(count=count, done=done) if count else Markdown()


def without_speed(table: Table, shown: Table) -> Markdown:
    """Say how many cells have no speed, by status, and how many ran another precision; nothing of none."""
    found = []
    if lacking := len(table) - len(shown):
        counts = table.status[~table.index.isin(shown.index)].value_counts()
        parts = Markdown(", ").join(Markdown("{} `{}`").format(count, name) for name, count in counts.items())
        found.append(
            _("**Withheld or not measured**: {lacking} of {count} cells have no speed ({parts}).").format(
                lacking=lacking, count=len(table), parts=parts
            )
        )
    if other := int(relabelled(shown).sum()):
        found.append(
            ngettext(
                "**{count} cell ran another precision** than its label says, and is called what it ran.",
                "**{count} cells ran another precision** than their label says, and are called what they ran.",
                other,
            ).format(count=other)
        )
    return Markdown(" ").join(found)


def of_sessions(sittings: Sequence[Sitting]) -> Markdown:
    """Say in how many sessions a run was measured; nothing of one."""
    if len(sittings) < 2:
        return Markdown()
    return _("**Sessions**: measured in {count}, which are compared through the reference of each.").format(
        count=len(sittings)
    )
