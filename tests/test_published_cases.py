"""Tables as people publish them, each with its right verdict; their figures are as published, but for two made up."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from speedgrid.published import alone, counting, source, verdict

FOLDER = Path(__file__).parent / "published"
COUNTER = counting.Counter()
ABOUT = {
    "vit-a100": {"model": "ViT-B/16", "resolution": 224, "device": "A100"},
    "yolo11-t4": {"device": "T4"},
    "yolov8n-rtx4080": {"device": "RTX 4080", "model": "yolov8n"},
    "yolov9-qat-percent": {"device": "RTX 4090", "model": "yolov9c"},
    "rtx3080-model-name": {"device": "RTX 3080"},
    "gflops-capital": {"device": "T4"},
    "u39kun-tidy": {"resolution": 224},
    "tkdnn-wide": {"figures": "FPS"},
    "arttrt-jetson-agx": {"resolution": 224, "device": "Jetson AGX Xavier"},
    "three-digits": {"resolution": 224},
}
# By table the lines that contradict themselves, those that cannot be, and those that say nothing; no other is accused.
RIGHT = {
    "arttrt-jetson-agx": ([], [], [9]),
    "gflops-capital": ([], [], []),
    "markdown-pasted": ([4], [], []),
    "mmdeploy-t4-tx2": ([13], [], [10]),
    "rtx3080-model-name": ([], [], []),
    "three-digits": ([], [], []),
    "tkdnn-wide": ([], [], [2, 3]),
    "two-latencies": ([], [], []),
    "u39kun-tidy": ([], [], []),
    "vit-a100": ([], [4, 5, 6, 7, 8, 12, 13, 14, 15, 16], []),
    "yolo11-t4": ([], [], []),
    "yolov8n-rtx4080": ([], [], []),
    "yolov9-qat-percent": ([], [], []),
}


@cache
def audited(name):
    table = source.read({"file": str(FOLDER / f"{name}.csv")} | ABOUT.get(name, {}), None)
    return json.loads(json.dumps(verdict.audit([table], COUNTER), allow_nan=False))[0]


def row(name, line):
    return next(one for one in audited(name)["rows"] if one["line"] == line)


@pytest.mark.parametrize("name", RIGHT)
def test_a_published_table_gets_its_right_verdicts(name):
    found = {}
    for one in audited(name)["rows"]:
        found.setdefault(one["verdict"], set()).add(one["line"])
    found.pop("not_contradicted", None)
    wanted = dict(zip(("inconsistent", "impossible", "unchecked"), map(set, RIGHT[name]), strict=True))
    assert found == {verdict: lines for verdict, lines in wanted.items() if lines}
    assert [one["unreadable"] for one in audited(name)["rows"] if one["unreadable"]] == (
        [dict.fromkeys(("inf/s", "latency (ms)"), "Memoria excedida")] if name == "arttrt-jetson-agx" else []
    )


def test_there_are_thirteen():
    assert len(RIGHT) == 13
    assert {path.stem for path in FOLDER.glob("*.csv")} == set(RIGHT)


def test_of_mmdeploys_table_devices_and_shapes_are_understood_and_equal_rows_noticed():
    table = audited("mmdeploy-t4-tx2")
    assert table["equal"] == [[8, 9]]
    assert (row("mmdeploy-t4-tx2", 2)["resolution"], row("mmdeploy-t4-tx2", 2)["batch_size"]) == (224, 1)
    assert row("mmdeploy-t4-tx2", 14)["shape"] == "1x3x800x1344"
    assert row("mmdeploy-t4-tx2", 2)["peak"] == 8.1
    assert "resnet50" in table["named"]["ResNet"]
    text = alone.report([str(FOLDER / "mmdeploy-t4-tx2.csv")], {})
    assert "line 13 (SSD-Lite, Jetson TX2, fp32, 320 x 320 pixels, batch size 1). 1.28 FPS" in text
    assert "Lines 8, 9 have the same speeds to every digit" in text


def test_times_that_do_not_grow_with_the_batch_were_not_waited_for_and_tensorrts_ran_in_tf32():
    named = {line: [one["name"] for one in row("vit-a100", line)["suggestions"]] for line in (*range(4, 9), 12, 16)}
    assert {line: names for line, names in named.items() if line < 9} == {line: ["not_waited"] for line in range(4, 9)}
    for line in (12, 16):
        ran = [one["about"]["ran"] for one in row("vit-a100", line)["suggestions"] if one["name"] == "precision"]
        assert ran == ["tf32"]
    (failed,) = row("vit-a100", 16)["failed"]
    # 64 images of 35.13 GFLOP in 52.32 ms; the model has no convolution of 3 x 3, so Winograd explains nothing
    assert (failed["figures"]["computed"], failed["figures"]["most"]) == ("42.967", "1.1")


def test_a_signed_percentage_is_a_gain():
    assert row("yolov9-qat-percent", 3)["checked"] == ["speedup"]
    assert row("yolov9-qat-percent", 3)["held"][0]["figures"]["speedup"] == "1.252"


def test_a_speed_up_is_held_against_throughput_and_percentiles_rise():
    assert {"speedup", "order"} <= set(row("yolov8n-rtx4080", 2)["checked"])
    assert row("yolov8n-rtx4080", 2)["unmade"] == [{"name": "throughput", "figures": {"rate": "1211"}}]


def test_figures_read_as_they_are_printed():
    assert row("three-digits", 3)["derived"]["fps"] == pytest.approx(1104.97)
    assert row("yolo11-t4", 2)["figures"]["latency_ms"] == "1.5 ± 0.0"
    assert row("two-latencies", 2)["held"][0]["figures"]["latency"] == "2"
    assert row("rtx3080-model-name", 4)["model"] == "densenet121"
    assert audited("two-latencies")["unknown"] == []


def test_gflops_of_a_model_are_no_rate():
    assert row("gflops-capital", 2)["checked"] == ["arithmetic", "physics", "traffic"]


def test_a_wide_table_is_melted_where_its_figures_are_said():
    rows = audited("tkdnn-wide")["rows"]
    assert [(one["precision"], one["batch_size"], one["figures"]["fps"]) for one in rows[:3]] == [
        ("fp32", 1, "118.59"),
        ("fp32", 4, "237.31"),
        ("fp16", 1, "207.81"),
    ]
    assert [one["line"] for one in rows] == [2] * 6 + [3] * 4
    with pytest.raises(source.PublishedError, match=r"say `figures: FPS`.*one measurement a line"):
        source.read({"file": str(FOLDER / "tkdnn-wide.csv")}, None)


def test_an_audit_needs_no_grid(tmp_path):
    table = tmp_path / "my.csv"
    table.write_text("model,precision,image size,batch size,images/s,speedup\nresnet50,fp16,224,32,3100,8.1x\n")
    told = [sys.executable, "-m", "scripts.audit_published", str(table), "--device", "T4"]
    outcome = subprocess.run(told, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert "**not contradicted** 1" in outcome.stdout
    # 3,100 x 8.178 GFLOP of 65 TFLOPS
    assert "3100 x 8.1784 GFLOP = 25.353 TFLOPS, 39 % of the 65 of T4 in fp16" in outcome.stdout
    assert "8.1x not checked: no row is 1x; it implies one of 382.7 images/s" in outcome.stdout


def test_a_usage_without_a_table_is_an_error():
    outcome = subprocess.run([sys.executable, "-m", "scripts.audit_published"], capture_output=True, check=False)
    assert outcome.returncode == 2


def judged(tmp_path, header, *lines, **about):
    """Return the rows of a table that is written by hand."""
    path = tmp_path / "my.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    read = source.read({"file": str(path)} | about, None)
    return verdict.audit([read], COUNTER)[0]["rows"]


def test_weights_are_read_once_a_call(tmp_path):
    header = "model,precision,image size,batch size,images/s"
    lines = ("resnet50,fp16,224,1,18000", "resnet50,fp16,224,1,5000", "resnet50,fp16,224,64,5000")
    rows = judged(tmp_path, header, *lines, device="T4")
    assert [one["verdict"] for one in rows] == ["impossible", "not_contradicted", "not_contradicted"]
    (moved,) = [one for one in rows[0]["failed"] if one["name"] == "traffic"]
    # 25.5 million weights of two bytes, less the 4 MB that the cache holds
    assert float(moved["figures"]["moved"]) == pytest.approx(18_000 * (0.0510 - 0.004 + 0.00015), rel=0.01)


def test_an_unknown_device_is_bounded_by_the_fastest_that_is_known(tmp_path):
    header, lines = "precision,batch size,images/s", ("fp32,64,37000", "fp32,64,3000")
    for device in ("SuperGPU 9000", "Intel Xeon 8380", None):
        about = {"device": device} if device else {}
        rows = judged(tmp_path, header, *lines, model="vit_b_16", resolution=224, **about)
        assert [one["verdict"] for one in rows] == ["impossible", "not_contradicted"]
        assert rows[0]["failed"][0]["figures"]["source"] == "fastest"


def test_calls_in_a_second_are_held_against_images(tmp_path):
    rows = judged(tmp_path, "batch size,qps,images/s", "8,900,7200", "8,900,900")
    assert [one["verdict"] for one in rows] == ["not_contradicted", "inconsistent"]


def test_a_gain_that_stands_for_a_ratio_is_named(tmp_path):
    rows = judged(tmp_path, "batch size,latency (ms),speedup", "1,10,1", "1,8,0.25", "1,5,2.0")
    assert [one["verdict"] for one in rows] == ["not_contradicted", "inconsistent", "not_contradicted"]
    assert [(one["name"], one["about"]["way"]) for one in rows[1]["suggestions"]] == [("gain", "gain")]


def test_operations_that_stand_for_a_rate_are_named(tmp_path):
    rows = judged(tmp_path, "model,image size,batch size,fps,TFLOPS", "resnet50,224,8,3000,0.00818")
    assert "taken_for_rate" in [one["name"] for one in rows[0]["suggestions"]]


def test_a_mean_of_rates_beside_a_mean_of_times_is_named(tmp_path):
    lines = [f"1,{time},{1.1 * 1000 / time:.2f}" for time in (2.0, 3.0, 4.0)]
    rows = judged(tmp_path, "batch size,avg latency (ms),fps", *lines)
    assert {one["verdict"] for one in rows} == {"inconsistent"}
    assert all("mean_of_rates" in [one["name"] for one in row["suggestions"]] for row in rows)


def test_a_cell_says_its_own_unit(tmp_path):
    rows = judged(tmp_path, "batch size,Latency,Throughput", "8,2.5 ms,3200 img/s", "8,2500 µs,**3.2** img/ms")
    assert rows[0]["derived"]["fps"] == pytest.approx(3200, rel=0.01)
    assert rows[1]["derived"]["fps"] == pytest.approx(3200, rel=0.01)
    assert list(rows[1]["unreadable"]) == ["Throughput"]


AMBIGUOUS = ('batch size,ms/image\n1,"1,250"\n1,"2,347"\n', "batch size;ms/image;fps\n1;1.250;810,4\n1;2.347;426,1\n")


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_a_figure_that_may_be_two_is_asked_for_and_not_guessed(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    rows = source.read({"file": str(tmp_path / "x.csv")}, None).rows
    assert ["ms/image" in one.unreadable for one in rows] == [True, True]
    for mark in ("point", "comma"):
        read = source.read({"file": str(tmp_path / "x.csv"), "decimal": mark}, None).rows
        value = read[0].figures["ms_per_image"].value
        assert value == (1.25 if (mark == "comma") == ("," in text.split("\n")[1].split("1", 1)[1][:6]) else 1250)


@pytest.mark.parametrize("header", ["Model variant", "Backbone net"])
def test_a_header_that_may_name_models_is_never_taken_for_none(tmp_path, header):
    (tmp_path / "x.csv").write_text(f"{header},fps\nresnet50,100\nvgg16,50\n")
    with pytest.raises(source.PublishedError, match="may name models"):
        source.read({"file": str(tmp_path / "x.csv")}, "resnet18")


def test_a_configuration_beside_a_table_is_not_its_description(tmp_path):
    (tmp_path / "my.csv").write_text("fps,batch size\n100,1\n")
    (tmp_path / "my.yaml").write_text("models: [resnet18]\ndevice: cpu\npublished: [my.csv]\n")
    read = source.read({"file": str(tmp_path / "my.csv")}, None)
    assert (read.described_by, read.device) == (None, None)
    assert source.files([str(tmp_path / "my.csv")]) == [str(tmp_path / "my.csv")]


def test_the_precision_of_a_detector_is_no_precision_of_numbers(tmp_path):
    (tmp_path / "x.csv").write_text("Model,Precision (%),FPS\nvgg16,97.8,100\nresnet50,96.2,200\n")
    read = source.read({"file": str(tmp_path / "x.csv")}, None)
    assert read.unknown == ["Precision (%)"]
    assert {one.precision for one in read.rows} == {None}
