"""One registry of columns: the table, its document and all that show it read the same declarations."""

import ast
import csv
from pathlib import Path

import pandas as pd
import pytest
from builders import make_record, make_records, make_table

from speedgrid.report import results_page
from speedgrid.report.plots.lines import bars_of
from speedgrid.table import audit, cells, columns
from speedgrid.table.columns_of_streams import STREAMS
from speedgrid.table.columns_of_video import DECODING
from speedgrid.text import column
from speedgrid.text.column import HIGHER, KINDS, LOWER, MS, NUMBER, RATE, Column
from speedgrid.text.language import speaking, translations

ROOT = Path(__file__).parent.parent
EACH = pytest.mark.parametrize("one", columns.COLUMNS, ids=lambda one: one.name)
UNITS = {
    "_ms": "ms",
    "_mb": "MB",
    "_fps": "images/s",
    "_percent": "%",
    "_seconds": "s",
    "_w": "W",
    "_mhz": "MHz",
    "_db": "dB",
    "tflops": "TFLOPS",
}


@EACH
def test_a_column_says_what_it_is(one):
    assert one.kind in KINDS
    assert one.better in (HIGHER, LOWER, None)
    assert one.label == one.label.strip() != ""
    assert one.about.endswith(".")
    assert one.about[0] in "`" or one.about[0].isupper() or one.about[0].isdigit()
    assert "|" not in one.about
    assert "\n" not in one.about
    # Only numbers have a unit, a better direction or an interval.
    if one.kind in (column.TEXT, column.YES_NO):
        assert (one.unit, one.better, one.interval, one.proven) == (column.NONE, None, False, False)


@EACH
def test_a_column_has_the_unit_of_its_name(one):
    [*found] = {unit for end, unit in UNITS.items() if one.name.endswith(end)}
    assert len(found) <= 1
    if found:
        assert found == [one.unit]


@EACH
def test_a_column_is_called_something_in_every_language(one):
    catalogue = translations("ru")
    for text in (one.label, *([one.unit] if one.unit.isalpha() and one.unit != "TFLOPS" else [])):
        assert text in catalogue._catalog


def test_names_are_unique_and_those_of_the_table_in_its_order():
    assert len(columns.BY_NAME) == len(columns.COLUMNS)
    assert len(set(columns.NAMES)) == len(columns.NAMES) == 110
    assert columns.NAMES == cells.COLUMNS == tuple(make_table(make_records()).columns)
    assert columns.TEXT == cells.TEXT_COLUMNS
    example = ROOT / "examples" / "nvidia-h200" / "results.csv"
    # It was written before there were these.
    later = {"caveats", "quiet_percent", "fused_convolutions", "snr_reference", "worst_output", "pixel_agreement"}
    later |= {"session", "slowdown", "slowdown_low", "slowdown_high", "reference_ms", "freedom"}
    later |= {"miou", "matched_boxes", "tightly_matched_boxes", "excused_boxes", "exact_integers", *DECODING[0].names()}
    later |= {name for one in STREAMS for name in one.names()}
    assert tuple(next(csv.reader(example.open()))) == tuple(name for name in columns.NAMES if name not in later)


def test_an_interval_is_two_more_columns_of_the_one_that_has_it():
    assert columns.BY_NAME["latency_ms"].names() == ("latency_ms", "latency_ms_low", "latency_ms_high")
    assert columns.BY_NAME["fps"].names() == ("fps",)
    ends = [name for name in columns.NAMES if name.endswith(("_low", "_high"))]
    assert {columns.OF[name].name for name in ends} == {one.name for one in columns.COLUMNS if one.interval}


def test_the_document_is_that_of_the_registry_and_has_every_column():
    document = columns.document()
    assert (ROOT / "docs" / "columns.md").read_text() == document, "run `make docs`"
    assert [name for name in columns.NAMES if f"`{name}`" not in document] == []
    assert "docs/columns.md" in (ROOT / "README.md").read_text()


def test_intervals_of_what_follows_from_the_latency_follow_from_its_interval():
    row = {"batch_size": 8, "latency_ms": 4.0, "latency_ms_low": 2.0, "latency_ms_high": 5.0}
    assert columns.interval(row, "latency_ms") == (2.0, 5.0)
    assert columns.interval(row, "fps") == (1600.0, 4000.0)
    assert columns.interval(row, "ms_per_image") == (0.25, 0.625)
    assert columns.interval(row, "memory_mb") == (None, None)


def test_intervals_of_a_table_are_those_of_its_rows():
    table = make_table(make_records())
    for name in ("fps", "ms_per_image", "throughput_fps"):
        low, high = columns.interval(table, name)
        rows = [columns.interval(row, name) for row in table.to_dict("records")]
        assert list(zip(low, high, strict=True)) == rows
        assert ((low <= table[name] * (1 + 1e-9)) & (table[name] <= high * (1 + 1e-9))).all()
    assert bars_of(table, "memory_mb") is None
    below, above = bars_of(table, "fps")
    pd.testing.assert_series_equal(table.fps - below, columns.interval(table, "fps")[0], check_names=False)
    assert (above >= 0).all()


def test_a_label_has_its_unit_once():
    assert columns.heading("latency_ms") == "latency of one call, ms"
    assert columns.heading("fps") == "images/s, one call at a time"
    assert columns.heading("utilisation_percent") == "% of peak"
    assert columns.heading("status") == "status"
    assert columns.heading("speedup") == "speed-up over the reference"
    assert columns.heading("speedup", "PyTorch fp32") == "speed-up over PyTorch fp32"
    # "ms" is no part of "msgs".
    assert Column("x_ms", NUMBER, MS, LOWER, "msgs sent", "Sentence.").heading() == "msgs sent, ms"
    assert Column("x_fps", NUMBER, RATE, HIGHER, "images/s", "Sentence.").heading() == "images/s"
    with speaking("ru"):
        assert columns.heading("latency_ms") == "задержка одного вызова, мс"
        assert columns.heading("speedup") == "ускорение относительно опорной настройки"


def test_the_audit_looks_at_every_interval_and_every_figure_that_must_be_proven():
    table = make_table([make_record("resnet18-pytorch-fp32-r64-b8", [16.0] * 50)])
    for one in columns.COLUMNS:
        if one.interval:
            line = table.loc[0].to_dict() | {one.name: 1.0, f"{one.name}_low": 2.0, f"{one.name}_high": 3.0}
            assert [text for text in audit.order(line) if f"{one.name}_low = 2" in text]
        if one.proven:
            line = dict.fromkeys(columns.NAMES, float("nan")) | {"status": "wrong_result", one.name: 1.0}
            assert [f"shows {one.name} = 1" in text for text in audit.withheld(line)] == [True]


def test_a_page_says_what_a_column_is_to_who_points_at_it():
    reference = {"backend": "pytorch", "precision": "fp32"}
    assert results_page.label("memory_mb", reference).startswith("memory, MB. The most, in 10^6 bytes, ")
    assert results_page.label("speedup", reference).startswith("speed-up over PyTorch fp32")
    assert results_page.label("latency_ms_low", reference).startswith("latency of one call, ms, lower end")


READERS = [
    path
    for path in sorted((ROOT / "speedgrid").rglob("*.py"))
    if path.relative_to(ROOT / "speedgrid").parts[0] in ("report", "comparison", "table")
]


def called(node) -> str:
    """Return the name of the function that an expression calls, however it goes on: `_` of `_("x").format(y=1)`."""
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", READERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_has_labels_of_its_own_for_columns(path):
    own = [
        key.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value in columns.NAMES and called(value) in ("_", "N_")
    ]
    assert own == []
