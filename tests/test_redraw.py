"""A report that is written again from committed results, with no device."""

import json
import re
import shutil
import sys

import pytest
from processes import python

from speedgrid.published.source import PublishedError
from speedgrid.report import redraw
from speedgrid.text.language import ROOT

EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/*/run.json"))
EXAMPLE = ROOT / "examples" / "nvidia-h200"


def timeless(text: str) -> str:
    """Return a report without the time at which it was written."""
    return re.sub(r"rendered [^.]+\.", "", text)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_committed_report_is_what_this_version_writes(example, tmp_path):
    python("-m", "scripts.redraw", example, "--output", tmp_path)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == sorted(str(path.relative_to(example / "report")) for path in (example / "report").rglob("*.*"))
    for name in ("report.md", "explorer.html", "results.html"):
        committed, now = (folder / name for folder in (example / "report", tmp_path))
        assert timeless(now.read_text()) == timeless(committed.read_text()), f"run `make redraw NAME={example.name}`"


def test_a_folder_without_results_is_named_with_what_is_missing(tmp_path):
    shutil.copy(EXAMPLE / "results.csv", tmp_path)
    with pytest.raises(redraw.RedrawError, match=r"has no rounds.csv, run.json, flops.json; a report is drawn from"):
        redraw.redraw(tmp_path, tmp_path / "report")


def test_pages_that_cannot_be_rendered_do_not_stop_the_report(tmp_path, monkeypatch):
    monkeypatch.setattr(redraw.plots, "draw_all", lambda *_: None)
    monkeypatch.setitem(sys.modules, "altair", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "speedgrid.report.explorer", raising=False)
    monkeypatch.delattr("speedgrid.report.explorer", raising=False)
    with pytest.raises(ImportError, match="altair"):
        redraw.redraw(EXAMPLE, tmp_path)
    written = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert set(written) == {"report.md"}
    assert timeless(written["report.md"]) == timeless((EXAMPLE / "report/report.md").read_text())


def test_published_tables_that_are_gone_are_named(tmp_path, monkeypatch):
    for name in redraw.NEEDED:
        shutil.copy(EXAMPLE / name, tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    run["config"]["published"] = ["nowhere.csv"]
    (tmp_path / "run.json").write_text(json.dumps(run))
    monkeypatch.setattr(redraw.plots, "draw_all", lambda *_: None)
    with pytest.raises(PublishedError, match=r"^published table nowhere\.csv cannot be read: .*\.$"):
        redraw.redraw(tmp_path, tmp_path / "report")


def test_results_that_cannot_be_true_are_not_drawn(tmp_path):
    for name in redraw.NEEDED:
        shutil.copy(EXAMPLE / name, tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    run["arithmetic"]["resnet18"]["224"]["flop"] *= 2
    (tmp_path / "run.json").write_text(json.dumps(run))
    done = python("-m", "scripts.redraw", tmp_path, code=1)
    assert "contradicts itself or physics" in done.stderr
    assert not (tmp_path / "report").exists()
