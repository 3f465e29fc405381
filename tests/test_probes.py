"""Probes are modules that are found: one file is all that another one takes."""

import importlib
import importlib.util
import inspect
import json
import sys

import numpy as np
import pytest
from builders import EXPECTED, Clock, CornerSession, corner_logits, fake_backend, make_record, make_refusal, make_table

from speedgrid import record
from speedgrid.data.samples import Samples
from speedgrid.data.sequence import images
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import write_json
from speedgrid.measure import cell as measure
from speedgrid.measure import probes
from speedgrid.measure.loading import Files, Laps
from speedgrid.table import cells, columns
from speedgrid.table.verdict import judge
from speedgrid.text.column import Column

CELL = Cell("resnet18", "fake", "fp32", 64, 2)
OPTIONS = {"cpu_threads": 1, "warmup_runs": 1, "timed_runs": 5, "min_seconds": 0, "max_seconds": 0.2}
TIMING = {"energy_resolutions": [], "end_to_end": False}
TOY = '''
"""A probe that calls a session three times."""
from speedgrid.measure import probes
from speedgrid.text.column import NONE, NUMBER, Column

ORDER, WITH_TIMING, AFTER = 15, False, "fps"
COLUMNS = (Column("toys", NUMBER, NONE, None, "toys", "How many toys an image has."),)
SENTENCE = "`toys` are counted."


def asked(cell, turn, device, timing, control):
    return turn == "round1"


def measure(session, context):
    with session.active():
        for _ in range(3):
            session.run()
    return {"toys": 3 * session.shape[0], "call": context.call_seconds, "runs": len(context.samples.host_ms)}


def columns(records, row):
    return {"toys": next((one["toys"] / row["batch_size"] for one in probes.seen(records, "toy")), None)}


def checks(line):
    if line["toys"] < 0:
        yield "fewer than no toys"
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Put a probe beside the others, and return its module."""
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(probes, "__path__", [*probes.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield probes.all_probes()["toy"]
    del sys.modules[f"{probes.__name__}.toy"], probes.toy


@pytest.fixture
def registry(toy, monkeypatch):
    """Return the registry of columns as a fresh process has it, and make tables by it."""
    spec = importlib.util.spec_from_file_location("fresh_columns", columns.__file__)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    monkeypatch.setattr(cells, "COLUMNS", fresh.NAMES)
    monkeypatch.setattr(cells, "TEXT_COLUMNS", fresh.TEXT)
    return fresh


@pytest.fixture
def files(tmp_path):
    pictures = images(0, 64, 0, 4)
    paths = {name: str(tmp_path / name) for name in ("images.npy", "logits.npy", "expected.json")}
    np.save(paths["images.npy"], pictures)
    np.save(paths["logits.npy"], corner_logits(pictures))
    write_json(paths["expected.json"], {"snr_db": EXPECTED, "uneven_db": 0.0})
    return Files("none", paths["images.npy"], None, paths["logits.npy"], paths["expected.json"])


def test_a_file_is_found_asked_measured_and_a_column_of_the_table(registry, files, monkeypatch, tmp_path):
    fake_backend(monkeypatch, lambda cell, *_: CornerSession(cell), {})
    assert list(probes.all_probes()) == ["back_to_back", "energy", "toy", "request", "kernels", "operators"]
    names = probes.asked(CELL, "round1", "cpu", TIMING, CELL)
    assert (names, probes.asked(CELL, "round2", "cpu", TIMING, CELL)) == (["toy", "operators"], [])
    asked = measure.asked_of(CELL, "round1", "cpu", OPTIONS | {"target_percent": 1e9}, names)
    record.write(tmp_path / "one.json", measure.measure_cell(files, asked))
    found = record.read(tmp_path / "one.json")
    call = np.median(found.host_ms) / 1000
    assert found.seen.probes == {"toy": {"toys": 6, "call": pytest.approx(call), "runs": 5}}
    assert list(found.seen.seconds)[-3:] == ["parity", "toy", "operators"]
    table = make_table([found])
    assert judge(found).status == "ok"
    assert table.toys[0] == 3.0
    assert list(table.columns).index("toys") == list(table.columns).index("fps") + 1
    assert registry.BY_NAME["toys"].about == "How many toys an image has."


def test_a_probe_that_was_not_asked_for_measures_nothing_and_its_column_is_empty(registry):
    table = make_table([make_record("resnet18-pytorch-fp32-r64-b2")])
    assert table.toys.isna().all()


class Noting:
    """Stands in for a probe, and notes when it measures."""

    def __init__(self, notes, name, with_timing, found):
        self.notes, self.name, self.WITH_TIMING, self.found = notes, name, with_timing, found

    def measure(self, session, context):
        self.notes.append(self.name)
        return self.found


def test_probes_measure_in_order_where_they_are_asked_to_and_nothing_seen_is_nothing_stored(monkeypatch):
    notes, clock = [], Clock()
    made = {"a": (True, {}), "b": (False, {"x": 1}), "c": (False, None), "d": (False, {"y": 2}), "e": (True, {"z": 3})}
    monkeypatch.setattr(probes, "all_probes", lambda: {name: Noting(notes, name, *one) for name, one in made.items()})
    monkeypatch.setattr("speedgrid.measure.loading.time", clock)
    asked = make_refusal("resnet18-pytorch-fp32-r64-b2", "failed", "", probes=["e", "c", "b"]).asked
    context = probes.Context(asked, None, Samples([1.0]), 0.1)
    laps = Laps()
    assert probes.measure(None, context, laps, with_timing=True) == {"e": {"z": 3}}
    assert probes.measure(None, context, laps) == {"b": {"x": 1}}
    assert notes == ["e", "b", "c"]
    assert list(laps.seconds) == ["e", "b", "c"]


@pytest.mark.parametrize("name", probes.all_probes())
def test_every_probe_has_the_names_that_every_probe_has(name):
    probe = probes.all_probes()[name]
    assert isinstance(probe.ORDER, int)
    assert isinstance(probe.WITH_TIMING, bool)
    assert probe.AFTER in columns.BY_NAME
    assert all(isinstance(one, Column) for one in probe.COLUMNS)
    assert probe.SENTENCE.endswith(".")
    arguments = {"asked": "cell turn device timing control", "measure": "session context", "columns": "records row"}
    for function, given in (arguments | {"checks": "line"}).items():
        assert list(inspect.signature(getattr(probe, function)).parameters) == given.split()


@pytest.mark.parametrize("name", probes.all_probes())
def test_the_columns_of_a_probe_are_in_the_table_and_all_there_where_nothing_was_measured(name):
    probe = probes.all_probes()[name]
    own = {end for one in probe.COLUMNS for end in one.names()}
    assert own <= set(columns.NAMES)
    one = make_record("resnet18-pytorch-fp32-r64-b2")
    row = make_table([one]).loc[0].to_dict()
    found = probe.columns([one], row)
    assert set(found) == own
    json.dumps({key: value for key, value in found.items() if value is not None})
    assert list(probe.checks(row)) == []
