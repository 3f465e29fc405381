"""A model repository of Triton beside what is handed over, as text against the schema that Triton's client brings."""

import importlib.util
import json
import zipfile

import onnx
import pytest
import wheels
from google.protobuf import text_format
from onnx import TensorProto, helper
from processes import script

from speedgrid import InputError
from speedgrid.handover import triton
from speedgrid.handover.winner import HandoverError
from speedgrid.launcher.outputs import Unwritable
from speedgrid.launcher.reading import FileError

KNOWN = {
    "model": "my.model-2",
    "backend": "onnxruntime",
    "file": "model.onnx",
    "device": "cpu",
    "threads": 3,
    "batch_size": 8,
}


def handed(path, batch="batch", **changes):
    """Return a folder with an ONNX file of two inputs and two outputs, some of them without a size."""
    ends = [("pixels", TensorProto.FLOAT16, [batch, 3, 64, 96]), ("length", TensorProto.INT64, [batch])]
    outs = [('odd"name', TensorProto.FLOAT16, [batch, 3, 64, 96]), ("ids", TensorProto.INT64, [batch, "found"])]
    made = [[helper.make_tensor_value_info(*one) for one in group] for group in (ends, outs)]
    nodes = [
        helper.make_node("Identity", ["pixels"], ['odd"name']),
        helper.make_node("Expand", ["length", "length"], ["ids"]),
    ]
    path.mkdir()
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", *made)), path / "model.onnx")
    (path / "model.json").write_text(json.dumps(KNOWN | changes))
    return path


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    """Return Triton's own schema, out of the wheel of its client."""
    with zipfile.ZipFile(wheels.fetched("tritonclient", "2.73.0")) as wheel:
        path = wheel.extract("tritonclient/grpc/model_config_pb2.py", tmp_path_factory.mktemp("triton"))
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def dims(one):
    return one.name, list(one.dims)


def test_the_text_is_what_was_measured(tmp_path):
    text = triton.add(handed(tmp_path / "out")).read_text()
    assert text == (
        'name: "my.model-2"\n'
        'backend: "onnxruntime"\n'
        "max_batch_size: 8\n"
        'input [\n  { name: "pixels" data_type: TYPE_FP16 dims: [ 3, 64, 96 ] }\n]\n'
        'input [\n  { name: "length" data_type: TYPE_INT64 dims: [ 1 ] reshape: { shape: [ ] } }\n]\n'
        'output [\n  { name: "odd\\"name" data_type: TYPE_FP16 dims: [ 3, 64, 96 ] }\n]\n'
        'output [\n  { name: "ids" data_type: TYPE_INT64 dims: [ -1 ] }\n]\n'
        "instance_group [ { count: 1 kind: KIND_CPU } ]\n"
        'parameters { key: "intra_op_thread_count" value: { string_value: "3" } }\n'
        'parameters { key: "inter_op_thread_count" value: { string_value: "1" } }\n'
    )


@pytest.mark.parametrize(("batch", "most"), [("batch", 8), (4, 0)])
def test_triton_reads_it(tmp_path, batch, most, schema):
    text = triton.add(handed(tmp_path / "out", batch, device="cuda")).read_text()
    found = text_format.Parse(text, schema.ModelConfig())
    assert (found.name, found.backend, found.max_batch_size) == ("my.model-2", "onnxruntime", most)
    own = [4] if batch == 4 else []
    assert dims(found.input[0]) == ("pixels", [*own, 3, 64, 96])
    assert [dims(one) for one in found.output] == [('odd"name', [*own, 3, 64, 96]), ("ids", [*own, -1])]
    assert [one.kind for one in found.instance_group] == [type(found.instance_group[0]).KIND_GPU]
    assert not found.parameters


def test_the_model_is_there_again_and_a_second_time_is_no_other(tmp_path):
    out = handed(tmp_path / "out")
    first = triton.add(out).read_text()
    assert triton.add(out).read_text() == first
    assert (out / "triton/my.model-2/1/model.onnx").read_bytes() == (out / "model.onnx").read_bytes()


def test_what_is_no_such_folder_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(HandoverError, match=r"has no model\.json; it must be a folder that make deploy wrote"):
        triton.add(tmp_path)
    with pytest.raises(HandoverError, match="is for 'openvino', and nothing here writes a Triton repository for it"):
        triton.add(handed(tmp_path / "out", backend="openvino"))
    (tmp_path / "out" / "triton").write_text("")
    done = script("triton", tmp_path / "out", code=2)
    assert "is for 'openvino'" in done.stderr
    done = script("triton", tmp_path, code=2)
    assert done.stderr.startswith(str(tmp_path))


DAMAGED = {
    "no keys": {},
    "a number for a backend": KNOWN | {"backend": 1},
    "a list for a file": KNOWN | {"file": ["model.onnx"]},
    "a file elsewhere": KNOWN | {"file": "../../other.onnx"},
    "a model elsewhere": KNOWN | {"model": "../up"},
    "a model at the root": KNOWN | {"model": "/srv"},
    "a line more": KNOWN | {"model": "a\n"},
    "text for a batch": KNOWN | {"batch_size": '1" evil'},
    "no batch at all": KNOWN | {"batch_size": 0},
    "no threads": {key: value for key, value in KNOWN.items() if key != "threads"},
}


@pytest.mark.parametrize("about", DAMAGED.values(), ids=DAMAGED)
def test_settings_that_make_deploy_did_not_write_are_refused_and_nothing_is_written(tmp_path, about):
    out = handed(tmp_path / "out")
    (out / "model.json").write_text(json.dumps(about))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileError, match=r"model\.json is not what .*: make deploy writes its folder again\.$"):
        triton.add(out)
    assert sorted(tmp_path.rglob("*")) == before


def graph(kind=TensorProto.FLOAT, shape=("batch", 3), inputs=True):
    """Return the bytes of an ONNX file with one input and one output."""
    ends = [helper.make_tensor_value_info(name, kind, shape) for name in "xy"]
    made = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1] if inputs else [], ends[1:])
    return helper.make_model(made).SerializeToString()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has an input without an axis of images, or none at all"),
        (b"\x08", "cannot be read as ONNX"),
        (graph()[:20], "cannot be read as ONNX"),
        (None, "cannot be read as ONNX .*No such file"),
        (graph(inputs=False), "has an input without an axis of images, or none at all"),
        (graph(shape=()), "has an input without an axis of images, or none at all"),
        (graph(TensorProto.FLOAT8E5M2), "has 'x' of a type that Triton has no name for; it must be one of TYPE_FP32"),
        (graph(TensorProto.STRING), "has 'x' of a type"),
    ],
)
def test_a_model_that_triton_cannot_be_told_of_is_refused_by_name(tmp_path, content, words):
    out = handed(tmp_path / "out")
    (out / "model.onnx").unlink()
    if content is not None:
        (out / "model.onnx").write_bytes(content)
    with pytest.raises(InputError, match=rf"{out}/model\.onnx {words}") as caught:
        triton.add(out)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_what_lies_where_the_repository_should_is_not_removed(tmp_path, kind):
    out, other = handed(tmp_path / "out"), tmp_path / "other"
    if kind == "file":
        (out / "triton").write_text("mine")
    else:
        (out / "triton").symlink_to(other)
    if kind == "link":
        other.mkdir()
        (other / "kept").touch()
    with pytest.raises(Unwritable, match=r"triton cannot be written .*; remove what lies there, then run again"):
        triton.add(out)
    assert (out / "triton").is_file() or (out / "triton").is_symlink()
    assert kind != "link" or (other / "kept").exists()
