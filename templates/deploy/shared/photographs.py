"""From the file of a photograph to an input of the model, as its reference images were made."""

import warnings

import numpy as np
from batches import ABOUT
from PIL import Image

MADE = ABOUT["preprocessing"]
# The most pixels of a photograph, and how many times longer than the other a side may be: more takes memory alone.
PIXELS, TIMES_LONGER = 100_000_000, 20
# How the EXIF data of an image says that it is to be seen; of TIFF tags its bits, whether 0 is white, and its numbers.
ORIENTATION, BITS, PHOTOMETRIC, SAMPLE_FORMAT, SIGNED = 0x0112, 258, 262, 339, 2
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read(path):
    """Return the photograph in a file: float32 [3, height, width], upright, resized, cut out and normalised."""
    try:
        image = upright(path)
    except Exception as error:  # thirty decoders have their own
        words = " ".join(str(error).split())[:200]
        raise SystemExit(f"{path!a} is not a readable image ({type(error).__name__}: {words!a}).") from None
    (height, width), shorter = MADE["crop"], min(image.size)
    resized = round(shorter * max(MADE["resize"] * height / image.height, MADE["resize"] * width / image.width))
    size = tuple(resized if side == shorter else int(resized * side / shorter) for side in image.size)
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    image = image.crop((left, top, left + width, top + height))
    mean, deviation = (np.array(MADE[name], np.float32) for name in ("mean", "deviation"))
    return np.ascontiguousarray(((np.asarray(image, np.float32) / 255 - mean) / deviation).transpose(2, 0, 1))


def upright(path):
    """Return the image in a file as it is to be seen, in RGB; ends the program where one is too large or long."""
    with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning), Image.open(path) as opened:
        width, height = opened.size
        if width * height > PIXELS or max(width, height) > TIMES_LONGER * min(width, height):
            limits = f"it may have {PIXELS:,}, one side {TIMES_LONGER} times as long as the other"
            raise SystemExit(f"{path!a} has {width} x {height} pixels; {limits}.")
        image = in_rgb(path, opened)
        try:
            turned = TURNED.get(opened.getexif().get(ORIENTATION, 1))
        except Exception:  # EXIF data that is none
            turned = None
    return image if turned is None else image.transpose(turned)


def in_rgb(path, image):
    """Return an image in red, green and blue of 8 bits; of 16 bits of grey Pillow would cut off the upper ones."""
    tags, bits = getattr(image, "tag_v2", {}), 16
    if image.mode.startswith("I;16"):
        bits = tags.get(BITS, (16,))[0]
    elif SIGNED in tags.get(SAMPLE_FORMAT, ()) or (
        image.mode in ("I", "F") and not (image.mode == "I" and image.format in ("PNG", "PPM"))
    ):
        raise SystemExit(f"{path!a} has pixels of which nothing says what is white; write it with 8 or 16 bits.")
    elif image.mode != "I":
        return image.convert("RGB")
    white = 2**bits - 1
    levels = np.asarray(image).astype(np.float32).clip(0, white) * (255 / white)
    levels = 255 - levels if tags.get(PHOTOMETRIC) == 0 else levels
    return Image.fromarray(levels.round().astype(np.uint8)).convert("RGB")
