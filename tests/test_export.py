"""The ONNX export and its check."""

import copy
import os

import numpy as np
import onnx
import pytest
import torch
import torchvision
from onnx import numpy_helper

from speedgrid.builders import onnx_export as export
from speedgrid.data.sequence import images
from speedgrid.model import modules as models


@pytest.fixture(scope="module")
def module(resnet):
    return models.fold_batch_norm(copy.deepcopy(resnet))


def dimensions(value):
    return [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]


def test_the_file_is_checked_described_and_whole_in_one_piece(exported_64):
    path, description = exported_64
    assert (description["status"], description["reason"]) == ("ok", "")
    assert os.listdir(path.parent) == [path.name]
    assert description["opset"] == 20
    assert description["nodes"]["Conv"] == 20
    assert "BatchNormalization" not in description["nodes"]
    assert 100 <= description["snr_db"] < 200


def test_only_the_batch_size_of_the_graph_is_free(exported_64):
    graph = onnx.load(exported_64[0]).graph
    assert [(value.name, dimensions(value)) for value in graph.input] == [("images", ["batch", 3, 64, 64])]
    assert [(value.name, dimensions(value)) for value in graph.output] == [("logits", ["batch", 1000])]
    assert {initializer.data_type for initializer in graph.initializer if initializer.dims} <= {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.INT64,
    }


def tampered(source, target, change):
    """Copy an ONNX file with its first convolution's weights changed."""
    model = onnx.load(source)
    name = next(node for node in model.graph.node if node.op_type == "Conv").input[1]
    initializer = next(one for one in model.graph.initializer if one.name == name)
    values = change(numpy_helper.to_array(initializer).copy())
    initializer.CopyFrom(numpy_helper.from_array(values, name))
    onnx.save(model, target)
    return str(target)


@pytest.mark.parametrize(
    ("change", "found"), [(lambda w: w * np.float32(1.01), "dB SNR"), (lambda w: w * np.nan, "NaN")]
)
def test_a_file_that_computes_something_else_is_refused_by_name(exported_64, module, tmp_path, change, found):
    path = tampered(exported_64[0], tmp_path / "tampered.onnx", change)
    with pytest.raises(export.ExportError) as caught:
        export.check(path, module, "fp32", images(0, 64, 0, 3))
    given = images(0, 64, 0, 3)
    with torch.inference_mode():
        own = export.own_snr(module, [torch.from_numpy(given)], [module(torch.from_numpy(given)).double().numpy()])
    # The model's own rounding, which differs with the order in which a processor adds, may allow a little less.
    lowest = min(100, own - export.MARGIN_DB)
    assert lowest > 95
    message = str(caught.value)
    assert message.startswith(f"{path} gives ")
    assert found in message
    assert message.endswith(f"at least {lowest:.0f} dB is expected.")


def test_the_check_gives_the_same_number_again(exported_64, module):
    path, description = exported_64
    assert export.check(str(path), module, "fp32", images(0, 64, 0, 3)) == pytest.approx(description["snr_db"], abs=1)


def test_bf16_is_left_to_the_check_at_timing_because_the_cpu_provider_cannot_run_it(module):
    assert export.check("no file is opened", module, "bf16", images(0, 64, 0, 3)) is None


def test_an_fp16_file_has_float16_tensors_and_is_checked_as_such(weights, tmp_path):
    path = tmp_path / "fp16-r64.onnx"
    description = export.export("resnet18", weights, "fp16", 64, str(path))
    assert 45 <= description["snr_db"] < 80
    graph = onnx.load(path).graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16


def test_a_vision_transformer_in_fp16_can_be_checked(tmp_path, monkeypatch):
    # Its float16 convolution, with what follows, kills ONNX Runtime's CPU provider where all optimisations are on.
    torch.manual_seed(0)
    small = {"image_size": 32, "patch_size": 16, "num_layers": 1, "num_heads": 2, "hidden_dim": 32, "mlp_dim": 64}
    transformer = torchvision.models.VisionTransformer(**small).eval()
    torch.nn.init.normal_(transformer.heads.head.weight)  # it begins with zeros
    monkeypatch.setattr(models, "load", lambda *_: transformer)
    described = export.export("small_vit", "none.pth", "fp16", 32, str(tmp_path / "fp16.onnx"))
    assert 45 <= described["snr_db"] < 200


def test_a_bf16_file_has_bf16_tensors(weights, tmp_path):
    path = tmp_path / "bf16-r64.onnx"
    description = export.export("resnet18", weights, "bf16", 64, str(path))
    assert (description["opset"], description["snr_db"]) == (22, None)
    assert "Cast" not in description["nodes"]
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    arithmetic = [node for node in graph.node if node.op_type in ("Conv", "Relu", "Add", "MaxPool", "Gemm")]
    assert len(arithmetic) == 20 + 17 + 8 + 1 + 1
    outputs = {types[node.output[0]] for node in arithmetic}
    assert outputs == {types["images"], types["logits"]} == {onnx.TensorProto.BFLOAT16}


def test_weights_that_cannot_be_used_leave_no_file(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(models.WeightsError):
        export.export("resnet18", str(tmp_path / "other.pth"), "fp32", 64, str(tmp_path / "out.onnx"))
    assert not (tmp_path / "out.onnx").exists()


def test_a_model_that_cannot_be_exported_is_a_failure_in_one_line_and_an_empty_file(weights, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise NotImplementedError("no operator\nfor this")

    path = tmp_path / "fp32-r64.onnx"
    monkeypatch.setattr(export.torch.onnx, "export", refuse)
    found = export.attempt("resnet18", weights, "fp32", 64, str(path))
    assert found == {"status": "failed", "reason": "ONNX export: NotImplementedError: no operator for this"}
    assert path.read_bytes() == b""


def test_a_model_that_amplifies_rounding_may_differ_by_what_it_amplifies(exported_64, module, monkeypatch):
    """The same file, where as much as its own rounding is missing to what is usual."""
    path, description = exported_64
    batch = images(0, 64, 0, 3)
    with torch.inference_mode():
        own = export.own_snr(module, [torch.from_numpy(batch)], [module(torch.from_numpy(batch)).double().numpy()])
    assert 100 < own < 140
    monkeypatch.setitem(export.LOWEST_SNR, "fp32", 200.0)
    assert export.check(str(path), module, "fp32", images(0, 64, 0, 3)) == pytest.approx(description["snr_db"], abs=1)
    monkeypatch.setattr(export, "MARGIN_DB", own - description["snr_db"] - 5)
    with pytest.raises(export.ExportError, match=f"at least {description['snr_db'] + 5:.0f} dB is expected"):
        export.check(str(path), module, "fp32", images(0, 64, 0, 3))
