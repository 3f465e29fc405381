"""Which precision is chosen: the fastest that is proven and loses little."""

import pytest
from builders import EXPECTED, make_parity, make_record, make_refusal, make_table

from speedgrid import settings
from speedgrid.report import findings
from speedgrid.report.findings.precisions import which_precision
from speedgrid.table import choice

PLACE = "r64-b8"


def made(*rows, backend="openvino", place=PLACE):
    """Return a table of one backend; rows: (precision, ms, top-1 agreement) and what else a record has."""
    return make_table([record(*row, backend=backend, place=place) for row in rows])


def record(precision, ms, agreement, backend="openvino", place=PLACE, **changes):
    parity = make_parity(EXPECTED[precision], top1_agreement=agreement)
    name = f"resnet18-{backend}-{precision}-{place}"
    return make_record(name, [ms] * 50, **{"parity": parity, **changes})


def chosen(table, limit=0.01):
    return list(table[choice.chosen(table, limit)].precision)


FP32, BF16, INT8 = ("fp32", 8.0, 1.0), ("bf16", 4.0, 0.995), ("int8", 2.0, 0.97)


@pytest.mark.parametrize(
    ("limit", "precision"), [(0, "fp32"), (0.004, "fp32"), (0.005, "bf16"), (0.01, "bf16"), (0.03, "int8"), (1, "int8")]
)
def test_the_fastest_within_the_limit_is_chosen(limit, precision):
    assert chosen(made(FP32, BF16, INT8), limit) == [precision]


def test_exactness_does_not_win_over_speed_within_the_limit():
    assert chosen(made(FP32, ("bf16", 9.0, 1.0))) == ["fp32"]


def test_nothing_is_chosen_where_nothing_is_within_the_limit():
    assert chosen(made(("bf16", 4.0, 0.9), ("int8", 2.0, 0.9))) == []


def test_each_backend_resolution_and_batch_size_has_its_own_choice():
    records = [record(*row, place=place) for row in (FP32, BF16) for place in ("r64-b1", "r64-b8", "r128-b1")]
    records += [record(*FP32, backend="onnxruntime", place="r64-b1")]
    table = make_table(records)
    found = table[choice.chosen(table, 0.01)]
    assert list(zip(found.backend, found.precision, found.resolution, found.batch_size, strict=True)) == [
        ("openvino", "bf16", 64, 1),
        ("openvino", "bf16", 64, 8),
        ("openvino", "bf16", 128, 1),
        ("onnxruntime", "fp32", 64, 1),
    ]


@pytest.mark.parametrize("status", ["wrong_precision", "wrong_result", "failed", "unsupported"])
def test_a_row_that_is_not_proven_is_not_chosen(status):
    untrue = {"wrong_precision": {"quantised_nodes": None}, "wrong_result": {"parity": None}}
    name = f"resnet18-openvino-int8-{PLACE}"
    fast = record("int8", 1.0, 1.0, **untrue[status]) if status in untrue else make_refusal(name, status, "r")
    assert chosen(make_table([record(*FP32), fast])) == ["fp32"]


def test_an_experimental_precision_and_a_row_without_accuracy_are_not_chosen():
    unknown = make_record(f"resnet18-openvino-bf16-{PLACE}", [1.0] * 50, parity=None)
    assert chosen(make_table([record(*FP32), record("fp8", 1.0, 1.0), unknown])) == ["fp32"]


def test_labels_decide_where_there_are_any_and_may_show_a_gain():
    table = made(FP32, BF16, INT8)
    table["top1_loss"] = [0.0, float("nan"), -0.002]
    assert choice.top1_loss(table).tolist() == pytest.approx([0.0, 0.005, -0.002])
    assert chosen(table) == ["int8"]


def test_a_table_of_refusals_has_no_choice():
    table = make_table([make_refusal(f"resnet18-openvino-fp32-{PLACE}", "unavailable", "none")])
    assert chosen(table) == []


def lines(table, limit=0.01):
    config = settings.complete({"device": "cpu", "accuracy": {"max_top1_loss": limit}})
    topic = which_precision(table, 64, 8, config)
    assert bool(topic.sentences) == bool(topic.rows)
    return [dict(zip(topic.head, row, strict=True)) for row in topic.rows]


FASTER = "faster, but beyond the limit"


def test_the_line_names_the_choice_its_gain_and_its_loss_and_what_was_faster():
    assert lines(made(FP32, BF16, INT8)) == [
        {
            "backend": "OpenVINO",
            "precision": "**bf16**",
            "ms a call": "4.00",
            "times as fast as fp32": "2.00",
            "top-1 loss": "0.5 %",
            FASTER: "int8 (3 %)",
        }
    ]


def test_fp32_as_the_choice_gains_nothing_over_itself():
    [line] = lines(made(FP32, ("bf16", 4.0, 0.9)))
    assert "times as fast as fp32" not in line
    assert (line["precision"], line["top-1 loss"], line[FASTER]) == ("**fp32**", "0 %", "bf16 (10 %)")


def test_without_a_choice_the_least_loss_is_named():
    [line] = lines(made(("bf16", 4.0, 0.9), INT8))
    assert line["precision"] == "none is within the limit; the least loss is that of int8"
    assert line["top-1 loss"] == "3 %"


def test_one_precision_alone_is_no_choice_and_other_places_do_not_count():
    assert lines(made(FP32)) == []
    assert lines(make_table([record(*FP32), record(*BF16, place="r64-b1")])) == []


def test_the_report_has_the_choice_at_its_place():
    config = settings.complete({"device": "cpu", "report": {"resolution": 64, "batch_size": 8}})
    found = {str(title): topic for title, topic in findings.compute(made(FP32, BF16, INT8), config)["topics"]}
    assert found["Which precision (64 x 64 pixels, batch size 8)"].rows[0][:2] == ["OpenVINO", "**bf16**"]
