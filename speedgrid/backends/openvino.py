"""OpenVINO's own runtime on the CPU, reading the ONNX file.

Not through ONNX Runtime's plugin: that offers no device on processors that are not Intel's, which OpenVINO itself
runs on (https://github.com/microsoft/onnxruntime/pull/31981).
"""

from collections import Counter

from speedgrid.backends.session import HostSession

PACKAGES = ("openvino", "onnx", "onnxscript")
CODE = ("backends/openvino",)
IMPORTS = {"cpu": ("openvino",)}
ARTIFACT = "onnx"


def available(device: str) -> str | None:
    """Return why this backend cannot run here, or None."""
    if device != "cpu":
        return "OpenVINO runs on the CPU here; it has no NVIDIA GPU device"
    try:
        import openvino
    except ImportError as error:
        return f"OpenVINO is not installed: {error}"
    return None if "CPU" in openvino.Core().available_devices else "OpenVINO has no CPU device on this machine"


def unsupported(cell, device: str) -> str | None:
    """Return why this backend cannot do this cell, or None."""
    return None if cell.precision == "fp32" else f"OpenVINO is set up for fp32 here, not {cell.precision}"


def load(cell, device: str, artifact: str, options: dict) -> "OpenVinoSession":
    """Compile the ONNX file `artifact` for the CPU and the cell's static shape. options: `cpu_threads`."""
    return OpenVinoSession(cell, artifact, options["cpu_threads"])


class OpenVinoSession(HostSession):
    """One infer request on host buffers that OpenVINO shares."""

    def __init__(self, cell, artifact: str, cpu_threads: int):
        import openvino

        core = openvino.Core()
        model = core.read_model(artifact)
        super().__init__(cell, classes=model.outputs[0].partial_shape[1].get_length())
        model.reshape(list(self.shape))
        hints = {
            # Without this hint OpenVINO runs a float32 model in bf16 wherever the CPU has bf16 instructions.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": cpu_threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = core.compile_model(model, "CPU", hints)
        self.request = compiled.create_infer_request()
        self.request.set_input_tensor(0, openvino.Tensor(self.input, shared_memory=True))
        self.request.set_output_tensor(0, openvino.Tensor(self.result, shared_memory=True))
        precisions = Counter(
            str(node.get_rt_info()["runtimePrecision"].astype(str)) for node in compiled.get_runtime_model().get_ops()
        )
        self.details = {
            "version": openvino.__version__,
            "executes_on": core.get_property("CPU", "FULL_DEVICE_NAME"),
            "coverage_percent": 100.0,  # compiled for one device: what it cannot run is an error
            "nodes_per_precision": dict(precisions),
            "hints": hints,
        }

    def run(self):
        self.request.infer()
