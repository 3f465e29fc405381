"""What a device can do at most: data-sheet rates, and what a matrix product and a copy reach on it."""

import time
from contextlib import nullcontext
from functools import partial
from operator import matmul
from pathlib import Path
from statistics import median

from speedgrid.machine import cpu, gpus
from speedgrid.machine.data_sheet import Measured
from speedgrid.machine.device import missing
from speedgrid.machine.graphics import lacking
from speedgrid.machine.proc import lines
from speedgrid.machine.threads import physical_cores
from speedgrid.measure import energy
from speedgrid.precision import set_torch_math, torch_dtype

WARMUP_SECONDS = 0.3
MEASURE_SECONDS = 0.7
CPU_CACHES = Path("/sys/devices/system/cpu")


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
        products = (partial(matmul, *pair) for pair in pairs)
        seconds = min(median_seconds(product, wait=lambda: None, together=1) for product in products)
    else:
        if lacking(precision, device):
            return None
        set_torch_math(precision)
        size = 4096 if precision == "fp32" else 8192
        seconds = median_seconds(gpu_product(precision, size), torch.cuda.synchronize, together=10)
    return round(2 * size**3 / seconds / 1e12, 4)


def gpu_product(precision: str, size: int):
    """Return a call that multiplies two random square matrices of a size on the GPU, in a precision.

    int8 and fp8 by torch's own products of them, whose right factor is stored by columns, and with sums in int32 and
    float32 (https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/native_functions.yaml: _int_mm,
    _scaled_mm). float8 numbers have a scale of 1.
    """
    import torch

    if precision == "int8":
        left, right = (torch.randint(-127, 128, (size, size), device="cuda", dtype=torch.int8) for _ in range(2))
        return lambda: torch._int_mm(left, right.t())
    if precision == "fp8":
        left, right = (torch.randn(size, size, device="cuda").to(torch.float8_e4m3fn) for _ in range(2))
        one = torch.ones((), device="cuda")
        return lambda: torch._scaled_mm(left, right.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
    left, right = (torch.randn(size, size, device="cuda", dtype=torch_dtype(precision)) for _ in range(2))
    return lambda: left @ right


def median_seconds(call, wait, together: int) -> float:
    """Return the median seconds of one `call()`, timed in groups of `together` between calls of `wait`."""

    def once() -> float:
        before = time.perf_counter()
        for _ in range(together):
            call()
        wait()
        return (time.perf_counter() - before) / together

    started = time.perf_counter()
    while time.perf_counter() - started < WARMUP_SECONDS:
        once()  # clocks are rising
    calls: list[float] = []
    while len(calls) < 5 or time.perf_counter() - started < WARMUP_SECONDS + MEASURE_SECONDS:
        calls.append(once())
    return median(calls)


def measure_copy(device: str) -> float:
    """Return the bandwidth in GB/s at which the device copies its memory: bytes read and bytes written, both counted.

    On a GPU torch's copy; on a CPU the faster of torch's (of several threads) and numpy's (of one, past the caches).
    """
    import numpy as np
    import torch

    count = copied_bytes(device) // 4
    if device == "cuda":
        source, target = (torch.ones(count, device=device) for _ in range(2))
        seconds = median_seconds(lambda: target.copy_(source), torch.cuda.synchronize, together=5)
    else:
        torch.set_num_threads(physical_cores())
        left, right = (np.ones(count, dtype=np.float32) for _ in range(2))
        source, target = torch.from_numpy(left), torch.from_numpy(right)
        copies = (lambda: target.copy_(source), lambda: np.copyto(right, left))
        seconds = min(median_seconds(copy, wait=lambda: None, together=1) for copy in copies)
    return round(2 * 4 * count / seconds / 1e9, 3)


def copied_bytes(device: str) -> int:
    """Return the size of a buffer that no cache holds: on a GPU 2 GiB, or a quarter of what is free where that is less.

    On a CPU four times its cache, which is more than 1 GB on the largest ones, and 256 MiB at least.
    """
    if device == "cuda":
        import torch

        return min(2 << 30, torch.cuda.mem_get_info()[0] // 4)
    return max(1 << 28, int(4e6 * (last_level_cache(device) or 0)))


def last_level_cache(device: str) -> float | None:
    """Return the size in MB (1e6 bytes) of the cache before the memory, or None where the system does not tell.

    On a GPU its L2. On a CPU under Linux the caches of the highest level together, each once, however many cores
    share it (https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-devices-system-cpu).
    """
    if device == "cuda":
        import torch

        return round(torch.cuda.get_device_properties(0).L2_cache_size / 1e6, 3) or None
    caches = set()
    for folder in CPU_CACHES.glob("cpu[0-9]*/cache/index[0-9]*"):
        try:
            level, shared_by, size = (lines(folder / name)[0].strip() for name in ("level", "shared_cpu_list", "size"))
            caches.add((int(level), shared_by, int(size.removesuffix("K")) * 1024))
        except (IndexError, ValueError):
            continue  # some kernels and virtual machines leave one of them out
    last = max((level for level, _, _ in caches), default=None)
    return round(sum(size for level, _, size in caches if level == last) / 1e6, 3) or None


def idle_power(uuid: str | None) -> float | None:
    """Return the power in W of a GPU on which this process has a context and runs nothing; None with no reading."""
    import torch

    torch.cuda.synchronize()  # makes the context, which raises the clocks of the memory
    power = energy.mean_power(energy.EnergyCounter(uuid))
    return None if power is None else round(power, 2)


def measure_all(device: str, precisions: list[str]) -> Measured:
    """Return the rates measured on this device; one that is not there gives None for everything, and a reason.

    gemm_tflops: in TFLOP/s by precision. copy_gb_s: in GB/s. cache_mb: of the last level, in MB. idle_power_w: of a
    GPU, in W.
    """
    if reason := missing(device):
        return {
            "gemm_tflops": dict.fromkeys(precisions),
            "copy_gb_s": None,
            "cache_mb": None,
            "idle_power_w": None,
            "reason": reason,
        }
    idle = None
    if device == "cuda":
        uuid = gpus.claim()
        gpus.measure_alone()
        idle = idle_power(uuid)  # before anything warms it up
    with cpu.alone() if device == "cpu" else nullcontext():
        return {
            "gemm_tflops": {precision: measure_gemm(device, precision) for precision in precisions},
            "copy_gb_s": measure_copy(device),
            "cache_mb": last_level_cache(device),
            "idle_power_w": idle,
            "reason": "",
        }
