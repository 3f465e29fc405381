"""The record of a setting under load, and the protocol that fills it, on a clock that is moved."""

import json
from dataclasses import replace

import pytest

from speedgrid.record import RecordError
from speedgrid.serving import record, verdict
from tests.builders import make_serving


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
    assert again.intact
    assert again.file == "one.json"
    (tmp_path / "one.json").write_text(json.dumps({**json.loads((tmp_path / "one.json").read_text()), "reason": "x"}))
    assert record.read(tmp_path / "one.json").intact is False


@pytest.mark.parametrize("content", ["[]", "{}", '{"asked": 3}', "no JSON"])
def test_what_is_no_record_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "two.json").write_text(content)
    with pytest.raises(RecordError, match=r"two\.json"):
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
    assert len(drawn.planned_ms) == 9 * drawn.streams
    assert sorted(drawn.planned_ms) == drawn.planned_ms
    assert drawn.planned_ms[0] >= 0
    assert drawn.planned_ms[-1] <= 300
    for planned, started, finished in zip(drawn.planned_ms, drawn.started_ms, drawn.finished_ms, strict=True):
        assert planned <= started < finished
        assert any(call[0] == started and call[1] == finished for call in drawn.calls)


def test_a_machine_that_serves_no_stream_has_no_number_but_says_what_one_stream_did():
    slow = make_serving(service_ms={1: 50.0})
    assert {one.streams for one in slow.seen.runs if one.arrivals == "periodic" and one.deadline_ms < 40} == {1}
    assert all(one.diverged for one in slow.seen.runs if one.deadline_ms < 40)
