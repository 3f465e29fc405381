"""How a place serves streams: the protocol of speedgrid.serving, driven in fresh processes of this machine."""

import json
import subprocess
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import Any, cast

import msgspec

from speedgrid import InputError
from speedgrid.machine import cpu, environment
from speedgrid.measure.bench import BAD_INPUT, Ready, Task
from speedgrid.measure.circumstances import circumstances
from speedgrid.measure.loading import explain
from speedgrid.record import Memory, Status
from speedgrid.serving import protocol
from speedgrid.serving.batching import Policy
from speedgrid.serving.protocol import Level
from speedgrid.serving.record import Asked, Load, Run, Service, Serving, Timeline
from speedgrid.serving.worker import worker


class BenchError(Exception):
    """A process that cannot serve; status and reason as of a record."""

    def __init__(self, status: str, reason: str):
        super().__init__(reason)
        self.status, self.reason = status, reason


class Bench:
    """A process that serves, as of speedgrid.measure.bench. Raises BenchError where it cannot, or has ended."""

    def __init__(self, process: "subprocess.Popen[str]", task: Task):
        self.process = process
        self.ready = msgspec.convert(self.ask(asdict(task)), Ready)
        if self.ready.status == BAD_INPUT:
            raise InputError(self.ready.reason)
        if self.ready.status != "ok":
            raise BenchError(self.ready.status, self.ready.reason)

    def ask(self, question: Any) -> Any:
        """Return the answer to a line of JSON."""
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.process.wait()
            raise BenchError("failed", f"a process that serves ended with code {code}; the log says what it printed")
        return json.loads(line)

    def service(self) -> list[Service]:
        """Return the time of a call of each batch size."""
        return self.ready.service

    def memory(self) -> Memory:
        """Return the memory of all sessions together."""
        return self.ready.memory

    def run(self, level: Level, policy: Policy) -> tuple[Run, Timeline]:
        """Return the run of a level, and one of its blocks."""
        found = self.ask({"level": asdict(level), "policy": policy})
        return msgspec.convert(found["run"], Run), msgspec.convert(found["timeline"], Timeline)


@contextmanager
def bench(task: Task) -> Iterator[Bench]:
    """Start a process that serves, and end it with the block, or with this process."""
    with worker("speedgrid.measure.bench") as process:
        yield Bench(process, task)


def measure(task: Task) -> Serving:
    """Return the record of a place under load; whatever goes wrong becomes a status and a reason.

    On the CPU nothing else is timed or prepared meanwhile.
    """
    try:
        with cpu.alone() if task.asked.device == "cpu" else nullcontext():
            seen = protocol.measure(task.asked, lambda: bench(task))
    except BenchError as error:
        return _record(task.asked, cast(Status, error.status), error.reason)
    except InputError:  # a damaged file says nothing of the place
        raise
    except Exception as error:
        return _record(task.asked, *explain(error), error=traceback.format_exc())
    return _record(task.asked, "ok", "", seen)


def _record(asked: Asked, status: Status, reason: str, seen: Load | None = None, error: str | None = None) -> Serving:
    machine = environment.describe(asked.device)
    about = circumstances(machine, asked.place.backend)
    return Serving(asked=asked, status=status, reason=reason, **about, seen=seen, traceback=error)
