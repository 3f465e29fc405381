"""What a user's ONNX file asks for: its inputs, and what the configuration says of them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from speedgrid.data.inputs import AXES, Bound, Input
from speedgrid.data.resolution import Resolution
from speedgrid.launcher.reading import FileError, reason
from speedgrid.model.described import Origin
from speedgrid.model.sources.onnx_file import OnnxFile
from speedgrid.model.sources.source import ModelError

BATCH = AXES[0]
# Types of tensors that a session here is fed, by the name that numpy gives them.
TYPES = {"float32", "float16", "float64", "uint8", "int8", "int32", "int64", "bool"}


class RefusedError(RuntimeError):
    """A file that cannot serve cells; the message is the reason that they show, as unsupported."""


@dataclass(frozen=True)
class Given:
    """One input of a file: its name, its dimensions as numbers, names or None, and its type."""

    name: str
    dims: list[int | str | None]
    dtype: str

    def __str__(self) -> str:
        dims = ", ".join("?" if one is None else str(one) for one in self.dims)
        return f"{self.name} [{dims}] {self.dtype}"


def read(source: OnnxFile) -> onnx.ModelProto:
    """Return the model in the user's file, with the tensors that lie beside it. Raises FileError."""
    source.require()
    try:
        return onnx.load(source.path)
    except MemoryError:
        raise
    except Exception as error:
        raise FileError(f"{source.path} cannot be read as ONNX ({reason(error)}); export the model again.") from None


def opset_of(model: onnx.ModelProto) -> int | None:
    """Return the version of the standard operators that a model is written in."""
    return next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), None)


def refuse_version(source: OnnxFile, model: onnx.ModelProto) -> None:
    """Raise RefusedError for a file that is newer than the ONNX that is installed here, FileError for an empty one."""
    if not model.graph.node:
        raise FileError(f"{source.path} has no nodes, and so is no ONNX model; export the model again.")
    opset, known = opset_of(model), onnx.defs.onnx_opset_version()
    for what, has, most in (("IR version", model.ir_version, onnx.IR_VERSION), ("opset", opset, known)):
        if has and has > most:
            raise RefusedError(
                f"the file is of ONNX {what} {has}, and onnx {onnx.__version__} here reads up to {most}; update onnx, "
                "or convert the file with onnx.version_converter"
            )


def drop_default_inputs(model: onnx.ModelProto) -> None:
    """Take initializers out of a model's inputs, where files before IR version 4 list them too.

    There a caller might replace them, so that no runtime folds them, and ONNX Runtime warns of each.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    weights |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    kept = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 4)


def describe(value: onnx.ValueInfoProto) -> Given:
    """Return an input with its dimensions. Dimensions that say nothing, such as -1 and "?", are None."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise RefusedError(f"its input {value.name} is no tensor")
    dims: list[int | str | None] = []
    for dim in tensor.shape.dim:
        named = dim.dim_param if dim.dim_param.strip("? ") else None
        dims.append(dim.dim_value if dim.dim_value > 0 else named)
    dtype = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    dtype = {"float": "float32", "double": "float64"}.get(dtype, dtype)
    if dtype not in TYPES:
        raise RefusedError(f"its input {value.name} is of {dtype}, which is not fed here")
    return Given(value.name, dims, dtype)


def refuse_unknown(source: OnnxFile, given: list[Given], declared: dict[str, Input]) -> None:
    """Raise ModelError for an input that the configuration has and the file has not, or has otherwise."""
    by_name = {one.name: one for one in given}
    for name, said in declared.items():
        if name not in by_name:
            raise ModelError(
                f"config key models has the input {name!r} for {source.name!r}, and {source.path} has no such input; "
                f"it has {shown(given)}."
            )
        has = by_name[name]
        if said.shape is not None and len(said.shape) != len(has.dims):
            raise ModelError(
                f"config key models has the shape {list(said.shape)} for the input {name!r} of {source.name!r}; "
                f"{source.path} has {has}, which is of {len(has.dims)} axes."
            )
        if said.dtype is not None and said.dtype != has.dtype:
            raise ModelError(
                f"config key models has the dtype {said.dtype} for the input {name!r} of {source.name!r}; "
                f"{source.path} has {has}."
            )


def shown(given: list[Given]) -> str:
    """Return the inputs of a file in words."""
    return ", ".join(map(str, given)) or "no inputs"


def bound_input(source: OnnxFile, one: Given, said: Input | None, size: tuple[int, int], given: list[Given]) -> Bound:
    """Return an input with a number for each axis but the batch. Raises ModelError for an axis that nobody names."""
    sizes: dict[int | str | None, int] = dict(zip(AXES[1:], size, strict=True))
    wanted = list(said.shape) if said and said.shape else one.dims
    shape: list[int | str] = []
    for has, axis in zip(one.dims, wanted, strict=True):
        if axis in sizes:
            shape.append(sizes[axis])
        elif axis == BATCH or isinstance(axis, int):
            shape.append(axis)
        else:
            raise ModelError(free(source, one, has, given))
    if not shape:
        raise RefusedError(f"its input {one} has no axis for images")
    if not (said and said.shape):
        refuse_fixed_size(one, size)
    return Bound(one.name, shape, one.dtype)


def free(source: OnnxFile, one: Given, axis: object, given: list[Given]) -> str:
    """Return the sentence on an axis that has no number, with the line of the configuration that would give it one."""
    names = [*AXES[:1], 3, *AXES[1:]] if len(one.dims) == 4 else [*AXES[:1], *["NUMBER"] * 3]
    has = [dim if isinstance(dim, int) else name for dim, name in zip(one.dims, names, strict=False)]
    return (
        f"{source.path} leaves the axis {'?' if axis is None else axis} of its input {one.name!r} open (it has "
        f"{shown(given)}); name the axes in the entry {source.name!r} of models, as inputs: {{{one.name!r}: {{shape: "
        f"[{', '.join(map(str, has))}]}}}}, or with numbers."
    )


def refuse_fixed_size(one: Given, size: tuple[int, int]) -> None:
    """Raise RefusedError for an image whose size the file fixes, and not to that of the grid."""
    if len(one.dims) != 4:
        return
    places = (2, 3) if one.dims[1] in (1, 3) else (1, 2)
    for name, place, wanted in zip(AXES[1:], places, size, strict=True):
        if isinstance(has := one.dims[place], int) and has != wanted:
            axes = [BATCH, *(dim if isinstance(dim, int) else "NUMBER" for dim in one.dims[1:])]
            for axis, at in zip(AXES[1:], places, strict=True):
                axes[at] = axis
            raise RefusedError(
                f"the file fixes {name} = {has}; where the model takes other sizes, inputs: {{{one.name!r}: {{shape: "
                f"[{', '.join(map(str, axes))}]}}}} opens it"
            )


def is_reopened(one: Given, new: Bound) -> bool:
    """Say whether an axis that the file fixes was given another number, or the name of the batch."""
    return any(isinstance(has, int) and has != axis for has, axis in zip(one.dims, new.shape, strict=True))


def origin(source: OnnxFile, resolution: Resolution, described: dict[str, Any]) -> Origin:
    """Return the origin of a file's weights: itself, with its SHA-256 and those of the files with its tensors."""
    model = onnx.load(source.path)
    sums = {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in (source.path, *source.external())}
    outputs = described.get("outputs") or [{"shape": [0]}]
    return {
        "model": source.name,
        "resolution": resolution,
        "source": source.path,
        "own": True,
        "trained": None,
        "sha256": sums.pop(source.path),
        "parameters": int(sum(np.prod(one.dims, dtype=np.int64) for one in model.graph.initializer)),
        "classes": outputs[0]["shape"][-1],
        "external": sums,
    }
