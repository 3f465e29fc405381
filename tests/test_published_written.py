"""Tables as vendors, papers and tools write them: what their columns mean, and that what is true is not accused."""

import pytest

from speedgrid.published import source, verdict
from speedgrid.published.cost import Cost
from speedgrid.published.names import models
from speedgrid.published.reading import headers

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
