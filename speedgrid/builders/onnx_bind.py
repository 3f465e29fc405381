"""Bind a user's ONNX file to a resolution of the grid: one file for all backends, with its batch named or fixed.

What the file leaves open must be named by the configuration; what it fixes restricts the grid, unless the configuration
opens it again.
"""

import traceback
from collections import Counter
from typing import Any

import numpy as np
import onnx

from speedgrid import InputError
from speedgrid.data import inputs as made
from speedgrid.data.inputs import Bound, Input
from speedgrid.evidence import onnx_answers
from speedgrid.launcher.outputs import one_line, replacing, unmade
from speedgrid.launcher.reading import reason
from speedgrid.model import onnx_inputs
from speedgrid.model.onnx_inputs import BATCH, RefusedError
from speedgrid.model.sources.onnx_file import OnnxFile
from speedgrid.model.sources.source import ModelError

# Of the images that a file is tried with.
SEED = 0


def attempt(source: OnnxFile, size: tuple[int, int], output: str) -> dict[str, Any]:
    """Return the description of a bound file, as of `bind`, with `status` ok and an empty `reason`.

    A file that cannot serve this size leaves an empty `output`; the cells that need it show status and reason. Raises
    ModelError for what the configuration must say, FileError for a file that is none.
    """
    try:
        return {"status": "ok", "reason": ""} | bind(source, size, output)
    except InputError:
        raise
    except RefusedError as error:
        return unmade(output, str(error), "unsupported")
    except Exception as error:
        traceback.print_exc()
        return unmade(output, f"ONNX file: {one_line(error)}")


def bind(source: OnnxFile, size: tuple[int, int], output: str) -> dict[str, Any]:
    """Write the model with numbers for its height and width and a batch that is named or fixed; return what it is.

    size: height and width in pixels. Returns `batch` (None where any is taken), `inputs` and `outputs` (name, shape,
    dtype), the file's `ir_version` and `opset`, its `nodes`, and which inputs were `reopened`.
    """
    model = onnx_inputs.read(source)
    onnx_inputs.refuse_version(source, model)
    onnx_inputs.drop_default_inputs(model)
    given = [onnx_inputs.describe(value) for value in model.graph.input]
    declared = {one.name: one for one in source.inputs}
    onnx_inputs.refuse_unknown(source, given, declared)
    bound = [onnx_inputs.bound_input(source, one, declared.get(one.name), size, given) for one in given]
    reopened = [one.name for one, new in zip(given, bound, strict=True) if onnx_inputs.is_reopened(one, new)]
    rebind(model, bound, infer=bool(reopened))
    batches = {one.shape[0] for one in bound}
    if len(batches) > 1:
        raise ModelError(f"{source.path} has inputs of several batch sizes: {onnx_inputs.shown(given)}.")
    fixed = next(iter(batches))
    outputs = find_outputs(source, model, bound, declared, reopened)
    with replacing(output) as temporary:
        onnx.save(model, str(temporary))
    return {
        "batch": None if fixed == BATCH else fixed,
        "inputs": [vars(one) for one in bound],
        "outputs": outputs,
        "ir_version": model.ir_version,
        "opset": onnx_inputs.opset_of(model),
        "nodes": dict(Counter(node.op_type for node in model.graph.node)),
        "reopened": reopened,
    }


def rebind(model: onnx.ModelProto, bound: list[Bound], infer: bool) -> None:
    """Give a model's inputs their shapes; where an axis was opened, those within are forgotten and found anew."""
    for value, one in zip(model.graph.input, bound, strict=True):
        for dim, axis in zip(value.type.tensor_type.shape.dim, one.shape, strict=True):
            dim.Clear()
            if isinstance(axis, int):
                dim.dim_value = axis
            else:
                dim.dim_param = axis
    if infer:
        del model.graph.value_info[:]


def find_outputs(
    source: OnnxFile, model: onnx.ModelProto, bound: list[Bound], declared: dict[str, Input], reopened: list[str]
) -> list[dict[str, Any]]:
    """Return the outputs of a model with their shapes, and write these into it: the model is run to see them.

    Raises RefusedError where it does not run so, or an output's first axis is not the image.
    """
    free_batch = bound[0].shape[0] == BATCH
    found: list[dict[str, np.ndarray]] = []
    for count in (1, 2) if free_batch else (int(bound[0].shape[0]),):
        images = np.random.default_rng(SEED).standard_normal((count, 3, 32, 32), np.float32)
        rows = made.made(bound, declared, images, SEED)
        for value in model.graph.output:  # as the file has them, they may contradict the new shapes
            value.type.tensor_type.ClearField("shape")
        try:
            found.append(onnx_answers.run(model.SerializeToString(), {one.name: rows[one.name] for one in bound}))
        except Exception as error:
            if isinstance(error, InputError):
                raise
            opened = f"opened at {', '.join(reopened)}, " if reopened else ""
            raise RefusedError(f"the file {opened}does not run on {count} images ({reason(error)})") from error
    return [settle_output(value, [one[value.name] for one in found], free_batch, bound) for value in model.graph.output]


def settle_output(
    value: onnx.ValueInfoProto, found: list[np.ndarray], free_batch: bool, bound: list[Bound]
) -> dict[str, Any]:
    """Return an output's name, shape and dtype, and write the shape into the model. Raises RefusedError."""
    counts = (1, 2) if free_batch else (int(bound[0].shape[0]),)
    shapes = [list(one.shape) for one in found]
    if any(not one or one[0] != count for one, count in zip(shapes, counts, strict=True)) or any(
        one[1:] != shapes[0][1:] for one in shapes
    ):
        raise RefusedError(
            f"the output {value.name} is {' and '.join(map(str, shapes))} for {' and '.join(map(str, counts))} images; "
            "the first axis of every output must be the image, and the others of one size"
        )
    shape: list[int | str] = [BATCH if free_batch else counts[0], *shapes[0][1:]]
    tensor = value.type.tensor_type
    tensor.elem_type = onnx.helper.np_dtype_to_tensor_dtype(found[0].dtype)
    tensor.ClearField("shape")
    tensor.shape.SetInParent()
    for axis in shape:
        dim = tensor.shape.dim.add()
        if isinstance(axis, int):
            dim.dim_value = axis
        else:
            dim.dim_param = axis
    return {"name": value.name, "shape": shape, "dtype": str(found[0].dtype)}
