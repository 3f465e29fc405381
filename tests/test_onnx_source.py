"""A user's ONNX file: what is asked of it, what is refused in which words, and what every backend is then given."""

import hashlib
import json

import numpy as np
import onnx
import onnx_files
import pytest
from onnx import helper, numpy_helper
from processes import script

from speedgrid import backends, settings
from speedgrid.builders import onnx_bind
from speedgrid.data import arrays, inputs
from speedgrid.data.inputs import Bound, Input, ValuesError
from speedgrid.data.sequence import batch, images
from speedgrid.evidence import onnx_answers, onnx_rounding, parity
from speedgrid.evidence.snr import summarise
from speedgrid.grid import Cell
from speedgrid.launcher.reading import FileError
from speedgrid.measure import loading
from speedgrid.model import given, onnx_graph, onnx_inputs, sources
from speedgrid.model.sources import ModelError

OPEN = {"image": {"shape": ["batch", 3, "height", "width"]}}


@pytest.fixture(autouse=True)
def forget():
    """Let no name stand for a model of another test."""
    yield
    sources.declare([])


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.onnx"


def source(file, **more):
    entry = {"name": "model", "onnx": str(file), **more}
    sources.declare([entry])
    return sources.find("model")


def bound(file, size=(32, 32), **more):
    """Return the description of a file as it is bound, and the path of what is."""
    output = file.with_name("bound.onnx")
    return onnx_bind.attempt(source(file, **more), size, str(output)), output


def test_a_file_whose_axes_have_the_grids_names_needs_no_inputs(file):
    described, output = bound(onnx_files.two_heads(file))
    assert described["status"] == "ok"
    assert described["batch"] is None
    assert described["inputs"] == [{"name": "image", "shape": ["batch", 3, 32, 32], "dtype": "float32"}]
    assert [(one["name"], one["shape"]) for one in described["outputs"]] == [
        ("scores", ["batch", 1, 16, 16]),
        ("boxes", ["batch", 2, 16, 16]),
    ]
    assert (described["opset"], described["ir_version"]) == (17, 8)
    onnx.checker.check_model(str(output), full_check=True)


@pytest.mark.parametrize(
    "dims", [("n", 3, "h", "w"), (None, 3, None, None), ("?", 3, "?", "?"), ("batch", 3, "a.0", "width")]
)
def test_an_axis_without_a_number_is_an_error_with_all_axes_and_the_line_to_write(file, dims):
    with pytest.raises(ModelError) as caught:
        bound(onnx_files.two_heads(file, dims))
    message = str(caught.value)
    shown = ", ".join("?" if one in (None, "?") else str(one) for one in dims)
    assert f"it has image [{shown}] float32" in message
    assert "inputs: {'image': {shape: [batch, 3, height, width]}}" in message
    assert "\n" not in message
    assert bound(file, inputs=OPEN)[0]["status"] == "ok"


def test_an_axis_that_only_the_configuration_leaves_out_is_never_one(file):
    onnx_files.make(
        file,
        [("image", onnx_files.FLOAT, ("batch", 3, "height", "width")), ("k", onnx_files.FLOAT, ("batch", "more"))],
        [helper.make_node("Identity", ["image"], ["out"]), helper.make_node("Identity", ["k"], ["other"])],
        [("out", onnx_files.FLOAT, None), ("other", onnx_files.FLOAT, None)],
    )
    with pytest.raises(ModelError, match=r"the axis more of its input 'k' open"):
        bound(file)
    assert bound(file, inputs={"k": {"shape": ["batch", 7]}})[0]["outputs"][1]["shape"] == ["batch", 7]


def test_a_file_that_fixes_its_batch_leaves_other_cells_unsupported(file):
    described, _ = bound(onnx_files.two_heads(file, (4, 3, 32, 32)))
    assert (described["status"], described["batch"]) == ("ok", 4)
    cells = {size: Cell("model", "onnxruntime", "fp32", 32, size) for size in (1, 4)}
    assert loading.refuse(cells[4], "cpu", described) is None
    status, reason = loading.refuse(cells[1], "cpu", described)
    assert status == "unsupported"
    assert reason.startswith("the file fixes batch = 4;")


def test_a_file_that_fixes_its_size_leaves_other_resolutions_unsupported_and_says_how_it_is_opened(file):
    onnx_files.two_heads(file, (4, 3, 32, 32))
    described, output = bound(file, (64, 64))
    assert described["status"] == "unsupported"
    assert described["reason"].startswith("the file fixes height = 32;")
    assert "inputs: {'image': {shape: [batch, 3, height, width]}} opens it" in described["reason"]
    assert output.read_bytes() == b""
    described, output = bound(file, (64, 48), inputs=OPEN)
    assert (described["status"], described["batch"], described["reopened"]) == ("ok", None, ["image"])
    assert [one["shape"] for one in described["outputs"]] == [["batch", 1, 32, 24], ["batch", 2, 32, 24]]


def test_a_file_that_cannot_be_opened_says_so_in_the_words_of_the_runtime(file):
    described, _ = bound(onnx_files.flattened(file), (16, 16), inputs=OPEN)
    assert described["status"] == "unsupported"
    assert described["reason"].startswith("the file opened at image, does not run on 1 images (")
    assert bound(file, (8, 8), inputs=OPEN)[0]["status"] == "ok"


def test_initializers_among_the_inputs_are_none(file):
    weights = onnx_files.weight()
    node = helper.make_node("Conv", ["image", "w"], ["out"])
    given_ = [("image", onnx_files.FLOAT, ("batch", 3, "height", "width"))]
    onnx_files.make(file, given_, [node], [("out", onnx_files.FLOAT, None)], [weights], ir=3, opset=9, listed=[weights])
    described, output = bound(file)
    assert [one["name"] for one in described["inputs"]] == ["image"]
    assert [one.name for one in onnx.load(output).graph.input] == ["image"]
    assert described["opset"] == 9


@pytest.mark.parametrize(("what", "more"), [("IR version", {"ir": 99}), ("opset", {"opset": 999})])
def test_a_file_that_is_newer_than_what_reads_it_is_unsupported_with_both_versions(file, what, more):
    described, _ = bound(onnx_files.two_heads(file, **more))
    assert described["status"] == "unsupported"
    assert f"the file is of ONNX {what} {next(iter(more.values()))}" in described["reason"]
    assert "onnx.version_converter" in described["reason"]


def test_an_output_without_an_axis_of_images_is_unsupported(file):
    described, _ = bound(onnx_files.crossed(file))
    assert described["status"] == "unsupported"
    assert "the output mean is [32, 32] and [32, 32] for 1 and 2 images" in described["reason"]


def test_tensors_in_files_beside_it_are_read_and_are_in_its_checksums(file):
    model = onnx.load(onnx_files.two_heads(file.with_name("whole.onnx")))
    onnx.save(model, str(file), save_as_external_data=True, location="model.data", size_threshold=0)
    one = source(file)
    beside = str(file.with_name("model.data"))
    assert one.files() == [str(file), beside]
    described, output = bound(file)
    assert described["status"] == "ok"
    picture = images(0, 32, 0, 2)
    whole = onnx_answers.answers(str(bound(file.with_name("whole.onnx"))[1]), picture)
    found = onnx_answers.answers(str(onnx_bind.attempt(one, (32, 32), str(output)) and output), picture)
    np.testing.assert_array_equal(found["boxes"], whole["boxes"])
    origin = onnx_inputs.origin(one, 32, described)
    assert origin["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert origin["external"] == {beside: hashlib.sha256(file.with_name("model.data").read_bytes()).hexdigest()}
    assert origin["parameters"] == 4 * 27 + 4 + 8
    file.with_name("model.data").unlink()
    with pytest.raises(ModelError, match=r"model\.data', which is not there"):
        one.require()


@pytest.mark.parametrize("location", ["../elsewhere.data", "/etc/passwd"])
def test_tensors_that_are_elsewhere_are_refused(file, location):
    model = onnx.load(onnx_files.two_heads(file))
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    file.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="files with tensors must lie beside it"):
        source(file).require()


BEGINNINGS = {
    "empty": (b"", "is empty"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    "a page": (b"<!DOCTYPE html>", "is a page of HTML or XML"),
    "a checkpoint": (b"PK\x03\x04", "is a ZIP file, as PyTorch writes"),
    "a pickle": (b"\x80\x04", "is a pickle"),
}


@pytest.mark.parametrize(("content", "words"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_file_that_is_no_onnx_is_called_what_it_is_before_anything_runs(file, content, words):
    file.write_bytes(content)
    with pytest.raises(ModelError, match=words):
        source(file).require()


@pytest.mark.parametrize("content", [b"hello, this is text", bytes(100), b"\x08\x08"])
def test_a_file_that_protobuf_cannot_read_or_without_nodes_is_one_sentence(file, content):
    file.write_bytes(content)
    with pytest.raises(FileError, match="export the model again") as caught:
        bound(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_said_by_its_entry(tmp_path):
    with pytest.raises(ModelError, match=r"has 'model' of '.*none\.onnx', which is not there"):
        source(tmp_path / "none.onnx").require()


def test_inputs_that_the_file_has_not_or_has_otherwise_are_refused(file):
    onnx_files.two_heads(file)
    wrong = {
        "images": ({"images": {}}, r"has the input 'images' .* it has image \[batch, 3, height, width\] float32"),
        "axes": ({"image": {"shape": ["batch", 3]}}, "which is of 4 axes"),
        "dtype": ({"image": {"dtype": "uint8"}}, "has the dtype uint8"),
    }
    for declared, message in wrong.values():
        with pytest.raises(ModelError, match=message):
            bound(file, inputs=declared)


def test_bytes_with_their_channels_last_and_indices_are_made_as_declared(file, tmp_path):
    onnx_files.with_ids(file)
    with pytest.raises(ValuesError, match=r"the input 'ids' is of int64.*give its range, as integers"):
        bound(file)
    described, output = bound(file, inputs={"ids": {"integers": [3, 9]}})
    (tmp_path / "described.json").write_text(json.dumps(described))
    np.save(tmp_path / "images.npy", images(0, 32, 0, 5))
    paths = (str(tmp_path / "images.npy"), 32, 0, str(tmp_path / "made.npy"), str(tmp_path / "described.json"))
    made = given.prepare("model", *paths)
    assert made == {"inputs": {"pixels": "photographs", "ids": "integers"}}
    rows = arrays.read(tmp_path / "made.npy")
    assert rows["pixels"].shape == (5, 32, 32, 3)
    assert rows["pixels"].dtype == np.uint8
    assert rows["pixels"].std() > 20
    assert (rows["ids"].min(), rows["ids"].max(), rows["ids"].dtype) == (3, 9, np.int64)
    for backend in ("onnxruntime", "openvino"):
        cell = Cell("model", backend, "fp32", 32, 2)
        session = backends.get(backend).load(cell, "cpu", str(output), {"cpu_threads": 1, "settings": {}})
        session.feed(batch(rows, 4, 2))
        session.run()
        found = session.output()
        assert found.shape == (2, 6)
        right = onnx_answers.answers(str(output), rows)
        assert parity.compare(found, right[[4, 0]]).noise == pytest.approx([0, 0], abs=1e-4)


def test_the_users_own_values_are_taken_and_repeated(tmp_path):
    ids = np.arange(8, dtype=np.int32).reshape(2, 4)
    np.savez(tmp_path / "values.npz", ids=ids)
    said = Input("ids", values=str(tmp_path / "values.npz"))
    one = Bound("ids", ["batch", 4], "int64")
    rows = inputs.made([one], {"ids": said}, np.zeros((3, 3, 8, 8), np.float32), 0)
    np.testing.assert_array_equal(rows["ids"], ids[[0, 1, 0]])
    for shape, message in ((["batch", 5], r"they must be \[count, 5\]"), (["batch", 4], "it must be")):
        other = Bound("ids", shape, "int64")
        if shape == ["batch", 4]:
            np.savez(tmp_path / "values.npz", ids=ids + 0.5)
        with pytest.raises(ValuesError, match=message):
            inputs.made([other], {"ids": said}, np.zeros((3, 3, 8, 8), np.float32), 0)
    (tmp_path / "values.npz").write_bytes(b"no archive")
    with pytest.raises(ValuesError, match="gives no values of the input 'ids'"):
        inputs.made([one], {"ids": said}, np.zeros((3, 3, 8, 8), np.float32), 0)


@pytest.mark.parametrize(
    ("declared", "low", "high"),
    [({"range": (0, 1)}, 0, 1), ({"range": (-1, 1)}, -1, 1), ({"mean": (0.0,) * 3, "deviation": (0.5,) * 3}, 0, 2)],
)
def test_photographs_come_in_the_range_that_is_declared(declared, low, high):
    pictures = images(0, 16, 0, 4)
    rows = inputs.made([Bound("x", ["batch", 3, 16, 16], "float32")], {"x": Input("x", **declared)}, pictures, 0)
    assert (rows["x"].min(), rows["x"].max()) == pytest.approx((low, high), abs=0.02)


def test_photographs_are_resized_and_grey_where_the_input_wants_them_so():
    pictures = images(0, 16, 0, 2)
    rows = inputs.made([Bound("x", ["batch", 1, 8, 24], "float32")], {}, pictures, 0)
    assert rows["x"].shape == (2, 1, 8, 24)
    same = inputs.made([Bound("x", ["batch", 3, 16, 16], "float32")], {}, np.clip(pictures, -1.5, 1.5), 0)
    np.testing.assert_allclose(same["x"], np.clip(pictures, -1.5, 1.5), atol=1e-5)


def test_of_several_outputs_the_one_that_falls_shortest_of_its_own_precision_counts():
    random = np.random.default_rng(0)
    right = arrays.joined({name: random.standard_normal((4, 8)) for name in ("heat", "boxes")})
    seen = right.copy()
    seen["heat"] *= 1 + 1e-5
    seen["boxes"] *= 1 + 1e-4
    plain = parity.worst(seen, right, {})
    assert plain.output == "boxes"
    assert plain.outputs_db == pytest.approx({"heat": 100, "boxes": 80}, abs=0.1)
    assert parity.worst(seen, right, {"heat": 130.0, "boxes": 80.0}).output == "heat"
    seen["heat"][0, 0] = np.nan
    assert parity.worst(seen, right, {}) is None


def test_rounding_is_told_from_the_graph_for_each_output(file):
    _, output = bound(onnx_files.two_heads(file))
    rows = images(0, 32, 0, 8)
    right = onnx_answers.answers(str(output), rows)
    found = onnx_rounding.expected(str(output), rows, right, None)
    assert set(found["outputs"]) == {"scores", "boxes"}
    assert found["reference"] == "onnxruntime fp32"
    for one in found["outputs"].values():
        snr = one["snr_db"]
        assert snr["fp32"] > 110
        assert 50 < snr["tf32"] < 75
        assert snr["fp32"] > snr["tf32"] > snr["bf16"] + 10
        assert snr["bf16"] > 30


def test_a_lie_about_the_precision_of_a_file_is_seen(file):
    """The weights of a file rounded to bfloat16 are no float32 answers."""
    _, output = bound(onnx_files.two_heads(file))
    rows = images(0, 32, 0, 8)
    right = onnx_answers.answers(str(output), rows)
    model = onnx.load(output)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        rounded = (values.view(np.uint32) + 0x8000 & 0xFFFF0000).view(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    lie = onnx_answers.answers(model.SerializeToString(), rows)
    expected = onnx_rounding.expected(str(output), rows, right, None)["outputs"]["boxes"]["snr_db"]
    errors = parity.compare(lie["boxes"], right["boxes"])
    assert summarise(errors).snr_db < (expected["fp32"] + expected["tf32"]) / 2


def test_arithmetic_is_of_one_image_whatever_batch_the_file_fixes(file):
    counts = []
    for dims in (("batch", 3, 32, 32), (4, 3, 32, 32)):
        _, output = bound(onnx_files.two_heads(file, dims))
        counts.append(onnx_graph.flop_per_image(str(output)))
    assert counts[0] == counts[1] == 2 * 16 * 16 * (4 * 27 + 4 + 8)


def test_backends_of_modules_say_that_a_file_is_none(file):
    source(onnx_files.two_heads(file))
    for name in ("pytorch", "inductor"):
        assert "model is an ONNX file" in backends.unsupported(Cell("model", name, "fp32", 32, 1), "cpu")
    assert backends.unsupported(Cell("model", "onnxruntime", "fp32", 32, 1), "cpu") is None
    assert backends.refusal(Cell("resnet18", "pytorch", "fp32", 32, 1), "cpu") is None


ENTRIES = {
    "no source": ({"name": "a"}, "must have one source: torchvision, "),
    "two sources": ({"torchvision": "resnet18", "onnx": "a.onnx"}, "with torchvision and onnx; it must have one"),
    "of another source": (
        {"onnx": "a.onnx", "weights": "b.pth"},
        "has 'weights' for 'a', which a model of onnx has",
    ),
    "an unknown key": ({"onnx": "a.onnx", "path": "b"}, "config key 'path' at models.0 is unknown"),
    "an odd name": ({"onnx": "a.onnx", "name": "-a b"}, "config key models.0.name"),
    "a file whose name is none": ({"onnx": "<b>.onnx"}, r"which gives no name for files and tables; give that"),
    "an axis that is none": ({"onnx": "a.onnx", "inputs": {"x": {"shape": ["depth"]}}}, "config key models.0.inputs.x"),
    "no image": ({"onnx": "a.onnx", "inputs": {"x": {"shape": [0]}}}, "at least 1"),
}


@pytest.mark.parametrize(("entry", "message"), ENTRIES.values(), ids=ENTRIES)
def test_an_entry_that_is_none_is_refused_in_one_sentence(entry, message):
    with pytest.raises(Exception, match=message) as caught:
        settings.complete({"device": "cpu", "models": [entry]})
    assert isinstance(caught.value, ModelError | settings.SettingsError)
    assert "\n" not in str(caught.value)


def test_a_model_has_the_name_of_its_file_where_it_has_none_and_names_differ():
    models = settings.complete({"device": "cpu", "models": ["resnet18", {"onnx": "some/my-model.v2.onnx"}]})["models"]
    assert models == ["resnet18", {"name": "my-model.v2", "onnx": "some/my-model.v2.onnx"}]
    assert settings.complete({"device": "cpu", "models": models})["models"] == models
    cell = Cell("my-model.v2", "onnxruntime", "fp32", 64, 1)
    assert Cell.parse(str(cell)) == cell
    with pytest.raises(ModelError, match="two models of the name 'resnet18'"):
        settings.complete({"device": "cpu", "models": ["resnet18", {"name": "resnet18", "onnx": "a.onnx"}]})


def test_files_that_are_bound_and_converted_are_known_by_their_content(file):
    onnx_files.two_heads(file)
    made = {name: file.with_name(name) for name in ("config.json", "fp32.onnx", "fp32.json", "origin.json")}
    made["config.json"].write_text(json.dumps({"models": [{"name": "model", "onnx": str(file)}]}))
    paths = ("--onnx", made["fp32.onnx"], "--description", made["fp32.json"], "--origin", made["origin.json"])
    script("bind_onnx", "--config", made["config.json"], "--model", "model", "--resolution", "32", *paths)
    half, about = file.with_name("fp16.onnx"), file.with_name("fp16.json")
    given = ("--onnx", made["fp32.onnx"], "--about", made["fp32.json"], "--output", half, "--description", about)
    script("convert_onnx", "--precision", "fp16", *given)
    for artifact, build in ((made["fp32.onnx"], made["fp32.json"]), (half, about)):
        files = loading.Files(str(artifact), "", str(build))
        files.require_size()
        files.require_contents()
        artifact.write_bytes(artifact.read_bytes()[:-1])
        with pytest.raises(FileError, match=r"had \d+ when it was built"):
            files.require_size()
