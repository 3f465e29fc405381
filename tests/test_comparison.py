"""Two results beside each other: what is found, what is not called a difference, and what the report says of it."""

import errno
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import changed, make_record
from processes import ROOT, run
from results import compare, write_result

from speedgrid import InputError
from speedgrid.comparison import cells, differences, load, noise, report, verdicts
from speedgrid.comparison.load import ComparisonError, Result
from speedgrid.comparison.noise import Rounds
from speedgrid.evidence.between import Spread
from speedgrid.evidence.intervals import median_interval
from speedgrid.grid import Cell
from speedgrid.record import read, write
from speedgrid.table.limiter import HOST_LAUNCH, KERNEL

EXAMPLE = ROOT / "examples" / "nvidia-h200"
RUN = {
    "machine": {"device_name": "Test GPU", "packages": {"torch": "2.0"}},
    "weights": [{"model": "resnet18", "resolution": 224, "source": "seeded, seed 0", "sha256": "a1"}],
    "config": {"models": ["resnet18"], "timing": {"rounds": 3}, "report": {"language": "en"}},
    "controls": {"cell": None, "sentinel": None, "twin": None, "noise_floor_percent": None},
    "measured_from": "2026-01-02T03:04:05+00:00",
    "measured_to": "2026-01-02T04:04:05+00:00",
}
CELLS = 288
# As it was seen on an H200 (speedgrid.comparison.noise): logarithmic standard deviations between rounds of 0.5 to 1 %
# in most cells, far more in a few, and host-launch-bound cells that jump between two speeds.
WAITING, STRANGE = 40, 10
SLOWDOWN, SHARE = 1.03, 0.1


def make_result(latencies: dict[str, list[np.ndarray]], name="A", limiters=None, **columns) -> Result:
    """Return a result whose table rests on the samples, as the workflow's does. latencies: ms of each round."""
    rows = []
    for cell, rounds in latencies.items():
        value, low, high = median_interval(rounds)
        rows.append(
            {
                **asdict(Cell.parse(cell)),
                "status": "ok",
                "reason": "",
                "latency_ms": value,
                "latency_ms_low": low,
                "latency_ms_high": high,
                "rounds": len(rounds),
                "freedom": len(rounds) - 1 or np.nan,
                "observed_precision": Cell.parse(cell).precision,
                "limiter": (limiters or {}).get(cell, KERNEL),
                "sm_clock_mhz": 1980.0,
                "snr_db": 60.0,
                "top1_agreement": 1.0,
            }
        )
    return Result(name, pd.DataFrame(rows, index=list(latencies)).assign(**columns), RUN, latencies)


def without_samples(result: Result) -> Result:
    return Result(result.name, result.table, result.run, {})


class Grid:
    """A grid whose cells have a true latency and a noise of their own; measured as often as one likes."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.names = [f"resnet18-pytorch-fp32-r{32 * (number + 1)}-b1" for number in range(CELLS)]
        self.truth = np.exp(self.random.uniform(np.log(0.3), np.log(30), CELLS))
        self.between = self.random.uniform(0.005, 0.01, CELLS)
        self.waiting = np.arange(CELLS) < WAITING
        self.strange = (np.arange(CELLS) >= WAITING) & (np.arange(CELLS) < WAITING + STRANGE)
        self.between[self.strange] = 0.05
        self.limiters = dict(zip(self.names, np.where(self.waiting, HOST_LAUNCH, KERNEL), strict=True))

    def measure(self, factors=1.0) -> Result:
        """Return three rounds of 60 samples a cell, each latency times its factor."""
        logs = self.random.normal(0, 1, (CELLS, 3)) * self.between[:, None]
        jumps = np.log(1.6) * (self.random.random((CELLS, 3)) < 0.5) + self.random.normal(0, 0.03, (CELLS, 3))
        middles = (self.truth * factors)[:, None] * np.exp(np.where(self.waiting[:, None], jumps, logs))
        samples = middles[:, :, None] * np.exp(self.random.normal(0, 0.01, (CELLS, 3, 60)))
        return make_result({name: list(one) for name, one in zip(self.names, samples, strict=True)}, "A", self.limiters)


def found_and_false(seeds, swap: bool, read=lambda result: result) -> tuple[float, float]:
    """Return which share of slowed, not noisy cells is found, and of unchanged ones is called different."""
    word = verdicts.FASTER if swap else verdicts.SLOWER
    found, false = [], []
    for seed in seeds:
        grid = Grid(seed)
        slowed = grid.random.random(CELLS) < SHARE
        pair = read(grid.measure()), read(grid.measure(np.where(slowed, SLOWDOWN, 1.0)))
        verdict = cells.compare(*(pair[::-1] if swap else pair), 0.05).cells.verdict.to_numpy()
        found.append(verdict[slowed & ~grid.waiting & ~grid.strange] == word)
        false.append(np.isin(verdict[~slowed], [verdicts.FASTER, verdicts.SLOWER]))
    return np.concatenate(found).mean(), np.concatenate(false).mean()


@pytest.mark.parametrize(("swap", "runs"), [(False, 6), (True, 2)], ids=["A then B", "B then A"])
def test_nine_of_ten_small_slowdowns_are_found_and_one_of_a_hundred_other_cells_is_a_false_alarm(swap, runs):
    found, false = found_and_false(range(runs), swap)
    assert found >= 0.90
    assert false <= 0.01


def test_tables_without_samples_find_as_much():
    found, false = found_and_false(range(3), False, without_samples)
    assert found >= 0.90
    assert false <= 0.01


def test_two_runs_of_the_same_thing_hardly_ever_differ_and_close_no_gate():
    different = 0
    for seed in range(6):
        grid = Grid(100 + seed)
        comparison = cells.compare(grid.measure(), grid.measure(), 0.05)
        different += comparison.cells.verdict.isin([verdicts.FASTER, verdicts.SLOWER]).sum()
        assert comparison.regressions.empty
        assert (comparison.cells.verdict == verdicts.SAME)[~grid.waiting & ~grid.strange].mean() > 0.9
        # What jumps between two speeds in three rounds cannot be called the same.
        assert not (comparison.cells.verdict == verdicts.SAME)[grid.waiting].any()
    assert different <= 6 * CELLS * 0.003


@pytest.mark.parametrize("count", [6, 12, 36])
def test_small_grids_of_which_nothing_has_changed_seldom_raise_an_alarm(count):
    random = np.random.default_rng(count)
    limiters = pd.Series({str(cell): HOST_LAUNCH if cell < count // 6 else KERNEL for cell in range(count)})
    alarms = 0
    for _ in range(200):
        between = random.uniform(0.005, 0.01, count)
        pair = []
        for _side in "ab":
            jumps = np.log(1.6) * (random.random((count, 3)) < 0.5) + random.normal(0, 0.03, (count, 3))
            logs = random.normal(0, 1, (count, 3)) * between[:, None]
            logs[: count // 6] = jumps[: count // 6]
            rounds = {str(cell): Rounds(one.mean(), one.var(ddof=1), 2, 3) for cell, one in enumerate(logs)}
            pair.append((rounds, limiters))
        a, b = noise.moderate(*pair)
        ratios = {cell: float(np.exp(b[cell].centre - a[cell].centre)) for cell in a}
        waiting = set(limiters.index[limiters == HOST_LAUNCH])
        verdict = verdicts.decide({cell: (a[cell], b[cell]) for cell in a}, ratios, 0.05, waiting).verdict
        alarms += verdict.isin([verdicts.FASTER, verdicts.SLOWER]).any()
    # 5 % by design; 200 comparisons know it to within 3 %.
    assert alarms / 200 <= 0.08


def test_a_run_against_itself_has_no_difference_at_all():
    run = Grid(7).measure()
    verdict = cells.compare(run, run, 0.05).cells.verdict
    assert set(verdict) == {verdicts.SAME, verdicts.UNDECIDED}


def test_the_example_against_itself_has_no_difference_without_any_samples():
    example = load.read(EXAMPLE)
    assert example.samples == {}
    comparison = cells.compare(example, example, 0.05)
    assert set(comparison.cells.verdict) == {verdicts.SAME, verdicts.UNDECIDED, cells.NOT_COMPARED}
    assert (comparison.cells.verdict == verdicts.SAME).sum() > 100
    assert comparison.regressions.empty


def rounds_of(centre: float, deviation: float, count: int = 3, freedom: float = 20) -> Rounds:
    return Rounds(np.log(centre), deviation**2, freedom if count > 1 else 0, count)


VERDICTS = {
    "slower, beyond the band": (1.08, 0.005, "SLOWER"),
    "slower, within the band": (1.03, 0.005, "SLOWER"),
    "faster": (0.9, 0.005, "FASTER"),
    "same": (1.002, 0.005, "SAME"),
    "surely different, but too close to matter": (1.005, 0.0005, "SAME"),
    "same is not what little data shows": (1.0, 0.05, "UNDECIDED"),
    "different is not either": (1.2, 0.2, "UNDECIDED"),
    "the interval sticks out of the band": (1.04, 0.03, "UNDECIDED"),
}


@pytest.mark.parametrize(("ratio", "deviation", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_every_verdict(ratio, deviation, verdict):
    pair = rounds_of(1.0, deviation), rounds_of(ratio, deviation)
    line = verdicts.decide({"cell": pair}, {"cell": ratio}, 0.05).loc["cell"]
    assert line.verdict == verdict
    assert line.low <= ratio <= line.high
    if verdict == verdicts.SAME:
        assert line.low >= 1 / 1.05
        assert line.high <= 1.05
    if verdict in (verdicts.FASTER, verdicts.SLOWER):
        assert not line.low <= 1 <= line.high


def test_many_cells_need_more_evidence_than_one():
    alone = {"odd": (rounds_of(1.0, 0.01), rounds_of(1.02, 0.01))}
    others = {str(number): (rounds_of(1.0, 0.01), rounds_of(1.0, 0.01)) for number in range(50)}
    ratios = {cell: 1.02 if cell == "odd" else 1.0 for cell in alone | others}
    assert verdicts.decide(alone, ratios, 0.03).verdict["odd"] == verdicts.SLOWER
    assert verdicts.decide(alone | others, ratios, 0.03).verdict["odd"] == verdicts.UNDECIDED
    # Those that wait for their host are corrected for by themselves.
    assert verdicts.decide(alone | others, ratios, 0.03, waiting=set(others)).verdict["odd"] == verdicts.SLOWER


def test_one_round_on_both_sides_decides_nothing_and_on_one_side_borrows_from_the_other():
    one, three = rounds_of(1.0, 0, count=1), rounds_of(1.2, 0.005)
    both = verdicts.decide({"cell": (one, rounds_of(1.2, 0, count=1))}, {"cell": 1.2}, 0.05).loc["cell"]
    assert both.verdict == verdicts.UNDECIDED
    assert np.isnan(both.low)
    borrowed = verdicts.decide({"cell": (one, three)}, {"cell": 1.2}, 0.05).loc["cell"]
    known = verdicts.decide({"cell": (rounds_of(1.0, 0.005), three)}, {"cell": 1.2}, 0.05).loc["cell"]
    assert borrowed.verdict == verdicts.SLOWER
    assert borrowed.high / borrowed.low > known.high / known.low


def test_a_report_of_single_rounds_says_why_it_decides_nothing(tmp_path):
    one = make_result({"resnet18-pytorch-fp32-r224-b1": steady(1.0)[:1]})
    comparison = cells.compare(one, one, 0.05)
    written = report.write(comparison, tmp_path / "comparison.md")
    assert all(path.stat().st_size for path in written)
    text = written[0].read_text()
    assert "1 cell has one round on both sides" in text
    assert "| `resnet18-pytorch-fp32-r224-b1` | UNDECIDED | 1.000 | 1.00 |" in text


def test_cells_of_one_round_are_decided_by_the_spread_of_the_controls():
    names = [f"resnet18-pytorch-fp32-r224-b{size}" for size in (1, 2, 4)]
    one, other = (
        make_result({name: [steady(ms)[0]] for name, ms in zip(names, speeds, strict=True)})
        for speeds in ((1.0, 1.0, 1.0), (1.0, 1.03, 1.4))
    )
    controls = (Spread(0.005**2, 8),)
    pair = [replace(side, repeats=controls) for side in (one, other)]
    found = cells.compare(*pair, 0.05).cells
    assert found.verdict.tolist() == [verdicts.SAME, verdicts.UNDECIDED, verdicts.SLOWER]
    assert found.ratio_low.notna().all()
    assert cells.compare(one, other, 0.05).cells.verdict.eq(verdicts.UNDECIDED).all()


def test_samples_that_scatter_make_rounds_that_agree_by_chance_doubtful():
    steady, wild = (
        [np.exp(np.random.default_rng(s).normal(0, spread, 60)) for s in (1, 2, 3)] for spread in (0.001, 0.5)
    )
    assert noise.of_samples(steady).inside < 0.001**2
    assert noise.of_samples(wild).inside == pytest.approx(0.25 * np.pi / 2 / 60, rel=0.6)  # variance of a median
    [moderated] = noise.moderate(({"cell": Rounds(0.0, 0.0, 2, 3, inside=0.0009)}, pd.Series({"cell": KERNEL})))
    assert moderated["cell"].variance == 0.0009


@pytest.mark.parametrize("count", [2, 3, 5])
def test_an_interval_of_a_table_gives_back_its_rounds(count):
    rounds = [np.full(50, ms) for ms in (1.0, 1.02, 1.03, 0.99, 1.01)[:count]]
    there, back = noise.of_samples(rounds), noise.of_interval(*median_interval(rounds), count)
    assert back.centre == pytest.approx(there.centre)
    assert back.variance == pytest.approx(there.variance)
    assert (back.freedom, back.count) == (there.freedom, there.count)


@pytest.mark.parametrize("weight", [3.0, 12.0])
def test_what_cells_have_in_common_is_found_among_strange_ones(weight):
    random = np.random.default_rng(3)
    true = 0.01**2 * weight / random.chisquare(weight, 4000)
    seen = true * random.chisquare(2, 4000) / 2
    seen[:200] *= 1000
    scale, found = noise.prior(seen, np.full(4000, 2))
    assert scale == pytest.approx(0.01**2, rel=0.15)
    assert 0.5 * weight < found < 1.3 * weight


def test_few_cells_say_nothing_of_each_other():
    assert noise.prior(np.full(noise.FEWEST - 1, 1e-4), np.full(noise.FEWEST - 1, 2)) == (0.0, 0.0)


def test_variances_move_together_but_not_those_that_are_unlike_or_wait_for_their_host():
    random = np.random.default_rng(4)
    rounds = {str(number): Rounds(0.0, 1e-4 * random.chisquare(2) / 2, 2, 3) for number in range(100)}
    rounds |= {"calm": Rounds(0.0, 1e-9, 2, 3), "wild": Rounds(0.0, 0.04, 2, 3), "single": Rounds(0.0, 0.0, 0, 1)}
    waiting = {"waits": Rounds(0.0, 1e-6, 2, 3), "jumps": Rounds(0.0, 0.05, 2, 3), "leaps": Rounds(0.0, 0.09, 2, 3)}
    limiters = pd.Series(dict.fromkeys(rounds, KERNEL) | dict.fromkeys(waiting, HOST_LAUNCH))
    [moderated] = noise.moderate((rounds | waiting, limiters))
    assert 3e-5 < moderated["calm"].variance < 2e-4
    assert moderated["calm"].freedom > 6
    assert moderated["wild"] == rounds["wild"]
    # One round has the spread of all others, and no more of it than they agree on.
    assert 3e-5 < moderated["single"].variance < 2e-4
    assert 1 < moderated["single"].freedom < sum(one.freedom for one in rounds.values())
    assert moderated["waits"].variance == 0.05
    assert moderated["waits"].freedom == 2
    assert moderated["leaps"].variance == 0.09


def steady(latency: float, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [latency * np.exp(random.normal(0, 0.002) + random.normal(0, 0.002, 60)) for _ in range(3)]


def test_a_regression_is_slower_by_the_threshold():
    a = make_result({"resnet18-pytorch-fp32-r224-b1": steady(1.0, 1), "resnet18-pytorch-fp32-r224-b8": steady(1.0, 2)})
    b = make_result(
        {"resnet18-pytorch-fp32-r224-b1": steady(1.03, 3), "resnet18-pytorch-fp32-r224-b8": steady(1.08, 4)}, "B"
    )
    comparison = cells.compare(a, b, 0.05)
    assert list(comparison.cells.verdict) == [verdicts.SLOWER, verdicts.SLOWER]
    assert list(comparison.regressions.index) == ["resnet18-pytorch-fp32-r224-b8"]
    assert len(cells.compare(a, b, 0.02).regressions) == 2
    assert set(cells.compare(b, a, 0.05).cells.verdict) == {verdicts.FASTER}


def test_a_time_is_cycles_over_frequency():
    cell = "resnet18-pytorch-fp32-r224-b1"
    a, b = (make_result({cell: steady(ms, 1)}, sm_clock_mhz=mhz) for ms, mhz in ((1.0, 1980.0), (1.1, 1800.0)))
    row = cells.compare(a, b, 0.05).cells.loc[cell]
    assert row.clock_ratio == pytest.approx(1.1)
    assert row.cycle_ratio == pytest.approx(1.0)
    unknown = cells.compare(make_result({cell: steady(1.0)}, sm_clock_mhz=np.nan), b, 0.05).cells.loc[cell]
    assert np.isnan(unknown.clock_ratio)
    assert unknown.ratio > 1


def test_cells_of_one_side_are_listed_and_judged_by_nobody():
    shared, first, second = (
        "resnet18-pytorch-fp32-r224-b1",
        "resnet18-pytorch-fp32-r224-b2",
        "resnet18-pytorch-fp32-r224-b4",
    )
    a, b = (
        make_result({shared: steady(1.0), first: steady(2.0)}),
        make_result({shared: steady(1.0), second: steady(3.0)}),
    )
    comparison = cells.compare(a, b, 0.05)
    assert dict(comparison.cells.verdict) == {shared: "SAME", first: "ONLY IN A", second: "ONLY IN B"}
    assert comparison.regressions.empty
    text = report.markdown(comparison, "c.csv", None)
    assert (
        "## Only in A\n\n| cells | count | batch sizes |\n|---|---|---|\n| `resnet18-pytorch-fp32-r224` | 1 | 2 |"
        in text
    )
    with pytest.raises(ComparisonError, match="no cell in common"):
        cells.compare(make_result({first: steady(1.0)}), make_result({second: steady(1.0)}), 0.05)


FATES = {
    "lost": (("ok", "fp32"), ("failed", None), differences.LOST),
    "its label is wrong now": (("ok", "fp32"), ("wrong_precision", "tf32"), differences.LOST),
    "gained": (("out_of_memory", None), ("ok", "fp32"), differences.GAINED),
    "unstable now": (("ok", "fp32"), ("unstable", "fp32"), differences.CHANGED),
    "another wrong precision": (("wrong_precision", "tf32"), ("wrong_precision", "fp16"), differences.CHANGED),
    "another refusal": (("failed", None), ("out_of_memory", None), differences.CHANGED),
    "as it was": (("failed", None), ("failed", None), None),
}


@pytest.mark.parametrize(("before", "after", "fate"), FATES.values(), ids=FATES)
def test_what_became_of_a_cell(before, after, fate):
    cell = "resnet18-pytorch-fp32-r224-b1"
    pair = []
    for status, precision in (before, after):
        shown = precision is not None
        changes = {} if shown else dict.fromkeys(["latency_ms", "latency_ms_low", "latency_ms_high"], np.nan)
        one = make_result({cell: steady(1.0)}, status=status, observed_precision=precision, reason="so", **changes)
        pair.append(one if shown else without_samples(one))
    comparison = cells.compare(*pair, 0.05)
    assert differences.fate(comparison.cells).get(cell) == fate
    assert list(comparison.regressions.index) == ([cell] if fate == differences.LOST else [])
    compared = before[1] == after[1] and before[1] is not None
    assert (comparison.cells.verdict[cell] != cells.NOT_COMPARED) == compared
    text = report.markdown(comparison, "c.csv", None)
    assert ("speed lost" in text) == (fate == differences.LOST)
    assert (f"`{cell}` was `{before[0]}` in A and is `{after[0]}` in B: so" in text) == (fate == differences.LOST)


def test_accuracy_that_changes_is_shown_and_what_rounds_otherwise_is_not():
    names = [f"resnet18-pytorch-fp32-r224-b{size}" for size in (1, 2, 4)]
    a = make_result({name: steady(1.0) for name in names})
    b = make_result({name: steady(1.0) for name in names}, snr_db=[56.9, 59.0, 60.0], top1_agreement=[1.0, 1.0, 0.98])
    changed = differences.answers(cells.compare(a, b, 0.05).cells)
    assert list(changed.index) == [names[0], names[2]]


def test_what_two_machines_do_not_share_is_named():
    other = json.loads(json.dumps(RUN))
    other["machine"] |= {"device_name": "Other GPU", "driver": "580"}
    other["machine"]["packages"]["torch"] = "2.1"
    other["weights"][0]["sha256"] = "b2"
    assert differences.setup(RUN, other) == [
        ("machine.device_name", "Test GPU", "Other GPU"),
        ("machine.packages.torch", "2.0", "2.1"),
        ("weights.resnet18.224", "seeded, seed 0, sha256 a1", "seeded, seed 0, sha256 b2"),
        ("machine.driver", "-", "580"),
    ]
    assert differences.setup(RUN, RUN) == []
    one = make_result({"resnet18-pytorch-fp32-r224-b1": steady(1.0)})
    text = report.markdown(cells.compare(one, Result("B", one.table, other, {}), 0.05), "c.csv", None)
    assert "**Two devices**: Test GPU in A, Other GPU in B." in text
    assert "**The weights are not the same**, of resnet18 at 224 pixels" in text
    assert "B is a table without samples" in text
    assert "| `machine.packages.torch` | 2.0 | 2.1 |" in text


@pytest.mark.parametrize("percent", [0, 1, 100, -5, float("nan")])
def test_a_threshold_that_makes_no_sense_is_refused(percent):
    one = make_result({"resnet18-pytorch-fp32-r224-b1": steady(1.0)})
    with pytest.raises(ComparisonError, match=f"the threshold is {percent:g} %; it must be more than 1 %"):
        cells.compare(one, one, percent / 100)


# From here on: folders as the workflow writes them, and the real command.


def test_the_command_passes_where_nothing_is_slower_and_writes_what_it_says(tmp_path):
    a, b = write_result(tmp_path / "a", seed=1), write_result(tmp_path / "b", seed=2)
    output = tmp_path / "new" / "comparison.md"
    done = compare(a, b, "--output", output)
    assert "the SAME within 5 % in 3; 0 are UNDECIDED." in done.stdout
    assert "No regression" in output.read_text()
    assert "![Ratio of latencies, cell by cell](comparison.png)" in output.read_text()
    table = pd.read_csv(output.with_suffix(".csv"))
    assert list(table.columns) == list(cells.COLUMNS)
    assert list(table.verdict) == ["SAME"] * 3
    assert output.with_suffix(".svg").read_text().startswith("<?xml")
    assert output.with_suffix(".png").stat().st_size > 10_000


def test_the_command_fails_on_a_regression_beyond_the_threshold_only(tmp_path):
    a, b = write_result(tmp_path / "a", seed=1), write_result(tmp_path / "b", factor=1.08, seed=2)
    output = ("--output", tmp_path / "comparison.md")
    done = compare(a, b, *output, code=1)
    assert "**3 regressions**" in done.stdout
    assert "`resnet18-pytorch-fp32-r64-b8` takes 1.0" in (tmp_path / "comparison.md").read_text()
    compare(a, b, *output, "--threshold-percent", "20")
    compare(b, a, *output)


def test_the_command_fails_where_a_cell_has_lost_its_speed(tmp_path):
    a, b = write_result(tmp_path / "a"), write_result(tmp_path / "b", lost=["resnet18-pytorch-fp32-r64-b8"])
    compare(a, b, "--output", tmp_path / "comparison.md", code=1)
    assert "was `ok` in A and is `failed` in B: died" in (tmp_path / "comparison.md").read_text()


def test_a_folder_that_has_only_the_table_can_be_compared_with_one_that_has_samples(tmp_path):
    a = write_result(tmp_path / "a", seed=1)
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("results.csv", "run.json"):
        shutil.copy(a / "artifacts" / name, bare / name)
    whole, table = load.read(a), load.read(bare)
    assert [len(whole.samples), len(table.samples)] == [3, 0]
    b = load.read(write_result(tmp_path / "b", seed=2))
    left, right = (cells.compare(one, b, 0.05).cells for one in (whole, table))
    assert list(left.verdict) == list(right.verdict) == ["SAME"] * 3
    np.testing.assert_allclose(left.ratio, right.ratio)


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def break_format(folder):
    edit(folder / "artifacts" / "timings" / "resnet18-pytorch-fp32-r64-b1-round1.json", format=1)


def break_model(folder):
    path = folder / "artifacts" / "results.csv"
    path.write_text(path.read_text().replace("resnet18", "resnet50"))
    shutil.rmtree(folder / "artifacts" / "timings")


def break_description(folder):
    (folder / "artifacts" / "run.json").write_text("{")


def break_table(folder):
    (folder / "artifacts" / "results.csv").write_text("a,b\n1,2\n")


FIRST = "resnet18-pytorch-fp32-r64-b1-round1.json"


def measure_on(folder):
    random = np.random.default_rng(9)
    for number in (1, 2):
        slower = folder / "artifacts" / "timings" / FIRST.replace("round1", f"round{number}")
        samples = (9.0 * np.exp(random.normal(0, 0.002, 50))).round(6).tolist()
        write(slower, make_record("resnet18-pytorch-fp32-r64-b1", samples, turn=f"round{number}"))


def keep_header(folder):
    path = folder / "artifacts" / "results.csv"
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")


def edit_samples(folder):
    path = folder / "artifacts" / "timings" / FIRST
    content = json.loads(path.read_text(encoding="utf-8"))
    content["seen"]["samples"]["host_ms"][0] *= 1.5
    path.write_text(json.dumps(content), encoding="utf-8")


def halve_samples(folder):
    path = folder / "artifacts" / "timings" / FIRST
    write(path, changed(read(path), host_ms=[one / 2 for one in read(path).host_ms]))


def swap_records(folder):
    one = folder / "artifacts" / "timings" / FIRST
    other = one.with_name(FIRST.replace("-b1-", "-b8-"))
    one.rename(one.with_name("kept"))
    other.rename(one)
    one.with_name("kept").rename(other)


def describe(**changes):
    """Return what changes a run's description."""
    return lambda folder: edit(folder / "artifacts" / "run.json", **changes)


def configure(**changes):
    """Return what changes the configuration in a run's description."""

    def spoil(folder):
        path = folder / "artifacts" / "run.json"
        edit(path, config=json.loads(path.read_text(encoding="utf-8"))["config"] | changes)

    return spoil


REPORT = {"reference": {"backend": "pytorch", "precision": "fp32"}, "language": "../x"}


def nest(folder):
    (folder / "artifacts" / "run.json").write_text('{"a": ' * 3000 + "1" + "}" * 3000, encoding="utf-8")


def nest_a_little(folder):
    edit(folder / "artifacts" / "run.json", extra=json.loads("[" * 30 + "]" * 30))


def lose(*path):
    """Return what takes a part from the first record."""

    def spoil(folder):
        record = folder / "artifacts" / "timings" / "resnet18-pytorch-fp32-r64-b1-round1.json"
        content = part = json.loads(record.read_text(encoding="utf-8"))
        for key in path[:-1]:
            part = part[key]
        del part[path[-1]]
        record.write_text(json.dumps(content), encoding="utf-8")

    return spoil


def empty_samples(folder):
    record = folder / "artifacts" / "timings" / "resnet18-pytorch-fp32-r64-b1-round1.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    content["seen"]["samples"]["host_ms"] = []
    record.write_text(json.dumps(content), encoding="utf-8")


def write_in_table(column, value):
    """Return what writes a text into the second line of the table."""

    def spoil(folder):
        path = folder / "artifacts" / "results.csv"
        table = pd.read_csv(path, dtype=object)
        table.loc[0, column] = value
        table.to_csv(path, index=False)

    return spoil


BROKEN = {
    "no configuration": (describe(config=None), "is not what was written there (Expected `object`, got `null`"),
    "a number for a machine": (describe(machine=3), "Expected `object`, got `int` - at `$.machine`"),
    "no device's name": (describe(machine={}), "Object missing required field `device_name`"),
    "weights without a model": (describe(weights=[{}]), "Object missing required field `model` - at `$.weights[0]`"),
    "no models": (configure(models=[]), "Expected `array` of length >= 1 - at `$.config.models`"),
    "a device without axes": (configure(device="cuda", grid={}), "has no axes in config.grid of its device, 'cuda'"),
    "an unknown language": (
        configure(report=REPORT),
        "known",
    ),
    "deep nesting": (nest, "it is nested too deeply"),
    "some nesting": (nest_a_little, "is nested more than 20 levels deep"),
    "a record without its turn": (lose("asked", "turn"), "Object missing required field `turn`"),
    "a record without its cell": (lose("asked", "cell"), "Object missing required field `cell`"),
    "a record without samples": (lose("seen", "samples"), "Object missing required field `samples`"),
    "a record of no samples": (empty_samples, "is not a record of format 4 (it has no samples)"),
    "an empty table": (
        lambda folder: (folder / "artifacts" / "results.csv").write_text(""),
        "is not a table (",
    ),
    "a word for a latency": (write_in_table("latency_ms", "fast"), "line 2: latency_ms is 'fast', which is no number"),
    "an endless latency": (write_in_table("latency_ms", "inf"), "line 2: latency_ms is inf, which is no number"),
    "half a batch": (
        write_in_table("batch_size", "0.5"),
        "line 2: batch_size is 0.5, but must be a whole",
    ),
    "no size": (write_in_table("resolution", ""), "line 2: resolution is nan, but must be a whole number from 1 to"),
    "a model of two words": (write_in_table("model", "res net"), "line 2: cell name 'res net-pytorch-"),
    "a latency of nothing": (write_in_table("latency_ms", "0"), "line 2, has a speed but no latency_ms above 0"),
    "no result": (lambda folder: shutil.rmtree(folder / "artifacts"), "has no results.csv, neither in it nor in"),
    "nothing there": (shutil.rmtree, "is not there; give a folder or an archive of `make archive`."),
    "an older record": (break_format, "has format 1; this version reads "),
    "another model": (break_model, "is of resnet18 and"),
    "half a description": (break_description, "is not JSON"),
    "another table": (break_table, "has no column 'model'; it is not a table that speedgrid wrote."),
    "measured on": (measure_on, "they must be of one run: run snakemake, which aggregates what was measured."),
    "no rows": (keep_header, "results.csv has a header and no rows; take the result from where"),
    "edited samples": (edit_samples, "its record cannot be true: its checksum is not that of its content"),
    "halved samples": (halve_samples, "passed while they were timed"),
    "swapped records": (swap_records, "its record cannot be true: it holds resnet18-pytorch-fp32-r64-b8-round1"),
}


@pytest.mark.parametrize(("spoil", "sentence"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_compared_is_refused_in_one_sentence(tmp_path, spoil, sentence):
    a, b = write_result(tmp_path / "a"), write_result(tmp_path / "b")
    spoil(b)
    with pytest.raises(InputError) as refused:
        cells.compare(load.read(a), load.read(b), 0.05)
    assert sentence in str(refused.value)
    assert str(b) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_the_command_tells_what_cannot_be_compared_from_a_regression(tmp_path):
    done = compare(EXAMPLE, tmp_path / "nothing", "--output", tmp_path / "comparison.md", code=2)
    assert done.stderr == f"{tmp_path / 'nothing'} is not there; give a folder or an archive of `make archive`.\n"
    assert not (tmp_path / "comparison.md").exists()


def test_a_comparison_whose_result_cannot_be_printed_is_no_regression(tmp_path, monkeypatch):
    def full(found):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report, "summary", full)
    a, b = (write_result(tmp_path / name) for name in "ab")
    done = compare(a, b, "--output", tmp_path / "comparison.md", code=2)
    assert done.stderr.startswith("what this prints cannot be written (No space left on device)")


def test_a_report_keeps_its_name_from_its_table(tmp_path):
    one = cells.compare(*[make_result({"resnet18-pytorch-fp32-r224-b1": steady(1.0)})] * 2, 0.05)
    with pytest.raises(ComparisonError, match=r"its name must end in \.md"):
        report.write(one, tmp_path / "comparison.csv")


@pytest.mark.parametrize(
    ("target", "sentence"),
    [("compare", "make compare needs A= and B="), ("archive", "make archive needs NAME=")],
)
def test_make_says_what_it_needs(target, sentence):
    # Setting up is not what is looked at here.
    command = ["make", "--no-print-directory", "-o", "setup", target, "A=x"]
    done = run(*command, code=2)
    assert done.stdout.startswith(sentence)
