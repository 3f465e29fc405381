"""Compile a Torch-TensorRT engine of one static shape and save it, so that a second run compiles nothing."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speedgrid.backends.fingerprint import fingerprint
from speedgrid.builders import modelopt as calibrated
from speedgrid.builders.attempt import Build, attempt
from speedgrid.data import arrays
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import replacing
from speedgrid.machine import environment
from speedgrid.machine.threads import shared_cores
from speedgrid.precision import QUANTISED, torch_dtype

if TYPE_CHECKING:
    import torch


def build(cell: Cell, device: str, model: str, weights: str, output: str, calibration: str | None = None) -> Build:
    """Compile the engine of a cell into `output` and return the build record (see speedgrid.builders.attempt).

    calibration: the images, a .npy file, that a quantised engine takes its ranges from.
    """
    # Full TensorRT times kernels while it builds; TensorRT-RTX does not.
    alone = "torch-tensorrt" in environment.versions(("torch-tensorrt",))
    return attempt(
        cell,
        device,
        output,
        lambda: compile_engine(cell, model, weights, output, timing_cache(output), calibration),
        alone,
    )


def timing_cache(output: str) -> str:
    """Return the file that builds of this GPU and TensorRT version share (TensorRT-RTX has no timing cache)."""
    key = sha256(fingerprint(environment.describe("cuda"), "torch_tensorrt").encode()).hexdigest()[:12]
    return str(Path(output).parent / f"timing-{key}.cache")


@contextmanager
def copied(timing_cache: str) -> Iterator[str]:
    """Yield a copy of a timing cache to be written, which takes its place in the end; others read it meanwhile."""
    with replacing(timing_cache) as copy:
        if Path(timing_cache).exists():
            shutil.copyfile(timing_cache, copy)
        yield str(copy)


def compile_engine(
    cell: Cell, model: str, weights: str, output: str, timing_cache: str, calibration: str | None
) -> Build:
    """Compile `model` with `weights` for the cell's precision and shape and write a TorchScript file to `output`.

    Returns build seconds and the share of the graph's operations that is inside engines. Raises what torch_tensorrt
    raises when it cannot compile.
    """
    import torch

    if cell.precision in QUANTISED:
        import modelopt.torch.quantization  # noqa: F401 (first, for torch_tensorrt to find its operators)
    import torch_tensorrt

    torch.set_num_threads(shared_cores())
    module, costs = prepare(cell.precision, model, weights, calibration)
    examples = examples_of(cell, module)
    started = time.perf_counter()
    with copied(timing_cache) as cache, torch.no_grad(), calibrated.exporting(cell.precision):
        program = torch.export.export(module, tuple(examples), strict=False)
        compiled = torch_tensorrt.dynamo.compile(
            program,
            arg_inputs=examples,
            min_block_size=1,
            disable_tf32=cell.precision == "fp32",
            num_avg_timing_iters=8,
            timing_cache_path=cache,
            cache_built_engines=False,
            reuse_cached_engines=False,
        )
    build_seconds = time.perf_counter() - started
    whole = calls(program.graph)
    del program
    description = describe(compiled, whole, cell.precision)
    with replacing(output) as temporary:
        torch_tensorrt.save(compiled, str(temporary), output_format="torchscript", arg_inputs=examples)
    size = round(Path(output).stat().st_size / 1e6, 3)
    return {"build_seconds": round(build_seconds, 3), **description, **costs, "engine_mb": size}


def examples_of(cell: Cell, module) -> "list[torch.Tensor]":
    """Return zeros on the GPU for the inputs of a cell's module, floats of the type that it has."""
    from speedgrid.model import tensors

    dtype = str(next(module.parameters()).dtype).removeprefix("torch.")
    return [one.zero_() for one in tensors.empty_inputs(cell, "cuda", dtype)]


def describe(compiled, whole: int, precision: str) -> dict[str, Any]:
    """Return how many of a model's `whole` operations are inside engines, and how many execute quantised."""
    parts = dict(compiled.named_children())
    inside = [part for name, part in parts.items() if name.startswith("_run_on_acc")]
    outside = [part for name, part in parts.items() if name.startswith("_run_on_gpu")]
    description: dict[str, Any] = {
        "engines": len(inside),
        "torch_parts": len(outside),
        "coverage_percent": 100 * max(0.0, 1 - sum(calls(part.graph) for part in outside) / whole),
    }
    if precision in QUANTISED:
        description["quantised_nodes"] = calibrated.executed([part.get_layer_info() for part in inside], precision)
    return description


def prepare(
    precision: str, model: str, weights: str, calibration: str | None
) -> "tuple[torch.nn.Module, dict[str, float]]":
    """Return the module to compile, on the GPU, with tensors of the precision; float16 around what is quantised.

    With it comes what is known of its error: `expected_snr_db` of a quantised one.
    """
    from speedgrid.model import modules as models

    module = models.fold_batch_norm(models.load(model, weights))
    if precision in QUANTISED:
        assert calibration is not None, f"{precision} takes its ranges from images"
        quantised, snr_db = calibrated.quantise(module, precision, arrays.read(calibration))
        return quantised, {"expected_snr_db": snr_db}
    return module.to("cuda", torch_dtype(precision)), {}


def calls(graph) -> int:
    """Return how many operations a torch.fx graph calls."""
    return sum(node.op == "call_function" for node in graph.nodes)
