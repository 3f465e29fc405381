"""From decoded photographs to a model's input, as the weights of torchvision's models want it.

Resize, crop, scale and normalise are those of torchvision's own reference
(torchvision.transforms._presets.ImageClassification): https://docs.pytorch.org/vision/stable/models.html
"""

from speedgrid.data.resolution import Resolution, side_of

# Per-channel statistics of ImageNet, of values from 0 to 1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The shorter side is resized to 256 for a crop of 224.
RESIZED_OVER_CROPPED = 256 / 224
# Height and width of ImageNet's commonest photograph, for a crop of 224; other resolutions are given larger ones.
PHOTOGRAPH = (375, 500)


def photograph_size(resolution: Resolution) -> tuple[int, int]:
    """Return height and width in pixels of the photographs that inputs of a resolution are made from."""
    height, width = (round(side * side_of(resolution) / 224) for side in PHOTOGRAPH)
    return height, width


def resized_side(photograph: tuple[int, int], wanted: tuple[int, int]) -> int:
    """Return the pixels that the shorter side of a photograph is resized to, so that the middle of it is an input.

    photograph, wanted: heights and widths. Of a square input it is RESIZED_OVER_CROPPED times its side; of another,
    the photograph is as large as its sides times that, and on one of them just so large.
    """
    scale = max(RESIZED_OVER_CROPPED * side / has for side, has in zip(wanted, photograph, strict=True))
    return round(scale * min(photograph))


def preprocess(photographs, target) -> None:
    """Write photographs into `target`, the input of a model, on the device where both are.

    photographs: uint8 tensor [batch, height, width, 3], as decoders give it. target: float tensor of any type and
    memory format [batch, 3, height, width]. To be called in inference mode.
    """
    import torch
    from torchvision.transforms.v2 import functional

    size = target.shape[-2:]
    planes = photographs.permute(0, 3, 1, 2)  # a view: decoders' order is torch's channels_last
    resized = functional.resize(planes, [resized_side(planes.shape[-2:], size)], antialias=True)
    cropped = functional.center_crop(resized, list(size))
    scaled = functional.to_dtype(cropped, torch.float32, scale=True)
    # Type and memory format of the input are made while it is written, in one pass.
    target.copy_(functional.normalize(scaled, MEAN, STD, inplace=True))
