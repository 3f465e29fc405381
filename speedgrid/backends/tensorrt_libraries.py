"""Load TensorRT's shared libraries into this process, for Torch-TensorRT's runtime to find.

Importing this makes no CUDA call, so a launcher may do it before it forks. Torch-TensorRT's own library does make
one when it is loaded: that is for the measuring process alone.
"""

import ctypes
from importlib.util import find_spec
from pathlib import Path

# The packages that hold the libraries of TensorRT-RTX and of full TensorRT.
for package in ("tensorrt_rtx_libs", "tensorrt_libs"):
    if (spec := find_spec(package)) and spec.origin:
        folder = Path(spec.origin).parent
        for library in sorted([*folder.glob("libtensorrt_rtx.so*"), *folder.glob("libnvinfer.so*")]):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
