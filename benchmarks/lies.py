"""How many lies planted in real records are found: python -m benchmarks.lies [FOLDER]

FOLDER: one in which speedgrid ran, this one by default; nothing in it changes. Each lie is told in copies of its
records, one at a time, with the record's checksum left as it was and made anew; then the table is made. A lie is found
where a record counts as one that cannot be true, where the row of its cell is neither `ok` nor what it was, or where a
caveat is new.
"""

import argparse
import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from speedgrid import grid
from speedgrid.launcher.outputs import checksum
from speedgrid.launcher.rounds import certain_rounds
from speedgrid.record import Record, parse
from speedgrid.table.description import Material, finish

# A record as JSON, and those of a run by the names of their files.
Content: TypeAlias = dict[str, Any]
Contents: TypeAlias = dict[str, Content]
# How many records each lie is told in.
EACH = 6


def samples(one: Content) -> Content:
    """Return the samples of a record."""
    return one["seen"]["samples"]


def scale(one: Content, factor: float, *names: str) -> None:
    """Multiply samples or figures of a record, as whole nanoseconds where they are samples."""
    held = samples(one)
    for name in names:
        value = held[name]
        held[name] = [round(factor * x, 6) for x in value] if isinstance(value, list) else round(factor * value, 6)


def half(one: Content, other: Content) -> None:
    """All samples x 0.5."""
    samples(one)["host_ms"] = [0.5 * x for x in samples(one)["host_ms"]]


def half_on_the_clock(one: Content, other: Content) -> None:
    """All samples x 0.5, in whole nanoseconds."""
    scale(one, 0.5, "host_ms")


def half_and_its_time(one: Content, other: Content) -> None:
    """Samples and the time they took x 0.5."""
    scale(one, 0.5, "host_ms", "timed_seconds")


def half_of_everything(one: Content, other: Content) -> None:
    """Every clock of the timing x 0.5."""
    scale(one, 0.5, "host_ms", "device_ms", "submit_ms", "timed_seconds", "warmup_seconds")
    one["seen"]["seconds"]["timing"] *= 0.5


def double(one: Content, other: Content) -> None:
    """All samples x 2, of a competitor."""
    scale(one, 2, "host_ms")


def tenth_less(one: Content, other: Content) -> None:
    """All samples x 0.9, in whole nanoseconds."""
    scale(one, 0.9, "host_ms")


def fastest_quarter(one: Content, other: Content) -> None:
    """Only the fastest quarter kept."""
    held = samples(one)
    limit = sorted(held["host_ms"])[max(3, len(held["host_ms"]) // 4) - 1]
    kept = [place for place, x in enumerate(held["host_ms"]) if x <= limit]
    for name in ("host_ms", "device_ms", "submit_ms"):
        held[name] = [held[name][place] for place in kept] if held[name] else []


def fastest_quarter_and_its_time(one: Content, other: Content) -> None:
    """Only the fastest quarter kept, and the time that it took."""
    fastest_quarter(one, other)
    samples(one)["timed_seconds"] = round(sum(samples(one)["host_ms"]) / 1000 + 0.001, 6)


def slowest_replaced(one: Content, other: Content) -> None:
    """The slower half replaced by the faster half."""
    held = samples(one)["host_ms"]
    faster = sorted(held)[: len(held) // 2] or held
    samples(one)["host_ms"] = [x if x <= faster[-1] else faster[place % len(faster)] for place, x in enumerate(held)]


def ten_round_ones(one: Content, other: Content) -> None:
    """Ten samples of exactly 1 ms."""
    samples(one)["host_ms"] = [1.0] * 10


def rounded_off(one: Content, other: Content) -> None:
    """Samples rounded to 0.01 ms."""
    samples(one)["host_ms"] = [max(0.01, round(x, 2)) for x in samples(one)["host_ms"]]


def in_order(one: Content, other: Content) -> None:
    """Samples sorted."""
    samples(one)["host_ms"] = sorted(samples(one)["host_ms"])


def invented(one: Content, other: Content) -> None:
    """Samples drawn about 0.7 of the median."""
    drawn, held = random.Random(0), samples(one)["host_ms"]
    samples(one)["host_ms"] = [round(0.7 * median(held) * drawn.gauss(1, 0.01), 6) for _ in held]


def copied(one: Content, other: Content) -> None:
    """Samples of another cell x 1.0001."""
    samples(one)["host_ms"] = [1.0001 * x for x in samples(other)["host_ms"]]


def copied_on_the_clock(one: Content, other: Content) -> None:
    """Everything timed of another cell, samples x 1.0001 in whole nanoseconds."""
    one["seen"]["samples"] = copy.deepcopy(samples(other))
    one["seen"]["seconds"]["timing"] = other["seen"]["seconds"]["timing"]
    scale(one, 1.0001, "host_ms", "device_ms")


def no_speed(one: Content, other: Content) -> None:
    """Status ok with no sample."""
    samples(one)["host_ms"] = []


def no_time(one: Content, other: Content) -> None:
    """One sample of 0 ms."""
    samples(one)["host_ms"][0] = 0.0


def other_type(one: Content, other: Content) -> None:
    """Tensors of another type."""
    one["seen"]["dtype"] = "float16"


def other_device(one: Content, other: Content) -> None:
    """Asked for on another device."""
    one["asked"]["device"] = "cuda" if one["asked"]["device"] == "cpu" else "cpu"


def better_answers(one: Content, other: Content) -> None:
    """Errors of the answers x 0.001."""
    one["seen"]["errors"]["noise"] = [0.001 * x for x in one["seen"]["errors"]["noise"]]


def worse_answers(one: Content, other: Content) -> None:
    """Errors of the answers x 1000, those of a lower precision."""
    one["seen"]["errors"]["noise"] = [1000 * x for x in one["seen"]["errors"]["noise"]]


def other_expectation(one: Content, other: Content) -> None:
    """An expected SNR that excuses a lower precision."""
    one["seen"]["expected"]["snr_db"]["fp32"] -= 60


def fewer_images(one: Content, other: Content) -> None:
    """Only the best image's answer kept."""
    errors = one["seen"]["errors"]
    best = min(range(len(errors["noise"])), key=lambda place: errors["noise"][place] / errors["signal"][place])
    for name in ("signal", "noise", "cosine", "margin", "same_class", "nearest"):
        errors[name] = [errors[name][best]] if errors.get(name) else []


def tenth_of_memory(one: Content, other: Content) -> None:
    """Memory x 0.1."""
    readings = one["seen"]["memory"]["readings_mb"]
    first = next(iter(readings.values()))
    one["seen"]["memory"]["readings_mb"] = {name: first + 0.1 * (x - first) for name, x in readings.items()}


def less_memory(one: Content, other: Content) -> None:
    """The last reading of memory halved."""
    readings = one["seen"]["memory"]["readings_mb"]
    readings[[*readings][-1]] *= 0.5


def other_command(one: Content, other: Content) -> None:
    """Another cell's command."""
    one["command"] = other["command"]


def unbuilt(one: Content, other: Content) -> None:
    """A build that failed, of a session that ran."""
    one["build"] = {"status": "failed", "reason": "lost"}


def under_its_name(one: Content, other: Content) -> None:
    """The record of another cell in its file."""
    one.clear()
    one.update(copy.deepcopy(other))


def renamed(one: Content, other: Content) -> None:
    """The record of another cell in its file, under its name."""
    asked = one["asked"]
    under_its_name(one, other)
    one["asked"] |= {"cell": asked["cell"], "turn": asked["turn"]}


def renamed_throughout(one: Content, other: Content) -> None:
    """The record of another cell in its file, under its name in the command too."""
    command = one["command"]
    renamed(one, other)
    one["command"] = command


LIES: tuple[Callable[[Content, Content], None], ...] = (
    half,
    half_on_the_clock,
    half_and_its_time,
    half_of_everything,
    double,
    tenth_less,
    fastest_quarter,
    fastest_quarter_and_its_time,
    slowest_replaced,
    ten_round_ones,
    rounded_off,
    in_order,
    invented,
    copied,
    copied_on_the_clock,
    no_speed,
    no_time,
    other_type,
    other_device,
    better_answers,
    worse_answers,
    other_expectation,
    fewer_images,
    tenth_of_memory,
    less_memory,
    other_command,
    unbuilt,
    under_its_name,
    renamed,
    renamed_throughout,
)


class Run:
    """The records of a finished run as JSON, and what its table is made of beside them."""

    def __init__(self, folder: Path):
        base = folder / "artifacts" if (folder / "artifacts").is_dir() else folder
        described = json.loads((base / "run.json").read_text(encoding="utf-8"))
        self.config, self.weights = described["config"], described["weights"]
        axes = grid.axes_of(self.config)
        self.cells, names = grid.cells(axes), grid.timings(axes, certain_rounds(self.config["timing"]))
        paths = [base / "timings" / f"{name}.json" for name in names]
        self.contents: Contents = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}
        self.flops, self.peaks = (
            json.loads((base / name).read_text(encoding="utf-8")) for name in ("flops.json", "peaks.json")
        )
        self.before = self.judged(self.contents)

    def judged(self, contents: Contents) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
        """Return the records that cannot be true, and of each row its status and its caveats."""
        records = [self.read(name, one) for name, one in contents.items()]
        material = Material(records, self.weights, self.flops, self.peaks)
        found = finish(self.cells, material, self.config["report"]["reference"], 0.01)
        caveats = [text if isinstance(text, str) else "" for text in found.table.caveats]
        rows = zip(self.cells, found.table.status, caveats, strict=True)
        return found.summary["held"]["contradictory"], {str(cell): (status, text) for cell, status, text in rows}

    @staticmethod
    def read(name: str, content: Content) -> Record:
        """Return a record as speedgrid.record.read has it."""
        intact = content["checksum"] == checksum(content) if "checksum" in content else None
        return Record(**vars(parse(content)) | {"file": name, "intact": intact})

    def found(self, contents: Contents, names: list[str]) -> bool:
        """Say whether a lie is found in the records that have it."""
        contradictory, rows = self.judged(contents)
        if contradictory.keys() - self.before[0].keys():
            return True
        cells = {grid.TIMING.fullmatch(name.removesuffix(".json"))["cell"] for name in names}
        was = self.before[1]
        return any(
            rows[one][0] not in ("ok", was[one][0]) or ("more work" in rows[one][1] and "more work" not in was[one][1])
            for one in cells
        )


def tell(run: Run, lie: Callable[[Content, Content], None], place: int, anew: bool) -> bool:
    """Tell a lie in one record and say whether it was found."""
    names = [name for name, one in run.contents.items() if one["seen"]]
    drawn = random.Random(f"{lie.__name__}-{place}")
    while True:
        name = drawn.choice(names)
        other = drawn.choice([one for one in names if cell_of(one) != cell_of(name)])
        contents = copy.deepcopy(run.contents)
        lie(contents[name], contents[other])
        if contents[name] != run.contents[name]:  # three samples have no fastest quarter
            break
    if anew and "checksum" in contents[name]:
        contents[name]["checksum"] = checksum(contents[name])
    try:
        return run.found(contents, [name])
    except (ValueError, AssertionError):  # refused before it was held against anything
        return True


def cell_of(name: str) -> str:
    """Return the cell that the file of a record is named after."""
    return name.removesuffix(".json").rsplit("-", 1)[0]


def main() -> None:
    """Tell every lie, and print how many of each kind were found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("--each", type=int, default=EACH, help="records that each lie is told in")
    asked = parser.parse_args()
    run = Run(asked.folder)
    rows = Counter(status for status, _ in run.before[1].values())
    print(f"{len(run.contents)} honest records, {len(run.before[0])} false alarms; rows: {dict(rows)}")
    for name, why in run.before[0].items():
        print(f"  {name}: {why}")
    totals: Counter[str] = Counter()
    print(f"{'lie':68} {'checksum left':>14} {'made anew':>10}")
    for lie in LIES:
        told = {anew: [tell(run, lie, place, anew) for place in range(asked.each)] for anew in (False, True)}
        left, anew = (sum(map(bool, told[one])) for one in (False, True))
        totals += Counter(left=left, anew=anew, told=asked.each)
        print(f"{(lie.__doc__ or '').rstrip('.'):68} {left:>6} of {asked.each:<4} {anew:>3} of {asked.each}")
    shares = (f"{totals[one]} ({100 * totals[one] / totals['told']:.0f} %)" for one in ("left", "anew"))
    print(
        "found of {} lies of {} kinds: {} with the checksum left, {} made anew".format(
            totals["told"], len(LIES), *shares
        )
    )


if __name__ == "__main__":
    main()
