"""What error each precision makes on this model: simulated once, to tell later from an error what ran.

The signal-to-noise ratio of a network's outputs depends on its depth and on its input: TF32 gives ResNet-18 59 dB at
224 pixels and 46 at 32, ResNet-50 33 at 224. So the bands that tell precisions apart are measured for each model and
resolution, by rounding what a precision would round in an otherwise exact run.
"""

import copy

import numpy as np
import torch
from torch import nn

from speedgrid import models
from speedgrid.parity import compare
from speedgrid.precision import PRECISIONS

MULTIPLIERS = (nn.Conv2d, nn.Linear)


def expected_snr(model: str, weights: str, images: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Return the SNR in dB of the outputs in each precision against `logits`, float64 [count, classes].

    images: float32 [count, 3, resolution, resolution]; eight give a figure that is good to three decibels.
    """
    module = models.load(model, weights)
    batch = torch.from_numpy(np.array(images))
    expected = {}
    with torch.inference_mode():
        for precision in PRECISIONS:
            parity = compare(simulate(module, precision)(batch).double().numpy(), logits)
            # A model that overflows in a precision has no signal there: 0 dB.
            expected[precision] = round(parity.snr_db, 2) if parity else 0.0
    return expected


def simulate(module: nn.Module, precision: str) -> nn.Module:
    """Return a float32 copy of `module` that rounds as `precision` does.

    tf32 rounds what convolutions and matrix products read; fp16 and bf16 also round what every layer writes. Sums
    are exact to float32, as tensor cores have them.
    """
    copied = copy.deepcopy(module)
    if precision == "fp32":
        return copied
    to = ROUND[precision]
    for layer in copied.modules():
        if isinstance(layer, MULTIPLIERS):
            layer.weight.data = to(layer.weight.data)
            layer.register_forward_pre_hook(lambda _, inputs: tuple(to(value) for value in inputs))
        if precision != "tf32" and not list(layer.children()):
            layer.register_forward_hook(lambda _, inputs, output: to(output) if torch.is_tensor(output) else output)
    return copied


def to_tf32(values: torch.Tensor) -> torch.Tensor:
    """Round float32 to TF32's ten bits of mantissa, half away from zero."""
    return ((values.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


ROUND = {
    "tf32": to_tf32,
    "fp16": lambda values: values.half().float(),
    "bf16": lambda values: values.bfloat16().float(),
}
