"""Records: written whole or not at all, and read with care."""

import json
import os
import stat

import pytest

from speedgrid import record
from speedgrid.launcher import outputs
from speedgrid.record import RecordError

GOOD = {"format": record.FORMAT, "status": "ok", "samples": {"host_ms": [1.5]}}


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "deep" / "folder" / "one.json"
    outputs.write_json(path, GOOD)
    assert record.read(path) == GOOD
    assert os.listdir(path.parent) == ["one.json"]


def test_a_record_can_be_read_by_other_users(tmp_path):
    outputs.write_json(tmp_path / "one.json", GOOD)
    assert stat.S_IMODE((tmp_path / "one.json").stat().st_mode) == 0o644


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), object(), {1, 2}])
def test_a_write_that_fails_leaves_the_old_file_whole_and_no_temporary_file(tmp_path, bad):
    path = tmp_path / "one.json"
    outputs.write_json(path, GOOD)
    before = path.read_bytes()
    with pytest.raises((ValueError, TypeError)):
        outputs.write_json(path, {"first": list(range(100_000)), "last": bad})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["one.json"]


def test_a_full_disk_leaves_the_old_file_whole_and_no_temporary_file(tmp_path, monkeypatch):
    path = tmp_path / "one.json"
    outputs.write_json(path, GOOD)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        outputs.write_json(path, {"format": 1})
    assert json.loads(path.read_text()) == GOOD
    assert os.listdir(tmp_path) == ["one.json"]


@pytest.mark.parametrize("content", ["", '{"format": 1, "stat', b"\xff\xfe"])
def test_half_a_record_is_refused_with_its_name_and_what_to_do(tmp_path, content):
    path = tmp_path / "one.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecordError, match=r"one\.json is not a readable record .* delete it and run again"):
        record.read(path)


def test_a_record_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(RecordError, match=r"none\.json is not a readable record"):
        record.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "named"),
    [({"format": 0}, "format 0 "), ({"format": None}, "format None "), ({"status": "fine"}, "status 'fine'")],
)
def test_another_format_or_status_is_refused_instead_of_guessed(tmp_path, change, named):
    outputs.write_json(tmp_path / "one.json", GOOD | change)
    with pytest.raises(RecordError, match=f"this version reads format {record.FORMAT}") as caught:
        record.read(tmp_path / "one.json")
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("content", "kind"), [([1], "list"), ("text", "str"), (3, "int"), (None, "NoneType"), (True, "bool")]
)
def test_json_that_is_no_object_is_refused_with_its_name_and_what_to_do(tmp_path, content, kind):
    (tmp_path / "one.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match=rf"one\.json is not a record but a {kind}; delete it and run again\."):
        record.read(tmp_path / "one.json")


def test_statuses_whose_speed_is_shown_are_better_than_all_others():
    assert record.STATUSES[: len(record.SHOWN)] == record.SHOWN
    assert record.STATUSES[0] == "ok"
    assert record.STATUSES[-1] == "wrong_result"


@pytest.mark.parametrize("status", record.STATUSES)
def test_every_status_is_read(tmp_path, status):
    outputs.write_json(tmp_path / "one.json", GOOD | {"status": status})
    assert record.read(tmp_path / "one.json")["status"] == status
