"""The record of a setting under load, and the protocol that fills it, on a clock that is moved."""

import json
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from speedgrid import InputError
from speedgrid.launcher.reading import FileError
from speedgrid.record import RecordError
from speedgrid.serving import batching, loop, protocol, record, replay, search, verdict
from tests.builders import PretendedBench, make_serving


@pytest.fixture(scope="module")
def found():
    return make_serving()


def words(found, streams, kind="periodic", deadline=1000 / 30):
    runs = [one for one in found.seen.runs if (one.arrivals, one.streams) == (kind, streams)]
    return verdict.judge(record.pooled([one for one in runs if one.deadline_ms == deadline])).word


def test_a_record_is_read_as_it_was_written(tmp_path, found):
    record.write(tmp_path / "one.json", found)
    again = record.read(tmp_path / "one.json")
    assert again == found


def test_a_record_that_was_changed_is_refused(tmp_path, found):
    record.write(tmp_path / "one.json", found)
    changed = {**json.loads((tmp_path / "one.json").read_text()), "reason": "x"}
    (tmp_path / "one.json").write_text(json.dumps(changed))
    with pytest.raises(FileError, match=r"one\.json is not what was written there \(its checksum"):
        record.read(tmp_path / "one.json")


def test_a_record_of_another_format_is_refused(tmp_path, found):
    record.write(tmp_path / "one.json", replace(found, format=record.FORMAT + 1))
    with pytest.raises(RecordError, match=rf"one\.json has format {record.FORMAT + 1}; this version reads 1"):
        record.read(tmp_path / "one.json")


@pytest.mark.parametrize("content", ["[]", "{}", '{"asked": 3}', "no JSON"])
def test_what_is_no_record_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "two.json").write_text(content)
    with pytest.raises(InputError, match=r"two\.json"):
        record.read(tmp_path / "two.json")


def test_a_status_that_contradicts_what_was_seen_is_refused(tmp_path, found):
    record.write(tmp_path / "three.json", replace(found, status="failed", reason="it died"))
    with pytest.raises(RecordError, match="contradicts"):
        record.read(tmp_path / "three.json")


def test_the_number_that_passes_is_confirmed_with_the_next_on_data_of_their_own(found):
    of_first = [one for one in found.seen.runs if one.arrivals == "periodic" and one.deadline_ms < 40]
    passed = {one.streams for one in of_first if words(found, one.streams) == "passes"}
    assert passed
    assert words(found, max(passed) + 1) != "passes"
    assert {one.round for one in of_first if one.streams == max(passed)} == {1, 2, 3}
    assert not {one.seed for one in found.seen.runs} & {one.seed for one in found.seen.probes}
    assert found.seen.timeline.streams == max(passed)
    assert {one.arrivals for one in found.seen.runs} == {"periodic", "synchronised", "poisson"}


def test_a_timeline_holds_one_block_with_its_calls(found):
    drawn = found.seen.timeline
    assert len(drawn.planned_ms) == protocol.PERIODS * drawn.streams
    assert sorted(drawn.planned_ms) == drawn.planned_ms
    assert drawn.planned_ms[0] >= 0
    assert drawn.planned_ms[-1] <= 1000 * protocol.PERIODS / 30
    for planned, started, finished in zip(drawn.planned_ms, drawn.started_ms, drawn.finished_ms, strict=True):
        assert planned <= started < finished
        assert any(call[0] == started and call[1] == finished for call in drawn.calls)


def test_a_machine_that_serves_no_stream_has_no_number_but_says_what_one_stream_did():
    slow = make_serving(service_ms={1: 50.0})
    assert {one.streams for one in slow.seen.runs if one.arrivals == "periodic" and one.deadline_ms < 40} == {1}
    assert all(one.diverged for one in slow.seen.runs if one.deadline_ms < 40)


PLACE = record.Place("resnet18", "onnxruntime", "fp32", 64, [1])
ASKED = record.Asked(PLACE, "cpu", 30.0, 1000 / 30, 0.99, 0.95, "greedy", "keep", 300, 3, 1, 2)


class Bench(PretendedBench):
    """One that says other times of its calls than it takes, or in whose runs something is in doubt."""

    def __init__(self, asked, service_ms, said=None, doubts=()):
        super().__init__(asked, service_ms)
        self.said, self.doubts = said or service_ms, list(doubts)

    def service(self):
        return [record.Service(size, ms, ms, 100) for size, ms in self.said.items()]

    def run(self, level, policy):
        run, timeline = super().run(level, policy)
        return replace(run, doubts=self.doubts if level.round else []), timeline


def confirmed(service_ms, found, **bench):
    """Return the confirmation of numbers that a search is said to have found of each claim."""
    asked = replace(ASKED, batching="greedy", blocks=300)
    asked = replace(asked, place=replace(asked.place, batch_sizes=sorted(service_ms)))
    service_ns = {size: round(1e6 * ms) for size, ms in service_ms.items()}

    def start():
        return nullcontext(Bench(asked, service_ms, **bench))

    confirming = protocol._Confirmation(asked, start, "greedy", service_ns)
    confirming.all(found)
    return confirming


@pytest.mark.parametrize("found", [13, 2], ids=["far above", "below"])
def test_the_largest_number_that_passes_is_found_from_a_search_that_was_wrong(found):
    """One server of 8 ms has time for four cameras of 30 FPS, whatever their phases."""
    done = confirmed({1: 8.0}, {protocol.FIRST: found})
    assert done.largest(protocol.FIRST) == 4
    assert done.word(protocol.FIRST, 5) in ("fails", "diverges")
    assert len({one.streams for one in done.runs}) <= protocol.TRIES + 2


def test_a_number_that_has_failed_is_not_served_in_each_round():
    done = confirmed({1: 8.0}, {protocol.FIRST: 4})
    assert [one.streams for one in done.runs] == [4, 5, 4, 4]


def test_runs_in_doubt_do_not_count_and_nothing_more_is_tried_after_them():
    done = confirmed({1: 8.0}, {protocol.FIRST: 4}, doubts=["the loop was late"])
    assert {one.streams for one in done.runs} == {4, 5}
    assert done.word(protocol.FIRST, 4) == ""
    assert done.largest(protocol.FIRST) == 0
    assert record.pooled(done.runs) is None
    one = replace(done.runs[0], doubts=[])
    assert len(record.pooled([one, *done.runs[1:]]).frames) == len(one.frames)


def test_fewer_synchronised_cameras_that_take_longer_are_served_too():
    """Eight are two calls of four, 20 ms; seven are one of four and three of one, 34 ms, more than a deadline."""
    times = replay.at_once_ns({1: 8, 4: 10}, batching.chooser("greedy", [1, 4], 8, 1e9), 8)
    assert times == [8, 16, 24, 10, 18, 26, 34, 20]
    claim = protocol.Claim("synchronised")
    done = confirmed({1: 8.0, 4: 10.0}, {protocol.FIRST: 0, claim: 8})
    assert {7, 8} <= {one.streams for one in done.runs}
    assert done.word(claim, 8) == "passes"
    assert done.word(claim, 7) in ("fails", "diverges")
    assert done.largest(claim) < 7
    target = search.Target(30.0, 1e9 / 30, arrivals="synchronised")
    plan = loop.Plan(batching.chooser("greedy", [1, 4], 8, 1e9))
    assert search.predicted({1: 8_000_000, 4: 10_000_000}, target, plan, 1) == 6


def test_a_search_is_not_held_to_times_of_calls_that_something_else_slowed_down():
    asked = replace(ASKED, arrivals=["periodic"], blocks=150)
    asked = replace(asked, place=replace(asked.place, batch_sizes=[1]))
    done = protocol.measure(asked, lambda: nullcontext(Bench(asked, {1: 4.0}, said={1: 16.0})))
    # Two cameras by those times; by the right ones eight take 32 ms, and each frame is in time.
    assert max(one.streams for one in done.probes if one.deadline_ms < 40) >= 8
    assert {8, 9} <= {one.streams for one in done.runs if one.deadline_ms < 40}


def test_one_stream_and_synchronised_ones_are_worth_each_moment_at_which_frames_come():
    """No phases are drawn for them, so that blocks are no lottery."""
    for kind, streams, worth in (
        ("periodic", 1, 400),
        ("periodic", 2, 100),
        ("synchronised", 2, 400),
        ("poisson", 1, 100),
    ):
        blocks = verdict.Blocks(np.full(100, 4 * streams), np.zeros(100, int), streams, kind=kind)
        assert verdict.judge(blocks).effective == worth, kind
