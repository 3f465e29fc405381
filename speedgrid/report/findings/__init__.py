"""What the table says, in sentences and tables: one that the rows do not support is not there."""

from typing import Any, TypedDict

from speedgrid.data.resolution import in_words
from speedgrid.grid import Config, nearest
from speedgrid.report.findings.causes import idle, other_precisions, stability
from speedgrid.report.findings.decision import answers, by_model, by_resolution, shown
from speedgrid.report.findings.effects import batch_effect, precision_effect, resolution_effect
from speedgrid.report.findings.objectives import margin_of
from speedgrid.report.findings.precisions import which_precision
from speedgrid.report.findings.topic import Topic
from speedgrid.table.run import Table
from speedgrid.text.markup import Markdown, _
from speedgrid.text.words import label, measured, number

__all__ = ["by_model", "compute", "label", "measured", "number"]


class Findings(TypedDict):
    """The answer in sentences and tables, what to deploy at each resolution, and the other topics with their titles."""

    answers: list[Markdown]
    tables: list[Topic]
    by_resolution: list[dict[str, Any]]
    topics: list[tuple[Markdown, Topic]]


def compute(table: Table, config: Config, noise_floor_percent: float | None = None) -> Findings:
    """Return all findings, at the resolution and batch size of the grid nearest to those of `config`.

    table: results as of speedgrid.table.cells, of one model. noise_floor_percent: by how much the run's control cell
    differs from itself; None where it was not measured.
    """
    margin = margin_of(noise_floor_percent)
    resolution = nearest(table.resolution, config["report"]["resolution"])
    batch_size = nearest(table.batch_size, config["report"]["batch_size"])
    pixels, size = {"size": in_words(resolution)}, {"batch_size": batch_size}
    topics = [
        (_("Where precision matters"), precision_effect(table, margin)),
        (
            _("Which precision ({size} pixels, batch size {batch_size})").format(**pixels, **size),
            which_precision(table, resolution, batch_size, config),
        ),
        (_("Where throughput saturates ({size} pixels)").format(**pixels), batch_effect(table, resolution)),
        (_("How resolution acts (batch size {batch_size})").format(**size), resolution_effect(table, batch_size)),
        (_("What varies least"), stability(table)),
        (_("Where the device waits, and why"), idle(table)),
        (_("Rows that did not run what their label says"), other_precisions(table)),
    ]
    return {
        "answers": answers(table, resolution, config, margin),
        "tables": shown(table, resolution, config, margin),
        "by_resolution": by_resolution(table, config, margin),
        "topics": [(title, topic) for title, topic in topics if topic],
    }
