"""The inputs of a model that are not just one normalised photograph: what is declared of each, and how it is made.

All inputs of an image are one row of a structured array, with a field for each input by its name: so a file of them is
one .npy file, and a batch of rows is a batch of every input.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from speedgrid import InputError
from speedgrid.data.source import DEVIATION, MEAN
from speedgrid.launcher.reading import reason

# The axes of a shape that the grid's own axes give a size.
AXES = ("batch", "height", "width")
# Numbers, or names of AXES.
Shape: TypeAlias = tuple[int | str, ...]
# What red, green and blue count for in grey (ITU-R BT.601).
GREY = (0.299, 0.587, 0.114)


class ValuesError(InputError):
    """The values of an input that cannot be made; the message names the input and what would be right."""


@dataclass(frozen=True)
class Input:
    """One input as the configuration declares it; what is None is as the model's file has it, or as is usual.

    shape: with the batch. layout: NCHW or NHWC, of an image. range: of an image's values, or of noise; or else mean and
    deviation: of an image's channels, from values of 0 to 1. values: a .npz file with an array of this name.
    integers: the smallest and the largest.
    """

    name: str
    shape: Shape | None = None
    dtype: str | None = None
    layout: str | None = None
    range: tuple[float, float] | None = None
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    values: str | None = None
    integers: tuple[int, int] | None = None

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any]) -> "Input":
        """Return the input that an entry of the configuration declares."""
        known = {one.name for one in fields(cls)}
        kept: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in given.items() if key in known
        }
        return cls(name, **kept)

    def bound(self, size: tuple[int, int]) -> "Bound":
        """Return the input with numbers for everything but the batch. size: height and width in pixels."""
        assert self.shape is not None, "an input with no shape of its own is bound by its file"
        sizes = dict(zip(AXES[1:], size, strict=True))
        return Bound(self.name, [sizes.get(str(one), one) for one in self.shape], self.dtype or "float32")


@dataclass(frozen=True)
class Bound:
    """One input with a number for every axis but perhaps the first, which is then "batch", and its dtype in numpy."""

    name: str
    shape: list[int | str]
    dtype: str

    @property
    def row(self) -> tuple[int, ...]:
        """The shape of one image's."""
        return tuple(int(one) for one in self.shape[1:])


def made(inputs: list[Bound], declared: Mapping[str, Input], images: np.ndarray, seed: int) -> np.ndarray:
    """Return the inputs of each of `images`, normalised float32 [count, 3, height, width], as a structured array.

    declared: what the configuration says, by name. Raises ValuesError.
    """
    rows = np.zeros(len(images), [(one.name, one.dtype, one.row) for one in inputs])
    for number, one in enumerate(inputs):
        said = declared.get(one.name, Input(one.name))
        rows[one.name] = kinds()[kind(one, said)](one, said, images, seed + number)
    return rows


def kind(one: Bound, said: Input) -> str:
    """Return the name of what an input is made of: the user's values, integers, photographs or noise."""
    if said.values:
        return "values"
    if said.integers:
        return "integers"
    if channels_axis(one, said) is not None:
        return "photographs"
    return "noise" if np.dtype(one.dtype).kind == "f" else "integers"


def kinds():
    """Return the function that makes an input of each kind."""
    return {"values": from_file, "integers": integers, "photographs": photographs, "noise": noise}


def channels_axis(one: Bound, said: Input) -> int | None:
    """Return the axis of an image's channels in one row of an input; None of an input that is no image."""
    if len(one.row) != 3 or np.dtype(one.dtype).kind not in "fu":
        return None
    layouts = {"NCHW": 0, "NHWC": 2}
    axes = [layouts[said.layout]] if said.layout else [0, 2]
    return next((axis for axis in axes if one.row[axis] in (1, 3)), None)


def from_file(one: Bound, said: Input, images: np.ndarray, seed: int) -> np.ndarray:
    """Return the user's own rows, again from the first where there are fewer than images. Raises ValuesError."""
    assert said.values is not None
    try:
        with np.load(said.values, allow_pickle=False) as archive:
            name = one.name if one.name in archive or len(archive.files) > 1 else archive.files[0]
            found = archive[name]
    except (OSError, ValueError, KeyError, IndexError, EOFError) as error:
        raise ValuesError(
            f"{said.values} gives no values of the input {one.name!r} ({reason(error)}); write it with "
            f"numpy.savez(path, **{{{one.name!r}: array}})."
        ) from None
    if not len(found.shape) or found.shape[1:] != one.row or not len(found):
        raise ValuesError(
            f"{said.values} has values of shape {list(found.shape)} for the input {one.name!r}; they must be "
            f"[count, {', '.join(map(str, one.row))}]."
        )
    if not np.can_cast(found.dtype, one.dtype, "same_kind"):
        raise ValuesError(f"{said.values} has {found.dtype} for the input {one.name!r}; it must be {one.dtype}.")
    return found[np.arange(len(images)) % len(found)]


def integers(one: Bound, said: Input, images: np.ndarray, seed: int) -> np.ndarray:
    """Return seeded integers of the declared range. Raises ValuesError where none is declared."""
    if said.integers is None:
        raise ValuesError(
            f"the input {one.name!r} is of {one.dtype}, and not every number is an index that its model knows; give "
            "its range, as integers: [lowest, highest], or values: FILE.npz."
        )
    low, high = said.integers
    return np.random.default_rng([seed, 1]).integers(low, high, (len(images), *one.row), endpoint=True)


def noise(one: Bound, said: Input, images: np.ndarray, seed: int) -> np.ndarray:
    """Return seeded noise: normal, or even within the declared range."""
    random = np.random.default_rng([seed, 0])
    shape = (len(images), *one.row)
    return random.uniform(*said.range, shape) if said.range else random.standard_normal(shape)


def photographs(one: Bound, said: Input, images: np.ndarray, seed: int) -> np.ndarray:
    """Return the images as an input has them: size, channels, range, layout."""
    axis = channels_axis(one, said)
    height, width = (one.row[place] for place in range(3) if place != axis)
    channels = one.row[axis or 0]
    mean, deviation = (np.array(each, np.float32)[:, None, None] for each in (MEAN, DEVIATION))
    found = np.empty((len(images), *one.row), np.float32)
    for number, image in enumerate(images):  # one by one: all of them at a large size are gigabytes
        plain = np.clip(resized(image * deviation + mean, height, width), 0, 1)
        if channels == 1:
            plain = np.tensordot(np.array(GREY, np.float32), plain, 1)[None]
        scaled = in_range(one, said, plain)
        found[number] = scaled if axis == 0 else np.moveaxis(scaled, 0, 2)
    return found.round() if np.dtype(one.dtype).kind == "u" else found


def in_range(one: Bound, said: Input, plain: np.ndarray) -> np.ndarray:
    """Return an image with values of 0 to 1, [channels, height, width], with those that an input wants."""
    if said.range or np.dtype(one.dtype).kind == "u":
        low, high = said.range or (0, 255)
        return low + plain * (high - low)
    mean, deviation = said.mean or MEAN, said.deviation or DEVIATION
    if len(plain) == 1 and not said.mean:
        mean, deviation = (float(np.dot(GREY, MEAN)),), (float(np.dot(GREY, DEVIATION)),)
    return (plain - np.reshape(mean, (-1, 1, 1))) / np.reshape(deviation, (-1, 1, 1))


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return an image, float32 [channels, height, width], with another height and width: bilinear, antialiased."""
    if image.shape[1:] == (height, width):
        return image
    import torch
    from torch.nn.functional import interpolate

    wanted = torch.from_numpy(np.ascontiguousarray(image))[None]
    return interpolate(wanted, (height, width), mode="bilinear", antialias=True)[0].numpy()


def write(path: str | Path, rows: np.ndarray) -> None:
    """Write rows to a .npy file, whole or not at all."""
    from speedgrid.launcher.outputs import replacing

    with replacing(path) as temporary:
        np.save(temporary, rows)
