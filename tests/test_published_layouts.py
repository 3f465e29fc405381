"""Random consistent tables in every layout that people use are read, and never accused; the example's rows neither."""

import math
import tempfile
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from speedgrid.published import source, verdict
from speedgrid.published.cost import Cost

# Counted by speedgrid.published.layers: the operations of an image at 224, elements of weights, share for Winograd.
MODELS = {
    "resnet18": (3_628_146_688, 11_678_912, 0.828),
    "resnet50": (8_178_368_512, 25_502_912, 0.368),
    "vit_b_16": (35_127_656_448, 86_292_480, 0.0),
    "mobilenet_v2": (601_548_544, 3_469_760, 0.0),
    "vgg16": (30_940_528_640, 138_344_128, 0.992),
}
WRITTEN = {
    "resnet18": ("resnet18", "ResNet-18", "ResNet 18", "**ResNet18**"),
    "resnet50": ("resnet50", "ResNet-50", "ResNet50 v1.5"),
    "vit_b_16": ("vit_b_16", "ViT-B/16", "vit_base_patch16_224"),
    "mobilenet_v2": ("mobilenet_v2", "MobilenetV2", "MobileNet-V2"),
    "vgg16": ("vgg16", "VGG-16", "VGG 16"),
}
# Devices with what they reach in fp32 and fp16, in TFLOPS, and the GB/s of their memory.
DEVICES = {
    "T4": (8.1, 65, 320),
    "Tesla V100": (14, 110, 900),
    "NVIDIA A100-SXM4-80GB": (19, 300, 2039),
    "RTX 2080Ti": (13, 53, 616),
}
PRECISIONS = {"fp32": ("fp32", "FP32", "float32", "32-bit"), "fp16": ("fp16", "FP16", "half", "AMP", "16-bit")}
BYTES = {"fp32": 4, "fp16": 2}
# Headers of each quantity, and the factor from ms, images/s or calls/s to what stands there.
TIMES = {
    "Latency (ms)": 1.0,
    "Mean (ms)": 1.0,
    "p50 (ms)": 1.0,
    "Latency (in us)": 1e3,
    "Inference time [s]": 1e-3,
    "avg_ms": 1.0,
}
IMAGE_TIMES = {"ms/image": 1.0, "time per image (µs)": 1e3}
RATES = {"FPS": 1.0, "img/s": 1.0, "img_s(avg)": 1.0, "Speed (FPS)": 1.0, "Throughput (img/s)": 1.0}
CALLS = {"QPS": 1.0, "it/s": 1.0, "RPS": 1.0}
SPEEDUPS = ("speedup", "Speedup (x)", "Gain (%)")
SEPARATORS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")


@cache
def cost_of(model, resolution):
    flop, weights, winograd = MODELS[model]
    return Cost(flop, weights, 3 * resolution**2 + 1000, winograd)


@st.composite
def measurements(draw):
    """Draw rows of one device that are true: no faster than it computes, nor than its memory moves their weights."""
    device = draw(st.sampled_from(sorted(DEVICES)))
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        model, precision = draw(st.sampled_from(sorted(MODELS))), draw(st.sampled_from(sorted(PRECISIONS)))
        batch = draw(st.sampled_from((1, 2, 8, 33, 128)))
        flop, weights, _ = MODELS[model]
        computed = DEVICES[device][precision == "fp16"] * 1e12 / flop
        read = DEVICES[device][2] * 1e9 / (BYTES[precision] * weights + batch * 150_528 * 4) * batch
        rate = draw(st.floats(0.002, 0.95)) * min(computed, read)
        rows.append({"model": model, "precision": precision, "batch": batch, "rate": rate})
    return device, rows


def figure(draw, value, comma, unit=""):
    """Write a number with two to five digits in one of the ways that people do."""
    decimals = max(1, draw(st.integers(2, 5)) - 1 - math.floor(math.log10(value)))
    whole, _, decimals = f"{value:.{decimals}f}".partition(".")
    if draw(st.booleans()) and len(whole) > 3:
        whole = f"{int(whole):,}"
    text = f"{whole}.{decimals}"
    if comma:
        text = text.translate({ord("."): ",", ord(","): "."})
    around = draw(st.sampled_from(("{}", "{}", "{}", "**{}**", "{} ± {}")))
    text = around.format(text, "0,1" if comma else "0.1")
    return f"{text} {unit}".strip() if "±" not in text else text


@st.composite
def tables(draw):
    """Draw a table of text: its bytes, and what is said of it beside."""
    device, rows = draw(measurements())
    comma = draw(st.booleans())
    chosen = {
        "time": draw(st.sampled_from((None, *TIMES))),
        "image": draw(st.sampled_from((None, *IMAGE_TIMES))),
        "rate": draw(st.sampled_from(tuple(RATES))),
        "calls": draw(st.sampled_from((None, *CALLS))),
        "speedup": draw(st.sampled_from((None, *SPEEDUPS))),
    }
    named = draw(st.booleans())
    header = ["Model", "Precision", "Batch Size", *(["GPU"] if named else []), *(one for one in chosen.values() if one)]
    lines = []
    for row in rows:
        cells = [draw(st.sampled_from(WRITTEN[row["model"]])), draw(st.sampled_from(PRECISIONS[row["precision"]]))]
        cells += [draw(st.sampled_from((f"{row['batch']}", f"bs={row['batch']}"))), *([device] if named else [])]
        cells += [cell(draw, kind, name, row, rows[0], comma) for kind, name in chosen.items() if name]
        lines.append(cells)
    separator = draw(st.sampled_from(SEPARATORS))
    about = {"resolution": 224} | ({} if named else {"device": device}) | {"decimal": "comma" if comma else "point"}
    return written(header, lines, separator).encode(draw(st.sampled_from(ENCODINGS))), about


def cell(draw, kind, name, row, first, comma):
    rate, batch = row["rate"], row["batch"]
    if kind == "speedup":
        ratio = rate / first["rate"]
        if "%" in name:
            gain = f"{100 * (ratio - 1):+.1f}"
            return (gain.replace(".", ",") if comma else gain) + "%"
        return figure(draw, ratio, comma) + draw(st.sampled_from(("", "x", "×")))
    if kind == "time":
        return figure(draw, 1000 * batch / rate * TIMES[name], comma)
    if kind == "image":
        return figure(draw, 1000 / rate * IMAGE_TIMES[name], comma)
    return figure(draw, rate / (batch if kind == "calls" else 1), comma)


def written(header, lines, separator):
    if separator == "|":
        ruled = [header, ["---"] * len(header), *lines]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in ruled)
    return "\n".join(separator.join(f'"{one}"' for one in cells) for cells in [header, *lines])


def judge(content, about):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(content)
        read = source.read({"file": str(path)} | about, None)
    return verdict.audit([read], cost_of)[0]


@settings(max_examples=settings.default.max_examples)
@given(tables())
def test_a_consistent_table_in_any_layout_is_read_and_not_accused(table):
    found = judge(*table)
    assert found["unknown"] == []
    for row in found["rows"]:
        assert row["failed"] == [], (
            table[0].decode("utf-16" if table[0][:2] == b"\xff\xfe" else "utf-8"),
            row["failed"],
        )
        assert row["unreadable"] == {}
        assert row["verdict"] == "not_contradicted"
        assert row["model"] in MODELS
        assert row["precision"] in PRECISIONS


@st.composite
def wide(draw):
    """Draw a table with a column for each precision and batch size."""
    device, rows = draw(measurements())
    model = rows[0]["model"]
    places = {(row["precision"], row["batch"]): row["rate"] for row in rows if row["model"] == model}
    unit = draw(st.sampled_from(("FPS", "ms")))
    header = ["Network", *(f"{precision.upper()} {unit}, B={batch}" for precision, batch in places)]
    values = [rate if unit == "FPS" else 1000 * batch / rate for (_, batch), rate in places.items()]
    line = [draw(st.sampled_from(WRITTEN[model])), *(figure(draw, value, comma=False) for value in values)]
    return (
        written(header, [line], draw(st.sampled_from(SEPARATORS))).encode(),
        {"device": device, "resolution": 224, "decimal": "point"},
        places,
    )


@given(wide())
def test_a_consistent_wide_table_is_one_row_a_place_and_not_accused(table):
    content, about, places = table
    rows = judge(content, about)["rows"]
    assert {(row["precision"], row["batch_size"]) for row in rows} == set(places)
    assert {row["verdict"] for row in rows} == {"not_contradicted"}
