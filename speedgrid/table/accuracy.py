"""Accuracy in the table of results: shares of right answers, from the records of speedgrid.measure.accuracy."""

from collections.abc import Iterable

import numpy as np

from speedgrid.evidence.evaluation import Evaluation
from speedgrid.evidence.intervals import paired_loss, share_interval
from speedgrid.model.described import Origin
from speedgrid.table.run import Accuracy, Share, Table

# What is evaluated once for all resolutions and batch sizes.
AXES = ("model", "backend", "precision")


def shares(record: Evaluation) -> dict[str, float]:
    """Return the columns of one evaluation, shares of its images from 0 to 1; none where it gave no answers.

    top1: right answers. top1_loss: how much more of them the float32 model gives, below 0 where it gives fewer; both
    with a 95 % interval, and both only where images have labels that the weights were made for. agreement: answers
    that are those of the float32 model.
    """
    if record["status"] != "ok" or record["predicted"] is None:
        return {}
    predicted, expected = np.array(record["predicted"]), np.array(record["expected"])
    found = {"agreement": float((predicted == expected).mean())}
    if record["labels"] is None:
        return found
    right, before = predicted == np.array(record["labels"]), expected == np.array(record["labels"])
    low, high = share_interval(int(right.sum()), len(right))
    loss, loss_low, loss_high = paired_loss(before, right)
    return found | {
        "top1": float(right.mean()),
        "top1_low": low,
        "top1_high": high,
        "top1_loss": loss,
        "top1_loss_low": loss_low,
        "top1_loss_high": loss_high,
    }


def fill(table: Table, records: Iterable[Evaluation], weights: Iterable[Origin]) -> None:
    """Write the columns of each evaluation into all rows with a speed of its model, backend and precision, in place.

    weights: descriptions as of speedgrid.model.weights. A user's checkpoint at one resolution says nothing of weights
    that were generated for another: rows have figures only where their weights come from where those evaluated came
    from.
    """
    own = {(one["model"], one["resolution"]): one["own"] for one in weights}
    for record in records:
        cell = record["cell"]
        kind = own.get((cell["model"], cell["resolution"]))
        rows = table.latency_ms.notna()
        for axis in AXES:
            rows &= table[axis] == cell[axis]
        alike = np.array([own.get(place) == kind for place in zip(table.model, table.resolution, strict=True)])
        for name, value in shares(record).items():
            table.loc[rows & alike, name] = value


def describe(records: list[Evaluation]) -> Accuracy | None:
    """Return the models that were evaluated and the cells that could not be, for a report; None where none was to be.

    models: of each model the float32 model's own share of right answers with its interval, None without labels.
    """
    if not records:
        return None
    first = records[0]
    return {
        "resolution": first["cell"]["resolution"],
        "batch_size": first["cell"]["batch_size"],
        "images": first["images"],
        "models": {one["cell"]["model"]: exact(one) for one in records},
        "missing": [
            {axis: one["cell"][axis] for axis in AXES} | dict(zip(("status", "reason"), verdict, strict=True))
            for one in records
            if (verdict := judge(one))
        ],
    }


def judge(record: Evaluation) -> tuple[str, str] | None:
    """Return (status, reason) of an evaluation that gave no answers, or None for one that did."""
    if record["status"] != "ok":
        return record["status"], record["reason"]
    return None if record["predicted"] else ("wrong_result", "an output is missing or not finite")


def exact(record: Evaluation) -> Share | None:
    """Return `top1`, `top1_low` and `top1_high` of the float32 model, or None where there are no labels."""
    if record["labels"] is None:
        return None
    hits = int((np.array(record["expected"]) == np.array(record["labels"])).sum())
    low, high = share_interval(hits, len(record["labels"]))
    return {"top1": hits / len(record["labels"]), "top1_low": low, "top1_high": high}
