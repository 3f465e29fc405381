"""Files and folders that a user names: what is there is taken, and of what is not one sentence says what is wrong."""

import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from speedgrid import data, settings
from speedgrid.data import DataError
from speedgrid.launcher import inputs
from speedgrid.model import checkpoints
from speedgrid.model.checkpoints import CheckpointError
from speedgrid.published import source
from speedgrid.published.source import PublishedError

ORDINARY_USER = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def make_loop(path):
    path.symlink_to(path.name)


# What may be where a file is wanted, and the clause that says so.
NO_FILES = {
    "nothing": (lambda path: None, "is not there"),
    "a link to nothing": (lambda path: path.symlink_to("gone"), "is a link to 'gone', which is not there"),
    "a link to a link to nothing": (
        lambda path: (path.with_name("other").symlink_to("gone"), path.symlink_to("other")),
        "is a link to 'other', which is not there",
    ),
    "a link to itself": (make_loop, "cannot be read (Too many levels of symbolic links)"),
    "a folder": (lambda path: path.mkdir(), "is no file but a folder"),
    "a link to a folder": (lambda path: path.symlink_to("."), "is no file but a folder"),
    "a pipe": (make_pipe, "is no file but a pipe"),
    "a socket": (make_socket, "is no file but a socket"),
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return the working folder, with a short path for sockets."""
    monkeypatch.chdir(tmp_path)
    return Path()


@pytest.mark.parametrize(("make", "clause"), NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_readable_file_is_said_in_a_clause(place, make, clause):
    make(place / "x.csv")
    assert inputs.file_fault("x.csv") == clause


PATHS = {
    "": "is empty",
    "x.csv/more": "cannot be read (Not a directory)",
    "a\0b": "is no path (embedded null byte)",
    "/dev/null": "is no file but a device",
    "a{b}.csv": "has a brace in its path, where the rules of the workflow have placeholders",
    "a<script>b.csv": "has <script> in its path, which the rules of the workflow take for a folder to be filled in",
    "a}b.csv": "has a brace in its path, where the rules of the workflow have placeholders",
    "y" * 300: "cannot be read (File name too long)",
}


@pytest.mark.parametrize(("path", "clause"), PATHS.items())
def test_a_path_that_can_be_no_file_is_said_in_a_clause(place, path, clause):
    (place / "x.csv").touch()
    assert inputs.file_fault(path) == clause
    assert inputs.folder_fault(path) == clause.replace("no file but", "no folder but")


@ORDINARY_USER
def test_what_this_user_may_not_read_is_said_in_a_clause(place):
    (place / "x.csv").touch(0)
    (place / "folder").mkdir(0)
    assert inputs.file_fault("x.csv") == inputs.folder_fault("folder") == "may not be read by this user"
    assert inputs.file_fault("folder/x.csv") == "cannot be read (Permission denied)"


def test_what_may_not_be_read_is_asked_of_the_system(place, monkeypatch):
    (place / "x.csv").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert inputs.file_fault("x.csv") == inputs.folder_fault(".") == "may not be read by this user"


def test_files_and_folders_and_links_to_them_are_taken(place):
    (place / "file").touch()
    (place / "to file").symlink_to("file")
    (place / "folder").mkdir()
    (place / "to folder").symlink_to("folder")
    assert [inputs.file_fault(name) for name in ("file", "to file", "./file")] == [None] * 3
    assert [inputs.folder_fault(name) for name in ("folder", "to folder", "folder/", ".")] == [None] * 4


@given(st.text())
def test_any_text_is_a_path_or_there_is_a_clause_in_one_line(path):
    for fault in (inputs.file_fault(path), inputs.folder_fault(path)):
        assert fault is None or (fault and "\n" not in fault and fault == fault.strip(" .;"))


def test_a_home_folder_is_filled_in_and_what_has_none_stays_as_it_is(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert inputs.expanded("~/x.csv") == "/home/me/x.csv"
    assert inputs.expanded("~nobody-of-this-name/x.csv") == "~nobody-of-this-name/x.csv"
    assert inputs.expanded("a~/~.csv") == "a~/~.csv"


# Published tables.


def refused(published, audited=None):
    """Return the sentence in which published tables are refused."""
    with pytest.raises(PublishedError) as caught:
        source.files(published, audited)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.mark.parametrize(("make", "clause"), NO_FILES.values(), ids=NO_FILES)
def test_a_published_table_that_is_no_readable_file_is_refused_by_key_and_path(place, make, clause):
    (place / "good.csv").touch()
    make(place / "x.csv")
    wanted = f"config key published.1 is 'x.csv', which {clause}; it must be a CSV file that can be read."
    assert refused(["good.csv", "x.csv"]) == refused(["good.csv", {"file": "x.csv", "model": "vgg16"}]) == wanted


@pytest.mark.parametrize(("path", "clause"), PATHS.items())
def test_a_path_that_can_be_no_published_table_is_refused_by_key_and_path(place, path, clause):
    (place / "x.csv").touch()
    assert (
        refused([path])
        == f"config key published.0 is {path!r}, which {clause}; it must be a CSV file that can be read."
    )


@pytest.mark.parametrize(("make", "clause"), list(NO_FILES.values())[1:], ids=list(NO_FILES)[1:])
def test_a_description_beside_a_table_that_is_no_readable_file_is_refused(place, make, clause):
    (place / "x.csv").touch()
    make(place / "x.yaml")
    assert refused(["x.csv"]) == (
        f"config key published.0 is 'x.csv', whose description 'x.yaml' {clause}; it must be a YAML file, or not there."
    )


def audited(place, described_by):
    """Write verdicts on a table as an earlier run left them, and return their path."""
    (place / "published.json").write_text(json.dumps([{"file": "x.csv", "described_by": described_by}]))
    return "published.json"


def test_a_description_that_a_table_was_audited_with_and_that_is_gone_is_refused_until_the_verdicts_go_too(place):
    (place / "x.csv").touch()
    assert refused(["x.csv"], audited(place, "x.yaml")) == (
        "config key published.0 is 'x.csv', whose description 'x.yaml' is not there, though it was audited with it; "
        "put it back, or remove published.json to audit it without."
    )
    (place / "x.yaml").touch()
    assert source.files(["x.csv"], "published.json") == ["x.csv", "x.yaml"]
    (place / "x.yaml").unlink()
    (place / "published.json").unlink()
    assert source.files(["x.csv"], "published.json") == ["x.csv"]


@pytest.mark.parametrize(
    "text", ["[]", "{}", "null", '[{"file": "x.csv"}]', "[1]", '[{"described_by": null}]', "[{", ""]
)
def test_verdicts_that_know_of_no_description_refuse_nothing(place, text):
    (place / "x.csv").touch()
    (place / "published.json").write_text(text)
    assert source.files(["x.csv"], "published.json") == ["x.csv"]


def test_the_verdicts_name_the_description_that_they_were_reached_with(place):
    (place / "x.csv").write_text("fps\n1\n")
    assert source.read({"file": "x.csv"}, "resnet18").described_by is None
    (place / "x.yaml").write_text("device: NVIDIA L4\n")
    assert source.read({"file": "x.csv"}, "resnet18").described_by == "x.yaml"


def test_a_published_table_may_lie_in_the_home_folder(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place.absolute()))
    (place / "x.csv").write_text("fps\n1\n")
    assert source.files(["~/x.csv"]) == [str(place.absolute() / "x.csv")]
    [entry] = source.entries(["~/x.csv"])
    assert len(source.read(entry, "resnet18").rows) == 1


# Checkpoints.

DESCRIBED = "{model}-{resolution}.json"


def lacking(pattern=checkpoints.DEFAULT, models=("resnet18",), resolutions=(64,)):
    """Return the sentence in which checkpoints are refused."""
    with pytest.raises(CheckpointError) as caught:
        checkpoints.require(pattern, models, resolutions, DESCRIBED)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_the_default_place_is_that_of_the_schema():
    assert settings.complete({"device": "cpu"})["model"]["weights"] == checkpoints.DEFAULT


def test_there_need_be_no_checkpoint_at_the_default_place_and_one_that_is_there_is_found(place):
    assert checkpoints.find(checkpoints.DEFAULT, "resnet18", 64, "none.json") is None
    (place / "weights").mkdir()
    (place / "weights/best_resnet18_64.pth").touch()
    assert checkpoints.find(checkpoints.DEFAULT, "resnet18", 64, "none.json") == "weights/best_resnet18_64.pth"
    assert checkpoints.find(checkpoints.DEFAULT, "resnet18", 96, "none.json") is None
    checkpoints.require(checkpoints.DEFAULT, ["resnet18"], [64, 96], DESCRIBED)


@pytest.mark.parametrize(("make", "clause"), list(NO_FILES.values())[1:], ids=list(NO_FILES)[1:])
@pytest.mark.parametrize("pattern", [checkpoints.DEFAULT, "weights/best_{model}_64.pth"])
def test_what_lies_at_the_place_of_a_checkpoint_and_is_no_file_is_refused(place, make, clause, pattern):
    (place / "weights").mkdir()
    make(place / "weights/best_resnet18_64.pth")
    assert lacking(pattern) == (
        f"config key model.weights is {pattern!r}, and for resnet18 at 64 pixels 'weights/best_resnet18_64.pth' "
        f"{clause}; it must be a file that can be read."
    )


@pytest.mark.parametrize(
    ("pattern", "missing"),
    [
        ("mine/{model}.pth", "resnet18 at 64 pixels 'mine/resnet18.pth'"),
        ("{model}_{resolution}.pth", "resnet18 at 96 pixels 'resnet18_96.pth'"),
        ("all.pth", "resnet18 at 64 pixels 'all.pth'"),
        ("weights/best_{model}.pth", "resnet18 at 64 pixels 'weights/best_resnet18.pth'"),
    ],
)
def test_at_a_place_of_the_users_own_there_must_be_a_checkpoint_for_each_model_and_resolution(place, pattern, missing):
    (place / "resnet18_64.pth").touch()
    assert lacking(pattern, resolutions=(64, 96)) == (
        f"config key model.weights is {pattern!r}, and for {missing} is not there; "
        "put a checkpoint there, or leave the key out to measure with weights that need none."
    )


def test_a_checkpoint_may_lie_in_the_home_folder(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place.absolute()))
    (place / "resnet18.pth").touch()
    found = checkpoints.find("~/{model}.pth", "resnet18", 64, "none.json")
    assert found == str(place.absolute() / "resnet18.pth")
    assert repr(str(place.absolute() / "vgg16.pth")) in lacking("~/{model}.pth", models=("resnet18", "vgg16"))


def test_a_checkpoint_that_weights_were_taken_from_and_that_is_gone_is_refused_until_they_go_too(place):
    path = "weights/best_resnet18_64.pth"
    (place / "resnet18-64.json").write_text(json.dumps({"own": True, "source": path}))
    assert lacking() == (
        f"config key model.weights is {checkpoints.DEFAULT!r}, and for resnet18 at 64 pixels {path!r} is not there, "
        "though the results of this folder were measured with it; "
        "put it back, or remove resnet18-64.json to measure without it."
    )
    (place / "resnet18-64.json").unlink()
    checkpoints.require(checkpoints.DEFAULT, ["resnet18"], [64], DESCRIBED)


@pytest.mark.parametrize(
    "text",
    [
        '{"own": false, "source": "trained on handwritten digits, seed 0"}',
        '{"own": true, "source": "another.pth"}',
        "{}",
        "[]",
        "{",
        "\0",
    ],
)
def test_weights_that_were_taken_from_elsewhere_need_no_checkpoint(place, text):
    (place / "resnet18-64.json").write_text(text)
    checkpoints.require(checkpoints.DEFAULT, ["resnet18"], [64], DESCRIBED)


# Images.


def photos(folder, names=None):
    """Write forty images, or those of some names, and return their folder's path."""
    for number, name in enumerate(names or [f"{number}.png" for number in range(40)]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(folder / name)
    return str(folder)


def unusable(path):
    """Return the sentence in which a folder of images is refused."""
    with pytest.raises(DataError) as caught:
        data.require(data.open_source(path, 0), {"reference": 64, "calibration": 128, "evaluation": 200})
    message = str(caught.value)
    assert message.startswith(f"config key data.images is {path!r}, ")
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.mark.parametrize("name", [name for name in NO_FILES if "folder" not in name])
def test_a_folder_of_images_that_is_none_is_refused(place, name):
    make, clause = NO_FILES[name]
    make(place / "photos")
    assert f", which {clause.replace('no file', 'no folder')}; it must be digits, random or a folder" in unusable(
        "photos"
    )


def test_a_file_is_no_folder_of_images(place):
    (place / "photos").touch()
    assert ", which is no folder but a file; " in unusable("photos")


@pytest.mark.parametrize("name", [name for name in NO_FILES if name not in ("nothing", "a link to a folder")])
def test_an_image_that_is_no_readable_file_is_refused_by_name(place, name):
    make, clause = NO_FILES[name]
    photos(place / "photos")
    (place / "photos/7.png").unlink()
    make(place / "photos/7.png")
    message = unusable("photos")
    assert f"of which 'photos/7.png' {clause}; replace or remove it." in message


@pytest.mark.parametrize("name", ["a{b}.png", "{.png", "}.png"])
def test_an_image_with_a_brace_in_its_name_is_refused_by_name(place, name):
    photos(place / "photos", [*(f"{number}.png" for number in range(32)), name])
    assert f"of which 'photos/{name}' has a brace in its path" in unusable("photos")


def test_a_folder_with_a_brace_in_its_name_is_refused(place):
    assert ", which has a brace in its path" in unusable(photos(place / "{model}"))


@pytest.mark.parametrize("link", ["cat", "ape/more", "ape/deep/more"])
def test_a_link_that_was_a_folder_of_images_is_not_passed_over(place, link):
    path = photos(place / "photos", [f"ape/{number}.png" for number in range(40)])
    (place / "photos" / link).parent.mkdir(exist_ok=True)
    (place / "photos" / link).symlink_to("/nowhere/cat")
    assert f"of which 'photos/{link}' is a link to '/nowhere/cat', which is not there; " in unusable(path)


@ORDINARY_USER
def test_a_class_folder_that_may_not_be_read_is_not_passed_over(place):
    path = photos(place / "photos", [f"{label}/{number}.png" for label in ("ape", "cat") for number in range(40)])
    (place / "photos/cat").chmod(0)
    assert "of which 'photos/cat' cannot be read (Permission denied); " in unusable(path)
    (place / "photos/cat").chmod(0o700)


def test_a_class_folder_that_cannot_be_listed_is_not_passed_over(place, monkeypatch):
    path = photos(place / "photos", [f"{label}/{number}.png" for label in ("ape", "cat") for number in range(40)])
    scandir = os.scandir

    def refusing(folder):
        if str(folder).endswith("cat"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    assert "of which 'photos/cat' cannot be read (Permission denied); replace or remove it." in unusable(path)


def test_images_may_lie_in_the_home_folder_and_behind_links(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place.absolute()))
    photos(place / "far", [f"{label}/{number}.png" for label in ("ape", "cat") for number in range(20)])
    (place / "photos").mkdir()
    for label in ("ape", "cat"):
        (place / "photos" / label).symlink_to(f"../far/{label}")
    source = data.open_source("~/photos", 0)
    data.require(source, {"reference": 64, "calibration": 128, "evaluation": 200})
    assert (list(source.classes), len(source.files)) == (["ape", "cat"], 40)


def test_all_files_that_cannot_be_read_are_named_at_once(place):
    path = photos(place / "photos")
    for number in (3, 17, 30):
        (place / f"photos/{number}.png").unlink()
        (place / f"photos/{number}.png").mkdir()
    message = unusable(path)
    assert all(f"'photos/{number}.png' is no file but a folder; " in message for number in (3, 17, 30))
    assert message.endswith("replace or remove them.")


@pytest.mark.parametrize("name", ["digits", "random"])
def test_images_that_are_no_files_need_none(name):
    data.require(data.open_source(name, 0), {"reference": 64, "calibration": 128, "evaluation": 200})
