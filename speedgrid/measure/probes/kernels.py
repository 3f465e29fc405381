"""Which arithmetic a session's CUDA kernels do, as far as their names say: a witness beside the error of its answers.

NVIDIA's libraries put the types that a kernel multiplies into its name. What is not in a name is not guessed: kernels
that a compiler generated, transforms around a product (Winograd, layouts, split-K sums), and arithmetic that is none
of the grid's precisions (float64, complex, float16 tensors in float32 arithmetic, E5M2) say nothing.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from speedgrid.launcher.outputs import one_line
from speedgrid.measure import probes
from speedgrid.record import Record
from speedgrid.text.column import NONE, TEXT, Column
from speedgrid.text.language import N_

ORDER, WITH_TIMING = 30, False  # last: launches can stay slower once CUPTI is in use
COLUMNS = (
    Column(
        "kernels",
        TEXT,
        NONE,
        None,
        N_("precisions of kernels"),
        "Precisions that the names of the GPU's kernels show, of one call looked at with a profiler after the timing.",
    ),
)
# The column that they follow.
AFTER = "quantised_nodes"
SENTENCE = N_("`kernels` is in which precision CUDA kernels multiply, as far as their names say.")

TYPES = {"tf32": "tf32", "bf16": "bf16", "f16": "fp16", "fp16": "fp16", "f32": "fp32", "i8": "int8", "e4m3": "fp8"}
# Shapes of tensor-core instructions, e.g. 16 x 8 x 16, for float16 and bfloat16; 16 x 8 x 8 is for TF32 too.
SHAPES = r"(?:884|1688|16816|161616)"
# How names of CUTLASS 3 begin, up to the types: sometimes with the accumulator and the shape of the instruction.
CUTLASS_3 = (
    r"cutlass3x_sm\d+_tensorop_(?:[shi]\d+x\d+x\d+)?"
    r"(?:tf32)?(?:gemm|implicit_gemm_[a-z]+|_conv\dd_[a-z]+_weight_stationary_nq_2d_tiled)_"
)
# What a name must contain, and what it then means; where there is no meaning, the type that was found says it. The
# names are those of cuDNN 9.24, cuBLAS 13.1 and TensorRT-RTX 1.6, and of profiles that people published.
PATTERNS = (
    # XMMA, in cuDNN, cuBLAS and TensorRT: type of the tensors, type multiplied and accumulated, type of the output,
    # e.g. sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_...
    (re.compile(r"xmma_\w*_(?:tf32|bf16|f16|f32){2}_(tf32|bf16|f16|f32)f(?:32|16)_f(?:32|16)_"), None),
    # The same with integers, whose sums are int32, and with float8 (E4M3).
    (re.compile(r"xmma_\w*_i8(?:i8|i32|f16|f32|bf16)_(i8)i32_(?:f|i)32_"), None),
    (re.compile(r"xmma_\w*_e4m3(?:e4m3|bf16|f16|f32)_(e4m3)f(?:32|16)_f32_"), None),
    # CUTLASS 2, cuBLAS and cuDNN, on tensor cores and without.
    (re.compile(r"(?<![a-z\d])i(?:8816|16832|161616)(?:gemm|cudnn)_(?:int8|s8)_"), "int8"),
    (re.compile(r"(?:volta|turing|ampere)_igemm_int8_"), "int8"),
    # CUTLASS 2 and cuBLAS: accumulator (s: float32, h: float16), instruction, operation; the type stands before or
    # after. https://docs.nvidia.com/cutlass/media/docs/cpp/profiler.html#gemm-procedural-names
    (re.compile(rf"(?<![a-z\d])(bf16|f16|fp16)_s{SHAPES}[a-z]"), None),
    (re.compile(rf"(?<![a-z])s{SHAPES}[a-z][a-z_]*_(tf32|bf16|f16|fp16)_"), None),
    (re.compile(rf"(?<![a-z])h{SHAPES}(?:gemm|fprop|cudnn)_"), "fp16"),
    # Its products of float32 tensors on tensor cores name no type: 16 x 8 x 8 of 4-byte numbers is TF32.
    (re.compile(r"cutlass_(?:8|9|1\d)\d_tensorop_s1688gemm_(?:[a-z]+_)*\d+x\d+_"), "tf32"),
    # CUTLASS 3: both factors, then the accumulator; float32 on tensor cores is TF32.
    (re.compile(CUTLASS_3 + r"(tf32|bf16|f16)_\1_f(?:32|16)_"), None),
    (re.compile(CUTLASS_3 + r"f32_f32_f32_"), "tf32"),
    (re.compile(CUTLASS_3 + r"(e4m3)_e4m3_f(?:32|16)_"), None),
    (re.compile(CUTLASS_3 + r"s8_s8_s32_"), "int8"),
    # cuBLAS's kernels for Hopper and later: types of the factors, of the sum and of the output, as letters.
    (re.compile(r"nvjet_(?:sm\d+_)?h[a-z]{2}_\d"), "fp16"),
    (re.compile(r"nvjet_(?:sm\d+_)?t[a-z]{2}_\d"), "bf16"),
    (re.compile(r"nvjet_(?:sm\d+_)?s[a-z]{2}_tf32_\d"), "tf32"),
    # Without tensor cores: cuBLAS, cuDNN (fused Winograd among them), CUTLASS.
    (re.compile(r"(?:maxwell|volta|turing|ampere)_s(?:gemm|cudnn(?:_winograd)?)_\d"), "fp32"),
    (re.compile(r"(?:maxwell|volta|turing|ampere)_h(?:gemm|cudnn(?:_winograd)?)_\d"), "fp16"),
    (re.compile(r"simt_sgemm_(?!b?f16)"), "fp32"),
    (re.compile(r"(?:implicit|explicit|precomputed)_convolve_sgemm<float, (?:float|int|long)"), "fp32"),
    (re.compile(r"convolve_common_engine_float_NHWC<float, float,"), "fp32"),
    (re.compile(r"grouped_direct_kernel<[^>]*\bint, (?:float, ){5}float>"), "fp32"),
)


def asked(cell, turn, device, timing, control) -> bool:
    """Whether a timing asks for them: in the first round, at one batch size, since a profiler takes its time."""
    return device == "cuda" and turn == "round1" and cell.batch_size == control.batch_size


def measure(session, context: probes.Context) -> dict[str, Any]:
    """Return `ms`, as of `names`, of the kernels of one call, as plain JSON values.

    A profiler that fails costs a cell nothing: then `error` says why.
    """
    try:
        return {"ms": names(session)}
    except Exception as error:
        return {"ms": {}, "error": one_line(error)}


def names(session) -> dict[str, float]:
    """Run `session` once and return its CUDA kernels: the time of each on the device in ms by name, longest first.

    Every kernel of this process counts, whichever library launched it (CUPTI, through torch.profiler). The session must
    be on CUDA and have been fed and run. To be called after timing: launches can stay slower once CUPTI is in use.
    """
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    session.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler, session.active():
        session.run()
        session.synchronize()
    found: dict[str, float] = {}
    for event in profiler.events():
        if event.device_type == DeviceType.CUDA and not event.name.startswith(("Memcpy", "Memset")):
            found[event.name] = found.get(event.name, 0.0) + event.self_device_time_total / 1000
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def columns(records: list[Record], row: dict[str, Any]) -> dict[str, str | None]:
    """Return the precisions that the names say, in one text."""
    found = {precision for one in probes.seen(records, "kernels") for precision in evidence(one["ms"])}
    return {"kernels": ", ".join(sorted(found)) or None}


def checks(line: dict[str, Any]) -> Iterator[str]:
    """Names of kernels are a witness beside the error of the answers; the report says where the two do not agree."""
    yield from ()


def evidence(names: Iterable[str]) -> set[str]:
    """Return the precisions in which kernels of these names multiply; empty if no name says one."""
    return {precision for name in names if (precision := _precision(name))}


def _precision(name: str) -> str | None:
    for pattern, meaning in PATTERNS:
        if match := pattern.search(name):
            return meaning or TYPES[match[1]]
    return None
