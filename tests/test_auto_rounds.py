"""`timing.rounds: auto` in Snakemake: one small run to its end, and what is planned after it."""

import json
import shutil

import pytest
from workflow import CELLS, SMOKE

from speedgrid import grid
from speedgrid.comparison import judged
from speedgrid.launcher.rounds import cell_name

pytest_plugins = ["workflow"]

DECISION = "artifacts/decisions/after-round1.json"
TABLE = {"aggregate", "audit", "describe_run", "draw_plots", "render_pages", "render_report"}


@pytest.fixture(scope="module")
def finished(smoke, tmp_path_factory):
    """Return a run that goes on where the smoke run ended, as answers need it, with what it printed."""
    folder = tmp_path_factory.mktemp("auto")
    tree = smoke.workflow.copy(folder / "tree")
    # The timings that are there are those of a first round, whatever this machine takes for them.
    tree.write_config("auto.yaml", {"timing": {"rounds": "auto", "max_rounds": 2}})
    outcome = tree.snakemake(*SMOKE, "config/auto.yaml")
    assert outcome.code == 0, outcome.log
    yield tree, outcome
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tree(finished, place):
    """Return a copy of that run that a test may change."""
    return finished[0].copy(place)


def plan(tree, *arguments):
    return tree.plan(*arguments, *SMOKE, "config/auto.yaml")


def timings(tree):
    return {path.stem for path in (tree / "artifacts/timings").glob("*.json")}


def decision(tree):
    return json.loads((tree / DECISION).read_text())["cells"]


def test_before_a_decision_nothing_is_planned_that_it_may_not_ask_for(smoke, place):
    tree = smoke.workflow.copy(place)
    tree.write_config("auto.yaml", {"timing": {"rounds": "auto"}})
    jobs = plan(tree).jobs
    assert jobs["decide_rounds"] == 1
    assert "time_cell" not in jobs


def test_cells_that_answers_need_are_measured_again_and_no_others(finished):
    tree, outcome = finished
    cells = decision(tree)
    assert set(cells) <= CELLS
    assert any("recommended" in why for reasons in cells.values() for why in reasons)
    second = {cell_name(one) for one in timings(tree) if one.endswith("-round2")}
    assert second == set(cells)
    assert "report/provisional/after-round1.md has the answers so far" in outcome.log
    assert "Provisional answers after round 1 of at most 2" in (tree / "report/provisional/after-round1.md").read_text()
    assert "round 2 of at most 2, for " in outcome.log
    known = set(grid.timings(axes(tree), 1))
    assert f"of {len(timings(tree) - known)} done" in outcome.log


def axes(tree):
    """Return the axes of the run's grid."""
    return grid.axes_of(json.loads((tree / "artifacts/run.json").read_text())["config"])


def test_nothing_is_planned_after_it(finished):
    assert plan(finished[0]).jobs == {}


def test_a_lost_timing_of_a_further_round_comes_back_in_a_session_of_its_own(tree):
    lost = sorted(one for one in timings(tree) if one.endswith("-round2"))[0]
    (tree / f"artifacts/timings/{lost}.json").unlink()
    planned = plan(tree)
    assert f"Timing {cell_name(lost)}, round2" in planned.log
    assert set(planned.jobs) == {"time_cell", *TABLE}
    assert planned.timings <= {cell_name(lost), *(one for one in CELLS if "pytorch" in one)}


def test_another_way_to_decide_decides_again_and_times_nothing_that_is_there(tree):
    file = tree / "speedgrid/report/deciding.py"
    file.write_text(file.read_text() + "\n# edited\n")
    planned = plan(tree)
    assert planned.jobs["decide_rounds"] == 1
    assert planned.timings == set()


def test_all_is_measured_anew_where_that_is_forced(tree):
    planned = plan(tree, "--forcerun", "time_cell")
    assert planned.jobs["decide_rounds"] == 1
    assert planned.timings == CELLS


def test_a_fixed_number_of_rounds_takes_what_is_there(tree):
    tree.write_config("fixed.yaml", {"timing": {"rounds": 1}})
    planned = tree.plan(*SMOKE, "config/fixed.yaml")
    assert set(planned.jobs) <= TABLE
    tree.write_config("fixed.yaml", {"timing": {"rounds": 2}})
    planned = tree.plan(*SMOKE, "config/fixed.yaml")
    left = CELLS - set(decision(tree))
    assert {one for one in CELLS if f"Timing {one}, round2" in planned.log} == left


def test_a_finished_run_is_judged_again_from_its_records(finished):
    found = judged.judge(finished[0].folder)
    assert found.changes == []
    assert found.run.table.rounds.max() == 2
