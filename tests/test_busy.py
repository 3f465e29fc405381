"""The benchmark of runs beside neighbours: what it says of a table, and that its neighbours do what they are to."""

import pytest
from builders import LATENCIES, make_record, make_table

from benchmarks import busy
from speedgrid.measure.host import load, reading


def table(factor=1.0, **changes):
    """Return a table in which all but the reference take so many times as long."""
    records = [
        make_record(name, [ms * (1 if "pytorch" in name else factor)] * 50, **changes) for name, ms in LATENCIES.items()
    ]
    return make_table(records)


def test_a_run_that_is_the_truth_again_is_right_in_everything():
    found = busy.hold(table(), table())
    assert (found.covered, found.compared, found.false_ok, found.busy) == (8, 8, 0, 0)
    assert (found.ok, found.rows, found.winner_is_right) == (12, 12, True)


def test_rows_that_are_slower_and_ok_are_false_and_their_ratios_miss_the_truth():
    found = busy.hold(table(1.2), table())
    assert (found.covered, found.false_ok) == (0, 8)


def test_what_is_busy_is_no_false_claim_and_has_no_ratio():
    slow = table(1.2)
    slow.loc[:, "status"] = "busy"
    slow.loc[:, ["speedup", "speedup_low", "speedup_high"]] = float("nan")
    found = busy.hold(slow, table())
    assert (found.compared, found.false_ok, found.busy) == (0, 0, 12)


def test_another_winner_than_the_quiet_runs_is_wrong():
    found = table()
    worst = found.fps.idxmin()
    found.loc[worst, "fps"] = 1e6
    assert not busy.hold(found, table()).winner_is_right
    assert "fastest WRONG" in busy.sentence(busy.ROOT, "bursts", busy.hold(found, table()))


@pytest.mark.parametrize("kind", ["one core", "memory"])
def test_a_neighbour_uses_the_processor_until_the_block_ends(kind):
    import time

    with busy.beside(kind):
        time.sleep(1)
        before = reading()
        time.sleep(1)
        found = load(before, reading())
    assert found.busy_elsewhere_cores + found.stolen_cores > 0.2


def test_a_line_says_what_was_found():
    line = busy.sentence(busy.ROOT, "quiet", busy.hold(table(), table()))
    assert "8 of 8 true speed-ups inside" in line
