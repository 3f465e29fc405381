"""What a number depends on besides the code: machine, driver and library versions."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from speedgrid.machine import gpus
from speedgrid.machine.device import nvml
from speedgrid.precision import PRECISIONS

# Everything that the report lists; what one backend depends on is in its module's PACKAGES.
PACKAGES = (
    "torch",
    "torchvision",
    "triton",
    "nvidia-cudnn-cu13",
    "onnx",
    "onnxscript",
    "onnxruntime-gpu",
    "onnxruntime",
    "openvino",
    "torch-tensorrt",
    "tensorrt",
    "torch-tensorrt-rtx",
    "tensorrt-rtx-cu13-libs",
    "nvidia-modelopt",
    "numpy",
    "snakemake",
)


def versions(packages=PACKAGES) -> dict[str, str]:
    """Return the installed version of each package; packages that are not installed are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def compiler() -> str:
    """Return the C++ compiler that Inductor runs, as torch chooses it."""
    return os.environ.get("CXX", "g++")


def compiler_version() -> dict[str, str]:
    """Return the version of Inductor's C++ compiler as that of a package, `c++`; empty where there is none."""
    try:
        asked = subprocess.run([compiler(), "-dumpfullversion", "-dumpversion"], capture_output=True, text=True)
    except OSError:
        return {}
    return {"c++": asked.stdout.strip()} if asked.returncode == 0 else {}


def describe(device: str) -> dict:
    """Describe this machine as it is now, for the record of a measurement. Plain JSON values."""
    description = {
        "device": device,
        "cpu": cpu_name(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": versions() | compiler_version(),
        "commit": commit(),
        **own_gpu(),
    }
    name = description["cpu"] if device == "cpu" else description.get("gpu", "no GPU")
    return description | {"device_name": name}


def own_gpu() -> dict:
    """Describe the GPU that is measured, the first of those that may be used; empty where there is none."""
    return gpu(next((one.index for one in gpus.usable()), 0))


def lacking(precision: str, device: str) -> str | None:
    """Say in one clause why the hardware cannot do a precision, or return None if it can or is not there."""
    if device == "cpu":
        return "TF32 is a format of NVIDIA's tensor cores; a CPU has none" if precision == "tf32" else None
    found, first = own_gpu().get("compute_capability"), PRECISIONS[precision].first_capability
    if not found or not first or tuple(map(int, found.split("."))) >= first:
        return None
    return f"tensor cores have {precision} from compute capability {first[0]}.{first[1]} on; this GPU has {found}"


def gpu(index: int = 0) -> dict:
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


def cpu_name() -> str:
    """Return the processor's model name and the number of logical CPUs, e.g. `AMD EPYC 9654 (8 CPUs)`."""
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if (cpuinfo.exists())
        else []
    )
    return f"{names[0] if names else platform.processor() or platform.machine()} ({len(names) or 1} CPUs)"


def commit() -> str | None:
    """Return speedgrid's git commit, with `+` where the working tree differs from it.

    Outside git, as in a container, it is what SPEEDGRID_COMMIT says, or None.
    """
    git = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--abbrev=10",
        "--dirty=+",
        "--exclude=*",
    ]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("SPEEDGRID_COMMIT")


def command() -> str:
    """Return the command that runs this script again, with its arguments as they were given."""
    return shlex.join(["python", "-m", f"scripts.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
