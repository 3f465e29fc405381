"""Resizing of images in float64, axis by axis, as ONNX's Resize describes it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

# Where a new pixel lies among the old ones: https://onnx.ai/onnx/operators/onnx__Resize.html
COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
NEAREST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def interpolated(
    image: np.ndarray, node: onnx.NodeProto, given: tuple[Any, ...], attributes: dict[str, Any]
) -> np.ndarray | None:
    """Return an image resized as a Resize node says; None where it asks for what is not here.

    given: its inputs after the first: roi, scales and sizes, or scales alone up to opset 10. Linear and cubic curves
    are products of those of each axis. Here is neither antialiasing, nor cropping, nor a policy of aspect ratios.
    """
    mode = attributes.get("mode") or "nearest"
    rare = attributes.get("antialias") or attributes.get("exclude_outside") or attributes.get("axes")
    policy = attributes.get("keep_aspect_ratio_policy") or "stretch"
    first = len(node.input) == 2  # up to opset 10: the input and its scales
    where = "asymmetric" if first else attributes.get("coordinate_transformation_mode") or "half_pixel"
    if rare or policy != "stretch" or where not in COORDINATES or image.dtype.kind != "f":
        return None
    scales = given[0] if first else (given[1] if len(given) > 1 else None)
    if scales is not None and len(scales):
        ratios = [float(one) for one in scales]
        sizes = [int(np.floor(extent * ratio)) for extent, ratio in zip(image.shape, ratios, strict=True)]
    else:
        sizes = [int(one) for one in given[2]]
        ratios = [size / extent for size, extent in zip(sizes, image.shape, strict=True)]
    rounding = "floor" if first else attributes.get("nearest_mode") or "round_prefer_floor"
    curve = attributes.get("cubic_coeff_a")
    for axis, (extent, size, ratio) in enumerate(zip(image.shape, sizes, ratios, strict=True)):
        if (extent, ratio) != (size, 1.0):
            places = coordinates(extent, size, ratio, where)
            image = along(image, axis, places, mode, rounding, -0.75 if curve is None else curve)
    return image


def coordinates(extent: int, size: int, ratio: float, where: str) -> np.ndarray:
    """Return the place in an axis of `extent` pixels of each of `size` new ones, as float64 [size]."""
    new = np.arange(size, dtype=np.float64)
    if where == "asymmetric":
        return new / ratio
    if where == "align_corners":
        return new * ((extent - 1) / (size - 1)) if size > 1 else np.zeros(size)
    if where == "pytorch_half_pixel" and size <= 1:
        return np.zeros(size)
    if where == "half_pixel_symmetric":
        return extent / 2 * (1 - size / (ratio * extent)) + (new + 0.5) / ratio - 0.5
    return (new + 0.5) / ratio - 0.5


def along(image: np.ndarray, axis: int, places: np.ndarray, mode: str, rounding: str, curve: float) -> np.ndarray:
    """Return an image resized along one axis to the pixels at `places`; beyond its border it goes on as there."""
    last = image.shape[axis] - 1
    if mode == "nearest":
        return image.take(NEAREST[rounding](places).astype(int).clip(0, last), axis)
    below = np.floor(places).astype(int)
    part = places - below
    if mode == "linear":
        inside = places.clip(0, last)
        below = np.floor(inside).astype(int)
        part = inside - below
        shares = {0: 1 - part, 1: part}
    else:
        near = {offset: np.abs(part - offset) for offset in (-1, 0, 1, 2)}
        shares = {
            offset: ((curve + 2) * at - (curve + 3)) * at**2 + 1
            if offset in (0, 1)
            else ((curve * at - 5 * curve) * at + 8 * curve) * at - 4 * curve
            for offset, at in near.items()
        }
    broadcast = [-1 if one == axis else 1 for one in range(image.ndim)]
    found = sum(
        image.take((below + offset).clip(0, last), axis) * share.reshape(broadcast) for offset, share in shares.items()
    )
    return np.asarray(found).astype(image.dtype)
