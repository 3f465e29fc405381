"""What each precision means: the type of the tensors and the arithmetic that torch may use."""

import warnings
from typing import NamedTuple


class Precision(NamedTuple):
    """One precision: how its numbers are stored, multiplied and exported.

    dtype: of inputs and outputs, and of the weights but in a quantised model, which goes from float to integers and
    back inside. bytes: of one number that is multiplied. first_capability: the first compute capability with tensor
    cores for it (NVIDIA's architecture whitepapers); below it libraries compute something else under the name. None
    where every GPU has it. quantised: it multiplies numbers of a scale of their own, which calibration finds.
    experimental: never recommended. exported_on: the devices on which an ONNX file of its own serves it.
    """

    dtype: str
    bytes: int
    first_capability: tuple[int, int] | None = None
    quantised: bool = False
    experimental: bool = False
    exported_on: tuple[str, ...] = ()


# From the most exact to the least. TF32 is a way to multiply float32 numbers, not a way to store them. fp8 is E4M3.
PRECISIONS = {
    "fp32": Precision("float32", 4, exported_on=("cpu", "cuda")),
    "tf32": Precision("float32", 4, (8, 0)),
    "fp16": Precision("float16", 2, exported_on=("cuda",)),
    "bf16": Precision("bfloat16", 2, (8, 0), exported_on=("cuda",)),
    "int8": Precision("float32", 1, (7, 5), quantised=True, exported_on=("cpu", "cuda")),
    "fp8": Precision("float32", 1, (8, 9), quantised=True, experimental=True),
}
# What many ask, by name.
QUANTISED = tuple(name for name, one in PRECISIONS.items() if one.quantised)
EXPERIMENTAL = tuple(name for name, one in PRECISIONS.items() if one.experimental)
BYTES = {name: one.bytes for name, one in PRECISIONS.items()}


def stored(precision: str, device: str) -> str:
    """Return the precision whose ONNX file serves `precision` on `device`.

    fp32 and tf32 share one graph of float32 tensors. On the CPU OpenVINO makes fp16 and bf16 of it when it compiles,
    and no other runtime has them. Nothing here reads fp8 from ONNX, so that its cells get the same graph, to refuse.
    """
    return precision if device in PRECISIONS[precision].exported_on else "fp32"


def torch_dtype(precision: str):
    """Return the torch.dtype of the tensors of a session."""
    import torch

    return getattr(torch, PRECISIONS[precision].dtype)


def set_torch_math(precision: str) -> None:
    """Allow TF32 in this process for `tf32` alone; every other precision multiplies float32 as IEEE says.

    Each level is set by hand, because PyTorch's default lets cuDNN convolutions use TF32 whatever the matmul
    setting is. https://docs.pytorch.org/docs/stable/notes/cuda.html (TensorFloat-32)
    """
    import torch

    mode = "tf32" if precision == "tf32" else "ieee"
    backends = torch.backends
    # torch.export and the compiler ask through the older switches, which raise an error unless they say the same.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Please use the new API settings")
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = precision == "tf32"
    for level in (backends, backends.cuda.matmul, backends.cudnn, backends.cudnn.conv, backends.cudnn.rnn):
        level.fp32_precision = mode
    if precision != "tf32":
        for level in (backends.mkldnn, backends.mkldnn.conv, backends.mkldnn.matmul):
            level.fp32_precision = "ieee"
