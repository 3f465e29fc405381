"""PyTorch with what follows a convolution computed by the convolution's own kernel; nothing is compiled.

Batch norms are folded into the convolutions before them. On a GPU cuDNN's fused kernels are replayed from a CUDA graph,
on a CPU oneDNN's run one after another. Where a model has no such pattern, or a library no such kernel, torch's own
operators run, and the record says how often and why.
"""

import numpy as np

from speedgrid.backends.cuda_graph import GraphSession
from speedgrid.backends.pytorch import available as available
from speedgrid.backends.pytorch import share_on
from speedgrid.backends.pytorch import unsupported as unsupported
from speedgrid.backends.session import Options, Session, TorchSession
from speedgrid.machine.threads import session_threads
from speedgrid.precision import set_torch_math, torch_dtype

PACKAGES = ("torch", "torchvision", "nvidia-cudnn-cu13")
IMPORTS = {"cuda": ("torch", "speedgrid.backends.cudnn_libraries", "torchvision"), "cpu": ("torch", "torchvision")}
ARTIFACT = "weights"


def load(cell, device: str, artifact: str, options: Options) -> Session:
    """Load the weights in `artifact` into a module with fused convolutions, and run it once, which settles its kernels.

    options: `cpu_threads`, and under `settings` `memory_format`, and for CUDA `cuda_graph`.
    """
    import torch

    from speedgrid.backends import fused_kernels
    from speedgrid.model import fusion
    from speedgrid.model import modules as models

    settings = options["settings"]
    set_torch_math(cell.precision)
    torch.set_num_threads(session_threads(device, options["cpu_threads"]))
    layout = settings["memory_format"]
    fused = fusion.fuse(models.load(cell.model, artifact))
    module = fused.module.to(device, torch_dtype(cell.precision)).to(memory_format=getattr(torch, layout))
    share, parameter = share_on(module, device), next(module.parameters())
    fused_kernels.give(fused.convolutions, fused_kernels.KERNELS[device])
    session = TorchSession(cell, device, module, layout)
    session.feed(np.zeros(session.shape, np.float32))
    with session.active():
        session.run()
    session.synchronize()
    session.dtype = str(parameter.dtype).removeprefix("torch.")
    session.details = {
        "version": torch.__version__,
        "executes_on": str(parameter.device),
        "coverage_percent": share,
        "fp32_precision": torch.backends.fp32_precision,
        "memory_format": layout,
        "fused_convolutions": fused.account(),
        "cuda_graph": False,
    }
    return GraphSession(session) if settings["cuda_graph"] and device == "cuda" else session
