"""What a request pays beside the call, as columns of the table: medians of the steps, their sum, and the whole."""

from statistics import median

from speedgrid.measure.request import WAYS
from speedgrid.text.column import LOWER, MS, NUMBER, Column
from speedgrid.text.language import N_

# Step or whole, its label, and one sentence. The call is timed again, beside the steps: latency_ms is of other moments.
TIMES = (
    (
        "preprocess_cpu",
        N_("preprocessing on the CPU"),
        "Median time to make the model's input of decoded photographs (uint8) on the CPU.",
    ),
    (
        "copy_in_pinned",
        N_("input in, pinned"),
        "Median time to copy the model's input to the GPU from pinned memory.",
    ),
    (
        "copy_in_pageable",
        N_("input in, pageable"),
        "Median time to copy the model's input to the GPU from pageable memory; in neither sum.",
    ),
    (
        "copy_in_uint8",
        N_("photographs in, pinned"),
        "Median time to copy decoded photographs (uint8) to the GPU from pinned memory.",
    ),
    (
        "preprocess_gpu",
        N_("preprocessing on the GPU"),
        "Median time to make the model's input of decoded photographs (uint8) on the GPU.",
    ),
    (
        "call",
        N_("call"),
        "Median time of the model's call alone, timed again in turn with the other steps of a request.",
    ),
    (
        "copy_out_pinned",
        N_("logits out, pinned"),
        "Median time to copy the model's output to pinned memory of the host.",
    ),
    (
        "copy_out_pageable",
        N_("logits out, pageable"),
        "Median time to copy the model's output to pageable memory of the host; in neither sum.",
    ),
    (
        "parts_cpu",
        N_("sum of the steps, preprocessed on the CPU"),
        "Sum of preprocessing on the CPU, both pinned copies and the call; empty where it is not near the whole.",
    ),
    (
        "end_to_end_cpu",
        N_("whole, preprocessed on the CPU"),
        "Median time of a request as a whole, its steps one after another; empty where `parts_cpu_ms` is.",
    ),
    (
        "parts_gpu",
        N_("sum of the steps, preprocessed on the GPU"),
        "Sum of the photographs' copy, preprocessing on the GPU, the call and the output's copy; empty where it is not "
        "near the whole.",
    ),
    (
        "end_to_end_gpu",
        N_("whole, preprocessed on the GPU"),
        "Median time of a request as a whole, its steps one after another; empty where `parts_gpu_ms` is.",
    ),
)
REQUEST = tuple(Column(f"{name}_ms", NUMBER, MS, LOWER, label, about, proven=True) for name, label, about in TIMES)
COLUMNS = tuple(column.name for column in REQUEST)
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
