"""Which settings serve camera streams under load, what they are asked for, and what the table has of them."""

import json
from dataclasses import replace

import msgspec
import pytest
from builders import PEAKS, REFERENCE, make_record, make_run
from streams import make_streams, recorded
from workflow import SMOKE, Workflow

from speedgrid import grid, settings
from speedgrid.report.findings import decision, demands
from speedgrid.report.findings import streams as findings
from speedgrid.report.findings.places import choose
from speedgrid.serving import places
from speedgrid.serving.record import Asked, Serving
from speedgrid.table import audit
from speedgrid.table.cells import TableError
from speedgrid.table.columns_of_streams import STREAMS

pytest_plugins = ["workflow"]

AXES = {"backend": ["pytorch", "onnxruntime"], "precision": ["fp32"], "resolution": [64], "batch_size": [1, 4]}
MARGIN = 1.02


def config(minimum_streams=None, **serving):
    asked = {"device": "cpu", "grid": {"cpu": AXES}, "serving": serving}
    return settings.complete(asked | ({"minimum_streams": minimum_streams} if minimum_streams else {}))


def require(**serving):
    asked = config(**serving)
    places.require(asked, grid.axes_of(asked))


WANTED = "it must be recommended, null, or a list of settings of the grid such as [resnet18-pytorch-fp32-r64]."


@pytest.mark.parametrize(
    ("serving", "sentence"),
    [
        ({"for": "winner"}, f"config key serving.for is 'winner'; {WANTED}"),
        ({"for": []}, f"config key serving.for is []; {WANTED}"),
        (
            {"for": ["resnet18-pytorch-fp32-r64", "resnet18-openvino-fp32-r64"]},
            "config key serving.for.1 is 'resnet18-openvino-fp32-r64', which the grid does not have; it must be like "
            "resnet18-pytorch-fp32-r64: a model, a backend, a precision and a resolution of the grid.",
        ),
        (
            {"for": ["pytorch fp32"]},
            "config key serving.for.0 is 'pytorch fp32', which the grid does not have; it must be like "
            "resnet18-pytorch-fp32-r64: a model, a backend, a precision and a resolution of the grid.",
        ),
        (
            {"arrivals": ["poisson"]},
            "config key serving.arrivals is ['poisson']; it must have periodic, of which the claim is.",
        ),
        (
            {"for": "recommended", "in_flight": 2},
            "config key serving.in_flight is 2, but on the CPU a call ends before the next one begins; it must be 1.",
        ),
        (
            {"minimum_streams": 3},
            "config key minimum_streams is 3, but serving.for is null, so that no setting is known to serve any; "
            "serving.for must be recommended or a list of settings.",
        ),
    ],
)
def test_what_cannot_be_served_is_one_sentence_with_the_key(serving, sentence):
    with pytest.raises(places.PlaceError) as caught:
        require(**serving)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("asked", [None, "recommended", ["resnet18-onnxruntime-fp32-r64"]])
def test_what_the_grid_has_is_taken(asked):
    require(**{"for": asked})


def table(**latencies):
    """Return a table of settings by backend, with the latency in ms at batch sizes 1 and 4."""
    records = [
        make_record(f"resnet18-{backend}-fp32-r64-b{size}", [ms] * 50)
        for backend, pair in latencies.items()
        for size, ms in zip((1, 4), pair, strict=True)
    ]
    return make_run(records)[0]


def test_the_recommended_setting_and_its_runner_up_serve_with_the_sizes_that_end_in_time():
    found = choose(
        table(pytorch=(12, 40), onnxruntime=(9, 20), openvino=(10, 28)), config(**{"for": "recommended"}), MARGIN
    )
    assert found == [
        {"place": "resnet18-onnxruntime-fp32-r64", "batch_sizes": [1, 4]},
        {"place": "resnet18-openvino-fp32-r64", "batch_sizes": [1, 4]},
    ]
    slower = choose(table(pytorch=(12, 40), onnxruntime=(9, 20)), config(**{"for": "recommended", "fps": 60}), MARGIN)
    assert [one["batch_sizes"] for one in slower] == [[1], [1]]


def test_a_setting_whose_call_is_longer_than_the_deadline_is_no_runner_up_while_another_is_not():
    """At batch size 4 it has most images a second, in calls that are all late."""
    rows = table(pytorch=(12, 40), onnxruntime=(35, 36))
    assert decision.chosen("throughput", rows, MARGIN).backend == "onnxruntime"
    found = choose(rows, config(**{"for": "recommended"}), MARGIN)
    assert [one["place"] for one in found] == ["resnet18-pytorch-fp32-r64"]


def test_where_every_call_is_late_the_smallest_size_serves():
    found = choose(table(pytorch=(120, 400)), config(**{"for": "recommended"}), MARGIN)
    assert found == [{"place": "resnet18-pytorch-fp32-r64", "batch_sizes": [1]}]


def test_what_a_user_names_serves_whatever_is_recommended():
    name = "resnet18-pytorch-fp32-r64"
    found = choose(table(pytorch=(12, 40), onnxruntime=(9, 20)), config(**{"for": [name]}), MARGIN)
    assert found == [{"place": name, "batch_sizes": [1]}]


def test_a_demanded_number_of_cameras_keeps_nothing_from_being_tried():
    asked = config(minimum_streams=3, **{"for": "recommended"})
    assert len(choose(table(pytorch=(12, 40), onnxruntime=(9, 20)), asked, MARGIN)) == 2


def test_what_a_place_is_asked_for_is_what_a_record_has():
    asked = places.asked(config(fps=25), "resnet18", "pytorch", "fp32", "64", [1, 4])
    found = msgspec.convert(json.loads(json.dumps(asked)), Asked)
    assert (found.deadline_ms, found.place.batch_sizes) == (40, [1, 4])
    assert set(asked) == set(Asked.__dataclass_fields__)
    with pytest.raises(places.PlaceError, match="is none of the settings that serve streams"):
        places.find([], "resnet18-pytorch-fp32-r64")


def test_a_place_may_have_an_input_that_is_no_square():
    name = "resnet18-pytorch-fp32-r96x64"
    grid_of = {"cpu": AXES | {"resolution": [64, "96x64"]}}
    given = settings.complete({"device": "cpu", "grid": grid_of, "serving": {"for": [name]}})
    places.require(given, grid.axes_of(given))
    asked = places.asked(given, "resnet18", "pytorch", "fp32", "96x64", [1])
    found = msgspec.convert(json.loads(json.dumps(asked)), Asked)
    assert str(found.place) == name
    about = dict.fromkeys(("measured_at", "fingerprint", "command"), "")
    assert Serving(asked=found, status="failed", reason="x", environment={}, **about).cell.resolution == "96x64"
    [row] = findings.section([make_streams(place=msgspec.to_builtins(found.place))], "resnet18")["rows"]
    assert row[1] == "96x64"


RECORDS = [
    make_record(f"resnet18-onnxruntime-fp32-r64-b{size}", [ms] * 50) for size, ms in ((1, 10.0), (4, 16.0), (8, 30.0))
]


@pytest.fixture(scope="module")
def served():
    """Return the (table, description) of a run whose batch sizes 1 and 4 served streams."""
    of_machine = {"environment": RECORDS[0].environment, "fingerprint": RECORDS[0].fingerprint}
    return make_run(RECORDS, served=[replace(recorded(), **of_machine)])


def test_the_rows_of_what_was_loaded_have_what_they_served_together(served):
    results, run = served
    rows = results.set_index("batch_size")
    assert list(rows.streams.dropna()) == [4, 4]
    assert rows.loc[8, [name for one in STREAMS for name in one.names()]].isna().all()
    [first, *_] = [one for one in recorded().seen.runs if (one.arrivals, one.streams) == ("periodic", 4)]
    row = rows.loc[4]
    assert (row.streams_synchronised, row.streams_poisson, row.streams_late) == (6, 4, 10)
    assert row.streams_missed_percent_low <= row.streams_missed_percent <= row.streams_missed_percent_high <= 1
    assert row.streams_offered == pytest.approx(4 * 25)
    assert row.streams_busy_percent == 100 * first.figures.utilisation
    assert row.streams_wait_p99_ms == first.figures.wait_ms["p99"]
    assert not rows.loc[4, [name for one in STREAMS for name in one.names()]].isna().any()
    assert [one["place"]["backend"] for one in run["streams"]] == ["onnxruntime"]


def test_what_was_served_on_another_machine_is_refused():
    with pytest.raises(TableError, match="one table must not mix them"):
        make_run(RECORDS, served=[recorded()])


def test_a_place_that_served_nothing_has_no_figures():
    of_machine = {"environment": RECORDS[0].environment, "fingerprint": RECORDS[0].fingerprint}
    failed = replace(recorded(), status="failed", reason="it died", seen=None, **of_machine)
    results, run = make_run(RECORDS, served=[failed])
    assert results.streams.isna().all()
    assert run["streams"][0]["reason"] == "it died"


def test_a_demanded_number_of_cameras_is_met_by_what_served_so_many(served):
    results, _run = served
    for least, met in ((4, 2), (5, 0)):
        asked = demands.demands(config(minimum_streams=least, **{"for": "recommended"}))
        assert len(demands.meeting(results, asked)) == met
    assert demands.sentence(results, asked).startswith("**Demanded**: cameras in time at least 5. No setting meets")
    assert demands.misses(results.iloc[0], asked) == "4 instead of cameras in time at least 5"


WRONG = {
    "streams_good": (1e3, "streams_good = 1000 is more than streams_served"),
    "streams_served": (1e4, "times the best rate of its batch sizes"),
    "streams_p99_ms": (1e3, "streams_p99_ms = 1000 is more than streams_p99_9_ms"),
    "streams_wait_p99_ms": (900.0, "streams_wait_p99_ms = 900 is more than streams_p99_ms"),
    "streams_busy_percent": (101.0, "calls take at most all of the time, 100 %"),
    "streams_worst_percent": (0.0, "of all were late"),
    "streams": (7.0, "the batch sizes of one setting serve 4 and 7 cameras together"),
    "streams_missed_percent": (50.0, "streams_missed_percent = 50 is more than streams_missed_percent_high"),
}


@pytest.mark.parametrize(("column", "wrong"), WRONG.items(), ids=WRONG)
def test_the_audit_finds_what_cannot_be(served, column, wrong):
    results, run = served
    value, sentence = wrong

    def found(rows):
        return audit.violations(rows, run["arithmetic"], PEAKS, REFERENCE)

    assert found(results) == []
    broken = results.copy()
    broken.loc[broken.batch_size == 1, column] = value
    assert any(sentence in one for one in found(broken)), found(broken)


SERVING = {"for": ["resnet18-onnxruntime-fp32-r64"], "fps": 60, "deadline_ms": 200, "blocks": 3}


@pytest.fixture(scope="module")
def tree(smoke, tmp_path_factory):
    """Return a copy of the finished smoke run in which a place has served streams, with the outcome."""
    copied = smoke.workflow.copy(tmp_path_factory.mktemp("streams") / "tree")
    outcome = copied.snakemake(*SMOKE, copied.write_config("streams.yaml", {"serving": SERVING}))
    assert outcome.code == 0, outcome.log
    return copied, outcome


def test_streams_are_measured_after_the_timings_and_are_in_table_report_and_pages(tree):
    copied, outcome = tree
    # What serves is known when the places are, and so is in no plan before.
    assert {"choose_places", "aggregate", "render_report"} <= set(outcome.jobs)
    assert "time_cell" not in outcome.jobs
    assert json.loads((copied / "artifacts/serving/places.json").read_text()) == [
        {"place": "resnet18-onnxruntime-fp32-r64", "batch_sizes": [1, 2]}
    ]
    run = json.loads((copied / "artifacts/run.json").read_text())
    [found] = run["streams"]
    assert (found["status"], found["asked"]["fps"], found["asked"]["deadline_ms"]) == ("ok", 60, 200)
    assert {one["kind"] for one in found["runs"]} == {"periodic", "synchronised", "poisson"}
    text = (copied / "report/report.md").read_text()
    assert "## How many cameras" in text
    assert "ONNX Runtime fp32, 64 x 64 pixels" in text
    assert (copied / "report/plots/resnet18-stream_misses.svg").exists()


def test_nothing_runs_again_and_what_is_deleted_comes_back(tree, place):
    copied = tree[0].copy(place)
    asked = (*SMOKE, "config/streams.yaml")
    assert copied.plan(*asked).jobs == {}
    (copied / "artifacts/serving/resnet18-onnxruntime-fp32-r64.json").unlink()
    assert copied.plan(*asked).jobs["measure_streams"] == 1


def served_again(copied, configured):
    """Say whether streams are served again, once it was chosen anew what serves; nothing is timed for it."""
    chosen = copied.snakemake("artifacts/serving/places.json", *SMOKE, configured)
    assert chosen.code == 0, chosen.log
    assert set(chosen.jobs) <= {"choose_places"}
    jobs = copied.plan("artifacts/serving/resnet18-onnxruntime-fp32-r64.json", *SMOKE, configured).jobs
    assert "time_cell" not in jobs
    return "measure_streams" in jobs


CHANGES = {
    "cameras of another rate": ({"serving": SERVING | {"fps": 50}}, True),
    "more blocks": ({"serving": SERVING | {"blocks": 6}}, True),
    "a demand": ({"serving": SERVING, "minimum_streams": 1}, False),
}


@pytest.mark.parametrize(("config", "again"), CHANGES.values(), ids=CHANGES)
def test_another_demand_on_streams_is_served_again_and_times_nothing(tree, place, config, again):
    copied = tree[0].copy(place)
    assert served_again(copied, copied.write_config("other.yaml", config)) is again


def test_a_plan_says_that_streams_are_served_before_it_is_known_which(tree, place):
    copied = tree[0].copy(place)
    configured = copied.write_config("other.yaml", {"serving": SERVING | {"fps": 50}})
    jobs = copied.plan("artifacts/serving/resnet18-onnxruntime-fp32-r64.json", *SMOKE, configured).jobs
    assert jobs == {"choose_places": 1, "measure_streams": 1}


# A backend's own code makes its timings stale too, which are not made again here.
EDITS = {"speedgrid/serving/loop.py": True, "speedgrid/table/verdict.py": False}


@pytest.mark.parametrize(("file", "again"), EDITS.items())
def test_streams_are_stale_with_what_serves_them(tree, place, file, again):
    copied = tree[0].copy(place)
    (copied / file).write_text((copied / file).read_text() + "\n# edited\n")
    assert served_again(copied, "config/streams.yaml") is again


def test_a_run_without_serving_asks_nothing_of_it(place):
    assert "choose_places" not in Workflow.fresh(place).plan(*SMOKE).jobs
