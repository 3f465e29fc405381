"""Streams under load as a record has them, and what is made of it: claims, sentences, plots."""

import json

import numpy as np
import pytest
from streams import BLOCKS, DEADLINE_MS, SERVICE_MS, make_streams, served

from speedgrid.launcher.reading import FileError, of_kind
from speedgrid.serving.claims import claim, verdicts
from speedgrid.serving.figures import figures
from speedgrid.serving.record import loaded_of
from speedgrid.serving.seen import PERCENTS, Streams


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
