"""What is in a checkpoint, read as plain data: torch's restricted unpickler, and the safetensors format."""

import itertools
import json
import math
import pickle
import re
import shlex
import warnings
from pathlib import Path
from typing import Any

import torch

from speedgrid.launcher.reading import reason, short
from speedgrid.model.checkpoint import WeightsError, inert, kinds
from speedgrid.model.checkpoint.kinds import CUT, advice

# Types of the safetensors format, https://github.com/huggingface/safetensors#format.
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
LARGEST_HEADER = 100_000_000  # of the format


def read(path: str | Path, model_bytes: float = float("inf")) -> Any:
    """Return the content of a checkpoint; no code in it can run, and what training scripts add as data is left out.

    model_bytes: of its model in float32. Raises WeightsError, one sentence, for a file that is none, that is damaged,
    or that holds Python objects.
    """
    kind = kinds.kind(path, model_bytes)
    if kind == "safetensors":
        return safetensors(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # on the protocol of a pickle
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        objects = isinstance(error, pickle.UnpicklingError)
        if objects and inert.known(path):
            return inert.load(path)
        if kind == "pickle" and (inert.cut_off(path) or not objects):
            # Not what torch advises, which is to let the file run its code.
            own = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
            why = reason(own[1] if own else error)
            raise WeightsError(f"{path} is not a readable PyTorch checkpoint ({why}): {CUT}.") from error
        if objects:
            raise WeightsError(with_objects(path)) from error
        raise WeightsError(f"{path} is not a readable PyTorch checkpoint ({reason(error)}); {advice(path)}.") from error


def with_objects(path: str | Path) -> str:
    """Return the sentence on a checkpoint with Python objects, and with the command that takes its weights out."""
    refused = "which could run code and are refused"
    alone = "save the weights alone, with torch.save(model.state_dict(), path)"
    try:
        content = inert.load(path)
    except Exception:
        return f"{path} holds pickled Python objects, {refused}; {alone}."
    names = inert.names(path)
    listed = f" ({', '.join(names[:3])}{' and more' if len(names) > 3 else ''})" if names else ""
    command = shlex.join(["python", "-m", "scripts.plain_weights", str(path)])
    what = "is a whole model, of" if isinstance(content, inert.Inert) else "holds"
    return (
        f"{path} {what} pickled Python objects{listed}, {refused}; {alone}, or run `{command}`, which writes what "
        "weights there are to another file and runs nothing of this one."
    )


def safetensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors in a file of the safetensors format. Raises WeightsError where it is not what it says."""
    content = Path(path).read_bytes()
    length = int.from_bytes(content[:8], "little")
    if length > min(LARGEST_HEADER, len(content) - 8):
        raise WeightsError(
            f"{path} is a safetensors file whose header has {length:,} bytes, and {max(0, len(content) - 8):,} are "
            f"there: {CUT}."
        )
    try:
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        entries = {str(name): _entry(about) for name, about in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is a safetensors file whose header is none ({reason(error)}): {CUT}.") from None
    stored = memoryview(content)[8 + length :]
    if len(stored) != (last := max((end for *_, end in entries.values()), default=0)):
        raise WeightsError(
            f"{path} is a safetensors file whose header tells of {last:,} bytes of tensors, and {len(stored):,} are "
            f"there: {CUT}."
        )
    places = sorted((begin, end, name) for name, (_, _, begin, end) in entries.items())
    for (_, before, _), (begin, _, name) in itertools.pairwise([(0, 0, ""), *places]):
        if begin != before:  # the format has neither bytes that two tensors share, nor bytes of none
            raise WeightsError(
                f"{path} is a safetensors file whose header has {short(name)} at byte {begin:,}, and the tensor before "
                f"it ends at {before:,}: {CUT}."
            )
    return {name: _tensor(stored[begin:end], dtype, shape) for name, (dtype, shape, begin, end) in entries.items()}


def _entry(about: dict[str, Any]) -> tuple[torch.dtype, list[int], int, int]:
    """Return type, shape and place of a tensor. Raises ValueError or KeyError where they contradict each other."""
    dtype, shape, (begin, end) = DTYPES[about["dtype"]], about["shape"], about["data_offsets"]
    numbers = [*shape, begin, end]
    if not all(isinstance(one, int) and one >= 0 for one in numbers):
        raise ValueError(f"a shape or place has {numbers}")
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{end - begin} bytes for the shape {shape} of {about['dtype']}")
    return dtype, shape, begin, end


def _tensor(stored: memoryview, dtype: torch.dtype, shape: list[int]) -> torch.Tensor:
    if not stored:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(stored), dtype=dtype).reshape(shape)
