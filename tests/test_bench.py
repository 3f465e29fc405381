"""A fresh process that serves frames: of a real session on this machine's processor, in a few blocks."""

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from neighbours import Beside
from onnx import TensorProto, helper

from speedgrid import InputError
from speedgrid.launcher.outputs import write_json
from speedgrid.machine.threads import physical_cores
from speedgrid.measure import bench, under_load
from speedgrid.serving import protocol, record
from speedgrid.serving.record import Asked, Place

PLACE = Place("mine", "onnxruntime", "fp32", 32, [1, 2])
ASKED = Asked(PLACE, "cpu", 30.0, 1000 / 30, 0.99, 0.95, "auto", "keep", 4, 3, 1, 1)


@pytest.fixture
def task(tmp_path):
    """A model that takes the mean of each image, for two batch sizes."""
    shape = ["batch", 3, 32, 32]
    given, taken = (
        helper.make_tensor_value_info(*one)
        for one in (("x", TensorProto.FLOAT, shape), ("y", TensorProto.FLOAT, ["batch", 3, 1, 1]))
    )
    graph = helper.make_graph([helper.make_node("GlobalAveragePool", ["x"], ["y"])], "mean", [given], [taken])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "mean.onnx")
    np.save(tmp_path / "images.npy", np.zeros((4, 3, 32, 32), np.float32))
    artifact = str(tmp_path / "mean.onnx")
    return bench.Task(ASKED, {1: (artifact, None), 2: (artifact, None)}, str(tmp_path / "images.npy"), [])


def test_a_process_serves_a_level_and_says_what_it_saw(task):
    level = protocol.Level(protocol.FIRST, streams=2, blocks=3, seed=5)
    with under_load.bench(task) as started:
        assert [one.batch_size for one in started.service()] == [1, 2]
        assert all(0 < one.median_ms <= one.p99_ms for one in started.service())
        run, timeline = started.run(level, "greedy")
    assert (run.streams, len(run.frames), run.arrivals) == (2, 3, "periodic")
    # Each block without the two periods in which the last phases are still being served.
    assert sum(run.frames) == 3 * 2 * (protocol.PERIODS - 2)
    assert run.figures.dropped == 0
    assert len(run.quantiles["latency"]) == len(record.SHARES)
    assert len(timeline.planned_ms) == 2 * protocol.PERIODS


@pytest.mark.parametrize(("asked", "given"), [(0, physical_cores()), (1, 1)])
def test_a_session_has_the_threads_of_a_timing(task, monkeypatch, asked, given):
    """Where 0 stands for all physical cores, which PyTorch refuses as a number of threads."""
    seen = []
    true = bench.load
    monkeypatch.setattr(bench, "load", lambda *given: seen.append(given[4]["cpu_threads"]) or true(*given))
    bench.Sessions(replace(task, asked=replace(ASKED, cpu_threads=asked)))
    assert seen == [given, given]


class Moved:
    """The clock of a loop, which is that of a neighboured machine."""

    def __init__(self, clock):
        self.clock, self.now = clock, clock.perf_counter_ns

    def wait_until(self, moment):
        self.clock.ns = max(self.clock.ns, moment)


class Neighboured(Beside):
    """A place that serves beside a neighbour, four ms a call, on a clock that is moved; and when its runs began."""

    def __init__(self, monkeypatch, *spans):
        super().__init__(monkeypatch, *spans)
        self.began = []
        monkeypatch.setattr(bench, "HostLoad", self.load)
        monkeypatch.setattr(bench, "RealClock", lambda: Moved(self.clock))

    def load(self):
        self.began.append(self.now() / 1000)
        return super().load()

    def submit(self, size, frames):
        self.clock.advance(self.cost(4.0)(0))

    def wait(self, call, moment=None):
        return True


def disturbed_run(monkeypatch, *spans, patience=3.0):
    """Return (the run of a level of 4.2 s beside a neighbour, when each try began in s)."""
    machine = Neighboured(monkeypatch, *spans)
    level = protocol.Level(protocol.FIRST, streams=2, blocks=20, seed=5)
    run, _timeline = bench.served(machine, replace(ASKED, patience_seconds=patience), level, "none")
    return run, machine.began


def test_a_run_begins_in_quiet(monkeypatch):
    run, began = disturbed_run(monkeypatch, (0, 2000))
    assert (run.doubts, sum(run.misses)) == ([], 0)
    assert began == [pytest.approx(2.0, abs=0.2)]


def test_a_run_that_a_burst_disturbed_is_made_again_once_that_is_over(monkeypatch):
    run, began = disturbed_run(monkeypatch, (2000, 4500))
    assert (run.doubts, sum(run.misses)) == ([], 0)
    assert began == [pytest.approx(0.1), pytest.approx(4.5, abs=0.2)]


def test_bursts_that_come_again_and_again_refuse_no_run_that_fits_between_them(monkeypatch):
    run, began = disturbed_run(monkeypatch, *((start, start + 1500) for start in range(3000, 60_000, 6500)))
    assert run.doubts == []
    assert len(began) == 2


def test_where_quiet_never_comes_the_run_is_in_doubt_and_patience_ends(monkeypatch):
    run, began = disturbed_run(monkeypatch, (0, 1e9))
    assert run.doubts == ["it waited for 1.0 cores that something else had"]
    assert began == [pytest.approx(3.0, abs=0.2)]


def test_a_neighbour_that_looks_quiet_takes_no_more_than_the_patience(monkeypatch):
    """It comes a moment after each run has begun."""
    spans = [(start, start + 4000) for start in (200, 4500, 9000, 13_000, 17_500)]
    run, began = disturbed_run(monkeypatch, *spans)
    assert run.doubts
    assert len(began) <= 3


def test_without_patience_a_run_is_made_once(monkeypatch):
    run, began = disturbed_run(monkeypatch, (0, 1e9), patience=0.0)
    assert run.doubts
    assert began == [0]


def test_a_damaged_file_says_nothing_of_the_place_and_ends_the_script_with_its_name(task):
    Path(task.artifacts[1][0]).write_bytes(b"no model")
    with pytest.raises(InputError, match=r"mean\.onnx cannot be read as ONNX .*delete it"):
        under_load.measure(task)


def test_a_damaged_record_of_a_build_does_so_too(task, tmp_path):
    (tmp_path / "mean.json").write_text("{")
    task.artifacts[2] = (task.artifacts[2][0], str(tmp_path / "mean.json"))
    with pytest.raises(InputError, match=r"mean\.json cannot be read as JSON"), under_load.bench(task):
        pass


def test_what_was_not_built_is_a_status_with_its_reason(task, tmp_path):
    write_json(tmp_path / "mean.json", {"status": "unsupported", "reason": "no such operator"})
    task.artifacts[2] = (task.artifacts[2][0], str(tmp_path / "mean.json"))
    found = under_load.measure(task)
    assert (found.status, found.reason, found.seen) == ("unsupported", "no such operator", None)
    assert found.session == ""


@pytest.mark.gpu
@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_gpu_serves_with_one_call_in_flight_and_with_two(task, in_flight):
    """Of periodic streams that it serves easily: all in time, the results of both sizes there when they are said to."""
    asked = replace(ASKED, device="cuda", in_flight=in_flight, batching="greedy")
    level = protocol.Level(protocol.FIRST, streams=8, blocks=20, seed=5)
    with under_load.bench(replace(task, asked=asked)) as started:
        fastest = min(one.median_ms for one in started.service())
        run, timeline = started.run(level, "greedy")
    assert not run.diverged
    assert run.figures.dropped == 0
    assert run.figures.miss_rate == 0
    assert run.figures.utilisation <= 1
    assert all(end > start for start, end, *_ in timeline.calls)
    # A result that was stamped before it was there would have taken less than a call does.
    assert np.percentile(run.quantiles["service"], 50) > 0.3 * fastest


class Stream:
    """A stand-in for a stream of a GPU: what it waited for, and what was recorded on it."""

    def __init__(self):
        self.waited = []

    def wait_event(self, event):
        self.waited.append(event)


class Event:
    """A stand-in for an event, done after it was asked so often."""

    asked = 0

    def record(self, stream):
        self.stream = stream

    def query(self):
        self.asked += 1
        return self.asked > 3

    def synchronize(self):
        self.asked = 3


class Enqueued:
    """A stand-in for a session of a GPU."""

    def __init__(self):
        self.stream, self.runs, self.synchronized = Stream(), 0, 0

    def active(self):
        return nullcontext()

    def run(self):
        self.runs += 1

    def synchronize(self):
        self.synchronized += 1


def sessions(in_flight):
    found = object.__new__(bench.Sessions)
    found.in_flight, found.last, found.of = in_flight, None, {1: Enqueued(), 4: Enqueued()}
    return found


def test_with_two_in_flight_a_call_is_enqueued_after_the_one_before_it_and_ends_with_its_event(monkeypatch):
    monkeypatch.setattr("torch.cuda.Event", Event)
    server = sessions(2)
    first, second = server.submit(4, [0, 1, 2, 3]), server.submit(1, [4])
    assert (server.of[4].stream.waited, server.of[1].stream.waited) == ([], [first])
    assert first.stream is server.of[4].stream
    assert not any(one.synchronized for one in server.of.values())
    assert server.wait(first, 0) is False
    assert server.wait(first, time.perf_counter_ns() + 10**12) is True
    assert server.wait(second) is True


def test_with_one_in_flight_a_call_has_ended_when_it_was_submitted():
    server = sessions(1)
    assert server.wait(server.submit(4, [0]), 0) is True
    assert (server.of[4].runs, server.of[4].synchronized) == (1, 1)
