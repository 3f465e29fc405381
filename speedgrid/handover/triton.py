"""A model repository of NVIDIA's Triton server beside what is handed over: an ONNX file, served as it was measured.

https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html and
https://github.com/triton-inference-server/onnxruntime_backend, which names the parameters.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from speedgrid.handover.winner import HandoverError
from speedgrid.launcher.outputs import replacing
from speedgrid.launcher.reading import read_json

# Names that Triton gives to the types of tensors.
TYPES = {
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.FLOAT16: "TYPE_FP16",
    TensorProto.BFLOAT16: "TYPE_BF16",
    TensorProto.DOUBLE: "TYPE_FP64",
    TensorProto.UINT8: "TYPE_UINT8",
    TensorProto.INT8: "TYPE_INT8",
    TensorProto.INT32: "TYPE_INT32",
    TensorProto.INT64: "TYPE_INT64",
    TensorProto.BOOL: "TYPE_BOOL",
}


def add(folder: Path) -> Path:
    """Write the repository `triton` into a folder that was handed over, and return its configuration.

    The model lies there under a second name and takes no room twice, as far as the file system has such names. Raises
    HandoverError where the folder is none, or another runtime than ONNX Runtime won.
    """
    if not (folder / "model.json").is_file():
        raise HandoverError(f"{folder} has no model.json; it must be a folder that make deploy wrote.")
    about = read_json(folder / "model.json", dict)
    if not about["backend"].startswith("onnxruntime") or not about["file"].endswith(".onnx"):
        raise HandoverError(
            f"{folder} is for {about['backend']}, and nothing here writes a Triton repository for it; take the "
            "backends other than onnxruntime out of the grid to have one."
        )
    repository, file = folder / "triton", folder / about["file"]
    with replacing(repository) as whole:
        (whole / about["model"] / "1").mkdir(parents=True)
        try:
            (whole / about["model"] / "1" / "model.onnx").hardlink_to(file)
        except OSError:
            shutil.copyfile(file, whole / about["model"] / "1" / "model.onnx")
        text = config(about, onnx.load(str(file), load_external_data=False))
        (whole / about["model"] / "config.pbtxt").write_text(text, encoding="utf-8")
        if repository.exists():
            shutil.rmtree(repository)
    return repository / about["model"] / "config.pbtxt"


def config(about: dict[str, Any], model: onnx.ModelProto) -> str:
    """Return config.pbtxt of an ONNX file, in protobuf's text format. about: the content of model.json.

    Where the file leaves the batch open, Triton may join requests up to the batch size that was measured; one that it
    fixes is a part of the shapes.
    """
    weights = {one.name for one in model.graph.initializer}
    given = [one for one in model.graph.input if one.name not in weights]
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


def tensor(kind: str, value: Any, free: bool) -> list[str]:
    """Return the lines of an input or output; an axis of no fixed size is -1. free: the batch is no part of it."""
    own = value.type.tensor_type
    dims = [dim.dim_value or -1 for dim in own.shape.dim][int(free) :]
    # Of one number for each image Triton wants one axis, which the model then has not.
    shape, scalar = (dims, "") if dims else ([1], " reshape: { shape: [ ] }")
    each = (
        f"name: {quoted(value.name)} data_type: {TYPES[own.elem_type]} dims: [ {', '.join(map(str, shape))} ]{scalar}"
    )
    return [f"{kind} [", f"  {{ {each} }}", "]"]


def quoted(name: str) -> str:
    """Return a name as a string of protobuf's text format, which has JSON's escapes but for those of letters."""
    return json.dumps(name, ensure_ascii=False)
