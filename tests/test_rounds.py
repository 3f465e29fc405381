"""The table of single timings."""

import numpy as np
import pandas as pd
import pytest
from builders import make_record, make_refusal, make_table

from speedgrid.table import rounds

CELL = "resnet18-pytorch-fp32-r64-b1"


def test_each_timing_is_a_row_with_its_own_median_and_interval():
    records = [
        make_record(
            CELL,
            [1.0, 2.0, 4.0],
            turn="twin1",
            measured_at="2026-01-02T03:09:00+00:00",
            device_ms=[0.5, 0.7, 0.9],
        ),
        make_record(CELL, [8.0] * 10, turn="round1", measured_at="2026-01-02T03:08:00+00:00"),
        make_refusal("resnet18-onnxruntime-fp32-r64-b1", "out_of_memory", "too large"),
    ]
    table = rounds.tabulate(records)
    assert list(table.columns) == list(rounds.COLUMNS)
    assert list(table.turn) == ["round1", "round1", "twin1"]  # by cell, then by time
    refused, first, twin = table.itertuples()
    assert (refused.backend, refused.status, refused.runs) == ("onnxruntime", "out_of_memory", 0)
    assert np.isnan(refused.latency_ms)
    assert (first.latency_ms, first.latency_ms_low, first.latency_ms_high, first.runs) == (8.0, 8.0, 8.0, 10)
    assert (twin.latency_ms, twin.device_ms) == (2.0, 0.7)
    assert 1.0 <= twin.latency_ms_low < 2.0 < twin.latency_ms_high <= 4.0
    assert np.isnan(twin.submit_ms)


def test_the_table_survives_a_file(tmp_path):
    table = rounds.tabulate(
        [make_record(CELL, [3.0] * 9), make_refusal("resnet18-pytorch-fp32-r64-b8", "failed", "bad")]
    )
    table.to_csv(tmp_path / "rounds.csv", index=False)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "rounds.csv"), table, check_dtype=False)


def test_a_run_without_any_speed_has_columns_of_numbers():
    table = rounds.tabulate([make_refusal(CELL, "unavailable", "no GPU")])
    assert table.latency_ms.dtype == float


def test_the_spread_is_the_slowest_over_the_quickest_round():
    times = {"round1": 4.0, "round2": 5.0, "round3": 4.5, "twin1": 9.0, "sentinel1": 1.0}
    records = [make_record(CELL, [ms] * 9, turn=turn) for turn, ms in times.items()]
    once = make_record("resnet18-pytorch-fp32-r64-b8", [1.0] * 9)
    table = make_table([*records[:3], once])
    [found] = rounds.spread(rounds.tabulate([*records, once]), table).itertuples()
    assert (found.batch_size, found.rounds, found.spread_percent) == (1, 3, pytest.approx(25.0))


def test_a_withheld_cell_has_no_spread():
    records = [make_record(CELL, [ms] * 9, turn=f"round{ms:.0f}") for ms in (1.0, 2.0)]
    records.append(make_record(CELL, turn="round3", status="wrong_result", reason="noise"))
    assert rounds.spread(rounds.tabulate(records), make_table(records)).empty
