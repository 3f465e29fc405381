"""Ratios across sessions of measuring: none excludes the truth, and what nothing links is withheld."""

import itertools
from itertools import chain

import numpy as np
import pytest
from builders import REFERENCE, make_record, make_table

from speedgrid import grid
from speedgrid.grid import Cell
from speedgrid.report.findings import decision, effects, trust
from speedgrid.report.findings.objectives import OBJECTIVES, advantage
from speedgrid.table import across, controls

LATENCY = OBJECTIVES["latency"]
AXES = {"model": ["resnet18"], "backend": ["pytorch", "onnxruntime", "openvino"], "precision": ["fp32", "int8"]}
AXES |= {"resolution": [64], "batch_size": [1, 8]}
CELLS = [cell for cell in grid.cells(AXES) if (cell.backend, cell.precision) != ("pytorch", "int8")]
FIRST = [cell for cell in CELLS if cell.precision == "fp32"]
CONTROL = grid.control_cell(AXES)
ROUNDS = 3


def planned():
    """Return the timings of a run of FIRST, and those of a session in which the other cells are added to it."""
    before, whole = (list(chain(*grid.measuring_order(one, CONTROL, 0, ROUNDS))) for one in (FIRST, CELLS))
    [found] = grid.plan([whole], CELLS, CONTROL, REFERENCE, 0, set(before))
    return before, [one for one in found if one not in before]


def simulated(seed, slow, factor=6.0, apart=0.25, spread=0.02):
    """Return records of the two sessions, the first or the second `slow`, and the latency of each cell in quiet.

    factor: how many times as long calls take there, in the middle: of each cell to a power of its own, which is by up
    to `apart` more or less than 1. spread: of processes.
    """
    draw = np.random.default_rng(seed)
    truth = {cell: float(np.exp(draw.normal(1.0, 0.7))) for cell in CELLS}
    power = {cell: 1 + draw.uniform(-apart, apart) for cell in CELLS}
    records = []
    for number, names in enumerate(planned(), start=1):
        for name in names:
            found = grid.TIMING.fullmatch(name)
            cell = Cell.parse(found["cell"])
            level = truth[cell] * (factor ** power[cell] if number == slow else 1) * np.exp(draw.normal(0, spread))
            samples = (level * np.exp(draw.normal(0, 0.02, 25))).round(6).tolist()
            moment = f"2026-01-02T0{number}:{len(records) % 60:02}:00+00:00"
            records.append(make_record(str(cell), samples, turn=found["turn"], session=f"{number}", measured_at=moment))
    return records, truth


def tabulated(records):
    """Return the table of records, with what is known of their sessions, and these."""
    rounds = [one for one in records if grid.kind_of(one.turn) == "round"]
    table = make_table(rounds, cells=list(dict.fromkeys(str(one.cell) for one in rounds)))
    return table, across.fill(table, records, REFERENCE)


def excluded(table, truth):
    """Return how many ratios of a table there are, and how many of them exclude the truth."""
    count = wrong = 0
    rows = [(Cell(*(row[axis] for axis in grid.AXES)), row) for _, row in table.iterrows()]
    for (one, row), (other, over) in itertools.permutations(rows, 2):
        _, low, high = advantage(row, over, LATENCY)
        count, wrong = count + 1, wrong + (not low <= truth[other] / truth[one] <= high)
    for cell, row in rows:
        base = truth[Cell("resnet18", "pytorch", "fp32", 64, cell.batch_size)]
        count, wrong = count + 1, wrong + (not row.speedup_low <= base / truth[cell] <= row.speedup_high)
    return count, wrong


@pytest.mark.parametrize("slow", [1, 2], ids=["slow, then quiet", "quiet, then slow"])
@pytest.mark.parametrize("factor", [1.0, 2.0, 8.0])
def test_no_more_ratios_exclude_the_truth_than_intervals_allow(slow, factor):
    count = wrong = naive = 0
    for seed in range(4):
        records, truth = simulated(seed, slow, factor)
        table, found = tabulated(records)
        assert [one["number"] for one in found] == [1, 2]
        more, bad = excluded(table, truth)
        count, wrong = count + more, wrong + bad
        naive += excluded(table.drop(columns="session"), truth)[1]
    assert wrong <= 0.05 * count
    # As if it were one session: half of all pairs are of two.
    assert naive > 0.3 * count or factor == 1.0


@pytest.mark.parametrize("slow", [1, 2])
def test_the_same_slowdown_of_every_cell_is_taken_off_to_within_its_interval(slow):
    records, truth = simulated(3, slow, factor=4.0, apart=0.0, spread=0.005)
    table, found = tabulated(records)
    base = truth[Cell.parse("resnet18-pytorch-fp32-r64-b1")]
    for _, row in table[table.batch_size == 1].iterrows():
        cell = Cell(*(row[axis] for axis in grid.AXES))
        assert row.speedup == pytest.approx(base / truth[cell], rel=0.03)
        assert row.slowdown == pytest.approx(4.0 if row.session == f"s{slow}" else 1.0, rel=0.03)
    assert found[slow - 1]["slowdown"][0] == pytest.approx(4.0, rel=0.03)


def test_what_is_measured_in_one_session_keeps_its_figures_whatever_its_session_is_called():
    records, _ = simulated(1, 0)
    alone = [one for one in records if one.session == "1"]
    table, found = tabulated(alone)
    plain = make_table([one for one in alone if grid.kind_of(one.turn) == "round"])
    assert (table[SPEEDUP] == plain[SPEEDUP]).all(axis=None)
    assert set(table.session) == {"s1"}
    assert set(table.slowdown) == {1.0}
    assert table.reference_ms.isna().all()
    assert len(found) == 1
    row, over = (table.loc[index] for index in (2, 4))
    known = across.bridged((2.0, 1.9, 2.1), row, over)
    assert known == pytest.approx((2.0, 1.9, 2.1))


SPEEDUP = ["speedup", "speedup_low", "speedup_high"]


def lonely():
    """Return the table of a run whose second session measured no cell of the first, nor a control of it."""
    records, _ = simulated(2, 2)
    return tabulated([one for one in records if one.session == "1" or grid.kind_of(one.turn) == "round"])


def test_what_nothing_links_is_withheld_and_said_first():
    table, found = lonely()
    added = table[table.session == "s2"]
    assert len(added) == 4
    assert added[["speedup", "slowdown"]].isna().all(axis=None)
    assert table[table.session == "s1"].speedup.notna().all()
    _, low, high = advantage(added.iloc[0], table.iloc[0], LATENCY)
    assert (low, high) == (0, float("inf"))
    [sentence] = trust.warnings(table, controls.of_sessions([]), found)
    assert sentence.startswith("**4 of 10 cells were measured in a session that nothing links with the others**")
    assert "`snakemake --forcerun time_cell`" in sentence
    text = decision.gain("latency", advantage(added.iloc[0], table.iloc[0], LATENCY), "PyTorch fp32", 1.02)
    assert text.startswith("How it compares with PyTorch fp32 is not known")
    assert "int8" not in str(effects.precision_effect(table).rows)


def test_cells_of_one_session_are_compared_though_nothing_links_it_with_others():
    table, _ = lonely()
    one, other = (table[table.session == "s2"].iloc[place] for place in (0, 1))
    _, low, high = advantage(one, other, LATENCY)
    assert 0 < low <= high < float("inf")


@pytest.mark.parametrize("slow", [1, 2])
def test_the_report_says_which_session_was_slower_and_what_measures_all_anew(slow):
    _, found = tabulated(simulated(5, slow, factor=5.0)[0])
    [sentence] = [one for one in [trust.changed(found)] if one]
    assert sentence.startswith("**The machine changed between the sessions of this run**")
    assert f"in session {slow} of 2 the same cell took" in sentence
    assert "`snakemake --forcerun time_cell` measures all anew" in sentence


def test_sessions_of_a_machine_that_stayed_as_it_was_are_no_reason_to_doubt():
    table, found = tabulated(simulated(4, 0, spread=0.005)[0])
    assert trust.warnings(table, controls.of_sessions([]), found) == []


def test_rounds_of_two_sessions_are_one_row_as_wide_as_these_are_apart():
    """A run that was ended in the middle of its second round."""
    records, _ = simulated(6, 0, spread=0.003)
    first = [one for one in records if one.session == "1"]
    late = [index for index, one in enumerate(first) if one.turn in ("round2", "round3", "twin2", "sentinel5")]
    slower = {index: [3 * ms for ms in first[index].host_ms] for index in late}
    mixed = [
        make_record(
            str(one.cell),
            slower.get(index, one.host_ms),
            turn=one.turn,
            session="2" if index in late else "1",
            measured_at=f"2026-01-02T0{2 if index in late else 1}:00:00+00:00",
        )
        for index, one in enumerate(first)
    ]
    table, found = tabulated(mixed)
    assert set(table.session) == {"s1, s2, s2"}
    assert len(found) == 2
    assert ((table.slowdown_low < table.slowdown) & (table.slowdown < table.slowdown_high)).all()
    assert table.speedup.notna().all()


def test_a_control_of_each_session_speaks_and_the_one_that_says_least_counts():
    name = "resnet18-pytorch-fp32-r64-b8"

    def timed(session, turn, *host_ms):
        return make_record(name, host_ms * 10, turn=turn, session=session)

    quiet = [timed("1", f"{kind}{number}", 2.0 + number / 1000) for kind in ("round", "twin") for number in (1, 2, 3)]
    loud = [timed("2", f"sentinel{number}s2", ms) for number, ms in enumerate((2.0, 5.0, 3.0), start=1)]
    loud += [timed("2", f"twin{number}s2", ms) for number, ms in enumerate((7.0, 2.0), start=1)]
    alone, both = controls.of_sessions(quiet), controls.of_sessions([*quiet, *loud])
    assert alone["twin"]["tells"]
    assert alone["twin"]["ties"]
    assert not both["twin"]["tells"]
    assert both["sentinel"]["drift_percent"] == pytest.approx(150)
    assert trust.ranking({"cell": name, **both}).startswith("**This run is not good enough to rank settings.**")
