"""Streams under load as a record has them, and what is made of it: claims, sentences, plots."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import make_decoding, make_records, make_run
from drawing import draw, make_material, texts
from sentences import longest
from streams import DEADLINE_MS, SERVICE_MS, make_streams, recorded

from speedgrid.comparison import load as compared
from speedgrid.comparison import streams as comparison
from speedgrid.launcher.reading import FileError, of_kind
from speedgrid.report import markdown as report
from speedgrid.report.findings import streams as findings
from speedgrid.report.plots import streams as drawing
from speedgrid.serving.claims import claim, verdicts
from speedgrid.serving.record import SHARES, Timeline
from speedgrid.serving.seen import PERCENTS, Streams
from speedgrid.serving.shown import streams_of, timeline
from speedgrid.text import language

ROOT = Path(__file__).parent.parent


def test_a_record_is_what_its_types_say_through_json():
    record = make_streams()
    assert of_kind(json.loads(json.dumps(record)), Streams, "record") == record
    with pytest.raises(FileError, match="record is not what was written there"):
        of_kind(record | {"runs": [{"kind": "often"}]}, Streams, "record")


@pytest.mark.parametrize(
    ("kind", "times", "streams", "beyond"),
    [
        ("periodic", 1.0, 4, "fails"),
        # Eight are two calls of four, 32 ms; but seven are one call of four and three of one, 46 ms.
        ("synchronised", 1.0, 6, None),
        ("poisson", 1.0, 4, None),
        ("periodic", 2.0, 10, None),
    ],
)
def test_a_claim_is_the_most_streams_that_pass_with_the_verdict_on_one_more(kind, times, streams, beyond):
    found = claim(make_streams(), kind, times)
    assert (found.streams, found.verdict.word) == (streams, "passes")
    assert (found.beyond.word if found.beyond else None) == beyond
    assert found.deadline_ms == times * DEADLINE_MS
    assert found.verdict.high <= 0.01


def test_nothing_is_claimed_of_what_was_not_run_or_is_in_doubt():
    assert claim(make_streams(), "periodic", 3.0) is None
    record = make_streams()
    for run in record["runs"]:
        run["doubts"] = ["the loop was late"]
    assert claim(record) is None


def test_a_search_claims_nothing_by_itself():
    record = make_streams()
    record["runs"] = [run for run in record["runs"] if not run["confirms"]]
    assert claim(record) is None
    assert verdicts(record, "periodic", DEADLINE_MS, confirmed=False)[5].word == "fails"


def test_a_number_above_one_that_fails_is_not_claimed():
    record = make_streams()
    for run in record["runs"]:
        run["misses"] = [0] * len(run["misses"]) if run["streams"] == 5 else run["misses"]
        run["diverged"] = run["streams"] == 4
    found = claim(record)
    assert (found.streams, found.verdict) == (0, None)


def test_rounds_are_judged_together():
    record = make_streams()
    one = verdicts(record, "periodic", DEADLINE_MS)[4]
    assert one.blocks == 360
    record["runs"] = [run for run in record["runs"] if run["confirms"]][:1]
    assert verdicts(record, "periodic", DEADLINE_MS)[4].blocks == 120
    assert verdicts(record, "periodic", DEADLINE_MS)[4].high > one.high


def test_readers_have_of_a_record_what_its_confirmed_run_saw():
    record, found = recorded(), make_streams()
    [first, *_] = [run for run in record.seen.runs if (run.arrivals, run.streams) == ("periodic", 4)]
    assert found["loaded"]["utilisation"] == first.figures.utilisation
    for name in ("wait", "service", "latency"):
        values = found["loaded"]["distribution"][f"{name}_ms"]
        assert len(values) == len(PERCENTS)
        assert values == sorted(values)
        for percent in (0, 50, 99, 100):
            seen = first.quantiles[name][SHARES.index(percent / 100)]
            assert values[PERCENTS.index(percent)] == pytest.approx(seen, abs=1e-3)
    assert found["service_ms"] == {str(size): ms for size, ms in SERVICE_MS.items()}
    assert len(found["runs"]) == len(record.seen.probes) + len(record.seen.runs)
    assert sum(run["confirms"] for run in found["runs"]) == len(record.seen.runs)


def test_readers_of_a_place_that_could_not_be_served_have_the_reason():
    found = streams_of(replace(recorded(), status="out_of_memory", reason="no room", seen=None))
    assert (found["status"], found["reason"], found["runs"], found["loaded"]) == ("out_of_memory", "no room", [], None)
    assert of_kind(found, Streams, "record") == found


def test_a_timeline_ends_with_its_last_arrival_and_begins_with_what_waits():
    calls = [(-3.0, 2.0, 4, 4, 4), (2.0, 6.0, 4, 4, 6), (6.0, 9.0, 4, 3, 3), (12.0, 20.0, 4, 4, 4)]
    stretch = Timeline(4, 40.0, [1.0, 2.0, 3.0, 8.0], [0, 1, 2, 3], [None] * 4, [None] * 4, calls)
    found = timeline(stretch)
    assert (found["milliseconds"], found["waiting"]) == (8.0, 4)
    assert [call["start_ms"] for call in found["calls"]] == [2.0, 6.0]
    assert drawing.queue(found) == ([0.0, 1.0, 2.0, 3.0, 6.0, 8.0], [4, 5, 2, 3, 0, 1])


def test_a_claim_is_printed_in_full_with_what_was_seen_beside_it():
    found = findings.section([make_streams()], "resnet18")
    assert found["claims"] == [
        "**4 cameras of 25 FPS**: at least 99 % of the frames have their result within 40 ms of arrival (95 % "
        "confidence). ONNX Runtime fp32, 64 x 64 pixels; periodic arrivals with random phases; no frame dropped; "
        "greedy batching up to 4; decoding excluded. "
        "5 cameras: missed. Synchronised cameras: 6; Poisson arrivals at their rate: 4; within 80 ms: 10.",
    ]
    [line] = found["rows"]
    assert dict(zip(found["head"], line, strict=True)) == {
        "setting": "ONNX Runtime fp32",
        "pixels": "64",
        "cameras": "4",
        "frames missed, % (interval)": "0.07 (0.00 to 0.75)",
        "one camera more": "missed",
        "synchronised": "6",
        "Poisson": "4",
        "at twice the deadline": "10",
        "p99 of wait, ms": line[8],
        "p99 of latency, ms": line[9],
        "busy, %": line[10],
    }
    p99 = PERCENTS.index(99)
    times = make_streams()["loaded"]["distribution"]
    assert float(line[8]) == pytest.approx(times["wait_ms"][p99], rel=0.01)
    assert float(line[9]) == pytest.approx(times["latency_ms"][p99], rel=0.01)
    assert float(line[10]) == pytest.approx(100 * make_streams()["loaded"]["utilisation"], rel=0.01)


def test_a_claim_with_two_calls_in_flight_says_so():
    record = make_streams()
    record["asked"]["in_flight"] = 2
    [text] = findings.section([record], "resnet18")["claims"]
    assert "greedy batching up to 4, two calls in flight; decoding excluded." in text


def test_a_claim_of_other_arrivals_that_nothing_confirmed_is_called_so():
    record = make_streams()
    record["runs"] = [one for one in record["runs"] if one["kind"] != "poisson"]
    [text] = findings.section([record], "resnet18")["claims"]
    assert "Poisson arrivals at their rate: none shown; within" in text


def test_cores_for_decoding_stand_beside_where_decoding_was_measured():
    found = findings.section([make_streams()], "resnet18", make_decoding({64: 60.0}))
    assert found["head"][-1] == "cores to decode them"
    assert found["rows"][0][-1] == "2"  # 4 cameras of 25 FPS, 60 frames/s a core


def test_a_place_that_passes_with_no_camera_claims_none():
    record = make_streams()
    for run in record["runs"]:
        run["diverged"] = True
    text = findings.section([record], "resnet18")["claims"][0]
    assert text.startswith("**Not one camera of 25 FPS** was shown to have 99 % of its frames within 40 ms of arrival")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "failed", "reason": "<b>boom</b>", "loaded": None}, "&#60;b>boom&#60;/b>"),
        ({"runs": []}, "no run under load can be relied on"),
    ],
)
def test_a_place_that_was_not_measured_says_why(changes, reason):
    found = findings.section([make_streams(**changes)], "resnet18")
    text = "ONNX Runtime fp32, 64 x 64 pixels: streams under load were not measured: "
    assert found["claims"] == [f"{text}{reason}."]
    assert found["rows"] == []


def test_runs_that_do_not_count_leave_no_table_and_no_plot_but_their_doubts(tmp_path):
    record = make_streams(loaded=None)
    record["runs"] = [run | {"doubts": ["it waited for 1.1 cores that something else had"]} for run in record["runs"]]
    [text] = findings.section([record], "resnet18")["claims"]
    assert text.endswith(
        "no run under load can be relied on. Of the last one: it waited for 1.1 cores that something else had."
    )
    results, run = make_run(make_records())
    shown = report.markdown(results, run | {"streams": [record]}, ROOT / "templates" / "report.md.j2")
    assert "| cameras |" not in shown[shown.index("## How many cameras") :]
    material = make_material(tmp_path, make_records(), streams=[record])
    for name in ("stream_misses", "stream_latency", "stream_timeline"):
        assert "no streams were served under load" in [text.get_text() for text in draw(name, material).axes[0].texts]


@pytest.mark.parametrize("code", language.codes())
def test_sentences_on_cameras_can_be_read_at_once(code):
    results, run = make_run(make_records())
    refused = make_streams("openvino", status="failed", reason="it died")
    run["streams"] = [make_streams(), make_streams("pytorch", runs=[], loaded=None), refused]
    run["config"]["report"]["language"] = code
    assert longest(report.markdown(results, run, ROOT / "templates" / "report.md.j2")) == []


def test_the_report_has_the_section_of_a_model_that_served_and_of_no_other():
    results, run = make_run(make_records())
    template = ROOT / "templates" / "report.md.j2"
    assert "How many cameras" not in report.markdown(results, run, template)
    run["streams"] = [make_streams(), make_streams("pytorch")]
    text = report.markdown(results, run, template)
    assert text.count("## How many cameras\n") == 1
    assert text.count("**4 cameras of 25 FPS**") == 4
    page_one = text[: text.index('<a id="findings"></a>')]
    assert "confidence). ONNX Runtime fp32, 64 x 64 pixels ([in full](#streams)).\n" in page_one
    assert '<a id="streams"></a>' in text
    run["config"]["report"]["language"] = "ru"
    assert "**4 камеры по 25 кадр/с**: не менее 99 % кадров" in report.markdown(results, run, template)
    run["streams"][0]["place"]["model"] = run["streams"][1]["place"]["model"] = "resnet50"
    assert "камеры по" not in report.markdown(results, run, template)


@pytest.fixture
def material(tmp_path):
    return make_material(tmp_path, make_records(), streams=[make_streams(), make_streams("pytorch", "fp16")])


def test_misses_are_drawn_over_cameras_with_their_bounds(material):
    figure = draw("stream_misses", material)
    [axes] = figure.axes
    first, _second = axes.containers
    tried = verdicts(make_streams(), "periodic", DEADLINE_MS, confirmed=False)
    assert list(first.lines[0].get_xdata()) == list(tried) == [4, 5]
    assert list(first.lines[0].get_ydata()) == pytest.approx([100 * one.rate for one in tried.values()])
    [bars] = first.lines[2]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert ends == pytest.approx(np.array([[100 * one.low, 100 * one.high] for one in tried.values()]))
    filled = [line for line in axes.lines if line.get_marker() == "o" and line.get_markerfacecolor() != "white"]
    assert {line.get_xdata()[0] for line in filled} == {4}
    assert "allowed: 1 %" in texts(figure)


def test_a_distribution_is_drawn_as_wait_and_latency_up_to_the_slowest(material):
    figure = draw("stream_latency", material)
    lines = figure.axes[0].lines
    times = make_streams()["loaded"]["distribution"]
    drawn = [list(line.get_ydata()) for line in lines]
    assert drawn[0] == times["latency_ms"]
    assert drawn[1] == times["wait_ms"]
    assert (np.diff(lines[0].get_xdata()) > 0).all()
    assert {"deadline: 40 ms", "ONNX Runtime fp32, 64 x 64 pixels: 4 cameras"} <= set(texts(figure))


def test_a_queue_is_what_comes_less_what_calls_take():
    line = make_streams()["loaded"]["timeline"] | {"waiting": 2, "arrived_ms": [1.0, 3.0, 3.0, 5.0]}
    line["calls"] = [{"start_ms": start, "end_ms": 9.0, "batch_size": 4, "frames": 3} for start in (1.0, 5.0)]
    assert drawing.queue(line) == ([0.0, 1.0, 3.0, 5.0], [2, 0, 2, 0])


def test_a_timeline_shows_each_call_and_each_frame(material):
    figure = draw("stream_timeline", material)
    above, below = figure.axes
    line = make_streams()["loaded"]["timeline"]
    assert len(below.patches) == 2 * len(line["calls"])
    assert list(above.lines[1].get_xdata()) == line["arrived_ms"]
    assert min(above.lines[0].get_ydata()) == 0


def side(record):
    return compared.Result("a result", None, {"streams": [record]}, {})


def fewer():
    """Return a record that passes with 3 cameras and fails with 4."""
    record = make_streams()
    for run in record["runs"]:
        run["streams"] -= 1
    return record


def test_two_results_are_compared_by_what_one_fails_and_the_other_passes():
    place = ["resnet18-onnxruntime-fp32-r64", "25 FPS, 40.0 ms"]
    assert comparison.rows(side(make_streams()), side(make_streams())) == [[*place, "4", "4", "SAME"]]
    assert comparison.rows(side(make_streams()), side(fewer())) == [[*place, "4", "3", "FEWER"]]
    assert comparison.rows(side(fewer()), side(make_streams())) == [[*place, "3", "4", "MORE"]]
    unknown = fewer()
    unknown["runs"] = [run for run in unknown["runs"] if run["streams"] != 4]
    assert comparison.rows(side(make_streams()), side(unknown)) == [[*place, "4", "3", "UNDECIDED"]]


def test_other_demands_are_not_compared():
    other = make_streams()
    other["asked"]["quantile"] = 0.9
    assert comparison.rows(side(make_streams()), side(other)) == []
    with pytest.raises(FileError, match="a result: streams is not what was written there"):
        comparison.rows(side(make_streams()), side({"place": 1}))
