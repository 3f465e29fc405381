"""Do a run's figures hold beside neighbours that use the machine?

    python -m benchmarks.busy CONFIG FOLDER [TREE ...]

Runs CONFIG once in quiet, which gives the truth, and then once beside each kind of neighbour, in copies of each TREE
(default: this one; a checkout of an older version beside it shows what changed). Prints for each tree and kind: how
many true speed-ups are inside their intervals, how wide these are, how many rows are `ok` though their latency is
not the quiet one's, how many are `busy`, and whether what would be recommended is within the truth's margin.
Everything stays in FOLDER. It takes a few minutes a run; nothing else should use the machine.
"""

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Process
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from speedgrid.grid import AXES

ROOT = Path(__file__).parent.parent
# A latency that is further from the quiet one than this is not the cell's own; a setting that is not worse than the
# best by more is as good a recommendation.
OFF, MARGIN = 0.10, 1.05
# Bursts last so many seconds at least and at most, and so do the pauses between them.
SHORTEST, LONGEST = 0.1, 3.0
# A matrix that no cache holds, in MB; a product of matrices on a GPU of so many rows.
LARGE_MB, ROWS = 256, 4096


def bursts(seed: int = 0) -> None:
    """Compute on one core half of the time, in bursts of 0.1 to 3 s."""
    drawn = random.Random(seed)
    while True:
        until = time.monotonic() + drawn.uniform(SHORTEST, LONGEST)
        while time.monotonic() < until:
            pass
        time.sleep(drawn.uniform(SHORTEST, LONGEST))


def steady() -> None:
    """Compute on one core all of the time."""
    while True:
        pass


def bandwidth() -> None:
    """Copy memory all of the time."""
    source = np.zeros(LARGE_MB * 1_000_000, np.uint8)
    target = np.empty_like(source)
    while True:
        np.copyto(target, source)


def products(seed: int = 0) -> None:
    """Multiply matrices on the GPU now and then, in bursts of 0.1 to 3 s."""
    import torch

    drawn, matrix = random.Random(seed), torch.randn(ROWS, ROWS, device="cuda")
    while True:
        until = time.monotonic() + drawn.uniform(SHORTEST, LONGEST)
        while time.monotonic() < until:
            matrix @ matrix
            torch.cuda.synchronize()
        time.sleep(drawn.uniform(SHORTEST, LONGEST))


# The neighbours of each kind, started together.
NEIGHBOURS: dict[str, tuple[Callable[[], None], ...]] = {
    "quiet": (),
    "bursts": (bursts, bursts),
    "one core": (steady,),
    "memory": (bandwidth,),
    "GPU": (products,),
}


class Outcome(NamedTuple):
    """The result of a run beside neighbours, held against the truth.

    covered, compared: of the true speed-ups, those inside their interval, and all that are given. half_width: of their
    intervals in the median, relative. false_ok: rows with that status whose latency is not the quiet one's.
    """

    covered: int
    compared: int
    half_width: float
    false_ok: int
    ok: int
    busy: int
    rows: int
    winner_is_right: bool


@contextmanager
def beside(kind: str) -> Iterator[None]:
    """Have the neighbours of a kind work while the block goes on."""
    started = [Process(target=work, daemon=True) for work in NEIGHBOURS[kind]]
    for one in started:
        one.start()
    try:
        yield
    finally:
        for one in started:
            one.kill()
            one.join()


def run(tree: Path, config: Path, folder: Path) -> pd.DataFrame:
    """Return the table of a whole run in a fresh copy of a tree."""
    shutil.rmtree(folder, ignore_errors=True)
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True).stdout.splitlines():
        if (tree / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, folder / name)
    asked = [sys.executable, "-m", "snakemake", "--quiet", "--configfile", str(config)]
    subprocess.run(asked, cwd=folder, check=True)
    return pd.read_csv(folder / "artifacts/results.csv")


def hold(found: pd.DataFrame, truth: pd.DataFrame) -> Outcome:
    """Return the outcome of a table, held against the one that was measured in quiet."""
    both = found.merge(truth, on=list(AXES), suffixes=("", "_true"))
    given = both[both.speedup.notna() & both.speedup_true.notna() & (both.speedup_true != 1)]
    inside = (given.speedup_low <= given.speedup_true) & (given.speedup_true <= given.speedup_high)
    widths = np.log(given.speedup_high / given.speedup_low) / 2
    off = (both.latency_ms / both.latency_ms_true - 1).abs() > OFF
    fastest = both.loc[both.fps.idxmax()] if both.fps.notna().any() else None
    return Outcome(
        covered=int(inside.sum()),
        compared=len(given),
        half_width=float(widths.median()) if len(given) else float("nan"),
        false_ok=int((off & (both.status == "ok")).sum()),
        ok=int((both.status == "ok").sum()),
        busy=int((both.status == "busy").sum()),
        rows=len(both),
        winner_is_right=bool(fastest is not None and fastest.fps_true * MARGIN >= both.fps_true.max()),
    )


def sentence(tree: Path, kind: str, one: Outcome) -> str:
    """Return the line of one run in the table that is printed."""
    winner = "right" if one.winner_is_right else "WRONG"
    return (
        f"{tree.name}, {kind}: {one.covered} of {one.compared} true speed-ups inside, half-width "
        f"{one.half_width:.1%}; of {one.rows} rows {one.ok} ok, {one.false_ok} of them falsely, {one.busy} busy; "
        f"fastest {winner}"
    )


def main(config: Path, folder: Path, trees: list[Path]) -> None:
    """Print what runs of each tree say beside each kind of neighbour."""
    truth = run(trees[0], config, folder / "truth")
    on_gpu = truth.device_ms.notna().any()
    for tree in trees:
        for kind in NEIGHBOURS:
            if kind == "GPU" and not on_gpu:
                continue
            with beside(kind):
                found = run(tree, config, folder / f"{tree.name}-{kind.replace(' ', '-')}")
            print(sentence(tree, kind, hold(found, truth)), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(
        Path(sys.argv[1]).resolve(),
        Path(sys.argv[2]).resolve(),
        [Path(one).resolve() for one in sys.argv[3:]] or [ROOT],
    )
