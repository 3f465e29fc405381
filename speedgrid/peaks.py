"""What a device can do at most: data-sheet rates, and the rate of a large matrix product measured on it."""

import re
import time
from pathlib import Path
from statistics import median

import yaml

from speedgrid.precision import set_torch_math, torch_dtype

HARDWARE_FILE = Path(__file__).parent.parent / "config" / "hardware.yaml"


def data_sheet(device_name: str) -> dict | None:
    """Return the entry of config/hardware.yaml for a device: `tflops` by precision, `source`; None if there is none.

    The most specific (longest) matching name wins.
    """
    entries = yaml.safe_load(HARDWARE_FILE.read_text())["devices"]
    matches = [entry for entry in entries if re.search(entry["match"], device_name)]
    return max(matches, key=lambda entry: len(entry["match"]), default=None)


def measure_gemm(device: str, precision: str, seconds: float = 0.5) -> float | None:
    """Return the rate in TFLOP/s of a square matrix product of random normal numbers; None if the device cannot.

    Size 8192 on a GPU (4096 in IEEE float32), 2048 on a CPU; the median of at least 20 (CPU: 5) products. Random
    numbers, because zeros multiply faster.
    """
    import torch

    from speedgrid.threads import physical_cores

    if device == "cpu" and precision != "fp32":
        return None
    set_torch_math(precision)
    torch.set_num_threads(physical_cores())
    size, fewest = (2048, 5) if device == "cpu" else (4096 if precision == "fp32" else 8192, 20)
    left, right = (torch.randn(size, size, device=device, dtype=torch_dtype(precision)) for _ in range(2))
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(3):
        left @ right
    wait()
    calls, started = [], time.perf_counter()
    while len(calls) < fewest or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        left @ right
        wait()
        calls.append(time.perf_counter() - before)
    return round(2 * size**3 / median(calls) / 1e12, 4)


def measure_all(device: str, precisions: list[str]) -> dict:
    """Return measured GEMM rates by precision, in TFLOP/s; a device that is not there gives None and a reason."""
    from speedgrid.device import missing

    if reason := missing(device):
        return {"gemm_tflops": dict.fromkeys(precisions), "reason": reason}
    return {
        "gemm_tflops": {precision: measure_gemm(device, precision) for precision in precisions},
        "reason": "",
    }
