"""The layers of a torchvision model, and which of them Winograd's convolution is for. Importing this imports torch."""

import torch
from torch import nn

from speedgrid.model import flops
from speedgrid.model.modules import build
from speedgrid.published.cost import Cost


def cost(model: str, resolution: int, classes: int = 1000) -> Cost:
    """Return the cost of an image of torchvision's `model`, counted on the meta device, so that nothing is computed.

    Only layers that an image passes are counted: some models have others, for their training.
    """
    weights = suited = 0

    def count(layer: nn.Module, given, output: torch.Tensor) -> None:
        nonlocal weights, suited
        if isinstance(layer, nn.MultiheadAttention):
            weights += sum(one.numel() for one in (layer.in_proj_weight, layer.out_proj.weight))
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            weights += layer.weight.numel()
        if isinstance(layer, nn.Conv2d) and is_for_winograd(layer):
            suited += 2 * output.numel() * layer.weight[0].numel()

    flop = flops.flop_per_image(model, resolution, classes)
    network = build(model, classes).to("meta")
    for layer in network.modules():
        layer.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.empty(1, 3, resolution, resolution, device="meta"))
    return Cost(flop, weights, 3 * resolution**2 + classes, min(1.0, suited / flop))


def is_for_winograd(layer: nn.Conv2d) -> bool:
    """Say whether Winograd's algorithm can be used for a convolution."""
    return (layer.kernel_size, layer.stride, layer.groups, layer.dilation) == ((3, 3), (1, 1), 1, (1, 1))
