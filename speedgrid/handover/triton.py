"""A model repository of NVIDIA's Triton server beside what is handed over: an ONNX file, served as it was measured.

https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html and
https://github.com/triton-inference-server/onnxruntime_backend, which names the parameters.
"""

import json
import shutil
from pathlib import Path
from typing import Annotated, Any, TypedDict

import onnx
from msgspec import Meta
from onnx import TensorProto

from speedgrid.handover.winner import HandoverError
from speedgrid.launcher.outputs import make_way, replacing
from speedgrid.launcher.reading import read_json, read_onnx, short

# Names that Triton gives to the types of tensors.
TYPES = {
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.FLOAT16: "TYPE_FP16",
    TensorProto.BFLOAT16: "TYPE_BF16",
    TensorProto.DOUBLE: "TYPE_FP64",
    TensorProto.UINT8: "TYPE_UINT8",
    TensorProto.UINT16: "TYPE_UINT16",
    TensorProto.UINT32: "TYPE_UINT32",
    TensorProto.UINT64: "TYPE_UINT64",
    TensorProto.INT8: "TYPE_INT8",
    TensorProto.INT16: "TYPE_INT16",
    TensorProto.INT32: "TYPE_INT32",
    TensorProto.INT64: "TYPE_INT64",
    TensorProto.BOOL: "TYPE_BOOL",
}
REMEDY = "it is damaged: make deploy writes its folder again"
# Names of the folder's own: with a slash or two dots they would lead out of it.
Name = Annotated[str, Meta(pattern=r"\A\w[\w.-]{0,199}\Z")]


class About(TypedDict):
    """The parts of model.json that a repository is made of."""

    model: Name
    backend: str
    file: Name
    device: str
    threads: int
    batch_size: Annotated[int, Meta(ge=1)]


def add(folder: Path) -> Path:
    """Write the repository `triton` into a folder that was handed over, and return its configuration.

    The model lies there under a second name and takes no room twice, as far as the file system has such names. Raises
    HandoverError where the folder is none, another runtime than ONNX Runtime won, or a tensor is of a type that Triton
    has no name for.
    """
    if not (folder / "model.json").is_file():
        raise HandoverError(f"{folder} has no model.json; it must be a folder that make deploy wrote.")
    about = read_json(folder / "model.json", About, REMEDY)
    if not about["backend"].startswith("onnxruntime") or not about["file"].endswith(".onnx"):
        raise HandoverError(
            f"{folder} is for {short(about['backend'])}, and nothing here writes a Triton repository for it; take the "
            "backends other than onnxruntime out of the grid to have one."
        )
    repository, file = folder / "triton", folder / about["file"]
    text = config(about, read_onnx(file, REMEDY, external=False), str(file))
    with replacing(repository) as whole:
        (whole / about["model"] / "1").mkdir(parents=True)
        try:
            (whole / about["model"] / "1" / "model.onnx").hardlink_to(file)
        except OSError:
            shutil.copyfile(file, whole / about["model"] / "1" / "model.onnx")
        (whole / about["model"] / "config.pbtxt").write_text(text, encoding="utf-8")
        make_way(repository)
    return repository / about["model"] / "config.pbtxt"


def config(about: About, model: onnx.ModelProto, file: str) -> str:
    """Return config.pbtxt of an ONNX file, in protobuf's text format. file: its name, for HandoverError.

    Where the file leaves the batch open, Triton may join requests up to the batch size that was measured; one that it
    fixes is a part of the shapes.
    """
    weights = {one.name for one in model.graph.initializer}
    given = [one for one in model.graph.input if one.name not in weights]
    if not given or not all(one.type.tensor_type.shape.dim for one in given):
        raise HandoverError(f"{file} has an input without an axis of images, or none at all; {REMEDY}.")
    if strange := next((one for one in (*given, *model.graph.output) if kind_of(one) not in TYPES), None):
        raise HandoverError(
            f"{file} has {short(strange.name)} of a type that Triton has no name for; it must be one of "
            f"{', '.join(TYPES.values())}."
        )
    free = not given[0].type.tensor_type.shape.dim[0].dim_value
    on_gpu = about["device"] == "cuda"
    lines = [
        f"name: {quoted(about['model'])}",
        'backend: "onnxruntime"',
        f"max_batch_size: {about['batch_size'] if free else 0}",
        *(line for one in given for line in tensor("input", one, free)),
        *(line for one in model.graph.output for line in tensor("output", one, free)),
        f"instance_group [ {{ count: 1 kind: {'KIND_GPU' if on_gpu else 'KIND_CPU'} }} ]",
    ]
    threads = {} if on_gpu else {"intra_op_thread_count": about["threads"], "inter_op_thread_count": 1}
    for key, value in threads.items():
        lines.append(f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}')
    return "\n".join(lines) + "\n"


def kind_of(value: Any) -> int:
    """Return the type of an input's or output's numbers; 0 of what is no tensor."""
    return value.type.tensor_type.elem_type


def tensor(kind: str, value: Any, free: bool) -> list[str]:
    """Return the lines of an input or output; an axis of no fixed size is -1. free: the batch is no part of it."""
    own = value.type.tensor_type
    dims = [dim.dim_value or -1 for dim in own.shape.dim][int(free) :]
    # Of one number for each image Triton wants one axis, which the model then has not.
    shape, scalar = (dims, "") if dims else ([1], " reshape: { shape: [ ] }")
    each = (
        f"name: {quoted(value.name)} data_type: {TYPES[kind_of(value)]} dims: [ {', '.join(map(str, shape))} ]{scalar}"
    )
    return [f"{kind} [", f"  {{ {each} }}", "]"]


def quoted(name: str) -> str:
    """Return a name as a string of protobuf's text format, which has JSON's escapes but for those of letters."""
    return json.dumps(name, ensure_ascii=False)
