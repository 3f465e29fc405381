"""What benchmarks that time loaded sessions share: a fork of a launcher for each cell, as in the workflow."""

import json
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path

from benchmarks.finished import name
from speedgrid import record as records
from speedgrid.data import arrays
from speedgrid.data.sequence import batch
from speedgrid.launcher import client
from speedgrid.machine import cpu, gpus
from speedgrid.measure import loading
from speedgrid.record import Record


def in_fork(module: str, record: Record, folder: str, address: str) -> dict:
    """Run `module` for one record in a fork of the launcher at `address`; return what its `answer` was given."""
    path, output = Path(folder) / f"{name(record)}.json", Path(folder) / f"{name(record)}-answer.json"
    records.write(path, record)
    arguments = [module, "--record", str(path), str(output)]
    if code := client.ask(address, arguments, None):
        raise SystemExit(f"{' '.join(arguments)} ended with {code}")
    return json.loads(output.read_text(encoding="utf-8"))


def answer(measure) -> bool:
    """In a fork that `in_fork` made, write measure(session, asked) and return True; elsewhere return False."""
    if sys.argv[1:2] != ["--record"]:
        return False
    record = records.read(sys.argv[2])
    with cpu.alone() if record.asked.device == "cpu" else nullcontext():
        Path(sys.argv[3]).write_text(json.dumps(measure(load(record), record.asked)), encoding="utf-8")
    return True


def load(record: Record):
    """Load a record's cell as speedgrid.measure.cell does, run it once, and wait until nothing else works on its
    GPU."""
    cell, asked = record.cell, record.asked
    uuid = gpus.claim() if asked.device == "cuda" else None
    options = {"cpu_threads": asked.cpu_threads, "settings": asked.settings}
    files = loading.Files(file_of(record, "artifact"), file_of(record, "images"))
    session, _ = loading.load(cell, asked.device, uuid, files, options, loading.Laps())
    session.feed(batch(arrays.read(files.images), 0, cell.batch_size))
    with session.active():
        session.run()
        session.synchronize()
    gpus.measure_alone()
    return session


def file_of(record: Record, option: str) -> str:
    """Return the file that a record's command names with `--option`."""
    arguments = shlex.split(record.command)
    return arguments[arguments.index(f"--{option}") + 1]
