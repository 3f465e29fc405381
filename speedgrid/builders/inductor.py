"""Compile a model for one static shape with Inductor, ahead of time (AOTInductor), into a package of its own.

https://docs.pytorch.org/docs/stable/torch.compiler_aot_inductor.html
"""

import io
import os
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speedgrid import backends
from speedgrid.builders.attempt import Build, attempt
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import replacing
from speedgrid.machine.proc import lines
from speedgrid.machine.threads import shared_cores
from speedgrid.precision import PRECISIONS, set_torch_math, torch_dtype

if TYPE_CHECKING:
    import torch

# The mode that times kernels while it compiles, and then takes minutes.
AUTOTUNED = "max-autotune"


def build(cell: Cell, device: str, weights: str, output: str) -> Build:
    """Compile the package of a cell into `output` and return the build record (see speedgrid.builders.attempt)."""
    mode = backends.settings(cell.backend)["mode"]
    return attempt(
        cell, device, output, lambda: compile_package(cell, device, weights, output, mode), mode == AUTOTUNED
    )


def compile_package(cell: Cell, device: str, weights: str, output: str, mode: str) -> Build:
    """Compile the cell's model with `weights` for its precision and shape into the package `output`.

    mode: as of torch.compile. Returns build seconds, from a cold cache, and what was asked of the compiler. Raises
    what it raises when it cannot compile. To be called once in a process: the compiler keeps what it has compiled.
    """
    import torch

    from speedgrid.model import modules as models
    from speedgrid.model import tensors

    if device == "cuda":
        torch.set_num_threads(shared_cores())  # many builds with as many threads as cores each wait for each other
    set_torch_math(cell.precision)  # products in its own kernels are of the precision that is set while it compiles
    module = models.fold_batch_norm(models.load(cell.model, weights)).to(device, torch_dtype(cell.precision))
    module = module.to(memory_format=torch.channels_last)
    dtype = PRECISIONS[cell.precision].dtype
    examples = tuple(one.zero_() for one in tensors.empty_inputs(cell, device, dtype, "channels_last"))
    with (
        replacing(output) as temporary,
        tempfile.TemporaryDirectory(dir=temporary.parent) as folder,
        caches_in(folder),
    ):
        asked = compiler_options(mode, device)
        if device == "cuda":
            find_cuda(folder)
        started = time.perf_counter()
        package = packaged(module, examples, asked)
        build_seconds = time.perf_counter() - started
        temporary.write_bytes(package)
    return {
        "build_seconds": round(build_seconds, 3),
        "mode": mode,
        "options": asked,
        "cold_cache": True,
        "engine_mb": round(Path(output).stat().st_size / 1e6, 3),
    }


def packaged(module, examples: "tuple[torch.Tensor, ...]", asked: dict[str, Any]) -> bytes:
    """Return the package of a module for inputs like the examples, compiled with the options that are asked for.

    Through memory: where a disk is full, torch's own writer of files kills the process.
    """
    import torch

    package = io.BytesIO()
    with torch.no_grad():
        program = torch.export.export(module, examples, strict=False)
        torch._inductor.aoti_compile_and_package(program, package_path=package, inductor_configs=dict(asked))
    return package.getvalue()


@contextmanager
def caches_in(folder: str):
    """Keep the caches of Inductor and Triton in `folder`: no build finds another one's, and none is left behind."""
    names = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: str(Path(folder).resolve() / name.lower()) for name in names})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def compiler_options(mode: str, device: str) -> dict[str, Any]:
    """Return Inductor's options for a mode of torch.compile and a device."""
    import torch._inductor

    options = {
        name: value
        for name, value in (torch._inductor.list_mode_options(mode) or {}).items()
        if name != "triton.cudagraphs"  # ahead of time there is none: the session captures one
    }
    # Headers that are compiled first, for later builds, cost a single build time.
    options["aot_inductor.precompile_headers"] = False
    if device == "cpu":
        # Weights are laid out for oneDNN while compiling; how many threads run is up to the session.
        return options | {"freezing": True, "cpp.dynamic_threads": True}
    # Which vector instructions the C++ compiler knows matters to kernels on the CPU, and there are none: finding out
    # takes a program and an import of torch for each kind, half the time of a build.
    options["cpp.vec_isa_ok"] = False
    # A CUDA graph leaves nothing of the host's code to optimise.
    options["aot_inductor.compile_wrapper_opt_level"] = "O0"
    # A build is a job of one core, and others run beside it; the one that times kernels runs alone.
    return options if mode == AUTOTUNED else options | {"compile_threads": 1}


def find_cuda(folder: str) -> None:
    """Let the C++ compiler find CUDA's headers and the driver's library, also where there is no CUDA toolkit.

    torch wants CUDA_HOME, but needs of it only headers, which come with Triton too. The driver's library has the name
    that a linker looks for, libcuda.so, only where packages for developers are installed. CUDA must be in use.
    """
    from torch.utils import cpp_extension

    if cpp_extension.CUDA_HOME is None:
        spec = find_spec("triton")
        assert spec is not None, "Inductor compiles for CUDA with Triton, which is not installed"
        assert spec.origin is not None  # a package has a file
        nvidia = Path(spec.origin).parent / "backends" / "nvidia"
        os.environ["CUDA_HOME"] = cpp_extension.CUDA_HOME = str(nvidia)
    for line in lines("/proc/self/maps"):
        if "/libcuda.so." in line:
            libraries = Path(folder).resolve() / "lib"
            libraries.mkdir()
            (libraries / "libcuda.so").symlink_to(line.split(maxsplit=5)[-1])
            paths = [str(libraries), *os.environ.get("LIBRARY_PATH", "").split(":")]
            os.environ["LIBRARY_PATH"] = ":".join(filter(None, paths))
            break
