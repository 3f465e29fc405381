"""The right answers and expected errors of a user's ONNX file."""

import numpy as np
import onnx
import pytest
from graphs import model, numbers
from onnx import TensorProto, helper

from speedgrid.data import arrays
from speedgrid.data.answers import Expected
from speedgrid.evidence.graph import answers, reference
from speedgrid.launcher.reading import of_kind


@pytest.fixture
def file(tmp_path):
    """Return the path of a file with two outputs of floats and one of integers."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["heat"]),
        helper.make_node("GlobalAveragePool", ["heat"], ["mean"]),
        helper.make_node("ArgMax", ["heat"], ["place"], axis=1),
    ]
    weights = {"w": numbers(5, 3, 3, 3)}
    made = model(nodes, {"x": ["batch", 3, 6, 6]}, ["heat", "mean", "place"], weights)
    for one, kind in zip(made.graph.output, (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT64), strict=True):
        one.type.tensor_type.elem_type = kind
    onnx.save(made, tmp_path / "model.onnx")
    return str(tmp_path / "model.onnx")


PICTURES = numbers(9, 3, 6, 6)


def test_a_file_has_answers_in_float64_and_errors_of_each_output_of_floats(file):
    found, errors = reference.answer(file, PICTURES, None, 1e4)
    of_kind(errors, Expected, "expected.json")
    expected = Expected(**errors)
    assert found.dtype.names == ("heat", "mean", "place")
    assert (expected.reference, expected.own_db > 200) == ("float64", True)
    assert list(expected.outputs) == ["heat", "mean"]
    assert expected.snr_db == min((one["snr_db"] for one in expected.outputs.values()), key=lambda one: one["tf32"])
    known = expected.snr_db
    assert known["fp32"] > 110 > known["tf32"] > 55 > known["bf16"] > 40 > known["int8"] > known["fp8"] > 20


def test_what_would_take_too_long_is_of_onnx_runtime_with_its_own_error(file):
    found, errors = reference.answer(file, PICTURES, None, 1e13)
    assert errors["reference"] == "onnxruntime fp32"
    assert 110 < errors["own_db"] < 200
    assert np.array_equal(found["heat"], found["heat"].astype(np.float32))


@pytest.mark.parametrize("everywhere", [True, False], ids=["", "in float64 alone"])
def test_an_evaluator_that_computes_something_else_is_not_believed(file, monkeypatch, caplog, everywhere):
    """onnx's own of 1.23 takes a batch norm of an older file for one that trains: 15 to 35 dB on centerface."""

    class Wrong(answers.Evaluator):
        def run(self, given, rounding=None):
            wrong = 1.1 if everywhere or self.dtype is np.float64 else 1
            return {name: one * (wrong if one.dtype.kind == "f" else 1) for name, one in super().run(given).items()}

    for module in (answers, reference.rounding):
        monkeypatch.setattr(module, "Evaluator", Wrong)
    found, errors = reference.answer(file, PICTURES, None, 1e4)
    assert errors["reference"] == "onnxruntime fp32"
    assert np.array_equal(found["heat"], found["heat"].astype(np.float32))
    assert "float32 and the evaluator of float64 differ: 21 dB SNR on heat" in caplog.text


def test_where_the_graph_cannot_be_followed_the_runtime_simulates(file, monkeypatch):
    def broken(*_):
        raise NotImplementedError("an operator")

    for module in (answers, reference.rounding):
        monkeypatch.setattr(module, "Evaluator", broken)
    _, errors = reference.answer(file, PICTURES, None, 1e4)
    assert errors["reference"] == "onnxruntime fp32"
    assert errors["snr_db"]["tf32"] > 55 > errors["snr_db"]["bf16"] > 40


def test_rows_of_several_inputs_and_a_fixed_batch(tmp_path):
    made = model([helper.make_node("Add", ["a", "b"], ["y"])], {"a": [4, 3], "b": [4, 3]}, ["y"])
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    onnx.save(made, tmp_path / "model.onnx")
    rows = arrays.joined({"a": numbers(6, 3), "b": numbers(6, 3, seed=1)})
    found, errors = reference.answer(str(tmp_path / "model.onnx"), rows, 4, 1e4)
    assert np.array_equal(found, rows["a"].astype(float) + rows["b"])
    assert "outputs" not in errors
    assert len(errors["images_db"]["fp32"]) == 6
