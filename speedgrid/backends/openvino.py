"""OpenVINO's own runtime on the CPU, reading the ONNX file.

Not through ONNX Runtime's plugin: that offers no device on processors that are not Intel's, which OpenVINO itself
runs on (https://github.com/microsoft/onnxruntime/pull/31981).
"""

from collections import Counter

from speedgrid.backends.session import (
    HostSession,
    Options,
    Quantised,
    Tensor,
    Tensors,
    UnsupportedError,
    float_type,
)
from speedgrid.precision import QUANTISED

PACKAGES = ("openvino", "onnx", "onnxscript")
IMPORTS = {"cpu": ("openvino",)}
ARTIFACT = "onnx"

# What the CPU plugin calls the precisions among its capabilities, and what each is asked for by.
CAPABILITIES = {"fp32": "FP32", "fp16": "FP16", "bf16": "BF16", "int8": "INT8"}
HINTS = {"fp16": "f16", "bf16": "bf16"}
# Layers that convolve or multiply matrices, as the plugin's runtime model names them, and its integers
# (https://docs.openvino.ai/2025/openvino-workflow/running-inference/inference-devices-and-modes/cpu-device.html).
PRODUCTS = ("Convolution", "Deconvolution", "FullyConnected", "MatMul", "ScaledDotProductAttention")
INTEGERS = ("u8", "i8")


def available(device: str) -> str | None:
    """Return why OpenVINO cannot run on `device`, or None."""
    if device != "cpu":
        return "OpenVINO runs on the CPU here; it has no NVIDIA GPU device"
    try:
        import openvino
    except ImportError as error:
        return f"OpenVINO is not installed: {error}"
    return None if "CPU" in openvino.Core().available_devices else "OpenVINO has no CPU device on this machine"


def unsupported(cell, device: str) -> str | None:
    """Return why OpenVINO cannot run a cell on `device`, or None."""
    if cell.precision not in CAPABILITIES:
        return f"OpenVINO has no {cell.precision} on a CPU"
    if CAPABILITIES[cell.precision] not in (found := offered()):
        return f"this CPU has no {cell.precision} arithmetic that OpenVINO uses; it offers {', '.join(sorted(found))}"
    return None


def offered() -> list[str]:
    """Return the types that OpenVINO's CPU plugin computes well on this CPU, with BF16 and INT8 where it has them."""
    import openvino

    return openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def load(cell, device: str, artifact: str, options: Options) -> "OpenVinoSession":
    """Compile the ONNX file `artifact` for the CPU and the cell's static shape. options: `cpu_threads`."""
    return OpenVinoSession(cell, artifact, options["cpu_threads"])


def executed(compiled) -> Counter[tuple[str, str]]:
    """Count a compiled model's nodes by (type of layer, precision), as the plugin says that it runs them."""
    found = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    return Counter((str(one["layerType"].astype(str)), str(one["runtimePrecision"].astype(str))) for one in found)


def quantised_nodes(nodes: Counter[tuple[str, str]]) -> Quantised:
    """Return how many convolutions and matrix products of a model execute in int8: `executed`, `of` and `types`.

    nodes: as of `executed`; a node's precision is the one it reads and multiplies.
    """
    products = {key: count for key, count in nodes.items() if key[0] in PRODUCTS}
    in_int8 = sum(count for (_, precision), count in products.items() if precision in INTEGERS)
    types = {f"{layer} {precision}": count for (layer, precision), count in products.items()}
    return {"executed": in_int8, "of": sum(products.values()), "types": types}


def tensors_of(ports) -> Tensors:
    """Return the inputs or outputs of a model by name. Raises UnsupportedError where a size is open."""
    found = {}
    for port in ports:
        if not port.partial_shape.is_static:
            has = f"{port.get_any_name()} depends on what is in an image: it has {port.partial_shape}"
            raise UnsupportedError(f"the size of its {has}")
        found[port.get_any_name()] = Tensor(tuple(port.shape), port.element_type.to_dtype().name)
    return found


class OpenVinoSession(HostSession):
    """One infer request on host buffers that OpenVINO shares."""

    def __init__(self, cell, artifact: str, cpu_threads: int):
        import openvino

        core = openvino.Core()
        model = core.read_model(artifact)
        model.reshape({port: [cell.batch_size, *list(port.partial_shape)[1:]] for port in model.inputs})
        inputs, outputs = tensors_of(model.inputs), tensors_of(model.outputs)
        # That of the file, in every precision.
        super().__init__(cell, inputs, outputs, float_type((*inputs.values(), *outputs.values()), "float32"))
        hints = {
            # Without this hint OpenVINO runs a float32 model in bf16 wherever the CPU has bf16 instructions. In int8
            # it is for what is not quantised, which other runtimes compute in float32 too.
            "INFERENCE_PRECISION_HINT": HINTS.get(cell.precision, "f32"),
            "INFERENCE_NUM_THREADS": cpu_threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = core.compile_model(model, "CPU", hints)
        self.request = compiled.create_infer_request()
        for number, one in enumerate(self.inputs.values()):
            self.request.set_input_tensor(number, openvino.Tensor(one, shared_memory=True))
        for number, one in enumerate(self.results.values()):
            self.request.set_output_tensor(number, openvino.Tensor(one, shared_memory=True))
        nodes = executed(compiled)
        self.details = {
            "version": openvino.__version__,
            "executes_on": core.get_property("CPU", "FULL_DEVICE_NAME"),
            "coverage_percent": 100.0,  # compiled for one device: what it cannot run is an error
            "nodes_per_precision": dict(Counter(precision for _, precision in nodes.elements())),
            "hints": hints,
        }
        if cell.precision in QUANTISED:
            self.details["quantised_nodes"] = quantised_nodes(nodes)

    def run(self):
        self.request.infer()
