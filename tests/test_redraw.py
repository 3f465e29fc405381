"""A report that is written again from committed results, with no device."""

import json
import re
import shutil
import subprocess
import sys
import time

import pytest

from speedgrid.report import redraw
from speedgrid.text.language import ROOT

EXAMPLE = ROOT / "examples" / "nvidia-h200"


def timeless(text: str) -> str:
    """Return a report without the time at which it was written."""
    return re.sub(r"rendered [^.]+\.", "", text)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Write the example's report again by the command, and return its folder and the seconds that it took."""
    output, started = tmp_path_factory.mktemp("redrawn"), time.monotonic()
    command = [sys.executable, "-m", "scripts.redraw", EXAMPLE, "--output", output]
    subprocess.run(command, cwd=ROOT, check=True)
    return output, time.monotonic() - started


def test_the_examples_report_is_drawn_from_its_results_alone_and_quickly(drawn):
    assert drawn[1] < 20


def test_the_committed_report_is_what_this_version_writes(drawn):
    files = sorted(str(path.relative_to(drawn[0])) for path in drawn[0].rglob("*") if path.is_file())
    assert files == sorted(str(path.relative_to(EXAMPLE / "report")) for path in (EXAMPLE / "report").rglob("*.*"))
    for name in ("report.md", "explorer.html", "results.html"):
        committed, now = (folder / name for folder in (EXAMPLE / "report", drawn[0]))
        assert timeless(now.read_text()) == timeless(committed.read_text()), "run `make redraw NAME=nvidia-h200`"


def test_a_folder_without_results_is_named_with_what_is_missing(tmp_path):
    shutil.copy(EXAMPLE / "results.csv", tmp_path)
    with pytest.raises(redraw.RedrawError, match=r"has no rounds.csv, run.json, flops.json; a report is drawn from"):
        redraw.redraw(tmp_path, tmp_path / "report")


def test_results_that_cannot_be_true_are_not_drawn(tmp_path):
    for name in redraw.NEEDED:
        shutil.copy(EXAMPLE / name, tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    run["arithmetic"]["resnet18"]["224"]["flop"] *= 2
    (tmp_path / "run.json").write_text(json.dumps(run))
    command = [sys.executable, "-m", "scripts.redraw", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "contradicts itself or physics" in done.stderr
    assert not (tmp_path / "report").exists()
