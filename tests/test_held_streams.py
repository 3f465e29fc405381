"""Records of streams under load that cannot be true are not believed, and honest ones are."""

import copy
import json
from dataclasses import asdict

import pytest
from builders import make_serving
from hypothesis import given
from hypothesis import strategies as st

from speedgrid.launcher.outputs import write_checked
from speedgrid.record import RecordError
from speedgrid.serving import batching as batches
from speedgrid.serving import protocol, record
from speedgrid.serving.arrivals import draw
from speedgrid.serving.loop import Plan
from speedgrid.serving.replay import replay
from speedgrid.serving.shown import streams_of
from speedgrid.table import held_streams, streams

PLACE = "resnet18-onnxruntime-fp32-r64"


@pytest.fixture(scope="module")
def honest():
    """Return the record of a place that serves cameras of 25 FPS, as JSON has it."""
    asked = {"fps": 25.0, "deadline_ms": 40.0, "batching": "greedy", "blocks": 120}
    return json.loads(json.dumps(asdict(make_serving(PLACE, {1: 10.0, 4: 16.0}, **asked))))


def held(tmp_path, content, place=PLACE):
    """Return a record as the table takes it, whose checksum was made anew."""
    write_checked(tmp_path / f"{place}.json", content)
    return held_streams.read(tmp_path / f"{place}.json")


@given(
    st.dictionaries(st.sampled_from([2, 4, 8]), st.floats(2, 40)),
    st.sampled_from([7.3, 24.0, 29.97, 30.0]),
    st.sampled_from(["none", "greedy", "padded", "tick"]),
    st.sampled_from(["keep", "latest"]),
    st.sampled_from(["periodic", "synchronised", "poisson"]),
    st.integers(1, 12),
    st.integers(0, 1000),
)
def test_honest_runs_have_no_contradiction(service_ms, fps, batching, queue, kind, number, seed):
    service_ms = {1: 10.0} | service_ms
    place = record.Place("resnet18", "onnxruntime", "fp32", 64, sorted(service_ms))
    asked = record.Asked(place, "cpu", fps, 1000 / fps, 0.99, 0.95, batching, queue, 30, 3, seed, 2)
    choose = batches.chooser(batching, sorted(service_ms), number, 1e9 / fps)
    plan = Plan(choose, queue, 1, backlog=100 * number, patience_ns=1e9 / fps if batching == "tick" else None)
    arrivals = draw(kind, number, fps, 20, seed, protocol.PERIODS)
    served = replay(arrivals, {size: round(1e6 * ms) for size, ms in service_ms.items()}, plan)
    for deadline in (asked.deadline_ms, 2 * asked.deadline_ms):
        assert list(held_streams.of_run(record.run_of(arrivals, served, deadline, 1, seed), asked)) == []


def every(change):
    """Return the lie that changes each run that confirms something, in place."""

    def lie(content):
        for run in content["seen"]["runs"]:
            change(run)

    return lie


def scaled(run, names=("latency", "wait", "service"), factor=0.5, figures=True):
    for name in names:
        run["quantiles"][name] = [factor * one for one in run["quantiles"][name]]
        if figures:
            run["figures"][f"{name}_ms"] = {key: factor * one for key, one in run["figures"][f"{name}_ms"].items()}


def none_missed(run):
    run["misses"] = [0] * len(run["misses"])
    run["figures"] |= {"miss_rate": 0.0, "worst_stream": 0.0, "longest_gap": 0}


LIES = {
    "twice the streams": every(lambda run: run.update(streams=2 * run["streams"])),
    "twice the streams and their frames": every(
        lambda run: run.update(streams=2 * run["streams"], frames=[2 * one for one in run["frames"]])
    ),
    "no misses at all": every(none_missed),
    "more misses than frames": every(lambda run: run.update(misses=[one + 1 for one in run["frames"]])),
    "a block less of misses": every(lambda run: run["misses"].pop()),
    "negative misses": every(lambda run: run.update(misses=[-1] * len(run["misses"]))),
    "half the latency": every(lambda run: scaled(run, ["latency"])),
    "half of all times": every(scaled),
    "half the distribution": every(lambda run: scaled(run, figures=False)),
    "a service of a tenth": every(lambda run: scaled(run, ["service"], 0.1)),
    "a better 99th percentile": every(lambda run: run["figures"]["latency_ms"].update(p99=1.0)),
    "a shorter wait": every(lambda run: scaled(run, ["wait"], 0.1)),
    "half the utilisation": every(lambda run: run["figures"].update(utilisation=run["figures"]["utilisation"] / 2)),
    "fuller calls": every(lambda run: run["figures"].update(mean_batch=16.0)),
    "more frames in time": every(lambda run: run["figures"].update(good_fps=1.1 * run["figures"]["good_fps"])),
    "another rate": every(lambda run: run["figures"].update(offered_fps=2 * run["figures"]["offered_fps"])),
    "dropped frames": every(lambda run: run["figures"].update(dropped=10**6)),
    "times that fall": every(lambda run: run["quantiles"]["latency"].reverse()),
    "a demand of no frames": lambda content: content["asked"].update(fps=0.0),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_is_found_by_arithmetic_alone(tmp_path, honest, lie):
    content = copy.deepcopy(honest)
    lie(content)
    found = held(tmp_path, content)
    assert (found.status, found.seen) == ("failed", None)
    assert found.reason.startswith("its record cannot be true: ")
    assert found.reason.endswith(f"; delete {PLACE}.json and run again")
    assert streams.figures(found, streams_of(found)) == {}


def test_an_honest_record_is_shown(tmp_path, honest):
    found = held(tmp_path, honest)
    assert streams.figures(found, streams_of(found))["streams"] == 1


def test_the_record_of_another_place_in_its_file_is_not_believed(tmp_path, honest):
    found = held(tmp_path, honest, "resnet18-openvino-fp32-r64")
    assert found.reason == (
        f"its record cannot be true: it holds {PLACE}; delete resnet18-openvino-fp32-r64.json and run again"
    )


def test_a_run_that_was_copied_is_not_believed(tmp_path, honest):
    content = copy.deepcopy(honest)
    first, second, *_ = content["seen"]["runs"]
    for run in (first, second):  # as measured times are, of which no two are the same
        run["quantiles"]["service"] = [10 + number / 100 for number in range(len(record.SHARES))]
        run["quantiles"]["latency"] = first["quantiles"]["latency"]
    write_checked(tmp_path / f"{PLACE}.json", content)
    found = list(held_streams.contradictions(record.read(tmp_path / f"{PLACE}.json")))
    assert any("have all times of their frames alike" in one for one in found)


def test_a_record_whose_status_contradicts_it_is_refused(tmp_path, honest):
    with pytest.raises(RecordError, match="its status contradicts what it saw"):
        held(tmp_path, {**copy.deepcopy(honest), "status": "failed"})
