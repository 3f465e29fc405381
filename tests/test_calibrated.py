"""Quantised engines: what ModelOpt and TensorRT are asked for, and what an engine says that it became."""

import json
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from speedgrid import backends
from speedgrid.backends import missing, torch_tensorrt
from speedgrid.builders import modelopt as calibrated
from speedgrid.data.sequence import images
from speedgrid.grid import Cell
from speedgrid.machine import graphics
from speedgrid.model import modules as models


def cell(precision):
    return Cell("resnet18", "torch_tensorrt", precision, 64, 1)


def test_without_modelopt_a_quantised_engine_is_unsupported_with_what_to_install(monkeypatch):
    monkeypatch.setattr(missing, "find_spec", lambda name: None)
    monkeypatch.setattr(torch_tensorrt, "flavour", lambda: {"torch-tensorrt": "2.14.0"})
    for precision in ("int8", "fp8"):
        reason = torch_tensorrt.unsupported(cell(precision), "cuda")
        assert reason.endswith("needs NVIDIA ModelOpt: pip install nvidia-modelopt huggingface_hub")
    assert torch_tensorrt.unsupported(cell("fp16"), "cuda") is None


@pytest.mark.parametrize(
    ("flavour", "precision", "reason"),
    [
        ("torch-tensorrt-rtx", "int8", "TensorRT-RTX quantises weights to int8, but no activations"),
        ("torch-tensorrt-rtx", "fp8", None),
        ("torch-tensorrt", "int8", None),
        ("torch-tensorrt", "fp8", None),
        ("torch-tensorrt-rtx", "bf16", None),
    ],
)
def test_only_full_tensorrt_has_int8_activations(monkeypatch, flavour, precision, reason):
    monkeypatch.setattr(missing, "find_spec", lambda name: SimpleNamespace(name=name))
    monkeypatch.setattr(torch_tensorrt, "flavour", lambda: {flavour: "2.14.0"})
    found = torch_tensorrt.unsupported(cell(precision), "cuda")
    assert found is None if reason is None else found.startswith(reason)


def test_a_gpu_without_float8_is_refused_before_anything_is_asked_of_the_backend(monkeypatch):
    monkeypatch.setattr(graphics, "own", lambda: {"compute_capability": "8.0"})
    monkeypatch.setattr(torch_tensorrt, "available", lambda device: None)
    status, reason = backends.refusal(cell("fp8"), "cuda")
    assert (status, reason) == (
        "unsupported",
        "tensor cores have fp8 from compute capability 8.9 on; this GPU has 8.0",
    )


def layer(kind, *types, **more):
    return {"Name": kind, "LayerType": kind, "Inputs": [{"Name": "x", "Format/Datatype": one} for one in types], **more}


INT8, HALF = "Thirty-two wide channel vectorized row major INT8 format", "Channel major FP16 format where C % 8 == 0"


def test_an_engines_products_are_counted_by_what_they_read():
    engine = {
        "Layers": [
            layer("Reformat", HALF),
            layer("CaskConvolution", INT8, ParameterType="Convolution"),
            layer("CaskConvolution", INT8, HALF, ParameterType="Convolution"),
            layer("CaskConvolution", HALF, ParameterType="Convolution"),
            layer("gemm", INT8),
            layer("CaskPooling", INT8, ParameterType="Pooling"),
            "a layer of which only the name is known",
        ]
    }
    found = calibrated.executed([json.dumps(engine), json.dumps({"Layers": []})], "int8")
    assert (found["executed"], found["of"]) == (3, 4)
    assert found["types"] == {f"Convolution {INT8}": 2, f"Convolution {HALF}": 1, f"gemm {INT8}": 1}
    assert calibrated.executed([json.dumps(engine)], "fp8")["executed"] == 0


@pytest.mark.parametrize("text", ["Row major linear FP8 format", "Channel major E4M3 format"])
def test_float8_is_known_by_either_name(text):
    engine = {"Layers": [layer("CaskConvolution", text)]}
    assert calibrated.executed([json.dumps(engine)], "fp8")["executed"] == 1


def test_an_engine_of_names_alone_proves_nothing():
    assert calibrated.executed([json.dumps({"Layers": ["conv1", "fc"]})], "int8") == {
        "executed": 0,
        "of": 0,
        "types": {},
    }


def test_a_float_engine_is_exported_as_it_is():
    with calibrated.exporting("fp16"):
        pass  # with neither ModelOpt nor TensorRT


@pytest.mark.skipif(find_spec("modelopt") is None, reason="NVIDIA ModelOpt is not installed")
def test_modelopt_puts_quantisers_before_every_convolution_and_product_of_an_exported_module(resnet):
    pictures = images(0, 64, 1000, 4)
    folded = models.fold_batch_norm(resnet)
    module, snr_db = calibrated.quantise(folded, "fp8", pictures, "cpu")  # int8 is exported on CUDA alone
    assert 5 < snr_db < 40
    from modelopt.torch.quantization.utils import export_torch_mode

    example = torch.from_numpy(np.array(pictures)).half()
    with torch.no_grad(), export_torch_mode():
        graph = torch.export.export(module, (example,), strict=False).graph
    products = [node for node in graph.nodes if str(node.target).startswith(("aten.conv2d", "aten.linear"))]
    assert len(products) == 21
    for node in products:
        for factor in node.args[:2]:
            while str(factor.target).startswith("aten.detach"):
                factor = factor.args[0]
            assert "quantize_op" in str(factor.target)
