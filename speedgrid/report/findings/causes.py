"""What stands behind the figures: which backend varies least, where a GPU waits, and rows that ran something else."""

from typing import Any

from speedgrid.report.findings.topic import Topic
from speedgrid.table.run import Table
from speedgrid.text.markup import Markdown, _, ngettext
from speedgrid.text.words import backend_name, measured, number, relabelled

# Of two backends whose cells vary so alike, neither is called the steadier one.
ALIKE = 1.25


def stability(table: Table) -> Topic:
    """Return the spread of each backend, least first: half-widths of its cells' intervals, relative, in the median."""
    rows = measured(table)
    if rows.empty or rows.rounds.max() < 2:
        return Topic()
    reach = (rows.latency_ms_high - rows.latency_ms_low) / 2 / rows.latency_ms
    # Smallest first; backends that are alike to the last digit stay in the order of the grid.
    middle = reach.groupby(rows.backend, sort=False).median().sort_values(kind="stable")
    worst = reach.groupby(rows.backend).max()
    sentences = []
    if len(middle) > 1:
        first, second = middle.index[:2]
        if middle[second] > ALIKE * middle[first]:
            text = _("{first} varies least.")
        else:
            text = _("{first} and {second} tie for varying least.")
        sentences.append(text.format(first=backend_name(first), second=backend_name(second)))
    lines = [
        [backend_name(backend), number(100 * half), number(100 * worst[backend])] for backend, half in middle.items()
    ]
    return Topic(sentences, [_("backend"), _("± % in the median cell"), _("± % in the worst")], lines)


def idle(table: Table) -> Topic:
    """Return the settings whose device waits for its host, by the limiter of each row."""
    rows = measured(table)
    sentences, lines = [], []
    for (backend, precision), line in rows.groupby(["backend", "precision"], sort=False):
        waiting = line[line.limiter == "host-launch-bound"]
        if len(waiting):
            lines.append(host_bound(backend, precision, waiting, len(line)))
    if not lines and len(rows) and rows.device_ms.notna().any():
        sentences.append(_("Nowhere does the GPU wait for its host."))
    counts = rows.limiter.value_counts()
    if len(counts):
        parts = ", ".join(f"{limiter} {count}" for limiter, count in counts.items())
        sentences.append(_("What limits the cells: {parts}.").format(parts=parts))
    waits = _("cells in which the GPU waits for its host")
    head = [_("setting"), waits, _("of"), _("up to batch size"), _("at pixels")]
    return Topic(sentences, head if lines else [], lines)


def host_bound(backend: str, precision: str, waiting: Table, count: int) -> list[Any]:
    """Return the number of cells in which the GPU waits for its host, with the largest batch size of them."""
    largest = waiting.batch_size.max()
    resolution = waiting[waiting.batch_size == largest].resolution.max()
    return [f"{backend_name(backend)} {precision}", len(waiting), count, largest, resolution]


def other_precisions(table: Table) -> Topic:
    """Return the rows that ran another precision than their label says, by backend, label and what they ran."""
    shown = measured(table)
    rows = shown[relabelled(shown)]
    if rows.empty:
        return Topic()
    sentence = ngettext(
        "The outputs of {count} cell have the error of another precision, so it is shown as what it ran.",
        "The outputs of {count} cells have the error of another precision, so they are shown as what they ran.",
        len(rows),
    ).format(count=len(rows))
    lines = [
        [backend_name(backend), precision, Markdown("**{}**").format(ran), len(group), spread(group.snr_db)]
        for (backend, precision, ran), group in rows.groupby(["backend", "precision", "observed_precision"], sort=False)
    ]
    return Topic([sentence], [_("backend"), _("label"), _("ran"), _("cells"), _("SNR against float64, dB")], lines)


def spread(values) -> Markdown:
    """Write the least and the most of some figures."""
    return _("{low} to {high}").format(low=f"{values.min():.1f}", high=f"{values.max():.1f}")
