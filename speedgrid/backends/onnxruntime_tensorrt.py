"""ONNX Runtime's TensorRT provider, which builds its engine when a session is opened. It needs full TensorRT."""

import contextlib
import ctypes
from pathlib import Path
from typing import Any

from speedgrid.backends.onnxruntime import CudaSession
from speedgrid.backends.session import Options
from speedgrid.machine import device as devices
from speedgrid.machine import gpus
from speedgrid.precision import QUANTISED

PROVIDER = "TensorrtExecutionProvider"
PACKAGES = ("onnxruntime-gpu", "tensorrt", "torch", "onnx", "onnxscript")
IMPORTS = {"cuda": ("torch", "speedgrid.backends.cudnn_libraries", "onnxruntime")}
ARTIFACT = "onnx"


def available(device: str) -> str | None:
    """Return why ONNX Runtime's TensorRT provider cannot run on `device`, or None."""
    if device != "cuda":
        return "TensorRT needs an NVIDIA GPU"
    if reason := devices.missing(device):
        return reason
    try:
        import onnxruntime
    except ImportError as error:
        return f"ONNX Runtime is not installed: {error}"
    if PROVIDER not in onnxruntime.get_available_providers():
        return f"this ONNX Runtime build has no {PROVIDER}; install onnxruntime-gpu"
    return unloadable(Path(onnxruntime.__file__).parent / "capi")


def unloadable(folder: Path) -> str | None:
    """Return why the provider's library in `folder` does not load, or None.

    ONNX Runtime lists the provider whether it loads or not, and without it silently runs the model elsewhere.
    """
    import torch  # noqa: F401 (the provider needs its CUDA libraries)

    with contextlib.suppress(ImportError, OSError):
        import tensorrt  # noqa: F401 (loads TensorRT's libraries, which the provider then finds)
    try:
        for name in ("shared", "tensorrt"):
            ctypes.CDLL(str(folder / f"libonnxruntime_providers_{name}.so"), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return f"ONNX Runtime's TensorRT provider does not load ({error}); it needs full TensorRT, not TensorRT-RTX"
    return None


def unsupported(cell, device: str) -> str | None:
    """Return why ONNX Runtime's TensorRT provider cannot run a cell on `device`, or None."""
    if cell.precision == "fp32":
        return "ONNX Runtime's TensorRT provider cannot be told to keep from TF32, so it has no IEEE fp32"
    if cell.precision in QUANTISED:
        return f"no ONNX file with {cell.precision} for TensorRT's rules is made here"
    if cell.precision == "bf16":
        return "the ONNX file in bf16 is not one that ONNX Runtime's TensorRT provider is known to take"
    return None


def load(cell, device: str, artifact: str, options: Options) -> CudaSession:
    """Build an engine for the ONNX file `artifact` and the cell's static shape, and open a session that runs it.

    options: under `settings` provider options that every precision has.
    """
    gpus.measure_alone()  # TensorRT times kernels while it builds
    asked = provider_options(cell, inputs_of(artifact), options["settings"])
    return CudaSession(cell, artifact, PROVIDER, asked, replays=asked.get("trt_cuda_graph_enable") == "1")


def inputs_of(artifact: str) -> dict[str, list[int]]:
    """Return the shapes of an ONNX file's inputs by name, but for the batch."""
    from speedgrid.launcher.reading import read_onnx

    graph = read_onnx(artifact).graph
    return {one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim][1:] for one in graph.input}


def provider_options(cell, inputs: dict[str, list[int]], settings: dict[str, Any]) -> dict[str, str]:
    """Return the TensorRT provider's options for a cell, but for device and stream. inputs: as of `inputs_of`.

    https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html#configurations
    """
    shape = ",".join(f"{name}:{'x'.join(map(str, [cell.batch_size, *dims]))}" for name, dims in inputs.items())
    options = {name: str(int(value)) for name, value in settings.items()}
    options |= {f"trt_profile_{end}_shapes": shape for end in ("min", "opt", "max")}
    if cell.precision == "fp16":
        options["trt_fp16_enable"] = "1"
    return options
