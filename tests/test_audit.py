"""The gate: tables that cannot be true are found, and true ones pass."""

import pytest
from builders import (
    ARITHMETIC,
    LATENCIES,
    PEAKS,
    REFERENCE,
    make_record,
    make_records,
    make_request,
    make_table,
    make_two_models,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from speedgrid.grid import Cell
from speedgrid.table import audit
from speedgrid.table import cells as table
from speedgrid.table.audit import AuditError

NO_SHEET = PEAKS | {"data_sheet_tflops": {}}
# 8 MB of float32 weights and 0.053152 MB an image, less 4 MB of cache.
WEIGHTS_MB, IMAGE_MB, CACHE_MB = 8.0, 4 * (3 * 64**2 + 1000) / 1e6, PEAKS["cache_mb"]
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


def violations(table, peaks=PEAKS):
    arithmetic = {model: ARITHMETIC["resnet18"] for model in table.model.unique()}
    return audit.violations(table, arithmetic, peaks, REFERENCE)


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
    assert audit.require(results, ARITHMETIC, PEAKS, REFERENCE) == len(LATENCIES)


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
    table = make_table([make_record("resnet18-pytorch-fp32-r64-b8", [16.0] * 1000)])
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
    found = violations(make_table([make_record("resnet18-pytorch-fp32-r64-b8", [milliseconds] * 50)]))
    assert (found == []) is possible
    if not possible:
        assert "2.25 times the data sheet's peak of 5; at most 2.25 times is possible" in found[0]


@pytest.mark.parametrize(("milliseconds", "possible"), [(1.18, False), (1.19, True)])
def test_a_measured_peak_is_given_more_room(milliseconds, possible):
    # 8 x 10^9 FLOP at 2 TFLOPS take 4 ms, and 4 / 2.25 / 1.5 = 1.185 ms.
    name = "resnet18-pytorch-fp32-r64-b8"
    records = [make_record(name, [milliseconds] * 50)]
    results = table.tabulate([Cell.parse(name)], records, ARITHMETIC, NO_SHEET, REFERENCE)
    assert (violations(results, NO_SHEET) == []) is possible


def test_tf32_that_is_counted_as_fp32_is_impossible():
    name = "resnet18-pytorch-fp32-r64-b8"
    assert "in fp32" in violations(make_table([make_record(name, [0.5] * 50)]))[0]
    assert violations(make_table([make_record(name, [0.5] * 50, ran="fp16")])) == []


def traffic_floor(batch_size, bandwidth, cache=CACHE_MB):
    """Return the least ms of a call at 64 pixels."""
    return max(0.0, WEIGHTS_MB + batch_size * IMAGE_MB - cache) / bandwidth


def traffic_violations(batch_size, milliseconds, **changes):
    """Return what is wrong with one row but its arithmetic, which a fast enough device excuses."""
    cell = f"resnet18-pytorch-fp32-r64-b{batch_size}"
    peaks = PEAKS | {"data_sheet_tflops": {"fp32": 1e15}} | changes
    results = table.tabulate([Cell.parse(cell)], [make_record(cell, [milliseconds] * 50)], ARITHMETIC, peaks, REFERENCE)
    return violations(results, peaks)


BATCHES = st.integers(1, 4096)
BANDWIDTHS = st.floats(1, 1e4)


@given(BATCHES, BANDWIDTHS, st.floats(0.01, 0.999))
def test_a_call_faster_than_its_bytes_at_the_data_sheets_bandwidth_is_found(batch_size, bandwidth, share):
    floor = traffic_floor(batch_size, bandwidth)
    assert traffic_violations(batch_size, floor / share, data_sheet_gb_s=bandwidth) == []
    found = traffic_violations(batch_size, floor * share, data_sheet_gb_s=bandwidth)
    assert [one.split(" = ")[0] for one in found] == [
        f"resnet18-pytorch-fp32-r64-b{batch_size}: {column}" for column in ("fps", "throughput_fps")
    ]
    assert all("at the data sheet's bandwidth" in one for one in found)


@given(BATCHES, BANDWIDTHS, st.floats(0.01, 0.999))
def test_a_measured_copy_is_given_half_as_much_again(batch_size, bandwidth, share):
    floor = traffic_floor(batch_size, 1.5 * bandwidth)
    assert traffic_violations(batch_size, floor / share, copy_gb_s=bandwidth) == []
    found = traffic_violations(batch_size, floor * share, copy_gb_s=bandwidth)
    assert len(found) == 2
    assert "at 1.5 times the bandwidth of a measured copy" in found[0]


def test_the_byte_floor_gives_its_arithmetic():
    [found, _] = traffic_violations(1, 0.2)
    assert found == (
        "resnet18-pytorch-fp32-r64-b1: fps = 5000 is 0.2 ms a call, but 4.053 MB of weights, input and output beyond "
        "the cache's 4 MB take 0.2702 ms at 1.5 times the bandwidth of a measured copy, 15 GB/s"
    )


@given(BATCHES, st.floats(1e-6, 1))
def test_what_fits_into_the_cache_passes_at_any_speed(batch_size, milliseconds):
    everything = WEIGHTS_MB + batch_size * IMAGE_MB
    assert traffic_violations(batch_size, milliseconds, cache_mb=everything) == []


@pytest.mark.parametrize("unknown", [{"cache_mb": None}, {"copy_gb_s": None}])
def test_without_the_cache_or_any_bandwidth_there_is_no_byte_floor(unknown):
    assert traffic_violations(1, 1e-6, **unknown) == []


@pytest.mark.parametrize(
    ("label", "ran", "floor"),
    [("fp16", "fp16", 0.02), ("fp32", "fp16", 0.02), ("fp16", "fp32", 0.02), ("tf32", "tf32", 4)],
)
def test_half_precision_stores_half_the_bytes(label, ran, floor):
    # 4.0266 MB beyond 4 MB of cache, or 8.0532 MB, at 1 GB/s.
    cell = f"resnet18-pytorch-{label}-r64-b1"
    peaks = PEAKS | {"data_sheet_tflops": {ran: 1e15}, "data_sheet_gb_s": 1.0}
    for milliseconds, possible in ((floor, False), (floor * 1.4, True)):
        record = make_record(cell, [milliseconds] * 50, ran=ran)
        results = table.tabulate([Cell.parse(cell)], [record], ARITHMETIC, peaks, REFERENCE)
        assert (violations(results, peaks) == []) is possible


def test_a_cell_that_was_copied_to_another_is_found():
    spread = [1.0 + 0.001 * number for number in range(50)]
    names = ["resnet18-onnxruntime-fp32-r64-b1", "resnet18-onnxruntime-fp16-r64-b1"]
    assert violations(make_table([make_record(names[0], spread), make_record(names[1], [*spread, 2.0])])) == []
    [found] = violations(make_table([make_record(name, spread) for name in names]))
    assert all(name in found for name in names)


def test_the_error_names_ten_rows_at_most_and_says_how_many_there_are():
    table = make_table(make_records())
    table["ms_per_image"] *= 2
    with pytest.raises(AuditError, match=r"in 12 places") as caught:
        audit.require(table, ARITHMETIC, PEAKS, REFERENCE)
    assert len(str(caught.value).splitlines()) == 11


def test_a_row_of_the_error_is_one_line_whatever_its_cell_is_called():
    table = make_table(make_records())
    table["ms_per_image"] *= 2
    table["model"] = name = "a\nb\x1b[2Jc"
    with pytest.raises(AuditError) as caught:
        audit.require(table, {name: ARITHMETIC["resnet18"]}, PEAKS, REFERENCE)
    assert len(str(caught.value).splitlines()) == 11
    assert "\x1b" not in str(caught.value)


def test_a_table_without_any_speed_passes():
    records = [make_record(name, status="failed", reason="boom") for name in LATENCIES]
    assert audit.require(make_table(records), ARITHMETIC, PEAKS, REFERENCE) == 0


def with_energy(joules_per_call, power_w):
    """Return the table of one cell with the energy of its calls; 8 images in 4 ms are 2000 images/s."""
    used = {"joules_per_call": joules_per_call, "power_w": power_w, "calls": 500, "seconds": 2.0}
    return make_table([make_record("resnet18-pytorch-fp32-r64-b8", [4.0] * 50, probes={"energy": used})])


@given(st.floats(1, 1000), st.floats(0.8, 1.2))
def test_energy_that_is_power_times_time_passes(power_w, factor):
    assert violations(with_energy(power_w * 0.004 * factor, power_w)) == []


@given(st.floats(1, 1000), st.one_of(st.floats(0.01, 0.74), st.floats(1.26, 100)))
def test_energy_that_is_not_power_times_time_is_found(power_w, factor):
    [found] = violations(with_energy(power_w * 0.004 * factor, power_w))
    assert found.startswith("resnet18-pytorch-fp32-r64-b8: energy x rate = ")
    assert found.endswith(f"not the power of {power_w:.6g} W")


STEPS = {
    "cpu": ("preprocess_cpu", "copy_in_pinned", "call", "copy_out_pinned"),
    "gpu": ("copy_in_uint8", "preprocess_gpu", "call", "copy_out_pinned"),
}


def with_costs(times, way):
    """Return the table of one cell whose steps take `times` in ms, and its request as long as all of them."""
    steps = dict(zip(STEPS[way], times, strict=True))
    costs = make_request(steps | {f"end_to_end_{way}": sum(times)})
    return make_table([make_record("resnet18-pytorch-fp32-r64-b8", [16.0] * 50, probes={"request": costs})])


FOUR_TIMES = st.lists(st.floats(0.5, 1000), min_size=4, max_size=4)


@given(FOUR_TIMES, st.sampled_from(sorted(STEPS)), st.integers(0, 3), st.floats(1.01, 100))
def test_a_step_of_a_request_that_is_changed_alone_is_found(times, way, which, factor):
    table = with_costs(times, way)
    assert violations(table) == []
    table.loc[0, f"{STEPS[way][which]}_ms"] *= factor
    [found] = violations(table)
    assert found.startswith(f"resnet18-pytorch-fp32-r64-b8: parts_{way}_ms = ")


@given(FOUR_TIMES, st.sampled_from(sorted(STEPS)), st.one_of(st.floats(0.01, 0.7), st.floats(1.4, 100)))
def test_a_request_that_its_steps_do_not_add_up_to_is_found(times, way, factor):
    table = with_costs(times, way)
    table.loc[0, f"end_to_end_{way}_ms"] *= factor
    [found] = violations(table)
    assert f"ms, but end_to_end_{way}_ms = " in found


def test_each_model_is_held_against_its_own_reference():
    results = make_table(make_two_models())
    assert violations(results) == []
    results.loc[results.model == "resnet50", ["speedup", "speedup_low", "speedup_high"]] /= 3
    found = violations(results)
    assert len(found) == 12
    assert found[0].startswith(
        "resnet50-pytorch-fp32-r64-b1: its speed-up is 0.333333, but reference over own latency is"
    )


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("latency_ms", float("nan"), "its status is ok, but it shows no latency"),
        ("observed_precision", "tf32", "its status is ok, but it is labelled fp32 and ran tf32"),
        ("observed_precision", None, "its status is ok, but it is labelled fp32 and ran nothing that was observed"),
        ("status", "wrong_precision", "its status is wrong_precision, but it ran fp32, as its label says"),
    ],
)
def test_a_row_whose_status_is_not_what_it_shows_is_found(column, value, words):
    assert any(words in one for one in violations(broken(0, column, lambda _: value)))
