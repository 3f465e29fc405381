"""What a run made and somebody changed: records and files are known again, and one that is not itself is named."""

import json

import numpy as np
import pytest
from builders import CornerSession, fake_backend
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import script

from speedgrid.data.sequence import images
from speedgrid.evidence.evaluation import whole
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import contents, write_checked, write_json, write_made
from speedgrid.launcher.reading import FileError, read_json
from speedgrid.machine.data_sheet import Measured
from speedgrid.measure import accuracy
from speedgrid.measure.loading import Files, read_build

CELL = Cell("none", "fake", "fp32", 32, 2)
ABOUT = {"source": "digits", "count": 4, "resolution": 32, "seed": 0}
PEAKS = {
    "gemm_tflops": {"fp32": 2.0, "fp16": None},
    "copy_gb_s": 10.0,
    "cache_mb": 4.0,
    "idle_power_w": None,
    "reason": "",
}
EVALUATION = {
    "cell": {"model": "none", "backend": "fake", "precision": "fp32", "resolution": 32, "batch_size": 2},
    "status": "ok",
    "reason": "",
    "measured_at": "2026-01-02T03:04:05+00:00",
    "fingerprint": "one",
    "command": "python",
    "images": ABOUT,
    "labels": [1, 2, 3, 4],
    "expected": [1, 2, 3, 3],
    "predicted": [1, 2, 2, 3],
}
BUILD = {"status": "ok", "reason": "", "build_seconds": 3.5, "expected_snr_db": 28.5}
# Each kind of record with its reader, and edits of it that its types allow.
RECORDS = {
    "peaks": (PEAKS, lambda path: read_json(path, Measured), {"copy_gb_s": 20.0}),
    "a peak": (PEAKS, lambda path: read_json(path, Measured), {"gemm_tflops": {"fp32": 1.0, "fp16": None}}),
    "accuracy": (EVALUATION, lambda path: whole(read_json(path, dict), path), {"predicted": [1, 2, 3, 4]}),
    "labels": (EVALUATION, lambda path: whole(read_json(path, dict), path), {"labels": [1, 2, 2, 3]}),
    "a build": (BUILD, read_build, {"expected_snr_db": 8.5}),
    "its time": (BUILD, read_build, {"build_seconds": 0.5}),
}


@pytest.mark.parametrize(("content", "read", "edit"), RECORDS.values(), ids=RECORDS)
def test_a_record_that_was_changed_is_named_and_one_of_an_older_version_is_read(tmp_path, content, read, edit):
    path = str(tmp_path / "one.json")
    write_checked(path, content)
    assert read(path) | content == read(path)
    write_json(path, json.loads((tmp_path / "one.json").read_text()) | edit)
    with pytest.raises(FileError, match=r"one\.json is not what was written there \(its checksum.*delete it, and"):
        read(path)
    write_json(path, content | edit)
    assert read(path) == content | edit


NUMBERS = st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False) | st.none(), min_size=1)


@given(NUMBERS, NUMBERS)
@settings(max_examples=100)
def test_any_content_is_read_again_and_any_other_in_its_place_is_not(tmp_path_factory, content, other):
    path = tmp_path_factory.mktemp("any") / "one.json"
    write_checked(path, content)
    found = read_json(str(path), dict)
    assert {key: value for key, value in found.items() if key != "checksum"} == {
        key: value for key, value in content.items() if key != "checksum"
    }
    changed = found | {key: value for key, value in other.items() if key != "checksum"}
    write_json(path, changed)
    if json.dumps(changed, sort_keys=True) == json.dumps(found, sort_keys=True):
        assert read_json(str(path), dict) == found
    else:
        with pytest.raises(FileError):
            read_json(str(path), dict)


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "images.npy", images(0, 32, 0, 4))
    write_json(tmp_path / "answers.json", {"model": "none", "images": ABOUT, "labels": None, "predicted": [0] * 4})
    (tmp_path / "a.engine").write_bytes(bytes(range(256)) * 10)
    write_made(tmp_path / "a.json", BUILD, tmp_path / "a.engine")
    names = ("a.engine", "images.npy", "a.json")
    return Files(*(str(tmp_path / name) for name in names), answers=str(tmp_path / "answers.json"))


def evaluate(monkeypatch, files, load):
    fake_backend(monkeypatch, load, {})
    return accuracy.evaluate(CELL, "cpu", files, 1)


def refuses(*_):
    raise ValueError("bad magic number")


def crashes(*_):
    raise AssertionError("a library was given a part of a file")


DAMAGE = {
    "cut off": (lambda whole: whole[:1000], crashes, "has 1000 bytes and had 2560 when it was built"),
    "emptied": (lambda whole: b"", crashes, "has 0 bytes and had 2560 when it was built"),
    "longer": (lambda whole: whole + b"more", crashes, "has 2564 bytes and had 2560 when it was built"),
    "one bit": (lambda whole: b"\x01" + whole[1:], refuses, "has another SHA-256 than when it was built"),
    "another one": (lambda whole: whole[::-1], refuses, "has another SHA-256 than when it was built"),
}


@pytest.mark.parametrize(("damage", "load", "sentence"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_engine_is_named_and_says_nothing_of_its_cell(monkeypatch, tmp_path, files, damage, load, sentence):
    (tmp_path / "a.engine").write_bytes(damage((tmp_path / "a.engine").read_bytes()))
    with pytest.raises(FileError) as refused:
        evaluate(monkeypatch, files, load)
    assert f"{files.artifact} {sentence}; it is damaged: delete it, and snakemake" in str(refused.value)


def test_an_engine_that_is_whole_and_cannot_be_loaded_is_a_failed_cell(monkeypatch, files):
    found = evaluate(monkeypatch, files, refuses)
    assert (found["status"], found["reason"]) == ("failed", "ValueError: bad magic number")
    assert evaluate(monkeypatch, files, lambda cell, *_: CornerSession(cell))["status"] == "ok"


@pytest.mark.parametrize("build", [BUILD, {"status": "ok", "reason": ""}])
def test_a_build_of_an_older_version_knows_no_file_and_is_loaded(monkeypatch, tmp_path, files, build):
    write_json(tmp_path / "a.json", build)
    (tmp_path / "a.engine").write_bytes(b"other")
    assert evaluate(monkeypatch, files, lambda cell, *_: CornerSession(cell))["status"] == "ok"
    assert evaluate(monkeypatch, files, refuses)["status"] == "failed"


MAKERS = {
    "compile_tensorrt": (("--onnx", "none", "--description", "none"), "--engine", "--build", "tensorrt"),
    "compile_trt": (
        ("--model", "resnet18", "--weights", "none", "--calibration", "none"),
        "--engine",
        "--build",
        "torch_tensorrt",
    ),
    "compile_inductor": (("--weights", "none"), "--package", "--build", "inductor"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_compiles_records_what_it_left(tmp_path, name):
    more, output, build, backend = MAKERS[name]
    made, record = tmp_path / "made", tmp_path / "made.json"
    cell = f"resnet18-{backend}-fp32-r32-b1"
    script(name, cell, "--device", "cpu", *more, output, made, build, record, "--died", "killed by signal 9")
    found = read_build(str(record))
    assert found["status"] == "failed"
    assert found["file"] == contents(made) == {"bytes": 0, "sha256": found["file"]["sha256"]}
