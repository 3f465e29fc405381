"""What several tests build: records, tables, a clock that moves only when told, and sessions to time."""

import json
import sys
import types
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, fields, replace

import numpy as np

from speedgrid import settings
from speedgrid.backends.session import HostSession, Tensor
from speedgrid.backends.variants import FLOATS, VARIANTS, Variant
from speedgrid.data.resolution import side_of
from speedgrid.data.samples import Samples
from speedgrid.grid import Cell
from speedgrid.precision import PRECISIONS, QUANTISED
from speedgrid.record import (
    Asked,
    Expected,
    Memory,
    Parity,
    Record,
    Seen,
    Telemetry,
    _one_reading,
    read,
    write,
)
from speedgrid.serving import arrivals, protocol, replay
from speedgrid.serving import record as serving_record
from speedgrid.table import cells as table
from speedgrid.table.description import Description, Material, finish

FLOP = {64: 10**9, 128: 4 * 10**9}
# One layer does all the arithmetic and has all the weights: 8 MB of float32.
ARITHMETIC = {
    "resnet18": {
        str(size): {
            "flop": flop,
            "onnx_flop": flop,
            "weight_elements": 2_000_000,
            "input_elements": 3 * size**2,
            "output_elements": 1000,
            "layers": [{"name": "conv", "flop": flop, "weight_elements": 2_000_000, "activation_elements": 500_000}],
        }
        for size, flop in FLOP.items()
    }
}
MEASURED = {"gemm_tflops": {"fp32": 2.0, "tf32": 4.0}, "copy_gb_s": 10.0, "cache_mb": 4.0, "idle_power_w": None}
PEAKS = {**MEASURED, "data_sheet_tflops": {"fp32": 5.0, "fp16": 10.0}, "data_sheet_gb_s": None}
REFERENCE = {"backend": "pytorch", "precision": "fp32"}
# SNR in dB by precision, as it is for ResNet-18 at 224 pixels, in round numbers: limits are 90, 50 and 20 less than 40.
EXPECTED = {"fp32": 120.0, "tf32": 60.0, "fp16": 60.0, "bf16": 40.0, "int8": 28.0, "fp8": 20.0}
# Latencies in ms whose ratios can be computed in the head.
LATENCIES = {
    "resnet18-pytorch-fp32-r64-b1": 4.0,
    "resnet18-pytorch-fp32-r64-b8": 16.0,
    "resnet18-pytorch-fp32-r128-b1": 8.0,
    "resnet18-pytorch-fp32-r128-b8": 64.0,
    "resnet18-onnxruntime-fp32-r64-b1": 2.0,
    "resnet18-onnxruntime-fp32-r64-b8": 15.5,
    "resnet18-onnxruntime-fp32-r128-b1": 4.0,
    "resnet18-onnxruntime-fp32-r128-b8": 62.0,
    "resnet18-onnxruntime-fp16-r64-b1": 1.0,
    "resnet18-onnxruntime-fp16-r64-b8": 4.0,
    "resnet18-onnxruntime-fp16-r128-b1": 2.0,
    "resnet18-onnxruntime-fp16-r128-b8": 15.5,
}


# Statuses that a measurement can have by itself; all others are verdicts on what it saw.
UNMEASURED = ("unavailable", "unsupported", "out_of_memory", "failed")
# Names of kernels that say their precision.
KERNEL = {
    "fp16": "sm80_xmma_fprop_implicit_gemm_f16f16_f16f32_f16_nhwckrsc_nhwc_tilesize128x64x64",
    "tf32": "sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x64x32",
}
DTYPES = {"fp16": "float16", "bf16": "bfloat16"}
# How weights were trained, as speedgrid.model.training says.
TRAINING = {"method": "all weights trained", "steps": 60, "loss": 0.1, "canvas": 64, "seed": 0, "seconds": 9.0}
TRAINING |= {"top1_training": 0.9, "top1_held_out": 0.8}


def make_parity(snr_db: float, **changes) -> Parity:
    """Return figures of errors that are alike on all of 16 images."""
    figures = {"images": 16, "snr_db": snr_db, "snr_db_min": snr_db, "snr_db_median": snr_db}
    figures |= {"relative_l2": 10 ** (-snr_db / 20), "cosine_min": 1.0, "top1_agreement": 1.0}
    return Parity(**figures | changes)


def make_record(name: str, host_ms=(1.0,) * 50, *, status="ok", reason="", ran=None, **changes) -> Record:
    """Return the record of a measured cell, on the CPU unless `changes` say otherwise.

    status: what the table is to say of it: a record of `wrong_precision` has the error of another precision, one of
    `wrong_result` no finite output, the warm-up of one of `unstable` never became steady. ran: the precision whose
    error its outputs have, where it is not the label's. changes: fields of Samples, of Seen, of Asked or of the record
    itself; of telemetry also {"throttled": [reason, ...]}, of memory {"peak_mb": MB}.
    """
    changes |= {"steady": False} if status == "unstable" else {}
    if isinstance(changes.get("telemetry"), dict):
        changes["telemetry"] = Telemetry(**_one_reading(changes["telemetry"]))
    if isinstance(changes.get("memory"), dict):
        changes["memory"] = Memory({"baseline": 0.0, "timed": changes["memory"]["peak_mb"]})
    cell = Cell.parse(name)
    if status in UNMEASURED:
        return make_refusal(name, status, reason, **changes)
    if ran is None and status != "wrong_result":
        ran = {"fp32": "tf32", "tf32": "bf16"}[cell.precision] if status == "wrong_precision" else cell.precision
    of_samples = {key: changes.pop(key) for key in [*changes] if key in {one.name for one in fields(Samples)}}
    timed = round(sum(host_ms) / 1000 + 0.001, 6)
    changes = {"min_seconds": min(0.2, timed), "timed_runs": min(10, len(host_ms))} | changes
    samples = {"warmup_runs": 20, "warmup_seconds": 0.1, "timed_seconds": timed, "steady": True} | of_samples
    seen = {
        "dtype": DTYPES.get(ran or cell.precision, "float32"),
        "details": {"version": "1.0"},
        "samples": Samples(host_ms=list(host_ms), **samples),
        "seconds": {"import": 2.0, "load": 0.375, "first_call": 0.125, "queue": 40.0, "timing": timed + 0.25},
        "memory": Memory({"baseline": 50.0, "timed": 150.0}),
        "expected": Expected(EXPECTED),
        "parity": make_parity(EXPECTED[ran] + 1) if ran else None,
        "quantised_nodes": {"executed": 20, "of": 21} if cell.precision in QUANTISED else None,
    }
    seen |= {key: changes.pop(key) for key in [*changes] if key in {one.name for one in fields(Seen)}}
    return replace(make_refusal(name, "ok", "", **changes), seen=Seen(**seen))


def make_refusal(name: str, status: str, reason: str, *, turn="round1", **changes) -> Record:
    """Return the record of a cell that could not be measured: it saw nothing."""
    cell = Cell.parse(name)
    asked = {"device": "cpu", "warmup_runs": 10, "timed_runs": 10, "min_seconds": 0.2, "max_seconds": 0.5}
    asked |= {"target_percent": 2, "cpu_threads": 2}
    asked |= {key: changes.pop(key) for key in [*changes] if key in {one.name for one in fields(Asked)}}
    whole = {
        "measured_at": "2026-01-02T03:04:05+00:00",
        "environment": {
            "device": "cpu",
            "device_name": "Test CPU (2 CPUs)",
            "cpu": "Test CPU (2 CPUs)",
            "os": "Linux 6",
            "python": "3.12.0",
            "packages": {"torch": "2.0"},
            "commit": "0123456789",
        },
        "fingerprint": f"Test CPU (2 CPUs), {cell.backend} 1.0",
        "command": f"python -m scripts.time_cell {name}",
    }
    return Record(asked=Asked(cell, turn, **asked), status=status, reason=reason, **whole | changes)


def changed(found: Record, **changes) -> Record:
    """Return a record with other fields, of Samples, of Seen, of Asked or of itself."""
    for part in ("asked", "seen"):
        held = getattr(found, part)
        own = {key: changes.pop(key) for key in [*changes] if held and hasattr(held, key)}
        if own:
            found = replace(found, **{part: replace(held, **own)})
    if found.seen and (own := {key: changes.pop(key) for key in [*changes] if hasattr(found.seen.samples, key)}):
        found = changed(found, samples=replace(found.seen.samples, **own))
    return replace(found, **changes)


def as_clocked(found: Record) -> Record:
    """Return a record two of whose samples, where all are alike, differ from the others by a nanosecond."""
    if found.seen is None or len(host_ms := found.seen.samples.host_ms) < 3 or len(set(host_ms)) > 1:
        return found
    first, *others, last = host_ms
    return changed(found, host_ms=[round(first + 1e-6, 6), *others, round(last - 1e-6, 6)])


def scattered(middle: float, seed: int, spread: float = 0.01, count: int = 61) -> list[float]:
    """Return samples in ms with this median, as a clock gives them; those of another seed are no copies of them.

    count: an odd number.
    """
    logarithms = np.random.default_rng(seed).normal(0, spread, count)
    return (middle * np.exp(logarithms - np.median(logarithms))).round(6).tolist()


def make_request(medians: dict[str, float]) -> dict:
    """Return what the probe of requests saw, with these medians in ms by step."""
    samples = {name: {"host_ms": [ms / 2, ms, ms * 2], "device_ms": []} for name, ms in medians.items()}
    return {"samples": samples, "photograph": [107, 143], "threads": 2}


def make_records(latencies=LATENCIES) -> list[Record]:
    """Return one record for each cell, all of whose calls took the same time."""
    return [make_record(name, [ms] * 50) for name, ms in latencies.items()]


def make_two_models() -> list[Record]:
    """Return the records of a run of ResNet-18 and of ResNet-50, which takes three times as long everywhere."""
    slower = {name.replace("resnet18", "resnet50"): 3 * ms for name, ms in LATENCIES.items()}
    return make_records(LATENCIES | slower)


def arithmetic_of(cells: list[Cell]) -> dict:
    """Return that of ARITHMETIC for each model, and in proportion to its pixels that of any other size."""
    counted, [layer] = ARITHMETIC["resnet18"], ARITHMETIC["resnet18"]["64"]["layers"]
    others = {}
    for size in {cell.resolution for cell in cells if str(cell.resolution) not in counted}:
        flop = int(FLOP[64] * (side_of(size) / 64) ** 2)
        elements = {"input_elements": int(3 * side_of(size) ** 2), "layers": [layer | {"flop": flop}]}
        others[str(size)] = counted["64"] | {"flop": flop, "onnx_flop": flop} | elements
    return {cell.model: counted | others for cell in cells}


def make_table(records: list[Record], cells=None, reference=REFERENCE):
    """Return the table of the records' own cells, or of `cells` (names)."""
    names = cells or dict.fromkeys(str(one.cell) for one in records)
    cells = [Cell.parse(name) for name in names]
    return table.tabulate(cells, records, arithmetic_of(cells), PEAKS, reference)


def make_evaluation(name: str, wrong: int = 10, expected_wrong: int = 5, **changes) -> dict:
    """Return a record of speedgrid.measure.accuracy on 100 digits, the first `wrong` answers of which are wrong.

    expected_wrong: how many of the float32 model's first answers are.
    """
    labels = list(range(10)) * 10
    return {
        "cell": asdict(Cell.parse(name)),
        "status": "ok",
        "reason": "",
        "measured_at": "2026-11-01T00:00:00+00:00",
        "fingerprint": "fp",
        "command": "python -m scripts.measure_accuracy",
        "images": {"source": "digits", "count": 100, "resolution": 64, "seed": 0},
        "labels": labels,
        "expected": [99] * expected_wrong + labels[expected_wrong:],
        "predicted": [99] * wrong + labels[wrong:],
        **changes,
    }


def make_decoding(rates: dict[int, float]) -> dict:
    """Return a record of decoding on two cores: frames of a core-second to a model's input, by resolution.

    One stream alone has a quarter more; with all cores it has 900 as time passes.
    """

    def series(way, resolution, threads, count, fps):
        passes = [{"frames": 60, "wall_s": 60 / fps, "cpu_s": 60 / fps}] * 3
        return {"way": way, "resolution": resolution, "threads": threads, "passes": [passes] * count}

    ways = [("decode", None, 600.0), ("rgb", None, 400.0), *(("input", size, fps) for size, fps in rates.items())]
    clip = {"source": "a clip", "codec": "h264", "profile": "High", "width": 1920, "height": 1080}
    clip |= {"pixel_format": "yuv420p", "fps": 30.0, "frames": 60, "gop": 30, "mbit_s": 4.0, "bytes": 10, "sha256": "0"}
    return {
        "status": "ok",
        "reason": "",
        "clip": clip,
        "cores": 2,
        "versions": {"av": "18.1.0"},
        "series": [
            series("decode", None, 0, 1, 900.0),
            *(series(way, size, 1, 1, 1.25 * fps) for way, size, fps in ways),
            *(series(way, size, 1, 2, fps) for way, size, fps in ways),
        ],
    }


class PretendedBench:
    """A process that serves on a clock that is moved: a call of b images takes service_ms[b]."""

    def __init__(self, asked: serving_record.Asked, service_ms: dict[int, float]):
        self.asked, self.service_ms = asked, service_ms

    def service(self):
        return [serving_record.Service(size, ms, ms, 100) for size, ms in self.service_ms.items()]

    def memory(self):
        return Memory({"baseline": 100.0, "loaded": 180.0, "served": 190.0})

    def run(self, level, policy):
        table = arrivals.draw(
            level.claim.arrivals, level.streams, self.asked.fps, level.blocks + 1, level.seed, protocol.PERIODS
        )
        service_ns = {size: round(1e6 * ms) for size, ms in self.service_ms.items()}
        served = replay.replay(table, service_ns, protocol.plan(self.asked, level, policy))
        deadline = level.claim.deadlines * self.asked.deadline_ms
        run = serving_record.run_of(table, served, deadline, level.round, level.seed)
        return run, serving_record.timeline(table, served, deadline)


def make_serving(
    place="resnet18-onnxruntime-fp32-r64", service_ms: dict[int, float] | None = None, **changes
) -> serving_record.Serving:
    """Return a record of a place under load, served on a clock that is moved. changes: of what is asked."""
    service_ms = service_ms or {1: 4.0, 2: 6.0, 4: 10.0}
    cell = Cell.parse(f"{place}-b1")
    of = serving_record.Place(cell.model, cell.backend, cell.precision, cell.resolution, sorted(service_ms))
    given = {"fps": 30.0, "deadline_ms": 1000 / 30, "quantile": 0.99, "confidence": 0.95, "batching": "auto"}
    given |= {"queue": "keep", "blocks": 150, "rounds": 3, "seed": 1, "cpu_threads": 2, **changes}
    asked = serving_record.Asked(of, "cpu", **given)
    seen = protocol.measure(asked, lambda: nullcontext(PretendedBench(asked, service_ms)))
    return serving_record.Serving(
        asked=asked,
        status="ok",
        reason="",
        measured_at="2026-11-01T00:00:00+00:00",
        environment={"device": "cpu", "device_name": "a CPU"},
        fingerprint="fp",
        command="python -m scripts.measure_streams",
        seen=seen,
    )


def make_run(records: list[Record], cells=None, evaluations=(), config=None, decoded=None, served=()):
    """Return the (table, description) of a run with these records, whose samples a clock could have given."""
    records = [as_clocked(one) for one in records]
    names = cells or dict.fromkeys(str(one.cell) for one in records)
    cells = [Cell.parse(name) for name in names]
    models = list(dict.fromkeys(cell.model for cell in cells))
    weights = {"resolution": 64, "source": "seeded, seed 0", "own": False, "trained": None}
    origins = [{"model": model, **weights} for model in models]
    asked = {"device": "cpu", "models": models, "report": {"resolution": 64, "batch_size": 8}}
    config = settings.complete(config or asked)
    measured = (arithmetic_of(cells), {**MEASURED, "reason": ""}, list(evaluations), decoded, list(served))
    material = Material(records, origins, *measured)
    lending = config["timing"]["rounds"] == "auto"
    found = finish(cells, material, config["report"]["reference"], config["accuracy"]["max_top1_loss"], lending)
    # As its readers have it: through JSON.
    return found.table, json.loads(json.dumps(Description(**found.summary, config=config)))


def write_run(folder, records: list[Record], cells=None, evaluations=()):
    """Return the (table, description) of a run with these records, that were written to files and read again."""
    for number, one in enumerate(records):
        write(folder / f"{number}.json", one)
    return make_run([read(folder / f"{number}.json") for number in range(len(records))], cells, evaluations)


class Clock:
    """Stands in for the `time` module; it moves only by `advance`."""

    def __init__(self):
        self.ns = 0

    def advance(self, ms: float) -> None:
        self.ns += round(ms * 1e6)

    def perf_counter(self) -> float:
        return self.ns / 1e9

    def perf_counter_ns(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.advance(1000 * seconds)

    monotonic = time = perf_counter


class TimedSession:
    """A session whose call number i (from 0) takes `cost(i)` ms on a Clock and returns when it is done."""

    stream = None

    def __init__(self, clock: Clock, cost):
        self.clock, self.cost, self.calls, self.entered = clock, cost, 0, 0

    def run(self) -> None:
        self.clock.advance(self.cost(self.calls))
        self.calls += 1

    def synchronize(self) -> None:
        pass

    @contextmanager
    def active(self):
        self.entered += 1
        yield self


def corner_logits(batch: np.ndarray, classes: int = 10) -> np.ndarray:
    """Return the logits of the stand-in model: the first pixels of each image, in float64."""
    return batch.reshape(len(batch), -1)[:, :classes].astype(np.float64)


def plain(cell: Cell, classes: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors of a model of images that tells classes apart."""
    dtype = PRECISIONS[cell.precision].dtype
    shape = (cell.batch_size, 3, cell.resolution, cell.resolution)
    return {"images": Tensor(shape, dtype)}, {"logits": Tensor((cell.batch_size, classes), dtype)}


class CornerSession(HostSession):
    """The stand-in model on host arrays; `spoil` changes its logits on the way out."""

    def __init__(self, cell: Cell, spoil=lambda logits: logits, classes: int = 10):
        super().__init__(cell, *plain(cell, classes))
        self.spoil, self.fed = spoil, []
        self.details = {"version": "1.0"}

    def feed(self, batch):
        super().feed(batch)
        self.fed.append(batch.copy())

    def run(self):
        logits = self.spoil(corner_logits(self.input, self.result.shape[1]))
        if logits is not None:
            self.result[...] = logits


def fake_backend(monkeypatch, load, settings: dict) -> types.ModuleType:
    """Register a backend named `fake` that can do every cell on the CPU; return its module, for tests to change."""
    module = types.ModuleType("speedgrid.backends.fake")
    module.PACKAGES, module.IMPORTS = ("numpy",), {"cpu": ("json",)}
    module.available = lambda device: None
    module.unsupported = lambda cell, device: None
    module.load = load
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(VARIANTS, "fake", Variant("fake", "Fake", settings, "nothing", FLOATS))
    return module
