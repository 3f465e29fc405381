"""Eager PyTorch, as a user writes it: `model(images)` in inference mode, NCHW, default cuDNN heuristics."""

from speedgrid import device as devices
from speedgrid.backends.session import TorchSession
from speedgrid.precision import QUANTISED, set_torch_math, torch_dtype

PACKAGES = ("torch", "torchvision", "nvidia-cudnn-cu13")
CODE = ("backends/pytorch", "backends/cudnn_libraries", "models")
IMPORTS = {"cuda": ("torch", "speedgrid.backends.cudnn_libraries", "torchvision"), "cpu": ("torch", "torchvision")}


def available(device: str) -> str | None:
    """Return why this backend cannot run here, or None."""
    return devices.missing(device)


def unsupported(cell, device: str) -> str | None:
    """Return why this backend cannot do this cell, or None."""
    if cell.precision in QUANTISED:
        return f"eager PyTorch has no {cell.precision} convolution for an unmodified model"
    return None


def load(cell, device: str, artifact: str, options: dict) -> TorchSession:
    """Load the weights in `artifact` into an eager module. options: `cpu_threads`."""
    import torch

    from speedgrid import models

    set_torch_math(cell.precision)
    if device == "cpu":
        torch.set_num_threads(options["cpu_threads"])
    module = models.load(cell.model, artifact).to(device, torch_dtype(cell.precision))
    session = TorchSession(cell, device, module)
    parameter = next(module.parameters())
    session.dtype = str(parameter.dtype).removeprefix("torch.")
    session.details = {
        "version": torch.__version__,
        "executes_on": str(parameter.device),
        "coverage_percent": share_on(module, device),
        "fp32_precision": torch.backends.fp32_precision,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "memory_format": "contiguous (NCHW)",
    }
    return session


def share_on(module, device: str) -> float:
    """Return how much of a module's parameters lies on a type of device, in percent of their elements."""
    sizes = [(parameter.device.type == device, parameter.numel()) for parameter in module.parameters()]
    return 100 * sum(size for there, size in sizes if there) / sum(size for _, size in sizes)
