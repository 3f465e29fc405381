"""Which slices others disturbed, and what is made of a record of which some were."""

import math
from dataclasses import replace

import pytest
from builders import changed, make_record, make_run, make_table, scattered

from speedgrid.data.samples import Host, Slice
from speedgrid.evidence import quiet
from speedgrid.table import aside, conditions

NAME = "resnet18-pytorch-fp32-r64-b8"
ALONE = Host(0.05, 0.0, [0.25, 0.26], waited_cores=0.02, own_cores=1.9, cores=2)


def sliced(*parts, **changes):
    """Return a record of slices, each of (calls in ms, what was seen of the processors)."""
    calls = [one for ms, _ in parts for one in ms]
    slices = [Slice(1000.0 + place, round(sum(ms) / 1000, 6), len(ms), host) for place, (ms, host) in enumerate(parts)]
    return make_record(NAME, calls, slices=slices, **changes)


def host(**fields):
    return replace(ALONE, **fields)


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (host(waited_cores=0.5), "it waited for 0.5 cores that something else had"),
        (host(busy_elsewhere_cores=0.6), "0.6 cores were busy with something else"),
        (host(stolen_cores=0.7), "the host of this virtual machine gave 0.7 of its cores to others"),
        (host(waited_cores=None, busy_elsewhere_cores=1.4), "1.4 cores were busy with something else"),
        (host(busy_elsewhere_cores=0.6, cores=64), ""),  # there is room for it
        (host(busy_elsewhere_cores=1.4, cores=64), "1.4 cores were busy with something else"),
        (host(busy_elsewhere_cores=5.0, cores=16, own_cores=1.0), ""),  # another GPU's cells are loaded
        (host(busy_elsewhere_cores=5.0, cores=16, own_cores=2.0), "5.0 cores were busy with something else"),
        (host(busy_elsewhere_cores=9.0, cores=16, own_cores=1.0), "9.0 cores were busy with something else"),
        (
            host(busy_elsewhere_cores=5.0, cores=16, own_cores=1.0, waited_cores=0.3),
            "it waited for 0.3 cores that something else had",
        ),
        (host(pace_ms=[0.5, 0.5]), "the processor itself was 2.0 times slower"),
        (host(pace_ms=[0.25, 0.9]), ""),  # for a moment
        (ALONE, ""),
        (None, ""),  # a system that does not tell
    ],
)
def test_a_slice_is_disturbed_by_what_others_took_of_the_machine(seen, why):
    slices = [Slice(0.0, 0.1, 5, one) for one in (ALONE, seen)]
    assert quiet.disturbances(slices) == ["", why]
    assert quiet.quiet(slices) == [True, not why]


@pytest.mark.parametrize("seconds", [0.001, 0.01])
def test_what_ticks_and_waking_up_take_of_a_very_short_slice_disturbs_nothing(seconds):
    tick = host(busy_elsewhere_cores=0.01 / seconds, waited_cores=0.001 / seconds)
    assert quiet.disturbance(tick, seconds) == ""


@pytest.mark.parametrize(("others", "found"), [(3, True), (1, True)])
def test_a_process_that_was_stopped_is_seen_by_the_processor_time_that_it_lacks(others, found):
    stopped = Slice(0.0, 20.0, 1, host(own_cores=0.02))
    slices = [Slice(0.0, 0.1, 5, ALONE)] * others + [stopped]
    assert quiet.stood_still(slices) == [False] * others + [found]


def test_a_short_pause_of_a_process_is_its_own():
    slices = [Slice(0.0, 0.1, 5, ALONE)] * 3 + [Slice(0.0, 0.04, 2, host(own_cores=0.4))]
    assert not any(quiet.stood_still(slices))


@pytest.mark.parametrize(
    ("submit_ms", "status"),
    [
        (0.2, "ok"),  # a CUDA graph: the GPU has its work long before it is done
        (0.39, "ok"),
        (0.41, "busy"),
        (1.9, "busy"),  # the call waits for its host
        (None, "busy"),  # a session on the processor
    ],
)
def test_a_slow_processor_disturbs_calls_that_lean_on_it_and_no_others(submit_ms, status):
    clocks = {} if submit_ms is None else {"device_ms": [2.0] * 50, "submit_ms": [submit_ms] * 50}
    other = sliced(([3.0] * 50, ALONE), turn="sentinel1")
    slow = sliced(([2.1] * 50, host(pace_ms=[0.5, 0.51])), **clocks)
    found = aside.set_aside(aside.paced([other, slow]))[1]
    judged = aside.judge(found)
    assert judged.status == status
    assert judged.reason == ("" if status == "ok" else "it was never quiet: the processor itself was 2.0 times slower")
    assert aside.quiet_percent([found]) == (100 if status == "ok" else 0)


def test_a_gpus_slices_at_two_paces_of_the_processor_count_alike_and_a_neighbours_do_not():
    parts = ([2.0] * 5, ALONE), ([2.0] * 5, host(pace_ms=[0.5, 0.5])), ([4.0] * 5, BUSY)
    record = sliced(*parts, device_ms=[1.9] * 15, submit_ms=[0.1] * 15)
    assert aside.calm(record).host_ms == [2.0] * 10


BUSY = host(waited_cores=0.9, busy_elsewhere_cores=0.9)


def test_slices_that_were_disturbed_make_no_figure_and_stay_in_the_record():
    record = sliced(([2.0] * 50, ALONE), ([20.0] * 5, BUSY), ([2.0] * 50, ALONE))
    kept = aside.calm(record)
    assert kept.host_ms == [2.0] * 100
    assert len(kept.seen.samples.slices) == 2
    assert len(record.host_ms) == 105
    [line] = make_table([record]).to_dict("records")
    assert (line["status"], line["latency_ms"], line["runs"]) == ("ok", 2.0, 100)
    assert line["quiet_percent"] == pytest.approx(100 * 0.2 / 0.3)


def test_all_clocks_keep_the_same_calls():
    record = sliced(([2.0, 2.1], ALONE), ([9.0], BUSY), ([2.2], ALONE))
    series = {"device_ms": [1.0, 1.1, 8.0, 1.2], "submit_ms": [0.1, 0.2, 7.0, 0.3]}
    kept = aside.calm(changed(record, **series)).seen.samples
    assert (kept.device_ms, kept.submit_ms) == ([1.0, 1.1, 1.2], [0.1, 0.2, 0.3])


def test_a_cell_that_was_never_measured_in_quiet_is_busy_however_narrow_its_interval():
    records = [sliced(([20.0] * 50, BUSY), ([20.0] * 50, BUSY), turn=f"round{number}") for number in (1, 2, 3)]
    [line] = make_table(records).to_dict("records")
    assert line["status"] == "busy"
    assert line["reason"] == "it was never quiet: it waited for 0.9 cores that something else had"
    assert (line["latency_ms"], line["quiet_percent"]) == (20.0, 0.0)
    assert line["latency_ms_high"] - line["latency_ms_low"] < 1e-9


@pytest.mark.parametrize(("busy", "status", "rounds"), [(1, "ok", 2), (2, "busy", 3)])
def test_rounds_that_were_never_quiet_are_set_aside_where_most_were(busy, status, rounds):
    seen = [BUSY] * busy + [ALONE] * (3 - busy)
    records = [
        sliced(([ms] * 50, one), turn=f"round{number}")
        for number, (one, ms) in enumerate(zip(seen, [20.0] * busy + [2.0, 2.01, 2.0][busy:], strict=True), 1)
    ]
    [line] = make_table(records).to_dict("records")
    assert (line["status"], line["rounds"]) == (status, rounds)
    if status == "ok":
        assert 2.0 <= line["latency_ms"] <= 2.01
        assert line["caveats"] == "1 of 3 rounds set aside, which never were quiet"


def test_a_hole_of_twenty_seconds_reaches_no_figure():
    hole = Slice(0.0, 20.1, 2, host(own_cores=0.01))
    record = sliced(([100.0, 101.0], ALONE), ([99.0, 100.5], ALONE), ([20_000.0, 100.0], None))
    slices = [*record.seen.samples.slices[:2], hole]
    [line] = make_table([changed(record, slices=slices)]).to_dict("records")
    assert line["latency_ms"] < 102
    assert line["latency_ms_high"] < 102


def test_an_older_record_is_busy_by_its_one_account():
    [line] = make_table([make_record(NAME, host=Host(1.7, 0.0))]).to_dict("records")
    assert line["status"] == "busy"
    assert math.isnan(line["quiet_percent"])
    assert make_table([make_record(NAME, host=Host(0.7, 0.0))]).status.iloc[0] == "ok"


def test_another_precision_or_a_wrong_answer_is_said_before_a_busy_machine():
    for status in ("wrong_precision", "wrong_result"):
        assert make_table([make_record(NAME, status=status, host=Host(1.7, 0.0))]).status.iloc[0] == status


def test_heat_in_one_slice_sets_it_aside_and_in_all_of_them_makes_the_row_unstable():
    telemetry = {"time": [1000.05, 1001.05], "reasons": [0x40, 0], "sm_clock_mhz": [900.0, 1900.0]}
    empty = {"power_w": [1.0] * 2, "temperature_c": [1.0] * 2, "utilisation_percent": [1.0] * 2}
    record = sliced(([4.0] * 50, ALONE), ([2.0] * 50, ALONE), turn="round1")
    record = changed(record, telemetry=conditions_of(telemetry | empty))
    assert set(aside.calm(record).host_ms) == {2.0}
    hot = changed(record, telemetry=conditions_of(telemetry | empty | {"reasons": [0x40, 0x40]}))
    assert len(aside.calm(hot).host_ms) == 100
    assert "thermal" in conditions.unstable([hot], 2.0, 1.99, 2.01)


def conditions_of(readings):
    from speedgrid.record import Telemetry

    return Telemetry(**readings)


def test_the_report_says_first_that_the_machine_was_busy(tmp_path):
    from speedgrid.report import markdown

    busy = [sliced((scattered(20.0, number), BUSY), turn=f"round{number}") for number in (1, 2, 3)]
    text = str(markdown.markdown(*make_run(busy), "templates/report.md.j2"))
    assert text.split("\n## The answer\n\n")[1].startswith("**The machine was busy**: 1 of 1 cells was never ")
    assert text.index("The machine was busy") < text.index("**For throughput**")
    calm = [sliced((scattered(20.0, number), ALONE), turn=f"round{number}") for number in (1, 2, 3)]
    assert "The machine was busy" not in str(markdown.markdown(*make_run(calm), "templates/report.md.j2"))


def test_a_processor_that_was_slower_than_in_the_rest_of_the_run_disturbed_the_timing():
    slow, usual = host(pace_ms=[0.42, 0.43]), host(pace_ms=[0.27, 0.29])
    records = [
        sliced(([ms] * 50, one), turn=f"round{number}")
        for number, (one, ms) in enumerate(((usual, 9.0), (slow, 14.0), (usual, 9.1)), 1)
    ]
    [line] = make_table(records).to_dict("records")
    assert (line["status"], line["rounds"]) == ("ok", 2)
    assert 9.0 <= line["latency_ms"] <= 9.1
    assert make_table(records[1:2]).status.iloc[0] == "ok"  # by itself it is as fast as any


def test_no_ratio_is_given_of_what_was_measured_beside_others():
    other = NAME.replace("pytorch", "onnxruntime")
    busy = sliced(([20.0] * 50, BUSY))
    table = make_table([busy, changed(sliced(([2.0] * 50, ALONE)), cell=make_record(other).cell)])
    assert list(table.status) == ["busy", "ok"]
    assert (table.speedup[0], math.isnan(table.speedup[1])) == (1, True)
