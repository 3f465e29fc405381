"""Where the input images come from, one module per source, each a class with the same few names.

    Source(seed) or Source(path, seed)
    size(part, most) -> int        how many images a part has, at most `most`
    labels(part, count)            their classes as numbers, or None where they have none
    images(part, resolution, start, count)   float32 [count, 3, height, width], normalised
    describe() -> dict             what the images are, for a reader, as plain JSON values

One that reads files of the user's has more:

    paths(part, most) -> list      the files of a part, so that a changed one is seen
    require(sizes)                 DataError, one sentence, unless all of all parts are there and can be read
    refuse_unreadable(part, most)  DataError, one sentence, with all files that are no usable images
    summary() -> str               what they are, in one line of a log

The parts never share an image, and a seed always gives the same ones:

    reference      sessions are checked on them, against float64
    calibration    int8 ranges are taken from them
    evaluation     accuracy is measured on them

Importing this package imports neither torch nor scikit-learn: a configuration is checked without them.
"""

from collections.abc import Mapping
from pathlib import Path

from speedgrid.data.resolution import Resolution, size_of
from speedgrid.data.source import CALIBRATION, PARTS, REFERENCE, DataError, Images
from speedgrid.launcher.outputs import replacing

__all__ = ["CALIBRATION", "PARTS", "REFERENCE", "DataError", "open_source", "prepare", "require"]

# Images that are made at once: 32 at 512 pixels are 100 MB.
CHUNK = 32


def open_source(images: str, seed: int):
    """Return the source that the config key data.images names: `random`, `digits` or a folder.

    Raises DataError, one sentence, for a folder that cannot serve.
    """
    if images == "random":
        from speedgrid.data.noise import Noise

        return Noise(seed)
    if images == "digits":
        from speedgrid.data.digits import Digits

        return Digits(seed)
    from speedgrid.data.folder import Folder

    return Folder(images, seed)


def require(source, sizes: Mapping[str, int]) -> None:
    """Raise DataError, one sentence, unless every file that the parts are made of is there and can be read.

    sizes: how many images each part has at most.
    """
    if hasattr(source, "require"):
        source.require(sizes)


def prepare(source, part: str, resolution: Resolution, most: int, output: str | Path) -> Images:
    """Write the first `most` images of a part to `output` (.npy) and return their description.

    They are made and written a few at a time. Raises speedgrid.launcher.outputs.Unwritable for a full disk, which
    memory mapped to the file would be killed by.
    """
    import numpy as np

    count = source.size(part, most)
    shape = (count, 3, *size_of(resolution))
    head = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False, "shape": shape}
    try:
        with replacing(output) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, head)
            for start in range(0, count, CHUNK):
                made = source.images(part, resolution, start, min(CHUNK, count - start))
                file.write(np.ascontiguousarray(made, dtype=np.float32).data)
    except DataError:
        if hasattr(source, "refuse_unreadable"):  # the first is as good as all where there is no other
            source.refuse_unreadable(part, most)
        raise
    described: Images = source.describe()
    return {"part": part, "count": count, "resolution": resolution, "labels": source.labels(part, count), **described}
