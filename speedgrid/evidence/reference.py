"""The right answer: the model's outputs in float64 on the CPU, for images that every backend is then given."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from speedgrid.data import arrays
from speedgrid.machine.threads import shared_cores

# Images that sessions on a CPU are compared on: at least so many, and of cheaper models more, up to so many FLOP. One
# of a TFLOP/s computes these in the tenth of a second that comparing takes.
FEWEST = 16
CPU_FLOP = 1e11


def compute(model: str, weights: str, images: np.ndarray) -> np.ndarray:
    """Return the logits of `images`, float32 [count, 3, height, width], as float64 [count, classes]."""
    import torch

    from speedgrid.model import modules as models

    module = models.load(model, weights).double()

    def answer(index: int) -> torch.Tensor:
        with torch.inference_mode():
            return module(torch.from_numpy(images[index : index + 1]).double())

    # An image a core: threads within float64 convolutions wait for each other, hundreds of times in one with as many
    # groups, and nothing is gained from a batch (8 at once take 10 % longer than 1 on 2 cores).
    with ThreadPoolExecutor(shared_cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        answers = list(pool.map(answer, range(len(images))))
    torch.set_num_threads(shared_cores())
    return torch.cat(answers).numpy()


def images_for(model: str, resolution: int, device: str) -> float:
    """Return the number of images on which sessions of a model are compared on a device, where there are as many.

    A GPU computes them all in the time that comparing takes (speedgrid.measure.cell). A CPU would not, and a float64
    answer that no cell is compared with is a waste: of the default grid's preparation they were three quarters.
    """
    from speedgrid.model.flops import images_within

    return images_within(CPU_FLOP, model, resolution, FEWEST) if device == "cpu" else math.inf


def prepare(model: str, weights: str, images: str, logits: str, expected: str, device: str) -> None:
    """Write the float64 logits of `images` (.npy both) and the error that is expected of each precision (JSON).

    device: of the sessions that are compared with them; see `images_for`.
    """
    from speedgrid.evidence import rounding
    from speedgrid.launcher.outputs import replacing, write_json

    made = arrays.read(images)
    made = np.array(made[: min(len(made), images_for(model, made.shape[-1], device))])
    answers = compute(model, weights, made)
    with replacing(logits) as temporary:
        np.save(temporary, answers)
    count = rounding.images_for(model, made.shape[-1])
    write_json(expected, rounding.expected(model, weights, made[:count], answers[:count]))
