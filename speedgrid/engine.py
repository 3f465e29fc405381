"""Compile a Torch-TensorRT engine of one static shape and save it, so that a second run compiles nothing."""

import time
from hashlib import sha256
from pathlib import Path

from speedgrid import environment
from speedgrid.build import attempt
from speedgrid.grid import Cell
from speedgrid.precision import torch_dtype


def build(cell: Cell, device: str, model: str, weights: str, output: str) -> dict:
    """Compile the engine of a cell into `output` and return the build record (see speedgrid.build)."""
    # Full TensorRT times kernels while it builds; TensorRT-RTX does not.
    alone = "torch-tensorrt" in environment.versions(("torch-tensorrt",))
    return attempt(
        cell, device, output, lambda: compile_engine(cell, model, weights, output, timing_cache(output)), alone
    )


def timing_cache(output: str) -> str:
    """Return the file that builds of this GPU and TensorRT version share (TensorRT-RTX has no timing cache)."""
    key = sha256(environment.fingerprint(environment.describe("cuda"), "torch_tensorrt").encode()).hexdigest()[:12]
    return str(Path(output).parent / f"timing-{key}.cache")


def compile_engine(cell: Cell, model: str, weights: str, output: str, timing_cache: str) -> dict:
    """Compile `model` with `weights` for the cell's precision and shape and write a TorchScript file to `output`.

    Returns build seconds and the share of the graph's operations that is inside engines. Raises what torch_tensorrt
    raises when it cannot compile.
    """
    import torch
    import torch_tensorrt

    from speedgrid import models

    dtype = torch_dtype(cell.precision)
    module = models.fold_batch_norm(models.load(model, weights)).to("cuda", dtype)
    example = torch.randn(cell.batch_size, 3, cell.resolution, cell.resolution, device="cuda", dtype=dtype)
    started = time.perf_counter()
    with torch.no_grad():
        program = torch.export.export(module, (example,), strict=False)
        compiled = torch_tensorrt.dynamo.compile(
            program,
            arg_inputs=[example],
            min_block_size=1,
            disable_tf32=cell.precision == "fp32",
            num_avg_timing_iters=8,
            timing_cache_path=timing_cache,
            cache_built_engines=False,
            reuse_cached_engines=False,
        )
    build_seconds = time.perf_counter() - started
    whole = calls(program.graph)
    del program
    names = [name for name, _ in compiled.named_children()]
    outside = sum(calls(part.graph) for name, part in compiled.named_children() if name.startswith("_run_on_gpu"))
    torch_tensorrt.save(compiled, output, output_format="torchscript", arg_inputs=[example])
    return {
        "build_seconds": round(build_seconds, 3),
        "engines": sum(name.startswith("_run_on_acc") for name in names),
        "torch_parts": sum(name.startswith("_run_on_gpu") for name in names),
        "coverage_percent": 100 * max(0.0, 1 - outside / whole),
        "engine_mb": round(Path(output).stat().st_size / 1e6, 3),
    }


def calls(graph) -> int:
    """Return how many operations a torch.fx graph calls."""
    return sum(node.op == "call_function" for node in graph.nodes)
