"""The model in PyTorch, as it was measured: `python predict.py PHOTO ...`, or `Model()(images)` from Python."""

import torch
from batches import ABOUT, SETTINGS, main
from tensors import Tensors, module, set_arithmetic


class Model(Tensors):
    """The loaded model: `feed` it a batch, `run` it, and read the `output`; or call it with any number of images."""

    def load(self):
        """Return the module with its weights."""
        set_arithmetic()
        whole = module().to(ABOUT["device"], getattr(torch, ABOUT["dtype"]))
        return whole.to(memory_format=getattr(torch, SETTINGS["memory_format"]))


if __name__ == "__main__":
    main(Model)
