"""Quantise a torch module for TensorRT with NVIDIA ModelOpt, and see in an engine what became of it."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from speedgrid.backends.session import Quantised
from speedgrid.evidence.parity import snr_db
from speedgrid.precision import QUANTISED

if TYPE_CHECKING:
    import torch

# Images of one calibration call.
CALL = 8
# Layers of an engine that convolve or multiply matrices, by what their types contain, and how the inspector writes the
# type of a quantised input (https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/engine-inspector.html).
PRODUCTS = ("conv", "gemm", "matrixmultiply", "matmul")
TYPES = {"int8": ("int8",), "fp8": ("fp8", "e4m3")}


def quantise(module, precision: str, images: np.ndarray, device: str = "cuda") -> "tuple[torch.nn.Module, float]":
    """Return `module`, a float32 torch module with folded batch norms, quantised to `precision`, the rest in float16.

    With it comes the SNR in dB that this costs, as ModelOpt emulates it in floats. images: of calibration, float32
    [count, 3, height, width]. Activations get one scale for the tensor; int8 weights one for each output
    channel, fp8 weights one for the tensor; all by the largest magnitudes
    (https://nvidia.github.io/Model-Optimizer/guides/_pytorch_quantization.html).
    """
    import modelopt.torch.quantization as mtq
    import torch

    recipe = {"int8": mtq.INT8_DEFAULT_CFG, "fp8": mtq.FP8_DEFAULT_CFG}[precision]

    def answers(module) -> np.ndarray:
        parts = [np.array(images[start : start + CALL]) for start in range(0, len(images), CALL)]
        return torch.cat([module(torch.from_numpy(part).to(device)) for part in parts]).double().cpu().numpy()

    with torch.no_grad():
        exact = answers(module.to(device))
        quantised = mtq.quantize(module, recipe, forward_loop=answers)
        return quantised.half(), snr_db(answers(quantised), exact)


@contextmanager
def exporting(precision: str):
    """Have torch.export write quantisers as operators that TensorRT knows, and engines keep what they are made of."""
    if precision not in QUANTISED:
        yield
        return
    from modelopt.torch.quantization.utils import export_torch_mode
    from torch_tensorrt.dynamo import Debugger

    with (
        tempfile.TemporaryDirectory() as folder,
        # No more than layer information: it is in an engine only where a debugger is on.
        Debugger(log_level="error", engine_builder_monitor=False, logging_dir=folder),
        export_torch_mode(),
    ):
        yield


def executed(layer_information: Iterable[str], precision: str) -> Quantised:
    """Return how many convolutions and matrix products of engines multiply in `precision`: `executed`, `of`, `types`.

    layer_information: JSON of each engine's inspector, at detailed verbosity.
    """
    multiply, types = 0, Counter[str]()
    for text in layer_information:
        for layer in json.loads(text)["Layers"]:
            if not isinstance(layer, dict):
                continue  # a name alone, of an engine without details
            kind = str(layer.get("ParameterType") or layer.get("LayerType", ""))
            if not any(word in kind.lower() for word in PRODUCTS):
                continue
            read = next((str(one.get("Format/Datatype", "")) for one in layer.get("Inputs", ())), "")
            multiply += any(word in read.lower() for word in TYPES[precision])
            types[f"{kind} {read}"] += 1
    return {"executed": multiply, "of": types.total(), "types": dict(types)}
