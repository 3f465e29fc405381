"""The outputs of an ONNX file as it is written: ONNX Runtime's CPU provider, with no node fused or replaced."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from speedgrid.data import arrays
from speedgrid.machine.threads import shared_cores

# Rows of one call.
CALL = 4


def session_of(model: str | bytes, optimised: bool = False, threads: int | None = None):
    """Return a session of an ONNX file, or of its bytes, with all optimisations on or off.

    threads: of one call; by default as many as work shares.
    """
    import onnxruntime as ort

    asked = ort.SessionOptions()
    asked.log_severity_level = 3
    asked.intra_op_num_threads = threads or shared_cores()
    level = ort.GraphOptimizationLevel
    asked.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    return ort.InferenceSession(model, asked, providers=["CPUExecutionProvider"])


def run(
    model: str | bytes, inputs: Mapping[str, np.ndarray], fixed: int | None = None, optimised: bool = False
) -> dict[str, np.ndarray]:
    """Return the outputs of a file for inputs, both by name, with the image as first axis; one without a name is all.

    fixed: the batch size that the file has; images of a last call that is not full are repeated. Raises what ONNX
    Runtime raises.
    """
    session = session_of(model, optimised)
    if "" in inputs:
        inputs = {session.get_inputs()[0].name: inputs[""]}
    count = len(next(iter(inputs.values())))
    size = fixed or CALL
    names = [one.name for one in session.get_outputs()]
    parts: dict[str, list[Any]] = {name: [] for name in names}
    for start in range(0, count, size):
        rows = np.arange(start, start + size) % count if fixed else np.arange(start, min(start + size, count))
        found = session.run(names, {name: np.ascontiguousarray(one[rows]) for name, one in inputs.items()})
        for name, one in zip(names, found, strict=True):
            parts[name].append(one[: count - start] if fixed else one)
    return {name: np.concatenate(each) for name, each in parts.items()}


def answers(model: str | bytes, rows: np.ndarray, fixed: int | None = None) -> np.ndarray:
    """Return the outputs of a file for rows of inputs, in float64: an array, or a structured one of several."""
    found = run(model, arrays.fields(rows), fixed)
    return arrays.joined({name: one.astype(np.float64) for name, one in found.items()})
