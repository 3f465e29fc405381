"""What the benchmarks reckon with."""

import copy
import json
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from builders import ARITHMETIC, MEASURED, Clock, CornerSession, fake_backend, make_record, plain
from results import write_result

from benchmarks import (
    agreement,
    best_row,
    by_hand,
    finished,
    lies,
    loaded,
    loadgen_agreement,
    overhead,
    telemetry_cost,
    verdicts,
)
from speedgrid import settings
from speedgrid.backends.session import HostSession
from speedgrid.backends.variants import VARIANTS
from speedgrid.data.samples import Samples
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import write_json
from speedgrid.measure import timing
from speedgrid.record import write

NAME = "resnet18-pytorch-fp32-r64-b1"


def test_jobs_that_overlap_share_their_time_and_short_gaps_count_as_scheduling():
    assert finished.wall_time([(0, 10), (2, 8), (9, 12), (15, 16)]) == 16


def test_a_long_pause_is_an_interrupted_run_and_does_not_count():
    assert finished.wall_time([(1000, 1002), (0, 10)]) == 12


def test_overhead_is_the_time_beyond_the_windows_and_no_one_number_on_several_gpus():
    def record(gpu):
        loop = {"back_to_back": {"ms": 1.0, "runs": 500, "seconds": 0.5}}
        return make_record(NAME, warmup_seconds=0.5, timed_seconds=1.0, probes=loop, environment={"gpu_uuid": gpu})

    one = finished.overhead([((0, 3), record("GPU-0")), ((3, 8), record("GPU-0"))])
    assert one == 2
    assert finished.told(one) == "2.000 s a cell"
    several = finished.overhead([((0, 3), record("GPU-0")), ((0, 3), record("GPU-1"))])
    assert several is None
    assert "no one number" in finished.told(several)


def test_one_more_process_is_expected_within_the_spread_of_the_rounds():
    rng = np.random.default_rng(0)
    latencies = np.exp(rng.normal(0, 0.05, (2000, 4)))
    inside = [low <= last <= high for *rounds, last in latencies for low, high in [finished.expected(rounds)]]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_intervals_of_many_cells_hold_all_at_once():
    rng = np.random.default_rng(0)
    latencies = np.exp(rng.normal(0, 0.05, (1000, 10, 4)))
    held = [
        all(low <= last <= high for *rounds, last in cells for low, high in [finished.expected(rounds, 10)])
        for cells in latencies
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


def test_two_rounds_have_no_interval():
    assert finished.expected([1.0, 1.1]) is None


def test_a_comparison_names_the_cells_that_are_outside(capsys):
    def rounds(name, latencies):
        return [make_record(name, [ms] * 5) for ms in latencies]

    same, slow = "resnet18-pytorch-fp32-r64-b1", "resnet18-pytorch-fp32-r64-b8"
    found = [
        (rounds(name, (1.0, 1.001, 1 / 1.001)), make_record(name, [ms] * 5)) for name, ms in ((same, 1.0), (slow, 2.0))
    ]
    finished.compare("new / old", found)
    ratio, outside, single = capsys.readouterr().out.splitlines()
    assert ratio == "latency new / old: 1.5000 in the median over 2 cells"
    assert slow in outside
    assert same not in outside
    assert single.endswith(": 1 of 2, by chance 0.1")


def test_a_comparison_tells_cells_that_wait_for_the_host_from_the_others(capsys):
    def record(ms, submit_ms):
        return make_record(NAME, [ms] * 5, submit_ms=[submit_ms] * 5, device_ms=[ms] * 5)

    steady, waiting = ([record(1.0, 0.1)], record(1.01, 0.1)), ([record(1.0, 0.9)], record(2.0, 0.9))
    finished.compare("new / old", [steady, waiting])
    assert capsys.readouterr().out.splitlines()[1] == (
        "in the 1 that do not wait for the host: 1.0100, from 1.0100 to 1.0100"
    )
    finished.compare("new / old", [steady])
    assert "wait for the host" not in capsys.readouterr().out


def test_a_folder_without_a_run_is_said_to_be_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="run snakemake first"):
        finished.jobs()


def test_a_cell_that_was_measured_alone_is_measured_again_so_and_into_another_file():
    command = "python -m scripts.time_cell cell --probes back_to_back energy request kernels --output old.json --alone"
    arguments, output = finished.again(make_record(NAME, command=command), "folder")
    # What costs most beside the timing is left out.
    probes = ["--probes", "back_to_back", "request"]
    assert arguments == ["scripts.time_cell", "cell", *probes, "--output", str(output), "--alone"]
    assert output.parent.name == "folder"


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that moves only when told, and that speedgrid's timer and torch's both read."""
    from torch.utils import benchmark

    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    monkeypatch.setattr(benchmark, "Timer", partial(benchmark.Timer, timer=clock.perf_counter))
    return clock


def test_an_independent_timer_agrees_on_a_session_whose_time_is_known(clock):
    limits = {"warmup_runs": 2, "timed_runs": 10, "min_seconds": 0.02, "max_seconds": 0.1, "target_percent": 50}

    class Session(HostSession):
        def run(self):
            clock.advance(5)

    found = agreement.measure(
        Session(Cell.parse(NAME), *plain(Cell.parse(NAME), 10)), make_record(NAME, **limits).asked
    )
    assert found["latency_ms"] == pytest.approx(5)
    assert not found["bound"]
    assert list(found["ratios"]) == ["torch.utils.benchmark / latency"]
    assert len(found["ratios"]["torch.utils.benchmark / latency"]) == agreement.TURNS
    assert found["ratios"]["torch.utils.benchmark / latency"] == pytest.approx([1] * agreement.TURNS)


def test_each_tool_is_compared_with_the_figure_of_its_kind(monkeypatch):
    monkeypatch.setattr(agreement, "torch_ms", lambda session, statement: 9.0 if "synchronize" in statement else 3.0)
    monkeypatch.setattr(agreement, "triton_ms", lambda session: 8.0)
    monkeypatch.setattr(agreement.timing, "measure", lambda session, asked: Samples([9.0], [4.0], [3.5]))
    monkeypatch.setattr(
        agreement.back_to_back, "measure", lambda session, context: {"ms": context.samples.host_ms[0] - 3}
    )
    assert agreement.measure(SimpleNamespace(stream=object()), None) == {
        "latency_ms": 9.0,
        "bound": True,  # 3.5 of 4 ms
        "ratios": {
            "torch.utils.benchmark / latency": [1.0] * agreement.TURNS,
            "torch.utils.benchmark / back to back": [0.5] * agreement.TURNS,
            "triton.testing.do_bench / device time": [2.0] * agreement.TURNS,
        },
    }


def agreeing(latency_ms, ratio, bound=False):
    return {"latency_ms": latency_ms, "bound": bound, "ratios": {"tool / latency": [ratio, ratio, 9.0 * ratio]}}


def test_the_worst_agreement_of_slow_cells_is_named_whether_too_long_or_too_short():
    found = {
        "fast": agreeing(0.9, 5.0),
        "a": agreeing(2.0, 1.01),
        "b": agreeing(3.0, 0.9, True),
        "c": agreeing(4.0, 1.05),
    }
    assert agreement.summarise(found) == [
        "tool / latency: 1.0100 in the median over 3 cells slower than 1 ms, worst 0.9000 (b, bound by submission)"
    ]
    assert agreement.summarise({"fast": found["fast"]}) == ["none of 1 cells is slower than 1 ms"]


def test_a_benchmark_answers_where_a_fork_asks_it_to_and_nowhere_else(monkeypatch, tmp_path):
    def ask(address, arguments, keep):
        monkeypatch.setattr(sys, "argv", arguments)
        return 0 if loaded.answer(lambda session, asked: [session, asked.timed_runs]) else 1

    record = make_record(NAME, timed_runs=7)
    monkeypatch.setattr(loaded, "load", lambda given: given.command)
    monkeypatch.setattr(loaded.client, "ask", ask)
    assert loaded.in_fork("benchmarks.x", record, str(tmp_path), "address") == [record.command, 7]
    monkeypatch.setattr(sys, "argv", ["benchmarks.x", "5"])
    assert not loaded.answer(None)


def test_a_cell_is_loaded_again_from_its_record_and_run_once(monkeypatch, tmp_path):
    given = {}

    def load(cell, device, artifact, options):
        given.update(device=device, artifact=artifact, **options)
        return CornerSession(cell)

    fake_backend(monkeypatch, load, {})
    np.save(tmp_path / "images.npy", np.ones((2, 3, 64, 64), np.float32))
    command = f"python -m scripts.time_cell cell --artifact a.onnx --images {tmp_path / 'images.npy'}"
    record = make_record("resnet18-fake-fp32-r64-b1", command=command, cpu_threads=3, settings={"mode": "fast"})
    session = loaded.load(record)
    assert given == {"device": "cpu", "artifact": "a.onnx", "cpu_threads": 3, "settings": {"mode": "fast"}}
    assert session.output().tolist() == [[1.0] * 10]


def test_the_time_beyond_the_windows_is_told_by_step(tmp_path, monkeypatch, capsys):
    finished_run(
        tmp_path,
        monkeypatch,
        [NAME],
        timed_seconds=0.2,
        probes={"back_to_back": {"ms": 1.0, "runs": 500, "seconds": 0.5}},
        seconds={"claim": 1.0, "load": 0.25, "timing": 1.0, "back_to_back": 0.75},
    )
    overhead.main()
    said = capsys.readouterr().out
    assert "overhead: 0.200 s a cell" in said  # of a second, 0.1 + 0.2 + 0.5 s were measured
    steps = dict(line.rsplit(None, 2)[:2] for line in said.splitlines() if line.startswith("  "))
    assert {name.strip(): float(value) for name, value in steps.items()} == {
        "timing": 0.7,
        "back_to_back": 0.25,
        "load": 0.25,
        "launch, write, end": -2.0,
    }


def test_a_file_of_a_record_is_read_from_its_command():
    record = make_record(NAME, command="python -m scripts.time_cell cell --artifact a/b.pth --build --images i.npy")
    assert loaded.file_of(record, "artifact") == "a/b.pth"
    assert loaded.file_of(record, "images") == "i.npy"


def finished_run(folder, monkeypatch, names, **changes):
    """Make `folder` the current one, with a record of each cell."""
    (folder / "artifacts" / "timings").mkdir(parents=True)
    (folder / ".snakemake" / "metadata").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in names:
        path = f"artifacts/timings/{name}-round1.json"
        write(folder / path, make_record(name, **changes))
        encoded = finished.base64.urlsafe_b64encode(path.encode()).decode()
        (folder / ".snakemake" / "metadata" / encoded).write_text('{"starttime": 0, "endtime": 1}')


def test_cells_of_one_backend_are_chosen_from_a_run(tmp_path, monkeypatch):
    finished_run(
        tmp_path,
        monkeypatch,
        ["resnet18-onnxruntime-fp32-r64-b1", "resnet18-pytorch-fp32-r64-b1", "resnet18-pytorch-fp32-r64-b8"],
    )
    assert [finished.name(first) for first, *_ in finished.cells(9, "pytorch")] == [
        "resnet18-pytorch-fp32-r64-b1",
        "resnet18-pytorch-fp32-r64-b8",
    ]
    assert len(finished.cells(9)) == 3
    with pytest.raises(SystemExit, match="openvino"):
        finished.cells(9, "openvino")


def test_the_cost_of_telemetry_is_not_measured_on_a_cpu(tmp_path, monkeypatch):
    finished_run(tmp_path, monkeypatch, ["resnet18-pytorch-fp32-r64-b1"])
    with pytest.raises(SystemExit, match="nothing to compare"):
        telemetry_cost.main(5)


def test_the_cost_of_telemetry_is_latency_with_it_over_latency_without(monkeypatch):
    order = []

    class Sampler:
        def __init__(self, uuid):
            self.uuid = uuid

        def start(self):
            order.append(self.uuid)

        def stop(self):
            return self.uuid and {}

    monkeypatch.setattr(telemetry_cost, "Sampler", Sampler)
    monkeypatch.setattr(telemetry_cost.gpus, "claim", lambda: "GPU-1")
    monkeypatch.setattr(
        telemetry_cost.timing, "measure", lambda *_: SimpleNamespace(host_ms=[1.5 if order[-1] else 1.0])
    )
    assert telemetry_cost.measure(None, None) == [1.5] * telemetry_cost.PAIRS
    assert order[:4] == [None, "GPU-1", "GPU-1", None]


def test_the_interval_of_a_cost_is_students_on_logarithms():
    # t(0.975, 2) = 4.302653; the logarithms -0.1, 0, 0.1 have the standard error 0.1 / sqrt(3).
    value, low, high = telemetry_cost.interval(list(np.exp([-0.1, 0.0, 0.1])))
    half = 4.302653 * 0.1 / np.sqrt(3)
    assert (value, low, high) == pytest.approx((1.0, np.exp(-half), np.exp(half)))


def test_the_best_row_is_the_one_with_the_highest_rate_that_is_shown():
    lines = [
        ("inductor", 64, "ok", 300.0, 200.0),
        ("pytorch", 64, "ok", 100.0, 90.0),
        ("tensorrt", 64, "wrong_result", 900.0, 900.0),
        ("tensorrt", 256, "unstable", 400.0, 390.0),
        ("openvino", 256, "unavailable", None, None),
    ]
    table = pd.DataFrame(lines, columns=["backend", "batch_size", "status", "throughput_fps", "fps"])
    table["precision"] = "fp16"
    first, second = best_row.best_rows(table)
    assert (first.backend, second.backend) == ("inductor", "tensorrt")
    rates = {"one": {"throughput_fps": 300.0, "fps": 240.0}, "other": {"throughput_fps": 290.0, "fps": 250.0}}
    assert best_row.sentence(first, rates) == (
        "batch size 64: inductor fp16 / best by hand 1.000 back to back (300 / 300 images/s, one); "
        "0.800 in latency (200 / 250 images/s, other): less than 1.0"
    )
    assert best_row.sentence(second, {"one": {"throughput_fps": 500.0, "fps": 390.0}}) == (
        "batch size 256: tensorrt fp16 / best by hand 0.800 back to back (400 / 500 images/s, one): less than 1.0; "
        "1.000 in latency (390 / 390 images/s, one)"
    )
    with pytest.raises(SystemExit, match="needs an NVIDIA GPU"):
        best_row.best_rows(table[table.throughput_fps.isna()])


def test_the_run_of_the_best_row_has_every_backend_of_a_gpu():
    config = settings.complete(yaml.safe_load((Path(__file__).parent.parent / best_row.CONFIG).read_text()))
    assert set(config["grid"]["cuda"]["backend"]) == set(VARIANTS) - {"openvino"}


def test_the_network_that_is_written_out_by_hand_is_the_model(resnet, monkeypatch):
    import torch
    from torch.nn.functional import conv2d

    def relu(x, weight, bias, *how):
        return conv2d(x, weight, bias, *how).relu()

    def add_relu(x, weight, z, alpha, bias, *how):
        return (conv2d(x, weight, bias, *how) + alpha * z).relu()

    monkeypatch.setattr(torch, "cudnn_convolution_relu", relu)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", add_relu)
    model, given = copy.deepcopy(resnet), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = model(given)
        torch.testing.assert_close(by_hand.written_out(model)(given), expected, rtol=1e-3, atol=1e-4)


def test_a_rate_by_hand_is_that_of_the_timer(clock):
    assert by_hand.rate("sleep(0.01)", {"sleep": clock.sleep}, 4) == pytest.approx(400)


def test_every_lie_is_another_one_and_says_what_it_is():
    told = [lie.__doc__ for lie in lies.LIES]
    assert len(set(told)) == len(told) >= 12
    assert all(told)


def test_lies_are_told_in_records_and_found(tmp_path):
    write_result(tmp_path)
    write_json(tmp_path / "artifacts" / "flops.json", ARITHMETIC)
    write_json(tmp_path / "artifacts" / "peaks.json", MEASURED)
    described = json.loads((tmp_path / "artifacts" / "run.json").read_text())
    axes = {"backend": ["pytorch", "onnxruntime"], "precision": ["fp32"], "resolution": [64], "batch_size": [1]}
    described["config"]["grid"]["cpu"], described["config"]["timing"]["rounds"] = axes, 1
    write_json(tmp_path / "artifacts" / "run.json", described)
    random = np.random.default_rng(0)
    for turn in ("sentinel1", "sentinel2", "sentinel3", "twin1"):
        one = make_record(NAME, random.normal(4, 0.01, 50).round(6).tolist(), turn=turn)
        write(tmp_path / "artifacts" / "timings" / f"{one.name}.json", one)
    run = lies.Run(tmp_path)
    assert run.before[0] == {}
    assert all(lies.tell(run, lies.ten_round_ones, place, anew) for place in (0, 1) for anew in (False, True))
    assert lies.tell(run, lies.tenth_less, 0, False)


def verdict_trial(**outputs):
    """Return a drawn session of a model whose outputs are right but for rounding."""
    random = np.random.default_rng(0)
    right = random.standard_normal((verdicts.COUNT, 20))
    known = {"right": right, "norm": np.linalg.norm(right, axis=1)}
    for precision, size in {"fp32": -6, "tf32": -3, "fp16": -3, "bf16": -2, "int8": -1.3, "fp8": -1}.items():
        known[f"{precision} simulated"] = right + 10**size * random.standard_normal(right.shape)
        known[f"{precision} noise"] = np.linalg.norm(known[f"{precision} simulated"] - right, axis=1)
    return [verdicts.Trial(known | outputs, random) for _ in range(40)]


def test_right_sessions_of_a_campaign_are_ok_and_faulty_ones_are_not():
    for trial in verdict_trial():
        outputs = trial.way(trial.precision)[trial.rows]
        assert trial.status(outputs) == "ok"
        assert not trial.small(0 * outputs)
        assert trial.small(outputs)
        assert trial.status(-outputs) == "wrong_result"


def test_what_loadgen_wrote_is_read_and_compared_over_turns():
    log = "\n".join(
        f':::MLLOG {{"key": "result_{share}_percentile_latency_ns", "value": {value}, "time_ms": 1.0}}'
        for share, value in (("50.00", 2_000_000), ("99.00", 9_500_000))
    )
    assert loadgen_agreement.percentiles("another line\n" + log) == {"p50": 2.0, "p99": 9.5}
    turns = {
        "loadgen": [{"p99": 2.0}, {"p99": 2.2}, {"p99": 1.8}],
        "speedgrid": [{"p99": 1.0}, {"p99": 1.1}, {"p99": 0.9}],
    }
    middle, low, high = loadgen_agreement.ratio(turns, "p99")
    assert low < middle < high
    assert middle == pytest.approx(2)


def test_the_loop_that_loadgen_is_compared_with_serves_what_arrives(monkeypatch):
    monkeypatch.setattr(loadgen_agreement, "SECONDS", 0.2)
    calls = []
    session = SimpleNamespace(active=nullcontext, run=lambda: calls.append(1), synchronize=lambda: None)
    found = loadgen_agreement.by_speedgrid(loadgen_agreement.OneByOne(session), 1000.0, 1)
    assert 100 < len(calls) < 320
    assert 0 < found["p50"] <= found["p99"]
