"""The records of a run held against themselves and each other before they become a table.

A record that cannot be true counts as a failed measurement, with the reason. What is found is damage, a slip, or a
careless edit: whoever changes all that hangs together, and the checksum too, is not found, and no table proves that its
author is honest.
"""

from collections.abc import Iterable
from dataclasses import replace

from speedgrid.grid import TIMING, Cell
from speedgrid.model.described import Arithmetic
from speedgrid.record import Record
from speedgrid.table import alike
from speedgrid.table.contradictions import contradictions
from speedgrid.table.run import Held

# Reasons that a row shows; more say the same thing again.
SHOWN = 2


def hold(records: list[Record], arithmetic: Arithmetic) -> tuple[list[Record], Held]:
    """Return the records in their order, failed ones in place of those that cannot be true, and what was found."""
    found = [reasons(one, arithmetic) for one in records]
    places = [place for place, why in enumerate(found) if records[place].seen and not why]
    whole = [records[place] for place in places]
    looks = (alike.strangers, alike.odd_types, alike.copies, alike.outliers)
    beside = alike.together(*(look(whole) for look in looks))
    for one, why in beside.items():
        found[places[one]] += why
    held = [doubted(one, why) if why else one for one, why in zip(records, found, strict=True)]
    summary: Held = {
        "records": len(records),
        "without_checksum": sum(one.intact is None for one in records),
        "contradictory": {one.name: one.reason for one, why in zip(held, found, strict=True) if why},
    }
    return held, summary


def reasons(record: Record, arithmetic: Arithmetic) -> list[str]:
    """Return why a record cannot be true by itself; what was changed or misplaced is not looked into."""
    if record.intact is False:
        return ["its checksum is not that of its content: it was damaged or changed after it was written"]
    if misplaced(record):
        return [f"it holds {record.name}"]
    counted = arithmetic.get(record.cell.model, {}).get(str(record.cell.resolution))
    return contradictions(record, counted["weight_elements"] if counted else None)


def misplaced(record: Record) -> bool:
    """Say whether a record lies in the file of another measurement."""
    place = record.file.removesuffix(".json")
    return TIMING.fullmatch(place) is not None and place != record.name


def doubted(record: Record, why: Iterable[str]) -> Record:
    """Return a failed measurement in place of a record, at the place where it lies."""
    reasons = list(why)
    more = f" (and {len(reasons) - SHOWN} more)" if len(reasons) > SHOWN else ""
    file, asked = record.file or f"{record.name}.json", record.asked
    if misplaced(record) and (place := TIMING.fullmatch(file.removesuffix(".json"))):
        asked = replace(asked, cell=Cell.parse(place["cell"]), turn=place["turn"])
    reason = f"its record cannot be true: {'; '.join(reasons[:SHOWN])}{more}; delete {file} and run again"
    return replace(record, asked=asked, status="failed", reason=reason, seen=None)
