"""Records: written whole or not at all, and read with care, those of older formats too."""

import json
import os
import stat
import zipfile
from dataclasses import FrozenInstanceError, asdict

import pytest
from builders import EXPECTED, changed, make_parity, make_record, make_refusal, make_request, make_table

from speedgrid import record
from speedgrid.data.samples import Host
from speedgrid.launcher import outputs
from speedgrid.measure.telemetry import gather
from speedgrid.record import Errors, RecordError
from speedgrid.table.conditions import throttled
from speedgrid.table.verdict import judge, parity_of
from speedgrid.text.status import SHOWN, STATUSES

NAME = "resnet18-pytorch-fp32-r64-b8"
GOOD = make_record(NAME)
FULL = make_record(
    NAME,
    errors=Errors(2, [1.0, 2.0], [0.5, 0.5], [1.0, 0.9], [None, 0.25], [True, False], 10),
    telemetry=gather([{"time": 1.5, "power_w": None, "reasons": 4}]),
    host=Host(0.5, 0.0, [0.5, 0.6]),
    probes={"request": make_request({"call": 1.0})},
    build={"status": "ok", "build_seconds": 1.5},
    device_ms=[0.5],
)
REFUSED = changed(make_refusal(NAME, "failed", "RuntimeError: lost"), traceback="in load")


@pytest.mark.parametrize("found", [GOOD, FULL, REFUSED], ids=["least", "most", "refused"])
def test_what_is_written_is_read_back(tmp_path, found):
    path = tmp_path / "deep" / "folder" / "one.json"
    record.write(path, found)
    assert record.read(path) == found
    assert record.read(str(path)) == found
    assert os.listdir(path.parent) == ["one.json"]


def test_a_record_in_an_archive_is_read_and_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
        archive.writestr("good.json", json.dumps(asdict(FULL)))
        archive.writestr("bad.json", "{")
    assert record.read(zipfile.Path(tmp_path / "run.zip", "good.json")) == FULL
    with pytest.raises(RecordError, match=r"run\.zip/bad\.json is not a readable record"):
        record.read(zipfile.Path(tmp_path / "run.zip", "bad.json"))


def test_a_record_is_not_changed_once_it_is_made():
    with pytest.raises(FrozenInstanceError):
        GOOD.status = "failed"
    with pytest.raises(FrozenInstanceError):
        GOOD.seen.samples.host_ms = []


def test_a_record_can_be_read_by_other_users(tmp_path):
    record.write(tmp_path / "one.json", GOOD)
    assert stat.S_IMODE((tmp_path / "one.json").stat().st_mode) == 0o644


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), object(), {1, 2}])
def test_a_write_that_fails_leaves_the_old_file_whole_and_no_temporary_file(tmp_path, bad):
    path = tmp_path / "one.json"
    record.write(path, GOOD)
    before = path.read_bytes()
    with pytest.raises((ValueError, TypeError)):
        outputs.write_json(path, {"first": list(range(100_000)), "last": bad})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["one.json"]


def test_a_full_disk_leaves_the_old_file_whole_and_no_temporary_file(tmp_path, monkeypatch):
    path = tmp_path / "one.json"
    record.write(path, GOOD)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(outputs.Unwritable, match=r"one\.json cannot be written \(No space left on device\)"):
        outputs.write_json(path, {"format": 1})
    assert record.read(path) == GOOD
    assert os.listdir(tmp_path) == ["one.json"]


@pytest.mark.parametrize("content", ["", '{"format": 1, "stat', b"\xff\xfe"])
def test_half_a_record_is_refused_with_its_name_and_what_to_do(tmp_path, content):
    path = tmp_path / "one.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecordError, match=r"one\.json is not a readable record .* delete it and run again"):
        record.read(path)


def test_a_record_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(RecordError, match=r"none\.json is not a readable record"):
        record.read(tmp_path / "none.json")


def refused(content) -> str:
    """Return why a JSON value is refused as a record, in a sentence."""
    with pytest.raises(RecordError) as caught:
        record.parse(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("version", [0, 2, 5, None, "4", [3], {}])
def test_another_format_is_refused_instead_of_guessed(version):
    assert refused(asdict(GOOD) | {"format": version}) == f"has format {version!r}; this version reads 3, 4"
    assert refused({}) == "has format None; this version reads 3, 4"


def wrong(content, *path, value):
    """Return a record as JSON with one value in it replaced."""
    content = json.loads(json.dumps(content))
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("status",), "fine", "'fine' - at `$.status`"),
        (("status",), "wrong_precision", "'wrong_precision' - at `$.status`"),
        (("asked", "cell", "batch_size"), "8", "$.asked.cell.batch_size"),
        (("asked", "max_seconds"), None, "$.asked.max_seconds"),
        (("seen", "samples", "host_ms"), [1.0, "2"], "$.seen.samples.host_ms[1]"),
        (("seen", "samples"), [], "$.seen.samples"),
        (("seen",), None, "contradicts"),
        (("status",), "failed", "contradicts"),
        (("fingerprint",), 7, "$.fingerprint"),
    ],
)
def test_a_wrong_value_somewhere_is_refused_with_its_place(tmp_path, path, value, named):
    outputs.write_json(tmp_path / "one.json", wrong(asdict(GOOD), *path, value=value))
    with pytest.raises(
        RecordError, match=r"one\.json is not a record of format 4 \(.*\); delete it and run again\.$"
    ) as at:
        record.read(tmp_path / "one.json")
    assert named in str(at.value)


@pytest.mark.parametrize(
    ("content", "kind"), [([1], "list"), ("text", "str"), (3, "int"), (None, "NoneType"), (True, "bool")]
)
def test_json_that_is_no_object_is_refused_with_its_name_and_what_to_do(tmp_path, content, kind):
    (tmp_path / "one.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match=rf"one\.json is not a record but a {kind}; delete it and run again\."):
        record.read(tmp_path / "one.json")


def of_format_3(status="ok", reason="", **changes) -> dict:
    """Return a record as versions that wrote format 3 made it."""
    asked = {"device": "cuda", "cpu_threads": 2, "settings": {"mode": "eager"}, "warmup_runs": 10, "timed_runs": 10}
    return {
        "format": 3,
        "cell": asdict(GOOD.cell),
        "turn": "round2",
        "asked": asked | {"min_seconds": 0.5, "max_seconds": 5, "target_percent": 2},
        "status": status,
        "reason": reason,
        "measured_at": "2026-01-02T03:04:05+00:00",
        "environment": GOOD.environment,
        "fingerprint": "fingerprint",
        "command": "python -m scripts.time_cell",
        **changes,
    }


def measured_of_format_3(snr_db=121.0, **changes) -> dict:
    samples = {"host_ms": [4.0, 4.5], "device_ms": [3.0, 3.5], "submit_ms": [0.5, 0.5], "warmup_runs": 10}
    samples |= {"warmup_seconds": 0.5, "timed_seconds": 1.5, "steady": True, "capped": False}
    samples |= {"throughput_ms": 2.0, "throughput_runs": 200, "throughput_seconds": 0.4}
    memory = {"baseline": 50.0, "loaded": 150.5}
    seen = {
        "build": {"status": "ok", "build_seconds": 1.5},
        "observed_precision": "fp32",
        "dtype": "float32",
        "details": {"version": "1.0"},
        "quantised_nodes": None,
        "samples": samples,
        "seconds": {"load": 0.5, "first_call": 0.5},
        "memory": {"peak_mb": 100.5, "readings_mb": memory, "whole_device": False, "other_processes": 1},
        "telemetry": None,
        "host": {"busy_elsewhere_cores": 0.5, "stolen_cores": 0.0, "pace_ms": [0.5, 0.7]},
        "parity": asdict(make_parity(snr_db)) | {"expected_snr_db": EXPECTED, "expected_uneven_db": 3.0},
        "energy": None,
        "end_to_end": None,
    }
    return of_format_3(**seen | changes)


def test_a_measurement_of_format_3_is_read_whole():
    found = record.parse(measured_of_format_3())
    assert (found.format, found.status, found.reason, judge(found)) == (record.FORMAT, "ok", "", ("ok", "", "fp32"))
    assert (found.cell, found.turn, found.asked.device, found.asked.settings) == (
        GOOD.cell,
        "round2",
        "cuda",
        {"mode": "eager"},
    )
    assert (found.asked.min_seconds, found.asked.probes) == (0.5, [])
    assert (found.host_ms, found.seen.samples.submit_ms, found.seen.samples.steady) == ([4.0, 4.5], [0.5, 0.5], True)
    assert found.seen.memory.peak_mb() == 100.5
    assert (found.seen.expected, parity_of(found)) == (record.Expected(EXPECTED, 3.0), make_parity(121.0))
    assert found.seen.host == Host(0.5, 0.0, [0.5, 0.7])
    assert found.build["build_seconds"] == 1.5
    assert found.seen.probes == {"back_to_back": {"ms": 2.0, "runs": 200, "seconds": 0.4}}
    row = make_table([found]).loc[0]
    assert (row.status, row.memory_mb, row.throughput_fps) == ("ok", 100.5, 4000.0)


def test_verdicts_of_format_3_are_judged_as_before():
    lower = record.parse(measured_of_format_3(61.0, status="wrong_precision", reason="it is tf32"))
    assert (lower.status, judge(lower)[::2]) == ("ok", ("wrong_precision", "tf32"))
    assert "is that of tf32" in judge(lower).reason
    nothing = record.parse(measured_of_format_3(status="wrong_result", reason="not finite", parity=None))
    assert judge(nothing) == ("wrong_result", "outputs are missing or not finite", None)
    noise = record.parse(measured_of_format_3(1.0, status="wrong_result", reason="noise"))
    assert judge(noise).status == "wrong_result"


@pytest.mark.parametrize("status", ["unavailable", "unsupported", "out_of_memory", "failed"])
def test_what_could_not_be_measured_in_format_3_keeps_its_reason(status):
    asked = {"device": "cpu", "cpu_threads": 2}
    found = record.parse(of_format_3(status, "because", asked=asked, traceback="in load"))
    assert (found.status, found.reason, found.traceback, found.seen) == (status, "because", "in load", None)
    assert judge(found) == (status, "because", None)


def test_telemetry_of_format_3_is_one_reading():
    summary = {"samples": 3, "sm_clock_mhz": 1800, "sm_clock_mhz_min": 1500, "power_w": 400.0, "power_w_max": 500.0}
    summary |= {"temperature_c": 60, "utilisation_percent": None}
    summary |= {"throttled": ["software power cap", "hardware slowdown"]}
    found = record.parse(measured_of_format_3(telemetry=summary))
    assert throttled([found]) == ["hardware slowdown", "software power cap"]
    row = make_table([found]).loc[0]
    assert (row.sm_clock_mhz, row.power_w) == (1800, 400.0)
    assert row.gpu_busy_percent != row.gpu_busy_percent
    assert row.status == "unstable"


def test_probes_of_format_3_are_those_of_today():
    energy = {"joules_per_call": 2.0, "power_w": 500.0, "seconds": 2.0, "calls": 1000.0, "updates": 20}
    kernels = {"evidence": ["fp32"], "ms": {"ampere_sgemm_128x64_tn": 1.0}}
    request = make_request({"preprocess_cpu": 1.0, "call": 4.0, "end_to_end_cpu": 5.0})
    found = record.parse(measured_of_format_3(energy=energy, kernels=kernels, end_to_end=request))
    assert list(found.seen.probes) == ["energy", "kernels", "request", "back_to_back"]
    row = make_table([found]).loc[0]
    assert (row.energy_mj_per_image, row.kernels, row.end_to_end_cpu_ms) == (250.0, "fp32", 5.0)


@pytest.mark.parametrize(
    "changes",
    [{"samples": "none"}, {"memory": None}, {"parity": "none"}, {"cell": {}}, {"telemetry": {"throttled": ["heat"]}}],
)
def test_what_is_wrong_in_format_3_is_refused_in_a_sentence(changes):
    assert refused(measured_of_format_3(**changes)).startswith("is not a record of format 3 (")
    assert refused({"format": 3}).startswith("is not a record of format 3 (KeyError")


@pytest.mark.parametrize("status", record.Status.__args__)
def test_every_status_is_read(tmp_path, status):
    found = GOOD if status == "ok" else changed(REFUSED, status=status)
    record.write(tmp_path / "one.json", found)
    assert record.read(tmp_path / "one.json") == found


def test_statuses_whose_speed_is_shown_are_better_than_all_others():
    assert STATUSES[: len(SHOWN)] == SHOWN
    assert STATUSES[0] == "ok"
    assert STATUSES[-1] == "wrong_result"
    assert set(record.Status.__args__) <= set(STATUSES)
