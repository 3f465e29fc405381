"""The summary of a run."""

import copy
import json

import pytest
from builders import ARITHMETIC, MEASURED, changed, make_record, make_records, make_refusal, write_run

from speedgrid.record import Memory, RecordError
from speedgrid.table.cells import TableError


def test_a_run_is_described_in_plain_json(tmp_path):
    records = make_records()
    records[3] = changed(records[3], measured_at="2026-01-02T02:00:00+00:00")
    table, run = write_run(tmp_path, records)
    assert len(table) == 12
    assert json.loads(json.dumps(run, allow_nan=False))["machine"] == records[0].environment
    assert (run["measured_from"], run["measured_to"]) == (
        "2026-01-02T02:00:00+00:00",
        "2026-01-02T03:04:05+00:00",
    )
    assert run["statuses"] == {"ok": 12}
    assert run["threads"] == 2
    assert list(run["commands"]) == ["resnet18-pytorch-fp32-r64-b1", "resnet18-onnxruntime-fp32-r64-b1"]
    assert all(command.endswith(name) for name, command in run["commands"].items())


def test_a_run_says_what_an_image_costs_but_not_each_layer(tmp_path):
    _, run = write_run(tmp_path, make_records())
    expected = copy.deepcopy(ARITHMETIC)
    assert all(counted.pop("layers") for counted in expected["resnet18"].values())
    assert run["arithmetic"] == expected


def test_what_was_measured_of_the_device_is_in_the_description(tmp_path):
    _, run = write_run(tmp_path, make_records())
    assert {name: run["peaks"][name] for name in MEASURED} == MEASURED
    assert run["peaks"]["data_sheet_gb_s"] is None
    assert "reason" not in run["peaks"]


def test_a_device_without_a_data_sheet_has_the_measured_rate_as_its_peak(tmp_path):
    table, run = write_run(tmp_path, make_records())
    assert run["peaks"]["data_sheet_tflops"] == {}
    assert run["peaks"]["data_sheet_source"] is None
    assert set(table[table.precision == "fp32"].tflops_peak) == {2.0}


def test_a_device_with_a_data_sheet_has_its_peaks(tmp_path):
    records = [changed(one, environment=one.environment | {"device_name": "NVIDIA H200"}) for one in make_records()]
    table, run = write_run(tmp_path, records)
    assert "H200" in run["peaks"]["data_sheet_source"]
    assert run["peaks"]["data_sheet_gb_s"] == 4800
    assert set(table[table.precision == "fp32"].tflops_peak) == {66.9}


def test_statuses_are_counted_and_details_are_those_of_the_records_that_have_them(tmp_path):
    records = [
        make_refusal("resnet18-pytorch-fp32-r64-b8", "failed", "boom"),
        make_record("resnet18-pytorch-fp32-r64-b1", details={"version": "9"}),
    ]
    _, run = write_run(tmp_path, records)
    assert run["statuses"] == {"failed": 1, "ok": 1}
    assert run["details"] == {"pytorch": {"version": "9"}}


def test_a_record_of_another_format_stops_the_summary_by_name(tmp_path):
    bad = make_record("resnet18-pytorch-fp32-r64-b1", format=99)
    with pytest.raises(RecordError, match=r"0\.json has format 99"):
        write_run(tmp_path, [bad])


def test_the_most_cells_that_were_loaded_beside_one_are_said(tmp_path):
    records = make_records()
    assert write_run(tmp_path, records)[1]["loaded_beside"] == 0
    for number, others in enumerate((None, 3, 7)):
        memory = Memory({"baseline": 0.0, "timed": 100.0}, other_processes=others)
        records[number] = changed(records[number], memory=memory)
    records.append(make_refusal("resnet18-pytorch-fp16-r64-b1", "failed", "boom"))
    assert write_run(tmp_path, records)[1]["loaded_beside"] == 7


def with_controls(latencies=(4.0, 4.2, 4.1), twin=4.0):
    """Return the records of a run with its controls: one cell at the start, in the middle, at the end, and twice."""
    name = "resnet18-pytorch-fp32-r64-b1"
    turns = {f"sentinel{number}": latency for number, latency in enumerate(latencies, start=1)} | {"twin1": twin}
    return make_records() + [make_record(name, [ms] * 50, turn=turn) for turn, ms in turns.items()]


def test_controls_are_described_and_are_no_rows(tmp_path):
    table, described = write_run(tmp_path, with_controls())
    assert len(table) == 12
    assert table.rounds.max() == 1
    assert described["controls"]["cell"] == "resnet18-pytorch-fp32-r64-b1"
    assert described["controls"]["sentinel"]["latency_ms"] == [4.0, 4.2, 4.1]
    assert described["controls"]["twin"]["ratio"] == 1


def test_a_control_of_another_machine_is_refused(tmp_path):
    records = with_controls()
    records[-1] = changed(records[-1], environment=records[-1].environment | {"device_name": "Other CPU"})
    with pytest.raises(TableError, match="Other CPU"):
        write_run(tmp_path, records)
