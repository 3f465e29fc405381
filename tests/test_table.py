"""The table: one row per cell, arithmetic that holds, and nothing shown that was not proven."""

import itertools

import numpy as np
import pandas as pd
import pytest
from builders import (
    ARITHMETIC,
    FLOP,
    LATENCIES,
    PEAKS,
    REFERENCE,
    UNMEASURED,
    changed,
    make_parity,
    make_record,
    make_records,
    make_refusal,
    make_table,
    make_two_models,
)
from hypothesis import given
from hypothesis import strategies as st

from speedgrid.evidence.intervals import ratio_interval
from speedgrid.grid import Cell
from speedgrid.table import cells as table
from speedgrid.text.status import SHOWN, STATUSES

NAME = "resnet18-pytorch-fp32-r64-b8"


def row_of(*records, name=NAME, **options):
    """Return the row of one cell from its records."""
    return make_table(list(records), [name], **options).iloc[0]


@pytest.fixture(scope="module")
def results():
    return make_table(make_records())


def at(results, name):
    cell = Cell.parse(name)
    [index] = [i for i, line in results.iterrows() if all(line[axis] == getattr(cell, axis) for axis in table.AXES)]
    return results.loc[index]


@pytest.mark.parametrize(
    ("found", "text"), [({"executed": 20, "of": 21, "types": {}}, "20 of 21"), (None, None), ({}, None)]
)
def test_a_quantised_row_says_how_many_of_its_products_were(found, text):
    line = make_table([make_record(NAME, quantised_nodes=found)]).iloc[0]
    assert line.quantised_nodes == text


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({"fused_convolutions": {"executed": 17, "of": 20, "others": {"it is depthwise": 3}}}, "17 of 20"),
        ({"fused_convolutions": {"executed": 0, "of": 1, "others": {}}}, "0 of 1"),
        ({"version": "1.0"}, None),
    ],
)
def test_a_row_says_how_many_convolutions_were_fused(details, text):
    assert make_table([make_record(NAME, details=details)]).iloc[0].fused_convolutions == text


def test_there_is_one_row_per_cell_in_the_order_of_the_grid():
    cells = [*LATENCIES, "resnet18-openvino-fp32-r64-b1"]
    results = make_table(list(reversed(make_records())), cells)
    assert [
        f"{r.model}-{r.backend}-{r.precision}-r{r.resolution}-b{r.batch_size}" for r in results.itertuples()
    ] == cells
    assert tuple(results.columns) == table.COLUMNS


def test_a_cell_without_a_record_is_a_row_with_a_reason():
    line = make_table(make_records(), [*LATENCIES, "resnet18-openvino-fp32-r64-b1"]).iloc[-1]
    assert (line.status, line.reason, line.rounds, line.runs) == ("failed", "no record of this cell", 0, 0)
    assert np.isnan(line.latency_ms)


def test_records_of_cells_outside_the_grid_are_left_out():
    assert len(make_table(make_records(), [NAME])) == 1


def test_the_table_has_at_least_the_columns_of_the_design():
    promised = (
        "backend precision resolution batch_size status reason latency_ms latency_ms_low latency_ms_high "
        "latency_p90_ms latency_p95_ms latency_p99_ms ms_per_image fps tflops tflops_peak "
        "utilisation_percent memory_mb speedup speedup_low speedup_high observed_precision snr_db device"
    )
    assert set(promised.split()) <= set(table.COLUMNS)


@pytest.mark.parametrize("status", UNMEASURED)
def test_a_status_without_a_speed_keeps_its_reason_and_shows_no_number(status):
    line = row_of(make_refusal(NAME, status, "because"))
    assert (line.status, line.reason) == (status, "because")
    assert line[["latency_ms", "fps", "tflops", "memory_mb", "speedup"]].isna().all()


def test_the_speed_of_a_wrong_result_is_withheld_although_it_was_measured():
    line = row_of(make_record(NAME, parity=make_parity(3.0, top1_agreement=0.0)))
    assert line.status == "wrong_result"
    assert line[["latency_ms", "fps", "throughput_fps", "speedup", "tflops"]].isna().all()


@pytest.mark.parametrize("status", SHOWN)
def test_other_measured_rows_show_their_speed(status):
    assert row_of(make_record(NAME, [2.0] * 50, status=status)).latency_ms == 2.0


def test_hand_computed_row():
    line = row_of(make_record(NAME, [16.0] * 50))
    expected = {
        "latency_ms": 16.0,
        "latency_ms_low": 16.0,
        "latency_ms_high": 16.0,
        "latency_p90_ms": 16.0,
        "ms_per_image": 2.0,
        "fps": 500.0,
        "throughput_fps": 500.0,
        "tflops": 0.5,
        "tflops_peak": 5.0,
        "utilisation_percent": 10.0,
        "gemm_tflops": 2.0,
        "utilisation_of_gemm_percent": 25.0,
        "memory_mb": 100.0,
        "speedup": 1.0,
        "snr_db": 121.0,
        "top1_agreement": 1.0,
        "load_seconds": 0.5,
        "rounds": 1,
        "runs": 50,
        "device": "Test CPU (2 CPUs)",
        "observed_precision": "fp32",
    }
    assert {name: line[name] for name in expected} == pytest.approx(expected)
    assert line[["latency_p95_ms", "latency_p99_ms", "device_ms", "submit_ms", "power_w", "build_seconds"]].isna().all()


@given(st.integers(1, 1024), st.lists(st.floats(0.01, 1e4), min_size=1, max_size=40))
def test_the_columns_of_a_row_agree_with_each_other(batch_size, host_ms):
    cell = Cell("resnet18", "pytorch", "fp32", 64, batch_size)
    records = [make_record(str(cell), host_ms)]
    line = table.row(cell, records, records, table.samples_of(records), ARITHMETIC, PEAKS)
    assert line["fps"] * line["latency_ms"] == pytest.approx(1000 * batch_size)
    assert line["ms_per_image"] * batch_size == pytest.approx(line["latency_ms"])
    assert line["fps"] * line["ms_per_image"] == pytest.approx(1000)
    assert line["tflops"] == pytest.approx(FLOP[64] * line["fps"] / 1e12)
    assert line["utilisation_percent"] / 100 * line["tflops_peak"] == pytest.approx(line["tflops"])
    assert line["latency_ms_low"] <= line["latency_ms"] <= line["latency_ms_high"]


def test_throughput_comes_from_the_loop_that_never_waits_where_there_is_one():
    clocks = {"device_ms": [15.0, 14.0, 16.0], "submit_ms": [1.0, 2.0, 9.0]}
    line = row_of(make_record(NAME, [16.0] * 50, probes={"back_to_back": {"ms": 10.0}}, **clocks))
    assert (line.fps, line.throughput_fps, line.device_ms, line.submit_ms) == (500.0, 800.0, 15.0, 2.0)


def test_rounds_are_brought_together_in_medians_and_the_worst_agreement():
    rounds = [
        make_record(
            NAME,
            [ms] * 40,
            turn=f"round{number}",
            memory={"peak_mb": memory},
            parity=make_parity(snr),
            telemetry=telemetry,
        )
        for number, ms, memory, snr, telemetry in (
            (2, 20.0, 90.0, 124.0, {"sm_clock_mhz": 1900, "power_w": None}),
            (1, 16.0, 100.0, 122.0, {"sm_clock_mhz": 1700, "power_w": None}),
            (3, 18.0, 300.0, 123.0, None),
        )
    ]
    line = row_of(*rounds)
    assert (line.latency_ms, line.memory_mb, line.snr_db, line.sm_clock_mhz) == (18.0, 100.0, 122.0, 1800.0)
    assert (line.rounds, line.runs) == (3, 120)
    assert np.isnan(line.power_w)
    assert line.latency_p95_ms == 20.0


def test_a_row_is_as_good_as_its_worst_round():
    refused = make_refusal(NAME, "out_of_memory", "too large", turn="round2")
    line = row_of(make_record(NAME), refused)
    assert (line.status, line.reason, line.rounds) == ("out_of_memory", "too large", 2)
    assert np.isnan(line.latency_ms)


def test_the_worst_round_decides_whatever_the_order_of_rounds():
    # Those are said of all rounds together.
    judged = [status for status in STATUSES if status not in ("unstable", "busy")]
    for better, worse in itertools.combinations(judged, 2):
        for first, second in ((better, worse), (worse, better)):
            rounds = [make_record(NAME, status=one, turn=f"round{n}") for n, one in enumerate((first, second), 1)]
            line = row_of(*rounds)
            assert (line.status, line.rounds) == (worse, 2)
            assert np.isnan(line.latency_ms) == (worse not in SHOWN)


def test_a_round_without_parity_is_a_wrong_result_for_the_row():
    line = row_of(make_record(NAME, ran="tf32"), make_record(NAME, status="wrong_result", turn="round2"))
    assert line.status == "wrong_result"
    assert line[["latency_ms", "snr_db"]].isna().all()


def test_a_mislabelled_row_is_judged_by_the_peak_of_what_it_ran():
    line = row_of(make_record(NAME, [16.0] * 50, ran="fp16"))
    assert (line.tflops_peak, line.utilisation_percent, line.observed_precision) == (10.0, 5.0, "fp16")
    assert np.isnan(line.gemm_tflops)


def test_the_measured_rate_stands_in_for_an_unknown_data_sheet():
    line = row_of(make_record(NAME, [16.0] * 50, ran="tf32"))
    assert (line.tflops_peak, line.utilisation_percent) == (4.0, 12.5)


def test_no_peak_gives_no_utilisation():
    line = row_of(make_record(NAME, [16.0] * 50, ran="bf16"))
    assert line.tflops == 0.5
    assert line[["tflops_peak", "utilisation_percent", "utilisation_of_gemm_percent"]].isna().all()


def test_a_row_says_in_a_word_what_limits_it():
    # 8 x 10^9 FLOP at 2 TFLOPS take 4 ms, and 4 x (2 + 8 x 0.5) x 10^6 bytes at 10 GB/s take 2.4 ms.
    assert row_of(make_record(NAME, [7.9] * 50)).limiter == "compute-bound"
    assert row_of(make_record(NAME, [8.1] * 50)).limiter == "kernel-bound"
    slow = make_record(NAME, [16.0] * 50, device_ms=[15.0], submit_ms=[12.5])
    assert row_of(slow).limiter == "host-launch-bound"


def test_one_round_at_the_power_limit_makes_the_row_one():
    cool = make_record(NAME, [4.0] * 50, telemetry={"throttled": []})
    hot = make_record(
        NAME, [4.0] * 50, turn="round2", telemetry={"throttled": ["hardware slowdown", "software power cap"]}
    )
    assert row_of(cool, hot).limiter == "power-capped"
    assert row_of(cool, make_record(NAME, [4.0] * 50, turn="round2")).limiter == "compute-bound"


@pytest.mark.parametrize("status", STATUSES)
def test_only_rows_with_a_speed_have_a_limiter(status):
    line = row_of(make_record(NAME, status=status))
    assert pd.isna(line.limiter) == (status not in SHOWN)


def test_speed_ups_are_ratios_to_the_reference_at_the_same_place(results):
    expected = {
        name: LATENCIES[f"resnet18-pytorch-fp32-{name.split('-', 3)[3]}"] / ms for name, ms in LATENCIES.items()
    }
    found = {name: at(results, name).speedup for name in LATENCIES}
    assert found == pytest.approx(expected)
    assert found["resnet18-onnxruntime-fp16-r64-b8"] == 4.0


def test_a_speed_up_has_the_interval_of_the_ratio():
    rng = np.random.default_rng(0)
    records = [make_record(f"resnet18-{name}-fp32-r64-b8", 10 + rng.random(50)) for name in ("pytorch", "onnxruntime")]
    results = make_table(records)
    columns = ["latency_ms", "latency_ms_low", "latency_ms_high"]
    expected = ratio_interval(tuple(results.loc[0, columns]), tuple(results.loc[1, columns]))
    assert tuple(results.loc[1, ["speedup", "speedup_low", "speedup_high"]]) == pytest.approx(expected)
    assert expected[1] < expected[0] < expected[2]


def test_the_reference_is_exactly_one():
    line = row_of(make_record(NAME, 10 + np.random.default_rng(0).random(50)))
    assert (line.speedup, line.speedup_low, line.speedup_high) == (1.0, 1.0, 1.0)


def test_another_reference_can_be_chosen():
    results = make_table(make_records(), reference={"backend": "onnxruntime", "precision": "fp16"})
    assert at(results, "resnet18-pytorch-fp32-r64-b8").speedup == 0.25
    assert at(results, "resnet18-onnxruntime-fp16-r64-b8").speedup == 1.0


@pytest.mark.parametrize("status", ["failed", "wrong_precision"])
def test_a_reference_that_did_not_run_what_its_label_says_gives_no_speed_ups(status):
    results = make_table([make_record(NAME, status=status), make_record("resnet18-onnxruntime-fp32-r64-b8")])
    assert results.speedup.isna().all()


def test_a_place_without_a_reference_has_no_speed_up():
    results = make_table([make_record(NAME), make_record("resnet18-onnxruntime-fp32-r64-b1")])
    assert list(results.speedup.isna()) == [False, True]


def test_records_of_different_library_versions_are_refused_by_name():
    other = make_record("resnet18-pytorch-fp32-r64-b1", fingerprint="Test CPU (2 CPUs), pytorch 2.0")
    with pytest.raises(table.TableError) as caught:
        make_table([make_record(NAME), other])
    message = str(caught.value)
    for part in (
        NAME,
        "resnet18-pytorch-fp32-r64-b1",
        "'Test CPU (2 CPUs), pytorch 1.0'",
        "'Test CPU (2 CPUs), pytorch 2.0'",
    ):
        assert part in message


def test_records_of_different_devices_are_refused_also_between_backends():
    other = make_record("resnet18-onnxruntime-fp32-r64-b1")
    other = changed(other, environment=other.environment | {"device_name": "NVIDIA H200"})
    with pytest.raises(table.TableError, match="'NVIDIA H200'"):
        make_table([make_record(NAME), other])


def test_backends_have_fingerprints_of_their_own():
    assert len(make_table([make_record(NAME), make_record("resnet18-onnxruntime-fp32-r64-b1")])) == 2


def test_columns_of_numbers_are_numbers_also_where_nothing_was_measured(tmp_path):
    results = make_table([make_refusal(NAME, "unavailable", "no GPU")])
    numbers = set(table.COLUMNS) - table.TEXT_COLUMNS
    assert [name for name in numbers if not pd.api.types.is_numeric_dtype(results[name])] == []
    results.to_parquet(tmp_path / "results.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "results.parquet"), results, check_dtype=False)


def test_the_default_reference_of_these_tests_is_the_schemas():
    from speedgrid.settings import complete

    assert complete({"device": "cpu"})["report"]["reference"] == REFERENCE


def test_energy_is_that_of_the_round_that_measured_it_for_one_image():
    used = {"joules_per_call": 2.0, "power_w": 500.0, "calls": 500, "seconds": 2.0}
    records = [make_record(NAME, [4.0] * 50, probes={"energy": used}), make_record(NAME, [4.0] * 50, turn="round2")]
    line = row_of(*records)
    assert line.energy_mj_per_image == 250
    assert line.energy_power_w == 500


@pytest.mark.parametrize("calls", [400, 600])
def test_energy_at_another_rate_than_the_rows_is_withheld(calls):
    used = {"joules_per_call": 2.0, "power_w": 500.0, "calls": calls, "seconds": 2.0}
    line = row_of(make_record("resnet18-pytorch-fp32-r64-b8", [4.0] * 50, probes={"energy": used}))  # 500 calls in 2 s
    assert pd.isna(line.energy_mj_per_image)
    assert pd.isna(line.energy_power_w)


def test_energy_that_was_not_measured_is_empty_and_not_nothing():
    assert pd.isna(row_of(make_record(NAME, [8.0] * 50)).energy_mj_per_image)


def test_a_speed_up_is_over_the_reference_of_the_same_model():
    results = make_table(make_two_models())
    for model in ("resnet18", "resnet50"):
        assert at(results, f"{model}-pytorch-fp32-r64-b8").speedup == 1
        assert at(results, f"{model}-onnxruntime-fp16-r64-b8").speedup == pytest.approx(4)
    of_one = [one for one in make_two_models() if one.cell.model == "resnet50" or one.cell.precision == "fp16"]
    assert pd.isna(at(make_table(of_one), "resnet18-onnxruntime-fp16-r64-b8").speedup)
