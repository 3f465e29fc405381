"""Which device there is to measure, asked of NVML, without importing torch."""

import os
from contextlib import contextmanager

from speedgrid.machine import visible

# The GPUs of a job, as Slurm tells it (sbatch(1)).
GIVEN = "SLURM_JOB_GPUS"


@contextmanager
def nvml():
    """Yield the initialised `pynvml` module, or None on a machine whose driver has no NVML."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def gpu_count() -> int:
    """Return the number of NVIDIA GPUs that the driver shows; 0 with no driver."""
    with nvml() as api:
        return api.nvmlDeviceGetCount() if api else 0


def resolve(device: str) -> str:
    """Turn `auto` into `cuda` where CUDA sees an NVIDIA GPU, else `cpu`; other values stay as they are.

    Raises speedgrid.machine.visible.GpuError where CUDA would see none by mistake, or others than NVML; and for `auto`
    in a job that Slurm gave GPUs which NVML does not find, whose results would be a processor's.
    """
    count = gpu_count() if device != "cpu" else 0
    if device == "auto" and not count and (given := os.environ.get(GIVEN)):
        raise visible.GpuError(
            f"{GIVEN} is {given!r}, so Slurm gave this job GPUs, but NVML finds none on {os.uname().nodename}; have "
            "its driver looked at, or write device: cpu to measure its processor."
        )
    seen = bool(count) and not visible.hidden(count)
    if seen:
        with nvml() as api:
            if api:
                visible.require(api)
    return device if device != "auto" else "cuda" if seen else "cpu"


def missing(device: str) -> str | None:
    """Say in one clause why nothing can run on `device` here, or return None if something can."""
    if device != "cuda":
        return None
    if count := gpu_count():
        return visible.hidden(count)
    return "no NVIDIA GPU on this machine: NVML finds no device or no driver"
