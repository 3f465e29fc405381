"""One measurement: whatever happens becomes a status and a reason."""

import itertools
import json
import os
import re
import runpy
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import EXPECTED, Clock, CornerSession, corner_logits, fake_backend

from speedgrid import record, settings
from speedgrid.backends.session import UnsupportedError
from speedgrid.builders.attempt import attempt
from speedgrid.data.sequence import images
from speedgrid.grid import Cell
from speedgrid.launcher import outputs
from speedgrid.launcher.reading import FileError
from speedgrid.machine import cpu, locks, turns
from speedgrid.machine.threads import physical_cores
from speedgrid.measure import cell as measure
from speedgrid.measure import loading, slices, timing
from speedgrid.measure.loading import Files
from speedgrid.record import Expected
from speedgrid.table.verdict import judge, parity_of

CELL = Cell("none", "fake", "fp32", 32, 2)
OPTIONS = {
    "cpu_threads": 1,
    "warmup_runs": 1,
    "timed_runs": 5,
    "min_seconds": 0,
    "max_seconds": 0.2,
    "target_percent": 1e9,
    "patience_seconds": 0,
}
SETTINGS = {"speed": "high"}
STEPS = ["claim", "describe", "import", "context", "load", "first_call", "queue", "telemetry", "timing", "parity"]


def measure_cell(files, cell=CELL, turn="round1", device="cpu", probes=(), **options):
    return measure.measure_cell(files, measure.asked_of(cell, turn, device, OPTIONS | options, list(probes)))


@pytest.fixture
def backend(monkeypatch):
    """Register a backend named `fake`, whose functions a test replaces."""
    return fake_backend(monkeypatch, lambda cell, device, artifact, options: CornerSession(cell), SETTINGS)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    pictures = images(0, 32, 0, 5)
    np.save(folder / "images.npy", pictures)
    np.save(folder / "logits.npy", corner_logits(pictures))
    outputs.write_json(folder / "expected.json", {"snr_db": EXPECTED, "uneven_db": 3.0})
    names = ("images.npy", "logits.npy", "expected.json")
    pictures, logits, expected = (str(folder / name) for name in names)
    return Files("none", pictures, None, logits, expected)


def raising(error):
    def load(*_):
        raise error

    return load


def test_a_measurement_that_works_is_a_whole_record(backend, files, tmp_path):
    found = measure_cell(files, turn="round2")
    assert (found.status, found.reason, judge(found)) == ("ok", "", ("ok", "", "fp32"))
    assert len(found.host_ms) == 5
    assert found.seen.samples.device_ms == []
    assert (found.cell, found.turn, found.format) == (CELL, "round2", record.FORMAT)
    asked = found.asked
    assert (asked.device, asked.settings, asked.probes) == ("cpu", SETTINGS, [])
    assert {name: getattr(asked, name) for name in OPTIONS} == OPTIONS
    assert found.seen.errors.images == 5
    assert found.seen.expected == Expected(EXPECTED, 3.0)
    assert found.seen.parity is None  # it is made from the errors
    assert list(found.seen.seconds) == STEPS
    assert all(seconds >= 0 for seconds in found.seen.seconds.values())
    assert found.command.startswith("python -m scripts.")
    assert re.fullmatch(r".+ CPUs\), numpy [\d.]+", found.fingerprint)
    assert (found.seen.telemetry, found.seen.probes) == (None, {})
    memory = found.seen.memory
    assert set(memory.readings_mb) == {"baseline", "loaded", "timed"}
    assert (memory.whole_device, memory.other_processes) == (False, None)
    record.write(tmp_path / "one.json", found)
    assert record.read(tmp_path / "one.json") == found


def test_laps_are_the_seconds_between_ends_of_steps(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(loading, "time", clock)
    laps = loading.Laps()
    for step, ms in (("load", 1500), ("timing", 0.26), ("parity", 0)):
        clock.advance(ms)
        laps.end(step)
    assert laps.seconds == {"load": 1.5, "timing": 0.0003, "parity": 0.0}


def test_steps_take_the_time_that_they_took(backend, files, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(loading, "time", clock)

    def load(cell, *_):
        clock.advance(200)
        return CornerSession(cell)

    backend.load = load
    seconds = measure_cell(files).seen.seconds
    assert (seconds["load"], seconds["parity"]) == (0.2, 0)


def test_a_cell_has_the_processor_to_itself_whenever_it_works_and_lets_go_of_it_between_its_turns(
    backend, files, monkeypatch
):
    held, turns = [], []

    def look(logits):
        held.append(not locks.free("cpu"))
        return logits

    taken = cpu.alone
    monkeypatch.setattr(cpu, "alone", lambda: turns.append(locks.free("cpu")) or taken())
    backend.load = lambda cell, *_: CornerSession(cell, spoil=look)
    assert measure_cell(files).status == "ok"
    assert len(held) > 2
    assert all(held)
    # To load, to warm up, for each slice, and for its answers.
    assert len(turns) > 3
    assert all(turns)
    assert locks.free("cpu")
    assert locks.free("cpu-group")


def test_a_cell_that_fails_lets_go_of_the_processor(backend, files):
    def load(*_):
        assert not locks.free("cpu")
        raise RuntimeError("lost")

    backend.load = load
    assert measure_cell(files).reason == "RuntimeError: lost"
    assert locks.free("cpu")


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Plant a FIFO where the processor's lock should be."""
    tmp_path.chmod(0o1777)
    monkeypatch.setattr(locks, "FOLDERS", [str(tmp_path)])
    os.mkfifo(tmp_path / "speedgrid-cpu.lock")


def test_no_cell_has_failed_because_a_lock_cannot_be_used(backend, files, planted):
    with pytest.raises(locks.LockError, match="a FIFO"):
        measure_cell(files)


def test_no_build_has_failed_because_a_lock_cannot_be_used(backend, tmp_path, planted, no_gpu):
    with pytest.raises(locks.LockError, match="a FIFO"):
        attempt(CELL, "cpu", str(tmp_path / "engine"), dict)


def test_a_cell_that_cannot_run_waits_for_nobody(backend, files):
    backend.unsupported = lambda *_: "not here"
    lock = cpu.alone()
    timer = threading.Timer(60, lock.close)
    timer.start()
    assert measure_cell(files).status == "unsupported"
    timer.cancel()
    assert not locks.free("cpu")
    lock.close()


def test_time_that_a_cell_waits_for_the_processor_is_not_taken_from_its_own(backend, files, monkeypatch):
    clock = Clock()
    for module in (loading, slices, timing, turns):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(clock, "sleep", lambda seconds: None)
    taken = cpu.alone
    monkeypatch.setattr(cpu, "alone", lambda: clock.advance(1_000_000) or taken())
    backend.load = lambda cell, *_: CornerSession(cell, spoil=lambda logits: clock.advance(1) or logits)
    found = measure_cell(files, timed_runs=50, max_seconds=0.5)
    assert found.seen.seconds["claim"] == 1000
    count = len(found.seen.samples.slices)
    assert found.seen.seconds["queue"] == pytest.approx(1000 * (count + 2))
    assert found.seen.seconds["timing"] < 1
    assert len(found.seen.samples.host_ms) >= 50
    assert not found.seen.samples.capped


def test_no_number_of_threads_means_one_for_each_core(backend, files):
    assert measure_cell(files, cpu_threads=0).asked.cpu_threads == physical_cores()


def test_memory_of_what_is_loaded_is_counted(backend, files):
    class Large(CornerSession):
        def __init__(self, cell):
            super().__init__(cell)
            import mmap

            self.weights = mmap.mmap(-1, 50_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for _ in range(50):
                self.weights.write(b"1" * 1_000_000)

    backend.load = lambda cell, *_: Large(cell)
    assert 49 < measure_cell(files).seen.memory.peak_mb() < 60


def test_a_backend_that_raises_is_failed_with_the_reason_in_one_line(backend, files):
    backend.load = raising(RuntimeError("the driver\n   died"))
    found = measure_cell(files)
    assert (found.status, found.reason) == ("failed", "RuntimeError: the driver died")
    assert judge(found) == ("failed", found.reason, None)
    assert found.seen is None
    assert "in load" in found.traceback


def test_an_exception_without_text_is_named(backend, files):
    backend.load = raising(KeyError())
    assert measure_cell(files).reason == "KeyError: KeyError"


def test_a_long_reason_is_cut(backend, files):
    backend.load = raising(RuntimeError("x" * 10_000))
    reason = measure_cell(files).reason
    assert len(reason) < 330
    assert reason.endswith("...")


def test_a_call_that_fails_during_timing_is_failed_too(backend, files):
    session = CornerSession(CELL)
    calls = iter(range(100))

    def spoil(logits):
        if next(calls) == 3:
            raise RuntimeError("lost")
        return logits

    session.spoil = spoil
    backend.load = lambda *_: session
    assert measure_cell(files).reason == "RuntimeError: lost"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
        RuntimeError("[ONNXRuntimeError] : 6 : BFCArena: Failed to allocate memory for requested buffer of size 9"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_an_error_of_memory_is_out_of_memory(backend, files, error):
    backend.load = raising(error)
    found = measure_cell(files)
    assert (found.status, found.reason) == ("out_of_memory", str(error))


TOO_LARGE = RuntimeError("CUDA out of memory")


def test_memory_that_ran_out_where_others_have_some_of_it_is_to_be_tried_again(backend, files, monkeypatch):
    backend.load = raising(TOO_LARGE)
    monkeypatch.setattr(measure.gpus, "crowded", lambda: True)
    with pytest.raises(SystemExit) as caught:
        measure_cell(files)
    assert caught.value.code == os.EX_TEMPFAIL
    assert caught.value.__cause__ is TOO_LARGE


def test_memory_that_ran_out_with_nobody_else_there_is_a_record(backend, files, monkeypatch):
    backend.load = raising(TOO_LARGE)
    monkeypatch.setattr(measure.gpus, "crowded", lambda: False)
    assert measure_cell(files).status == "out_of_memory"


def test_another_error_where_others_are_loaded_is_a_record(backend, files, monkeypatch):
    backend.load = raising(RuntimeError("lost"))
    monkeypatch.setattr(measure.gpus, "crowded", lambda: True)
    assert measure_cell(files).status == "failed"


@pytest.fixture
def script(backend, files, monkeypatch, tmp_path):
    """Return a function that times the cell by its script, with further arguments, and returns the record."""

    def run(device, *more):
        given = ["--device", device, "--options", json.dumps(OPTIONS), "--output", str(tmp_path / "record.json")]
        for name in ("artifact", "images", "logits", "expected"):
            given += [f"--{name}", getattr(files, name)]
        monkeypatch.setattr(sys, "argv", ["scripts/time_cell.py", str(CELL), *given, *more])
        runpy.run_module("scripts.time_cell", run_name="__main__")
        return record.read(tmp_path / "record.json")

    return run


def test_a_script_writes_the_record_with_the_probes_that_it_was_asked_for(script):
    found = script("cpu", "--turn", "round2", "--probes", "request")
    assert (judge(found).status, found.turn, found.asked.probes) == ("ok", "round2", ["request"])
    assert list(found.seen.probes) == ["request"]
    assert script("cpu", "--probes").asked.probes == []


@pytest.mark.parametrize(("asked", "claims"), [([], [False]), (["--alone"], [True])])
def test_a_cell_has_the_gpu_to_itself_from_the_start_if_it_is_asked_to(backend, script, monkeypatch, asked, claims):
    claimed = []
    monkeypatch.setattr(measure.gpus, "claim", claimed.append)
    backend.available = lambda device: "no GPU"
    assert script("cuda", *asked).status == "unavailable"
    assert claimed == claims


@pytest.fixture
def steps(backend, monkeypatch):
    """Return the list that the steps of a measurement are then noted in."""
    noted = []

    class Sampler:
        def __init__(self, uuid):
            noted.append("sampler")

        def start(self):
            noted.append("samples")

        def stop(self):
            noted.append("no more samples")
            return None

    def run(logits):
        if noted[-1] != "run":
            noted.append("run")
        return logits

    monkeypatch.setattr(measure, "Sampler", Sampler)
    monkeypatch.setattr(measure.gpus, "measure_alone", lambda: noted.append("alone"))
    backend.load = lambda cell, *_: noted.append("load") or CornerSession(cell, spoil=run)
    return noted


def test_a_cell_is_loaded_and_warm_before_it_has_the_gpu_to_itself_and_then_sampled_and_timed(files, steps):
    assert measure_cell(files).status == "ok"
    assert steps == ["sampler", "load", "run", "alone", "samples", "run", "no more samples", "run"]


def test_where_only_the_whole_device_can_be_read_nothing_else_works_while_a_cell_is_loaded(files, steps, monkeypatch):
    class WholeDevice(loading.MemoryMeter):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.whole_device = True
            steps.append("baseline")

    monkeypatch.setattr(loading, "MemoryMeter", WholeDevice)
    assert measure_cell(files).seen.memory.whole_device
    # What was read before it was alone does not count.
    assert steps[: steps.index("load")] == ["sampler", "baseline", "alone", "baseline"]


def too_large():
    return 2**55


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: bytearray(too_large()),
        lambda: np.empty(too_large(), np.uint8),
        lambda: torch.empty(too_large()),
    ],
    ids=["python", "numpy", "torch"],
)
def test_real_errors_of_memory_on_a_cpu_are_out_of_memory(backend, files, allocate):
    backend.load = lambda *_: allocate()
    assert measure_cell(files).status == "out_of_memory"


@pytest.mark.parametrize(("function", "status"), [("available", "unavailable"), ("unsupported", "unsupported")])
def test_a_refusal_is_a_record_with_its_reason_and_nothing_is_loaded(backend, files, function, status):
    setattr(backend, function, lambda *_: "because")
    backend.load = raising(AssertionError("loaded"))
    found = measure_cell(files)
    assert (found.status, found.reason) == (status, "because")
    assert found.traceback is None


def test_an_engine_that_was_not_built_hands_its_status_on(backend, files, tmp_path):
    build = tmp_path / "build.json"
    build.write_text(json.dumps({"status": "failed", "reason": "engine build: boom", "build_seconds": None}))
    found = measure_cell(replace(files, build=str(build)))
    assert (found.status, found.reason) == ("failed", "engine build: boom")


def test_the_build_of_an_engine_is_in_the_record(backend, files, tmp_path):
    build = tmp_path / "build.json"
    build.write_text(json.dumps({"status": "ok", "reason": "", "build_seconds": 1.5}))
    found = measure_cell(replace(files, build=str(build)))
    assert (found.status, found.build["build_seconds"]) == ("ok", 1.5)


def test_what_a_runtime_says_only_when_asked_that_it_cannot_do_is_unsupported(backend, files):
    backend.load = raising(UnsupportedError("it leaves MaxPool\n to the CPU"))
    found = measure_cell(files)
    assert (found.status, found.reason) == ("unsupported", "it leaves MaxPool to the CPU")


def test_a_process_that_was_killed_is_a_failure_with_its_signal(backend, script):
    backend.load = raising(AssertionError("loaded"))
    found = script("cpu", "--died", "killed by SIGSEGV")
    assert (found.status, found.reason) == ("failed", "killed by SIGSEGV")


def test_outputs_that_are_never_written_are_a_wrong_result(backend, files):
    backend.load = lambda cell, *_: CornerSession(cell, spoil=lambda logits: None)
    found = measure_cell(files)
    assert (found.status, judge(found).status, parity_of(found)) == ("ok", "wrong_result", None)


def test_outputs_that_only_the_first_call_wrote_before_timing_are_a_wrong_result(backend, files, tmp_path):
    calls = itertools.count()
    backend.load = lambda cell, *_: CornerSession(cell, spoil=lambda logits: None if next(calls) else logits)
    # One batch of answers: no other run is compared than those that were timed.
    np.save(tmp_path / "logits.npy", np.load(files.logits)[: CELL.batch_size])
    found = measure_cell(replace(files, logits=str(tmp_path / "logits.npy")))
    assert (found.status, judge(found).status, parity_of(found)) == ("ok", "wrong_result", None)


def test_outputs_that_were_wrong_only_while_they_were_timed_are_a_wrong_result(backend, files):
    session = CornerSession(CELL)
    session.spoil = lambda logits: 0 * logits if len(session.fed) == 1 else logits
    backend.load = lambda *_: session
    found = measure_cell(files)
    assert (judge(found).status, parity_of(found).snr_db_min) == ("wrong_result", 0)


def test_rounded_outputs_are_a_wrong_precision(backend, files):
    backend.load = lambda cell, *_: CornerSession(cell, spoil=lambda logits: logits.astype(np.float16))
    found = measure_cell(files)
    assert (judge(found).status, judge(found).observed) == ("wrong_precision", "tf32")
    assert "is that of tf32" in judge(found).reason


def test_what_is_expected_of_this_model_decides_which_precision_ran(backend, files, tmp_path):
    backend.load = lambda cell, *_: CornerSession(cell, spoil=lambda logits: logits.astype(np.float16))
    # Rounding the logits alone gives 70 to 80 dB: here less than that is expected of fp32.
    expected = {"fp32": 80.0, "tf32": 20.0, "fp16": 20.0, "bf16": 5.0}
    outputs.write_json(tmp_path / "expected.json", {"snr_db": expected, "uneven_db": 0.0})
    found = measure_cell(replace(files, expected=str(tmp_path / "expected.json")))
    assert (judge(found).status, judge(found).observed) == ("ok", "fp32")
    assert 65 < parity_of(found).snr_db < 85
    assert found.seen.expected.snr_db == expected


def test_outputs_of_nothing_but_zeros_are_a_wrong_result_although_they_were_timed(backend, files):
    backend.load = lambda cell, *_: CornerSession(cell, spoil=lambda logits: 0 * logits)
    found = measure_cell(files)
    assert (judge(found).status, judge(found).observed) == ("wrong_result", None)
    assert parity_of(found).snr_db == 0
    assert len(found.host_ms) == 5


@pytest.mark.parametrize("name", ["images", "logits", "expected"])
def test_a_reference_that_is_not_there_stops_the_timing_by_name(backend, files, name):
    with pytest.raises(FileError, match=r"none\.file cannot be read as .*; it is damaged: delete it,"):
        measure_cell(replace(files, **{name: "none.file"}))


def test_eager_pytorch_is_measured_from_weights_to_parity(weights, reference_64, expected_64, tmp_path):
    np.save(tmp_path / "images.npy", images(0, 64, 0, 10))
    np.save(tmp_path / "logits.npy", reference_64)
    outputs.write_json(tmp_path / "expected.json", expected_64)
    made = (str(tmp_path / name) for name in ("logits.npy", "expected.json"))
    files = Files(weights, str(tmp_path / "images.npy"), None, *made)
    found = measure_cell(files, Cell("resnet18", "pytorch", "fp32", 64, 4))
    assert judge(found) == ("ok", "", "fp32")
    assert found.seen.details["executes_on"] == "cpu"
    assert min(found.host_ms) > 0.1


def test_the_settings_of_timing_are_the_keys_of_the_schema():
    keys = set(settings.read_schema()["properties"]["timing"]["properties"])
    assert keys - {"rounds", "max_rounds", "energy_resolutions", "end_to_end"} == set(OPTIONS)
