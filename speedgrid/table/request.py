"""What a request pays beside the call, as columns of the table: medians of the steps, their sum, and the whole."""

from statistics import median

from speedgrid.measure.request import WAYS

STEPS = (
    "preprocess_cpu",
    "copy_in_pinned",
    "copy_in_pageable",
    "copy_in_uint8",
    "preprocess_gpu",
    "call",
    "copy_out_pinned",
    "copy_out_pageable",
)
# The call again, beside the steps: latency_ms is of other moments, and of all rounds.
COLUMNS = (*(f"{step}_ms" for step in STEPS), *(f"{kind}_{way}_ms" for way in WAYS for kind in ("parts", "end_to_end")))
# How far the sum of the steps may be from the whole. Seen on two cores that other programs used too: 5 % in their
# quiet moments, 20 % in most of the others; what is further off was disturbed.
ADD_UP = 0.2
# What a step alone takes more than in a request: two CUDA events are recorded around it.
EVENTS_MS = 0.02


def columns(records: list[dict]) -> dict[str, float | None]:
    """Return COLUMNS from the first of a cell's records that has costs; a way that does not add up has no whole.

    Steps that a device does not have are None, as is all of it where nothing was measured.
    """
    measured = (record["end_to_end"]["samples"] for record in records if record.get("end_to_end"))
    samples = next((one for one in measured if one), {})
    found = {f"{name}_ms": median(sample["host_ms"]) for name, sample in samples.items()}
    for way, names in WAYS.items():
        steps = [found[f"{name}_ms"] for name in names if f"{name}_ms" in found]
        parts, whole = sum(steps), found.get(f"end_to_end_{way}_ms")
        if whole is None or abs(parts - whole) > ADD_UP * whole + EVENTS_MS * len(steps):
            found[f"end_to_end_{way}_ms"] = found[f"parts_{way}_ms"] = None
        else:
            found[f"parts_{way}_ms"] = parts
    return {name: found.get(name) for name in COLUMNS}
