"""A finished run, judged again by today's rules from its records alone."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from builders import ARITHMETIC, MEASURED, changed, make_decoding, make_evaluation, make_serving
from processes import python
from results import write_result

from speedgrid.comparison import archive, judged
from speedgrid.comparison.load import ComparisonError
from speedgrid.launcher.outputs import write_json
from speedgrid.launcher.reading import FileError
from speedgrid.record import read, write
from speedgrid.serving import record
from speedgrid.serving.claims import claim
from speedgrid.serving.shown import streams_of
from speedgrid.table import conditions, verdict

CELL = "resnet18-pytorch-fp32-r64-b8"


@pytest.fixture
def finished(tmp_path):
    """Return the folder of a run of three cells in three rounds."""
    folder = write_result(tmp_path / "run")
    artifacts = folder / "artifacts"
    description = json.loads((artifacts / "run.json").read_text())
    axes = {"backend": ["pytorch", "onnxruntime"], "precision": ["fp32"], "resolution": [64], "batch_size": [1, 8]}
    description["config"]["grid"]["cpu"] = axes
    description["config"]["timing"]["rounds"] = 3
    write_json(artifacts / "run.json", description)
    write_json(artifacts / "flops.json", ARITHMETIC)
    write_json(artifacts / "peaks.json", {**MEASURED, "reason": ""})
    return folder


def test_nothing_changes_where_the_rules_are_the_same(finished):
    found = judged.judge(finished)
    assert found.changes == ["resnet18-onnxruntime-fp32-r64-b8: not there -> failed, no record of this cell"]
    before = pd.read_csv(finished / "artifacts" / "results.csv").latency_ms
    assert sorted(found.run.table.latency_ms.dropna()) == pytest.approx(sorted(before))


def test_another_limit_changes_statuses_and_names_them(finished, monkeypatch):
    monkeypatch.setattr(conditions, "WIDEST", 1e-6)
    changes = judged.judge(finished).changes
    assert len(changes) == 4
    assert any(one.startswith(f"{CELL}: ok -> unstable, its interval reaches") for one in changes)


def test_another_rule_of_what_ran_is_applied_to_old_records(finished, monkeypatch):
    monkeypatch.setattr(verdict, "explaining", lambda *_: None)
    assert f"{CELL}: ok -> wrong_result" in "\n".join(judged.judge(finished).changes)


def test_an_archive_is_judged_as_its_folder_is(finished, tmp_path, monkeypatch):
    write_json(finished / "artifacts" / "accuracy" / f"{CELL}.json", make_evaluation(CELL))
    path = archive.write(finished, str(tmp_path / "kept"))
    shutil.rmtree(finished / "report", ignore_errors=True)
    one, other = judged.judge(finished), judged.judge(path)
    pd.testing.assert_frame_equal(one.run.table, other.run.table)
    assert other.run.table.top1.notna().any()


@pytest.fixture
def serving(finished):
    """Return the folder of a run of which one setting served streams, and in which decoding was measured."""
    artifacts = finished / "artifacts"
    timed = read(artifacts / "timings" / f"{CELL}-round1.json")
    of_machine = {"environment": timed.environment, "fingerprint": timed.fingerprint}
    served = replace(make_serving("resnet18-pytorch-fp32-r64", {1: 4.0, 8: 16.0}, blocks=30), **of_machine)
    record.write(artifacts / "serving" / "resnet18-pytorch-fp32-r64.json", served)
    # Of another run of this folder, which its table says nothing of.
    record.write(artifacts / "serving" / "resnet18-onnxruntime-fp32-r64.json", served)
    write_json(artifacts / "serving" / "places.json", [{"place": "resnet18-pytorch-fp32-r64", "batch_sizes": [1, 8]}])
    decoding = make_decoding({64: 800.0})
    write_json(artifacts / "decoding.json", decoding)
    run = json.loads((artifacts / "run.json").read_text())
    write_json(artifacts / "run.json", run | {"streams": [streams_of(served)], "decoding": decoding})
    return finished


def test_streams_and_decoding_are_judged_again_in_a_folder_and_in_its_archive(serving, tmp_path):
    path = archive.write(serving, str(tmp_path / "kept"))
    for source in (serving, path):
        found = judged.judge(source)
        assert [one["place"]["backend"] for one in found.description["streams"]] == ["pytorch"]
        rows = found.run.table.set_index(["backend", "batch_size"])
        [told] = found.description["streams"]
        assert rows.streams.dropna().to_dict() == dict.fromkeys([("pytorch", 1), ("pytorch", 8)], claim(told).streams)
        assert found.description["decoding"]["status"] == "ok"


def test_streams_whose_record_is_gone_or_damaged_are_named(serving):
    path = serving / "artifacts" / "serving" / "resnet18-pytorch-fp32-r64.json"
    path.write_text(path.read_text().replace('"ok"', '"failed"', 1))
    with pytest.raises(FileError, match=r"resnet18-pytorch-fp32-r64\.json is not what was written there"):
        judged.judge(serving)
    path.unlink()
    with pytest.raises(ComparisonError, match=r"has no serving/resnet18-pytorch-fp32-r64\.json; take the result"):
        judged.judge(serving)


def test_accuracy_whose_records_were_not_kept_is_taken_over_from_the_table(finished):
    table = finished / "artifacts" / "results.csv"
    pd.read_csv(table).assign(top1=0.9, top1_loss=0.01).to_csv(table, index=False)
    found = judged.judge(finished).run.table
    assert set(found.top1.dropna()) == {0.9}
    assert found.top1.notna().sum() == 3


def test_records_of_another_grid_are_left_out(finished):
    timings = finished / "artifacts" / "timings"
    stranger = read(timings / f"{CELL}-round1.json")
    write(timings / f"{CELL}-round9.json", changed(stranger, turn="round9", host_ms=[99.0] * 50))
    assert judged.judge(finished).run.table.rounds.max() == 3


@pytest.mark.parametrize("lost", ["flops.json", "peaks.json", "timings"])
def test_what_is_needed_and_not_there_is_named(finished, lost):
    path = finished / "artifacts" / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ComparisonError, match=rf"has no {lost}; a run is judged again from its records"):
        judged.judge(finished)


def test_the_command_says_what_changed_and_writes_what_redraw_reads(finished, tmp_path):
    done = python("-m", "scripts.judge", finished, "--output", tmp_path / "again")
    assert done.stdout.startswith("1 of 4 rows have another status.\n")
    assert {path.name for path in (tmp_path / "again").iterdir()} == {
        "results.csv",
        "rounds.csv",
        "run.json",
        "flops.json",
    }
    assert json.loads((tmp_path / "again" / "run.json").read_text())["config"]["timing"]["rounds"] == 3
