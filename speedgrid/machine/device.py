"""Which device there is to measure, asked of NVML, without importing torch."""

from contextlib import contextmanager


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
    """Turn `auto` into `cuda` where there is an NVIDIA GPU, else `cpu`; other values stay as they are."""
    if device != "auto":
        return device
    return "cuda" if gpu_count() else "cpu"


def missing(device: str) -> str | None:
    """Say in one clause why nothing can run on `device` here, or return None if something can."""
    if device == "cuda" and not gpu_count():
        return "no NVIDIA GPU on this machine: NVML finds no device or no driver"
    return None
