"""What the table says, in sentences: every one is computed, and one that the rows do not support is not there."""

from typing import Any, TypedDict

from speedgrid.grid import Config, nearest
from speedgrid.report.findings.causes import idle, stability
from speedgrid.report.findings.decision import answers, by_model, by_resolution
from speedgrid.report.findings.effects import batch_effect, fastest, precision_effect, resolution_effect
from speedgrid.report.findings.objectives import margin_of
from speedgrid.report.findings.precisions import which_precision
from speedgrid.table.run import Table
from speedgrid.text.markup import Markdown
from speedgrid.text.words import label, measured, number

__all__ = ["by_model", "compute", "label", "measured", "number"]


class Findings(TypedDict):
    """The findings by topic, sentences but for `by_resolution`; see `compute`."""

    answers: list[Markdown]
    by_resolution: list[dict[str, Any]]
    fastest: list[Markdown]
    stability: list[Markdown]
    batch_size: list[Markdown]
    resolution: list[Markdown]
    precision: list[Markdown]
    choice: list[Markdown]
    idle: list[Markdown]


def compute(table: Table, config: Config, noise_floor_percent: float | None = None) -> Findings:
    """Return all findings by topic, at the resolution and batch size of the grid nearest to those of `config`.

    table: results as of speedgrid.table.cells, of one model. noise_floor_percent: by how much the run's control cell
    differs from itself; None where it was not measured.
    """
    margin = margin_of(noise_floor_percent)
    resolution = nearest(table.resolution, config["report"]["resolution"])
    batch_size = nearest(table.batch_size, config["report"]["batch_size"])
    return {
        "answers": answers(table, resolution, config, margin),
        "by_resolution": by_resolution(table, config, margin),
        "fastest": fastest(table, resolution, batch_size, margin),
        "stability": stability(table),
        "batch_size": batch_effect(table, resolution),
        "resolution": resolution_effect(table, batch_size),
        "precision": precision_effect(table, margin),
        "choice": which_precision(table, resolution, batch_size, config),
        "idle": idle(table),
    }
