"""What limits a cell, in one word: the host, the power limit, arithmetic, memory, or none of them."""

from collections.abc import Iterable

import numpy as np

from speedgrid.data.samples import Samples
from speedgrid.machine.data_sheet import Peaks
from speedgrid.model.described import LayerCount
from speedgrid.precision import BYTES
from speedgrid.record import POWER_CAP
from speedgrid.table.run import Row

HOST_LAUNCH, POWER, COMPUTE, MEMORY, KERNEL = WORDS = (
    "host-launch-bound",
    "power-capped",
    "compute-bound",
    "memory-bound",
    "kernel-bound",
)
# trtexec's share of the time on the device that submitting may take before it warns of "Enqueue Time":
# https://github.com/NVIDIA/TensorRT/blob/main/samples/common/sampleReporting.cpp (kENQUEUE_BOUND_REPORTING_THRESHOLD)
SUBMIT_SHARE = 0.8
# Up to this share the processor's pace moves no figure. Seen on an NVIDIA H200 whose host's processors ran now at one
# pace and now at 0.6 of it, held against an earlier run on such a card: of 118 cells with less, the 74 at the slow pace
# took 0.4 % longer than the others in the median; with 0.2 to 0.6 it was 1 to 2 %, with 0.6 to 0.8 4 %, and of 40 that
# waited for their host 11 %, a tenth of them 60 %.
LEANING_SHARE = 0.2
# A limit that explains less than half of the time is not what most of it is spent on.
EXPLAINED = 0.5


def waits_for_host(submit_ms: float | None, device_ms: float | None) -> bool:
    """Say whether submitting a call takes more than 0.8 of its time on the device; no CPU session does (None)."""
    if submit_ms is None or device_ms is None:
        return False
    return submit_ms > SUBMIT_SHARE * device_ms


def leans_on_host(samples: Samples) -> bool:
    """Say whether a slower processor makes the calls of a timing longer: all of a session that has no GPU's clock.

    Of a GPU's, those whose submitting takes more than 0.2 of their time on the device, in the median.
    """
    if not samples.device_ms or not samples.submit_ms:
        return True
    return bool(np.median(samples.submit_ms) > LEANING_SHARE * np.median(samples.device_ms))


def limiter(row: Row, layers: list[LayerCount], peaks: Peaks, throttled: Iterable[str]) -> str | None:
    """Return the word for what limits a row with a speed; the first that holds.

    host-launch-bound: submitting takes more than 0.8 of the time on the device. power-capped: the clocks were held
    down by the power limit. compute-bound or memory-bound: the roofline explains at least half of the time, and more
    of it is arithmetic, or traffic. kernel-bound: it does not, because kernels are too small to fill the device or
    reach neither ceiling by a factor of two. None without layers or ceilings.

    row: of the table, with `latency_ms`, `device_ms` and `submit_ms` (None on the CPU), `batch_size` and
    `observed_precision`. layers: as of speedgrid.model.flops.count. peaks: the measured `gemm_tflops` by precision and
    `copy_gb_s`. throttled: the telemetry's reasons in all rounds.
    """
    if waits_for_host(row["submit_ms"], row["device_ms"]):
        return HOST_LAUNCH
    if POWER_CAP in throttled:
        return POWER
    precision = row["observed_precision"]
    tflops, bandwidth = peaks["gemm_tflops"].get(precision), peaks["copy_gb_s"]
    if not tflops or not bandwidth or not layers:
        return None
    arithmetic, traffic, both = roofline(layers, row["batch_size"], BYTES[precision], tflops, bandwidth)
    time = row["latency_ms"] if row["device_ms"] is None else row["device_ms"]
    if both < EXPLAINED * time:
        return KERNEL
    return COMPUTE if arithmetic >= traffic else MEMORY


def roofline(
    layers: list[LayerCount], batch_size: int, element_bytes: int, tflops: float, bandwidth: float
) -> tuple[float, float, float]:
    """Return the least ms that arithmetic takes, that traffic takes, and that both take where they overlap in a layer.

    The sums over layers of FLOP / peak, of bytes / bandwidth, and of the larger of the two: layers follow each other,
    so one's arithmetic does not hide another's traffic. Williams, Waterman and Patterson, "Roofline",
    https://doi.org/10.1145/1498765.1498785. Each layer reads its inputs and its weights (once a batch) and writes its
    output; what a cache holds between layers, and what passes between fused ones, is counted nevertheless.
    tflops: in TFLOP/s. bandwidth: in GB/s.
    """
    arithmetic = [batch_size * layer["flop"] / (tflops * 1e9) for layer in layers]
    traffic = [
        element_bytes * (layer["weight_elements"] + batch_size * layer["activation_elements"]) / (bandwidth * 1e6)
        for layer in layers
    ]
    return sum(arithmetic), sum(traffic), sum(map(max, arithmetic, traffic))
