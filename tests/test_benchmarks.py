"""What the benchmarks reckon with."""

import numpy as np
import pytest
from builders import make_record

from benchmarks import finished


def test_jobs_that_overlap_share_their_time_and_short_gaps_count_as_scheduling():
    assert finished.wall_time([(0, 10), (2, 8), (9, 12), (15, 16)]) == 16


def test_a_long_pause_is_an_interrupted_run_and_does_not_count():
    assert finished.wall_time([(1000, 1002), (0, 10)]) == 12


def test_one_more_process_is_expected_within_the_spread_of_the_rounds():
    rng = np.random.default_rng(0)
    latencies = np.exp(rng.normal(0, 0.05, (2000, 4)))
    inside = [low <= last <= high for *rounds, last in latencies for low, high in [finished.expected(rounds)]]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_intervals_of_many_cells_hold_all_at_once():
    rng = np.random.default_rng(0)
    latencies = np.exp(rng.normal(0, 0.05, (1000, 10, 4)))
    held = [
        all(low <= last <= high for *rounds, last in cells for low, high in [finished.expected(rounds, 10)])
        for cells in latencies
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


def test_two_rounds_have_no_interval():
    assert finished.expected([1.0, 1.1]) is None


def test_a_comparison_names_the_cells_that_are_outside(capsys):
    def rounds(name, latencies):
        return [make_record(name, [ms] * 5) for ms in latencies]

    same, slow = "pytorch-fp32-r64-b1", "pytorch-fp32-r64-b8"
    found = [
        (rounds(name, (1.0, 1.001, 1 / 1.001)), make_record(name, [ms] * 5)) for name, ms in ((same, 1.0), (slow, 2.0))
    ]
    finished.compare("new / old", found)
    ratio, outside, single = capsys.readouterr().out.splitlines()
    assert ratio == "latency new / old: 1.5000 in the median over 2 cells"
    assert slow in outside
    assert same not in outside
    assert single.endswith(": 1 of 2, by chance 0.1")


def test_a_folder_without_a_run_is_said_to_be_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="run snakemake first"):
        finished.jobs()


def test_a_cell_that_was_measured_alone_is_measured_again_so_and_into_another_file():
    record = make_record("pytorch-fp32-r64-b1", command="python -m scripts.time_cell cell --output old.json --alone")
    arguments, output = finished.again(record, "folder")
    assert arguments == ["scripts.time_cell", "cell", "--output", str(output), "--alone"]
    assert output.parent.name == "folder"
