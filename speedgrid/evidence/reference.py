"""The right answer: the model's outputs in float64 on the CPU, for images that every backend is then given."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from speedgrid.data import arrays
from speedgrid.data.resolution import Resolution, read
from speedgrid.launcher.reading import read_json
from speedgrid.machine.threads import shared_cores

# Images that sessions on a CPU are compared on: at least so many, and of cheaper models more, up to so many FLOP. One
# of a TFLOP/s computes these in the tenth of a second that comparing takes.
FEWEST = 16
CPU_FLOP = 1e11


def compute(model: str, weights: str, images: np.ndarray) -> np.ndarray:
    """Return the outputs of a module for `images` in float64, [count, classes] or what there is: see arrays.joined.

    images: float32 [count, 3, height, width], or rows of inputs.
    """
    import torch

    from speedgrid.model import modules as models
    from speedgrid.model import tensors

    module = models.load(model, weights).double()

    def answer(index: int) -> np.ndarray:
        with torch.inference_mode():
            found = tensors.tensors(module(*tensors.fed(images[index : index + 1], torch.float64)))
        return arrays.joined({name: one.numpy() for name, one in found.items()})

    # An image a core: threads within float64 convolutions wait for each other, hundreds of times in one with as many
    # groups, and nothing is gained from a batch (8 at once take 10 % longer than 1 on 2 cores).
    with ThreadPoolExecutor(shared_cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        answers = list(pool.map(answer, range(len(images))))
    torch.set_num_threads(shared_cores())
    return np.concatenate(answers)


def images_for(model: str, resolution: Resolution, device: str) -> float:
    """Return the number of images on which sessions of a model are compared on a device, where there are as many.

    A GPU computes them all in the time that comparing takes (speedgrid.measure.cell). A CPU would not, and a float64
    answer that no cell is compared with is a waste: of the default grid's preparation they were three quarters.
    """
    from speedgrid.model.flops import images_within

    return images_within(CPU_FLOP, model, resolution, FEWEST) if device == "cpu" else math.inf


def prepare(
    model: str,
    weights: str,
    images: str,
    logits: str,
    expected: str,
    device: str,
    resolution: Resolution | None = None,
    description: str | None = None,
) -> None:
    """Write the right answers to `images` (.npy both) and the error that is expected of each precision (JSON).

    weights: of a module, or the ONNX file of a model that is one; that is as its description says. device: of the
    sessions that are compared with them; see `images_for`. resolution: where it is not that of the images.
    """
    from speedgrid.launcher.outputs import replacing, write_json

    made = arrays.read(images)
    if description:
        answers, errors = of_file(model, weights, read_json(description, dict), made, device)
    else:
        answers, errors = of_module(
            model, weights, made, resolution or read("x".join(map(str, made.shape[-2:]))), device
        )
    with replacing(logits) as temporary:
        np.save(temporary, answers)
    write_json(expected, errors)


def of_module(
    model: str, weights: str, made: np.ndarray, resolution: Resolution, device: str
) -> tuple[np.ndarray, Any]:
    """Return the right answers of a module, in float64, and the errors that each precision makes."""
    from speedgrid.evidence import rounding

    made = np.array(made[: min(len(made), images_for(model, resolution, device))])
    answers = compute(model, weights, made)
    count = rounding.images_for(model, resolution)
    return answers, rounding.expected(model, weights, made[:count], answers[:count])


def of_file(name: str, file: str, described: dict[str, Any], made: np.ndarray, device: str) -> tuple[np.ndarray, Any]:
    """Return the right answers of an ONNX file, and the errors that each precision makes; none of an empty file."""
    from speedgrid.evidence.graph import reference as of_graph
    from speedgrid.model import onnx_graph, sources

    if described["status"] != "ok":
        return np.empty((0, 0)), {"snr_db": {}}
    flop = onnx_graph.flop_per_image(file) or CPU_FLOP / FEWEST
    made = np.array(made[: min(len(made), max(FEWEST, int(CPU_FLOP / flop)) if device == "cpu" else len(made))])
    return of_graph.answer(file, made, described["batch"], flop, sources.find(name).task)
