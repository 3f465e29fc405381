"""Streams under load as a record has them, and what is made of it: claims, sentences, plots."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import make_decoding, make_records, make_run
from drawing import draw, make_material, texts
from streams import BLOCKS, DEADLINE_MS, SERVICE_MS, make_streams, served

from speedgrid.launcher.reading import FileError, of_kind
from speedgrid.report import markdown as report
from speedgrid.report.findings import streams as findings
from speedgrid.report.plots import streams as drawing
from speedgrid.serving.claims import claim, verdicts
from speedgrid.serving.figures import figures
from speedgrid.serving.record import loaded_of
from speedgrid.serving.seen import PERCENTS, Streams

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
        ("synchronised", 1.0, 6, "fails"),
        ("poisson", 1.0, 3, "undecided"),
        ("periodic", 2.0, 10, "fails"),
    ],
)
def test_a_claim_is_the_most_streams_that_pass_with_the_verdict_on_one_more(kind, times, streams, beyond):
    found = claim(make_streams(), kind, times)
    assert (found.streams, found.verdict.word, found.beyond.word) == (streams, "passes", beyond)
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
    assert verdicts(record, "periodic", DEADLINE_MS, confirmed=False)[7].word == "fails"


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
    assert one.blocks == 3 * (BLOCKS - 1)
    record["runs"] = [run for run in record["runs"] if run["confirms"]][:1]
    assert verdicts(record, "periodic", DEADLINE_MS)[4].blocks == BLOCKS - 1
    assert verdicts(record, "periodic", DEADLINE_MS)[4].high > one.high


def test_a_distribution_is_of_all_frames_and_ends_at_the_worst():
    arrivals, fate = served("periodic", 4, 20, 1)
    found, whole = loaded_of(arrivals, fate, DEADLINE_MS), figures(arrivals, fate, DEADLINE_MS * 1e6)
    for name in ("wait_ms", "service_ms", "latency_ms"):
        values = found["distribution"][name]
        assert len(values) == len(PERCENTS)
        assert values == sorted(values)
        assert values[-1] == pytest.approx(getattr(whole, name)["max"], abs=1e-4)
        assert values[PERCENTS.index(99)] == pytest.approx(getattr(whole, name)["p99"], abs=1e-4)
    assert found["distribution"]["service_ms"][0] == SERVICE_MS[1]
    assert (found["streams"], found["utilisation"]) == (4, whole.utilisation)


def test_a_timeline_has_each_frame_of_its_block_and_the_queue_that_it_found():
    arrivals, fate = served("periodic", 9, 20, 1)  # nearly all that is carried: some wait when the block begins
    found = loaded_of(arrivals, fate, DEADLINE_MS)["timeline"]
    start, end = 10 * arrivals.block_ns, 11 * arrivals.block_ns
    within = (arrivals.planned_ns >= start) & (arrivals.planned_ns < end)
    assert len(found["arrived_ms"]) == within.sum() == 108
    assert found["waiting"] == ((arrivals.planned_ns < start) & (fate.started_ns >= start)).sum() > 0
    begun = (fate.started_ns >= start) & (fate.started_ns < end)
    assert sum(call["frames"] for call in found["calls"]) == begun.sum()
    assert [call["end_ms"] - call["start_ms"] for call in found["calls"]] == pytest.approx(
        [SERVICE_MS[call["batch_size"]] for call in found["calls"]]
    )
    starts = np.array([call["start_ms"] for call in found["calls"]])
    assert (np.diff(starts) > 0).all()
    assert 0 <= starts[0] < starts[-1] < found["milliseconds"]


def test_a_claim_is_printed_in_full_with_what_was_seen_beside_it():
    found = findings.section([make_streams()], "resnet18")
    assert found["claims"] == [
        "**4 cameras of 25 FPS**: at least 99 % of the frames have their result within 40 ms of arrival (95 % "
        "confidence; periodic arrivals with random phases; no frame dropped; greedy batching up to 4; ONNX Runtime "
        "fp32, 64 x 64 pixels; decoding excluded).",
        "5 cameras: missed. Synchronised cameras: 6; Poisson arrivals at their rate: 3; within 80 ms: 10.",
    ]
    [line] = found["rows"]
    assert dict(zip(found["head"], line, strict=True)) == {
        "setting": "ONNX Runtime fp32",
        "pixels": "64",
        "cameras": "4",
        "frames missed, % (interval)": "0.05 (0.00 to 0.72)",
        "one camera more": "missed",
        "synchronised": "6",
        "Poisson": "3",
        "at twice the deadline": "10",
        "p99 of wait, ms": "28.8",
        "p99 of latency, ms": "38.8",
        "busy, %": line[10],
    }
    assert float(line[10]) == pytest.approx(100 * make_streams()["loaded"]["utilisation"], rel=0.01)


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
    assert found["rows"][0][2:9] == ["-", "-", "not tried", "-", "-", "-", found["rows"][0][8]]


def test_the_report_has_the_section_of_a_model_that_served_and_of_no_other():
    results, run = make_run(make_records())
    template = ROOT / "templates" / "report.md.j2"
    assert "How many cameras" not in report.markdown(results, run, template)
    run["streams"] = [make_streams(), make_streams("pytorch")]
    text = report.markdown(results, run, template)
    assert text.count("## How many cameras\n") == 1
    assert text.count("**4 cameras of 25 FPS**") == 2
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
    assert list(first.lines[0].get_xdata()) == list(tried) == [2, 3, 4, 5, 6, 7]
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
