"""Does anything get lost, stay half or run on when a run is killed, or when its disk is full?

    python -m benchmarks.faults [--kills 60] [--seed 0] [--minutes 10] [--folder FOLDER]

Runs the workflow once undisturbed, on the smallest grid. Then again and again, from where it was at a random instant:
at random instants a process of it, of any kind, gets one of four signals, and it is resumed as the README says, until
it is done. Then once with every folder full in its turn. Prints what was found, and ends with 1 if anything was not as
it should be: 2 s after its end nothing of a run computes, no file is half, what was done is not lost, and the result is
that of the undisturbed run. Ten minutes on two idle cores; that is aimed at, and no kill is left out for it. Stopped
early, it prints what was found until then.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import disturbed, full_disk, processes, whole
from benchmarks.disturbed import SIGNALS, Run
from benchmarks.processes import KINDS, Process

# What can be found, a column each.
COLUMNS = ("orphans", "half files", "lost", "left over", "other")
# Kills of one run, at most: so that many runs are resumed to their end and compared.
KILLS_OF_A_RUN = 8
# Pauses between two kills have a mean between these shares of the time of an undisturbed run: where all kills come
# while Snakemake starts, nothing is shown.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.5

# Kills that end a whole run; this share of them comes when a result has just begun to be written.
OF_ALL, AT_WRITING = ("snakemake", "terminal"), 0.5

Card = tuple[str, signal.Signals]


def nothing() -> dict[str, list[str]]:
    """Return findings by column, as yet none."""
    return {name: [] for name in COLUMNS}


@dataclass
class Kill:
    """One kill: of what, by which signal, in which run, what was done before it, and what was found after it.

    done: checksums of finished outputs by name. found: sentences by column. resumed: the run came to the right result.
    """

    kind: str
    signal: signal.Signals
    victim: str
    run: str
    done: dict[str, str] = field(default_factory=dict)
    found: dict[str, list[str]] = field(default_factory=nothing)
    resumed: bool = False

    def __str__(self) -> str:
        return f"{self.run}, {self.signal.name} to {self.victim}"


def cards(count: int, generator: random.Random) -> list[Card]:
    """Return `count` pairs of a kind of process and a signal in random order, each pair as often as any other."""
    pairs = [(kind, one) for kind in KINDS for one in SIGNALS]
    found: list[Card] = []
    while len(found) < count:
        found += generator.sample(pairs, len(pairs))
    return found[:count]


class Campaign:
    """Kills in runs that begin where an undisturbed one was at a random instant."""

    def __init__(self, undisturbed: Run, seconds: float, until: float, kills: int, seed: int):
        self.undisturbed, self.seconds, self.until = undisturbed, seconds, until
        self.random = random.Random(seed)
        self.cards = cards(kills, self.random)
        self.kills: list[Kill] = []
        self.quiet = nothing()  # what was found in runs before their first kill
        self.looker, self.names = whole.Looker(), whole.results(undisturbed.folder)
        self.began, self.paused = time.monotonic(), 0.0

    def run(self) -> None:
        """Disturb runs until all cards are spent, or a whole run had no process of the kinds that are left."""
        number, share = 0, self.random.random()
        while self.cards:
            number, spent = number + 1, len(self.kills)
            run = self.undisturbed.as_it_was(self.undisturbed.folder.with_name(f"run{number}"), share)
            with ended(run):
                self.disturb(run)
            shutil.rmtree(run.folder)
            if len(self.kills) > spent:
                share = self.random.random()
            elif share:
                share = 0.0  # what never came may come earlier in a run
            else:
                return

    def disturb(self, run: Run) -> None:
        """Kill a run's processes and resume it, again and again, until it is done; then compare it."""
        first = len(self.kills)
        while True:
            before = len(self.kills)
            run.resume()
            while len(self.kills) - first < KILLS_OF_A_RUN and self.cards and self.strike(run):
                pass
            code = self.end_of(run, self.kills[-1].found if self.kills[first:] else self.quiet)
            if not self.kills[first:]:
                self.quiet["other"] += [f"it fails: {run.last_words()}"] if code else []
                return
            if code == 0:
                return self.judge(run, self.kills[first:])
            if len(self.kills) == before:
                self.kills[-1].found["other"].append(f"it cannot be resumed: {run.last_words()}")
                return

    def strike(self, run: Run) -> bool:
        """Wait for a random time and kill a process; return False if the run ended before there was one to kill."""
        self.pause(run, self.random.uniform(0, 2 * self.mean_pause()))
        while run.process.poll() is None:
            everyone = run.processes()
            for card in self.cards:
                kind = "snakemake" if card[0] == "terminal" else card[0]
                victims = [one for one in everyone if one.kind == kind]
                if victims and self.kill(run, card, self.random.choice(victims), everyone):
                    self.cards.remove(card)
                    return run.process.poll() is None
            self.pause(run, disturbed.POLL_SECONDS)
        return False

    def kill(self, run: Run, card: Card, victim: Process, everyone: list[Process]) -> bool:
        """Kill a process, or a whole terminal's, and look what of its work goes on; False if it had ended."""
        kind, number = card
        done = run.done()
        if kind in OF_ALL and self.random.random() < AT_WRITING:
            self.wait_for_a_file(run)
        try:
            (os.killpg if kind == "terminal" else os.kill)(victim.pid, number)
        except ProcessLookupError:
            return False
        name = f"{victim}" if kind != "terminal" else "the terminal of Snakemake"
        one = Kill(kind, number, name, run.folder.name, done)
        self.kills.append(one)
        print(f"{len(self.kills)}: {one}", file=sys.stderr)
        if kind in OF_ALL:
            one.found["orphans"] += disturbed.settle(run)
            run.end()
        else:
            one.found["orphans"] += disturbed.going_on(run, victim, processes.below(victim, everyone))
        return True

    def wait_for_a_file(self, run: Run) -> None:
        """Wait until a job has begun to write a result, or for a while."""
        until, known = time.monotonic() + LONGEST_PAUSE * self.seconds, whole.results(run.folder)
        while run.process.poll() is None and time.monotonic() < until and whole.results(run.folder) <= known:
            time.sleep(0.002)

    def pause(self, run: Run, seconds: float) -> None:
        """Wait for a time, or until the run ends."""
        started = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(seconds)
        self.paused += time.monotonic() - started

    def mean_pause(self) -> float:
        """Return the mean pause before a kill, in seconds, by the time that is left and what kills cost beside it."""
        spent = time.monotonic() - self.began - self.paused
        cost = spent / len(self.kills) if len(self.kills) > 3 else 4.0
        left = (self.until - time.monotonic()) / max(1, len(self.cards)) - cost
        return min(max(left, SHORTEST_PAUSE * self.seconds), LONGEST_PAUSE * self.seconds)

    def end_of(self, run: Run, found: dict[str, list[str]]) -> int | None:
        """Wait until Snakemake ends, and add to `found` what it left. Return its exit code; None if it hung."""
        try:
            code = run.process.wait(60 + 12 * self.seconds)
        except subprocess.TimeoutExpired:
            found["other"].append(f"it hangs: {run.last_words()}")
            code = None
        else:
            found["orphans"] += disturbed.settle(run)
        run.end()
        found["half files"] += self.looker.half_files(run.folder, self.names)
        return code

    def judge(self, run: Run, kills: list[Kill]) -> None:
        """Compare a run that was resumed to its end with what was done before its kills and with an undisturbed run."""
        now, told = run.done(), set()
        for kill in reversed(kills):
            lost = {name for name, checksum in kill.done.items() if now.get(name) != checksum} - told
            kill.found["lost"] += [f"{name} was done and is made anew" for name in sorted(lost)]
            told |= lost
        last = kills[-1].found
        run.retry()
        if self.end_of(run, last):
            last["other"].append(f"what failed cannot be tried again: {run.last_words()}")
        differences = whole.differences(run.folder, self.undisturbed.folder)
        extra = [one for one in differences if one.endswith(whole.EXTRA)]
        new = set(run.leftovers()) - set(self.undisturbed.leftovers())
        last["left over"] += extra + [f"{name} in TMPDIR" for name in sorted(new)]
        last["other"] += [one for one in differences if one not in extra]
        for kill in kills:
            kill.resumed = len(differences) == len(extra)


@contextlib.contextmanager
def ended(run: Run) -> Iterator[Run]:
    """Kill what lives of a run at the end, whatever happens meanwhile."""
    try:
        yield run
    finally:
        run.end()


def summary(kills: list[Kill], quiet: dict[str, list[str]]) -> str:
    """Return the table of all kills in Markdown, one row for each kind of process and signal, and every finding.

    quiet: what was found in runs before their first kill.
    """
    lines = [f"| killed | signal | kills | resumed | {' | '.join(COLUMNS)} |", "|---" * (4 + len(COLUMNS)) + "|"]
    pairs = [(kind, one) for kind in KINDS for one in SIGNALS]
    for kind, number in [*pairs, ("all", None)]:
        some = [one for one in kills if kind == "all" or (one.kind, one.signal) == (kind, number)]
        if not some:
            continue
        figures = [len(some), sum(one.resumed for one in some)]
        figures += [sum(len(one.found[column]) for one in some) for column in COLUMNS]
        name = number.name if number else ""
        lines.append(f"| {kind} | {name} | {' | '.join(map(str, figures))} |")
    lines.append("")
    lines += [f"* before a kill: {column}: {said}" for column in COLUMNS for said in quiet[column]]
    lines += [f"* {one}: {column}: {said}" for one in kills for column in COLUMNS for said in one.found[column]]
    return "\n".join(lines)


def as_wanted(disturbing: Campaign, disk: full_disk.Outcome) -> bool:
    """Say whether all kills were made, all runs came to the right result, and nothing else was found."""
    found = [*disturbing.quiet.values(), *(said for one in disturbing.kills for said in one.found.values())]
    found += [one.faults for one in disk.trials] + [disk.differences]
    return not disturbing.cards and all(one.resumed for one in disturbing.kills) and not any(found)


def campaign(place: Path, kills: int, seed: int, minutes: float) -> int:
    """Run everything in a folder, print what was found, and return the exit code."""
    until, started = time.monotonic() + 60 * minutes, time.monotonic()
    undisturbed = Run.fresh(place / "undisturbed")
    with ended(undisturbed):
        if undisturbed.start().wait():
            raise SystemExit(f"the undisturbed run fails already: {undisturbed.last_words(10)}")
    seconds = time.monotonic() - started
    print(f"undisturbed: {seconds:.0f} s", file=sys.stderr)
    # Meeting every full folder takes as long as four runs.
    disturbing = Campaign(undisturbed, seconds, until - 4 * seconds, kills, seed)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        disturbing.run()
    except KeyboardInterrupt:
        print(summary(disturbing.kills, disturbing.quiet), f"Stopped after {len(disturbing.kills)} kills.", sep="\n\n")
        return 128 + signal.SIGINT
    disk = full_disk.tried(undisturbed, place / "full")
    print(summary(disturbing.kills, disturbing.quiet), full_disk.summary(disk), sep="\n\n")
    if missing := disturbing.cards:
        print(f"\n{len(missing)} kills were not made: no process came that is {' or '.join(sorted(dict(missing)))}.")
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes.")
    return 0 if as_wanted(disturbing, disk) else 1


def main(arguments: list[str]) -> int:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--folder", type=Path, help="a new folder to keep")
    given = parser.parse_args(arguments)
    if given.folder:
        given.folder.mkdir(parents=True)
        return campaign(given.folder.resolve(), given.kills, given.seed, given.minutes)
    with tempfile.TemporaryDirectory(prefix="speedgrid-faults-") as place:
        return campaign(Path(place), given.kills, given.seed, given.minutes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
