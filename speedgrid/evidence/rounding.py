"""What error each precision makes on this model: simulated once, to tell later from an error what ran.

The signal-to-noise ratio of a network's outputs depends on its depth and on its input: TF32 gives ResNet-18 59 dB at
224 pixels and 46 at 32, ResNet-50 33 at 224. So the bands that tell precisions apart are measured for each model and
resolution, by rounding what a precision would round in an otherwise exact run.
"""

import copy
from collections.abc import Mapping
from typing import NotRequired, TypeAlias, TypedDict

import numpy as np
import torch
from torch import nn

from speedgrid.data import arrays
from speedgrid.data.answers import Errors
from speedgrid.data.resolution import Resolution
from speedgrid.evidence import detections
from speedgrid.evidence.operators import Rounded
from speedgrid.evidence.parity import compare, integers_of, of_integers, split
from speedgrid.evidence.snr import by_image, summarise, unevenness
from speedgrid.model import modules as models
from speedgrid.model import sources, tensors
from speedgrid.model.flops import images_within
from speedgrid.precision import PRECISIONS, QUANTISED

MULTIPLIERS = (nn.Conv2d, nn.Linear)
# Images of a simulation: at least so many, and of cheaper models more, up to so many FLOP: as of eight of ResNet-18 at
# 224 pixels. On weights that were trained, eight images of MobileNetV3 and others of it differ by up to 7 dB.
FEWEST = 8
FLOP = 3e10


# SNR in dB of all images together, how uneven it is, and the SNR of each.
Found: TypeAlias = tuple[float, float, list[float]]
# Those of each output of one run, and of boxes or integers, where it gives such, the share that is the same and their
# number.
Run: TypeAlias = tuple[dict[str, Found], tuple[float, int] | None]


class ExpectedErrors(TypedDict):
    """The errors that rounding is expected to make, as plain JSON values; see speedgrid.record.Expected."""

    snr_db: dict[str, float]
    uneven_db: float
    images_db: dict[str, list[float]]
    outputs: "NotRequired[dict[str, ExpectedErrors]]"
    same: NotRequired[dict[str, float]]
    same_of: NotRequired[int]


def images_for(model: str, resolution: Resolution) -> int:
    """Return the number of images on which the rounding of a model is simulated, where there are as many."""
    return images_within(FLOP, model, resolution, FEWEST)


def expected(model: str, weights: str, images: np.ndarray, logits: np.ndarray) -> ExpectedErrors:
    """Return the error that each precision makes on `images`, float32 [count, 3, height, width].

    logits: the right answers, float64 [count, classes]. `snr_db`: of the outputs in each precision; `uneven_db`: by
    how much the worst image is worse than the median one, in that of the float precisions where it is worst;
    `images_db`: of each image in each precision.
    """
    module = models.load(model, weights)
    folded = models.fold_batch_norm(module)  # as it is quantised, since folding widens the ranges of weights
    batch = tensors.fed(np.array(images), torch.float32)
    found: dict[str, list[Run]] = {}
    answers, task = arrays.fields(logits), sources.find(model).task
    with torch.inference_mode():
        for precision in PRECISIONS:
            rounded = simulate(folded if precision in QUANTISED else module, precision, *batch)
            made = {name: one.double().numpy() for name, one in tensors.tensors(rounded(*batch)).items()}
            found[precision] = [run_errors(made, answers, task)]
    each = gathered(found)
    least = min(each.values(), key=lambda one: one["snr_db"]["tf32"])
    return {**least, "outputs": each} if len(each) > 1 else least


def run_errors(outputs: Mapping[str, np.ndarray], answers: Mapping[str, np.ndarray], task: str) -> Run:
    """Return the errors of a simulated run by output of floats, and how many boxes or integers are the same.

    Matched boxes are one output without a name, and so are integers where there is nothing else, as
    speedgrid.evidence.parity.worst has them; where a number is not finite none is the same.
    """
    if len(answers) == 1:  # an array of one output has no name of it
        outputs = dict(zip(answers, outputs.values(), strict=True))
    finite = {name: np.nan_to_num(one, posinf=0, neginf=0) for name, one in outputs.items()}
    if task == "detection" and (layout := detections.layout_of(answers)):
        pairs = detections.matched(finite, answers, layout)
        return {"": errors_of(pairs.found, pairs.right)}, (pairs.parity.f1_loose, pairs.parity.right)
    floats, whole = split(answers)
    if not floats:
        seen = integers_of(finite, whole)
        return {"": figures_of(of_integers(finite, whole))}, (seen.exact, seen.count)
    return {name: errors_of(outputs[name], one) for name, one in floats.items()}, None


def gathered(found: Mapping[str, list[Run]]) -> dict[str, ExpectedErrors]:
    """Return the errors of each output, of the runs that were simulated once or more for each precision the worst."""
    names, counted = next(iter(found.values()))[0]
    each = {
        name: summary({precision: [errors[name] for errors, _ in several] for precision, several in found.items()})
        for name in names
    }
    if counted is not None:
        same = {precision: min(one[0] for _, one in several if one) for precision, several in found.items()}
        for made in each.values():
            made["same"], made["same_of"] = same, counted[1]
    return each


def errors_of(outputs: np.ndarray, answers: np.ndarray) -> Found:
    """Return the errors of one simulated run; a model that overflows in a precision has no signal there: 0 dB."""
    errors = compare(outputs, answers)
    return figures_of(errors) if errors else (0.0, 0.0, [0.0] * len(answers))


def figures_of(errors: Errors) -> Found:
    """Return the figures of errors that a table needs of a simulated run."""
    parity = summarise(errors)
    return round(parity.snr_db, 2), unevenness(parity), by_image(errors).round(2).tolist()


def summary(found: Mapping[str, list[Found]]) -> ExpectedErrors:
    """Return the errors of one output, of those that were found once or more for each precision the worst."""
    return {
        "snr_db": {precision: min(one[0] for one in several) for precision, several in found.items()},
        "uneven_db": round(
            max(one[1] for precision, several in found.items() if precision not in QUANTISED for one in several), 2
        ),
        "images_db": {
            precision: np.min([one[2] for one in several], axis=0).tolist() for precision, several in found.items()
        },
    }


def simulate(module: nn.Module, precision: str, *batch: torch.Tensor) -> nn.Module:
    """Return a float32 copy of `module` that rounds as `precision` does.

    tf32 and fp8 round what convolutions and matrix products read; fp16, bf16 and int8 also round what every layer
    writes. Sums are exact to float32, as tensor cores have them. The scales of int8 and fp8 are calibrated on `batch`,
    the inputs, by the largest magnitudes: of weights for each output channel in int8
    and for the tensor in fp8, of activations for the tensor (https://arxiv.org/abs/2004.09602 sections 3 and 4).
    """
    copied = copy.deepcopy(module)
    if precision == "fp32":
        return copied
    make, of_weights = ROUND[precision]
    stored = precision not in ("tf32", "fp8")
    if not any(isinstance(layer, MULTIPLIERS) for layer in copied.modules()):  # a saved program has no layers
        by_operator = Rounded(copied, make, of_weights, stored)
        by_operator(*batch)
        for one in by_operator.own.values():
            if isinstance(one, Scaled):
                one.calibrating = False
        return by_operator
    activations = []
    for layer in copied.modules():
        if isinstance(layer, MULTIPLIERS):
            layer.weight.data = of_weights(layer.weight.data)
            activations.append(to := make())
            layer.register_forward_pre_hook(lambda _, inputs, to=to: tuple(to(value) for value in inputs))
        if stored and not list(layer.children()):
            activations.append(to := make())
            layer.register_forward_hook(lambda _, i, out, to=to: to(out) if torch.is_tensor(out) else out)
    calibrate([to for to in activations if isinstance(to, Scaled)], copied, batch)
    return copied


def calibrate(scaled: list["Scaled"], module: nn.Module, batch: tuple[torch.Tensor, ...]) -> None:
    """Run `module` once, for its activations to find their ranges."""
    if scaled:
        module(*batch)
        for one in scaled:
            one.calibrating = False


class Scaled:
    """Rounds activations with one scale for the tensor, from the range of what it is given while `calibrating`.

    Zero is always in the range, because padding must stay exact.
    """

    def __init__(self):
        self.low = self.high = 0.0
        self.calibrating = True

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        if self.calibrating:
            self.low, self.high = min(self.low, values.min().item()), max(self.high, values.max().item())
            return values
        return self.rounded(values)

    def rounded(self, values: torch.Tensor) -> torch.Tensor:
        """Return `values` rounded to the numbers of the format."""
        raise NotImplementedError


class ScaledToUint8(Scaled):
    """Rounds activations to 256 steps of their range, with a zero point."""

    def rounded(self, values):
        step = max(self.high - self.low, torch.finfo().tiny) / 255
        zero = round(-self.low / step)
        return ((values / step).round() + zero).clamp(0, 255).sub(zero) * step


class ScaledToFloat8(Scaled):
    """Rounds activations to E4M3, their largest magnitude at its largest number."""

    def rounded(self, values):
        return scaled_to_float8(values, max(-self.low, self.high))


def to_int8_by_channel(weight: torch.Tensor) -> torch.Tensor:
    """Round each output channel of a weight to 255 steps, symmetric about zero."""
    largest = weight.abs().flatten(1).amax(1).clamp_min(torch.finfo().tiny)
    step = (largest / 127).view(-1, *[1] * (weight.ndim - 1))
    return (weight / step).round() * step


def scaled_to_float8(values: torch.Tensor, largest: float) -> torch.Tensor:
    """Round numbers to E4M3 such that `largest` becomes its largest number, beyond which numbers are cut."""
    limit = torch.finfo(torch.float8_e4m3fn).max
    scale = max(largest, torch.finfo().tiny) / limit
    return (values / scale).clamp(-limit, limit).to(torch.float8_e4m3fn).float() * scale


def to_tf32(values: torch.Tensor) -> torch.Tensor:
    """Round float32 to TF32's ten bits of mantissa, half away from zero."""
    return ((values.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def to_fp16(values: torch.Tensor) -> torch.Tensor:
    """Round float32 to float16."""
    return values.half().float()


def to_bf16(values: torch.Tensor) -> torch.Tensor:
    """Round float32 to bfloat16."""
    return values.bfloat16().float()


# What makes the rounding of one activation, and the rounding of weights.
ROUND = {
    "tf32": (lambda: to_tf32, to_tf32),
    "fp16": (lambda: to_fp16, to_fp16),
    "bf16": (lambda: to_bf16, to_bf16),
    "int8": (ScaledToUint8, to_int8_by_channel),
    "fp8": (ScaledToFloat8, lambda weight: scaled_to_float8(weight, weight.abs().max().item())),
}
