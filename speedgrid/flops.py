"""How much arithmetic one image costs."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from speedgrid.models import build


def flop_per_image(name: str, resolution: int) -> int:
    """Return the floating-point operations of one image, as 2 x multiply-adds of convolutions and matrix products.

    ResNet-18 at 224: 3,628,146,688, which is the 1.814 "GFLOPS" of model tables, where those count multiply-adds.
    Counted by torch.utils.flop_counter on the meta device, so nothing is computed.
    """
    with torch.device("meta"):
        model, image = build(name), torch.empty(1, 3, resolution, resolution)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops()
