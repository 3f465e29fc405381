"""How many cameras each machine of a fleet serves: its best setting under load, and who was shown to serve fewer."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd

from speedgrid.comparison import streams
from speedgrid.comparison.verdicts import SAME, UNDECIDED
from speedgrid.data.resolution import Resolution
from speedgrid.fleet.goals import BEST, NOTHING, WORSE
from speedgrid.fleet.machines import Machine
from speedgrid.report.findings.demands import Demand, meeting
from speedgrid.serving.claims import Claim, claim
from speedgrid.serving.seen import Asked, Streams
from speedgrid.text.words import measured

GOAL = "streams"


class Wanted(NamedTuple):
    """A model at a resolution, and what was asked of its cameras: values of speedgrid.comparison.streams.DEMANDS."""

    model: str
    resolution: Resolution
    demands: tuple[object, ...]


class Loaded(NamedTuple):
    """A setting of a machine under load, and the claim on it."""

    record: Streams
    claim: Claim


def wanted(record: Streams) -> Wanted:
    """Return the demand on the cameras of a record, with their model and resolution."""
    asked = dict(record["asked"])
    return Wanted(
        record["place"]["model"], record["place"]["resolution"], tuple(asked[name] for name in streams.DEMANDS)
    )


def asked_of(machines: list[Machine]) -> dict[Wanted, Asked]:
    """Return the demands that machines are ranked with: at each model and resolution that of most machines.

    Of as many machines, that of the first of them.
    """
    found: dict[Wanted, Asked] = {}
    counts: Counter[Wanted] = Counter()
    for one in machines:
        own = {wanted(record): record["asked"] for record in streams.served(one.result).values()}
        found = own | found
        counts.update(own.keys())
    first: dict[tuple[str, Resolution], Wanted] = {}
    for at, _count in counts.most_common():
        first.setdefault(at[:2], at)
    return {at: found[at] for at in first.values()}


def otherwise(machines: list[Machine], ranked: dict[Wanted, Asked]) -> list[str]:
    """Return the names of machines with cameras that were asked for something else than what they are ranked with.

    ranked: as of `asked_of`.
    """
    return [
        one.name
        for one in machines
        if any(wanted(record) not in ranked for record in streams.served(one.result).values())
    ]


def judged(machines: list[Machine], demanded: list[Demand], ranked: dict[Wanted, Asked]) -> list[dict[str, object]]:
    """Return a row for each place where cameras were served and each machine, with its verdict; as of `ranking`.

    ranked: as of `asked_of`.

    The ratio is the cameras of the best machine over its own. Fewer is WORSE where it was shown to fail with as many
    as the best one serves, or with fewer than that; else it is undecided, however many fewer it is.
    """
    found: list[dict[str, object]] = []
    for at in ranked:
        settings = {one.name: best(one, at, demanded) for one in machines if at.model in set(one.table.model)}
        top = max((one for one in settings.values() if one), key=lambda one: one.claim.streams, default=None)
        if top is None:
            continue
        for machine in (one for one in machines if one.name in settings):
            row: dict[str, object] = {"model": at.model, "resolution": at.resolution, "goal": GOAL}
            row |= {"machine": machine.name, "result": machine.result.name, "price_per_hour": machine.price}
            found.append(row | figures(settings[machine.name], top))
    return found


def best(machine: Machine, at: Wanted, demanded: list[Demand]) -> Loaded | None:
    """Return the setting of a machine that serves most, of those that meet all demands; None where none does."""
    records = [one for one in streams.served(machine.result).values() if wanted(one) == at]
    claims = [
        Loaded(one, main) for one in records if meets(machine, one, demanded) and (main := claim(one)) is not None
    ]
    return max(claims, key=lambda one: one.claim.streams, default=None)


def meets(machine: Machine, record: Streams, demanded: list[Demand]) -> bool:
    """Say whether a batch size that was loaded has right answers, and meets what is demanded."""
    place, rows = dict(record["place"]), measured(machine.table)
    for axis in streams.PLACE:
        rows = rows[rows[axis] == place[axis]]
    return not meeting(rows[rows.batch_size.isin(record["place"]["batch_sizes"])], demanded).empty


def figures(own: Loaded | None, top: Loaded) -> dict[str, object]:
    """Return the figures of a machine's setting against those of the best one."""
    if own is None:
        return {"verdict": NOTHING}
    place, count, most = own.record["place"], own.claim.streams, top.claim.streams
    verdict = BEST
    if own is not top:
        fewer = WORSE if streams.failed(own.record, own.claim, most) else UNDECIDED
        verdict = SAME if count == most else fewer
    return {
        "verdict": verdict,
        "backend": place["backend"],
        "precision": place["precision"],
        "batch_size": max(place["batch_sizes"]),
        "memory_mb": own.record["memory_mb"],
        "value": float(count),
        "ratio": most / count if count else np.nan,
    }


def cheapest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose cameras cost least by the hour, `each`; none where no machine with a price serves any."""
    able = rows[(rows.value > 0) & rows.price_per_hour.notna()]
    each = able.price_per_hour.astype(float) / able.value.astype(float)
    return able.assign(each=each)[each == each.min()]
