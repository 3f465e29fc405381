"""A configuration may be a program, which Snakemake runs: nothing else of this repository ever does."""

import json
import re
import shutil
import zipfile

import pytest
from builders import ARITHMETIC, MEASURED
from processes import ROOT, script
from results import write_result
from snakemake.common.configfile import load_configfile

from speedgrid.launcher.outputs import write_json
from speedgrid.report import plots, redraw

EXAMPLE = ROOT / "examples" / "nvidia-h200"


def program(marker):
    """Return a configuration that makes a file when it is evaluated."""
    made = f"open({str(marker)!r}, 'w').close()"
    return f"__use_yte__: true\n__definitions__:\n  - |\n    {made}\nmodels: [resnet18]\ndata:\n  images: ?{made}\n"


@pytest.fixture
def marker(tmp_path):
    """Return a path that is there only if a configuration was evaluated."""
    return tmp_path / "evaluated"


@pytest.fixture
def result(tmp_path, marker):
    """Return the folder of a finished run with such a configuration, as a file and in its description."""
    folder = write_result(tmp_path / "run")
    artifacts = folder / "artifacts"
    run = json.loads((artifacts / "run.json").read_text())
    axes = {"backend": ["pytorch", "onnxruntime"], "precision": ["fp32"], "resolution": [64], "batch_size": [1, 8]}
    run["config"]["grid"]["cpu"] = axes
    run["config"] |= {"data": {"images": f"?open({str(marker)!r}, 'w').close()"}, "__use_yte__": True}
    write_json(artifacts / "run.json", run)
    write_json(artifacts / "flops.json", ARITHMETIC)
    write_json(artifacts / "peaks.json", {**MEASURED, "reason": ""})
    for name in ("config.yaml", "config/config.yaml", "artifacts/config.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(program(marker))
    return folder


def test_snakemake_runs_what_is_in_a_configuration(tmp_path, marker):
    (tmp_path / "config.yaml").write_text(program(marker))
    load_configfile(tmp_path / "config.yaml")
    assert marker.exists()  # else the README warns of nothing


def test_results_are_kept_compared_and_judged_with_no_configuration_evaluated(tmp_path, result, marker):
    script("archive", tmp_path / "kept", "--folder", result)
    kept = tmp_path / "kept.speedgrid.zip"
    with zipfile.ZipFile(kept) as archive, zipfile.ZipFile(tmp_path / "theirs.zip", "w") as theirs:
        for name in archive.namelist():
            theirs.writestr(name, program(marker) if name == "config.yaml" else archive.read(name))
    for found in (result, kept, tmp_path / "theirs.zip"):
        script("compare", found, found, "--output", tmp_path / "comparison.md")
        script("judge", found, "--output", tmp_path / "judged")
    assert not marker.exists()


def test_a_report_is_drawn_again_with_no_configuration_evaluated(tmp_path, marker, monkeypatch):
    for name in redraw.NEEDED:
        shutil.copy(EXAMPLE / name, tmp_path)
    (tmp_path / "config.yaml").write_text(program(marker))
    run = json.loads((tmp_path / "run.json").read_text())
    run["config"]["data"]["images"] = f"?open({str(marker)!r}, 'w').close()"
    (tmp_path / "run.json").write_text(json.dumps(run))
    monkeypatch.setattr(plots, "draw_all", lambda *_: None)
    text = redraw.redraw(tmp_path, tmp_path / "report").read_text()
    assert "images: '?open(" in text
    assert not marker.exists()


def test_no_code_reads_yaml_but_as_data_or_evaluates_a_text():
    files = [*(ROOT / "speedgrid").rglob("*.py"), *(ROOT / "scripts").glob("*.py"), *(ROOT / "rules").glob("*.smk")]
    program = re.compile(r"(?<![\w.])(eval|exec)\(|yaml\.(unsafe_|full_)?load\b|\byte\b")
    assert len(files) > 100
    assert [str(path) for path in files if program.search(path.read_text(encoding="utf-8"))] == []
