"""Which rows would not be repeated well, and what of their warm-up and timing was cut short."""

import pytest
from builders import changed, make_record, make_table

from speedgrid.data.samples import Host
from speedgrid.table import conditions

NAME = "resnet18-pytorch-fp32-r64-b8"


def rounds(*latencies, turn=None, **changes):
    """Return one record for each round's latency in ms."""
    return [
        make_record(NAME, [latency] * 20, turn=turn or f"round{number}", **changes)
        for number, latency in enumerate(latencies, start=1)
    ]


def test_a_narrow_interval_is_stable():
    assert conditions.unstable(rounds(2.0, 2.01), 2.0, 1.81, 2.19) == ""


@pytest.mark.parametrize(("low", "high"), [(1.79, 2.1), (1.9, 2.21)])
def test_a_wide_interval_on_either_side_is_unstable_and_shows_its_rounds(low, high):
    reason = conditions.unstable(rounds(2.0, 2.6), 2.0, low, high)
    assert f"from {low / 2 - 1:+.0%} to {high / 2 - 1:+.0%}" in reason
    assert "the rounds' medians are 2, 2.6 ms" in reason


def test_one_round_blames_its_calls():
    assert conditions.unstable(rounds(2.0), 2.0, 1.0, 3.0).endswith("its calls differ")


def throttling(*reasons):
    """Return telemetry that saw these reasons for a lower clock."""
    return {"throttled": list(reasons)}


def test_heat_makes_a_row_unstable_and_a_power_limit_does_not():
    hot = rounds(2.0, telemetry=throttling("hardware thermal slowdown", "software power cap"))
    assert conditions.unstable(hot, 2.0, 1.99, 2.01) == "the GPU lowered its clock (hardware thermal slowdown)"
    assert conditions.unstable(rounds(2.0, telemetry=throttling("software power cap")), 2.0, 1.99, 2.01) == ""
    assert conditions.throttled(hot) == ["hardware thermal slowdown", "software power cap"]


def test_what_else_was_running_is_said_of_unstable_rows_alone():
    busy = rounds(2.0, 2.6, host=Host(1.5, 0.25))
    assert conditions.unstable(busy, 2.0, 1.0, 3.0).endswith("up to 1.8 cores were busy with something else")
    assert conditions.unstable(busy, 2.0, 1.99, 2.01) == ""
    idle = rounds(2.0, 2.6, host=Host(0.5, 0.0))
    assert "busy" not in conditions.unstable(idle, 2.0, 1.0, 3.0)
    assert "busy" not in conditions.unstable(rounds(2.0, 2.6, host=None), 2.0, 1.0, 3.0)


def paced(*paces):
    """Return rounds that differ, with the pace of the processor in each, in ms."""
    found = rounds(*(2.0 + pace for pace in paces))
    return [changed(one, host=Host(0.0, 0.0, [pace, pace])) for one, pace in zip(found, paces, strict=True)]


def test_a_processor_that_was_slower_in_one_round_is_blamed_for_unstable_rows_alone():
    reason = conditions.unstable(paced(0.34, 0.62, 0.33), 2.3, 1.0, 3.0)
    assert reason.endswith("the processor itself was up to 1.9 times slower (a fixed loop took 0.34, 0.62, 0.33 ms)")
    assert conditions.unstable(paced(0.34, 0.62, 0.33), 2.3, 2.29, 2.31) == ""
    assert "processor" not in conditions.unstable(paced(0.34, 0.4, 0.34), 2.3, 1.0, 3.0)
    assert "processor" not in conditions.unstable(paced(0.34), 2.3, 1.0, 3.0)


def test_a_run_says_how_the_processors_pace_varied():
    found = conditions.processor([*paced(0.5, 0.5, 0.5, 0.61, 1.0), *rounds(2.0)])
    assert found == {"best_ms": 0.5, "median_ms": 0.5, "worst_ms": 1.0, "slow_percent": 40.0}
    assert conditions.processor(rounds(2.0)) is None


def test_an_unstable_row_is_marked_and_keeps_its_speed():
    [line] = make_table(rounds(2.0, 2.6, 2.2)).to_dict("records")
    assert line["status"] == "unstable"
    assert line["latency_ms"] == pytest.approx(2.2)
    assert line["fps"] == pytest.approx(8000 / 2.2)
    assert line["reason"].startswith("its interval reaches from -")


def test_a_row_that_ran_another_precision_stays_one():
    wrong = rounds(2.0, 2.6, 2.2, status="wrong_precision")
    assert make_table(wrong).status.iloc[0] == "wrong_precision"


def test_the_table_says_why_the_gpu_lowered_its_clock():
    table = make_table(rounds(2.0, telemetry=throttling("software power cap")))
    assert table.throttled.iloc[0] == "software power cap"
    assert make_table(rounds(2.0)).throttled.iloc[0] is None


def test_a_cell_that_never_became_steady_is_unstable_and_says_so():
    found = rounds(2.0, 2.01, steady=False, warmup_runs=20)
    assert conditions.unstable(found, 2.0, 1.99, 2.01) == "its warm-up never became steady in 2 of 2 rounds"
    [line] = make_table(found).to_dict("records")
    assert (line["status"], line["caveats"]) == ("unstable", line["reason"])


def test_one_round_that_became_steady_is_enough_for_the_status_and_the_other_is_said():
    found = [*rounds(2.0), *rounds(2.0, steady=False, warmup_runs=20, turn="round2")]
    assert conditions.unstable(found, 2.0, 1.99, 2.01) == ""
    assert conditions.caveats(found) == "its warm-up never became steady in 1 of 2 rounds"


def test_a_warm_up_that_was_too_short_to_tell_says_how_short_and_blames_nobody():
    found = rounds(2.0, 2.0, steady=False, warmup_runs=3)
    assert conditions.unstable(found, 2.0, 1.99, 2.01) == ""
    assert conditions.caveats(found) == "its warm-up was cut short after 3 of 20 calls in 2 of 2 rounds"


def test_a_timing_that_was_cut_short_says_how_far_it_was_from_its_target():
    record = make_record(NAME, [1.0, 1.1] * 10, capped=True)
    assert conditions.caveats([record]) == (
        "its timing was cut short in 1 of 1 round, at an interval of up to ±4.8 % instead of 2 %"
    )
    assert make_table([record]).status.iloc[0] == "ok"
    assert conditions.caveats(rounds(2.0)) == ""


def test_a_timing_with_fewer_calls_than_were_promised_names_how_many_it_had():
    slow = [
        make_record(NAME, [100.0 + number] * count, capped=True, turn=f"round{number}", timed_runs=10)
        for number, count in ((1, 5), (2, 7), (3, 12))
    ]
    clause = conditions.caveats(slow)
    assert clause.startswith(
        "its timing was cut short after 5 to 7 of the 10 calls that were asked for in 3 of 3 rounds"
    )
    assert "after 5 of the 10 calls" in conditions.caveats(slow[:1])
