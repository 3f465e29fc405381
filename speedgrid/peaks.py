"""What a device can do at most: data-sheet rates, and the rate of a large matrix product measured on it."""

import re
import time
from pathlib import Path
from statistics import median

import yaml

from speedgrid import gpus
from speedgrid.device import missing
from speedgrid.precision import set_torch_math, torch_dtype
from speedgrid.threads import physical_cores

WARMUP_SECONDS = 0.3
MEASURE_SECONDS = 0.7
HARDWARE_FILE = Path(__file__).parent.parent / "config" / "hardware.yaml"


def data_sheet(device_name: str) -> dict | None:
    """Return the entry of config/hardware.yaml for a device: `tflops` by precision, `source`; None if there is none.

    The most specific (longest) matching name wins.
    """
    entries = yaml.safe_load(HARDWARE_FILE.read_text())["devices"]
    matches = [entry for entry in entries if re.search(entry["match"], device_name)]
    return max(matches, key=lambda entry: len(entry["match"]), default=None)


def measure_gemm(device: str, precision: str) -> float | None:
    """Return the rate in TFLOP/s of a square matrix product of random normal numbers; None if the device cannot.

    On a GPU torch's, of size 8192 (4096 in IEEE float32); on a CPU the faster of torch's and numpy's, of size 2048,
    whose libraries (MKL, OpenBLAS) differ by 1.4 on some processors. Random numbers, because zeros multiply faster.
    """
    import numpy as np
    import torch

    if device == "cpu":
        if precision != "fp32":
            return None
        torch.set_num_threads(physical_cores())
        size = 2048
        left, right = (np.random.default_rng(seed).standard_normal((size, size), dtype=np.float32) for seed in (0, 1))
        pairs = ((torch.from_numpy(left), torch.from_numpy(right)), (left, right))
        seconds = min(time_product(*pair, wait=lambda: None, together=1) for pair in pairs)
    else:
        set_torch_math(precision)
        size = 4096 if precision == "fp32" else 8192
        left, right = (torch.randn(size, size, device=device, dtype=torch_dtype(precision)) for _ in range(2))
        seconds = time_product(left, right, wait=torch.cuda.synchronize, together=10)
    return round(2 * size**3 / seconds / 1e12, 4)


def time_product(left, right, wait, together: int) -> float:
    """Return the median seconds of one `left @ right`, timed in groups of `together` between calls of `wait`."""

    def once() -> float:
        before = time.perf_counter()
        for _ in range(together):
            left @ right
        wait()
        return (time.perf_counter() - before) / together

    started = time.perf_counter()
    while time.perf_counter() - started < WARMUP_SECONDS:
        once()  # clocks are rising
    calls = []
    while len(calls) < 5 or time.perf_counter() - started < WARMUP_SECONDS + MEASURE_SECONDS:
        calls.append(once())
    return median(calls)


def measure_all(device: str, precisions: list[str]) -> dict:
    """Return measured GEMM rates by precision, in TFLOP/s; a device that is not there gives None and a reason."""
    if reason := missing(device):
        return {"gemm_tflops": dict.fromkeys(precisions), "reason": reason}
    if device == "cuda":
        gpus.claim()
        gpus.measure_alone()
    return {
        "gemm_tflops": {precision: measure_gemm(device, precision) for precision in precisions},
        "reason": "",
    }
