"""Checkpoints as training scripts write them: what is taken and refused, and plain weights out of objects."""

import argparse
import contextlib
import json
import os
import pickle
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import python
from torch import nn
from torch.optim.swa_utils import AveragedModel

from speedgrid.model import checkpoints, modules, state_dict
from speedgrid.model.checkpoint import WeightsError, inert, parts, plain


class Small(nn.Module):
    """A model of a few names, some of them nested."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3)
        self.layer1 = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
        self.fc = nn.Linear(2, 3)
        self.register_buffer("scratch", torch.ones(1), persistent=False)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Small()


@pytest.fixture(scope="module")
def state(model):
    return model.state_dict()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.pth"


def under(state, prefix):
    return {f"{prefix}{name}": value for name, value in state.items()}


def halved(state):
    return {name: value / 2 if value.is_floating_point() else value for name, value in state.items()}


def mm(state):
    """Return names as those of mmpretrain, whose backbone and head are two modules."""
    return {f"{'head' if name.startswith('fc') else 'backbone'}.{name}": value for name, value in state.items()}


def averaged(state):
    return {"n_averaged": torch.tensor(3), **under(halved(state), "module.")}


# What is written, and which key and prefix are taken and what else is said to be there.
TAKEN = {
    "plain": (lambda s: s, "", "", []),
    "Lightning": (
        lambda s: {
            "state_dict": {**under(s, "model."), "criterion.weight": torch.ones(3)},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}],
            "callbacks": {"best": {"score": torch.tensor(1.0)}},
        },
        "state_dict",
        "model.",
        [],
    ),
    "Lightning, data-parallel": (
        lambda s: {"state_dict": under(s, "model.module.")},
        "state_dict",
        "model.module.",
        [],
    ),
    "Lightning, compiled": (lambda s: {"state_dict": under(s, "net._orig_mod.")}, "state_dict", "net._orig_mod.", []),
    "a deep prefix": (lambda s: under(s, "trainer.system.encoder."), "", "trainer.system.encoder.", []),
    "timm": (
        lambda s: {"arch": "x", "state_dict": s, "state_dict_ema": halved(s), "args": argparse.Namespace(lr=1)},
        "state_dict",
        "",
        ["state_dict_ema"],
    ),
    "an average alone": (lambda s: {"state_dict_ema": s, "epoch": 3}, "state_dict_ema", "", []),
    "an average alone, under another name": (lambda s: {"ema": {"shadow": s}}, "ema.shadow", "", []),
    "mmengine": (
        lambda s: {
            "meta": {"epoch": 3},
            "state_dict": OrderedDict(mm(s)),
            "ema_state_dict": {"steps": torch.tensor(1), **under(mm(halved(s)), "module.")},
        },
        "state_dict",
        "backbone., head.",
        ["ema_state_dict.module"],
    ),
    "torchvision's reference scripts": (
        lambda s: {
            "model": s,
            "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
            "epoch": 3,
            "args": argparse.Namespace(model="x", data_path="/data"),
            "model_ema": averaged(s),
        },
        "model",
        "",
        ["model_ema.module"],
    ),
    "data of numpy and paths beside it": (
        lambda s: {"model": s, "best": np.float64(0.9), "at": Path("/runs"), "log": defaultdict(dict)},
        "model",
        "",
        [],
    ),
    "a student and its teacher": (
        lambda s: {**under(halved(s), "teacher."), **under(s, "student.")},
        "",
        "student.",
        ["teacher"],
    ),
    "counted by thop": (
        lambda s: {**s, "total_ops": torch.ones(1), "layer1.0.total_params": torch.ones(1)},
        "",
        "",
        [],
    ),
    "compiled in the middle": (
        lambda s: {n.replace("layer1.", "layer1._orig_mod."): v for n, v in s.items()},
        "",
        "",
        [],
    ),
    "one dictionary under two keys": (lambda s: {"net": s, "model": s}, "model", "", []),
    "from before num_batches_tracked": (
        lambda s: {name: value for name, value in s.items() if "num_batches" not in name},
        "",
        "",
        [],
    ),
}


@pytest.mark.parametrize(("wrap", "key", "prefix", "others"), TAKEN.values(), ids=TAKEN)
@pytest.mark.parametrize("zipped", [True, False])
def test_the_weights_are_taken_wherever_training_put_them_and_it_is_said_where(
    path, state, zipped, wrap, key, prefix, others
):
    torch.save(wrap(state), path, _use_new_zipfile_serialization=zipped)
    found, part = state_dict.read(path, "small", state)
    assert part == {"key": key, "prefix": prefix, "others": others}
    assert found.keys() >= {name for name in state if "num_batches" not in name}
    assert all(torch.equal(value, state[name]) for name, value in found.items())


def test_the_average_that_torch_makes_is_taken(path, model, state):
    torch.save(AveragedModel(model).state_dict(), path)
    assert state_dict.read(path, "small", state)[1]["prefix"] == "module."


names = st.text("abcdefgh_0123456789", min_size=1, max_size=8).filter(lambda name: name not in parts.BESIDE)


@given(st.lists(names, min_size=1, max_size=4), names)
def test_any_common_prefix_is_stripped_whatever_is_beside_it(prefix, beside):
    own = {"conv.weight": torch.ones(2), "layer.0.bias": torch.ones(1)}
    before = "".join(f"{part}." for part in prefix)
    written = {**under(own, before), f"{beside}.{beside}.loss": torch.ones(1)}
    if any(name.startswith(before) for name in written if name.endswith(".loss")):
        return
    found, part = parts.take("x.pth", {"anything": written}, "small", own)
    assert found.keys() == own.keys()
    assert part["key"] == "anything"


REFUSED = {
    "two networks": (
        lambda s: {**under(s, "encoder_q."), **under(halved(s), "encoder_k.")},
        "holds several networks that are weights of small, 'encoder_q', 'encoder_k', and nothing says which is meant",
    ),
    "no head": (
        lambda s: under({name: value for name, value in s.items() if not name.startswith("fc")}, "model."),
        "does not hold weights of small (first difference behind the prefix 'model.': fc.bias)",
    ),
    "names too many": (lambda s: {**s, "more.weight": torch.ones(1)}, "(first difference: more.weight)"),
    "others behind the prefix": (
        lambda s: under({**s, "more.weight": torch.ones(1)}, "model."),
        "(first difference behind the prefix 'model.': more.weight)",
    ),
}


@pytest.mark.parametrize(("wrap", "words"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_with_what_is_nearest(path, state, wrap, words):
    torch.save(wrap(state), path)
    with pytest.raises(WeightsError) as caught:
        state_dict.read(path, "small", state)
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")


# Files that are none.


def refused(path, names=("fc.weight",)):
    with pytest.raises(WeightsError) as caught:
        state_dict.read(path, "small", names)
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert message.endswith(".")
    assert "\n" not in message
    return message


def changed(content, place):
    content = bytearray(content)
    content[place] ^= 0xFF
    return bytes(content)


def test_an_archive_with_a_changed_byte_is_refused_by_its_checksum(path):
    torch.save({"fc.weight": torch.arange(10_000.0)}, path)
    path.write_bytes(changed(path.read_bytes(), path.stat().st_size // 2))
    assert " is damaged: 1 of the " in (message := refused(path))
    assert "'mine/data/0' first, differ from the checksum (CRC-32)" in message


def test_of_an_archive_without_checksums_nothing_is_said(path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"fc.weight": torch.arange(10_000.0)}, path)
    finally:
        torch.serialization.set_crc32_options(before)
    assert torch.equal(state_dict.read(path, "small", ["fc.weight"])[0]["fc.weight"], torch.arange(10_000.0))


@pytest.mark.parametrize("share", [0.002, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_is_cut_off_is_said_to_be(path, share, zipped):
    torch.save({"fc.weight": torch.arange(10_000.0)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    assert "cut off" in refused(path)


def safetensors(tensors, header=None, **changes):
    """Return a file of the safetensors format; changes: of the entry of each tensor."""
    entries, stored = {}, b""
    for name, (dtype, array) in tensors.items():
        place = [len(stored), len(stored) + array.nbytes]
        entries[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": place, **changes}
        stored += array.tobytes()
    head = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode() if header is None else header
    return len(head).to_bytes(8, "little") + head + stored


WHOLE = {"fc.weight": ("F32", np.arange(6, dtype=np.float32).reshape(3, 2)), "fc.bias": ("I64", np.arange(3))}


def test_a_file_of_safetensors_is_read(path):
    path.write_bytes(safetensors(WHOLE))
    found, part = state_dict.read(path, "small", WHOLE)
    assert part == {"key": "", "prefix": "", "others": []}
    assert torch.equal(found["fc.weight"], torch.arange(6.0).reshape(3, 2))
    assert torch.equal(found["fc.bias"], torch.arange(3))


def test_half_precision_in_safetensors_is_read(path):
    bits = np.array([0x3F80, 0x4000], np.uint16)  # 1 and 2 in bfloat16
    path.write_bytes(safetensors({"fc.weight": ("BF16", bits)}))
    found, _ = state_dict.read(path, "small", ["fc.weight"])
    assert torch.equal(found["fc.weight"], torch.tensor([1.0, 2.0], dtype=torch.bfloat16))


@pytest.mark.parametrize("length", [0x108, 0x13C, 0x17B, 0x3C20, 0x120, 0x4B50])
def test_a_file_of_safetensors_is_known_whatever_the_length_of_its_header(path, length):
    entry = {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}
    header = json.dumps({"fc.weight": entry}).encode()
    path.write_bytes(safetensors({"fc.weight": WHOLE["fc.weight"]}, header=header.ljust(length)))
    found, _ = state_dict.read(path, "small", ["fc.weight"])
    assert torch.equal(found["fc.weight"], torch.arange(6.0).reshape(3, 2))


def placed(*places):
    """Return a file whose tensors `a`, `b` ... of float32 are at places of their own."""
    header = {
        name: {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end]}
        for name, (begin, end) in zip("abc", places, strict=False)
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(max(end for _, end in places))


BROKEN = {
    "cut off in the numbers": (safetensors(WHOLE)[:-5], "tells of 48 bytes of tensors, and 43 are there"),
    "cut off in the header": (safetensors(WHOLE)[:40], "bytes, and 32 are there"),
    "more than the header says": (safetensors(WHOLE) + b"more", "tells of 48 bytes of tensors, and 52 are there"),
    "no JSON": (safetensors(WHOLE, header=b"{" + b"x" * 30), "whose header is none ("),
    "no type": (safetensors(WHOLE, dtype="F33"), "whose header is none ('F33')"),
    "a shape of another size": (safetensors(WHOLE, shape=[7]), "24 bytes for the shape [7] of F32"),
    "a place before the file": (safetensors(WHOLE, data_offsets=[-24, 0]), "a shape or place has [3, 2, -24, 0]"),
    "a list": (safetensors(WHOLE, header=b'{"a": [1, 2]}'), "whose header is none ("),
    "bytes of no tensor": (placed((8, 16), (16, 24)), "has 'a' at byte 8, and the tensor before it ends at 0"),
    "bytes of two tensors": (placed((0, 8), (4, 24)), "has 'b' at byte 4, and the tensor before it ends at 8"),
    "one tensor twice": (placed((0, 8), (0, 8)), "has 'b' at byte 0, and the tensor before it ends at 8"),
}


@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN)
def test_a_file_of_safetensors_that_is_not_what_it_says_is_refused(path, content, words):
    path.write_bytes(content)
    message = refused(path)
    assert "is a safetensors file whose header" in message
    assert words in message


@given(st.binary(max_size=60), st.integers(0, 200))
def test_no_damaged_safetensors_end_in_another_error(tmp_path_factory, noise, place):
    path = tmp_path_factory.mktemp("noise") / "x.safetensors"
    whole = safetensors(WHOLE)
    path.write_bytes(whole[:place] + noise + whole[place + len(noise) :])
    with contextlib.suppress(WeightsError):
        state_dict.read(path, "small", WHOLE)


BYTES = {
    "gzip": (b"\x1f\x8b\x08" + bytes(30), "is compressed with gzip; unpack it"),
    "a page after a line": (b"\n\n <!doctype html>", "is a page of HTML or XML"),
    "a page with a mark": (b"\xef\xbb\xbf<html>", "is a page of HTML or XML"),
    "an error of a store": (b'<?xml version="1.0"?><Error><Code>AccessDenied', "is a page of HTML or XML"),
    "bzip2": (b"BZh91AY&SY" + bytes(30), "is compressed with bzip2; unpack it"),
    "Zstandard": (b"\x28\xb5\x2f\xfd" + bytes(30), "is compressed with Zstandard; unpack it"),
    "DVC": (b"outs:\n- md5: a304afb96060aad90176268345e10355\n", "is a pointer of DVC"),
    "git-annex": (b"/annex/objects/SHA256E-s123--0123abcd.pth\n", "fetch that with git annex get"),
    "zeros": (bytes(5000), "begins with zeros alone, as a file does that was not fetched whole"),
    "ONNX": (b"\x08\x08\x12\x07pytorch", "begins as files of ONNX and TensorFlow do"),
    "numpy": (b"\x93NUMPY\x01\x00", "is an array of numpy"),
    "an answer of a server": (b'{"error": "Repository not found"}', "is a text of JSON: a server's answer"),
    "a list of parts": (b' {"metadata": {}, "weight_map": {}}', "or the list of a checkpoint's parts"),
    "tar": (bytes(1) + b"best.pth".ljust(256, b"\0") + b"ustar\x0000" + bytes(300), "is an archive of tar; unpack it"),
}


@pytest.mark.parametrize(("content", "words"), BYTES.values(), ids=BYTES)
def test_a_file_that_is_no_checkpoint_is_called_what_it_is(path, content, words):
    path.write_bytes(content)
    assert words in refused(path)


def test_nobody_is_told_to_let_a_damaged_file_run_its_code(path, state):
    torch.save(state, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(content[:20] + b"\xff" + content[21:])
    message = refused(path)
    assert message.endswith("it is cut off or damaged: fetch or copy it again.")
    assert "weights_only" not in message


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("best.pth", "is a ZIP file around a checkpoint; unpack it"),
        ("folder/last.ckpt", "is a ZIP file around a checkpoint; unpack it"),
        ("fc.weight.npy", "holds arrays of numpy"),
        ("model.weights.h5", "is a model of Keras"),
        ("mine/archive_format", "is a file of torch.export; give it as a model"),
        ("readme.txt", "is a ZIP file that torch.save did not write"),
    ],
)
def test_an_archive_of_another_kind_is_called_what_it_is(path, part, words):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("more.txt", "x")
        archive.writestr(part, "x")
    assert words in refused(path)


# Plain weights.


class Sprung:
    """Touches a file when it is unpickled, or called."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


class Attributes(dict):
    """A dictionary of a training script's own class, as it holds its settings in."""


class Settings:
    """An object of a training script's own class."""

    def __init__(self):
        self.lr, self.of = 0.1, {"a": [1, 2]}


OBJECTS = {
    "a class of the script's": lambda state, model: {"state_dict": state, "settings": Settings()},
    "a dictionary of its own": lambda state, model: Attributes(state_dict=Attributes(state), lr=0.1),
    "a whole model": lambda state, model: model,
    "a whole model beside others": lambda state, model: {"model": model, "epoch": 3, "optimizer": {"state": {}}},
    "paths": lambda state, model: {"model": state, "where": PurePosixPath("/data"), "settings": Settings()},
}


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
@pytest.mark.parametrize("zipped", [True, False])
def test_the_command_in_the_refusal_makes_plain_weights_of_it(path, state, model, make, zipped, monkeypatch):
    torch.save(make(state, model), path, _use_new_zipfile_serialization=zipped)
    before = path.read_bytes()
    message = refused(path, state)
    assert f"or run `python -m scripts.plain_weights {path}`, which writes what weights there are" in message
    made = plain.write(path)
    assert made.output == path.with_name("mine.plain.pth")
    found, _ = state_dict.read(made.output, "small", state)
    assert found.keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in found.items())
    assert path.read_bytes() == before


def test_a_state_dict_that_pickle_wrote_itself_becomes_plain_weights(path, state):
    path.write_bytes(pickle.dumps(dict(state)))
    plain.write(path)
    assert state_dict.read(path.with_name("mine.plain.pth"), "small", state)[0].keys() == state.keys()


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_of_the_file_runs_and_nothing_that_it_names_is_imported(path, state, tmp_path, zipped):
    torch.save(
        {"state_dict": state, "a": Sprung(tmp_path / "sprung"), "b": [Settings()]},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    done = python("-m", "scripts.plain_weights", str(path))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "sprung").exists()
    assert (
        f"{path.with_name('mine.plain.pth')} has {len(state)} tensors under state_dict, without posix.mkdir"
        in done.stdout
    )


def test_any_name_in_a_file_is_an_object_that_does_nothing():
    for name in ("os.system", "builtins.eval", "builtins.getattr", "subprocess.Popen", "torch.load", "torch.hub.load"):
        module, _, last = name.rpartition(".")
        found = inert.Unpickler(open(os.devnull, "rb")).find_class(module, last)  # noqa: SIM115
        assert issubclass(found, inert.Inert)
        assert isinstance(found("touch /nowhere")("more"), inert.Inert)


def test_a_file_without_tensors_and_a_place_that_is_taken_are_refused(path, state):
    torch.save({"settings": Settings()}, path)
    with pytest.raises(WeightsError, match=r"mine\.pth has no tensors under names"):
        plain.write(path)
    torch.save(state, path)
    plain.write(path)
    with pytest.raises(WeightsError, match=r"mine\.plain\.pth is there already; remove it, or name another"):
        plain.write(path)


def test_arrays_of_numpy_are_called_what_they_are(path):
    path.write_bytes(pickle.dumps({"model": {"fc.weight": np.ones((2, 2), np.float32)}}))
    with pytest.raises(WeightsError, match="has no tensors under names, but arrays of numpy; load them into the model"):
        plain.write(path)


def test_a_checkpoint_with_data_of_known_scripts_alone_is_read_as_it_is(path, state):
    torch.save({"model": state, "args": argparse.Namespace(lr=1)}, path)
    assert inert.known(path)
    torch.save({"model": state, "args": argparse.Namespace(lr=Settings())}, path)
    assert not inert.known(path)


def test_the_part_is_in_the_description_of_the_weights(path, resnet):
    torch.save({"state_dict": under(resnet.state_dict(), "model.")}, path)
    assert modules.load_part("resnet18", path)[1] == {"key": "state_dict", "prefix": "model.", "others": []}


# Files that nothing asks for.


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    return tmp_path


def test_a_checkpoint_that_nothing_asks_for_is_named_with_what_is_asked_for(place):
    for name in ("best_resnet50.pth", "best_resnet18_64.pth", "README.md", ".hidden.pth"):
        (place / "weights" / name).touch()
    assert checkpoints.unasked(checkpoints.DEFAULT, ["resnet18", "resnet50"], [64]) == [
        "weights/best_resnet50.pth is not used: nothing asks for it; that of resnet50 at 64 pixels would be "
        "weights/best_resnet50_64.pth."
    ]


def test_nothing_is_said_of_an_empty_folder_or_none(place):
    assert checkpoints.unasked(checkpoints.DEFAULT, ["resnet18"], [64]) == []
    (place / "weights").rmdir()
    assert checkpoints.unasked("~/x.pth", ["resnet18"], [64]) == []


def test_what_another_pattern_asks_for_is_asked_for(place):
    (place / "weights/all.pth").touch()
    assert checkpoints.unasked("./weights/all.pth", ["resnet18"], [64]) == []
