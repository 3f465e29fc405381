"""Records held against themselves and each other: what cannot be true is a failed row, with the arithmetic."""

import json
import math
from contextlib import suppress
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from builders import LATENCIES, changed, make_record, make_records, make_refusal, make_run
from hypothesis import given, settings
from hypothesis import strategies as st

from speedgrid import record
from speedgrid.data.samples import Host
from speedgrid.evidence.parity import compare
from speedgrid.launcher import outputs
from speedgrid.record import Expected, Memory, Telemetry
from speedgrid.table.alike import copied, suspects
from speedgrid.table.answers import rounding
from speedgrid.table.contradictions import contradictions
from speedgrid.table.held import hold
from speedgrid.table.verdict import judge

NAME = "resnet18-pytorch-fp32-r64-b8"
ARITHMETIC = {"resnet18": {"64": {"weight_elements": 2_000_000}}}
REFERENCE = np.random.default_rng(0).standard_normal((16, 100))


def samples(median=4.0, count=60, spread=0.01, seed=0) -> list[float]:
    """Return latencies as a clock of nanoseconds has them."""
    random = np.random.default_rng(seed)
    return (median * np.exp(random.normal(0, spread, count))).round(6).tolist()


def honest(name=NAME, median=4.0, seed=0, **changes):
    """Return a record that a timing on a CPU could have left."""
    errors = compare(REFERENCE + 1e-6 * np.random.default_rng(seed).standard_normal(REFERENCE.shape), REFERENCE)
    return make_record(name, samples(median, seed=seed), **{"errors": errors, "parity": None} | changes)


PROBES = {
    "back_to_back": {"ms": 3.9, "runs": 50, "seconds": 0.195},
    "energy": {"joules_per_call": 2.0, "power_w": 500.0, "seconds": 2.0, "calls": 500.0, "updates": 20},
}


def probing(found, **probes):
    """Return a record whose probes saw this."""
    return replace(found, asked=replace(found.asked, probes=[*probes]), seen=replace(found.seen, probes=probes))


def on_gpu(**changes):
    """Return a record that a timing on a GPU could have left."""
    host_ms, overhead = samples(), np.random.default_rng(1).uniform(0.01, 0.03, 60)
    total = sum(host_ms) / 1000
    found = changed(
        honest(device="cuda"),
        device_ms=(np.array(host_ms) - overhead).round(6).tolist(),
        submit_ms=[0.5 + 1e-6 * number for number in range(60)],
        timed_seconds=total + 0.003,
        telemetry=Telemetry([float(100 + number / 20) for number in range(8)], *[[1.0] * 8] * 4, reasons=[0] * 8),
    )
    environment = found.environment | {"device": "cuda"}
    return changed(probing(found, **PROBES), environment=environment, **changes)


def test_honest_records_contradict_nothing():
    for one in (honest(), on_gpu(), honest("resnet18-onnxruntime-fp32-r64-b1", 0.2, seed=3)):
        assert contradictions(one, 2_000_000) == []


@given(st.floats(0.05, 500), st.integers(3, 400), st.floats(0.0005, 0.3), st.integers(0, 10**6))
@settings(max_examples=200)
def test_whatever_a_clock_counts_is_believed(median, count, spread, seed):
    host_ms = samples(median, count, spread, seed)
    found = make_record(NAME, host_ms, timed_runs=min(3, count), target_percent=1000, max_seconds=1e9)
    assert contradictions(found) == []


def scaled(found, factor):
    return changed(found, host_ms=[round(factor * one, 6) for one in found.host_ms])


GPU = on_gpu()
LIES = {
    "half": (scaled(honest(), 0.5), "60 timed calls take 0.12"),
    "double": (scaled(honest(), 2), "s too few"),
    "on no clock": (changed(honest(), host_ms=[one * 0.9999 for one in honest().host_ms]), "are no whole nanoseconds"),
    "alike": (changed(honest(), host_ms=[1.0] * 10), "its 10 timed calls took 1 ms each, to the nanosecond"),
    "round": (changed(honest(), host_ms=[round(one, 2) for one in honest().host_ms]), "multiples of 10 microseconds"),
    "repeated": (
        changed(honest(), host_ms=honest().host_ms[:30][::-1] + honest().host_ms[:30]),
        "50% of its 60 timed calls",
    ),
    "in order": (changed(honest(), host_ms=sorted(honest().host_ms)), "in the order of how long they took"),
    "nothing": (changed(honest(), host_ms=[]), "with 0 timed calls"),
    "no time": (changed(honest(), host_ms=[0.0, *honest().host_ms[1:]]), "took 0.0 ms"),
    "endless": (changed(honest(), host_ms=[math.inf, *honest().host_ms[1:]]), "took inf ms"),
    "the fastest": (changed(honest(), host_ms=[one for one in honest().host_ms if one < 3.97]), "between calls"),
    "cut short": (changed(honest(), capped=True), "and 0.5 s were asked for at least"),
    "too few": (changed(honest(), timed_runs=100), "100 were asked for at least"),
    "too wide": (changed(honest(), target_percent=0.01), "and ±0.01 % was asked for"),
    "longer within": (changed(honest(), warmup_seconds=5.0), "more than the"),
    "no events on a CPU": (changed(honest(), device_ms=honest().host_ms), "60 of the device's"),
    "device slower": (changed(GPU, device_ms=[5.0] * 60), "which is a part of it"),
    "host slower": (changed(GPU, device_ms=[one / 4 for one in GPU.host_ms]), "are the most"),
    "returned late": (changed(GPU, submit_ms=[4.5] * 60), "after its result was there"),
    "loop": (probing(GPU, back_to_back={"ms": 1.0, "runs": 50, "seconds": 0.05}), "0.25 times as long"),
    "loop's time": (probing(GPU, back_to_back={"ms": 3.9, "runs": 50, "seconds": 0.4}), "not the 400 ms"),
    "loop's calls": (probing(GPU, back_to_back={"ms": 3.9, "runs": 500, "seconds": 1.95}), "are 49"),
    "energy": (probing(GPU, energy=PROBES["energy"] | {"power_w": 250.0}), "is 500 W, not 250 W"),
    "telemetry": (changed(GPU, warmup_seconds=9.0, seconds={"timing": 9.5}), "its telemetry lasted 0.35 s"),
    "command": (changed(honest(), command="python -m scripts.time_cell resnet18-pytorch-fp32-r64-b1"), "measures"),
    "turn": (changed(honest(), command=f"python -m scripts.time_cell {NAME} --turn round2"), "measures round2"),
    "machine": (changed(honest(), device="cuda"), "described for cpu"),
    "not built": (changed(honest(), build={"status": "failed"}), "not built (failed)"),
    "memory": (changed(honest(), memory=Memory({"baseline": 50.0, "timed": 53.0})), "it took 3 MB of memory"),
    "memory falls": (
        changed(honest(), memory=Memory({"baseline": 5.0, "loaded": 60.0, "timed": 50.0})),
        "60 MB at most",
    ),
    "dtype": (changed(honest(), dtype="float64"), "tensors are of float64"),
    "nodes": (changed(honest(), quantised_nodes={"executed": 22, "of": 21}), "22 of its 21"),
    "fused": (changed(honest(), details={"fused_convolutions": {"executed": 21, "of": 20}}), "21 of its 20"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found_with_its_arithmetic(lie):
    found, words = LIES[lie]
    assert words in "; ".join(contradictions(found, 2_000_000))


def with_errors(**changes):
    found = honest()
    return changed(found, errors=type(found.seen.errors)(**asdict(found.seen.errors) | changes))


ERRORS = honest().seen.errors
ANSWERS = {
    "smaller": (
        {"noise": [one / 1000 for one in compare(0.99 * REFERENCE + 0.05, REFERENCE).noise], "cosine": [0.99] * 16},
        "than their angle",
    ),
    "fewer": ({"noise": ERRORS.noise[:4]}, "another number of their cosines"),
    "other images": ({"images": 12}, "16 answers to 12 images"),
    "flip": ({"same_class": [False] * 16}, "has another best class"),
    "margin": ({"margin": [1000.0] * 16}, "differ by 1000"),
    "cosine": ({"cosine": [1.5] * 16}, "a cosine is beyond 1"),
}


@pytest.mark.parametrize("lie", ANSWERS)
def test_errors_that_no_answers_have_are_found(lie):
    changes, words = ANSWERS[lie]
    assert words in "; ".join(contradictions(with_errors(**changes)))


@given(st.floats(1e-8, 2.0), st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 20))
@settings(max_examples=150)
def test_whatever_answers_are_compared_their_errors_fit_together(size, seed, images, classes):
    random = np.random.default_rng(seed)
    right = random.standard_normal((images, classes))
    errors = compare(right + size * random.standard_normal(right.shape), right)
    found = make_record("resnet18-pytorch-fp32-r64-b1", samples(), errors=errors, parity=None)
    assert contradictions(found) == []


def written(folder, found, name=None):
    path = folder / f"{name or found.name}.json"
    record.write(path, found)
    return path


def test_a_record_has_the_checksum_of_its_content_whatever_its_layout(tmp_path):
    path = written(tmp_path, honest())
    assert record.read(path).intact is True
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(sorted(content.items()))))
    assert record.read(path).intact is True
    del content["checksum"]
    path.write_text(json.dumps(content))
    assert record.read(path).intact is None


@given(
    st.sampled_from(
        [("measured_at",), ("seen", "dtype"), ("seen", "samples", "capped"), ("asked", "cpu_threads"), ("fingerprint",)]
    )
)
@settings(max_examples=5)
def test_any_edit_that_leaves_the_checksum_is_found(tmp_path_factory, path):
    file = written(tmp_path_factory.mktemp("one"), honest())
    content = inner = json.loads(file.read_text())
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = {str: "2026-01-02T03:04:06+00:00", bool: True, int: 3}[type(inner[path[-1]])]
    outputs.write_json(file, content)
    found, held = hold([record.read(file)], ARITHMETIC)
    assert found[0].status == "failed"
    assert "its checksum is not that of its content" in held["contradictory"][found[0].name]


def test_two_records_under_each_others_names_are_two_failed_rows(tmp_path):
    first, second = honest(), honest("resnet18-pytorch-fp32-r64-b1", 1.0, seed=5)
    paths = [written(tmp_path, first, second.name), written(tmp_path, second, first.name)]
    found, held = hold([record.read(path) for path in paths], ARITHMETIC)
    assert [(one.name, one.status) for one in found] == [(second.name, "failed"), (first.name, "failed")]
    assert f"it holds {first.name}" in held["contradictory"][second.name]
    assert f"delete {second.name}.json and run again" in held["contradictory"][second.name]


def test_a_record_in_another_ones_file_costs_that_cell_alone_its_row(tmp_path):
    first, second = honest(), honest("resnet18-pytorch-fp32-r64-b1", 1.0, seed=5)
    paths = [written(tmp_path, first), written(tmp_path, first, second.name)]
    table, run = make_run([record.read(path) for path in paths], [str(first.cell), str(second.cell)])
    assert dict(zip(table.batch_size, table.status, strict=True)) == {8: "ok", 1: "failed"}
    assert list(run["held"]["contradictory"]) == [second.name]


def several(count=5, **changes):
    names = [f"resnet18-pytorch-fp32-r64-b{size}" for size in (1, 2, 4, 8, 16)[:count]]
    return [honest(name, 1.0 + place, seed=place, **changes) for place, name in enumerate(names)]


def reasons(records):
    return hold(records, {})[1]["contradictory"]


def test_honest_records_of_one_run_are_not_alike():
    assert reasons(several()) == {}


@pytest.mark.parametrize("factor", [1.0, 1.0001, 0.5, 1.7])
@pytest.mark.parametrize("order", [lambda one: one, lambda one: one[::-1]], ids=["as they are", "turned round"])
def test_samples_of_another_record_are_found_whatever_they_are_multiplied_by(factor, order):
    records = several()
    copy = [round(factor * one, 6) for one in order(records[1].host_ms)]
    total = round(sum(copy) / 1000 + 0.001, 6)
    times = {"timed_seconds": total, "min_seconds": 0.0, "seconds": {"timing": total + 0.3}}
    records[3] = changed(records[3], host_ms=copy, **times)
    found = reasons(records)
    assert set(found) == {records[1].name, records[3].name}
    assert f"its samples are those of {records[1].name} times" in found[records[3].name]


@given(st.integers(4, 200), st.integers(0, 10**6), st.floats(1e-4, 0.5), st.floats(0.01, 0.9))
@settings(max_examples=100)
def test_independent_samples_are_no_copies_also_where_both_drift(count, seed, spread, drift):
    random = np.random.default_rng(seed)
    one, other = (np.exp(random.normal(0, spread, count) + drift * spread * np.arange(count) / count) for _ in range(2))
    assert copied(one.round(6), 3 * other.round(6)) == ""


@pytest.mark.parametrize("count", [3, 8, 15, 16, 60, 400])
@pytest.mark.parametrize("spread", [0.001, 0.3])
@pytest.mark.parametrize("spiked", [False, True])
def test_whatever_is_a_copy_is_suspected_among_many_and_little_else_is(count, spread, spiked):
    random = np.random.default_rng(count)
    many = 3.0 * np.exp(random.normal(0, spread, (400, count)))
    if spiked:
        many[np.arange(400), random.integers(0, count, 400)] *= 1.5
    noise = np.exp(random.normal(0, 0.005 * np.log(many[3]).std(), count))
    planted = [1.7 * many[0], random.permutation(many[1]), many[2][: max(3, count // 2)], 0.9 * many[3] * noise]
    held = {place: one.round(6) for place, one in enumerate([*many, *planted])}
    pairs = [(place, 400 + place) for place in range(4)]
    found = suspects(held)
    assert {pair for pair in pairs if copied(*(held[one] for one in pair))} <= found
    # Where each series has one outlier, all vary by much more than their beginnings do.
    assert len(found) < (800 if spiked else 40)  # of 80,000 pairs


def test_right_answers_and_expectations_are_those_of_the_other_records():
    records = several()
    errors = compare(2 * REFERENCE + 1e-6, 2 * REFERENCE)
    records[2] = changed(records[2], errors=errors)
    assert "the norms of its right answers are not those of the other records" in reasons(records)[records[2].name]
    records = several()
    records[4] = changed(records[4], expected=Expected(records[4].seen.expected.snr_db | {"fp32": 55.0}))
    assert list(reasons(records)) == [records[4].name]


def rounded(name, dtype, snr_db, seed=0):
    """Return a record of answers with so much error, in tensors of a type."""
    noise = 10 ** (-snr_db / 20) * np.random.default_rng(seed).standard_normal(REFERENCE.shape)
    return changed(honest(name, 1.0 + seed, seed, errors=compare(REFERENCE + noise, REFERENCE)), dtype=dtype)


def in_precision(precision, dtypes, snr_db):
    names = [f"resnet18-pytorch-{precision}-r64-b{size}" for size in (1, 2, 4, 8, 16)]
    return [rounded(name, dtype, snr_db, seed) for seed, (name, dtype) in enumerate(zip(names, dtypes, strict=True))]


def test_tensors_are_of_the_type_that_others_of_the_backend_and_precision_have():
    records = in_precision("bf16", ["bfloat16", "bfloat16", "float32", "bfloat16", "bfloat16"], 40)
    assert list(reasons(records)) == [records[2].name]
    assert "its tensors are of float32, and of bfloat16 in 4 other records" in reasons(records)[records[2].name]


@pytest.mark.parametrize(
    ("precision", "others", "own", "snr_db"),
    [("fp16", "float16", "bfloat16", 40), ("fp16", "float16", "float32", 60), ("tf32", "float32", "bfloat16", 40)],
)
def test_tensors_that_are_not_those_of_the_label_are_a_verdict_and_no_contradiction(precision, others, own, snr_db):
    odd = in_precision(precision, [own] * 5, snr_db)[2]
    records = in_precision(precision, [others] * 5, 60)
    records[2] = odd
    found, held = hold(records, {})
    assert held["contradictory"] == {}
    assert judge(found[2]).status == "wrong_precision"


@pytest.mark.parametrize(("dtype", "snr_db"), [("float16", 120), ("float16", 84), ("bfloat16", 74), ("bfloat16", 66)])
def test_answers_are_no_better_than_the_type_of_their_tensors(dtype, snr_db):
    found = contradictions(rounded(NAME, dtype, snr_db))
    assert [f"dB SNR, and rounding them to {dtype} leaves" in one for one in found] == [True]


@given(st.sampled_from(["float16", "bfloat16"]), st.integers(2, 1000), st.floats(0, 100), st.integers(0, 10**6))
@settings(max_examples=200)
def test_answers_that_are_rounded_to_a_type_have_its_error(dtype, classes, offset, seed):
    exact = offset + np.random.default_rng(seed).standard_normal((16, classes))
    seen = torch.from_numpy(exact).to(getattr(torch, dtype)).double().numpy()
    assert list(rounding(dtype, compare(seen, exact))) == []


def control(medians, turns=("round1", "twin1", "sentinel1", "sentinel2", "sentinel3"), hosts=None):
    hosts = hosts or [Host(0.0, 0.0, [0.5, 0.5])] * len(medians)
    return [
        honest(median=median, seed=place, turn=turn, host=host)
        for place, (median, turn, host) in enumerate(zip(medians, turns, hosts, strict=True))
    ]


def test_a_control_that_is_far_from_all_others_of_its_cell_is_none_of_it():
    found = reasons(control([4.0, 2.0, 4.1, 3.9, 4.05]))
    assert list(found) == [f"{NAME}-twin1"]
    assert "is 0.49" in found[f"{NAME}-twin1"]
    assert reasons(control([4.0, 4.4, 4.1, 3.9, 4.05])) == {}


@pytest.mark.parametrize("host", [Host(1.5, 0.0, [0.5, 0.5]), Host(0.0, 0.9, [0.5, 0.5]), Host(0.0, 0.0, [1.0, 1.1])])
def test_a_control_that_a_neighbour_made_slow_is_believed(host):
    hosts = [Host(0.0, 0.0, [0.5, 0.5])] * 4 + [host]
    assert reasons(control([4.0, 4.02, 4.1, 3.9, 12.0], hosts=hosts)) == {}
    assert reasons(control([4.0, 4.02, 4.1, 3.9, 12.0])) != {}


def test_a_run_says_how_many_records_were_held_and_how_many_have_no_checksum(tmp_path):
    records = [record.read(written(tmp_path, one)) for one in several(3)]
    assert make_run(records)[1]["held"] == {"records": 3, "without_checksum": 0, "contradictory": {}}
    assert make_run(several(3))[1]["held"]["without_checksum"] == 3


def test_a_record_that_did_not_run_has_nothing_to_contradict():
    refused = make_refusal(NAME, "unsupported", "no kernel")
    assert contradictions(refused, 10**9) == []
    assert hold([refused], ARITHMETIC)[0] == [refused]


def test_more_work_in_less_time_is_a_caveat_of_both_rows_where_intervals_exclude_it():
    names = list(LATENCIES)
    records = [
        make_record(name, samples(9.0 if name.endswith("r64-b1") else ms, seed=place))
        for place, (name, ms) in enumerate(LATENCIES.items())
    ]
    table, _ = make_run(records)
    caveats = dict(zip(names, table.caveats, strict=True))
    assert "more work takes less time: 8.991 ms at batch_size 1" in caveats["resnet18-onnxruntime-fp16-r64-b1"]
    assert "3.99 ms at batch_size 8" in caveats["resnet18-onnxruntime-fp16-r64-b8"]
    assert make_run(make_records())[0].caveats.isna().all()


def leaves(content, path=()):
    """Yield the path of each number, text and list in a JSON value."""
    items = content.items() if isinstance(content, dict) else enumerate(content[:2])
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))


WHOLE = json.loads(json.dumps(asdict(GPU)))
PATHS = sorted(leaves(WHOLE), key=str)
ODD = st.one_of(st.floats(), st.integers(), st.text(max_size=9), st.none(), st.booleans(), st.just([]), st.just({}))


@given(st.lists(st.tuples(st.sampled_from(PATHS), ODD), min_size=1, max_size=3))
@settings(max_examples=300)
def test_whatever_a_record_holds_it_is_held_or_refused_in_words(edits):
    content = json.loads(json.dumps(WHOLE))
    for path, value in edits:
        with suppress(LookupError, TypeError):  # what an edit before it took away
            inner = content
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
    try:
        found = record.parse(content)
    except record.RecordError:
        return
    held, summary = hold([found, honest()], ARITHMETIC)
    assert [one.status for one in held if one.name in summary["contradictory"]].count("failed") <= 2
