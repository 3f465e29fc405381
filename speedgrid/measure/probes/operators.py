"""Where the time of a call on the CPU goes: its operators with their times, as the runtime's own profiler gives them.

ONNX Runtime and OpenVINO profile what was opened for it, so each has a second session of the same file, with the same
options and threads; PyTorch profiles the very session that was timed. Profiling costs a call some of its speed: times
are shares of the calls that were profiled, and no latency. What CUDA kernels take is a probe of its own
(speedgrid.measure.probes.kernels).
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from speedgrid.backends.variants import VARIANTS
from speedgrid.launcher.outputs import one_line
from speedgrid.launcher.reading import load
from speedgrid.measure import probes
from speedgrid.record import Record

ORDER, WITH_TIMING = 40, False  # last: a second session is opened
# It has no columns: what it saw is a section of the report (speedgrid.table.operators).
COLUMNS, AFTER = (), "kernels"
SENTENCE = "Operators of a call on the CPU are those of its runtime's own profiler."
# Calls that are profiled, after as many that warm up.
CALLS = 3
# Times in ms of all calls together, by the name of the operator and its type.
Times: TypeAlias = dict[tuple[str, str], float]


def asked(cell, turn, device, timing, control) -> bool:
    """Whether a timing asks for them: in the first round, at the control cell's place, since once is enough."""
    at = (cell.resolution, cell.batch_size) == (control.resolution, control.batch_size)
    return device == "cpu" and turn == "round1" and at


def measure(session, context: probes.Context) -> dict[str, Any] | None:
    """Return `call_ms`, the time of a profiled call, and its `operators`, each name, type and ms, the longest first.

    None where the runtime has no profiler that is known here. A profiler that fails costs a cell nothing: then `error`
    says why.
    """
    variant = VARIANTS.get(context.asked.cell.backend)
    profile = PROFILERS.get(variant.module) if variant else None
    if profile is None:
        return None
    try:
        seconds, times = profile(session, context)
    except Exception as error:
        return {"call_ms": None, "operators": [], "error": one_line(error)}
    longest = sorted(times.items(), key=lambda item: -item[1])
    found = [{"name": name, "type": kind, "ms": ms / CALLS} for (name, kind), ms in longest if ms > 0]
    return {"call_ms": 1000 * seconds / CALLS, "operators": found}


def of_openvino(session, context: probes.Context) -> tuple[float, Times]:
    """Return the seconds and the times of CALLS calls: one request of a model that is compiled to count."""
    import openvino

    core = openvino.Core()
    model = core.read_model(context.artifact)
    model.reshape({port: list(one.shape) for port, one in zip(model.inputs, session.inputs.values(), strict=True)})
    request = core.compile_model(model, "CPU", session.details["hints"] | {"PERF_COUNT": True}).create_infer_request()
    for number, one in enumerate(session.inputs.values()):
        request.set_input_tensor(number, openvino.Tensor(one, shared_memory=True))
    seconds, times = 0.0, Times()
    for number in range(2 * CALLS):
        started = time.perf_counter()
        request.infer()
        if number >= CALLS:
            seconds += time.perf_counter() - started
            for one in request.profiling_info:
                key = (one.node_name, one.node_type)
                times[key] = times.get(key, 0.0) + 1000 * one.real_time.total_seconds()
    return seconds, times


def of_onnxruntime(session, context: probes.Context) -> tuple[float, Times]:
    """Return the seconds and the times of CALLS calls: the last ones of a session that writes a trace."""
    import onnxruntime

    from speedgrid.backends.onnxruntime import PROVIDERS, session_options

    options = session_options(session.cell.batch_size, context.asked.cpu_threads)
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder, "profile"))
        profiled = onnxruntime.InferenceSession(
            context.artifact, options, providers=[PROVIDERS["cpu"]], enable_fallback=0
        )
        for _ in range(2 * CALLS):
            profiled.run(None, session.inputs)
        return of_trace(load(Path(profiled.end_profiling())))


def of_trace(events: list[dict[str, Any]]) -> tuple[float, Times]:
    """Return the seconds and the times of the last CALLS calls in a trace of ONNX Runtime's (in µs)."""
    calls = [one for one in events if one["name"] == "model_run"][-CALLS:]
    times: Times = defaultdict(float)
    for one in events:
        if one.get("cat") == "Node" and one["name"].endswith("_kernel_time") and one["ts"] >= calls[0]["ts"]:
            times[one["name"].removesuffix("_kernel_time"), one["args"]["op_name"]] += one["dur"] / 1000
    return sum(one["dur"] for one in calls) / 1e6, dict(times)


def of_torch(session, context: probes.Context) -> tuple[float, Times]:
    """Return the seconds and the times of CALLS calls of the session itself, each operator without those it calls."""
    from torch.profiler import ProfilerActivity, profile

    with session.active():
        for _ in range(CALLS):
            session.run()
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            started = time.perf_counter()
            for _ in range(CALLS):
                session.run()
            seconds = time.perf_counter() - started
    return seconds, {(one.key, one.key): one.self_cpu_time_total / 1000 for one in profiler.key_averages()}


# By the modules of backends. What Inductor compiled is one function to PyTorch's profiler.
PROFILERS = {
    "openvino": of_openvino,
    "onnxruntime": of_onnxruntime,
    "pytorch": of_torch,
    "pytorch_fused": of_torch,
}


def columns(records: list[Record], row: dict[str, Any]) -> dict[str, Any]:
    """Return no columns: the operators are a section of the report."""
    return {}


def checks(line: dict[str, Any]) -> Iterable[str]:
    """Operators are no figures of the table; nothing of a row contradicts them."""
    return ()
