"""What a backend lacks on this machine, and how it is installed."""

from importlib.util import find_spec


def modelopt() -> str | None:
    """Return the packages that are still to be installed to quantise a torch module, in words, or None."""
    if find_spec("modelopt") is None:
        return "quantisation for TensorRT needs NVIDIA ModelOpt: pip install nvidia-modelopt huggingface_hub"
    return None
