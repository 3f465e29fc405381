"""A whole result in one file: what goes in comes out, and nothing else is touched."""

import zipfile

import numpy as np
import pytest
import yaml
from processes import script
from results import compare, write_result

from speedgrid import settings
from speedgrid.comparison import archive, load


@pytest.fixture
def finished(tmp_path):
    """Return a folder with a finished run and its report."""
    folder = write_result(tmp_path / "run", seed=3)
    (folder / "report" / "plots").mkdir(parents=True)
    (folder / "report" / "report.md").write_text("# report\n")
    (folder / "report" / "plots" / "fps.svg").write_text("<svg/>")
    (folder / "artifacts" / "engines").mkdir()
    (folder / "artifacts" / "engines" / "large.ts").write_bytes(b"0" * 1000)
    return folder


def run(*arguments, code=0):
    return script("archive", *arguments, code=code)


def test_an_archive_holds_the_result_and_gives_it_back(finished, tmp_path):
    done = run(tmp_path / "kept", "--folder", finished)
    path = tmp_path / "kept.speedgrid.zip"
    assert done.stdout.strip() == str(path)
    before, after = load.read(finished), load.read(path)
    assert before.samples.keys() == after.samples.keys()
    assert len(after.samples) == 3
    for cell, rounds in before.samples.items():
        assert len(rounds) == 3
        for one, other in zip(rounds, after.samples[cell], strict=True):
            np.testing.assert_array_equal(one, other)
    assert before.table.equals(after.table)
    assert before.run == after.run


def test_an_archive_unpacked_is_a_folder_like_the_one_it_was_made_of(finished, tmp_path):
    path = archive.write(finished, str(tmp_path / "kept"))
    with zipfile.ZipFile(path) as packed:
        assert packed.testzip() is None
        names = set(packed.namelist())
        files = {str(one.relative_to(finished)) for one in finished.rglob("*") if one.is_file()}
        assert names == files - {"artifacts/engines/large.ts"} | {"config.yaml"}
        for name in names - {"config.yaml"}:
            assert packed.read(name) == (finished / name).read_bytes()
        config = yaml.safe_load(packed.read("config.yaml"))
    assert config == load.read(path).run["config"]
    assert settings.complete(config) == config  # so that --configfile takes it


def test_archives_are_compared_with_folders(finished, tmp_path):
    path = archive.write(finished, str(tmp_path / "kept"))
    other = write_result(tmp_path / "other", factor=1.1, seed=4)
    output = ("--output", tmp_path / "comparison.md")
    compare(path, other, *output, code=1)
    compare(other, path, *output)
    compare(path, finished, *output)


def test_an_archive_is_never_overwritten(finished, tmp_path):
    path = archive.write(finished, str(tmp_path / "kept"))
    content = path.read_bytes()
    done = run(path, "--folder", finished, code=2)  # with its suffix it is the same name
    assert done.stderr == f"{path} is there already; an archive is not overwritten: take another name.\n"
    assert path.read_bytes() == content


def test_a_result_without_samples_or_one_that_cannot_be_read_is_not_kept(finished, tmp_path):
    done = run(tmp_path / "kept", "--folder", tmp_path, code=2)
    assert "an archive holds raw samples: measure first." in done.stderr
    (finished / "artifacts" / "run.json").write_text("{")
    done = run(tmp_path / "kept", "--folder", finished, code=2)
    assert "run.json is not JSON" in done.stderr
    assert list(tmp_path.glob("*kept*")) == []


def test_an_archive_that_cannot_be_finished_leaves_nothing(finished, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    with pytest.raises(OSError, match="no space"):
        archive.write(finished, str(tmp_path / "kept"))
    assert {one.name for one in tmp_path.iterdir()} == {"run"}


def add(name, content="{}", **options):
    """Return what adds a member to an archive."""

    def spoil(path):
        with zipfile.ZipFile(path, "a") as packed:
            packed.writestr(name, content, **options)

    return spoil


def double(path):
    with pytest.warns(UserWarning, match="Duplicate"):
        add("artifacts/run.json")(path)


def patch(sign, offset, value):
    """Return what writes two bytes into the last entry of an archive's directory, or into its end."""

    def spoil(path):
        content = bytearray(path.read_bytes())
        place = content.rfind(sign) + offset
        content[place : place + 2] = value.to_bytes(2, "little")
        path.write_bytes(content)

    return spoil


ZEROS, DEFLATED = b"0" * 70_000_000, {"compress_type": zipfile.ZIP_DEFLATED}
HOSTILE = {
    "outside": (add("../outside.json"), r"has the member '\.\./outside\.json', which leads out of it"),
    "absolute": (
        add("/artifacts/timings/absolute.json"),
        "'/artifacts/timings/absolute.json', which leads",
    ),
    "in between": (add("artifacts/../../x.json"), "which leads out of it"),
    "another system's": (add("artifacts\\run.json"), "which leads out of it"),
    "a newline": (add("artifacts/run\n.json"), "is no name of a file"),
    "twice": (double, "has the member 'artifacts/run.json' twice; an archive has each file once"),
    "zeros": (
        add("artifacts/zeros.json", ZEROS[:2_000_000], **DEFLATED),
        "more than 200 times as large as it lies",
    ),
    "too large": (add("artifacts/large.json", ZEROS), "which has 70,000,000 bytes; a member has at most 64,000,000"),
    "encrypted": (patch(b"PK\1\2", 8, 1), "which is encrypted; an archive of results has no password"),
    "packed in an odd way": (
        patch(b"PK\1\2", 10, 97),
        "which is compressed by method 97; it must be",
    ),
    "too many": (patch(b"PK\5\6", 10, 60_000), "has too many members; an archive of results has at most 50,000"),
}


@pytest.mark.parametrize(("spoil", "sentence"), HOSTILE.values(), ids=HOSTILE)
def test_an_archive_beyond_its_limits_is_refused_and_nothing_of_it_is_written(finished, tmp_path, spoil, sentence):
    path = archive.write(finished, str(tmp_path / "place" / "kept"))
    spoil(path)
    before = {one for one in tmp_path.rglob("*")}
    with pytest.raises(archive.ArchiveError, match=sentence) as refused:
        load.read(path)
    assert str(refused.value).startswith(f"{path} ")
    assert len(str(refused.value).splitlines()) == 1
    assert {one for one in tmp_path.rglob("*")} == before
    done = compare(path, finished, "--output", tmp_path / "comparison.md", code=2)
    assert done.stderr == f"{refused.value}\n"


def test_members_that_are_many_in_all_are_refused_by_their_sum(finished, tmp_path, monkeypatch):
    path = archive.write(finished, str(tmp_path / "kept"))
    monkeypatch.setattr("speedgrid.comparison.packed.ALL", 10_000)
    with pytest.raises(archive.ArchiveError, match=r"holds [\d,]+ bytes; an archive of results holds at most 10,000"):
        load.read(path)


def test_a_damaged_archive_is_refused_by_name(finished, tmp_path):
    path = archive.write(finished, str(tmp_path / "kept"))
    with zipfile.ZipFile(path) as packed:
        place = packed.getinfo("artifacts/timings/resnet18-pytorch-fp32-r64-b1-round1.json").header_offset + 200
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    done = compare(path, finished, "--output", tmp_path / "comparison.md", code=2)
    assert "resnet18-pytorch-fp32-r64-b1-round1.json is not a readable record" in done.stderr
    path.write_bytes(content[:1000])
    assert "is neither a folder nor an archive" in compare(path, finished, code=2).stderr


def test_a_record_of_another_format_in_an_archive_is_named(finished, tmp_path):
    path = archive.write(finished, str(tmp_path / "kept"))
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("artifacts/timings/old-round1.json", '{"format": 1}')
    with pytest.raises(load.ComparisonError, match=r"old-round1\.json has format 1"):
        load.read(path)
