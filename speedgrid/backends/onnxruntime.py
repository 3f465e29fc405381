"""ONNX Runtime: its CUDA provider through IO binding on GPU memory, or its CPU provider."""

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speedgrid.backends import settings
from speedgrid.backends.session import (
    DeviceSession,
    HostSession,
    Options,
    Quantised,
    Session,
    Tensor,
    Tensors,
    UnsupportedError,
    float_type,
)
from speedgrid.machine import device as devices
from speedgrid.precision import QUANTISED

if TYPE_CHECKING:
    import torch

PACKAGES = ("onnxruntime-gpu", "onnxruntime", "torch", "nvidia-cudnn-cu13", "onnx", "onnxscript")
IMPORTS = {"cuda": ("torch", "speedgrid.backends.cudnn_libraries", "onnxruntime"), "cpu": ("onnxruntime", "onnx")}
ARTIFACT = "onnx"

# The CPU provider's operators that multiply integers, and those that multiply floats
# (https://github.com/microsoft/onnxruntime/blob/main/docs/OperatorKernels.md and docs/ContribOperators.md).
INTEGER_PRODUCTS = (
    "QLinearConv",
    "QLinearMatMul",
    "QGemm",
    "QAttention",
    "ConvInteger",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
)
FLOAT_PRODUCTS = (
    "Conv",
    "FusedConv",
    "NhwcFusedConv",
    "ConvTranspose",
    "Gemm",
    "FusedGemm",
    "MatMul",
    "FusedMatMul",
    "Einsum",
    "Attention",
    "MultiHeadAttention",
)
TENSORS = {"tensor(float)": "float32", "tensor(double)": "float64"}
PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
# How ONNX Runtime names an operator that no provider has in the types of its tensors.
NOWHERE = re.compile(r"(?:Provider type for|an implementation for) (\w+)")
# The batch dimension of a file, as speedgrid.builders.onnx_export names it.
BATCH = "batch"
# The CUDA provider's own graph: it captures after regular runs, the first of which allocate
# (https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#using-cuda-graphs-preview).
RUNS_BEFORE_REPLAY = 3


def available(device: str) -> str | None:
    """Return why ONNX Runtime cannot run on `device`, or None."""
    if reason := devices.missing(device):
        return reason
    try:
        import onnxruntime
    except ImportError as error:
        return f"ONNX Runtime is not installed: {error}"
    if PROVIDERS[device] not in onnxruntime.get_available_providers():
        return f"this ONNX Runtime build has no {PROVIDERS[device]}; install onnxruntime-gpu"
    return None


def unsupported(cell, device: str) -> str | None:
    """Return why ONNX Runtime cannot run a cell on `device`, or None."""
    if device == "cpu" and settings(cell.backend):
        return f"the settings of {cell.backend} are those of ONNX Runtime's CUDA provider; its CPU provider has none"
    if device == "cpu" and cell.precision not in ("fp32", "int8"):
        return f"ONNX Runtime's CPU provider has no {cell.precision} convolution of its own"
    if device == "cuda" and cell.precision in QUANTISED:
        return f"ONNX Runtime's CUDA provider has no {cell.precision} convolution; it would only emulate it with floats"
    return None


def load(cell, device: str, artifact: str, options: Options) -> Session:
    """Open a session on the ONNX file `artifact` that refuses to leave the device.

    options: `cpu_threads`, and under `settings` what `provider_options` reads on CUDA.
    """
    if device == "cpu":
        return CpuSession(cell, artifact, options["cpu_threads"])
    asked = provider_options(cell.precision, options["settings"])
    return CudaSession(cell, artifact, PROVIDERS["cuda"], asked, replays="enable_cuda_graph" in asked)


def session_options(batch_size: int, cpu_threads: int | None = None):
    """Return SessionOptions for one batch size, with all optimisations and node assignments recorded."""
    import onnxruntime as ort

    asked = ort.SessionOptions()
    asked.log_severity_level = 3
    asked.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    asked.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    # The cell's shape is static. With a free batch size, transformers compute shapes at run time, which ONNX Runtime
    # wants on the CPU: then no session of theirs is on the GPU alone.
    asked.add_free_dimension_override_by_name(BATCH, batch_size)
    if cpu_threads:
        asked.intra_op_num_threads = cpu_threads
        asked.inter_op_num_threads = 1
    return asked


def provider_options(precision: str, settings: dict[str, Any]) -> dict[str, str]:
    """Return the CUDA provider's options for a precision, but for device and stream.

    settings: of a variant: `prefer_nhwc`, the precisions whose convolutions run in NHWC; `cudnn_conv_algo_search`;
    `enable_cuda_graph`. What is not set keeps ONNX Runtime's default.
    """
    # Only strict fp32 may not use tensor cores; for fp16 this option would take them away too.
    options = {"use_tf32": "0" if precision == "fp32" else "1"}
    if precision in settings.get("prefer_nhwc", ()):
        options["prefer_nhwc"] = "1"
    if search := settings.get("cudnn_conv_algo_search"):
        options["cudnn_conv_algo_search"] = search
    if settings.get("enable_cuda_graph"):
        options["enable_cuda_graph"] = "1"
    return options


def describe(session, provider: str) -> dict[str, Any]:
    """Return ONNX Runtime's version and how many nodes each execution provider took, by the session's own account.

    coverage_percent: the share of nodes that `provider` took.
    """
    import onnxruntime as ort

    nodes: Counter[str] = Counter()
    for graph in session.get_provider_graph_assignment_info():
        nodes[graph.ep_name] += len(graph.get_nodes())
    share = 100 * nodes[provider] / nodes.total()
    return {"version": ort.__version__, "nodes_per_provider": dict(nodes), "coverage_percent": share}


def require_provider(details: dict[str, Any], provider: str) -> None:
    """Raise RuntimeError unless every node of a session runs on `provider`."""
    if set(details["nodes_per_provider"]) != {provider}:
        raise RuntimeError(f"asked for {provider}, but nodes were assigned as {details['nodes_per_provider']}")


def lacking(error: Exception, artifact: str, batch_size: int, provider: str) -> str:
    """Return the operators of a file that `provider` does not run, "" if it runs them all.

    error: that of a session which may not run any of them elsewhere. It names an operator that is nowhere; one that
    other providers have is named only by a session that may use them.
    """
    import onnx
    import onnxruntime as ort

    if nowhere := NOWHERE.search(str(error)):
        names = [nowhere[1]]
    else:
        session = ort.InferenceSession(artifact, session_options(batch_size), providers=[provider], enable_fallback=0)
        names = left_out(session, provider)
    opset = next(one.version for one in onnx.load(artifact).opset_import if not one.domain)
    return f"{', '.join(names)} of opset {opset}" if names else ""


def left_out(session, provider: str) -> list[str]:
    """Return the types of the nodes that a session gave to other providers than `provider`."""
    graphs = session.get_provider_graph_assignment_info()
    return sorted({node.op_type for graph in graphs if graph.ep_name != provider for node in graph.get_nodes()})


def quantised_nodes(optimised: str) -> Quantised:
    """Return how many convolutions and matrix products of a session execute in int8: `executed`, `of` and `types`.

    optimised: the file of the graph that the session made of its model, the one that it runs.
    """
    import onnx

    nodes = Counter(node.op_type for node in onnx.load(optimised).graph.node)
    types = {name: count for name, count in nodes.items() if name in (*INTEGER_PRODUCTS, *FLOAT_PRODUCTS)}
    executed = sum(count for name, count in types.items() if name in INTEGER_PRODUCTS)
    return {"executed": executed, "of": sum(types.values()), "types": types}


class CpuSession(HostSession):
    """The CPU provider, with input and output bound to host memory."""

    def __init__(self, cell, artifact: str, cpu_threads: int):
        import onnxruntime as ort

        asked = session_options(cell.batch_size, cpu_threads)
        with tempfile.TemporaryDirectory() as folder:
            if cell.precision in QUANTISED:
                asked.optimized_model_filepath = str(Path(folder, "optimised.onnx"))
            session = ort.InferenceSession(artifact, asked, providers=[PROVIDERS["cpu"]], enable_fallback=0)
            quantised = quantised_nodes(asked.optimized_model_filepath) if cell.precision in QUANTISED else None
        inputs, outputs = tensors_of(session.get_inputs(), cell), tensors_of(session.get_outputs(), cell)
        super().__init__(cell, inputs, outputs, float_type((*inputs.values(), *outputs.values()), "float32"))
        self.details = describe(session, PROVIDERS["cpu"]) | ({"quantised_nodes": quantised} if quantised else {})
        require_provider(self.details, PROVIDERS["cpu"])
        self.session, self.binding = session, session.io_binding()
        for name, one in self.inputs.items():
            self.binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(one))
        for name, one in self.results.items():
            self.binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(one))

    def run(self):
        self.session.run_with_iobinding(self.binding)


def tensors_of(ends, cell) -> Tensors:
    """Return the inputs or outputs of a session by name, with the cell's batch size where theirs is open.

    Raises UnsupportedError where another size is: there is nothing to bind then.
    """
    found = {}
    for one in ends:
        shape = [cell.batch_size if axis == BATCH else axis for axis in one.shape]
        if not all(isinstance(axis, int) for axis in shape):
            raise UnsupportedError(f"the size of its {one.name} depends on what is in an image: it has {one.shape}")
        found[one.name] = Tensor(tuple(shape), TENSORS.get(one.type, one.type[len("tensor(") : -1]))
    return found


class CudaSession(DeviceSession):
    """A provider on a torch stream, with input and output bound to torch tensors on the GPU.

    options: the provider's, but for device and stream. replays: the provider captures a CUDA graph itself.
    """

    stream: "torch.cuda.Stream"

    def __init__(self, cell, artifact: str, provider: str, options: dict[str, str], replays: bool):
        # torch comes first: its CUDA libraries are the ones that the provider then finds loaded.
        import torch  # isort: skip
        import onnxruntime as ort
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, NotImplemented

        super().__init__(cell)
        self.stream = torch.cuda.Stream()
        asked = session_options(cell.batch_size)
        asked.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            self.session = ort.InferenceSession(
                artifact, asked, providers=[(provider, options | self.place())], enable_fallback=0
            )
        except (Fail, NotImplemented) as error:
            if operators := lacking(error, artifact, cell.batch_size, provider):
                raise UnsupportedError(f"ONNX Runtime's {provider} runs no {operators} in {cell.precision}") from error
            raise
        self.details = describe(self.session, provider) | {"provider_options": options}
        require_provider(self.details, provider)
        self.bind()
        if replays:
            for _ in range(RUNS_BEFORE_REPLAY):
                self.run()
            self.synchronize()

    def place(self) -> dict[str, str]:
        """Return the provider options that say where to run: the GPU and our stream."""
        import torch

        return {
            "device_id": str(torch.cuda.current_device()),
            "has_user_compute_stream": "1",
            "user_compute_stream": str(self.stream.cuda_stream),
        }

    def bind(self):
        """Make input and output tensors on the GPU, and bind the session to them."""
        import onnxruntime as ort
        import torch

        ends = (self.session.get_inputs(), self.session.get_outputs())
        self.allocate(*(tensors_of(one, self.cell) for one in ends))
        torch.cuda.synchronize()
        self.binding = self.session.io_binding()
        for name, one in self.inputs.items():
            self.binding.bind_ortvalue_input(name, ort.OrtValue.from_dlpack(one))
        for name, one in self.results.items():
            self.binding.bind_ortvalue_output(name, ort.OrtValue.from_dlpack(one))
        # The run only enqueues on our stream; timing waits for the stream, as with every other backend.
        self.run_options = ort.RunOptions()
        self.run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def run(self):
        self.session.run_with_iobinding(self.binding, self.run_options)
