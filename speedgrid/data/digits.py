"""Handwritten digits, bundled with scikit-learn: a real task with no download, for whoever brings no images.

1797 digits of 8 x 8 pixels and 17 levels of grey, from the test set of E. Alpaydin and C. Kaynak, Optical Recognition
of Handwritten Digits, UCI Machine Learning Repository, 1998 (https://doi.org/10.24432/C50P49).
"""

from functools import cache
from typing import TYPE_CHECKING

from speedgrid.data.resolution import Resolution, size_of
from speedgrid.data.source import CALIBRATION, DEVIATION, MEAN, PARTS, REFERENCE, Images

if TYPE_CHECKING:
    import numpy as np

# An image of any size is one digit of TILE x TILE pixels beside itself, over and over from the upper left corner, so
# that a network with global average pooling, trained on small images, knows large ones too. 32 pixels are the stride
# of these networks' last layer.
TILE = 32
EVALUATION = 360
CLASSES = 10


class Digits:
    """The digits in four parts, split by class: besides those that every source has there is `training`."""

    def __init__(self, seed: int):
        self.seed = seed
        self._parts: dict[str, np.ndarray] = {}

    def size(self, part: str, most: int) -> int:
        """Return how many digits a part has, at most `most`."""
        return min(len(self.parts()[part]), most)

    def labels(self, part: str, count: int | None) -> list[int]:
        """Return the first `count` digits of a part, or all of them, as numbers, 0 to 9."""
        return bundled().target[self.parts()[part][:count]].tolist()

    def images(self, part: str, resolution: Resolution, start: int, count: int):
        """Return images `start` to `start + count` of a part, float32 [count, 3, height, width]."""
        return tiled(bundled().images[self.parts()[part][start : start + count]], resolution)

    def describe(self) -> Images:
        """Return the description of the digits as images."""
        return {"source": "digits", "seed": self.seed, "classes": CLASSES}

    def parts(self) -> "dict[str, np.ndarray]":
        """Return an array of the numbers of the digits in each part; each has the classes in the same shares."""
        if not self._parts:
            import numpy as np
            from sklearn.model_selection import train_test_split

            target = bundled().target
            left = np.arange(len(target))
            for name, size in zip(PARTS, (REFERENCE, CALIBRATION, EVALUATION), strict=True):
                left, self._parts[name] = train_test_split(
                    left, test_size=size, stratify=target[left], random_state=self.seed
                )
            self._parts["training"] = left
        return self._parts


@cache
def bundled():
    """Return scikit-learn's digits: `images`, float64 [1797, 8, 8] from 0 to 16, and `target`, int [1797]."""
    from sklearn.datasets import load_digits

    return load_digits()


def tiled(digits, resolution: Resolution):
    """Return digits, arrays [count, 8, 8] from 0 to 16, as normalised images of any resolution, float32."""
    import numpy as np
    import torch
    from torch.nn.functional import interpolate

    grey = torch.from_numpy(digits / 16).float()[:, None]
    tile = interpolate(grey, size=(TILE, TILE), mode="bilinear", align_corners=False)[:, 0].numpy()
    height, width = size_of(resolution)
    whole = np.tile(tile, (1, -(-height // TILE), -(-width // TILE)))[:, None, :height, :width]
    mean, deviation = (np.array(one, np.float32)[:, None, None] for one in (MEAN, DEVIATION))
    return (whole - mean) / deviation
