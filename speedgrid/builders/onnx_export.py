"""Export a model to ONNX with a dynamic batch dimension, and prove that the file computes the same."""

import copy
import traceback
from typing import Any

import numpy as np
import onnx
import torch

from speedgrid import InputError
from speedgrid.data.resolution import Resolution
from speedgrid.evidence import parity
from speedgrid.launcher.outputs import one_line, replacing, unmade
from speedgrid.machine.threads import shared_cores
from speedgrid.model import modules as models
from speedgrid.model import tensors
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


def attempt(model: str, weights: str, precision: str, resolution: Resolution, output: str) -> dict[str, Any]:
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
        # The exporter's own sentence is how to report a bug to PyTorch; what it met is the cause.
        return unmade(output, f"ONNX export: {one_line(error.__cause__ or error)}")


def export(model: str, weights: str, precision: str, resolution: Resolution, output: str) -> dict[str, Any]:
    """Write `model` to the ONNX file `output` with tensors in `precision`, and return the checked file's description.

    Batch norms are folded in float32 before the conversion, which loses least. Input `images`
    [batch, 3, height, width], output `logits` [batch, classes]. Raises ExportError.
    """
    torch.set_num_threads(shared_cores())
    module = models.fold_batch_norm(models.load(model, weights)).to(torch_dtype(precision))
    example = models.rows_of(model, SEED, resolution, 0, 2)
    given = tuple(tensors.fed(example, torch_dtype(precision)))
    with torch.inference_mode():
        answers = list(tensors.tensors(module(*given)))
    opset = OPSETS.get(precision, OPSET)
    with replacing(output) as temporary:
        torch.onnx.export(
            module,
            given,
            str(temporary),
            dynamo=True,
            opset_version=opset,
            external_data=False,  # one file, which a checksum covers whole
            input_names=[one.name for one in tensors.inputs_of(model, resolution)],
            output_names=[name or "logits" for name in answers],
            dynamic_shapes=dynamic(module, len(given)),
            optimize=True,
            verify=False,  # torch's own check only logs; the one below refuses
        )
        onnx.checker.check_model(str(temporary), full_check=True)
        graph = onnx.load(str(temporary)).graph
        nodes: dict[str, int] = {}
        for node in graph.node:
            nodes[node.op_type] = nodes.get(node.op_type, 0) + 1
        snr_db = check(str(temporary), module, precision, models.rows_of(model, SEED, resolution, 0, 3))
    return {"opset": opset, "nodes": nodes, "snr_db": snr_db}


def dynamic(module, count: int) -> Any:
    """Return the batch dimension of each input as torch.onnx.export wants it: as the module's parameters are."""
    return tuple({0: torch.export.Dim(BATCH, min=1, max=4096)} for _ in range(count))


def check(path: str, module, precision: str, batch: np.ndarray) -> float | None:
    """Return the SNR in dB of an ONNX file on ONNX Runtime's CPU provider against `module`, at another batch size.

    batch: rows of inputs. Of several outputs the worst counts. None for bf16, which that provider cannot run: it is
    compared when it is timed. Raises ExportError if too low.
    """
    if precision not in LOWEST_SNR:
        return None
    import onnxruntime as ort

    given = tensors.fed(batch, torch_dtype(precision))
    with torch.inference_mode():
        expected = flat(tensors.tensors(module(*given)))
    options = ort.SessionOptions()
    options.intra_op_num_threads = shared_cores()
    # Blocking float16 convolutions for the CPU's caches kills the process on a vision transformer (1.30, 1.31).
    session = ort.InferenceSession(
        path, options, providers=["CPUExecutionProvider"], disabled_optimizers=["NchwcTransformer"]
    )
    named = {one.name: value.numpy() for one, value in zip(session.get_inputs(), given, strict=True)}
    outputs = [one.astype(np.float64).reshape(len(one), -1) for one in session.run(None, named)]
    finite = all(np.isfinite(one).all() for one in outputs)
    found = min(map(parity.snr_db, outputs, expected)) if finite else None
    if found is None or found < LOWEST_SNR[precision]:
        lowest = min(LOWEST_SNR[precision], own_snr(module, given, expected) - MARGIN_DB)
        if found is None or found < lowest:
            raise ExportError(
                f"{path} gives {'NaN' if found is None else f'{found:.0f} dB SNR'} against PyTorch in "
                f"{precision}; at least {lowest:.0f} dB is expected."
            )
    return found


def own_snr(module, given: list[torch.Tensor], outputs: list[np.ndarray]) -> float:
    """Return the SNR in dB of a module's `outputs`, float64, against itself in float64: of the worst of them."""
    with torch.inference_mode():
        doubled = [one.double() if one.is_floating_point() else one for one in given]
        exact = flat(tensors.tensors(copy.deepcopy(module).double()(*doubled)))
    return min(map(parity.snr_db, outputs, exact))


def flat(found: dict[str, torch.Tensor]) -> list[np.ndarray]:
    """Return outputs in float64, [images, numbers] each."""
    return [one.double().flatten(1).numpy() for one in found.values()]
