"""Models and their weights: what is accepted, what is refused, and what seeded weights look like."""

import copy
import os
import pickle
import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import python
from torch import nn
from torchvision import models as zoo

from speedgrid.data.sequence import images
from speedgrid.model import modules as models
from speedgrid.model import sources, state_dict
from speedgrid.model.modules import WeightsError
from speedgrid.model.sources import source
from speedgrid.model.sources import torchvision as known


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.pth"


@pytest.fixture(scope="module")
def state(resnet):
    return resnet.state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


WRAPPED = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model_state_dict": lambda state: {"model_state_dict": state, "optimizer": {"lr": 0.1}},
    "model": lambda state: {"model": state},
    "net": lambda state: {"net": state},
    "module. prefix": lambda state: {f"module.{name}": value for name, value in state.items()},
    "_orig_mod. prefix": lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
    "wrapped module. prefix": lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
    "module._orig_mod. prefix": lambda state: {f"module._orig_mod.{name}": value for name, value in state.items()},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_the_usual_forms_of_a_checkpoint_give_the_same_state(path, state, wrap):
    torch.save(wrap(state), path)
    assert same(state_dict.read(path, "resnet18", state)[0], state)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["_orig_mod.module.fc.bias"], ["fc.bias"]),
        (["module._orig_mod.module.fc.bias"], ["fc.bias"]),
        (["module.module.a", "module.module.b"], ["a", "b"]),
        (["module.module.a", "module.b"], ["module.a", "b"]),
        (["module.a", "b"], ["module.a", "b"]),  # not every name has it: it is part of the name
    ],
)
def test_prefixes_are_stripped_as_often_as_every_name_has_one(path, names, expected):
    torch.save({name: torch.ones(2) for name in names}, path)
    assert list(state_dict.read(path, "resnet18", expected)[0]) == expected


def test_a_checkpoint_is_loaded_in_float32_and_eval_mode(path, state, resnet):
    torch.save({name: value.half() if value.is_floating_point() else value for name, value in state.items()}, path)
    model = models.load("resnet18", path)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not model.training
    assert torch.equal(model.conv1.weight, resnet.conv1.weight.half().float())


def test_a_checkpoint_of_a_model_in_another_layout_does_not_bring_it_along(path, resnet):
    torch.save(copy.deepcopy(resnet).to(memory_format=torch.channels_last).state_dict(), path)
    loaded = models.load("resnet18", path).state_dict()
    assert all(value.is_contiguous() for value in loaded.values())
    assert all(torch.equal(value, loaded[name]) for name, value in resnet.state_dict().items())


@pytest.mark.parametrize("classes", [1, 7])
def test_any_number_of_classes_is_accepted(path, state, classes):
    torch.save({**state, "fc.weight": torch.ones(classes, 512), "fc.bias": torch.ones(classes)}, path)
    model = models.load("resnet18", path)
    assert models.classes(model) == classes
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, classes)


def read(path):
    return state_dict.read(path, "a model", ["fc.weight", "fc.bias"])


def refusal(path, read=read):
    with pytest.raises(WeightsError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.endswith(".")
    assert "\n" not in message
    return message


FILES = {
    "empty": (b"", "is empty; write it with torch.save(model.state_dict(), path)."),
    "cut off": (b"PK\x03\x04 cut off", "is not a readable PyTorch checkpoint (a ZIP file that is cut off or damaged: "),
    "text": (b"not a checkpoint\n", "is not a PyTorch checkpoint (it begins with b'not a checkp'); write it with"),
    "braces": (b"{}", "is not a PyTorch checkpoint (it begins with b'{}'); write it with torch.save("),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer and not the file"),
    "a page": (b"<!DOCTYPE html>\n", "is a page of HTML or XML, as a server sends one in place of a file"),
    "safetensors": ((16).to_bytes(8, "little") + b'{"a": 1}' + bytes(20), "is a safetensors file whose header is none"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(20), "is an HDF5 file, as Keras writes it"),
    "a pickle cut off": (b"\x80\x02}q\x00(X\x01", "is not a readable PyTorch checkpoint (unpack requires"),
}


@pytest.mark.parametrize(("content", "sentence"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_checkpoint_is_called_what_it_is(path, content, sentence):
    path.write_bytes(content)
    assert f"{path} {sentence}" in refusal(path)


def test_half_a_checkpoint_is_refused(path, state):
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:100_000])
    assert "is not a readable PyTorch checkpoint (a ZIP file that is cut off or damaged" in refusal(path)


def test_what_the_workflow_made_is_to_be_deleted_and_not_written_by_hand(tmp_path):
    (tmp_path / "artifacts").mkdir()
    path = tmp_path / "artifacts" / "resnet18.pth"
    path.write_bytes(b"")
    assert refusal(path) == f"{path} is empty; it is damaged: delete it, and snakemake makes it again."


def test_a_module_of_torchscript_is_told_from_a_checkpoint(path):
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    assert "is a TorchScript module, which is a program; save its weights alone" in refusal(path)


def test_another_zip_file_is_told_from_a_checkpoint(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/readme.txt", "here")
    assert "is a ZIP file that torch.save did not write" in refusal(path)


def test_a_small_file_that_unpacks_to_a_large_one_is_refused_before_it_is_read(path, tmp_path, state, monkeypatch):
    torch.save({"fc.weight": torch.zeros(1_000_000)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    monkeypatch.setattr(torch, "load", None)
    assert "has 0.0 MB and holds 4 MB; a checkpoint holds at most 4 times its own size" in refusal(path)


def test_a_file_that_is_much_larger_than_its_model_is_refused_before_it_is_read(path, monkeypatch):
    path.write_bytes(b"\x80\x02")
    os.truncate(path, 900_000_000)  # a file with a hole, which takes no room
    monkeypatch.setattr(torch, "load", None)
    message = refusal(path, lambda path: models.load("resnet18", path))
    assert "has 900 MB, but a checkpoint of this model at most 813 MB (16 times its weights, and 64 MB)" in message


def stored_once(shape):
    return torch.zeros(1).expand(shape)


ODD = {
    "complex": (
        lambda weight: weight.to(torch.complex64),
        "which is of type complex64; weights are plain",
    ),
    "sparse": (lambda weight: weight.to_sparse(), "which is not dense (sparse_coo)"),
    "meta": (lambda weight: weight.to("meta"), "which has a shape and no numbers (device meta)"),
    "quantised": (lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8), "which is of type qint8"),
    "one number for all": (lambda weight: stored_once(weight.shape), "which has 9,408 numbers and stores fewer"),
    "whole numbers": (lambda weight: weight.int(), "in int32; resnet18 has floating-point numbers there."),
}


@pytest.mark.parametrize(("make", "problem"), ODD.values(), ids=ODD)
def test_tensors_that_are_no_weights_are_refused_by_name(path, state, make, problem):
    torch.save({**state, "conv1.weight": make(state["conv1.weight"])}, path)
    message = refusal(path, lambda path: models.load("resnet18", path))
    assert f"{path} has the tensor 'conv1.weight'" in message
    assert problem in message


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e39])
@pytest.mark.parametrize("name", ["layer1.0.bn1.weight", "fc.bias", "bn1.running_var"])
def test_a_number_that_is_none_is_refused_with_its_parameter(path, state, number, name):
    spoilt = state[name].double()
    spoilt[3] = number
    torch.save({**state, name: spoilt}, path)
    message = refusal(path, lambda path: models.load("resnet18", path))
    assert f"{path} has 1 of {spoilt.numel():,} numbers in {name!r} that are NaN or infinite in float32" in message


def test_no_classes_are_refused(path, state):
    torch.save({**state, "fc.weight": torch.ones(0, 512), "fc.bias": torch.ones(0)}, path)
    assert "tells no classes apart, as fc.weight is empty" in refusal(path, lambda path: models.load("resnet18", path))


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_of_any_binary_protocol_is_refused_as_one(path, protocol):
    path.write_bytes(pickle.dumps({"fc.weight": object()}, protocol=protocol))
    assert "could run code and are refused" in refusal(path)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_pickle_with_code_is_refused_and_its_code_does_not_run(path, tmp_path, save):
    sprung = tmp_path / "sprung"
    save({"fc.weight": torch.ones(2), "other": Trap(sprung)}, path)
    assert "could run code and are refused" in refusal(path)
    assert not sprung.exists()


def test_the_trap_of_the_test_above_would_have_been_seen(path, tmp_path):
    torch.save(Trap(tmp_path / "sprung"), path)
    torch.load(path, weights_only=False)
    assert (tmp_path / "sprung").exists()


def test_a_whole_pickled_model_is_refused_with_how_to_save_weights_alone(path):
    torch.save(nn.Linear(2, 2), path)
    message = refusal(path)
    assert (
        "is a whole model, of pickled Python objects (torch.nn.modules.linear.Linear), which could run code" in message
    )
    assert (
        "save the weights alone, with torch.save(model.state_dict(), path), or run `python -m scripts.plain_" in message
    )


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, torch.ones(3), {"state_dict": {"epoch": 3}}])
def test_a_file_without_tensors_by_name_holds_no_state_dict(path, content):
    torch.save(content, path)
    assert "holds no state dict" in refusal(path)


def test_names_that_are_not_text_and_values_that_are_not_tensors_are_ignored(path):
    torch.save({0: torch.ones(2), "module.fc.bias": torch.ones(3), "epoch": 3}, path)
    assert same(state_dict.read(path, "resnet18", ["fc.bias"])[0], {"fc.bias": torch.ones(3)})


def test_a_head_without_axes_is_refused_as_another_architecture(path):
    torch.save({"fc.weight": torch.tensor(1.0)}, path)
    message = refusal(path, lambda path: models.load("resnet18", path))
    assert "does not hold weights of resnet18 (first difference: bn1.bias" in message


def test_tensors_without_names_are_no_state_dict(path):
    torch.save({0: torch.ones(2)}, path)
    assert "holds no state dict" in refusal(path, lambda path: models.load("resnet18", path))


def test_weights_of_another_architecture_are_refused_with_the_first_difference(path, state):
    torch.save(state, path)
    message = refusal(path, lambda path: models.load("resnet34", path))
    assert "does not hold weights of resnet34 (first difference: layer1.2.bn1.bias)" in message


def test_weights_with_names_too_many_are_refused_with_the_first_of_them(path, state):
    torch.save({**state, "extra.weight": torch.ones(1)}, path)
    assert "(first difference: extra.weight)" in refusal(path, lambda path: models.load("resnet18", path))


def test_weights_of_another_shape_are_refused_with_both_shapes(path, state):
    torch.save({**state, "conv1.weight": torch.ones(64, 1, 7, 7)}, path)
    message = refusal(path, lambda path: models.load("resnet18", path))
    assert "conv1.weight" in message
    assert "[64, 1, 7, 7]" in message


def test_an_unknown_model_name_suggests_near_ones():
    with pytest.raises(WeightsError, match=r"models has 'resnet81'.* such as resnet18"):
        models.build("resnet81")
    with pytest.raises(WeightsError, match="such as resnet18"):
        models.build("?")


@pytest.mark.parametrize("name", ["raft_small", "quantized_resnet18", "r3d_18"])
def test_a_model_that_does_not_classify_images_is_unknown(name):
    with pytest.raises(WeightsError, match="must be torchvision models that classify, segment or detect"):
        models.build(name)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet18", "fc"),
        ("mobilenet_v2", "classifier.1"),
        ("squeezenet1_1", "classifier.1"),
        ("vit_b_16", "heads.head"),
        ("densenet121", "classifier"),
        ("convnext_tiny", "classifier.2"),
    ],
)
def test_the_layer_that_gives_the_logits_is_found(name, head):
    with torch.device("meta"):
        model = models.build(name, classes=7)
    assert models.head(model) == head
    assert models.classes(model) == 7


def refused(name, sizes):
    """Return those of some sizes in pixels that torchvision's model refuses; nothing is computed."""
    with torch.device("meta"):
        model = models.build(name)
    found = []
    for size in sizes:
        try:
            with torch.inference_mode():
                model(torch.empty(1, 3, size, size, device="meta"))
        except (RuntimeError, AssertionError):
            found.append(size)
    return found


def test_the_names_of_models_are_those_that_torchvision_lists_and_are_known_without_importing_it():
    assert known.known() == set(zoo.list_models(module=zoo))
    program = "import sys; from speedgrid.model import sources; sources.require(['vgg16']); print(*sys.modules)"
    assert not {"torch", "torchvision"} & set(python("-c", program).stdout.split())


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet19", "resnet18, "),
        ("ResNet50", "resnet50"),
        ("vit_b16", "vit_b_16"),
        ("convnext", "convnext_"),
        ("zzz", "resnet18."),
    ],
)
def test_a_name_that_is_no_models_is_refused_with_the_nearest(name, near):
    with pytest.raises(sources.ModelError) as caught:
        sources.require(["vgg16", name])
    message = str(caught.value)
    begin = (
        f"config key models has {name!r}; its entries must be torchvision "
        "models that classify, segment or detect, such as "
    )
    assert message.startswith(begin)
    assert near in message.removeprefix(begin)
    with pytest.raises(WeightsError) as again:
        models.build(name)
    assert str(again.value) == message


@given(st.text())
def test_any_text_is_a_model_or_is_refused_in_one_line(name):
    if name in known.known():
        return sources.require([name])
    with pytest.raises(sources.ModelError) as caught:
        sources.require([name])
    assert "\n" not in str(caught.value)


def test_where_there_is_no_torchvision_no_name_is_refused(monkeypatch):
    monkeypatch.setattr(source, "find_spec", lambda name: None)
    known.known.cache_clear()
    sources.require(["resnet19"])
    monkeypatch.undo()
    known.known.cache_clear()
    assert "vgg16" in known.known()


def test_every_model_runs_at_the_smallest_resolution_that_torchvision_names_and_some_only_there():
    # RegNet computes its widths with tensors, so that it cannot be built on the meta device; it is convolutional.
    # The deepest repeat the blocks of the others of their family.
    left_out = ("regnet", "densenet16", "densenet2", "resnet101", "resnet152", "efficientnet_b7", "efficientnet_v2_l")
    names = [name for name in zoo.list_models(module=zoo) if not name.startswith(left_out)]
    assert len(names) >= 55
    smallest = {name: sources.find(name).smallest_resolution() for name in names}
    found = {name: refused(name, (size, 256)) for name, size in smallest.items()}
    assert [name for name, sizes in found.items() if smallest[name] in sizes] == []
    alone = {name: smallest[name] for name, sizes in found.items() if 256 in sizes}
    assert alone == dict.fromkeys(("maxvit_t", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32"), 224)


def test_a_head_that_torchvision_begins_with_zeros_tells_images_apart():
    seeded = models.seeded("vit_b_32", 0, 224)
    with torch.inference_mode():
        one, other = seeded(torch.from_numpy(images(0, 224, 0, 2)))
    assert 0.3 < float(one.std()) < 3
    assert not torch.allclose(one, other, atol=0.01)
    assert same(models.seeded("vit_b_32", 0, 224).state_dict(), seeded.state_dict())


def test_weights_without_a_version_are_taken_for_those_of_this_torchvision(path):
    """MNASNet refuses others, and a plain dictionary, unlike what state_dict() returns, has none."""
    model = models.seeded("mnasnet0_5", 0, 64)
    torch.save(dict(model.state_dict()), path)
    assert same(models.load("mnasnet0_5", path).state_dict(), model.state_dict())


def test_seeded_weights_depend_on_the_seed_alone():
    first = models.seeded("resnet18", 0, 32).state_dict()
    torch.manual_seed(1234)
    assert same(models.seeded("resnet18", 0, 32).state_dict(), first)
    other = models.seeded("resnet18", 1, 32).state_dict()
    assert not torch.equal(other["conv1.weight"], first["conv1.weight"])


@pytest.mark.parametrize(
    ("resolution", "count"), [(32, 32), (224, 32), (256, 24), (384, 8), (448, 8), (512, 8), (1024, 8)]
)
def test_large_images_are_calibrated_with_fewer_of_them_and_none_is_left_out(monkeypatch, resolution, count):
    taken = []

    def few_pixels(seed, resolution, start, count):
        taken.extend(range(start, start + count))
        return images(seed, 4, start, count)

    monkeypatch.setattr(models, "images", few_pixels)
    monkeypatch.setattr(models, "build", lambda name: nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1)))
    models.seeded("none", 0, resolution)
    assert taken == list(range(count))


def test_batch_norm_outputs_of_seeded_weights_have_ordinary_size(resnet):
    model, deviations = copy.deepcopy(resnet), []
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda module, given, output: deviations.append(float(output.std())))
    with torch.inference_mode():
        logits = model(torch.from_numpy(images(0, 64, 100, 8)))
    assert len(deviations) == 20
    assert min(deviations) > 0.7
    assert max(deviations) < 1.4
    assert 0.05 < float(logits.std()) < 5
    assert not model.training


def test_folding_removes_every_batch_norm_and_keeps_the_outputs(resnet):
    batch = torch.from_numpy(images(0, 64, 0, 4))
    folded = models.fold_batch_norm(copy.deepcopy(resnet))
    assert [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)] == []
    with torch.inference_mode():
        torch.testing.assert_close(folded(batch), resnet(batch), rtol=1e-4, atol=1e-5)


def test_folding_leaves_a_model_without_batch_norms_alone():
    model = models.build("squeezenet1_1")
    assert models.fold_batch_norm(model) is model
