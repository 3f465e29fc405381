"""The inputs that a model is given, made of the images of a run, as its source or its file declares them."""

from typing import Any

import numpy as np

from speedgrid.data import arrays
from speedgrid.data import inputs as made
from speedgrid.data.inputs import Bound, Input
from speedgrid.data.resolution import Resolution, size_of
from speedgrid.launcher.reading import read_json
from speedgrid.model import sources


def prepare(
    model: str, images: str, resolution: Resolution, seed: int, output: str, description: str | None = None
) -> dict[str, Any]:
    """Write the inputs of a model for the images in a .npy file, and return what each is made of, by its name.

    description: of a bound ONNX file, whose inputs they are; where there is none to serve them, no rows are written.
    Raises speedgrid.data.inputs.ValuesError.
    """
    pictures, declared = arrays.read(images), {one.name: one for one in sources.find(model).inputs}
    if description:
        described = read_json(description, dict)
        bound = [Bound(**one) for one in described.get("inputs", ())]
    else:
        bound = [one.bound(size_of(resolution)) for one in declared.values()]
    rows = made.made(bound, declared, pictures, seed) if bound else np.empty((0, 0))
    made.write(output, rows)
    return {"inputs": {one.name: made.kind(one, declared.get(one.name, Input(one.name))) for one in bound}}
