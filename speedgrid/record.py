"""The record of one measurement, declared: what was asked, and what was seen. Nothing in it is a judgement.

What it means is decided when the table is made (speedgrid.table), so that a limit, a pattern or a sentence can change
with no device and no measurement repeated. A record is a JSON file, written whole or not at all; older ones are read.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

from speedgrid import InputError
from speedgrid.data.answers import Errors, Expected, Parity
from speedgrid.data.samples import Host, Samples
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import checksum, one_line, write_checked
from speedgrid.launcher.reading import load, short

FORMAT = 4
# What a process that holds the device can say; all else is said by the table.
Status = Literal["ok", "unavailable", "unsupported", "out_of_memory", "failed"]


class RecordError(InputError):
    """A record that cannot be read; the message names the file."""


class Machine(TypedDict, total=False):
    """A machine as it was when something was measured; where there is no GPU, what is said of it is missing.

    cpus_allowed, cpu_quota: the logical CPUs, and the time of CPUs, that a container or an affinity leaves to the
    process; missing where it has all.
    """

    device: str
    device_name: str
    cpu: str
    cpus_allowed: int
    cpu_quota: float
    os: str
    python: str
    packages: dict[str, str]
    commit: str | None
    gpu: str
    gpu_uuid: str
    gpu_memory_mb: int
    compute_capability: str
    driver: str
    cuda_driver: str
    power_limit_w: float | None
    max_sm_clock_mhz: int | None


@dataclass(frozen=True)
class Asked:
    """The request of a timing: its cell, its turn, and how long it is measured.

    Counts and min_seconds are minimums; from there on it stops when the 95 % interval of its median is within
    target_percent of it on either side; max_seconds wins. patience_seconds: how long it waits for others to be quiet,
    and takes again what they disturbed. settings: of the variant. probes: what else to measure.
    """

    cell: Cell
    turn: str
    device: str
    warmup_runs: int
    timed_runs: int
    min_seconds: float
    max_seconds: float
    target_percent: float
    cpu_threads: int
    patience_seconds: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)
    probes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Memory:
    """Memory of a process in MB (1e6 bytes) at several moments, the first of them before anything was loaded."""

    readings_mb: dict[str, float | None]
    whole_device: bool = False
    other_processes: int | None = None

    def peak_mb(self) -> float | None:
        """Return the largest reading less the first one, in MB; None if there is no other reading."""
        baseline, *later = self.readings_mb.values()
        if baseline is None or not any(later):
            return None
        return round(max(0.0, *(reading - baseline for reading in later if reading is not None)), 3)


@dataclass(frozen=True)
class Telemetry:
    """Readings of a GPU while a cell was timed, one list for each quantity; no reading is None.

    time: seconds since the epoch. temperature_c: in degrees Celsius. reasons: bits of LOWER_CLOCK.
    """

    time: list[float] = field(default_factory=list)
    sm_clock_mhz: list[float | None] = field(default_factory=list)
    power_w: list[float | None] = field(default_factory=list)
    temperature_c: list[float | None] = field(default_factory=list)
    utilisation_percent: list[float | None] = field(default_factory=list)
    reasons: list[int | None] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """The observations of one measurement, of a session that ran.

    dtype: of its input and output, as it reports them itself. details: what ran. quantised_nodes: how many of its
    products executed so. seconds: where the time went. errors: None where an output was missing or not finite. probes:
    what each probe that was asked for measured, by its name.
    """

    dtype: str
    details: dict[str, Any]
    samples: Samples
    seconds: dict[str, float]
    memory: Memory
    expected: Expected | None
    errors: Errors | None = None
    parity: Parity | None = None
    quantised_nodes: dict[str, Any] | None = None
    telemetry: Telemetry | None = None
    host: Host | None = None
    probes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of any measurement, as its record has it beside what was asked and seen.

    reason: in one clause, why `status` is not ok. measured_at: ISO 8601. fingerprint: what must not differ in a table.
    command: measures this again. session: of measuring, by when its run began; empty in older ones.
    """

    status: Status
    reason: str
    measured_at: str
    environment: Machine
    fingerprint: str
    command: str
    traceback: str | None = None
    session: str = ""


@dataclass(frozen=True)
class Record(Outcome):
    """One measurement of a cell: what was asked, and what was seen.

    build: the record of what was compiled for it. seen: None unless it ran. file: that it was read from. intact:
    whether its content has the checksum there; None of older ones, which have none.
    """

    asked: Asked
    build: dict[str, Any] | None = None
    seen: Seen | None = None
    format: int = FORMAT
    file: str = field(default="", compare=False)
    intact: bool | None = field(default=None, compare=False)
    best_pace: float = field(default=0.0, compare=False)

    @property
    def cell(self) -> Cell:
        """The cell that was measured."""
        return self.asked.cell

    @property
    def turn(self) -> str:
        """The turn of the measurement."""
        return self.asked.turn

    @property
    def name(self) -> str:
        """The name of the measurement, which its file has too."""
        return f"{self.cell}-{self.turn}"

    @property
    def host_ms(self) -> list[float]:
        """The latencies in ms on the host clock, of a record that has some."""
        assert self.seen is not None, f"{self.cell}, {self.turn}: {self.status}"
        return self.seen.samples.host_ms


# What is said of a record where it is read and judged.
UNWRITTEN = ("file", "intact", "best_pace")


def write(path: str | Path, record: Record) -> None:
    """Write a record to `path`, as JSON with its checksum, whole or not at all."""
    write_checked(path, {key: value for key, value in asdict(record).items() if key not in UNWRITTEN})


def read(path: Any) -> Record:
    """Return the record in `path`, a path or one inside a ZIP file. Raises RecordError if it is none."""
    file = Path(path) if isinstance(path, str) else path
    try:
        content = load(file)
        found = parse(content)
    except RecordError as error:
        raise RecordError(f"{path} {error}; delete it and run again.") from error
    except ValueError as error:
        raise RecordError(f"{path} is not a readable record ({error}); delete it and run again.") from error
    intact = content["checksum"] == checksum(content) if "checksum" in content else None
    return replace(found, file=file.name, intact=intact, best_pace=0.0)


def parse(content: Any) -> Record:
    """Return the record that a JSON value is, brought to this format. Raises RecordError, which names what is wrong."""
    import msgspec  # 20 ms, which a timing need not pay

    if not isinstance(content, dict):
        raise RecordError(f"is not a record but a {type(content).__name__}")
    if (version := content.get("format")) not in [*OLDER, FORMAT] or type(version) is not int:
        raise RecordError(f"has format {short(version)}; this version reads {', '.join(map(str, [*OLDER, FORMAT]))}")
    try:
        found = msgspec.convert(OLDER[version](content) if version in OLDER else content, Record)
    except (msgspec.ValidationError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"is not a record of format {version} ({one_line(error)})") from error
    if (found.status == "ok") == (found.seen is None):
        raise RecordError(f"is not a record of format {version} (its status contradicts what it saw)")
    if found.seen and not found.seen.samples.host_ms:
        raise RecordError(f"is not a record of format {version} (it has no samples)")
    return found


def _from_format_3(old: dict[str, Any]) -> dict[str, Any]:
    """Return a record of format 3 as one of this format.

    Of telemetry and errors it had summaries alone, which stand as one reading and as Parity; its verdicts are dropped.
    """
    numbers = ("warmup_runs", "timed_runs", "min_seconds", "max_seconds", "target_percent")
    asked: dict[str, Any] = dict.fromkeys(numbers, 0) | {"settings": {}} | old["asked"]
    asked |= {"cell": old["cell"], "turn": old["turn"], "probes": []}
    new = {name: old[name] for name in ("measured_at", "environment", "fingerprint", "command")}
    new |= {"asked": asked, "format": FORMAT, "traceback": old.get("traceback")}
    if "samples" not in old:
        return new | {"status": old["status"], "reason": old["reason"]}
    samples, parity = dict(old["samples"]), dict(old["parity"] or {})
    back_to_back = {name: samples.pop(f"throughput_{name}", None) for name in ("ms", "runs", "seconds")}
    expected = {name: parity.pop(key) for name in ("snr_db", "uneven_db") if (key := f"expected_{name}") in parity}
    probes = {"energy": old.get("energy"), "kernels": old.get("kernels"), "request": old.get("end_to_end")}
    probes["back_to_back"] = back_to_back if back_to_back["ms"] is not None else None
    same = {name: old[name] for name in ("dtype", "details", "seconds", "quantised_nodes", "host") if name in old}
    memory = {name: value for name, value in old["memory"].items() if name != "peak_mb"}
    seen = same | {"samples": samples, "memory": memory, "telemetry": _one_reading(old.get("telemetry"))}
    seen |= {"parity": parity or None, "expected": expected or None}
    seen["probes"] = {name: found for name, found in probes.items() if found is not None}
    return new | {"status": "ok", "reason": "", "build": old.get("build"), "seen": seen}


def _one_reading(summary: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the summary that records of format 3 have of their telemetry as a single reading."""
    if summary is None:
        return None
    bits = dict(zip(LOWER_CLOCK.values(), LOWER_CLOCK, strict=True))
    found = {name: [summary.get(name)] for name in ("sm_clock_mhz", "power_w", "temperature_c", "utilisation_percent")}
    return found | {"time": [], "reasons": [sum(bits[text] for text in summary.get("throttled", ()))]}


# NVML's reasons for a lower clock, those that change a number.
POWER_CAP = "software power cap"
LOWER_CLOCK = {
    0x4: POWER_CAP,
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}
OLDER = {3: _from_format_3}
