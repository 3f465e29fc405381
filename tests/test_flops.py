"""The arithmetic of one image, counted twice."""

import json

import pytest
import torch
from torchvision.models import SwinTransformer, VisionTransformer

from speedgrid.builders import onnx_export as export
from speedgrid.model import flops
from speedgrid.model import modules as models
from speedgrid.model.flops import CountError, flop_per_image


def test_resnet18_at_224_needs_twice_the_multiply_adds_of_the_published_figure():
    assert flop_per_image("resnet18", 224) == 3_628_146_688


def convolution(size, kernel, given, made):
    return 2 * size**2 * kernel**2 * given * made


@pytest.mark.parametrize("resolution", [64, 256])
def test_resnet18_costs_what_its_layers_cost(resolution):
    half = [resolution // step for step in (2, 4, 8, 16, 32)]
    expected = convolution(half[0], 7, 3, 64) + 4 * convolution(half[1], 3, 64, 64) + 2 * 512 * 1000
    for size, given in ((half[2], 64), (half[3], 128), (half[4], 256)):
        made = 2 * given
        expected += convolution(size, 3, given, made) + 3 * convolution(size, 3, made, made)
        expected += convolution(size, 1, given, made)
    assert flop_per_image("resnet18", resolution) == expected


def test_a_model_that_computes_its_widths_with_tensors_is_counted():
    assert flop_per_image("regnet_x_400mf", 64) == 68_295_936


def test_a_model_costs_less_with_fewer_classes():
    assert flop_per_image("resnet18", 64) - flop_per_image("resnet18", 64, classes=10) == 2 * 512 * 990


def small_vit(name, classes=10):
    """Return torchvision's vision transformer, small and for images of 64 pixels."""
    return VisionTransformer(64, 16, 2, 4, 32, 64, num_classes=classes).eval()


def small_swin(name, classes=10):
    """Return torchvision's Swin transformer, whose windows shift, in a small size."""
    return SwinTransformer([4, 4], 16, [2, 1], [2, 4], [4, 4], num_classes=classes).eval()


def exported(folder, name, state):
    """Return the path of the fp32 graph of a model at 64 pixels."""
    torch.save(state, folder / "weights.pth")
    export.export(name, str(folder / "weights.pth"), "fp32", 64, str(folder / "fp32-r64.onnx"))
    return str(folder / "fp32-r64.onnx")


@pytest.fixture
def resnet_graph(exported_64):
    return str(exported_64[0])


def test_both_counts_of_resnet18_agree_and_so_do_its_parameters(resnet_graph):
    counted = flops.count("resnet18", 64, resnet_graph)
    assert counted["flop"] == counted["onnx_flop"] == 297_115_648
    # 11,689,512 parameters less 4800 scales and as many offsets of batch norms, and 1000 of the last layer.
    assert counted["weight_elements"] == 11_689_512 - 2 * 4800 - 1000
    assert (counted["input_elements"], counted["output_elements"]) == (3 * 64 * 64, 1000)
    assert len(counted["layers"]) == 21
    assert sum(layer["flop"] for layer in counted["layers"]) == counted["onnx_flop"]
    assert sum(layer["weight_elements"] for layer in counted["layers"]) == counted["weight_elements"]
    first = counted["layers"][0]
    assert first["weight_elements"] == 64 * 3 * 7 * 7
    assert first["activation_elements"] == 3 * 64 * 64 + 64 * 32 * 32
    assert json.loads(json.dumps(counted)) == counted


@pytest.mark.parametrize("build", [small_vit, small_swin])
def test_both_counts_agree_on_attention_and_a_users_classes(tmp_path, monkeypatch, build):
    for module in (models, flops):
        monkeypatch.setattr(module, "build", build)
    counted = flops.count("small", 64, exported(tmp_path, "small", build("small", 37).state_dict()))
    assert counted["flop"] == counted["onnx_flop"] == flop_per_image("small", 64, classes=37)
    assert counted["output_elements"] == 37
    # Scores and values of each head are products of activations.
    assert len([layer for layer in counted["layers"] if layer["weight_elements"] == 0]) >= 4


@pytest.mark.parametrize(("share", "agrees"), [(1.0099, True), (1.0101, False), (0.9901, True), (0.9899, False)])
def test_counts_that_differ_by_more_than_a_percent_are_an_error_with_both(resnet_graph, monkeypatch, share, agrees):
    by_torch = round(297_115_648 / share)
    monkeypatch.setattr(flops, "flop_per_image", lambda *_, **__: by_torch)
    if agrees:
        assert flops.count("resnet18", 64, resnet_graph)["flop"] == by_torch
        return
    with pytest.raises(CountError) as caught:
        flops.count("resnet18", 64, resnet_graph)
    assert str(caught.value) == (
        f"resnet18 at 64 x 64 costs {by_torch:,} FLOP an image by torch's count and 297,115,648 "
        f"by that of {resnet_graph}; the two must agree within 1%."
    )


def test_a_model_without_an_onnx_graph_is_counted_by_torch_alone(tmp_path):
    (tmp_path / "empty.onnx").touch()
    found = flops.count("resnet18", 224, str(tmp_path / "empty.onnx"))
    assert found["flop"] == 3_628_146_688
    assert found["layers"] == []
    assert [name for name, value in found.items() if value is None] == [
        "onnx_flop",
        "weight_elements",
        "input_elements",
        "output_elements",
    ]


def test_the_count_of_a_grid_is_by_model_and_resolution(monkeypatch):
    monkeypatch.setattr(flops, "count", lambda *place: place)
    files = ["a32", "a64", "b32", "b64"]
    assert flops.count_all(["a", "b"], [32, 64], files) == {
        "a": {"32": ("a", 32, "a32"), "64": ("a", 64, "a64")},
        "b": {"32": ("b", 32, "b32"), "64": ("b", 64, "b64")},
    }
    with pytest.raises(ValueError, match="shorter"):
        flops.count_all(["a", "b"], [32, 64], files[:3])
