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


def test_the_fastest_at_the_wanted_place_and_the_most_images(results):
    assert effects.fastest(results, 64, 8) == [
        "At 64 x 64 pixels, batch size 8, **ONNX Runtime fp16** is fastest: 0.500 ms an image, "
        "2,000 images/s, 4.00 times the reference.",
        "Most images pass with ONNX Runtime fp16 at 64 x 64 pixels, batch size 8: 2,000 images/s back to back.",
    ]


def test_the_reference_itself_gains_nothing_over_itself():
    [first, _] = effects.fastest(batch_line(4.0), 64, 1)
    assert first == "At 64 x 64 pixels, batch size 1, **PyTorch fp32** is fastest: 4.00 ms an image, 250 images/s."


def test_no_gain_is_claimed_where_the_reference_was_not_measured():
    [first, _] = effects.fastest(make_table([make_record("resnet18-onnxruntime-fp16-r64-b1", [1.0] * 50)]), 64, 1)
    assert "times the reference" not in first


def tie(results, low):
    """Give ONNX Runtime fp32 at 64 pixels and batch size 8 an interval that begins at `low`."""
    rows = (results.backend == "onnxruntime") & (results.precision == "fp32") & (results.latency_ms == 15.5)
    results.loc[rows & (results.resolution == 64), "latency_ms_low"] = low
    return results


DOUBT = "that they differ by more than 2.0 % is not certain."


def test_rows_whose_ratio_may_be_within_the_margin_are_a_tie(results):
    [first, _] = effects.fastest(tie(results, 4.0 * 1.0199), 64, 8)
    assert first.endswith(f"It ties with ONNX Runtime fp32: {DOUBT}")


def test_rows_whose_ratio_is_surely_beyond_the_margin_are_no_tie(results):
    assert "ties" not in effects.fastest(tie(results, 4.0 * 1.0201), 64, 8)[0]


def test_a_noisy_run_has_a_wider_margin(results):
    quiet, noisy = (findings.compute(tie(results, 4.2), config(), floor)["fastest"][0] for floor in (0.5, 6.0))
    assert "ties" not in quiet
    assert noisy.endswith("differ by more than 6.0 % is not certain.")


def test_a_gain_that_is_not_certain_is_not_claimed(results):
    results["speedup_low"] = 1.01
    assert "times the reference" not in effects.fastest(results, 64, 8)[0]
    results["speedup_low"] = 1.03
    assert "4.00 times the reference" in effects.fastest(results, 64, 8)[0]


def test_several_ties_are_all_named(results):
    results["latency_ms_low"] = 0.1
    [first, _] = effects.fastest(results, 64, 8)
    assert f"It ties with ONNX Runtime fp32 and PyTorch fp32: {DOUBT}" in first


def test_a_place_without_measurements_has_no_fastest(results):
    assert [one.split()[0] for one in effects.fastest(results, 96, 8)] == ["Most"]


def test_growth_with_resolution_is_a_power(results):
    sentences = effects.resolution_effect(results, 1)
    assert sentences[0] == (
        "PyTorch fp32: 2.00 times the time per image from 64 to 128 pixels, growing as "
        "resolution to the power 1.0 (arithmetic grows 4.00 times, power 2.0)."
    )
    assert len(sentences) == 3
    assert "4.00 times the time per image from 64 to 128 pixels" in effects.resolution_effect(results, 8)[0]
    assert "to the power 2.0" in effects.resolution_effect(results, 8)[0]


def test_one_resolution_says_nothing_about_growth():
    assert effects.resolution_effect(batch_line(1.0, 2.0), 1) == []


@pytest.mark.parametrize(
    ("milliseconds", "sentence"),
    [
        # images/s: 250, 500, 1000
        (
            (4, 4, 4),
            "PyTorch fp32: still rising at batch size 4, the largest measured "
            "(4.00 times the images/s of batch size 1).",
        ),
        # images/s: 250, 500, 510
        (
            (4, 4, 4000 / 510),
            "PyTorch fp32: saturated from batch size 2 on, with 2.00 times the images/s of batch size 1, "
            "within 5 % of its best.",
        ),
        # images/s: 250, 250, 250
        ((4, 8, 16), "PyTorch fp32: saturated from batch size 1 on; batching gains less than 5 %."),
    ],
)
def test_saturation_over_batch_size(milliseconds, sentence):
    assert effects.batch_effect(batch_line(*milliseconds), 64) == [sentence]


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (1.049, "saturated from batch size 1 on; batching gains less than 5 %."),
        (1.051, "still rising at batch size 2, the largest measured (1.05 times the images/s of batch size 1)."),
    ],
)
def test_saturation_begins_where_more_gains_less_than_five_percent(gain, verdict):
    assert effects.batch_effect(batch_line(4.0, 8 / gain), 64) == [f"PyTorch fp32: {verdict}"]


def test_one_batch_size_says_nothing_about_saturation():
    assert effects.batch_effect(batch_line(1.0), 64) == []


def test_the_gain_of_a_precision_is_a_median_over_the_cells_that_both_have(results):
    # Ratios 2, 15.5 / 4, 2 and 4.
    assert effects.precision_effect(results) == [
        "ONNX Runtime: fp16 is 2.94 times as fast as fp32, in the median (2.00 to 4.00 over 4 cells). "
        "It is certainly faster in 4 of 4 cells, most of all at 128 x 128 pixels, batch size 8."
    ]


def test_a_precision_matters_only_where_it_is_certainly_faster(results):
    results.loc[(results.precision == "fp16") & (results.batch_size == 1), "latency_ms_high"] = 10.0
    assert effects.precision_effect(results)[0].endswith(
        "It is certainly faster in 2 of 4 cells, most of all at 128 x 128 pixels, batch size 8."
    )


@pytest.mark.parametrize(
    ("ms", "verdict"),
    [
        (4.0, "is as fast as fp32, in the median (1.00 to 1.00 over 1 cells)."),
        (3.96, "is as fast as fp32, in the median (1.01 to 1.01 over 1 cells)."),
        (8.0, "is 0.500 times as fast as fp32, in the median (0.500 to 0.500 over 1 cells)."),
    ],
)
def test_a_precision_may_make_no_difference_or_be_slower(ms, verdict):
    records = [
        make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 50),
        make_record("resnet18-pytorch-tf32-r64-b1", [ms] * 50),
    ]
    none = "It is certainly faster in none of them."
    assert effects.precision_effect(make_table(records)) == [f"PyTorch: tf32 {verdict} {none}"]


def test_rows_that_ran_another_precision_are_named_as_what_they_ran():
    first = make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 50, ran="tf32")
    results = make_table([first, make_record("resnet18-pytorch-fp16-r64-b1", [2.0] * 50)])
    assert findings.label(results.iloc[0]) == "PyTorch fp32 (ran tf32)"
    assert "as fast as its rows labelled fp32, which ran tf32, in" in effects.precision_effect(results)[0]


def test_precisions_without_a_common_cell_are_not_compared():
    records = [make_record("resnet18-pytorch-fp32-r64-b1"), make_record("resnet18-pytorch-fp16-r64-b8")]
    assert effects.precision_effect(make_table(records)) == []


def test_wrong_results_are_never_recommended(results):
    results.loc[results.precision == "fp16", "status"] = "wrong_result"
    assert "fp16" not in str(findings.compute(results, config()))


TOPICS = ("answers", "by_resolution", "fastest", "stability", "batch_size", "resolution", "precision", "choice", "idle")


@pytest.mark.parametrize("records", [UNAVAILABLE, UNAVAILABLE[:1]], ids=["all failed", "one cell"])
def test_nothing_measured_gives_one_sentence_that_says_so(records):
    found = findings.compute(make_table(records), config())
    nothing = "Nothing was measured at 64 x 64 pixels, so there is nothing to recommend."
    assert found == {topic: [] for topic in TOPICS} | {"answers": [nothing]}


def test_one_cell_is_fastest_and_recommended_and_says_little_else():
    found = findings.compute(batch_line(4.0), config(224, 32))
    assert {topic: len(found[topic]) for topic in TOPICS} == {
        "answers": 2,
        "by_resolution": 1,
        "fastest": 2,
        "stability": 0,
        "batch_size": 0,
        "resolution": 0,
        "precision": 0,
        "choice": 0,
        "idle": 1,
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
    sentences = causes.stability(spread(results, **halves))
    assert sentences[-1] == verdict
    assert f"PyTorch: ± {halves['pytorch']:.2f} % in the median cell, ± {halves['pytorch']:.2f} % in the worst." in (
        sentences
    )


def test_the_worst_cell_of_a_backend_is_named_beside_its_median_one(results):
    results = spread(results, pytorch=2.0, onnxruntime=2.0)
    results.loc[results.index[0], "latency_ms_high"] = results.latency_ms[0] * 1.38
    assert "PyTorch: ± 2.00 % in the median cell, ± 20.0 % in the worst." in causes.stability(results)


def test_one_backend_has_no_rival_in_stability():
    assert len(causes.stability(spread(batch_line(4.0, 8.0), pytorch=1.0))) == 1


def test_where_the_gpu_waits_is_said_for_each_backend_and_precision(results):
    results["device_ms"] = 1.0
    results["limiter"] = "compute-bound"
    waiting = (results.backend == "pytorch") & ((results.batch_size == 1) | (results.resolution == 64))
    results.loc[waiting, "limiter"] = "host-launch-bound"
    assert causes.idle(results) == [
        "PyTorch fp32: in 3 of 4 cells the GPU waits for its host, up to batch size 8 at 64 pixels.",
        "What limits the cells: compute-bound 9, host-launch-bound 3.",
    ]


def test_a_gpu_that_never_waits_is_said_to_be_busy(results):
    results["device_ms"] = 1.0
    results["limiter"] = "memory-bound"
    assert causes.idle(results) == [
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
