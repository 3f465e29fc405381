"""A clip of photographs, encoded here: what a camera might send, without one, and without a network.

scikit-learn brings two photographs. A window moves over each, as a camera that turns, and each frame has noise, as a
sensor does: without it there would be nothing to encode but motion. H.264 with no frames that wait for later ones, at a
bit rate that is usual for cameras of this size. What moves is made up: whoever has a recording of their own cameras
learns more from that.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from speedgrid.launcher.outputs import replacing

CODEC, WIDTH, HEIGHT, FPS, GOP = "libx264", 1920, 1080, 30, 30
# Frames of each photograph, and how far the window moves from one to the next, in pixels.
FRAMES, STEP = 30, (4, 2)
# Standard deviation of the noise, of 255, and its seed.
NOISE, SEED = 4.0, 0
# Bits of a pixel: 4 Mbit/s at 1920 x 1080 and 30 frames a second.
BITS = 4e6 / (WIDTH * HEIGHT * FPS)
# One thread, so that the same version of the encoder writes the same bytes on every machine.
OPTIONS = {"preset": "veryfast", "bf": "0", "threads": "1"}
SOURCE = "photographs of scikit-learn under a moving window, with noise"


def encode(path: str | Path, size: tuple[int, int] = (HEIGHT, WIDTH), frames: int = FRAMES) -> None:
    """Write the clip to `path`, whole or not at all. size: height and width. frames: of each photograph."""
    import av

    with replacing(path) as temporary, av.open(str(temporary), "w") as container:
        stream: Any = container.add_stream(CODEC, rate=FPS, options=OPTIONS | {"g": str(GOP)})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = round(BITS * size[0] * size[1] * FPS)
        stream.codec_context.thread_count = 1
        for picture in pictures(size, frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def pictures(size: tuple[int, int], frames: int) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the frames of the clip, uint8 [height, width, 3]: all of one photograph, then those of the next."""
    from sklearn.datasets import load_sample_images

    random = np.random.Generator(np.random.PCG64(SEED))
    # One field of noise, of which each frame has another part.
    noise = random.standard_normal([2 * side for side in size], np.float32)[..., None] * np.float32(NOISE)
    for photograph in load_sample_images().images:
        wide = enlarged(photograph, size, frames)
        for number in range(frames):
            left, top = (number * step for step in STEP)
            window = wide[top : top + size[0], left : left + size[1]]
            down, right = (int(random.integers(side)) for side in size)
            grain = noise[down : down + size[0], right : right + size[1]]
            yield np.clip(np.rint(window + grain), 0, 255).astype(np.uint8)


def enlarged(photograph: np.ndarray[Any, Any], size: tuple[int, int], frames: int) -> np.ndarray[Any, Any]:
    """Return a photograph as float32, so large that the window stays within it for all frames."""
    from PIL import Image

    room = [(frames - 1) * step for step in reversed(STEP)]
    factor = max((side + more) / had for side, more, had in zip(size, room, photograph.shape, strict=False))
    height, width = (int(np.ceil(side * factor)) for side in photograph.shape[:2])
    return np.asarray(Image.fromarray(photograph).resize((width, height)), np.float32)
