"""Load the parts of the cuDNN that torch has loaded, which cuDNN itself does at the first convolution.

Importing this makes no CUDA call, so a launcher does it once for all its children: it takes a tenth of a second.
"""

import ctypes
from pathlib import Path

import torch  # noqa: F401 (loads libcudnn.so)

from speedgrid.machine.proc import lines

PARTS = ("graph", "ops", "cnn", "heuristic", "engines_precompiled", "engines_runtime_compiled")

# From the folder of the one in use: a process must not mix versions (proc(5), maps).
for line in lines("/proc/self/maps"):
    if "/libcudnn.so." in line:
        library = Path(line.split(maxsplit=5)[-1])
        for part in PARTS:
            if (found := library.with_name(library.name.replace("cudnn", f"cudnn_{part}"))).exists():
                ctypes.CDLL(str(found))
        break
