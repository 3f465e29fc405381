"""Accuracy in the table."""

import numpy as np
import pytest
from builders import make_evaluation, make_record, make_refusal, make_table

from speedgrid.table import accuracy as top1
from speedgrid.table.cells import COLUMNS

NAMES = ["resnet18-pytorch-fp32-r64-b1", "resnet18-pytorch-fp32-r128-b8", "resnet18-onnxruntime-fp32-r64-b1"]


def evaluation(name=NAMES[0], **changes):
    """Return a record of 100 images, 10 wrong, where 5 are in float32."""
    return make_evaluation(name, **changes)


def weights(**own):
    """Return descriptions of ResNet-18's weights, of 64 and 128 pixels."""
    return [{"model": "resnet18", "resolution": size, "own": own.get(f"r{size}", False)} for size in (64, 128)]


def test_shares_are_counted_image_by_image():
    found = top1.shares(evaluation())
    assert found["top1"] == pytest.approx(0.9)
    assert found["top1_loss"] == pytest.approx(0.05)
    assert found["agreement"] == pytest.approx(0.95)
    assert found["top1_low"] < 0.9 < found["top1_high"]
    assert found["top1_loss_low"] < 0.05 < found["top1_loss_high"]
    assert set(found) <= set(COLUMNS)


def test_more_right_answers_than_in_float32_are_a_loss_below_0():
    assert top1.shares(evaluation(wrong=2))["top1_loss"] == pytest.approx(-0.03)


def test_without_labels_only_agreement_is_known():
    assert top1.shares(evaluation(labels=None)) == {"agreement": pytest.approx(0.95)}


def test_an_evaluation_that_gave_no_answers_has_no_shares():
    assert top1.shares(evaluation(status="unsupported", predicted=None)) == {}


def table():
    records = [make_record(name) for name in NAMES] + [
        make_refusal("resnet18-pytorch-fp32-r64-b8", "out_of_memory", "full"),
        make_record("resnet18-pytorch-tf32-r64-b1", ran="fp32"),
    ]
    return make_table(records).set_index(["backend", "precision", "resolution", "batch_size"])


def filled(records, descriptions):
    rows = table().reset_index()
    top1.fill(rows, records, descriptions)
    return rows.set_index(["backend", "precision", "resolution", "batch_size"]).sort_index()


def test_every_row_with_a_speed_of_its_backend_and_precision_has_the_figures_and_no_other():
    found = filled([evaluation()], weights())
    assert found.top1.dropna().to_dict() == {
        ("pytorch", "fp32", 64, 1): pytest.approx(0.9),
        ("pytorch", "fp32", 128, 8): pytest.approx(0.9),
    }


def test_a_row_that_ran_another_precision_has_the_accuracy_of_its_session():
    found = filled([evaluation("resnet18-pytorch-tf32-r64-b1")], weights())
    assert list(found.top1.dropna().index) == [("pytorch", "tf32", 64, 1)]


def test_a_checkpoint_of_one_resolution_says_nothing_of_generated_weights_of_another():
    found = filled([evaluation()], weights(r64=True))
    assert list(found.agreement.dropna().index) == [("pytorch", "fp32", 64, 1)]


def test_a_run_is_described_by_its_images_its_float32_models_and_what_is_missing():
    other = "resnet18-onnxruntime-fp32-r64-b1"
    missing = evaluation(other, status="unavailable", reason="not here", predicted=None)
    found = top1.describe([evaluation(), missing])
    assert (found["resolution"], found["batch_size"], found["images"]["count"]) == (64, 1, 100)
    assert found["models"]["resnet18"]["top1"] == 0.95
    assert found["models"]["resnet18"]["top1_low"] < 0.95 < found["models"]["resnet18"]["top1_high"]
    assert found["missing"] == [
        {
            "model": "resnet18",
            "backend": "onnxruntime",
            "precision": "fp32",
            "status": "unavailable",
            "reason": "not here",
        }
    ]


def test_without_labels_the_float32_model_has_no_share_and_without_evaluations_there_is_nothing():
    assert top1.describe([evaluation(labels=None)])["models"] == {"resnet18": None}
    assert top1.describe([]) is None


def test_columns_without_an_evaluation_are_empty_numbers():
    rows = table()
    assert rows[["top1", "top1_loss", "agreement"]].isna().all(axis=None)
    assert (rows[["top1", "top1_loss", "agreement"]].dtypes == np.float64).all()
