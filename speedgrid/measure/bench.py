"""A fresh process that serves frames with the sessions of a place, all batch sizes loaded side by side.

`python -m speedgrid.measure.bench` reads a line of JSON, a Task; when all sessions are warm it writes one with the
times of their calls and their memory. For each further line, a level, it serves that, and writes what was seen. It ends
with its input.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec
import numpy as np

from speedgrid import InputError, backends
from speedgrid.backends.session import Options, Session
from speedgrid.data import arrays
from speedgrid.data.sequence import batch
from speedgrid.evidence.quiet import disturbance
from speedgrid.grid import Cell
from speedgrid.machine import environment, gpus
from speedgrid.measure.host import HostLoad
from speedgrid.measure.loading import Files, Laps, explain, load, refuse, threads
from speedgrid.measure.memory import MemoryMeter
from speedgrid.measure.patience import Patience
from speedgrid.model import sources
from speedgrid.record import Memory
from speedgrid.serving.arrivals import draw
from speedgrid.serving.batching import Policy
from speedgrid.serving.loop import RealClock, serve
from speedgrid.serving.protocol import PERIODS, Level, plan
from speedgrid.serving.record import Asked, Run, Service, Timeline, run_of, timeline

# Calls that warm a session up; and those that its time is taken from: so many and so long, at least.
WARMUP, CALLS, SECONDS = 5, 30, 0.5


@dataclass(frozen=True)
class Task:
    """The task of a process: what is asked, and the files of each batch size. models: as the configuration has them."""

    asked: Asked
    artifacts: dict[int, tuple[str, str | None]]
    images: str
    models: list[Any]

    @classmethod
    def of(
        cls, asked: dict[str, Any], artifacts: list[str], builds: list[str], images: str, models: list[Any]
    ) -> "Task":
        """Return the task of a place whose files are listed in the order of its batch sizes; `builds` may be empty."""
        place = msgspec.convert(asked, Asked)
        sizes = place.place.batch_sizes
        known: list[str | None] = [*builds] or [None] * len(sizes)
        files = zip(sizes, artifacts, known, strict=True)
        return cls(place, {size: (artifact, build) for size, artifact, build in files}, images, models)


@dataclass(frozen=True)
class Ready:
    """The answer of a process that is ready; or the status and reason of one that cannot serve."""

    status: str
    reason: str
    service: list[Service]
    memory: Memory


# The status of a process whose files are damaged, which says nothing of the place.
BAD_INPUT = "bad_input"


def cell_of(asked: Asked, size: int) -> Cell:
    """Return the cell of a place with a batch size."""
    place = asked.place
    return Cell(place.model, place.backend, place.precision, place.resolution, size)


class Sessions:
    """The sessions of a place, as a server of frames; the device runs one call after another.

    With one call in flight each ends before the next is begun. With two, a call of a GPU is enqueued while the one
    before it runs, and an event says when its result is there: the device does not wait for the host in between.
    """

    def __init__(self, task: Task):
        asked = task.asked
        self.in_flight = asked.in_flight
        self.last: Any = None
        uuid = environment.describe(asked.device).get("gpu_uuid") if asked.device == "cuda" else None
        options = Options(cpu_threads=threads(asked.cpu_threads), settings=backends.settings(asked.place.backend))
        self.meter = MemoryMeter(asked.device, uuid)
        self.of: dict[int, Session] = {}
        images = arrays.read(task.images)
        for size, (artifact, build) in task.artifacts.items():
            files = Files(artifact, task.images, build)
            self.of[size], _ = load(cell_of(asked, size), asked.device, uuid, files, options, Laps())
            self.of[size].feed(batch(images, 0, size))
        self.meter.read("loaded")

    def submit(self, size: int, frames: list[int]) -> Any:
        """Run the session of a batch size: to its end where one call is in flight, else return the event of its end."""
        if self.in_flight == 1:
            return self.call(size)
        import torch

        session = self.of[size]
        assert session.stream is not None  # two calls are asked of a GPU alone
        with session.active():
            if self.last is not None:  # of another session, on a stream of its own
                session.stream.wait_event(self.last)
            session.run()
            self.last = torch.cuda.Event()
            self.last.record(session.stream)
        return self.last

    def call(self, size: int) -> None:
        """Run the session of a batch size, to its end."""
        session = self.of[size]
        with session.active():
            session.run()
            session.synchronize()

    def wait(self, call: Any, moment: int | None = None) -> bool:
        """Wait for the event of a call, or until `moment`; say whether it has ended. Spins, as CUDA itself does."""
        if call is None:
            return True
        if moment is None:
            call.synchronize()
            return True
        while not call.query():
            if time.perf_counter_ns() >= moment:
                return False
        return True

    def service(self) -> list[Service]:
        """Return the time of a call of each batch size, one after another, when all are warm."""
        for size in self.of:
            for _ in range(WARMUP):
                self.call(size)
        return [self._service(size) for size in self.of]

    def _service(self, size: int) -> Service:
        found: list[int] = []
        end = time.perf_counter() + SECONDS
        while len(found) < CALLS or time.perf_counter() < end:
            began = time.perf_counter_ns()
            self.call(size)
            found.append(time.perf_counter_ns() - began)
        median, late = np.percentile(found, (50, 99)) / 1e6
        return Service(size, round(float(median), 5), round(float(late), 5), len(found))


def served(sessions: Sessions, asked: Asked, level: Level, policy: Policy) -> tuple[Run, Timeline]:
    """Return the run of a level: the first that nobody disturbed, or the last that there is patience for.

    Each begins in quiet, and all have the same arrivals.
    """
    table = draw(level.claim.arrivals, level.streams, asked.fps, level.blocks + 1, level.seed, PERIODS)
    deadline_ms = level.claim.deadlines * asked.deadline_ms
    patience = Patience(asked.patience_seconds)
    patience.await_quiet()
    while True:
        host = HostLoad()
        found = serve(table, sessions, plan(asked, level, policy), RealClock())
        run = replace(run_of(table, found, deadline_ms, level.round, level.seed), host=host.read())
        disturbed = disturbance(run.host, run.seconds) if run.host else ""
        if not (run.doubts or disturbed):
            break
        patience.lose(run.seconds)
        if not patience.await_quiet():
            break
    # What was disturbed each time says nothing of the setting.
    run = replace(run, doubts=[*run.doubts, *filter(None, [disturbed])])
    return run, timeline(table, found, deadline_ms)


def refusal(task: Task) -> tuple[str, str] | None:
    """Return (status, reason) if one of the sessions cannot be loaded, or None."""
    for size, (artifact, build) in task.artifacts.items():
        found = refuse(cell_of(task.asked, size), task.asked.device, Files(artifact, task.images, build).read_build())
        if found:
            return found
    return None


def answers(task: Task, lines: Iterator[str]) -> Iterator[Any]:
    """Yield an answer when all is loaded, and one to each further line."""
    sources.declare(task.models)
    if task.asked.device == "cuda":
        gpus.claim(alone=True)
    nothing = Memory({"baseline": None})
    try:
        if (refused := refusal(task)) is not None:
            yield asdict(Ready(*refused, [], nothing))
            return
        sessions = Sessions(task)
        times = sessions.service()
    except InputError as error:
        yield asdict(Ready(BAD_INPUT, str(error), [], nothing))
        return
    except Exception as error:  # a backend may raise anything
        yield asdict(Ready(*explain(error), [], nothing))
        return
    sessions.meter.read("served")
    yield asdict(Ready("ok", "", times, sessions.meter.found()))
    for line in lines:
        asked = json.loads(line)
        run, drawn = served(sessions, task.asked, msgspec.convert(asked["level"], Level), asked["policy"])
        yield {"run": asdict(run), "timeline": asdict(drawn)}


def main() -> None:
    """Answer the lines of standard input; whatever libraries print goes to the log."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task = msgspec.convert(json.loads(sys.stdin.readline()), Task, strict=False)
    for found in answers(task, sys.stdin):
        print(json.dumps(found), file=out, flush=True)


if __name__ == "__main__":
    main()
