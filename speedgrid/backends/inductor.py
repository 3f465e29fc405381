"""Compiled PyTorch: a package that speedgrid.builders.inductor made ahead of time, loaded from its file.

The same kernels as `torch.compile` runs, with no compiler in the measuring process. On CUDA the call is replayed from a
CUDA graph, which is what its mode `reduce-overhead` does; its input is where the caller puts it, so that it is not
copied first.
"""

import contextlib
import ctypes
import shutil
from typing import Any

from speedgrid.backends.cuda_graph import GraphSession
from speedgrid.backends.pytorch import choose_cudnn_algorithms
from speedgrid.backends.pytorch import unsupported as unsupported
from speedgrid.backends.session import Options, Session, TorchSession, leaves
from speedgrid.machine import device as devices
from speedgrid.machine import environment
from speedgrid.machine.threads import session_threads
from speedgrid.precision import set_torch_math

PACKAGES = ("torch", "triton", "nvidia-cudnn-cu13", "c++")
IMPORTS = {"cuda": ("torch", "speedgrid.backends.cudnn_libraries"), "cpu": ("torch",)}
ARTIFACT = "inductor"


def available(device: str) -> str | None:
    """Return why compiled PyTorch cannot run on `device`, or None."""
    if reason := devices.missing(device):
        return reason
    if not shutil.which(compiler := environment.compiler()):
        return f"Inductor needs a C++ compiler, and {compiler} is not installed; install g++ or set CXX"
    return None


def load(cell, device: str, artifact: str, options: Options) -> Session:
    """Load the package in `artifact`; its static shape is the cell's.

    options: `cpu_threads`, and under `settings` `memory_format`, and for CUDA `cudnn_benchmark` and `cuda_graph`.
    """
    import torch

    settings = options["settings"]
    set_torch_math(cell.precision)
    torch.set_num_threads(session_threads(device, options["cpu_threads"]))
    share_cpp_library()
    # torch._inductor.aoti_load_package imports the whole compiler for this one call. Single-threaded: without the
    # locks and events between threads, which a CUDA graph cannot record.
    loader = torch._C._aoti.AOTIModelPackageLoader(artifact, "model", True, 1, -1)
    session = TorchSession(cell, device, lambda *given: only(loader.run(list(given))), settings["memory_format"])
    choose_cudnn_algorithms(settings, device)
    session.feed(session.zeros())
    with session.active():
        session.run()
    session.synchronize()
    assert session.result is not None  # it ran
    first = leaves(session.result)[0]
    session.dtype = str(first.dtype).removeprefix("torch.")
    session.details = {
        "version": torch.__version__,
        "executes_on": str(first.device),
        "coverage_percent": 100.0,  # a package is the whole model: what Inductor cannot compile is an error
        "fp32_precision": torch.backends.fp32_precision,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "memory_format": settings["memory_format"],
        "compiled": loader.get_metadata(),
        "cuda_graph": False,
    }
    return GraphSession(session) if settings["cuda_graph"] and device == "cuda" else session


def only(found: list[Any]) -> Any:
    """Return the only one of a package's outputs, or all of them."""
    return found[0] if len(found) == 1 else found


def share_cpp_library() -> None:
    """Let a package use the C++ library that torch has loaded, also where a compiler put a library of its own into it.

    Some compilers link theirs statically (as with -static-libstdc++). The dynamic linker then mixes the two, and
    the package crashes in its first regular expression, unless torch's comes first for all (dlopen(3), RTLD_GLOBAL).
    """
    with contextlib.suppress(OSError):  # not Linux, or another library than GNU's
        ctypes.CDLL("libstdc++.so.6", ctypes.RTLD_GLOBAL)
