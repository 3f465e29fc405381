"""Random honest tables are never accused; a planted slip is always found, and named if it is one that is known."""

import csv
import io
import tempfile
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from speedgrid.machine import data_sheet
from speedgrid.published import source, verdict
from speedgrid.published.cost import Cost
from speedgrid.published.names import devices

FLOP = {224: 3_628_146_688, 512: 18_950_889_472}
# Of the operations of ResNet-18 the share in 3 x 3 convolutions with a stride of 1.
WINOGRAD = 0.83
DEVICES = ("NVIDIA H200", "NVIDIA GeForce RTX 4060 Laptop GPU", "NVIDIA A100-SXM4-80GB", "Unheard-of GPU", None)
HEADERS = {
    "latency_ms": ("latency_ms", "latency (us)", "time (s)"),
    "ms_per_image": ("ms_per_image", "us/image", "s/image"),
    "fps": ("fps", "img/s"),
    "calls_per_s": ("it/s",),
    "tflops": ("tflops", "GFLOP/s"),
    "tflops_peak": ("tflops_peak", "peak GFLOPS"),
    "utilisation_percent": ("utilisation (%)", "MFU (0..1)"),
    "speedup": ("speedup",),
}
UNITS = {"latency (us)": 1e3, "time (s)": 1e-3, "us/image": 1e3, "s/image": 1e-3}
UNITS |= {"GFLOP/s": 1e3, "peak GFLOPS": 1e3, "MFU (0..1)": 1e-2}


def written(value: float, digits: int, decimals: bool) -> str:
    """Print a number with so many significant digits, or with as many decimals as that needs."""
    rounded = Decimal(f"{value:.{digits - 1}e}")
    return f"{value:.{max(0, -rounded.as_tuple().exponent)}f}" if decimals else f"{rounded:f}"


def figures(batch: int, resolution: int, peak: float, fps: float, reference_fps: float) -> dict[str, float]:
    """Return the true figures of a row."""
    tflops = FLOP[resolution] * fps / 1e12
    return {
        "latency_ms": 1000 * batch / fps,
        "ms_per_image": 1000 / fps,
        "fps": fps,
        "calls_per_s": fps / batch,
        "tflops": tflops,
        "tflops_peak": peak,
        "utilisation_percent": 100 * tflops / peak,
        "speedup": fps / reference_fps,
    }


@st.composite
def honest(draw, least_digits=2, columns=None, devices=DEVICES, precisions=("fp32", "fp16"), batches=(1, 4, 8, 33, 64)):
    """Draw a table of which every figure follows from the same rates: its entry, header and lines of numbers."""
    device = draw(st.sampled_from(devices))
    sheet = (peaks_of(device) or {}) if device else {}
    precision = draw(st.sampled_from(precisions))
    peak = sheet.get("tflops", {}).get(precision, 50.0)
    resolution, batch = draw(st.sampled_from(sorted(FLOP))), draw(st.sampled_from(batches))
    names = columns or draw(st.lists(st.sampled_from(sorted(HEADERS)), min_size=2, unique=True))
    shares = draw(st.lists(st.floats(0.001, 0.95), min_size=1, max_size=3))
    rates = [share * peak * 1e12 / FLOP[resolution] for share in shares]
    return {
        "about": {"device": device, "precision": precision, "resolution": resolution, "batch_size": batch},
        "headers": {name: draw(st.sampled_from(HEADERS[name])) for name in names},
        "print": {name: (draw(st.integers(least_digits, 6)), draw(st.booleans())) for name in names},
        "lines": [figures(batch, resolution, peak, rate, rates[0]) for rate in rates],
    }


@cache
def peaks_of(device):
    return data_sheet.data_sheet(device)


def judge(table: dict) -> list[dict]:
    """Write a table to a file as it is printed, audit it, and return its rows."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table["headers"].values())
    for line in table["lines"]:
        cells = []
        for name, header in table["headers"].items():
            if name == "speedup" and line[name] == 1:
                cells.append("1.0")
            else:
                cells.append(written(line[name] * UNITS.get(header, 1), *table["print"][name]))
        writer.writerow(cells)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_text(text.getvalue())
        read = source.read({"file": str(path)} | table["about"], "resnet18")
    assert read.unknown == []
    return verdict.audit([read], lambda model, resolution: Cost(FLOP[resolution], winograd=WINOGRAD))[0]["rows"]


@settings(max_examples=200)
@given(honest())
def test_a_consistent_table_is_never_accused_however_it_is_rounded(table):
    for row in judge(table):
        assert row["failed"] == []
        assert row["suggestions"] == []
        assert row["verdict"] in ("not_contradicted", "unchecked")


@settings(max_examples=100)
@given(honest(columns=["ms_per_image", "fps", "tflops", "tflops_peak", "utilisation_percent"]), st.floats(0.98, 1.02))
def test_another_way_to_count_operations_is_no_contradiction(table, counting):
    for line in table["lines"]:
        line["tflops"] *= counting
        line["utilisation_percent"] *= counting
    assume(all(line["utilisation_percent"] < 100 for line in table["lines"]))
    assert {row["verdict"] for row in judge(table)} == {"not_contradicted"}


CONTRADICTIONS = {
    "tflops": (["fps", "tflops"], "tflops"),
    "tflops of a time": (["latency_ms", "tflops"], "tflops"),
    "image_rate": (["ms_per_image", "fps"], "fps"),
    "call_rate": (["latency_ms", "fps"], "fps"),
    "call_time": (["ms_per_image", "latency_ms"], "latency_ms"),
    "calls": (["fps", "calls_per_s"], "calls_per_s"),
    "utilisation": (["tflops", "tflops_peak", "utilisation_percent"], "utilisation_percent"),
    "speedup": (["fps", "speedup"], "speedup"),
}


@pytest.mark.parametrize("kind", CONTRADICTIONS)
@settings(max_examples=100)
@given(st.data(), st.floats(1.15, 1.4), st.booleans())
def test_a_figure_that_contradicts_another_is_found_and_the_rows_beside_it_are_not_accused(kind, data, factor, up):
    names, wrong = CONTRADICTIONS[kind]
    table = data.draw(honest(least_digits=3, columns=names, batches=(4, 8, 33, 64)))
    guilty = len(table["lines"]) - 1
    assume(kind != "speedup" or guilty > 0)
    assume(all(abs(line["speedup"] - 1) > 0.01 for line in table["lines"][1:]))
    table["lines"][guilty][wrong] *= factor if up else 1 / factor
    # Where two rows print 1, which of them speed-ups are relative to is not known.
    assume(guilty == 0 or abs(table["lines"][guilty]["speedup"] - 1) > 0.01)
    rows = judge(table)
    assert kind.split(" ")[0] in {one["name"] for one in rows[guilty]["failed"]}
    assert rows[guilty]["verdict"] in ("inconsistent", "impossible")
    assert [row["failed"] for row in rows[:guilty]] == [[]] * guilty


# A slip: the columns of its table, what it multiplies in them (b is the batch size), and how it must be named.
SLIPS = {
    "FPS of a batch's time": (["ms_per_image", "fps"], {"fps": "1/b"}, ("batch", "too_slow")),
    "FPS times the batch": (["ms_per_image", "fps"], {"fps": "b"}, ("batch", "too_fast")),
    "time of a batch as of an image": (
        ["latency_ms", "ms_per_image", "fps"],
        {"ms_per_image": "b", "fps": "1/b"},
        ("batch", "too_slow"),
    ),
    "TFLOPS times the batch": (["fps", "tflops"], {"tflops": "b"}, ("batch", "too_fast")),
    "TFLOPS and their share over the batch": (
        ["fps", "tflops", "tflops_peak", "utilisation_percent"],
        {"tflops": "1/b", "utilisation_percent": "1/b"},
        ("batch", "too_slow"),
    ),
    "MACs for FLOPs": (["fps", "tflops"], {"tflops": "1/2"}, ("macs", "macs")),
    "MACs for FLOPs, and their share": (
        ["ms_per_image", "tflops", "tflops_peak", "utilisation_percent"],
        {"tflops": "1/2", "utilisation_percent": "1/2"},
        ("macs", "macs"),
    ),
    "FLOPs for MACs": (["fps", "tflops"], {"tflops": "2"}, ("macs", "doubled")),
    "a share for a percentage": (
        ["tflops", "tflops_peak", "utilisation_percent"],
        {"utilisation_percent": "1/100"},
        ("percent", "100.0"),
    ),
    "microseconds for milliseconds": (["latency_ms", "fps"], {"latency_ms": "1000"}, ("thousand", "0.001")),
}


@pytest.mark.parametrize("slip", SLIPS)
@settings(max_examples=100)
@given(st.data())
def test_a_known_slip_is_found_and_named(slip, data):
    names, changes, (name, way) = SLIPS[slip]
    table = data.draw(honest(least_digits=3, columns=names, batches=(4, 8, 33, 64)))
    for line in table["lines"]:
        for column, factor in changes.items():
            over, under = {"b": ("b", "1"), "1/b": ("1", "b")}.get(factor, (*factor.split("/"), "1")[:2])
            line[column] *= number(over, table) / number(under, table)
    for row in judge(table):
        assert row["verdict"] in ("inconsistent", "impossible")
        assert (name, way) in {(one["name"], one["about"].get("way")) for one in row["suggestions"]}


def number(text: str, table: dict) -> float:
    return table["about"]["batch_size"] if text == "b" else float(text)


@settings(max_examples=100)
@given(st.data(), st.floats(2.4, 6.5), st.booleans())
def test_tf32_that_is_labelled_fp32_is_impossible_and_named(data, times, stated):
    columns = ["fps", "tflops", "tflops_peak", "utilisation_percent"] if stated else ["ms_per_image"]
    table = data.draw(honest(3, columns, ("NVIDIA H200", "NVIDIA A100-SXM4-80GB"), ("fp32",), (1, 8, 64)))
    about = table["about"]
    peak = peaks_of(about["device"])["tflops"]["fp32"]
    rate = times * peak * 1e12 / FLOP[about["resolution"]]
    table["lines"] = [figures(about["batch_size"], about["resolution"], peak, rate, rate)]
    (row,) = judge(table)
    assert row["verdict"] == "impossible"
    named = {(one["name"], one["about"].get("ran")) for one in row["suggestions"]}
    assert ("precision", "tf32") in named
    assert ("precision", "fp16") not in named


@settings(max_examples=100)
@given(st.data(), st.floats(0.1, 5))
def test_a_peak_that_a_table_states_allows_for_what_the_data_sheets_does(data, times):
    table = data.draw(honest(3, ["fps", "tflops_peak"], devices=DEVICES[:3], batches=(1, 8)))
    known = devices.find(table["about"]["device"])
    most = Cost(1, winograd=WINOGRAD).allowance * known.clock
    assume(abs(times / most - 1) > 0.05)
    for line in table["lines"]:  # the table states too small a peak
        line["tflops_peak"] *= 0.1
        line["fps"] = times * line["tflops_peak"] * 1e12 / FLOP[table["about"]["resolution"]]
    for row in judge(table):
        assert [one["name"] for one in row["failed"]] == (["stated_peak"] if times > most else [])
        assert row["verdict"] == ("inconsistent" if times > most else "not_contradicted")


@settings(max_examples=100)
@given(st.data(), st.floats(1.2, 100), st.sampled_from(["fps", "ms_per_image", "latency_ms", "calls_per_s", "tflops"]))
def test_a_rate_that_no_such_device_reaches_is_impossible(data, times, column):
    table = data.draw(honest(3, [column]))
    about = table["about"]
    known = devices.find(about["device"])
    bound = known.bound(about["precision"]) * known.clock * Cost(1, winograd=WINOGRAD).allowance
    rate = times * bound * 1e12 / FLOP[about["resolution"]]
    table["lines"] = [figures(about["batch_size"], about["resolution"], 50.0, rate, rate)]
    (row,) = judge(table)
    assert row["verdict"] == "impossible"


@settings(max_examples=100)
@given(honest(5, ["ms_per_image", "fps"]))
def test_digits_that_were_cut_off_are_no_other_slip(table):
    line = table["lines"][0]
    assume(line["fps"] > 10)
    whole = int(line["fps"])
    table |= {"lines": [line | {"fps": whole}], "headers": table["headers"] | {"fps": "fps"}}
    table["print"]["fps"] = (len(str(whole)), False)
    (row,) = judge(table)
    assert row["verdict"] == "not_contradicted" or [one["name"] for one in row["suggestions"]] == ["cut_off"]
