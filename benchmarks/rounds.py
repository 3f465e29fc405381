"""Does `timing.rounds: auto` name the winners that three rounds of everything name, and do its intervals hold?

    python -m benchmarks.rounds [RUNS]

Simulates RUNS grids (200 where nothing is given) of 24 cells under each of some conditions, with truths that are known:
processes of one cell differ by an amount of its own, samples within one by 1 %. Prints how often the 95 % intervals of
cells of one, two and three rounds, and of ratios, contain the truth; then for one round, three rounds and `auto` how
often the report recommends a setting that is more than 2 % worse than the best one, how often it names neither the best
one nor a tie with it, and how many timings that took. Decisions are those of the workflow. Nothing is measured.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from speedgrid import grid, settings
from speedgrid.evidence.between import Spread, common
from speedgrid.evidence.intervals import median_interval, ratio_interval, spread_of, within
from speedgrid.launcher.rounds import AUTO
from speedgrid.report.deciding import decide
from speedgrid.report.findings.decision import chosen
from speedgrid.report.findings.objectives import OBJECTIVES, margin_of, ties

AXES = {
    "model": ["resnet18"],
    "backend": ["pytorch", "onnxruntime", "openvino"],
    "precision": ["fp32"],
    "resolution": [224, 256, 384, 512],
    "batch_size": [1, 8],
}
CELLS = grid.cells(AXES)
CONTROL = grid.control_cell(AXES)
GRID = {"cpu": {name: values for name, values in AXES.items() if name != "model"}}
SAMPLES, INSIDE, CONTROLS = 25, 0.01, 4
# How processes of each cell differ, as the standard deviation of the logarithm of their median.
Drawn = Callable[[np.random.Generator, int], np.ndarray]
CONDITIONS: dict[str, Drawn] = {
    "all cells by 1 %": lambda random, count: np.full(count, 0.01),
    "half of them by 0.25 %, half by 1 %": lambda random, count: random.choice([0.0025, 0.01], count),
    "as kernels on an H200, 0.9 % in the median": lambda random, count: 0.009 * np.exp(random.normal(0, 0.7, count)),
    "all cells by 5 %": lambda random, count: np.full(count, 0.05),
    "not at all": lambda random, count: np.zeros(count),
}


@dataclass
class Machine:
    """A machine with true latencies in ms by cell, on which cells can be timed."""

    random: np.random.Generator
    truth: dict[str, float]
    between: dict[str, float]
    rounds: dict[str, list[np.ndarray]] = field(default_factory=dict)
    controls: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def drawn(cls, random: np.random.Generator, differs: Drawn) -> "Machine":
        """Return a machine whose backends are a few per cent apart at each place."""
        places: dict[tuple, float] = {}
        truth = {}
        for cell in CELLS:
            place = grid.place_of(cell)
            base = places.setdefault(place, 3 * (cell.resolution / 224) ** 2 * cell.batch_size**0.9)
            truth[str(cell)] = float(base * np.exp(random.normal(0, 0.06)))
        return cls(random, truth, dict(zip(truth, differs(random, len(truth)), strict=True)))

    def time(self, cell: str) -> np.ndarray:
        """Return the samples of one process of a cell."""
        level = np.log(self.truth[cell]) + self.random.normal(0, self.between[cell])
        return np.exp(level + self.random.normal(0, INSIDE, SAMPLES))

    def measure(self, cells: list[str]) -> int:
        """Time cells once more, with the controls of a round; return the number of timings."""
        for cell in cells:
            self.rounds.setdefault(cell, []).append(self.time(cell))
        count = CONTROLS if not self.controls else CONTROLS - 1
        self.controls += [self.time(str(CONTROL)) for _ in range(count)]
        return len(cells) + count

    def like(self) -> Spread | None:
        """Return the spread that cells have in common."""
        groups = [*self.rounds.values(), self.controls]
        return common([known(one) for one in groups if len(one) > 1])

    def table(self, lending: bool) -> pd.DataFrame:
        """Return the columns of a table that decisions look at. lending: as of speedgrid.table.description.finish."""
        like, lines = self.like() if lending else None, []
        for cell in CELLS:
            rounds = self.rounds[str(cell)]
            value, low, high = median_interval(rounds, like)
            images = 1000 * cell.batch_size
            lines.append(
                {axis: getattr(cell, axis) for axis in grid.AXES}
                | {"status": "ok", "rounds": len(rounds), "memory_mb": np.nan, "energy_mj_per_image": np.nan}
                | {"observed_precision": cell.precision, "latency_ms": value}
                | {"latency_ms_low": low, "latency_ms_high": high, "throughput_fps": images / value}
                | {"throughput_fps_low": images / high, "throughput_fps_high": images / low}
                | {"freedom": spread.freedom if (spread := spread_of(rounds, like)) else np.nan}
            )
        table = pd.DataFrame(lines)
        wide = (table.latency_ms_high / table.latency_ms > 1.1) | (table.latency_ms_low / table.latency_ms < 0.9)
        return table.assign(status=np.where(wide, "unstable", "ok"))


def known(rounds: list[np.ndarray]) -> Spread:
    """Return the spread of timings of a cell, as speedgrid.table.borrowed.spread has it of records."""
    logs = np.log([np.median(one) for one in rounds])
    return Spread(max(float(logs.var(ddof=1)), within(rounds)), len(rounds) - 1)


def run(machine: Machine, rounds: int | str, config: dict) -> tuple[pd.DataFrame, int]:
    """Measure as a number of rounds says, or as the answers need it; return the table and the number of timings."""
    everything = [str(cell) for cell in CELLS]
    count = machine.measure(everything)
    for done in range(1, 3 if rounds == AUTO else int(rounds)):
        again = everything
        if rounds == AUTO:
            again = list(decide(machine.table(True), config, None, done, CONTROL, set())["cells"])
        if not again:
            break
        count += machine.measure(again)
    return machine.table(rounds == AUTO), count


def verdicts(table: pd.DataFrame, truth: dict[str, float]) -> list[tuple[bool, bool]]:
    """Return of each recommendation whether it is more than 2 % worse than the best, and whether that is not named."""
    found, margin = [], margin_of(None)
    for _, rows in table.groupby("resolution"):
        for name in ("throughput", "latency"):
            winner = chosen(name, rows, margin)
            per = {
                index: truth[str(CELLS[index])] / (rows.batch_size[index] if name == "throughput" else 1)
                for index in rows.index
            }
            best = min(per, key=lambda index: per[index])
            named = {winner.name, *ties(rows, winner, OBJECTIVES[name], margin).index}
            found.append((per[winner.name] > 1.02 * per[best], best not in named))
    return found


def coverage(machine: Machine, hits: dict[str, list[bool]]) -> None:
    """Add whether intervals of a machine contain the truth, by the number of rounds, and of ratios."""
    like = machine.like()
    found = {cell: median_interval(rounds, like) for cell, rounds in machine.rounds.items()}
    for cell, (_, low, high) in found.items():
        hits.setdefault(f"{len(machine.rounds[cell])} rounds", []).append(low <= machine.truth[cell] <= high)
    for one, other in zip(list(found)[::2], list(found)[1::2], strict=True):
        _, low, high = ratio_interval(found[one], found[other])
        hits.setdefault("ratios", []).append(low <= machine.truth[one] / machine.truth[other] <= high)


def main(runs: int) -> None:
    """Print the tables."""
    asked = {"device": "cpu", "grid": GRID, "report": {"resolution": 224, "batch_size": 8}}
    config = settings.complete(asked | {"data": {"images": "random"}})
    for number, (condition, differs) in enumerate(CONDITIONS.items()):
        print(f"Processes differ: {condition}", flush=True)
        hits: dict[str, list[bool]] = {}
        for seed in range(runs):
            machine = Machine.drawn(np.random.default_rng([number, seed]), differs)
            machine.measure([str(cell) for cell in CELLS])
            for share in (0.5, 0.5):
                machine.measure([cell for cell in machine.rounds if machine.random.random() < share])
            coverage(machine, hits)
        print("  contain the truth: " + ", ".join(f"{name} {100 * np.mean(hits[name]):.1f} %" for name in sorted(hits)))
        for rounds in (1, 3, AUTO):
            wrong, counts = [], []
            for seed in range(runs):
                machine = Machine.drawn(np.random.default_rng([number, seed]), differs)
                table, count = run(machine, rounds, config)
                wrong += verdicts(table, machine.truth)
                counts.append(count)
            worse, unnamed = (100 * np.mean(column) for column in zip(*wrong, strict=True))
            print(
                f"  rounds {rounds}: {worse:.1f} % of recommendations more than 2 % worse than the best, "
                f"{unnamed:.1f} % without the best among what ties; {np.mean(counts):.0f} timings",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
