"""Make an int8 ONNX file of a float32 one, by static quantisation with calibration images."""

import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from speedgrid import InputError
from speedgrid.evidence.snr import snr_db
from speedgrid.launcher.outputs import one_line, replacing, unmade
from speedgrid.launcher.reading import read_onnx
from speedgrid.machine.proc import CPUINFO, lines

# Pixels of one calibration call: as of four images at 224. Every activation of a call is in memory at once.
CALL_PIXELS = 4 * 224**2
# Pixels of the whole calibration: as of 128 images at 224. Large images have enough for their ranges in fewer.
PIXELS = 128 * 224**2
FEWEST = 16
# Images that tell what the integers cost.
COMPARED = 16
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def attempt(source: str, images: np.ndarray, output: str) -> dict[str, Any]:
    """Return the description of a quantised file, as of `quantize`, with `status` ok and an empty `reason`.

    Where it cannot be done, `output` is empty, and the cells of the file show that status and reason.
    """
    try:
        return {"status": "ok", "reason": ""} | quantize(source, images, output)
    except InputError:
        raise
    except Exception as error:
        traceback.print_exc()
        return unmade(output, f"int8 quantisation: {one_line(error)}")


def quantize(source: str, images: np.ndarray, output: str) -> dict[str, Any]:
    """Write the float32 ONNX file `source` to `output` with int8 arithmetic, and return the new file's description.

    images: of calibration, float32 [count, 3, resolution, resolution]; none of them may be one that accuracy is
    measured on. Activations are unsigned, with a scale for each tensor from the smallest and largest numbers that the
    images give; weights are signed, with a scale for each output channel. That is what the kernels of CPUs multiply
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "Method selection"). Q and DQ nodes
    stand around every operator that a runtime may compute in int8; whether it does is its choice, which its sessions
    report. Inputs and outputs stay float32. Where this CPU saturates, weights have 7 bits, as that page advises.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    require_export(source)
    reader, started, narrow = Reader(images), time.perf_counter(), saturates()
    with replacing(output) as temporary, tempfile.TemporaryDirectory() as folder:
        prepared = str(Path(folder, "prepared.onnx"))
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            str(temporary),
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=narrow,
            calibrate_method=CalibrationMethod.MinMax,
        )
    seconds = time.perf_counter() - started
    graph = onnx.load(output).graph
    return {
        "build_seconds": round(seconds, 3),
        "calibration_images": reader.count,
        "weight_bits": 7 if narrow else 8,
        "nodes": dict(Counter(node.op_type for node in graph.node)),
        "offered_nodes": offered(graph),
        "expected_snr_db": emulated_snr(source, output, images[:COMPARED]),
    }


def require_export(source: str) -> None:
    """Raise ValueError if an ONNX file is empty, and speedgrid.launcher.reading.FileError if it is damaged."""
    if not Path(source).stat().st_size:
        raise ValueError(f"{source} is empty, because the model was not exported.")
    read_onnx(source)


def saturates() -> bool:
    """Tell if this CPU adds pairs of products of 8-bit integers in 16 bits, cutting off what does not fit.

    x86 does without VNNI: 2 x 255 x 127 becomes 32767, in ONNX Runtime as in OpenVINO. With weights of 7 bits it fits.
    On an EPYC with AVX2 alone it costs a seeded ResNet-18 of 64 pixels 5.6 dB of 20.4, and the seventh bit 2.8.
    """
    told = lines(CPUINFO)
    flags = next((set(line.split()) for line in told if line.startswith("flags")), None)  # ARM calls them otherwise
    return flags is not None and not flags & {"avx512_vnni", "avx_vnni"}


def emulated_snr(source: str, quantised: str, images: np.ndarray) -> float:
    """Return the SNR in dB of a quantised file's outputs beside those of the float32 file that it was made of.

    Its Q and DQ nodes are followed one by one, in floats, as the ONNX standard defines them: what any runtime that
    multiplies integers has to come close to. images: float32 [count, 3, resolution, resolution].
    """
    exact, rounded = (run_as_written(file, images) for file in (source, quantised))
    return snr_db(rounded, exact)


def run_as_written(file: str, images: np.ndarray) -> np.ndarray:
    """Return a file's outputs for `images`, float64 [count, classes], with no node fused or replaced."""
    import onnxruntime as ort

    asked = ort.SessionOptions()
    asked.log_severity_level = 3
    asked.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(file, asked, providers=["CPUExecutionProvider"])
    reader = Reader(images)
    return np.concatenate([session.run(None, part)[0] for part in iter(reader.get_next, None)]).astype(np.float64)


def offered(graph: onnx.GraphProto) -> dict[str, int]:
    """Return how many convolutions and matrix products of a file have integers for both factors: `offered`, `of`."""
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    products = [node for node in graph.node if node.op_type in PRODUCTS]
    integers = [all(made_by.get(name) == "DequantizeLinear" for name in node.input[:2]) for node in products]
    return {"offered": sum(integers), "of": len(products)}


class Reader:
    """Hands calibration images to ONNX Runtime, a few at a time, as its CalibrationDataReader does."""

    def __init__(self, images: np.ndarray):
        pixels = images.shape[2] * images.shape[3]
        self.images, self.start = images, 0
        self.count = min(len(images), max(FEWEST, PIXELS // pixels))
        self.size = max(1, CALL_PIXELS // pixels)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the input of the next call, or None after the last."""
        if self.start >= self.count:
            return None
        part = np.array(self.images[self.start : min(self.start + self.size, self.count)])
        self.start += self.size
        return {"images": part}
