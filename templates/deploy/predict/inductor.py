"""The model as Inductor compiled it, as it was measured: `python predict.py PHOTO ...`, or `Model()(images)`."""

import contextlib
import ctypes

import torch
from batches import FILE, main
from tensors import Tensors, set_arithmetic


class Model(Tensors):
    """The loaded model: `feed` it a batch, `run` it, and read the `output`; or call it with any number of images."""

    def load(self):
        """Return a call of the package."""
        set_arithmetic()
        # The C++ library that torch has loaded is the package's too, also where a compiler put one of its own into it.
        with contextlib.suppress(OSError):
            ctypes.CDLL("libstdc++.so.6", ctypes.RTLD_GLOBAL)
        # What torch._inductor.aoti_load_package opens, without the compiler that it imports; and on one thread alone,
        # without the locks that a CUDA graph cannot record.
        package = torch._C._aoti.AOTIModelPackageLoader(FILE, "model", True, 1, -1)
        return lambda *inputs: package.run(list(inputs))


if __name__ == "__main__":
    main(Model)
