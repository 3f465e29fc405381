"""What a number depends on besides the code: machine, driver and library versions."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from speedgrid.machine import cgroup, graphics, threads
from speedgrid.machine.proc import CPUINFO, lines
from speedgrid.record import Machine

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
        asked = subprocess.run(
            [compiler(), "-dumpfullversion", "-dumpversion"], capture_output=True, encoding="utf-8", errors="replace"
        )
    except OSError:
        return {}
    return {"c++": asked.stdout.strip()} if asked.returncode == 0 else {}


def describe(device: str) -> Machine:
    """Describe this machine as it is now, for the record of a measurement. Plain JSON values."""
    description: Machine = {
        "device": device,
        "cpu": cpu_name(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": versions() | compiler_version(),
        "commit": commit(),
        **cpu_limits(),
        **graphics.own(),
    }
    description["device_name"] = description["cpu"] if device == "cpu" else description.get("gpu", "no GPU")
    return description


def cpu_name() -> str:
    """Return the processor's model name and the number of logical CPUs, e.g. `AMD EPYC 9654 (8 CPUs)`."""
    names = [line.split(":", 1)[1].strip() for line in lines(CPUINFO) if line.startswith("model name") and ":" in line]
    return f"{names[0] if names else platform.processor() or platform.machine()} ({len(names) or 1} CPUs)"


def cpu_limits() -> Machine:
    """Return the part of the processor that a container or affinity leaves us, where that is not all of it."""
    found: Machine = {}
    if (count := len(threads.allowed())) < (os.cpu_count() or 1):
        found["cpus_allowed"] = count
    if quota := cgroup.quota():
        found["cpu_quota"] = round(quota, 3)
    return found


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
        return subprocess.run(git, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("SPEEDGRID_COMMIT")


def command() -> str:
    """Return the command that runs this script again, with its arguments as they were given."""
    return shlex.join(["python", "-m", f"scripts.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
