"""Headers and figures of published tables, in the conventions that people use."""

import json
import os
from pathlib import Path

import pytest
import yaml

from speedgrid.published import quantities, source, verdict
from speedgrid.published.counting import Counter
from speedgrid.published.names import precisions
from speedgrid.published.reading import axes
from speedgrid.published.reading import headers as columns

UNDERSTOOD = {
    "ms_per_image": ("ms_per_image", 1),
    "ms/image": ("ms_per_image", 1),
    "us/img": ("ms_per_image", 1e-3),
    "s/image": ("ms_per_image", 1e3),
    "time per image (µs)": ("ms_per_image", 1e-3),
    "image time [ns]": ("ms_per_image", 1e-6),
    "ms_per_batch": ("latency_ms", 1),
    "ms/iter": ("latency_ms", 1),
    "latency_ms": ("latency_ms", 1),
    "latency (us)": ("latency_ms", 1e-3),
    "Latency [s]": ("latency_ms", 1e3),
    "median latency (msec)": ("latency_ms", 1),
    "mean inference time (seconds)": ("latency_ms", 1e3),
    "batch time (ms)": ("latency_ms", 1),
    "FPS": ("fps", 1),
    "img/s": ("fps", 1),
    "images/sec": ("fps", 1),
    "samples_per_second": ("fps", 1),
    "it/s": ("calls_per_s", 1),
    "batches/s": ("calls_per_s", 1),
    "iterations per second": ("calls_per_s", 1),
    "qps": ("throughput_calls_per_s", 1),
    "Throughput (queries/s)": ("throughput_calls_per_s", 1),
    "infer/s": ("throughput_fps", 1),
    "inferences/sec": ("throughput_fps", 1),
    "Throughput (img/s)": ("throughput_fps", 1),
    "throughput_fps": ("throughput_fps", 1),
    "tflops": ("tflops", 1),
    "GFLOPS": ("gflops", 1),
    "GFLOPs": ("gflops", 1),
    "MFLOPs": ("gflops", 1e-3),
    "FLOPs (B)": ("operations", 1),
    "FLOPs (G)": ("operations", 1),
    "gflop/s": ("tflops", 1e-3),
    "achieved TFLOP/s": ("tflops", 1),
    "tflops_peak": ("tflops_peak", 1),
    "peak (GFLOPS)": ("tflops_peak", 1e-3),
    "gflop_per_image": ("gflop_per_image", 1),
    "GMACs": ("gflop_per_image", 2),
    "MMACs": ("gflop_per_image", 2e-3),
    "MFLOP/image": ("gflop_per_image", 1e-3),
    "utilisation_percent": ("utilisation_percent", 1),
    "Utilization (%)": ("utilisation_percent", 1),
    "% of peak": ("utilisation_percent", 1),
    "MFU (0..1)": ("utilisation_percent", 100),
    "utilisation (share)": ("utilisation_percent", 100),
    "speedup": ("speedup", 1),
    "Speed-up over PyTorch": ("speedup", 1),
    "Batch Size": ("batch_size", 1),
    "bs": ("batch_size", 1),
    "image size": ("resolution", 1),
    "dtype": ("precision", 1),
    "framework": ("backend", 1),
    "GPU": ("device", 1),
}


@pytest.mark.parametrize(("header", "meaning"), UNDERSTOOD.items())
def test_a_header_says_what_its_column_holds_and_in_which_unit(header, meaning):
    column = columns.understand(header)
    assert column.name == meaning[0]
    assert column.factor == pytest.approx(meaning[1])


HEADERS = yaml.safe_load((Path(__file__).parent / "published" / "headers.yaml").read_text(encoding="utf-8"))


def test_headers_of_real_tables_mean_what_their_authors_meant():
    found = {header: columns.understand(header) for header in HEADERS}
    assert len(found) > 150
    meant = {header: column and column.key for header, column in found.items()}
    assert {header: key for header, key in meant.items() if key != HEADERS[header]} == {}


def test_a_header_says_where_its_figures_are_from():
    assert columns.understand("FP32, B=1").place == {"precision": "FP32", "batch_size": "1"}
    place = {"device": "A100", "backend": "TensorRT", "precision": "FP16"}
    assert columns.understand("A100 TensorRT FP16 (ms)").place == place
    assert columns.understand("Speed<br><sup>CPU ONNX<br>(ms)").place == {"device": "CPU", "backend": "ONNX"}
    assert columns.understand("Speedup vs PyTorch CUDA").base == "PyTorch CUDA"


@pytest.mark.parametrize(
    "header",
    [
        *("utilisation", "s", "peak", "accuracy", "GPU Utilization", "GPU Util %", "Preprocess Time (ms)", "mAP"),
        *("latency_ms_low", "memory_mb", "energy_mj_per_image", "device_ms", "build time"),
    ],
)
def test_a_header_that_is_unknown_or_could_mean_two_things_means_nothing(header):
    assert columns.understand(header) is None


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("0.1", 0.05, 0.15),
        ("0.10", 0.095, 0.105),
        ("179", 178.5, 179.5),
        ("1900", 1850, 1950),
        ("1,900", 1850, 1950),
        ("1900.0", 1899.95, 1900.05),
        ("1000", 950, 1050),
        ("1.6e3", 1550, 1650),
        ("10.5x", 10.45, 10.55),
        ("93 %", 92.5, 93.5),
        ("0.0", 0, 0.05),
        ("64", 63.5, 64.5),
    ],
)
def test_a_printed_figure_stands_for_what_rounds_to_it(text, low, high):
    interval = quantities.printed(text).interval
    assert (interval.low, interval.high) == pytest.approx((low, high))


@pytest.mark.parametrize("text", ["", "OOM", "~17", "1.2.3", "x", "%", ".", "e5", "12 ms", "1,23"])
def test_what_is_no_number_is_not_read_as_one(text):
    assert quantities.printed(text) is None


def test_a_unit_scales_the_figure_and_its_rounding():
    interval = quantities.printed("500", 1e-3).interval
    assert (interval.low, interval.high) == pytest.approx((0.495, 0.505))


@pytest.mark.parametrize(
    ("text", "side"), [("224", 224), ("224x224", 224), ("224 px", 224), ("224x256", None), ("", None)]
)
def test_a_resolution_is_the_side_of_a_square(text, side):
    assert axes.side(text) == side


@pytest.mark.parametrize(
    ("text", "name"),
    [("float16", "fp16"), ("Half", "fp16"), ("FP-32", "fp32"), ("amp", "fp16"), ("32-bit", "fp32"), ("int4", "int4")],
)
def test_a_precision_has_one_name(text, name):
    assert precisions.named(text) == name


def write(folder, text, name="table.csv"):
    path = folder / name
    path.write_text(text)
    return {"file": str(path)}


def test_a_table_is_read_with_what_is_known_of_it_and_its_unknown_columns_are_named(tmp_path):
    entry = write(tmp_path, "﻿batch size,FPS,accuracy,latency\n8,1600,0.7,OOM\n16,OOM,-,\n")
    (tmp_path / "table.yaml").write_text("title: A title\ndevice: NVIDIA L4\nprecision: half\nresolution: 224\n")
    table = source.read(entry | {"device": "NVIDIA H200"}, "resnet18")
    assert (table.title, table.device, table.source) == ("A title", "NVIDIA H200", None)
    assert table.unknown == ["accuracy", "latency"]  # whose cells have no unit
    assert table.columns == {"batch size": "batch_size", "FPS": "fps"}
    first, second = table.rows
    assert (first.precision, first.resolution, first.batch_size, first.model) == ("fp16", 224, 8, "resnet18")
    assert first.figures["fps"].value == 1600
    assert second.unreadable == {"FPS": "OOM"}
    assert (first.line, second.line) == (2, 3)


def test_the_columns_of_a_table_go_before_what_is_said_of_all_of_it(tmp_path):
    entry = write(tmp_path, "fps,model,device\n10,resnet50,NVIDIA L4\n20,,\n")
    first, second = source.read(entry | {"device": "NVIDIA H200"}, "resnet18").rows
    assert (first.model, first.device) == ("resnet50", "NVIDIA L4")
    assert (second.model, second.device) == (None, "NVIDIA H200")  # the model of a configuration is of no table


def test_a_table_without_a_speed_is_refused_in_one_sentence(tmp_path):
    entry = write(tmp_path, "latency,batch\n1,8\n")
    with pytest.raises(source.PublishedError, match=r"table\.csv has the columns latency, batch; one of them must be"):
        source.read(entry, "resnet18")


def test_a_file_that_is_no_text_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"fps\n\xff\xfe\n")
    with pytest.raises(source.PublishedError, match=r"table\.csv, line 2, cannot be read: it has the byte 0xff, which"):
        source.read({"file": str(tmp_path / "table.csv")}, "resnet18")


def test_an_unknown_key_beside_a_table_is_refused_in_one_sentence(tmp_path):
    entry = write(tmp_path, "fps\n1\n")
    (tmp_path / "table.yaml").write_text("gpu: NVIDIA L4\n")
    with pytest.raises(source.PublishedError, match=r"table\.yaml has 'gpu'; it describes a published table by title,"):
        source.read(entry, "resnet18")


def test_the_files_of_the_audit_are_the_tables_and_the_descriptions_that_exist(tmp_path):
    entry = write(tmp_path, "fps\n1\n")
    assert source.files([entry["file"]]) == [entry["file"]]
    (tmp_path / "table.yaml").write_text("device: NVIDIA L4\n")
    assert source.files([entry]) == [entry["file"], str(tmp_path / "table.yaml")]


ODD_FILES = {
    "nothing": (b"", "has nothing in it; it must be a CSV file with a header, and a line for each measurement"),
    "a header": (b"fps,model\n", "has a header and no lines after it"),
    "empty lines": (b"fps,model\n\n,\n", "has a header and no lines after it"),
    "a cell too many": (
        b"fps,model\n1,a\n\n2,b,c\n",
        "line 4, has 3 cells, but the header has 2; they must be",
    ),
    "a cell too few": (b"fps,model\n1,a\n2\n", "line 3, has 1 cells, but the header has 2"),
    "a comma for a point": (b"fps,ms/image\n1,5,2\n", "line 2, has 3 cells, but the header has 2"),
    "two columns of one name": (b"fps,model, fps\n1,a,2\n", "line 1, has the column 'fps' twice"),
    "half of UTF-16": (b"\xff\xfef\0p\0s", "line 1, cannot be read: it has the byte 0x73, which is not UTF-16"),
    "UTF-16 without a mark": ("fps\n1\n".encode("utf-16-le"), "line 1, cannot be read: it has a byte of zero"),
    "Latin-1": ("fps,model\n1,a\n2,größer\n".encode("latin-1"), "line 3, cannot be read: it has the byte 0xf6"),
    "zero": (b"fps,model\n1,a\n2,\0\n", "line 3, cannot be read: it has a byte of zero, which no text has"),
    "an open quote": (b'fps,model\n1,"a\n2,b\n', "cannot be read: unexpected end of data; it must be a CSV file"),
    "a long book": (b"fps\n" + b"1\n" * 10_001, "has more than 10,000 lines; audit it in parts"),
    "megabytes": (b"fps\n" + b"1" * 10_000_001, "has more than 10,000,000 bytes"),
    "no speed": (b"a\nb\n", "has the columns a; one of them must be a speed with its unit"),
}


@pytest.mark.parametrize(("content", "words"), ODD_FILES.values(), ids=ODD_FILES)
def test_a_file_that_is_no_table_is_refused_in_one_sentence_with_its_line(tmp_path, content, words):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(source.PublishedError) as caught:
        source.read({"file": str(path)}, "resnet18")
    message = str(caught.value)
    assert message.startswith(f"published table {path}")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", ["missing", "a folder", "a pipe"])
def test_a_table_that_is_no_file_is_refused(tmp_path, kind):
    path = tmp_path / "table.csv"
    if kind != "missing":
        (path.mkdir if kind == "a folder" else lambda: os.mkfifo(path))()
    with pytest.raises(
        source.PublishedError, match=r"table\.csv (cannot be read: No such file|is a folder or a device)"
    ):
        source.read({"file": str(path)}, "resnet18")


SIDECARS = {
    "broken": (b"device: [", "table.yaml cannot be read as YAML in UTF-8 ("),
    "binary": (b"\xff\xfe\x00", "table.yaml cannot be read as YAML in UTF-8 ("),
    "a number": (b"device: 4090\n", "table.yaml has a device that is of type int; it must be text."),
    "a list": (b"device: [a, b]\n", "table.yaml has a device that is of type list; it must be text."),
    "a date": (b"source: 2026-01-02\n", "table.yaml has a source that is of type date; it must be text."),
    "half an image": (b"batch_size: 0.5\n", "has a batch_size that is of type float; it must be a number from 1 to"),
    "a truth": (
        b"resolution: true\n",
        "has a resolution that is of type bool; it must be a number from 1 to",
    ),
    "endless": (
        b"resolution: 0x" + b"f" * 5000 + b"\n",
        "fff, in YAML a hexadecimal number; write it as a decimal one, or a text in quotes)",
    ),
    "twice": (b"device: a\ndevice: b\n", "the key 'device' stands twice, in lines 1 and 2; write it once"),
    "deep": (b"[" * 5000, "table.yaml cannot be read as YAML in UTF-8 (it is nested too deeply)"),
    "a sentence": (b"hello\n", "table.yaml has 'no mapping'; it describes a published table by title"),
}


@pytest.mark.parametrize(("content", "words"), SIDECARS.values(), ids=SIDECARS)
def test_a_description_that_is_none_is_refused_in_one_sentence(tmp_path, content, words):
    (tmp_path / "table.csv").write_text("fps\n1\n", encoding="utf-8")
    (tmp_path / "table.yaml").write_bytes(content)
    with pytest.raises(source.PublishedError) as caught:
        source.read({"file": str(tmp_path / "table.csv")}, "resnet18")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


ODD_CELLS = {
    "too large": "fps,1e400",
    "digits": f"fps,{'9' * 400}",
    "no float's": "fps,1e308",
    "too small": "fps,1e-300",
    "an exponent of digits": "fps,1e99999999999999999999",
    "zero with an exponent": "fps,0e999",
    "a size of digits": f"resolution,{'2' * 5000}",
    "a batch of digits": f"batch_size,{'9' * 4400}",
    "half a batch": "batch_size,2.5",
    "words": "fps,fast",
}


@pytest.mark.parametrize("odd", ODD_CELLS.values(), ids=ODD_CELLS)
def test_an_odd_cell_makes_its_row_one_that_cannot_be_checked_and_no_other(tmp_path, odd):
    header, cell = odd.split(",")
    lines = [{"latency_ms": "2", "batch_size": "2", "fps": "1000", "resolution": "224"} for _ in range(3)]
    lines[1][header] = cell
    text = "\n".join([",".join(lines[0]), *(",".join(line.values()) for line in lines)])
    (tmp_path / "table.csv").write_text(text, encoding="utf-8")
    table = source.read({"file": str(tmp_path / "table.csv")}, "resnet18")
    found = verdict.audit([table], lambda model, resolution: None)[0]
    json.dumps(found, allow_nan=False)
    assert [row["verdict"] for row in found["rows"]] == ["not_contradicted", "unchecked", "not_contradicted"]
    assert [row["line"] for row in found["rows"]] == [2, 3, 4]
    assert list(found["rows"][1]["unreadable"]) == [header]
    assert len(found["rows"][1]["unreadable"][header]) <= 100


@pytest.mark.parametrize(("model", "size"), [("vit_b_32", 225), ("alexnet", 3), ("maxvit_t", 100), ("no", 9)])
def test_a_model_at_a_size_that_it_does_not_take_has_no_arithmetic(model, size):
    assert Counter({})(model, size) is None


def test_lines_are_those_of_the_file(tmp_path):
    (tmp_path / "table.csv").write_text('fps,model\n\n1,a\n,\n2,"b\nc"\n3,d\n', encoding="utf-8")
    assert [row.line for row in source.read({"file": str(tmp_path / "table.csv")}, "resnet18").rows] == [3, 6, 7]
