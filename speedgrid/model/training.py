"""Train a model on handwritten digits, with no download: weights with which an accuracy means something.

A stand-in task: an easy one, on which a network with 1000 outputs learns to use ten of them. What it shows is what a
precision or a runtime costs in right answers on weights that were trained, not how well an architecture sees.
"""

import time

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from speedgrid.data.digits import EVALUATION, Digits
from speedgrid.data.resolution import Resolution
from speedgrid.machine.threads import shared_cores
from speedgrid.model import modules as models
from speedgrid.model.described import Fit, Training
from speedgrid.model.flops import flop_per_image
from speedgrid.precision import set_torch_math

# Pixels of the images that a model is trained on: the first that it takes. Digits are tiled, so that it then knows
# others too. A vision transformer takes 224 alone.
CANVASES = (64, 224)
# At the larger canvas an epoch takes minutes on two cores: only the last layer is fitted there, to so many digits, and
# checked on so many. A vision transformer of 17.5 GMAC (ViT-B/16) then takes a minute and a half.
FITTED = 300
CHECKED = 64
# A network of the cost of ResNet-18 or more is trained for so many steps; a cheaper one for more, at most three times
# as many, because it learns more slowly and its steps cost less.
STEPS = 60
FULL_COST = 3e8  # FLOP of one image at the smaller canvas
# Digits that batch-norm statistics are taken from, and the largest images for it: beyond, borders hardly count.
CALIBRATED = 64
LARGEST = 224


def train(name: str, seed: int, device: str) -> tuple[nn.Module, Training]:
    """Return model `name` trained on digits, on the CPU and in eval mode, and how it was done.

    Batch-norm statistics are those of LARGEST pixels; smaller images need others (see `calibration`).
    Only the order of sums depends on the number of threads and on the device. device: "cpu" or "cuda".
    """
    begin = time.monotonic()
    set_torch_math("fp32")
    torch.set_num_threads(shared_cores())
    torch.manual_seed(seed)
    digits, module = Digits(seed), models.build(name).to(device)
    canvas = next(size for size in CANVASES if takes(name, size))
    small = canvas == CANVASES[0]
    how = train_all(module, digits, canvas, steps(name, canvas)) if small else fit_head(module, digits, canvas)
    models.calibrate(module.cpu(), calibration(digits, canvas))
    checked = EVALUATION if small else CHECKED
    shares = [top1(module, digits, part, canvas, checked) for part in ("training", "evaluation")]
    models.calibrate(module, calibration(digits, LARGEST))  # what all large resolutions share
    return module, Training(
        **how,
        canvas=canvas,
        seed=seed,
        top1_training=shares[0],
        top1_held_out=shares[1],
        seconds=round(time.monotonic() - begin, 1),
    )


def takes(name: str, resolution: Resolution) -> bool:
    """Say whether a model runs at a resolution; tried without arithmetic."""
    try:
        return flop_per_image(name, resolution) > 0
    except (AssertionError, RuntimeError, ValueError):
        return False


def steps(name: str, canvas: int) -> int:
    """Return the number of steps for which a model is trained."""
    return round(STEPS * float(np.clip((FULL_COST / flop_per_image(name, canvas)) ** 0.5, 1, 3)))


def train_all(module: nn.Module, digits: Digits, canvas: int, steps: int) -> Fit:
    """Train every weight, in place: AdamW with one cycle of the learning rate (Smith and Topin, arXiv 1708.07120)."""
    size, rate = 32, 2e-3
    images, labels = whole(digits, "training", canvas)
    optimiser = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0.05)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=steps, pct_start=0.25)
    device = next(module.parameters()).device
    module.to(memory_format=torch.channels_last).train()
    for chosen in batches(len(labels), size, steps, digits.seed):
        found = logits(module(images[chosen].to(device, memory_format=torch.channels_last)))
        loss = cross_entropy(found, labels[chosen].to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        cycle.step()
    module.to(memory_format=torch.contiguous_format).eval()
    epochs = round(steps * size / len(labels), 2)
    return {"method": "all weights trained", "epochs": epochs, "steps": steps, "loss": round(loss.item(), 4)}


def fit_head(module: nn.Module, digits: Digits, canvas: int) -> Fit:
    """Train the last layer alone, in place, on what the seeded rest of the network makes of some digits."""
    steps, rate = 200, 1e-2
    head, seen = module.get_submodule(models.head(module)), []
    device = head.weight.device
    models.calibrate(module.cpu(), calibration(digits, canvas)).to(device)
    hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for start in range(0, FITTED, 10):
            module(torch.from_numpy(digits.images("training", canvas, start, 10)).to(device))
    hook.remove()
    features, labels = torch.cat(seen), torch.tensor(digits.labels("training", FITTED), device=device)
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.05)
    for _ in range(steps):
        loss = cross_entropy(head(features), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {"method": f"last layer fitted to {FITTED} digits", "steps": steps, "loss": round(loss.item(), 4)}


def logits(output) -> torch.Tensor:
    """Return the logits of the main head from an output in training, where some models give auxiliary ones too."""
    return output if torch.is_tensor(output) else output.logits


def batches(count: int, size: int, steps: int, seed: int):
    """Yield the numbers of the images of each step: every image once before any comes again."""
    random, order = np.random.default_rng(seed), np.empty(0, int)
    for _ in range(steps):
        while len(order) < size:
            order = np.concatenate([order, random.permutation(count)])
        chosen, order = order[:size], order[size:]
        yield torch.from_numpy(chosen)


def whole(digits: Digits, part: str, resolution: Resolution) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all images of a part and their labels."""
    labels = digits.labels(part, None)
    return torch.from_numpy(digits.images(part, resolution, 0, len(labels))), torch.tensor(labels)


def calibration(digits: Digits, resolution: Resolution):
    """Yield the batches of digits that batch-norm statistics for a resolution up to LARGEST are taken from."""
    for start in range(0, CALIBRATED, 16):
        yield digits.images("training", resolution, start, 16)


def top1(module: nn.Module, digits: Digits, part: str, resolution: Resolution, most: int) -> float:
    """Return the share of a part's first `most` digits that a model on the CPU gives their class."""
    labels = digits.labels(part, most)
    with torch.inference_mode():
        found = [
            module(torch.from_numpy(digits.images(part, resolution, start, 16))).argmax(dim=1)
            for start in range(0, len(labels), 16)
        ]
    return round(float(np.mean(torch.cat(found)[: len(labels)].numpy() == labels)), 4)
