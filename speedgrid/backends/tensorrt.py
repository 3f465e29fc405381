"""TensorRT's own runtime: an engine that speedgrid.builders.tensorrt built from the ONNX file, as trtexec runs it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from speedgrid.backends import tensorrt_api
from speedgrid.backends.cuda_graph import GraphSession
from speedgrid.backends.session import DeviceSession, Options, Session, Tensor
from speedgrid.machine import device as devices
from speedgrid.machine import environment
from speedgrid.precision import QUANTISED

if TYPE_CHECKING:
    import torch

PACKAGES = ("tensorrt", "tensorrt-rtx-cu13-libs", "torch")
IMPORTS = {"cuda": ("torch", "speedgrid.backends.tensorrt_libraries")}
ARTIFACT = "tensorrt"


def available(device: str) -> str | None:
    """Return why TensorRT cannot run on `device`, or None."""
    if device != "cuda":
        return "TensorRT needs an NVIDIA GPU"
    if reason := devices.missing(device):
        return reason
    try:
        tensorrt_api.bindings()
    except Exception as error:  # a package without its libraries raises what it likes
        return f"TensorRT's Python package cannot be imported ({error}); install tensorrt-rtx or tensorrt"
    return None


def unsupported(cell, device: str) -> str | None:
    """Return why TensorRT cannot run a cell on `device`, or None."""
    if cell.precision in QUANTISED:
        return f"no ONNX file with {cell.precision} for TensorRT's rules is made here; torch_tensorrt quantises its own"
    return None


def load(cell, device: str, artifact: str, options: Options) -> Session:
    """Load the engine in `artifact`; its static shape is the cell's. options: `cuda_graph` in `settings`."""
    session = EngineSession(cell, artifact)
    return GraphSession(session) if options["settings"]["cuda_graph"] else session


class EngineSession(DeviceSession):
    """An execution context on a torch stream, with input and output bound to torch tensors on the GPU."""

    stream: "torch.cuda.Stream"

    def __init__(self, cell, artifact: str):
        import torch

        super().__init__(cell)
        self.stream = torch.cuda.Stream()
        api = tensorrt_api.bindings()
        self.log = tensorrt_api.make_log(api)
        self.runtime = api.Runtime(self.log)  # an engine needs its runtime for as long as it lives
        loaded = self.runtime.deserialize_cuda_engine(Path(artifact).read_bytes())
        self.engine = tensorrt_api.must(loaded, self.log, f"load {artifact}")
        self.context = tensorrt_api.must(make_context(api, self.engine), self.log, f"run {artifact}")
        self.bind(api)
        self.details = {
            "version": environment.versions(("tensorrt", "tensorrt-rtx-cu13-libs")) or api.__version__,
            "executes_on": torch.cuda.get_device_name(),
            "coverage_percent": 100.0,  # an engine is the whole model
            "layers": self.engine.num_layers,
            "cuda_graph": False,
        }

    def bind(self, api):
        """Make input and output tensors of the engine's own types, and give the context their addresses."""
        import torch

        names = [self.engine.get_tensor_name(index) for index in range(self.engine.num_io_tensors)]
        sources = [name for name in names if self.engine.get_tensor_mode(name) == api.TensorIOMode.INPUT]
        for name in sources:
            shape = (self.cell.batch_size, *tuple(self.engine.get_tensor_shape(name))[1:])
            tensorrt_api.must(self.context.set_input_shape(name, shape), self.log, f"take input of {shape}")
        types = tensor_types(api)
        ends = {
            name: Tensor(tuple(self.context.get_tensor_shape(name)), types[self.engine.get_tensor_dtype(name)])
            for name in names
        }
        inputs = {name: ends.pop(name) for name in sources}
        self.allocate(inputs, ends)
        for name, tensor in (self.inputs | self.results).items():
            self.context.set_tensor_address(name, tensor.data_ptr())
        torch.cuda.synchronize()

    def run(self):
        if not self.context.execute_async_v3(self.stream.cuda_stream):
            tensorrt_api.must(None, self.log, "enqueue the engine")


def tensor_types(api) -> dict[Any, str]:
    """Return the names that torch gives TensorRT's types of tensors; which there are depends on its version."""
    names = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "INT64": "int64", "INT32": "int32"}
    names |= {"UINT8": "uint8", "INT8": "int8", "BOOL": "bool"}
    return {getattr(api.DataType, name): kind for name, kind in names.items() if hasattr(api.DataType, name)}


def make_context(api, engine):
    """Return an execution context whose kernels are all final after the first call.

    TensorRT-RTX else runs general kernels while it compiles those for the shape in the background.
    """
    strategy = getattr(api, "DynamicShapesKernelSpecializationStrategy", None)
    if strategy is None:
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = strategy.EAGER
    return engine.create_execution_context(config)
