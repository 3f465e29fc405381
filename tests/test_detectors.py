"""Torchvision's detectors as modules of tensors: they compute what torchvision's own do, and what does not export."""

import pytest
import torch
from torchvision import models as torchvision_models

from speedgrid.builders import onnx_export
from speedgrid.model import modules, sources
from speedgrid.model.detectors import of_tensors

ONE_STAGE, TWO_STAGES = "ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn"


def whole(name):
    """Return torchvision's own detector, seeded."""
    torch.manual_seed(0)
    return torchvision_models.get_model(name, weights=None, weights_backbone=None).eval()


def test_heads_are_those_that_torchvision_computes():
    model, seen = whole(ONE_STAGE), {}
    model.head.register_forward_hook(lambda _, given, out: seen.update(out))
    model.backbone.register_forward_pre_hook(lambda _, given: seen.update(images=given[0]))
    with torch.inference_mode():
        model([torch.rand(3, 200, 300), torch.rand(3, 200, 300)])
        right, images = seen, seen.pop("images")
        seen = {}
        found = of_tensors(model)(images)
    assert found.keys() == right.keys() == {"bbox_regression", "cls_logits"}
    assert all(torch.equal(found[name], one) for name, one in right.items())
    assert found["cls_logits"].shape[::2] == (2, 91)


def test_boxes_are_those_that_torchvision_finds_and_the_rest_is_zeros():
    model, seen = whole(TWO_STAGES), {}
    model.roi_heads.score_thresh = 0.0109  # seeded weights are sure of nothing, and no more than some boxes have it
    model.roi_heads.register_forward_hook(lambda _, given, out: seen.update(found=out[0]))
    model.backbone.register_forward_pre_hook(lambda _, given: seen.update(images=given[0]))
    with torch.inference_mode():
        model([torch.rand(3, 64, 64), torch.rand(3, 64, 64)])
        found = of_tensors(model)(seen["images"])
    assert {name: tuple(one.shape) for name, one in found.items()} == {
        "boxes": (2, 100, 4),
        "scores": (2, 100),
        "labels": (2, 100),
    }
    for number, right in enumerate(seen["found"]):
        count = len(right["scores"])
        assert count
        for name, rows in right.items():
            assert torch.equal(found[name][number, :count], rows)
            assert not found[name][number, count:].any()


@pytest.mark.parametrize("name", [ONE_STAGE, TWO_STAGES, "retinanet_resnet50_fpn"])
def test_a_checkpoint_of_torchvisions_fits_with_as_many_classes_as_it_has(name, tmp_path):
    made = torchvision_models.get_model(name, weights=None, weights_backbone=None, num_classes=7)
    torch.save(made.state_dict(), tmp_path / "own.pth")
    loaded = modules.load(name, tmp_path / "own.pth").state_dict()
    assert loaded.keys() == made.state_dict().keys()
    assert all(torch.equal(one, loaded[key]) for key, one in made.state_dict().items())


def test_of_what_does_not_export_the_exporter_says_why(tmp_path, monkeypatch):
    """As of torch 2.14, which takes half a minute to say so of two stages, in a chapter on how to report it."""

    def export(*_, **__):
        try:
            raise RuntimeError("Could not guard on data-dependent expression Eq(4*u1, 0)")
        except RuntimeError as error:
            raise torch.onnx.errors.OnnxExporterError("Failed to export the model. Next steps: ...") from error

    torch.save(whole(ONE_STAGE).state_dict(), tmp_path / "own.pth")
    monkeypatch.setattr(torch.onnx, "export", export)
    made = onnx_export.attempt(ONE_STAGE, tmp_path / "own.pth", "fp32", 64, str(tmp_path / "x.onnx"))
    reason = "ONNX export: RuntimeError: Could not guard on data-dependent expression Eq(4*u1, 0)"
    assert made == {"status": "failed", "reason": reason}
    assert (tmp_path / "x.onnx").stat().st_size == 0


def test_what_is_beyond_boxes_is_refused_with_the_reason():
    of_its = torchvision_models.list_models(module=torchvision_models.detection)
    beyond = [name for name in of_its if name.startswith(("mask", "keypoint"))]
    assert beyond
    for name in beyond:
        with pytest.raises(sources.ModelError, match="belong to as many boxes as it finds"):
            sources.find(name).require()
    sources.require(set(of_its) - set(beyond))
