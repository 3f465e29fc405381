"""What stands behind the figures: which backend varies least, and where a GPU waits."""

from speedgrid.table.run import Table
from speedgrid.text.markup import Markdown, _, ngettext
from speedgrid.text.words import backend_name, measured, number

# Of two backends whose cells vary so alike, neither is called the steadier one.
ALIKE = 1.25


def stability(table: Table) -> list[Markdown]:
    """Say which backend varies least: by the half-width of its cells' intervals, relative, in the median."""
    rows = measured(table)
    if rows.empty or rows.rounds.max() < 2:
        return []
    reach = (rows.latency_ms_high - rows.latency_ms_low) / 2 / rows.latency_ms
    # Smallest first; backends that are alike to the last digit stay in the order of the grid.
    middle = reach.groupby(rows.backend, sort=False).median().sort_values(kind="stable")
    worst = reach.groupby(rows.backend).max()
    sentences = [
        _("{backend}: ± {half} % in the median cell, ± {worst} % in the worst.").format(
            backend=backend_name(backend), half=number(100 * half), worst=number(100 * worst[backend])
        )
        for backend, half in middle.items()
    ]
    if len(middle) > 1:
        first, second = middle.index[:2]
        if middle[second] > ALIKE * middle[first]:
            text = _("{first} varies least.")
        else:
            text = _("{first} and {second} tie for varying least.")
        sentences.append(text.format(first=backend_name(first), second=backend_name(second)))
    return sentences


def idle(table: Table) -> list[Markdown]:
    """Say where the device is not the limit, by the limiter of each row: where it waits for its host, and how far."""
    rows = measured(table)
    sentences = []
    for (backend, precision), line in rows.groupby(["backend", "precision"], sort=False):
        waiting = line[line.limiter == "host-launch-bound"]
        if len(waiting):
            sentences.append(host_bound(backend, precision, waiting, len(line)))
    if not sentences and len(rows) and rows.device_ms.notna().any():
        sentences.append(_("Nowhere does the GPU wait for its host."))
    counts = rows.limiter.value_counts()
    if len(counts):
        parts = ", ".join(f"{limiter} {count}" for limiter, count in counts.items())
        sentences.append(_("What limits the cells: {parts}.").format(parts=parts))
    return sentences


def host_bound(backend: str, precision: str, waiting: Table, count: int) -> Markdown:
    """Say in how many cells of a backend and precision the GPU waits for its host, and up to which batch size."""
    largest = waiting.batch_size.max()
    return ngettext(
        "{backend} {precision}: in {waiting} of {count} cell the GPU waits for its host, "
        "up to batch size {largest} at {resolution} pixels.",
        "{backend} {precision}: in {waiting} of {count} cells the GPU waits for its host, "
        "up to batch size {largest} at {resolution} pixels.",
        count,
    ).format(
        backend=backend_name(backend),
        precision=precision,
        waiting=len(waiting),
        count=count,
        largest=largest,
        resolution=waiting[waiting.batch_size == largest].resolution.max(),
    )
