"""One image file as red, green and blue of 8 bits each: as its format says, or refused within stated limits."""

import warnings
from pathlib import Path
from typing import Any

from speedgrid.data.source import DataError
from speedgrid.launcher.inputs import file_fault
from speedgrid.launcher.reading import reason

# The most pixels of an image, and how many times longer than the other a side may be: the shorter one is resized to the
# input's, and of a line of 5,000 pixels a model would see nothing.
PIXELS, TIMES_LONGER = 100_000_000, 20
# The numbers of the TIFF tags that say how many bits a sample has, whether 0 is white, and what kind of number it is.
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
# What the last of them says of numbers with a sign.
SIGNED = 2
# The number of the EXIF tag that says how an image is to be turned.
ORIENTATION = 0x0112


def read(path: str) -> Any:
    """Return the image in a file, a PIL.Image of mode RGB. Raises DataError, one sentence with the path."""
    from PIL import Image

    if Path(path).is_fifo():  # which would be waited for
        fault = file_fault(path)
        raise DataError(f"config key data.images: {path} {fault}; replace or remove it.")
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(path) as image,
        ):
            refuse_size(path, *image.size)
            return upright(to_rgb(path, image), orientation(image))
    except (DataError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise DataError(f"config key data.images: {path} has more than {PIXELS:,} pixels; make it smaller.") from None
    except Exception as error:  # thirty decoders have their own
        raise DataError(
            f"config key data.images: {path} is not a readable image ({type(error).__name__}: {reason(error)}); "
            "replace or remove it."
        ) from error


def orientation(image: Any) -> int:
    """Return the orientation of an image by its EXIF data, 1 to 8; of a TIFF file 1, as PIL has turned it already."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # EXIF data that is none
        return 1


def upright(image: Any, orientation: int) -> Any:
    """Return an image as its EXIF data says that it is to be seen, whatever its format."""
    from PIL.Image import Transpose

    turned = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if turned is None else image.transpose(turned)


def refuse_size(path: str, width: int, height: int) -> None:
    """Raise DataError for an image with too many pixels, or too long for its width."""
    if width * height > PIXELS:
        raise DataError(
            f"config key data.images: {path} has {width} x {height} pixels, more than {PIXELS:,}; make it smaller."
        )
    if max(width, height) > TIMES_LONGER * min(width, height):
        raise DataError(
            f"config key data.images: {path} has {width} x {height} pixels; one side may be at most {TIMES_LONGER} "
            "times as long as the other, so cut it or remove it."
        )


def to_rgb(path: str, image: Any) -> Any:
    """Return an image in RGB. PIL cuts off what has more than 8 bits, so that 16 bits of grey would all be white."""
    tags = getattr(image, "tag_v2", {})
    bits = 16
    if image.mode.startswith("I;16"):
        bits = tags.get(BITS, (16,))[0]
    elif SIGNED in tags.get(SAMPLE_FORMAT, ()) or (
        image.mode in ("I", "F") and not (image.mode == "I" and image.format in ("PPM", "PNG"))
    ):
        kind = "floating-point numbers" if image.mode == "F" else "numbers of 32 bits or with a sign"
        raise DataError(
            f"config key data.images: {path} has {kind} as pixels, and nothing says which of them is white; write it "
            "again with 8 or 16 bits."
        )
    elif image.mode != "I":
        return image.convert("RGB")
    return grey(image, 2**bits - 1, inverted=tags.get(PHOTOMETRIC) == 0).convert("RGB")


def grey(image: Any, white: int, inverted: bool) -> Any:
    """Return an image of one channel with 256 levels. white: its brightest number, or where `inverted` its darkest."""
    import numpy as np
    from PIL import Image

    levels = np.asarray(image).astype(np.float32).clip(0, white) * (255 / white)
    return Image.fromarray((255 - levels if inverted else levels).round().astype(np.uint8))
