"""Torch-TensorRT: an engine compiled ahead of time by speedgrid.builders.torch_tensorrt, loaded from its file."""

from importlib.util import find_spec
from pathlib import Path

from speedgrid.backends import missing
from speedgrid.backends.cuda_graph import GraphSession
from speedgrid.backends.session import Options, Session, TorchSession
from speedgrid.machine import device as devices
from speedgrid.machine import environment
from speedgrid.precision import QUANTISED

PACKAGES = ("torch", "torch-tensorrt", "torch-tensorrt-rtx", "tensorrt", "tensorrt-rtx-cu13-libs", "nvidia-modelopt")
IMPORTS = {"cuda": ("torch", "speedgrid.backends.tensorrt_libraries")}
ARTIFACT = "torch_tensorrt"


def available(device: str) -> str | None:
    """Return why Torch-TensorRT cannot run on `device`, or None."""
    if device != "cuda":
        return "TensorRT needs an NVIDIA GPU"
    if reason := devices.missing(device):
        return reason
    if find_spec("torch_tensorrt") is None:
        return "Torch-TensorRT is not installed; install torch-tensorrt-rtx or torch-tensorrt"
    return None


def unsupported(cell, device: str) -> str | None:
    """Return why Torch-TensorRT cannot run a cell on `device`, or None."""
    if cell.precision == "int8" and "torch-tensorrt-rtx" in flavour():
        return "TensorRT-RTX quantises weights to int8, but no activations; full TensorRT (torch-tensorrt) does both"
    return missing.modelopt() if cell.precision in QUANTISED else None


def flavour() -> dict[str, str]:
    """Return the name and version of the installed TensorRT for torch, e.g. {"torch-tensorrt-rtx": "2.14.0"}."""
    return environment.versions(("torch-tensorrt-rtx", "torch-tensorrt"))


def load(cell, device: str, artifact: str, options: Options) -> Session:
    """Load the TorchScript file of an engine; its static shape is the cell's. options: `cuda_graph` in `settings`."""
    import torch

    load_runtime()
    module = torch.jit.load(artifact, map_location="cuda").eval()
    session = TorchSession(cell, device, module, dtype="float16" if cell.precision in QUANTISED else None)
    session.details = {"version": flavour(), "executes_on": torch.cuda.get_device_name(), "cuda_graph": False}
    return GraphSession(session) if options["settings"]["cuda_graph"] else session


def load_runtime() -> None:
    """Make TensorRT's operators known to torch, without the Python package where that works.

    `import torch_tensorrt` takes 4 to 12 s; its runtime library takes 0.2 s and is all that an engine needs.
    """
    import torch

    spec = find_spec("torch_tensorrt")
    assert spec is not None, "Torch-TensorRT is not installed"  # see `available`
    assert spec.origin is not None  # a package has a file
    runtime = Path(spec.origin).parent / "lib" / "libtorchtrt_runtime.so"
    try:
        torch.ops.load_library(str(runtime))
    except OSError:
        import torch_tensorrt  # noqa: F401
