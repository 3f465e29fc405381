"""Seeded normal numbers as images: they have no classes, so nothing is evaluated on them."""

from speedgrid.data.resolution import Resolution
from speedgrid.data.source import CALIBRATION, REFERENCE, Images

# Where each part begins in the endless sequence of speedgrid.data.sequence.
START = {"reference": 0, "calibration": REFERENCE}


class Noise:
    """Seeded noise as images: parts of the sequence that speedgrid.data.sequence makes."""

    def __init__(self, seed: int):
        self.seed = seed

    def size(self, part: str, most: int) -> int:
        """Return the size of a part, at most `most`; of these images there is no evaluation."""
        return min({"reference": REFERENCE, "calibration": CALIBRATION, "evaluation": 0}[part], most)

    def labels(self, part: str, count: int) -> None:
        """Return None for the labels: noise shows nothing."""
        return None

    def images(self, part: str, resolution: Resolution, start: int, count: int):
        """Return images `start` to `start + count` of a part, float32 [count, 3, height, width]."""
        from speedgrid.data.sequence import images

        return images(self.seed, resolution, START[part] + start, count)

    def describe(self) -> Images:
        """Return the description of seeded noise as images."""
        return {"source": "random", "seed": self.seed}
