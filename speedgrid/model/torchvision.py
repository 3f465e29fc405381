"""Build a torchvision model and give it weights: the user's checkpoint, or seeded ones."""

import pickle
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn
from torchvision import models

from speedgrid import InputError
from speedgrid.data.sequence import images
from speedgrid.model import zoo

# Where training scripts commonly put the state dict inside a checkpoint.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
# What data-parallel and compiled training put before every name.
PREFIXES = ("module.", "_orig_mod.")


class WeightsError(InputError):
    """Weights that cannot be used; the message names the file and what would be right."""


def build(name: str, classes: int = 1000) -> nn.Module:
    """Return the torchvision classification model `name` with random weights, in eval mode.

    Raises WeightsError with the nearest names if torchvision has no such classification model.
    """
    try:
        zoo.require([name])
    except zoo.ModelError as error:
        raise WeightsError(str(error)) from None
    return models.get_model(name, weights=None, num_classes=classes).eval()


def smallest_resolution(name: str) -> int:
    """Return the side in pixels of the smallest images that a model takes, as torchvision says of its weights."""
    return min(max(weights.meta["min_size"]) for weights in models.get_model_weights(name))


def read_checkpoint(path: str | Path) -> dict[str, torch.Tensor]:
    """Return the plain state dict of a checkpoint: a state dict, a wrapped one, or one with `module.` prefixes.

    The file is read with `weights_only=True`, so no code in it can run. Raises WeightsError if it is unreadable,
    carries code, or holds no tensors.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not looks_like_checkpoint(path):
            raise WeightsError(
                f"{path} is not a PyTorch checkpoint (a text file, perhaps a Git LFS pointer); "
                "write it with torch.save(model.state_dict(), path)."
            ) from error
        raise WeightsError(
            f"{path} holds pickled Python objects, which could run code and are refused; "
            "save the weights alone, with torch.save(model.state_dict(), path)."
        ) from error
    except Exception as error:
        raise WeightsError(
            f"{path} is not a readable PyTorch checkpoint ({type(error).__name__}); "
            "write it with torch.save(model.state_dict(), path)."
        ) from error
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not any(torch.is_tensor(value) for value in content.values()):
        raise WeightsError(f"{path} holds no state dict; write it with torch.save(model.state_dict(), path).")
    state = {name: value for name, value in content.items() if torch.is_tensor(value) and isinstance(name, str)}
    if not state:
        raise WeightsError(f"{path} holds no state dict; write it with torch.save(model.state_dict(), path).")
    while prefix := next((one for one in PREFIXES if state and all(name.startswith(one) for name in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def looks_like_checkpoint(path: str | Path) -> bool:
    """Say whether a file begins as torch.save writes it: a zip archive, or in its old format a pickle."""
    with open(path, "rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def load(name: str, path: str | Path) -> nn.Module:
    """Return model `name` with the weights in `path`, with as many classes as they have, in float32 and eval mode.

    Raises WeightsError if the file is unreadable (see read_checkpoint) or belongs to another architecture.
    """
    state = read_checkpoint(path)
    with torch.device("meta"):  # nothing is drawn at random that the weights would replace
        model = build(name)
        weight = state.get(f"{head(model)}.weight")
        model = build(name, classes=weight.shape[0] if weight is not None and weight.ndim else 1000)
    # A plain dictionary says nothing of its version, without which MNASNet refuses it. The tensors become the model's:
    # those of a model in channels_last would bring its layout with them.
    whole = OrderedDict((name, value.contiguous()) for name, value in state.items())
    # torch keeps versions in an attribute of its state dicts that no OrderedDict declares.
    whole._metadata = {"": model.state_dict()._metadata[""]}  # type: ignore[attr-defined]
    try:
        model.load_state_dict(whole, assign=True)
    except RuntimeError as error:
        expected, given = set(model.state_dict()), set(state)
        odd = sorted(expected - given)[:1] + sorted(given - expected)[:1]
        detail = f"first difference: {' / '.join(odd)}" if odd else str(error).splitlines()[-1].strip()
        raise WeightsError(
            f"{path} does not hold weights of {name} ({detail}); "
            f"put its architecture into models or give weights of {name}."
        ) from error
    return model.float().eval()


def head(model: nn.Module) -> str:
    """Return the name of the layer that gives the logits: the last linear layer or convolution."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]


def classes(model: nn.Module) -> int:
    """Return how many classes a model tells apart."""
    return model.get_submodule(head(model)).weight.shape[0]


def seeded(name: str, seed: int, resolution: int) -> nn.Module:
    """Return model `name` with seeded weights and batch-norm statistics calibrated on the seeded images.

    Uncalibrated random networks explode or vanish over depth and overflow in float16; calibrated ones have
    activations of ordinary size, so that speed and rounding errors are those of a real model. A head that torchvision
    begins with zeros (vision transformers) would give every image the same answer: it gets normal weights whose logits
    are as large as the features.
    """
    torch.manual_seed(seed)
    model = build(name)
    last = model.get_submodule(head(model))
    if not last.weight.any():
        nn.init.normal_(last.weight, std=last.weight[0].numel() ** -0.5)
    # As many pixels as in 32 images at 224: large images have enough for their statistics in fewer.
    count = 8 * max(1, min(4, round(4 * (224 / resolution) ** 2)))
    return calibrate(model, (images(seed, resolution, start, 8) for start in range(0, count, 8)))


def calibrate(model: nn.Module, batches) -> nn.Module:
    """Return `model` in eval mode with batch-norm statistics that are the plain averages over `batches`.

    batches: float32 arrays [count, 3, resolution, resolution]; none is made where there is no batch norm.
    """
    norms = [module for module in model.eval().modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over all batches
        norm.train()
    if norms:
        with torch.inference_mode():
            for batch in batches:
                model(torch.from_numpy(batch))
    return model.eval()


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Return `model` with batch norms folded into the convolutions before them, in the dtype that it has.

    Folding in float32 before a conversion to half precision loses less than folding afterwards.
    """
    from torch.fx.experimental.optimization import fuse

    return fuse(model) if any(isinstance(m, nn.BatchNorm2d) for m in model.modules()) else model
