"""A model as a torch module, whatever its source, with weights: the user's checkpoint, or seeded ones."""

import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from speedgrid.data.inputs import made
from speedgrid.data.resolution import Resolution, side_of
from speedgrid.data.sequence import images
from speedgrid.model import sources, state_dict, tensors
from speedgrid.model.described import Part
from speedgrid.model.sources.torchvision import CLASSES
from speedgrid.model.state_dict import WeightsError

# The layers of torchvision's detectors that score classes: by their last one's bias, as it has nothing but them.
SCORES = re.compile(r"^(head|roi_heads)\..*(cls_logits|cls_score|classification_head\.module_list\.0(\.1)?)\.bias$")


def build(name: str, classes: int = 1000) -> nn.Module:
    """Return model `name` with random weights, in eval mode.

    Raises WeightsError with what would be right if its source has no such model.
    """
    try:
        return sources.find(name).build(classes).eval()
    except sources.ModelError as error:
        raise WeightsError(str(error)) from None


def load(name: str, path: str | Path) -> nn.Module:
    """Return model `name` with the weights in `path`, as `load_part` does."""
    return load_part(name, path)[0]


def load_part(name: str, path: str | Path) -> tuple[nn.Module, Part]:
    """Return model `name` with the weights in `path`, in float32 and eval mode, and which part of the file they are.

    It has as many classes as they have. Raises WeightsError if the file is unreadable (see speedgrid.model.state_dict),
    belongs to another architecture, or has numbers that are none.
    """
    model = skeleton(name)
    own = model.state_dict()
    state, part = state_dict.read(path, name, own, 4 * sum(value.numel() for value in own.values()))
    count = classes_in(name, path, model, state)
    model = skeleton(name, count) if count else model
    for key, value in model.state_dict().items():
        if value.is_floating_point() and key in state and not state[key].is_floating_point():
            kind = str(state[key].dtype).removeprefix("torch.")
            raise WeightsError(f"{path} has the tensor {key!r} in {kind}; {name} has floating-point numbers there.")
    # A plain dictionary says nothing of its version, without which MNASNet refuses it. The tensors become the model's:
    # those of a model in channels_last would bring its layout with them.
    whole = OrderedDict((name, value.contiguous()) for name, value in state.items())
    # torch keeps versions in an attribute of its state dicts that no OrderedDict declares.
    whole._metadata = {"": model.state_dict()._metadata[""]}  # type: ignore[attr-defined]
    try:
        model.load_state_dict(whole, assign=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{path} does not hold weights of {name} ({str(error).splitlines()[-1].strip()}); "
            f"put its architecture into models or give weights of {name}."
        ) from error
    if any(one.is_meta for one in (*model.parameters(), *model.buffers())):  # what no state dict has, it computes
        model = build(name, count or 1000)
        model.load_state_dict(whole, assign=True)
    state_dict.refuse_numbers(path, model.float())
    return model.eval(), part


def skeleton(name: str, classes: int = 1000) -> nn.Module:
    """Return model `name` with shapes alone: nothing is drawn at random that weights would replace."""
    try:
        with torch.device("meta"):
            return build(name, classes)
    except (NotImplementedError, RuntimeError):  # it computes with its weights while it is made
        return build(name, classes)


def classes_in(name: str, path: str | Path, model: nn.Module, state: dict[str, torch.Tensor]) -> int:
    """Return how many classes the weights in `path` tell apart; 0 where they do not say, or it makes no difference.

    Those of a detector are of its scores, each of which has all classes once for each anchor. Raises WeightsError.
    """
    task = sources.find(name).task
    if task == "detection":
        own = model.state_dict()
        scores = next((key for key in own if SCORES.search(key) and key in state and state[key].ndim), None)
        return 0 if scores is None else round(CLASSES[task] * len(state[scores]) / len(own[scores]))
    weight = state.get(f"{head(model)}.weight") if task in ("classification", "segmentation") else None
    if weight is None or not weight.ndim:
        return 0
    if not weight.shape[0]:
        raise WeightsError(f"{path} tells no classes apart, as {head(model)}.weight is empty; one is the fewest.")
    return weight.shape[0]


def head(model: nn.Module) -> str:
    """Return the name of the layer that gives the logits: the last linear layer or convolution; "" if there is none."""
    return ["", *(name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d))][-1]


def classes(model: nn.Module) -> int:
    """Return how many classes a model tells apart: 0 where it has no layer that would say so."""
    return model.get_submodule(head(model)).weight.shape[0] if head(model) else 0


def seeded(name: str, seed: int, resolution: Resolution) -> nn.Module:
    """Return model `name` with seeded weights and batch-norm statistics calibrated on the seeded images.

    Uncalibrated random networks explode or vanish over depth and overflow in float16; calibrated ones have
    activations of ordinary size, so that speed and rounding errors are those of a real model. A head that torchvision
    begins with zeros (vision transformers) would give every image the same answer: it gets normal weights whose logits
    are as large as the features.
    """
    torch.manual_seed(seed)
    model = build(name)
    last = model.get_submodule(head(model))
    if head(model) and not last.weight.any():
        nn.init.normal_(last.weight, std=last.weight[0].numel() ** -0.5)
    # As many pixels as in 32 images at 224: large images have enough for their statistics in fewer.
    count = 8 * max(1, min(4, round(4 * (224 / side_of(resolution)) ** 2)))
    return calibrate(model, (rows_of(name, seed, resolution, start, 8) for start in range(0, count, 8)))


def rows_of(name: str, seed: int, resolution: Resolution, start: int, count: int) -> np.ndarray:
    """Return rows of a model's inputs: seeded images, or what its source declares, made of them."""
    pictures = images(seed, resolution, start, count)
    if not (declared := sources.find(name).inputs):
        return pictures
    return made(tensors.inputs_of(name, resolution), {one.name: one for one in declared}, pictures, seed)


def calibrate(model: nn.Module, batches) -> nn.Module:
    """Return `model` in eval mode with batch-norm statistics that are the plain averages over `batches`.

    batches: float32 arrays [count, 3, height, width], or rows of inputs; none is made without batch norms.
    """
    norms = [module for module in model.eval().modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over all batches
        norm.train()
    if norms:
        with torch.inference_mode():
            for batch in batches:
                model(*tensors.fed(batch, torch.float32))
    return model.eval()


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Return `model` with batch norms folded into the convolutions before them, in the dtype that it has.

    Folding in float32 before a conversion to half precision loses less than folding afterwards.
    """
    from torch.fx.experimental.optimization import fuse

    if not any(isinstance(one, nn.BatchNorm2d) for one in model.modules()):
        return model
    try:
        return fuse(model)
    except Exception:  # a forward that depends on what is in its tensors cannot be traced, and stays as it is
        return model
