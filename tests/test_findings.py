"""What the table says, against fixed tables with known answers."""

import numpy as np
import pytest
from builders import make_record, make_records, make_refusal, make_table

from speedgrid import settings
from speedgrid.report import findings
from speedgrid.report.findings import causes, effects
from speedgrid.text import words


@pytest.fixture
def results():
    return make_table(make_records())


def config(resolution=64, batch_size=8, **more):
    """Return a complete configuration that asks for this place."""
    return settings.complete({"device": "cpu", "report": {"resolution": resolution, "batch_size": batch_size}, **more})


def batch_line(*milliseconds):
    """Return a table of one backend at batch sizes 1, 2, 4 ... with these latencies."""
    return make_table(
        [make_record(f"resnet18-pytorch-fp32-r64-b{2**i}", [ms] * 50) for i, ms in enumerate(milliseconds)]
    )


UNAVAILABLE = [make_refusal(f"resnet18-pytorch-fp32-r64-b{size}", "unavailable", "no GPU") for size in (1, 8)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (4.0, "4.00"),
        (0.5, "0.500"),
        (12.345, "12.3"),
        (123.45, "123"),
        (1234.5, "1,230"),
        (999.4, "999"),
        (999.6, "1,000"),
        (9.999, "10.0"),
        (9.994, "9.99"),
        (0.9996, "1.00"),
        (-99.96, "-100"),
        (98_765.0, "98,800"),
        (0.00012345, "0.000123"),
        (-2.5, "-2.50"),
        (np.nan, ""),
        (np.inf, ""),
        (None, ""),
    ],
)
def test_a_number_has_three_significant_digits_and_no_exponent(value, text):
    assert findings.number(value) == text


def lines(topic):
    """Return the lines of a topic's table by the names of its columns."""
    return [dict(zip(topic.head, row, strict=True)) for row in topic.rows]


def test_growth_with_resolution_is_a_power(results):
    topic = effects.resolution_effect(results, 1)
    assert topic.rows[0] == ["PyTorch fp32", "64 to 128", "2.00", "1.0", "4.00", "2.0"]
    assert len(topic.rows) == 3
    assert topic.sentences == [
        "In 3 of 3 settings the time of an image grows more slowly with resolution than its arithmetic."
    ]
    assert effects.resolution_effect(results, 8).rows[0][2:4] == ["4.00", "2.0"]


def test_one_resolution_says_nothing_about_growth():
    assert not effects.resolution_effect(batch_line(1.0, 2.0), 1)


@pytest.mark.parametrize(
    ("milliseconds", "where", "gain"),
    [
        ((4, 4, 4), "not up to 4", "4.00"),  # images/s: 250, 500, 1000
        ((4, 4, 4000 / 510), "2", "2.00"),  # images/s: 250, 500, 510
        ((4, 8, 16), "1", "1.00"),  # images/s: 250, 250, 250
    ],
)
def test_saturation_over_batch_size(milliseconds, where, gain):
    topic = effects.batch_effect(batch_line(*milliseconds), 64)
    assert topic.rows == [["PyTorch fp32", where, gain]]
    assert topic.sentences[0].startswith(f"In {int('not' in where)} of 1 setting images/s still rise")


@pytest.mark.parametrize(("gain", "where"), [(1.049, "1"), (1.051, "not up to 2")])
def test_saturation_begins_where_more_gains_less_than_five_percent(gain, where):
    assert effects.batch_effect(batch_line(4.0, 8 / gain), 64).rows[0][1] == where


def test_one_batch_size_says_nothing_about_saturation():
    assert not effects.batch_effect(batch_line(1.0), 64)


def test_the_gain_of_a_precision_is_a_median_over_the_cells_that_both_have(results):
    # Ratios 2, 15.5 / 4, 2 and 4.
    topic = effects.precision_effect(results)
    most = "128 x 128 pixels, batch size 8"
    assert topic.rows == [["ONNX Runtime", "fp16", "fp32", "2.94", "2.00 to 4.00", 4, 4, most]]
    assert topic.sentences == ["Most is gained with ONNX Runtime fp16: 2.94 times as fast as fp32, in the median."]


def test_a_precision_matters_only_where_it_is_certainly_faster(results):
    results.loc[(results.precision == "fp16") & (results.batch_size == 1), "latency_ms_high"] = 10.0
    assert effects.precision_effect(results).rows[0][-3:] == [4, 2, "128 x 128 pixels, batch size 8"]


@pytest.mark.parametrize(("ms", "times"), [(4.0, "1.00"), (3.96, "1.01"), (8.0, "0.500")])
def test_a_precision_may_make_no_difference_or_be_slower(ms, times):
    records = [
        make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 50),
        make_record("resnet18-pytorch-tf32-r64-b1", [ms] * 50),
    ]
    topic = effects.precision_effect(make_table(records))
    assert topic.rows[0][1:4] == ["tf32", "fp32", times]
    assert topic.rows[0][-2:] == [0, ""]
    assert topic.sentences == ["No precision is certainly faster than fp32 anywhere."]


def test_rows_that_ran_another_precision_are_named_as_what_they_ran():
    first = make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 50, ran="tf32")
    results = make_table([first, make_record("resnet18-pytorch-fp16-r64-b1", [2.0] * 50)])
    assert findings.label(results.iloc[0]) == "PyTorch fp32 (ran tf32)"
    assert effects.precision_effect(results).rows[0][2] == "fp32, which ran tf32"
    [line] = lines(causes.other_precisions(results))
    assert (line["backend"], line["label"], line["ran"], line["cells"]) == ("PyTorch", "fp32", "**tf32**", 1)


def test_precisions_without_a_common_cell_are_not_compared():
    records = [make_record("resnet18-pytorch-fp32-r64-b1"), make_record("resnet18-pytorch-fp16-r64-b8")]
    assert not effects.precision_effect(make_table(records))


def test_wrong_results_are_never_recommended(results):
    results.loc[results.precision == "fp16", "status"] = "wrong_result"
    assert "fp16" not in str(findings.compute(results, config()))


@pytest.mark.parametrize("records", [UNAVAILABLE, UNAVAILABLE[:1]], ids=["all failed", "one cell"])
def test_nothing_measured_gives_one_sentence_that_says_so(records):
    found = findings.compute(make_table(records), config())
    nothing = "Nothing was measured at 64 x 64 pixels, so there is nothing to recommend."
    assert found == {"answers": [nothing], "tables": [], "by_resolution": [], "topics": []}


def test_one_cell_is_recommended_and_says_little_else():
    found = findings.compute(batch_line(4.0), config(224, 32))
    assert {name: len(content) for name, content in found.items()} == {
        "answers": 2,
        "tables": 2,  # what to take, and what it costs
        "by_resolution": 1,
        "topics": 1,  # what limits it
    }


def test_the_nearest_values_of_the_grid_are_taken(results):
    assert findings.compute(results, config(100, 30)) == findings.compute(results, config(128, 8))


def spread(results, **halves):
    """Give each backend's cells two rounds and an interval of so many percent on either side."""
    results["rounds"] = 2
    for backend, half in halves.items():
        rows = results.backend == backend
        results.loc[rows, "latency_ms_low"] = results.latency_ms * (1 - half / 100)
        results.loc[rows, "latency_ms_high"] = results.latency_ms * (1 + half / 100)
    return results


@pytest.mark.parametrize(
    ("halves", "verdict"),
    [
        ({"pytorch": 4.0, "onnxruntime": 1.0}, "ONNX Runtime varies least."),
        ({"pytorch": 1.0, "onnxruntime": 1.3}, "PyTorch varies least."),
        ({"pytorch": 1.0, "onnxruntime": 1.2}, "PyTorch and ONNX Runtime tie for varying least."),
    ],
)
def test_the_backend_that_varies_least_is_named_unless_two_vary_alike(results, halves, verdict):
    topic = causes.stability(spread(results, **halves))
    assert topic.sentences == [verdict]
    half = f"{halves['pytorch']:.2f}"
    assert ["PyTorch", half, half] in topic.rows


def test_the_worst_cell_of_a_backend_is_named_beside_its_median_one(results):
    results = spread(results, pytorch=2.0, onnxruntime=2.0)
    results.loc[results.index[0], "latency_ms_high"] = results.latency_ms[0] * 1.38
    assert ["PyTorch", "2.00", "20.0"] in causes.stability(results).rows


def test_one_backend_has_no_rival_in_stability():
    topic = causes.stability(spread(batch_line(4.0, 8.0), pytorch=1.0))
    assert (topic.sentences, len(topic.rows)) == ([], 1)


def test_where_the_gpu_waits_is_said_for_each_backend_and_precision(results):
    results["device_ms"] = 1.0
    results["limiter"] = "compute-bound"
    waiting = (results.backend == "pytorch") & ((results.batch_size == 1) | (results.resolution == 64))
    results.loc[waiting, "limiter"] = "host-launch-bound"
    topic = causes.idle(results)
    assert topic.rows == [["PyTorch fp32", 3, 4, 8, 64]]
    assert topic.sentences == ["What limits the cells: compute-bound 9, host-launch-bound 3."]


def test_a_gpu_that_never_waits_is_said_to_be_busy(results):
    results["device_ms"] = 1.0
    results["limiter"] = "memory-bound"
    assert causes.idle(results).rows == []
    assert causes.idle(results).sentences == [
        "Nowhere does the GPU wait for its host.",
        "What limits the cells: memory-bound 12.",
    ]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (list("abcde"), "a, b, c, d and e"),
        (list("abcdef"), "a, b, c, d and 2 more"),
    ],
)
def test_a_long_list_is_cut_and_says_how_much_is_left(names, text):
    assert words.listed(names) == text
