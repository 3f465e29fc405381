"""What a run says about itself."""

import pytest
from builders import make_record, make_refusal

from speedgrid.table import controls

NAME = "resnet18-pytorch-fp32-r64-b8"


def timed(turn, *host_ms, **changes):
    """Return the record of one turn of the control cell."""
    return make_record(NAME, host_ms * 10, turn=turn, **changes)


def three(kind, latencies):
    """Return three turns of one kind."""
    return [timed(f"{kind}{number}", latency) for number, latency in enumerate(latencies, start=1)]


def test_drift_is_the_largest_difference_between_start_middle_and_end():
    found = controls.summarise(three("sentinel", (2.0, 2.2, 2.1)))["sentinel"]
    assert found["latency_ms"] == [2.0, 2.2, 2.1]
    assert found["drift_percent"] == pytest.approx(10)
    assert len(found["measured_at"]) == 3


def test_start_middle_and_end_stay_in_order_however_records_come():
    records = three("sentinel", (2.0, 2.2, 2.1))
    assert controls.summarise(records[::-1])["sentinel"]["latency_ms"] == [2.0, 2.2, 2.1]


def test_a_cell_and_its_twin_tie_within_the_spread_of_their_rounds():
    found = controls.summarise([*three("round", (2.0, 2.02, 1.98)), *three("twin", (2.01, 1.99, 2.03))])
    assert found["twin"]["ties"]
    assert found["twin"]["low"] < found["twin"]["ratio"] < found["twin"]["high"]
    assert found["twin"]["rounds"] == 3
    assert found["noise_floor_percent"] == pytest.approx(100 * (1 - 2.0 / 2.01))


def test_a_twin_that_is_surely_slower_does_not_tie():
    found = controls.summarise([*three("round", (2.0, 2.002, 1.998)), *three("twin", (2.4, 2.402, 2.398))])
    assert not found["twin"]["ties"]
    assert found["noise_floor_percent"] == pytest.approx(100 / 6)


def test_what_was_not_measured_is_not_known():
    refused = [make_refusal(NAME, "unavailable", "no GPU", turn=turn) for turn in ("round1", "twin1", "sentinel1")]
    assert controls.summarise(refused) == {"sentinel": None, "twin": None, "noise_floor_percent": None}
    assert controls.summarise([])["sentinel"] is None


def test_a_wrong_answer_controls_nothing():
    wrong = [timed(f"sentinel{number}", 1.0, status="wrong_result") for number in (1, 2, 3)]
    assert controls.summarise(wrong)["sentinel"] is None


def test_turns_are_in_the_order_of_their_numbers():
    records = {f"round{number}": number for number in (10, 2, 1)} | {"twin1": 0}
    assert controls.turns(records, "round") == [1, 2, 10]
