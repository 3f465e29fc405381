"""The model as Torch-TensorRT compiled it, as it was measured: `python predict.py PHOTO ...`, or `Model()(images)`."""

import torch
import torch_tensorrt  # noqa: F401 (makes TensorRT's operators known to torch)
from batches import FILE, main
from tensors import Tensors


class Model(Tensors):
    """The loaded model: `feed` it a batch, `run` it, and read the `output`; or call it with any number of images."""

    def load(self):
        """Return the module that runs the engine."""
        return torch.jit.load(FILE, map_location="cuda").eval()


if __name__ == "__main__":
    main(Model)
