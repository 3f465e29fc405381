"""Convert a user's bound ONNX file from float32 to another precision, for runtimes whose precision is the file's."""

import traceback
from typing import Any

from speedgrid import InputError
from speedgrid.launcher.outputs import one_line, replacing, unmade
from speedgrid.launcher.reading import read_json, read_onnx


def attempt(source: str, about: str, precision: str, output: str) -> dict[str, Any]:
    """Return the description of a converted file; where there is none, `output` is empty, and its reason says why.

    about: the description of `source`, whose status and reason are passed on where there is no such file.
    """
    described = read_json(about, dict)
    if described["status"] != "ok":
        return unmade(output, described["reason"], described["status"])
    if precision != "fp16":
        return unmade(
            output, f"nothing here converts ONNX files to {precision}; give one in {precision}", "unsupported"
        )
    try:
        convert(source, output)
    except InputError:
        raise
    except Exception as error:
        traceback.print_exc()
        return unmade(output, f"ONNX conversion: {one_line(error)}")
    return {name: described[name] for name in ("status", "reason", "batch", "opset")} | {"converted": "float16"}


def convert(source: str, output: str) -> None:
    """Write an ONNX file with tensors of float16, inputs and outputs too, where its operators have them.

    By ONNX Runtime's own converter, which leaves operators in float32 that have no float16
    (https://onnxruntime.ai/docs/performance/model-optimizations/float16.html).
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(read_onnx(source), keep_io_types=False)
    with replacing(output) as temporary:
        onnx.save(model, str(temporary))
