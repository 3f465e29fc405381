"""Rounds on demand together with streams under load: one run in which each of the two checkpoints says what follows."""

import json
import re
import shutil
from collections import Counter

import pandas as pd
import pytest
from workflow import SMOKE

from speedgrid.report.findings.objectives import margin_of
from speedgrid.report.findings.places import choose

pytest_plugins = ["workflow"]

ASKED = {
    "timing": {"rounds": "auto", "max_rounds": 2},
    "serving": {"for": "recommended", "fps": 60, "deadline_ms": 200, "blocks": 3, "arrivals": ["periodic"]},
    "minimum_streams": 1,
}


@pytest.fixture(scope="module")
def finished(smoke, tmp_path_factory):
    """Return a run that goes on where the smoke run ended, with both, and what it printed."""
    folder = tmp_path_factory.mktemp("both")
    tree = smoke.workflow.copy(folder / "tree")
    tree.write_config("both.yaml", ASKED)
    before = tree.plan(*SMOKE, "config/both.yaml")
    outcome = tree.snakemake(*SMOKE, "config/both.yaml")
    assert outcome.code == 0, outcome.log
    yield tree, before, outcome
    shutil.rmtree(folder, ignore_errors=True)


def chosen(tree):
    return json.loads((tree / "artifacts/serving/places.json").read_text())


def test_before_any_decision_neither_timings_nor_streams_are_planned(finished):
    _tree, before, _outcome = finished
    assert before.jobs["decide_rounds"] == before.jobs["choose_places"] == 1
    assert not {"time_cell", "measure_streams"} & set(before.jobs)


def test_what_serves_is_chosen_when_all_rounds_are_over_and_nothing_is_measured_twice(finished):
    tree, _before, outcome = finished
    log = outcome.log
    timed = re.findall(r"Timing (\S+, \w+\d)", log)
    served = re.findall(r"Streams under load of (\S+), (\S+) (\S+), (\S+) pixels", log)
    assert timed
    assert set(Counter(timed).values()) == {1}
    assert sorted("{}-{}-{}-r{}".format(*one) for one in served) == sorted(one["place"] for one in chosen(tree))
    places = log.index("Which settings serve streams")
    assert log.rindex(" Timing ") < places < log.index("Streams under load of")
    assert log.count("Which settings serve streams") == 1


def test_the_settings_that_served_are_those_that_the_whole_table_recommends(finished):
    tree = finished[0]
    run = json.loads((tree / "artifacts/run.json").read_text())
    table = pd.read_parquet(tree / "artifacts/results.parquet")
    assert table.rounds.max() == 2
    assert choose(table, run["config"], margin_of(run["controls"]["noise_floor_percent"])) == chosen(tree)
    assert [one["place"]["backend"] for one in run["streams"]] == [one["place"].split("-")[1] for one in chosen(tree)]


def test_the_provisional_report_answers_and_says_that_cameras_come_later(finished):
    text = (finished[0] / "report/provisional/after-round1.md").read_text()
    assert "**For throughput" in text
    assert text.count("camera") == 1
    assert "Whether a setting serves 1 camera, as is demanded, is measured after the last round." in text


def test_nothing_is_planned_after_it(finished):
    assert finished[0].plan(*SMOKE, "config/both.yaml").jobs == {}
