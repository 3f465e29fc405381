"""What a run did not try that its device has."""

import pytest
import yaml
from builders import make_record, make_records, write_run

from speedgrid.report.findings.untried import able, batch_sizes, untried


@pytest.fixture
def run(tmp_path):
    """Return (table, run) of six settings at two resolutions on a CPU, with the grid that they are of."""
    table, run = write_run(tmp_path, make_records())
    run["config"]["grid"]["cpu"] = {
        "backend": ["pytorch", "onnxruntime"],
        "precision": ["fp32", "fp16"],
        "resolution": [64, 128],
        "batch_size": [1, 8],
    }
    run["sessions"] = []
    run["measured_from"], run["measured_to"] = "2026-01-01T00:00:00+00:00", "2026-01-01T00:12:00+00:00"
    return table, run


def lines(table, run):
    topic = untried(table, run)
    return {row[0].split(":")[0]: row for row in topic.rows}


def test_each_axis_has_a_line_that_can_be_put_into_the_configuration(run):
    found = lines(*run)
    assert list(found) == ["precisions", "backends", "batch sizes"]
    for axis, key in (("precisions", "precision"), ("backends", "backend"), ("batch sizes", "batch_size")):
        added = yaml.safe_load(str(found[axis][1]).strip("`"))["grid"]["cpu"][key]
        tried = run[1]["config"]["grid"]["cpu"][key]
        assert set(added) > set(tried)
    assert "openvino" in found["backends"][1]
    assert "tensorrt" not in found["backends"][1]  # no CPU has it
    assert found["precisions"][0] == "precisions: bf16 and int8"


def test_minutes_follow_from_the_pace_of_the_run(run):
    table, described = run
    cells, minutes = lines(table, described)["batch sizes"][2:]
    # 12 minutes for 12 cells: a minute each.
    assert sum(described["statuses"].values()) == 12
    assert minutes == str(cells)
    # The night between two sessions is no time of the run.
    described["sessions"] = [
        {"began": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:03:00+00:00"},
        {"began": "2026-01-02T00:00:00+00:00", "ended": "2026-01-02T00:03:00+00:00"},
    ]
    assert lines(table, described)["batch sizes"][3] == str(cells // 2)
    described["sessions"][0]["ended"] = "<b>never</b>"
    assert "minutes, about" not in untried(table, described).head or lines(table, described)["batch sizes"][3] == ""


def test_a_gpu_is_offered_what_it_has_units_for(run):
    every = ["fp32", "tf32", "fp16", "bf16", "int8"]
    for capability, names in {"7.0": ["fp32", "fp16"], "7.5": ["fp32", "fp16", "int8"], "9.0": every}.items():
        run[1]["machine"]["compute_capability"] = capability
        assert able(every, run[1]) == names


def test_batch_sizes_are_powers_of_two_that_lack_and_the_next_one_only_where_more_still_gains(run):
    assert batch_sizes(run[0]) == [2, 4, 16]  # ONNX Runtime fp16 still gains at 8
    saturated = run[0].query("backend == 'onnxruntime' and precision == 'fp32' and resolution == 64")
    assert batch_sizes(saturated) == [2, 4]


def test_a_run_that_tried_everything_has_nothing_to_add(tmp_path):
    names = ("pytorch", "pytorch_tuned", "pytorch_fused", "inductor", "inductor_tuned", "inductor_max_autotune")
    table, run = write_run(tmp_path, [make_record("resnet18-pytorch-fp32-r64-b1")])
    run["config"]["grid"]["cpu"] = {
        "backend": [*names, "onnxruntime", "openvino"],
        "precision": ["fp32", "fp16", "bf16", "int8"],
        "resolution": [64],
        "batch_size": [1],
    }
    assert not untried(table, run)
