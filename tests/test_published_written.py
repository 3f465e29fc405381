"""Tables as vendors, papers and tools write them: what their columns mean, and that what is true is not accused."""

import re
from pathlib import Path

import pytest

from speedgrid.published import alone, source, verdict
from speedgrid.published.cost import Cost
from speedgrid.published.names import models
from speedgrid.published.reading import headers
from speedgrid.published.words import unmade

# Of ResNet-50 at 224: operations of an image, elements of its weights, share for Winograd.
COST = Cost(8_178_368_512, 25_502_912, 3 * 224**2 + 1000, 0.368)


def audited(tmp_path, text, **about):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    read = source.read({"file": str(path), "resolution": 224} | about, None)
    return verdict.audit([read], lambda model, resolution: COST if model == "resnet50" else None)[0]


@pytest.mark.parametrize(
    ("header", "name", "factor"),
    [
        ("Inf time (fps)", "fps", 1),  # mmdetection's tables
        ("Latency (FPS)", "fps", 1),
        ("inference time (img/s)", "fps", 1),
        ("time per image (s)", "ms_per_image", 1000),
        ("inference time (s/im)", "ms_per_image", 1000),
    ],
)
def test_the_unit_of_a_time_says_what_it_is(header, name, factor):
    column = headers.understand(header)
    assert (column.name, column.factor) == (name, factor)


@pytest.mark.parametrize("header", ["Inference Time on V100 (ms)", "Latency (ms) with V100", "V100: latency [ms]"])
def test_a_device_may_stand_behind_a_word_that_means_nothing(header):
    column = headers.understand(header)
    assert (column.name, column.place) == ("latency_ms", {"device": "V100"})


# Of NVIDIA's DeepLearningExamples.
PERCENTILES = """
| **Batch Size** | **Throughput Avg** | **Latency Avg** | **Latency 90%** | **Latency 99%** |
|:---:|:---:|:---:|:---:|:---:|
| 8 | 826 img/s | 9.69 ms | 9.89 ms | {last} ms |
"""


@pytest.mark.parametrize(("last", "failed"), [("10.3", []), ("9.1", ["order"])])
def test_a_percentile_may_be_written_as_a_share_and_a_rate_with_its_statistic(tmp_path, last, failed):
    found = audited(tmp_path, PERCENTILES.format(last=last), model="resnet50", device="A100 80GB")
    assert found["unknown"] == []
    (row,) = found["rows"]
    assert {"throughput_fps:mean", "latency_ms:mean", "latency_ms:p90", "latency_ms:p99"} == set(row["figures"])
    assert [one["name"] for one in row["failed"]] == failed


# trtexec's: the latency has the copies that the GPU's own time has not.
TRTEXEC = """network,batch,Throughput (qps),Latency mean (ms),GPU Compute Time mean (ms),GPU Compute Time median (ms)
resnet50,1,1202.3,0.871,0.826,0.824
"""


def test_a_part_of_a_call_is_not_held_against_all_of_it(tmp_path):
    (row,) = audited(tmp_path, TRTEXEC, precision="fp16", device="RTX 3080")["rows"]
    assert row["verdict"] == "not_contradicted"
    assert len(row["figures"]) == 4
    alone = TRTEXEC.replace("Latency mean (ms)", "Enqueue time (ms)")
    (row,) = audited(tmp_path, alone, precision="fp16", device="RTX 3080")["rows"]
    assert row["derived"]["latency_ms"] == pytest.approx(0.826)


@pytest.mark.parametrize(
    ("header", "cell", "gflop"),
    [
        ("MACs", "4.09G", 8.18),
        ("MAdds", "4090M", 8.18),
        ("Mult-Adds", "4.09B", 8.18),
        ("MACs", "4089184256", 8.18),
        ("Complexity (GMac)", "4.09", 8.18),
        ("MACs (M)", "4090M", 8.18),
        ("MACs", "4.09", None),  # of what, is not said
        ("MAdds", "4090", None),
        ("FLOPs", "4.09G", "either"),
        ("FLOPs", "4.09", None),
        ("MACs (M)", "4.09G", None),
    ],
)
def test_operations_are_as_many_as_their_prefix_says(tmp_path, header, cell, gflop):
    text = f"model,batch,{header},fps\nresnet50,8,{cell},500\n"
    (row,) = audited(tmp_path, text, precision="fp16", device="T4")["rows"]
    assert row["failed"] == []
    assert ("arithmetic" in row["checked"]) == (gflop is not None)
    wrong = text.replace("4.09", "9.04").replace("409", "904").replace("408", "804")
    (row,) = audited(tmp_path, wrong, precision="fp16", device="T4")["rows"]
    assert [one["name"] for one in row["failed"]] == (["arithmetic"] if gflop == 8.18 else [])


@pytest.mark.parametrize("header", ["# GPUs", "GPUs", "#GPU", "# of Accelerators", "num_gpus"])
def test_devices_that_work_together_are_counted(tmp_path, header):
    text = f"model,{header},batch,Offline Samples/s\nresnet50,8,256,30000\nresnet50,1,256,3900\nresnet50,1,256,300000\n"
    rows = audited(tmp_path, text, precision="int8", device="A100")["rows"]
    assert [row["device"] for row in rows] == ["8x A100", "A100", "A100"]
    assert [row["verdict"] for row in rows] == ["not_contradicted", "not_contradicted", "impossible"]
    (row, *_) = audited(tmp_path, text, precision="int8", device="8x A100")["rows"]
    assert row["device"] == "8x A100"
    (row, *_) = audited(tmp_path, text, precision="int8")["rows"]
    assert row["device"] == "8x GPU"


def test_a_header_of_devices_may_stand_over_their_names(tmp_path):
    text = "model,GPUs,batch,fps\nresnet50,A100,8,3000\nresnet50,T4,8,400\n"
    assert [row["device"] for row in audited(tmp_path, text, precision="fp16")["rows"]] == ["A100", "T4"]


@pytest.mark.parametrize("header", ["Name", "Modell", "modèle", "模型"])
def test_a_column_of_names_that_are_not_known_is_never_passed_over(tmp_path, header):
    with pytest.raises(source.PublishedError, match="may name models"):
        audited(tmp_path, f"{header},inference time (s/im)\nR50-FPN,0.038\n")


def test_weights_of_torchvision_name_their_model():
    assert models.resolve("ResNet50_Weights.IMAGENET1K_V2") == "resnet50"
    assert models.resolve("ViT_B_16_Weights.DEFAULT") == "vit_b_16"


@pytest.mark.parametrize("header", ["Method", "name", "Modell", "Модель", "网络"])
def test_a_column_of_names_is_of_models_where_some_are_known(tmp_path, header):
    text = f"{header},batch,FPS\nDenseNet-161,8,400\nMyNet,8,500\n"
    assert [row["model"] for row in audited(tmp_path, text)["rows"]] == ["densenet161", "MyNet"]
    both = text.replace("batch", "Methods").replace(",8,", ",resnet50,")
    with pytest.raises(source.PublishedError, match="may name models"):
        audited(tmp_path, both)  # which of them is it?


# Cells that were merged in a spreadsheet are empty but for the first of them.
MERGED = """Model,Precision,Batch,FPS
VGG-16,FP16,1,250
,,8,500
,INT8,1,400
MobileNetV2,,1,900
,,4,
"""


def test_an_empty_cell_at_the_beginning_of_a_line_is_the_one_above(tmp_path):
    rows = audited(tmp_path, MERGED, device="T4")["rows"]
    assert [(row["model"], row["precision"], row["batch_size"]) for row in rows] == [
        ("vgg16", "fp16", 1),
        ("vgg16", "fp16", 8),
        ("vgg16", "int8", 1),
        ("mobilenet_v2", None, 1),  # behind a cell that has a text, an empty one says nothing
        ("mobilenet_v2", None, 4),
    ]
    assert rows[-1]["figures"] == {}


@pytest.mark.parametrize("text", ["Model,FPS\n,100\nvgg16,50\n", "FPS,Model\n100,\n50,vgg16\n"])
def test_a_line_without_a_model_is_not_of_the_configurations_first_one(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    assert [row.model for row in source.read({"file": str(tmp_path / "x.csv")}, "resnet18").rows] == [None, "vgg16"]


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("ms", "latency_ms"),
        ("µs", "latency_ms"),
        ("Mean ± std (ms)", "latency_ms:mean"),
        ("Latency (ms) ± SD", "latency_ms"),
        ("Time ms +/- std. dev.", "latency_ms"),
        ("Host Latency (ms)", "latency_ms"),
        ("OPS (G)", "operations"),
        ("FLOPs<br><sup>@640 (B)", "operations"),
        ("FLOPs<br><sup>(B) at 224", "operations"),
        ("GFLOPs @ 224x224", "gflops"),
        ("GOPS", "gflops"),
    ],
)
def test_a_header_is_understood_as_it_is_written(header, key):
    assert headers.understand(header).key == key


@pytest.mark.parametrize("header", ["s", "x", "std (ms)", "± std", "FPS @640", "Top-1 at 224", "OPS"])
def test_a_header_that_may_be_of_something_else_is_not(header):
    assert headers.understand(header) is None


@pytest.mark.parametrize(("size", "unknown"), [(224, []), (384, ["FLOPs @224 (B)"])])
def test_operations_of_another_size_are_not_held_against_a_row(tmp_path, size, unknown):
    text = f"model,size (pixels),FLOPs @224 (B),fps\nresnet50,{size},4.1,100\n"
    found = audited(tmp_path, text, device="T4")
    assert (found["unknown"], found["rows"][0]["verdict"]) == (unknown, "not_contradicted")
    found = audited(tmp_path, text.replace("size (pixels)", "notes"), device="T4", resolution=size)
    assert found["unknown"] == ["notes", *unknown]


@pytest.mark.parametrize(("card", "said"), [("RTX 4070", True), ("RTX 3080", True), ("RTX 4090", False), ("T4", False)])
def test_a_row_says_that_its_bytes_a_second_are_not_checked_where_cards_of_one_name_differ(tmp_path, card, said):
    text = "Model,Batch,Resolution,Precision,img/s\nresnet50,8,224,fp16,900\n"
    [row] = audited(tmp_path, text, device=card)["rows"]
    assert ("traffic" in [one["name"] for one in row["unmade"]]) == said
    assert ("traffic" in row["checked"]) != said
    words = [str(unmade(one["name"], one["figures"])) for one in row["unmade"]]
    assert (words == [f"bytes a second not checked: no one bandwidth is known of {card}"]) == said


def test_a_speed_up_of_a_place_is_of_the_figures_there(tmp_path):
    text = "Model,GPU,FP32 img/s,AMP img/s,AMP speed-up\nresnet50,V100,390,1420,{}\nresnet50,T4,130,480,3.69x\n"
    for ratio, found in (("3.64x", "held"), ("4.63x", "unmade")):  # which no row of the table could be the base of
        rows = audited(tmp_path, text.format(ratio))["rows"]
        of_ratio = [row[found] for row in rows if (row["line"], row["precision"]) == (2, "fp16")]
        assert "speedup" in [one["name"] for one in of_ratio[0]]
    alone = "Model,GPU,img/s,AMP speed-up\nresnet50,V100,390,3.64x\n"
    assert audited(tmp_path, alone)["unknown"] == ["AMP speed-up"]


@pytest.mark.parametrize(("separator", "values"), [(";", [None, None]), (",", [18, 4.1]), ("\t", [18, 4.1])])
def test_three_digits_after_a_point_may_be_thousands_where_a_semicolon_parts_the_cells(tmp_path, separator, values):
    text = "model,batch,img/s\nresnet50,1,18.000\nresnet50,32,4.100\n".replace(",", separator)
    (tmp_path / "x.csv").write_text(text)
    for mark, right in ((None, values), ("comma", [18000, 4100]), ("point", [18, 4.1])):
        about = {"file": str(tmp_path / "x.csv")} | ({"decimal": mark} if mark else {})
        rows = source.read(about, None).rows
        assert [row.figures["fps"].value if row.figures else None for row in rows] == right
    (tmp_path / "x.csv").write_text(text.replace("4.100", "0.410"))  # no thousands begin with 0
    assert [row.figures["fps"].value for row in source.read({"file": str(tmp_path / "x.csv")}, None).rows] == [18, 0.41]
    (tmp_path / "x.csv").write_text(text.replace("img/s", "ms"))  # a call of 18 s is not what anybody means
    assert [row.figures["latency_ms"].value for row in source.read({"file": str(tmp_path / "x.csv")}, None).rows] == [
        18,
        4.1,
    ]


# YOLOv5's table: the times of a batch of 32 are of an image, which the header does not say.
FALLING = """|Model |size |Speed<br><sup>V100 b1<br>(ms) |Speed<br><sup>V100 b32<br>(ms) |FLOPs<br><sup>@640 (B)
|--- |--- |--- |--- |---
|YOLOv5x |640 |12.1 |4.8 |205.7
"""


def test_a_time_that_falls_with_the_batch_is_of_an_image(tmp_path):
    first, second = audited(tmp_path, FALLING, resolution=640)["rows"]
    assert first["verdict"] == "not_contradicted"
    assert {one["name"] for one in second["suggestions"]} == {"batch"}
    # Operations of a convention that nobody says are shown as they are printed, which is the least that they may be.
    assert [one["figures"]["flop"] for one in (*first["held"], *second["failed"])] == ["205.7", "205.7"]


@pytest.mark.parametrize("name", ["table.csv", "table.md", "table.txt", "my.table"])
def test_the_file_that_is_asked_for_is_the_one_that_is_read(tmp_path, name):
    path = tmp_path / name
    path.write_text("model,fps\nresnet50,100\n")
    shown = alone.report([str(path)], {})
    [asked] = re.findall(r"of all of its rows in `([^`]+)`", shown)
    Path(asked).write_text("batch_size: 8\nprecision: fp16\nresolution: 224\ndevice: T4\n", encoding="utf-8")
    assert "To say it" not in alone.report([str(path)], {})
