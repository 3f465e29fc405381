"""The model with fused convolutions, as it was measured: `python predict.py PHOTO ...`, or `Model()(images)`."""

import fused_kernels
import fusion
import torch
from batches import ABOUT, SETTINGS, main
from tensors import Tensors, module, set_arithmetic


class Model(Tensors):
    """The loaded model: `feed` it a batch, `run` it, and read the `output`; or call it with any number of images."""

    def load(self):
        """Return the module with its weights, and with kernels that its first call tries."""
        set_arithmetic()
        fused = fusion.fuse(module())
        whole = fused.module.to(ABOUT["device"], getattr(torch, ABOUT["dtype"]))
        whole = whole.to(memory_format=getattr(torch, SETTINGS["memory_format"]))
        fused_kernels.give(fused.convolutions, fused_kernels.KERNELS[ABOUT["device"]])
        return whole


if __name__ == "__main__":
    main(Model)
