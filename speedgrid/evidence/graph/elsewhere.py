"""Single nodes of a graph on ONNX Runtime's CPU provider, in float32: those that nothing else here computes."""

from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference.op_run import OpRun


def by_onnxruntime(operator: OpRun, *given: np.ndarray | None) -> tuple[np.ndarray, ...]:
    """Return the outputs of a node for its inputs, with floats of the type of the widest; computed in float32.

    What was rounded so is in `operator.rounded`. Raises what ONNX Runtime raises.
    """
    present = [one for one in given if one is not None]
    narrow = [one.astype(np.float32) if one.dtype == np.float64 else one for one in present]
    key = tuple((one.dtype.str, one.shape) for one in narrow)
    sessions: dict[Any, Any] = operator.__dict__.setdefault("sessions", {})
    if key not in sessions:
        sessions[key] = session_of(operator, given, narrow)
    made = sessions[key].run(None, {f"x{number}": one for number, one in enumerate(narrow)})
    operator.rounded = any(one.dtype == np.float32 for one in made)
    wide = np.float64 if any(one.dtype == np.float64 for one in present) else np.float32
    return tuple(one.astype(wide) if one.dtype == np.float32 else one for one in made)


def session_of(operator: OpRun, given: tuple[np.ndarray | None, ...], narrow: list[np.ndarray]):
    """Return a session of a model of one node. given: its inputs, None of those left out. narrow: as they are fed."""
    import onnxruntime as ort

    node = onnx.NodeProto()
    node.CopyFrom(operator.onnx_node)
    names = iter(range(len(narrow)))
    del node.input[:]
    node.input.extend("" if one is None else f"x{next(names)}" for one in given)
    inputs = [
        helper.make_tensor_value_info(f"x{number}", helper.np_dtype_to_tensor_dtype(one.dtype), one.shape)
        for number, one in enumerate(narrow)
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    domains = [helper.make_opsetid(domain, version) for domain, version in operator.run_params["opsets"].items()]
    model = helper.make_model(helper.make_graph([node], "node", inputs, outputs), opset_imports=domains, ir_version=10)
    asked = ort.SessionOptions()
    asked.log_severity_level, asked.intra_op_num_threads = 3, 1
    return ort.InferenceSession(model.SerializeToString(), asked, providers=["CPUExecutionProvider"])


def unknown(domain: str, name: str) -> type[OpRun]:
    """Return a class, as onnx.reference wants it, of an operator that it does not know."""

    def run(self, *given, **_):
        return by_onnxruntime(self, *given)

    return type(name, (OpRun,), {"op_domain": domain, "_run": run})
