"""What was found out about accuracy: for the report's table, and for the price of a setting."""

import pandas as pd

from speedgrid.table.run import Table
from speedgrid.text.markup import Markdown, _
from speedgrid.text.words import label, measured


def accuracies(table: Table) -> list[dict[str, str]]:
    """Return the accuracy of each model, backend and precision that has one, in percent, as texts with intervals.

    Keys: `model`, `label`, `top1`, `top1_loss` (in percentage points; empty without labels), `agreement`.
    """
    rows = measured(table)
    rows = rows[rows.agreement.notna()].drop_duplicates(["model", "backend", "precision"])
    return [
        {
            "model": row.model,
            "label": label(row),
            "top1": "" if pd.isna(row.top1) else ranged(row.top1, row.top1_low, row.top1_high),
            "top1_loss": "" if pd.isna(row.top1) else ranged(row.top1_loss, row.top1_loss_low, row.top1_loss_high),
            "agreement": percent(row.agreement),
        }
        for _index, row in rows.iterrows()
    ]


def percent(share: float) -> str:
    """Write a share of images in percent: a tenth of one is less than an image of most evaluations."""
    return f"{100 * share + 0:.1f}"


def ranged(share: float, low: float, high: float) -> Markdown:
    """Write a share with its interval, in percent."""
    return _("{value} ({low} to {high})").format(value=percent(share), low=percent(low), high=percent(high))


def price(row) -> list[Markdown]:
    """Say how often a setting is right, and what it loses against float32, as parts of a sentence."""
    if pd.notna(row.top1):
        return [
            _("{share} % of the evaluation images right, {loss} points less than in float32").format(
                share=percent(row.top1), loss=percent(row.top1_loss)
            )
        ]
    if pd.notna(row.agreement):
        text = _("the same class as float32 for {share} % of the evaluation images")
        return [text.format(share=percent(row.agreement))]
    return []
