"""What each precision means: the type of the tensors and the arithmetic that torch may use."""

import warnings

PRECISIONS = ("fp32", "tf32", "fp16", "bf16")

# The dtype of weights, inputs and outputs. TF32 is a way to multiply float32 numbers, not a way to store them.
DTYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}

# Bytes of one element of those tensors.
BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2}


def stored(precision: str) -> str:
    """Return the precision whose ONNX file serves `precision`: fp32 and tf32 share one graph of float32 tensors."""
    return "fp32" if precision == "tf32" else precision


def torch_dtype(precision: str):
    """Return the torch.dtype of the tensors of a session."""
    import torch

    return getattr(torch, DTYPES[precision])


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
