"""What a machine lacks to install speedgrid and to measure, found before gigabytes are installed.

It runs with the system's own Python, which may be one that speedgrid cannot use: nothing here, nor anything that it
imports, needs a package or a Python newer than 3.9.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from speedgrid import ROOT
from speedgrid.launcher import inputs

PYTHON = (3, 11)
# What the lock file's packages are made for: CUDA by their names, the C library by their tags (manylinux_2_28).
CUDA, GLIBC = 13, (2, 28)
# Gigabytes that .venv takes (7.4 were measured, 3.0 without CUDA), with what is written beside it meanwhile; and what a
# run writes.
INSTALLED_GB, WITHOUT_CUDA_GB, RUN_GB = 9, 4, 1
NVIDIA, DISPLAY = "0x10de", "0x03"
OK, NOTE, LACKING = "ok", "note", "lacking"


class Finding(NamedTuple):
    """A thing that speedgrid needs, and what was found of it.

    state: OK, NOTE (something cannot be measured, the rest can) or LACKING (nothing works without it). sentence: what
    is there, or what is missing and what to do.
    """

    state: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.state:8} {self.sentence}"


def examine(folder: Path = ROOT, configuration: str | None = None, cuda: bool = True) -> list[Finding]:
    """Return a finding for each thing that speedgrid needs.

    folder: where it is to be installed and to run. configuration: a file that the user named, if any. cuda: whether
    CUDA is to be installed too.
    """
    found = [system(), libc(), python(), writable(folder), room(folder, cuda=cuda), git(), compiler()]
    found.append(gpu(has_nvidia(), open_driver()))
    return found if configuration is None else [*found, configured(configuration)]


def system(name: str = sys.platform, processor: str | None = None) -> Finding:
    """Return whether the operating system and the processor are those that speedgrid is tested on."""
    processor = processor or platform.machine()
    if name == "linux" and processor == "x86_64":
        return Finding(OK, "Linux on x86-64")
    return Finding(NOTE, f"This is {name} on {processor}; speedgrid is tested on Linux on x86-64 alone.")


def libc(found: tuple[str, str] | None = None) -> Finding:
    """Return whether the C library is one that the packages are built for. found: its name and version."""
    name, version = found or platform.libc_ver()
    needed = ".".join(map(str, GLIBC))
    if sys.platform != "linux" or (name == "glibc" and tuple(map(int, version.split(".")[:2])) >= GLIBC):
        return Finding(OK, f"C library: {name} {version}".rstrip())
    what = f"{name} {version}" if name else "another one, as on Alpine"
    return Finding(
        LACKING,
        f"PyTorch needs glibc {needed} or newer, and here is {what}: use a newer or another system or container.",
    )


def python(version: tuple[int, ...] | None = None) -> Finding:
    """Return whether this Python can run speedgrid and make environments, or which one here can."""
    version = version or sys.version_info[:3]
    shown, needed = ".".join(map(str, version)), ".".join(map(str, PYTHON))
    if tuple(version[:2]) < PYTHON:
        others = list(other_pythons())
        remedy = (
            f"`make PYTHON={others[0]}` takes the one that is here" if others else "install one with its venv module"
        )
        return Finding(LACKING, f"Python {needed} or newer is needed, and {sys.executable} is {shown}: {remedy}.")
    if not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
        return Finding(LACKING, f"Python {shown} has no venv module: on Debian and Ubuntu, `apt install python3-venv`.")
    return Finding(OK, f"Python {shown}")


def other_pythons() -> Iterator[str]:
    """Yield the commands of Pythons on the path that are new enough and can make environments, the oldest first."""
    for minor in range(PYTHON[1], PYTHON[1] + 4):
        command = f"python{PYTHON[0]}.{minor}"
        if shutil.which(command):
            asked = subprocess.run([command, "-c", "import venv, ensurepip"], capture_output=True, check=False)
            if asked.returncode == 0:
                yield command


def writable(folder: Path) -> Finding:
    """Return whether this user may write to the folder that everything is installed in."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return Finding(LACKING, f"The disk of {folder} is full: free some space.")
        remedy = "clone speedgrid to a folder of your own"
        return Finding(LACKING, f"Nothing can be written to {folder} ({error.strerror}): {remedy}.")
    return Finding(OK, f"{folder} can be written to")


def room(folder: Path, free: int | None = None, cuda: bool = True) -> Finding:
    """Return whether there is room for what is still to be installed and for a run.

    free: bytes that are left. cuda: whether CUDA is installed too.
    """
    installed = (folder / ".venv" / ".installed").exists()
    needed = RUN_GB if installed else INSTALLED_GB if cuda else WITHOUT_CUDA_GB
    try:
        left = (shutil.disk_usage(folder).free if free is None else free) / 1e9
    except OSError as error:
        return Finding(NOTE, f"How much room is left at {folder} cannot be seen ({error.strerror}).")
    if left >= needed:
        return Finding(OK, f"{left:.0f} GB of disk are free")
    purpose = "a run" if installed else "the installation"
    return Finding(
        LACKING, f"{left:.1f} GB of disk are free at {folder}, and {purpose} needs {needed}: free some space."
    )


def git() -> Finding:
    """Return whether there is git, which tells a report which version made it."""
    if shutil.which("git"):
        return Finding(OK, "git")
    return Finding(NOTE, "There is no git, so reports cannot say which version of speedgrid made them: install git.")


def compiler() -> Finding:
    """Return whether there is the C++ compiler that Inductor runs (speedgrid.machine.environment.compiler)."""
    name = os.environ.get("CXX", "g++")
    if shutil.which(name):
        return Finding(OK, f"C++ compiler: {name}")
    return Finding(NOTE, f"There is no C++ compiler ({name}), so no `inductor` backend can be measured: install g++.")


def gpu(hardware: bool, driver: Any) -> Finding:
    """Return whether an NVIDIA GPU can be measured. hardware: whether there is one; driver: its library, or None."""
    if driver is None:
        if not hardware:
            return Finding(OK, "No NVIDIA GPU: the processor is measured")
        remedy = f"install a driver for CUDA {CUDA}"
        return Finding(NOTE, f"An NVIDIA GPU is here without a driver, so only the processor is measured: {remedy}.")
    version, count = ctypes.c_int(), ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    if version.value // 1000 < CUDA:
        return Finding(
            LACKING,
            f"The NVIDIA driver is one for CUDA {version.value // 1000}, and CUDA {CUDA} is needed: update it,"
            " or hide the GPU: `export CUDA_VISIBLE_DEVICES=`.",
        )
    failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if failed or not count.value:
        what = f"error {failed} of cuInit" if failed else "no device"
        return Finding(NOTE, f"The NVIDIA driver shows no GPU ({what}), so only the processor is measured.")
    return Finding(OK, f"{count.value} NVIDIA GPU{'s' * (count.value > 1)}, driver for CUDA {version.value // 1000}")


def has_nvidia(devices: Path = Path("/sys/bus/pci/devices")) -> bool:
    """Return whether a display controller of NVIDIA's is on the PCI bus."""
    return any(
        (one / "vendor").read_text().strip() == NVIDIA and (one / "class").read_text().startswith(DISPLAY)
        for one in devices.glob("*")
    )


def open_driver() -> Any:
    """Return the library of the NVIDIA driver, or None where there is none."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def configured(path: str) -> Finding:
    """Return whether a file of configuration is there and is text in UTF-8; what it says is looked at by Snakemake."""
    sentence = inputs.file_fault(path)
    if not sentence:
        try:
            Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            sentence = f"is no text in UTF-8 (byte {error.start})"
        except OSError as error:
            sentence = f"cannot be read ({error.strerror})"
    if sentence:
        return Finding(LACKING, f"configuration {path!r} {sentence}; it must be a YAML file in UTF-8 that can be read.")
    return Finding(OK, f"configuration {path}")
