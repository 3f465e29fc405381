"""The gate: tables that cannot be true are found, and true ones pass."""

import pytest
from builders import ARITHMETIC, FLOP, LATENCIES, PEAKS, REFERENCE, make_record, make_records, make_table
from hypothesis import given, settings
from hypothesis import strategies as st

from speedgrid import audit, table
from speedgrid.audit import AuditError
from speedgrid.grid import Cell

SHEET = PEAKS["data_sheet_tflops"]
# Changing any of these alone contradicts another figure of the row.
LINKED = (
    "latency_ms",
    "ms_per_image",
    "fps",
    "tflops",
    "tflops_peak",
    "utilisation_percent",
    "speedup",
)
ROWS = st.integers(0, len(LATENCIES) - 1)


def violations(table, data_sheet=SHEET):
    return audit.violations(table, FLOP, data_sheet, REFERENCE)


def broken(row, column, change):
    """Return a true table in which one figure was changed."""
    table = make_table(make_records())
    table.loc[row, column] = change(table.loc[row, column])
    return table


@given(st.lists(st.floats(20, 1e4), min_size=len(LATENCIES), max_size=len(LATENCIES), unique=True))
@settings(max_examples=20)
def test_whatever_was_measured_within_the_limits_of_physics_passes(latencies):
    results = make_table(make_records(dict(zip(LATENCIES, latencies, strict=True))))
    assert violations(results) == []
    assert audit.require(results, FLOP, SHEET, REFERENCE) == len(LATENCIES)


@given(ROWS, st.sampled_from(LINKED), st.floats(1e-3, 1e3).filter(lambda factor: abs(factor - 1) > 1e-4))
@settings(max_examples=60)
def test_any_figure_that_is_changed_alone_is_found_with_its_row(row, column, factor):
    table = broken(row, column, lambda value: value * factor)
    line = table.loc[row].to_dict()
    assert any(audit.name(line) in one for one in violations(table))


@given(ROWS, st.sampled_from(["latency_ms", "fps", "speedup"]), st.sampled_from(["failed", "wrong_result"]))
def test_a_speed_that_should_be_withheld_is_found(row, column, status):
    table = broken(row, "status", lambda _: status)
    found = [one for one in violations(table) if f"shows {column} = " in one]
    assert len(found) == 1
    assert status in found[0]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("latency_ms_low", 17.0, "latency_ms_low = 17 is more than latency_ms = 16"),
        ("latency_ms_high", 15.0, "latency_ms = 16 is more than latency_ms_high = 15"),
        ("latency_p90_ms", 99.0, "latency_p90_ms = 99 is more than latency_p95_ms"),
    ],
)
def test_an_interval_or_percentile_that_is_out_of_order_is_found(column, value, words):
    table = make_table([make_record("pytorch-fp32-r64-b8", [16.0] * 1000)])
    table.loc[0, column] = value
    [found] = violations(table)
    assert words in found


@pytest.mark.parametrize("milliseconds", [0.0, -1.0])
def test_a_latency_that_is_not_positive_is_found(milliseconds):
    assert any(
        f"its latency is {milliseconds} ms" in one
        for one in violations(broken(0, "latency_ms", lambda _: milliseconds))
    )


@pytest.mark.parametrize(("milliseconds", "possible"), [(0.71, False), (0.72, True)])
def test_nothing_computes_faster_than_winograd_at_the_peak_of_the_data_sheet(milliseconds, possible):
    # 8 x 10^9 FLOP at 5 TFLOPS take 1.6 ms, and 1.6 / 2.25 = 0.711 ms.
    found = violations(make_table([make_record("pytorch-fp32-r64-b8", [milliseconds] * 50)]))
    assert (found == []) is possible
    if not possible:
        assert "2.25 times the data sheet's peak of 5; at most 2.25 times is possible" in found[0]


@pytest.mark.parametrize(("milliseconds", "possible"), [(1.18, False), (1.19, True)])
def test_a_measured_peak_is_given_more_room(milliseconds, possible):
    # 8 x 10^9 FLOP at 2 TFLOPS take 4 ms, and 4 / 2.25 / 1.5 = 1.185 ms.
    peaks = {"gemm_tflops": {"fp32": 2.0}, "data_sheet_tflops": {}}
    name = "pytorch-fp32-r64-b8"
    results = table.tabulate(
        [Cell.parse(name)], [make_record(name, [milliseconds] * 50)], ARITHMETIC, PEAKS | peaks, REFERENCE
    )
    assert (violations(results, {}) == []) is possible


def test_tf32_that_is_counted_as_fp32_is_impossible():
    record = make_record("pytorch-fp32-r64-b8", [0.5] * 50)
    assert "in fp32" in violations(make_table([record]))[0]
    assert violations(make_table([record | {"observed_precision": "fp16"}])) == []


def test_a_cell_that_was_copied_to_another_is_found():
    spread = [1.0 + 0.001 * number for number in range(50)]
    names = ["onnxruntime-fp32-r64-b1", "onnxruntime-fp16-r64-b1"]
    assert violations(make_table([make_record(names[0], spread), make_record(names[1], [*spread, 2.0])])) == []
    [found] = violations(make_table([make_record(name, spread) for name in names]))
    assert all(name in found for name in names)


def test_the_error_names_ten_rows_at_most_and_says_how_many_there_are():
    table = make_table(make_records())
    table["ms_per_image"] *= 2
    with pytest.raises(AuditError, match=r"in 12 places") as caught:
        audit.require(table, FLOP, SHEET, REFERENCE)
    assert len(str(caught.value).splitlines()) == 11


def test_a_table_without_any_speed_passes():
    records = [make_record(name, status="failed", reason="boom") for name in LATENCIES]
    assert audit.require(make_table(records), FLOP, SHEET, REFERENCE) == 0
