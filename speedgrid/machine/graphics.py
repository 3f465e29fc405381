"""The GPU that is measured: what NVML says of it, and which precisions its tensor cores lack."""

from speedgrid.machine import gpus
from speedgrid.machine.device import nvml
from speedgrid.precision import PRECISIONS
from speedgrid.record import Machine


def own() -> Machine:
    """Describe the GPU that is measured, the first of those that may be used; empty where there is none."""
    return gpu(next((one.index for one in gpus.usable()), 0))


def lacking(precision: str, device: str) -> str | None:
    """Say in one clause why the hardware cannot do a precision, or return None if it can or is not there."""
    if device == "cpu":
        return "TF32 is a format of NVIDIA's tensor cores; a CPU has none" if precision == "tf32" else None
    found, first = own().get("compute_capability"), PRECISIONS[precision].first_capability
    if not found or not first or tuple(map(int, found.split("."))) >= first:
        return None
    return f"tensor cores have {precision} from compute capability {first[0]}.{first[1]} on; this GPU has {found}"


def gpu(index: int = 0) -> Machine:
    """Describe one GPU by NVML; an empty dictionary where there is none. Memory in MB, power in W, clocks in MHz."""
    with nvml() as api:
        if not api or index >= api.nvmlDeviceGetCount():
            return {}
        handle = api.nvmlDeviceGetHandleByIndex(index)
        cuda = api.nvmlSystemGetCudaDriverVersion()
        major, minor = api.nvmlDeviceGetCudaComputeCapability(handle)
        return {
            "gpu": api.nvmlDeviceGetName(handle),
            "gpu_uuid": api.nvmlDeviceGetUUID(handle),
            "gpu_memory_mb": round(api.nvmlDeviceGetMemoryInfo(handle).total / 1e6),
            "compute_capability": f"{major}.{minor}",
            "driver": api.nvmlSystemGetDriverVersion(),
            "cuda_driver": f"{cuda // 1000}.{cuda % 1000 // 10}",
            "power_limit_w": _or_none(api, lambda: api.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000),
            "max_sm_clock_mhz": _or_none(api, lambda: api.nvmlDeviceGetMaxClockInfo(handle, api.NVML_CLOCK_SM)),
        }


def _or_none(api, ask):
    """Return a reading of NVML, or None, never 0, where a board or virtual machine does not answer."""
    try:
        return ask()
    except api.NVMLError:
        return None
