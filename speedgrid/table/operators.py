"""Where the time of a call goes: operators on the CPU, kernels on a GPU, in three parts and the longest of them.

What the probes saw is judged here, by names: a product is arithmetic, and what is no product moves memory. The rest of
the call, in which no operator runs, is gaps: launches, the runtime's own work, and waiting.
"""

import re
from collections.abc import Iterable
from statistics import median
from typing import TypedDict

from speedgrid.data.resolution import Resolution
from speedgrid.grid import CONTROL_PLACE, nearest
from speedgrid.record import Record

LONGEST = 10
# Convolutions and products of matrices, as OpenVINO, ONNX Runtime, ATen, oneDNN and NVIDIA's libraries name them.
PRODUCT = re.compile(
    r"conv(?!ert)|gemm|matmul|fullyconnected|innerproduct|attention|linear|einsum|xmma|cutlass|nvjet|winograd|fprop|"
    r"\b(?:add|b|badd|_scaled_)?mm\b",
    re.IGNORECASE,
)
# Names of kernels that have what they are fused from, or go with, in them, and multiply nothing themselves.
NO_PRODUCT = re.compile(r"triton_(?:poi|red|per)_|nchwtonhwc|nhwctonchw|converttensor|elementwise", re.IGNORECASE)


class Operator(TypedDict):
    """An operator, or a kernel: its name, its type (the name again of a kernel), and its ms in a call."""

    name: str
    type: str
    ms: float


class Profile(TypedDict):
    """Where the time of a call of one cell goes, in ms: arithmetic, memory and gaps add up to the call.

    call_ms: of the profiled calls on the CPU; on a GPU between its events. longest: at most LONGEST, of `count`.
    """

    model: str
    backend: str
    precision: str
    resolution: Resolution
    batch_size: int
    call_ms: float
    arithmetic_ms: float
    memory_ms: float
    gaps_ms: float
    count: int
    longest: list[Operator]


def profiles(records: Iterable[Record]) -> list[Profile]:
    """Return a profile of each cell that has one, at one resolution and batch size: those nearest to CONTROL_PLACE."""
    found = [profile for record in records if (profile := profile_of(record))]
    if not found:
        return []
    resolution = nearest([one["resolution"] for one in found], CONTROL_PLACE["resolution"])
    here = [one for one in found if one["resolution"] == resolution]
    batch_size = nearest([one["batch_size"] for one in here], CONTROL_PLACE["batch_size"])
    return [one for one in here if one["batch_size"] == batch_size]


def profile_of(record: Record) -> Profile | None:
    """Return the profile of a record, or None of one in which nothing was profiled."""
    if not record.seen:
        return None
    if (seen := record.seen.probes.get("operators")) and seen["operators"]:
        operators, call = seen["operators"], seen["call_ms"]
    elif (seen := record.seen.probes.get("kernels")) and seen["ms"] and record.seen.samples.device_ms:
        operators = [Operator(name=name, type=name, ms=ms) for name, ms in seen["ms"].items()]
        call = median(record.seen.samples.device_ms)
    else:
        return None
    products = sum(one["ms"] for one in operators if is_product(one))
    busy = sum(one["ms"] for one in operators)
    longest = sorted(operators, key=lambda one: -one["ms"])[:LONGEST]
    return {
        "model": record.cell.model,
        "backend": record.cell.backend,
        "precision": record.cell.precision,
        "resolution": record.cell.resolution,
        "batch_size": record.cell.batch_size,
        "call_ms": max(call, busy),  # clocks of a profiler and of a call are two
        "arithmetic_ms": products,
        "memory_ms": busy - products,
        "gaps_ms": max(call - busy, 0.0),
        "count": len(operators),
        "longest": [{"name": one["name"], "type": one["type"], "ms": one["ms"]} for one in longest],
    }


def is_product(operator: Operator) -> bool:
    """Return whether an operator convolves or multiplies matrices, as far as its type says."""
    return bool(PRODUCT.search(operator["type"])) and not NO_PRODUCT.search(operator["type"])
