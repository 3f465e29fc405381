"""What benchmarks that time loaded sessions share: a fork of a launcher for each cell, as in the workflow."""

import json
import shlex
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.finished import name
from speedgrid import backends
from speedgrid.data import arrays
from speedgrid.data.sequence import batch
from speedgrid.grid import Cell
from speedgrid.launcher import client
from speedgrid.machine import gpus
from speedgrid.measure.cell import SETTING_NAMES
from speedgrid.measure.timing import Settings


def in_fork(module: str, record: dict, folder: str, address: str) -> dict:
    """Run `module` for one record in a fork of the launcher at `address`; return what its `answer` was given."""
    path, output = Path(folder) / f"{name(record)}.json", Path(folder) / f"{name(record)}-answer.json"
    path.write_text(json.dumps(record))
    arguments = [module, "--record", str(path), str(output)]
    if code := client.ask(address, arguments, None):
        raise SystemExit(f"{' '.join(arguments)} ended with {code}")
    return json.loads(output.read_text())


def answer(measure) -> bool:
    """In a fork that `in_fork` made, write measure(session, settings) and return True; elsewhere return False."""
    if sys.argv[1:2] != ["--record"]:
        return False
    record = json.loads(Path(sys.argv[2]).read_text())
    settings = Settings(**{name: record["asked"][name] for name in SETTING_NAMES})
    Path(sys.argv[3]).write_text(json.dumps(measure(load(record), settings)))
    return True


def load(record: dict):
    """Load a record's cell as speedgrid.measure.cell does, run it once, and wait until nothing else works on its
    GPU."""
    cell, device = Cell(**record["cell"]), record["asked"]["device"]
    if device == "cuda":
        gpus.claim()
    backend = backends.get(cell.backend)
    for module in backend.IMPORTS[device]:
        import_module(module)
    session = backend.load(cell, device, file_of(record, "artifact"), record["asked"])
    session.feed(batch(arrays.read(file_of(record, "images")), 0, cell.batch_size))
    with session.active():
        session.run()
        session.synchronize()
    gpus.measure_alone()
    return session


def file_of(record: dict, option: str) -> str:
    """Return the file that a record's command names with `--option`."""
    arguments = shlex.split(record["command"])
    return arguments[arguments.index(f"--{option}") + 1]
