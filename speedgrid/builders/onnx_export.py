"""Export a model to ONNX with a dynamic batch dimension, and prove that the file computes the same."""

import copy
import traceback
from typing import Any

import numpy as np
import onnx
import torch

from speedgrid import InputError
from speedgrid.data.sequence import images
from speedgrid.evidence import snr
from speedgrid.launcher.outputs import one_line, replacing, unmade
from speedgrid.machine.threads import shared_cores
from speedgrid.model import modules as models
from speedgrid.precision import torch_dtype

# The first opset with bf16 convolutions is 22; 20 is what every runtime here reads.
OPSETS = {"bf16": 22}
OPSET = 20
# The name of the batch dimension, which sessions give a size.
BATCH = "batch"
# Of the two images that the graph is traced and checked with; any will do.
SEED = 0
# Lowest SNR in dB against PyTorch in the same precision; two orders of rounding the same sum differ by this much.
LOWEST_SNR = {"fp32": 100.0, "fp16": 45.0}
# Deep models amplify rounding: PyTorch itself is 88 dB off float64 on a seeded ResNet-50 at 64 pixels. The file may be
# so many dB worse than that; two independent errors of one size are 3.
MARGIN_DB = 10.0


class ExportError(RuntimeError):
    """An ONNX file that is invalid or does not compute what the model does."""


def attempt(model: str, weights: str, precision: str, resolution: int, output: str) -> dict[str, Any]:
    """Return the description of an ONNX export, as of `export`, with `status` ok and an empty `reason`.

    A model that cannot be exported leaves an empty `output`; the status is then failed, and the cells that need the
    file show the reason.
    """
    try:
        return {"status": "ok", "reason": ""} | export(model, weights, precision, resolution, output)
    except InputError:
        raise
    except Exception as error:
        traceback.print_exc()
        return unmade(output, f"ONNX export: {one_line(error)}")


def export(model: str, weights: str, precision: str, resolution: int, output: str) -> dict[str, Any]:
    """Write `model` to the ONNX file `output` with tensors in `precision`, and return the checked file's description.

    Batch norms are folded in float32 before the conversion, which loses least. Input `images`
    [batch, 3, resolution, resolution], output `logits` [batch, classes]. Raises ExportError.
    """
    torch.set_num_threads(shared_cores())
    module = models.fold_batch_norm(models.load(model, weights)).to(torch_dtype(precision))
    example = torch.from_numpy(images(SEED, resolution, 0, 2)).to(torch_dtype(precision))
    opset = OPSETS.get(precision, OPSET)
    with replacing(output) as temporary:
        torch.onnx.export(
            module,
            (example,),
            str(temporary),
            dynamo=True,
            opset_version=opset,
            external_data=False,  # one file, which a checksum covers whole
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim(BATCH, min=1, max=4096)},),
            optimize=True,
            verify=False,  # torch's own check only logs; the one below refuses
        )
        onnx.checker.check_model(str(temporary), full_check=True)
        graph = onnx.load(str(temporary)).graph
        nodes: dict[str, int] = {}
        for node in graph.node:
            nodes[node.op_type] = nodes.get(node.op_type, 0) + 1
        snr_db = check(str(temporary), module, precision, resolution)
    return {"opset": opset, "nodes": nodes, "snr_db": snr_db}


def check(path: str, module, precision: str, resolution: int) -> float | None:
    """Return the SNR in dB of an ONNX file on ONNX Runtime's CPU provider against `module`, at another batch size.

    None for bf16, which that provider cannot run: it is compared when it is timed. Raises ExportError if too low.
    """
    if precision not in LOWEST_SNR:
        return None
    import onnxruntime as ort

    batch = images(SEED, resolution, 0, 3)
    with torch.inference_mode():
        expected = module(torch.from_numpy(batch).to(torch_dtype(precision))).double().numpy()
    options = ort.SessionOptions()
    options.intra_op_num_threads = shared_cores()
    # Blocking float16 convolutions for the CPU's caches kills the process on a vision transformer (1.30, 1.31).
    session = ort.InferenceSession(
        path, options, providers=["CPUExecutionProvider"], disabled_optimizers=["NchwcTransformer"]
    )
    given = batch.astype(np.float16 if precision == "fp16" else np.float32)
    outputs = session.run(None, {"images": given})[0].astype(np.float64)
    found = snr.snr_db(outputs, expected) if np.isfinite(outputs).all() else None
    if found is None or found < LOWEST_SNR[precision]:
        lowest = min(LOWEST_SNR[precision], own_snr(module, given, expected) - MARGIN_DB)
        if found is None or found < lowest:
            raise ExportError(
                f"{path} gives {'NaN' if found is None else f'{found:.0f} dB SNR'} against PyTorch in "
                f"{precision}; at least {lowest:.0f} dB is expected."
            )
    return found


def own_snr(module, batch: np.ndarray, outputs: np.ndarray) -> float:
    """Return the SNR in dB of a module's `outputs`, float64, against itself in float64 on the same images."""
    with torch.inference_mode():
        exact = copy.deepcopy(module).double()(torch.from_numpy(batch).double()).numpy()
    return snr.snr_db(outputs, exact)
