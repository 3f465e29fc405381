"""The two published tables of this project, tables written by hand, and the section of the report."""

import json
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from builders import make_records, write_run

from speedgrid.published import counting, section, source, verdict
from speedgrid.report import markdown as report

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "templates" / "report.md.j2"
RTX4060 = "config/published/resnet18-rtx4060-laptop.csv"
BATCH33 = "config/published/resnet18-fp16-batch33.csv"
FLOP = {224: 3_628_146_688, 256: 4_738_490_368, 384: 10_660_323_328, 512: 18_950_889_472}
EXAMPLE = ROOT / "examples" / "nvidia-h200"


def audit(*entries):
    """Audit tables as the workflow does, and pass them through JSON."""
    tables = [source.read(entry, "resnet18") for entry in source.entries(list(entries))]
    known = counting.Counter()
    return json.loads(json.dumps(verdict.audit(tables, known), allow_nan=False))


@pytest.fixture(scope="module")
def rtx4060():
    (table,) = audit(str(ROOT / RTX4060))
    return table


@pytest.fixture(scope="module")
def batch33():
    (table,) = audit(str(ROOT / BATCH33))
    return table


def failing(table, check):
    """Return the cells of a table in which a check does not hold."""
    return {
        (row["backend"], row["resolution"], row["batch_size"])
        for row in table["rows"]
        if check in {one["name"] for one in row["failed"]}
    }


def test_of_the_rtx_4060_table_one_row_of_sixty_agrees_with_itself(rtx4060):
    assert Counter(row["verdict"] for row in rtx4060["rows"]) == {
        "inconsistent": 55,
        "impossible": 4,
        "not_contradicted": 1,
    }
    assert rtx4060["unknown"] == []
    (right,) = [row for row in rtx4060["rows"] if row["verdict"] == "not_contradicted"]
    assert (right["backend"], right["resolution"], right["batch_size"]) == ("pytorch", 512, 16)
    assert {"image_rate", "tflops", "utilisation", "stated_peak", "physics"} == set(right["checked"])


def test_fps_and_ms_of_the_rtx_4060_table_contradict_each_other_with_tensorrt_at_batch_size_8(rtx4060):
    assert failing(rtx4060, "image_rate") == {("torch_tensorrt", size, 8) for size in FLOP}
    found = [check["ratio"] for row in rtx4060["rows"] for check in row["failed"] if check["name"] == "image_rate"]
    assert found == pytest.approx([1.25] * 4, rel=1e-3)


def test_tflops_of_the_rtx_4060_table_do_not_follow_from_its_fps(rtx4060):
    wrong = failing(rtx4060, "tflops")
    assert len(wrong) == 59
    assert ("pytorch", 512, 16) not in wrong
    (row,) = [
        one for one in rtx4060["rows"] if (one["backend"], one["resolution"], one["batch_size"]) == ("pytorch", 224, 64)
    ]
    (check,) = row["failed"]
    # 3.628 GFLOP x 1558.3 FPS
    assert check["figures"] == {"tflops": "10.9", "flop": "3.6281", "fps": "1558.3", "computed": "5.6537"}


def test_rows_of_the_rtx_4060_table_are_beyond_its_own_peak_and_beyond_the_device(rtx4060):
    # ResNet-18 may seem to reach 1.853 times a peak by Winograd, and 1.25 by the clock, which is 26.9 of 11.61 TFLOPS.
    beyond = {("torch_tensorrt", resolution, size) for resolution in (384, 512) for size in (32, 64)}
    assert failing(rtx4060, "stated_peak") == beyond | {("torch_tensorrt", 512, 16)}
    assert failing(rtx4060, "physics") == beyond
    for row in rtx4060["rows"]:  # TF32 is no faster than fp32 on this device
        assert "tf32" not in {one["about"].get("ran") for one in row["suggestions"]}


def test_a_speed_up_is_held_against_the_times_and_a_whole_number_may_be_rounded(batch33):
    by_backend = {row["backend"]: row for row in batch33["rows"]}
    assert {name: row["verdict"] for name, row in by_backend.items()} == {
        "torch_tensorrt": "not_contradicted",  # 1900 for 1930 FPS
        "onnxruntime": "not_contradicted",
        "pytorch": "inconsistent",  # 179 FPS x 5.53 ms = 990
    }
    assert all("speedup" in row["checked"] for row in batch33["rows"])
    assert failing(batch33, "image_rate") == {("pytorch", 224, 33)}
    assert {tuple(row["unknown"]) for row in batch33["rows"]} == {("device",)}


def write(folder, text, **about):
    path = folder / "table.csv"
    path.write_text(text)
    return {"file": str(path), **about}


HONEST = """Framework,dtype,image size,Batch Size,Latency (us),img/s,GFLOPS,MFU (0..1)
PyTorch,float32,224x224,8,2500,3200,11600,0.17
ONNX Runtime,float32,224x224,8,2000,4000,14512,0.22
Torch-TensorRT,float16,224x224,8,500,16000,58050,0.059
"""


def test_a_consistent_table_in_other_units_is_not_accused(tmp_path):
    (table,) = audit(write(tmp_path, HONEST, device="NVIDIA H200"))
    assert {row["verdict"] for row in table["rows"]} == {"not_contradicted"}
    assert {"call_rate", "tflops", "physics"} <= set(table["rows"][0]["checked"])
    assert table["rows"][0]["derived"] == pytest.approx(
        {"fps": 3200, "ms_per_image": 0.3125, "latency_ms": 2.5, "tflops": 11.61}, rel=1e-3
    )


def test_this_project_passes_its_own_audit():
    (table,) = audit({"file": str(EXAMPLE / "results.csv"), "device": "NVIDIA H200"})
    verdicts = Counter(row["verdict"] for row in table["rows"])
    assert set(verdicts) == {"not_contradicted", "unchecked"}
    assert {tuple(row["unknown"]) for row in table["rows"] if row["verdict"] == "unchecked"} == {("speed",)}
    assert verdicts["not_contradicted"] > 200


def test_a_row_with_nothing_to_hold_it_against_cannot_be_checked(tmp_path):
    (table,) = audit(write(tmp_path, "fps,accuracy\n100,0.7\n"))
    (row,) = table["rows"]
    assert row["verdict"] == "unchecked"
    assert row["unknown"] == ["device", "precision_unsaid", "resolution", "batch_size"]


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({}, "device"),
        ({"device": "GPU of nobody"}, "data_sheet"),
        ({"device": "NVIDIA H200", "precision": "int4"}, "precision"),
    ],
)
def test_why_a_row_is_not_held_against_its_device_is_said(tmp_path, about, reason):
    entry = write(tmp_path, "fps\n100\n", resolution=224, batch_size=1, **{"precision": "fp32"} | about)
    assert audit(entry)[0]["rows"][0]["unknown"] == [reason]


def test_a_model_that_torchvision_does_not_have_has_no_arithmetic(tmp_path):
    entry = write(
        tmp_path, "fps,tflops\n100,1\n", model="no_such_net", resolution=224, device="NVIDIA H200", precision="fp32"
    )
    (row,) = audit(entry)[0]["rows"]
    assert row["checked"] == ["physics"]  # of its TFLOPS
    assert row["derived"]["tflops"] is None


def test_operations_of_another_resolution_or_model_are_counted_when_they_are_asked_for():
    own = {"flop": 3_000_000_000, "onnx_flop": None, "weight_elements": 1, "input_elements": 1, "output_elements": 1}
    counter = counting.Counter({"resnet18": {"224": own}})
    assert counter("resnet18", 224).flop == own["flop"]  # a model of the user's, with another number of classes
    assert counter("resnet18", 256).flop == FLOP[256]
    assert counter("resnet50", 224).flop == pytest.approx(8.18e9, rel=0.01)
    assert counter("no_such_net", 224) is None


def test_a_negative_time_is_impossible_and_nothing_follows_from_it(tmp_path):
    (row,) = audit(write(tmp_path, "fps,ms_per_image\n100,-10\n"))[0]["rows"]
    assert (row["verdict"], row["checked"]) == ("impossible", ["positive"])


def test_gmacs_that_are_called_gflop_are_named(tmp_path):
    (row,) = audit(write(tmp_path, "fps,gflop_per_image\n100,1.8\n", resolution=224))[0]["rows"]
    assert [one["name"] for one in row["failed"]] == ["arithmetic"]
    assert [(one["name"], one["about"]["way"]) for one in row["suggestions"]] == [("macs", "macs")]
    (row,) = audit(write(tmp_path, "fps,GMACs\n100,1.8\n", resolution=224))[0]["rows"]
    assert row["verdict"] == "not_contradicted"


def test_throughput_need_not_follow_from_the_latency(tmp_path):
    text = "batch,latency (ms),throughput (qps),throughput (img/s)\n8,2.0,900,7200\n8,2.0,900,900\n"
    good, bad = audit(write(tmp_path, text))[0]["rows"]
    assert good["verdict"] == "not_contradicted"
    assert [one["name"] for one in bad["failed"]] == ["calls"]


@pytest.fixture(scope="module")
def example():
    results, run = pd.read_csv(EXAMPLE / "results.csv"), json.loads((EXAMPLE / "run.json").read_text())
    return results, run


def test_a_published_figure_stands_beside_the_measured_one_scaled_by_the_peaks(rtx4060, batch33, example):
    part, other = section.compose([rtx4060, batch33], *example)["parts"]
    ratios, full = part["tables"][2:]
    assert len(ratios["rows"]) == 12
    axes = ["backend", "precision", "resolution", "batch_size"]
    both = pd.read_csv(rtx4060["file"])[axes].merge(example[0][axes])
    assert len(full["rows"]) == len(both) > len(ratios["rows"])
    assert full["folded"]
    results = example[0].set_index(["backend", "precision", "resolution", "batch_size"])
    measured = results.fps["pytorch", "fp32", 224, 1]
    line = full["rows"][0]
    assert line[:3] == ["PyTorch fp32", "224", "1"]
    # 66.9 TFLOPS of an H200 over 14.6
    assert [float(text.replace(",", "")) for text in line[3:]] == pytest.approx(
        [362.6, 362.6 * 66.9 / 14.6, measured, measured / (362.6 * 66.9 / 14.6)], rel=0.01
    )
    assert "scaled" not in other["tables"][-1]["head"]  # its device is not known


def test_a_table_of_the_same_device_is_compared_as_it_is(tmp_path, example):
    (table,) = audit(write(tmp_path, HONEST, device="NVIDIA H200"))
    compared = section.compose([table], *example)["parts"][0]["tables"][-1]
    assert [line[0] for line in compared["rows"]] == ["PyTorch fp32", "ONNX Runtime fp32", "Torch-TensorRT fp16"]
    assert "scaled" not in compared["head"]
    measured = example[0].set_index(["backend", "precision", "resolution", "batch_size"]).fps["pytorch", "fp32", 224, 8]
    assert float(compared["rows"][0][-1]) == pytest.approx(measured / 3200, rel=0.01)


def test_the_report_has_the_verdicts_and_says_what_it_did_not_understand(tmp_path, rtx4060):
    table, run = write_run(tmp_path, make_records())
    odd = audit(write(tmp_path, "fps,accuracy,ms | x\n100,0.7,1\nOOM,,\n", title="An odd table"))
    text = report.markdown(table, run, TEMPLATE, [rtx4060, *odd])
    part = text.split("## Published tables, audited\n")[1].split("\n## ")[0]
    assert "Rows by verdict: **not contradicted** 1, **inconsistent** 55, **impossible** 4." in part
    assert "It is the same factor in all of them, 1.25." in part
    assert "Columns that are not understood, and not judged: `accuracy`, `ms | x`." in part
    assert "`fps` is `OOM`, which is no number, or may be two." in part
    assert "Rows by verdict: **cannot be checked** 2." in part
    for lines in re.findall(r"(?:^\|.*\n)+", part, re.MULTILINE):
        assert len({re.sub(r"\\\|", "", line).count("|") for line in lines.splitlines()}) == 1
    for leftover in ("None", "nan", "{", "}"):
        assert leftover not in part


def test_a_report_without_published_tables_has_no_such_section(tmp_path):
    table, run = write_run(tmp_path, make_records())
    assert "Published tables" not in report.markdown(table, run, TEMPLATE)
