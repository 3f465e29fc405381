"""Eager PyTorch: `model(images)` in inference mode, as a user writes it or with its own means of tuning."""

from dataclasses import replace
from typing import Any

from speedgrid.backends.cuda_graph import GraphSession
from speedgrid.backends.session import Options, Session, TorchSession
from speedgrid.machine import device as devices
from speedgrid.machine import gpus
from speedgrid.machine.threads import session_threads
from speedgrid.precision import QUANTISED, set_torch_math, torch_dtype

PACKAGES = ("torch", "torchvision", "nvidia-cudnn-cu13")
IMPORTS = {"cuda": ("torch", "speedgrid.backends.cudnn_libraries", "torchvision"), "cpu": ("torch", "torchvision")}
ARTIFACT = "weights"


def available(device: str) -> str | None:
    """Return why eager PyTorch cannot run on `device`, or None."""
    return devices.missing(device)


def unsupported(cell, device: str) -> str | None:
    """Return why eager PyTorch cannot run a cell on `device`, or None."""
    if cell.precision in QUANTISED:
        return f"PyTorch has no {cell.precision} convolution for an unmodified model"
    return None


def load(cell, device: str, artifact: str, options: Options) -> Session:
    """Load the weights in `artifact` into an eager module.

    options: `cpu_threads`, and under `settings` `memory_format`, and for CUDA `cudnn_benchmark`
    (cuDNN times its algorithms instead of guessing) and `cuda_graph`.
    """
    import torch

    from speedgrid.model import modules as models

    settings = options["settings"]
    set_torch_math(cell.precision)
    torch.set_num_threads(session_threads(device, options["cpu_threads"]))
    layout = settings["memory_format"]
    module = models.load(cell.model, artifact).to(device, torch_dtype(cell.precision))
    module = module.to(memory_format=getattr(torch, layout))
    if settings["cudnn_benchmark"] and device == "cuda":
        load_libraries(cell, device, module, layout)
    choose_cudnn_algorithms(settings, device)
    session = TorchSession(cell, device, module, layout)
    parameter = next(module.parameters())
    session.dtype = str(parameter.dtype).removeprefix("torch.")
    session.details = {
        "version": torch.__version__,
        "executes_on": str(parameter.device),
        "coverage_percent": share_on(module, device),
        "fp32_precision": torch.backends.fp32_precision,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "memory_format": layout,
        "cuda_graph": False,
    }
    return GraphSession(session) if settings["cuda_graph"] and device == "cuda" else session


def load_libraries(cell, device: str, module, layout: str) -> None:
    """Have `module` load cuDNN and its kernels, while other cells may still be measured on this GPU.

    It is run on another batch size than the cell's: for the cell's own, cuDNN would keep the algorithms that it
    guesses, and time none.
    """
    import torch

    other = replace(cell, batch_size=2 if cell.batch_size == 1 else 1)
    session = TorchSession(other, device, module, layout)
    session.input.zero_()
    with session.active():
        session.run()
    session.synchronize()
    del session
    torch.cuda.empty_cache()  # not of the cell, whose memory is measured


def choose_cudnn_algorithms(settings: dict[str, Any], device: str) -> None:
    """Let cuDNN time its algorithms in this process or not, as `cudnn_benchmark` says; timing needs a quiet GPU."""
    import torch

    torch.backends.cudnn.benchmark = settings["cudnn_benchmark"] and device == "cuda"
    if torch.backends.cudnn.benchmark:
        gpus.measure_alone()


def share_on(module, device: str) -> float:
    """Return how much of a module's parameters lies on a type of device, in percent of their elements."""
    sizes = [(parameter.device.type == device, parameter.numel()) for parameter in module.parameters()]
    return 100 * sum(size for there, size in sizes if there) / sum(size for _, size in sizes)
