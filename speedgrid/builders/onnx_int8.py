"""Make an int8 ONNX file of a float32 one, by static quantisation with calibration images."""

import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter

from speedgrid import InputError
from speedgrid.data import arrays
from speedgrid.evidence.parity import snr_db
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
# The first opset in which a tensor has a scale for each channel (https://onnx.ai/onnx/operators, DequantizeLinear).
OPSET = 13
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

    images: of calibration, an array of the only input or a structured one with a field for each (see
    speedgrid.data.arrays), the image first; none of them may be one that accuracy is measured on. Activations are
    unsigned, with a scale for each tensor from the smallest and largest numbers that the images give; weights are
    signed, with a scale for each output channel. That is what the kernels of CPUs multiply
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "Method selection"). Q and DQ nodes
    stand around every operator that a runtime may compute in int8; whether it does is its choice, which its sessions
    report. Inputs and outputs keep their types; a file of an opset that has no scales for channels is brought to one
    that has. Where this CPU saturates, weights have 7 bits, as that page advises.
    """
    require_export(source)
    reader, started, narrow = Reader(images, source), time.perf_counter(), saturates()
    with replacing(output) as temporary, tempfile.TemporaryDirectory() as folder:
        write_quantised(renewed(source, folder), reader, narrow, folder, str(temporary))
    seconds = time.perf_counter() - started
    graph = onnx.load(output).graph
    known = emulated_snr(source, output, images[:COMPARED])
    return {
        "build_seconds": round(seconds, 3),
        "calibration_images": reader.count,
        "weight_bits": 7 if narrow else 8,
        "nodes": dict(Counter(node.op_type for node in graph.node)),
        "offered_nodes": offered(graph),
        "expected_snr_db": min(known.values()),
        **({"outputs_snr_db": known} if len(known) > 1 else {}),
    }


def write_quantised(source: str, reader: "Reader", narrow: bool, folder: str, output: str) -> None:
    """Write the file `source` with Q and DQ nodes to `output`; what is prepared for that goes to a folder.

    narrow: weights have 7 bits.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = str(Path(folder, "prepared.onnx"))
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        output,
        reader,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        reduce_range=narrow,
        calibrate_method=CalibrationMethod.MinMax,
    )


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


def renewed(source: str, folder: str) -> str:
    """Return the path of a file of OPSET at least: the given one, or a converted copy in a folder."""
    model = read_onnx(source)
    if next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), OPSET) >= OPSET:
        return source
    onnx.save(onnx.version_converter.convert_version(model, OPSET), path := str(Path(folder, "renewed.onnx")))
    return path


def emulated_snr(source: str, quantised: str, images: np.ndarray) -> dict[str, float]:
    """Return the SNR in dB of a quantised file's outputs of floats beside those of the file that it was made of.

    Its Q and DQ nodes are followed one by one, in floats, as the ONNX standard defines them: what any runtime that
    multiplies integers has to come close to. images: as of `quantize`.
    """
    exact, rounded = (run_as_written(file, images) for file in (source, quantised))
    flat = {name: (rounded[name].reshape(len(one), -1), one.reshape(len(one), -1)) for name, one in exact.items()}
    return {name: snr_db(*pair) for name, pair in flat.items()}


def run_as_written(file: str, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return a file's outputs of floats for `images`, float64, the image first, with no node fused or replaced."""
    import onnxruntime as ort

    asked = ort.SessionOptions()
    asked.log_severity_level = 3
    asked.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(file, asked, providers=["CPUExecutionProvider"])
    reader = Reader(images, file)
    parts = [session.run(None, part) for part in iter(reader.get_next, None)]
    names = [one.name for one in session.get_outputs()]
    joined = {name: np.concatenate([part[at] for part in parts])[: reader.count] for at, name in enumerate(names)}
    return {name: one.astype(np.float64) for name, one in joined.items() if one.dtype.kind == "f"}


def offered(graph: onnx.GraphProto) -> dict[str, int]:
    """Return how many convolutions and matrix products of a file have integers for both factors: `offered`, `of`."""
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    products = [node for node in graph.node if node.op_type in PRODUCTS]
    integers = [all(made_by.get(name) == "DequantizeLinear" for name in node.input[:2]) for node in products]
    return {"offered": sum(integers), "of": len(products)}


class Reader:
    """Hands calibration images to ONNX Runtime, a few at a time, as its CalibrationDataReader does.

    A file with a batch size of its own gets as many in each call, in the last one again from the first.
    """

    def __init__(self, images: np.ndarray, file: str):
        graph = read_onnx(file).graph
        weights = {one.name for one in graph.initializer}
        values = [one for one in graph.input if one.name not in weights]
        shape = values[0].type.tensor_type.shape.dim
        # Of three channels, as images have them.
        pixels = max(1, sum(one[:1].size for one in arrays.fields(images).values()) // 3)
        self.inputs = {name or values[0].name: one for name, one in arrays.fields(images).items()}
        self.start, self.fixed = 0, shape[0].dim_value if shape else 0
        self.count = min(len(images), max(FEWEST, PIXELS // pixels))
        self.size = self.fixed or max(1, CALL_PIXELS // pixels)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the inputs of the next call, or None after the last."""
        if self.start >= self.count:
            return None
        end = self.start + self.size
        places = np.arange(self.start, end if self.fixed else min(end, self.count)) % self.count
        self.start = end
        return {name: np.ascontiguousarray(one[places]) for name, one in self.inputs.items()}
