"""Folders of images as people have them: parts of a data set, what a system puts there, copies, orientation."""

import os
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from speedgrid import data
from speedgrid.data import DataError, contents, open_source, pictures, tree

SIZES = {"reference": 64, "calibration": 128, "evaluation": 200}


def write(place, **folders):
    """Write images, each of another content, into folders, whose names have `__` for `/`: as many as is said."""
    random = np.random.default_rng(len(folders))
    for name, count in folders.items():
        folder = place / name.replace("__", "/")
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8)).save(folder / f"{number}.png")
    return place


def refused(path):
    with pytest.raises(DataError) as caught:
        data.require(open_source(str(path), 0), SIZES)
    message = str(caught.value)
    assert message.startswith(f"config key data.images is {str(path)!r}, ")
    assert message.endswith(".")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "names",
    [
        *(("train", "val"), ("training", "validation"), ("Train", "valid"), ("test", "val"), ("train_set", "dev")),
        *(("train2017", "val2017"), ("ILSVRC2012_img_train", "ILSVRC2012_img_val"), ("train_images", "val-images")),
        *(("calib", "val"), ("training data", "evaluation"), ("images.train", "images.valid")),
        *(("1_train", "2_val"), ("01 - Training", "02 - Validation"), ("trn", "val"), ("holdout", "dev")),
    ],
)
def test_the_validation_part_is_evaluated_and_the_other_calibrates(tmp_path, names):
    other, val = names
    write(tmp_path, **{f"{other}__{name}": 20 for name in ("ape", "cat")}, **{f"{val}__{n}": 6 for n in ("ape", "cat")})
    source = open_source(str(tmp_path), 0)
    assert source.classes == {"ape": 0, "cat": 1}
    assert all(name.startswith(f"{val}/") for name in source.parts["evaluation"])
    assert all(name.startswith(f"{other}/") for part in ("reference", "calibration") for name in source.parts[part])
    assert [len(source.parts[part]) for part in data.PARTS] == [13, 27, 12]
    assert Counter(source.labels("evaluation", None)) == {0: 6, 1: 6}
    assert (source.describe()["evaluated"], source.describe()["calibrating"]) == ("val", tree.level_of(other))


def test_of_three_parts_the_test_part_is_left_alone(tmp_path):
    write(tmp_path, train__a=20, train__b=20, val__a=8, val__b=8, test__a=9, test__b=9)
    source = open_source(str(tmp_path), 0)
    assert {name.split("/")[0] for name in source.files} == {"train", "val"}


def test_without_a_validation_part_the_test_part_is_evaluated(tmp_path):
    write(tmp_path, train__a=20, train__b=20, test__a=8, test__b=8)
    assert {name.split("/")[0] for name in open_source(str(tmp_path), 0).parts["evaluation"]} == {"test"}


def test_one_part_alone_is_split_as_a_folder_is(tmp_path):
    write(tmp_path, val__a=20, val__b=20, annotations=0)
    source = open_source(str(tmp_path), 0)
    assert list(source.classes) == ["a", "b"]
    assert [len(source.parts[part]) for part in data.PARTS] == [5, 10, 25]
    assert "evaluated" not in source.describe()


def test_classes_have_the_numbers_that_the_training_part_gives_them(tmp_path):
    write(tmp_path, train__a=20, train__b=20, train__c=20, val__a=8, val__c=8)
    source = open_source(str(tmp_path), 0)
    assert Counter(source.labels("evaluation", None)) == {0: 8, 2: 8}


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (
            {"train__a": 20, "train__b": 20, "val__a": 8, "val__z": 8},
            "has the class folder 'z' in 'val' and not in 'train'",
        ),
        ({"train__a": 40, "val__a": 8, "cats": 9}, "holds 'train' and 'val' beside 'cats'"),
        ({"train__a": 20, "train__b": 20, "val": 9}, "has class folders in one part and none in 'val'"),
        ({"val__a": 40, "valid__a": 40}, "of which two are one part of a data set"),
        ({"all__a": 20, "all__b": 20}, "holds one folder of images, 'all', with 2 folders of images in it"),
        ({"train__a": 9, "train__b": 9, "val__a": 9}, "holds in 'train' 18 images"),
        ({"train__a": 40, "val__a": 7}, "holds in 'val' 7 images"),
    ],
)
def test_a_folder_whose_classes_are_not_clear_is_refused(tmp_path, folders, words):
    assert words in refused(write(tmp_path, **folders))


@pytest.mark.parametrize("names", [("bus", "car", "train"), ("test1", "test2", "test3"), ("dev board", "test tube")])
def test_a_class_that_is_called_as_a_part_is_a_class(tmp_path, names):
    write(tmp_path, **dict.fromkeys(names, 20))
    assert list(open_source(str(tmp_path), 0).classes) == list(names)


def test_what_a_system_puts_beside_images_is_none(tmp_path):
    write(tmp_path, ape=20, cat=20)
    before = open_source(str(tmp_path), 0)
    write(tmp_path, __MACOSX=0)
    for name in (
        "__MACOSX/ape/._1.png",
        ".ipynb_checkpoints/1-checkpoint.png",
        "ape/.ipynb_checkpoints/1-checkpoint.png",
        "cat/._0.png",
        "cat/.hidden/x.png",
        "ape/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
        "#recycle/ape/0.png",
        "@Recycle/0.png",
        "$RECYCLE.BIN/x.png",
        ".DS_Store",
        "ape/Thumbs.db",
        "desktop.ini",
        "cat/.directory",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / ".git").symlink_to("/nowhere")
    source = open_source(str(tmp_path), 0)
    data.require(source, SIZES)
    assert (source.classes, source.parts) == (before.classes, before.parts)
    assert source.describe()["passed_over"] == 14
    assert source.describe()["others"] == {}


@pytest.mark.parametrize("levels", [[], ["train", "val"]])
def test_files_that_are_no_images_by_their_names_are_counted_and_said(tmp_path, levels):
    for level in levels or [""]:
        write(tmp_path / level, ape=20, cat=20)
    for name in ("ape/1.HEIC", "cat/2.heic", "cat/deep/3.avif", "labels.csv", "cat/notes"):
        path = tmp_path / (levels[0] if levels and "/" in name else "") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0")
    source = open_source(str(tmp_path), 0)
    assert source.describe()["others"] == {".heic": 2, ".avif": 1, "": 1, ".csv": 1}
    assert source.describe()["passed_over"] == 0
    assert (
        "beside files that are not read (2 '.heic', 1 '.avif', 1 without an ending, 1 '.csv'), of 2" in source.summary()
    )


def test_a_folder_of_other_files_alone_says_which_they_are(tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.heic").write_bytes(b"\0")
    with pytest.raises(DataError, match=r"0 images \(.*\) beside files that are not read \(40 '.heic'\); it must"):
        open_source(str(tmp_path), 0)


def test_an_empty_class_folder_has_a_number_as_torchvision_gives_it(tmp_path):
    write(tmp_path, ape=20, bat=0, cat=20)
    source = open_source(str(tmp_path), 0)
    theirs = ImageFolder(str(tmp_path), allow_empty=True)
    assert source.classes == theirs.class_to_idx == {"ape": 0, "bat": 1, "cat": 2}
    assert {str(tmp_path / name): label for name, label in source.files.items()} == dict(theirs.samples)
    assert source.class_folders()[1] == {"name": "bat", "number": 1, "images": 0}


def test_links_that_lead_back_do_not_multiply_images(tmp_path):
    write(tmp_path, ape=20, cat=20)
    before = open_source(str(tmp_path), 0).files
    (tmp_path / "ape/again").symlink_to("../ape")
    (tmp_path / "cat/all").symlink_to("..")
    (tmp_path / "cat/far").mkdir()
    (tmp_path / "cat/far/back").symlink_to(tmp_path / "cat")
    assert open_source(str(tmp_path), 0).files == before


def test_folders_behind_links_are_looked_into(tmp_path):
    write(tmp_path / "far", ape=20, cat=20)
    (tmp_path / "photos").mkdir()
    for name in ("ape", "cat"):
        (tmp_path / "photos" / name).symlink_to(f"../far/{name}")
    assert len(open_source(str(tmp_path / "photos"), 0).files) == 40


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("layout", ["flat", "levels"])
def test_no_image_is_in_two_parts_by_content(tmp_path, copies, layout):
    if layout == "flat":
        write(tmp_path, ape=60, cat=60)
        names = list(tmp_path.glob("*/*.png"))
    else:
        write(tmp_path, train__a=40, train__b=40, val__a=20, val__b=20)
        names = list(tmp_path.glob("train/*/*.png"))
    for name in names:
        for copy in range(copies):
            other = str(name) if layout == "flat" else str(name).replace("train", "val")
            shutil.copy(name, other.replace(".png", f"-copy{copy}.png"))
    source = open_source(str(tmp_path), 0)
    by_content = [{(tmp_path / name).read_bytes() for name in source.parts[part]} for part in data.PARTS]
    assert all(by_content)
    assert not by_content[0] & by_content[1] | by_content[0] & by_content[2] | by_content[1] & by_content[2]
    assert source.describe()["copies"] == source.copies > 0


def test_without_copies_nothing_is_read_but_sizes(tmp_path, monkeypatch):
    write(tmp_path, ape=40)
    for number, path in enumerate(sorted(tmp_path.glob("*/*"))):
        path.write_bytes(path.read_bytes() + bytes(1000 + number * 100))
    monkeypatch.setattr(contents.Contents, "digest", None)
    assert open_source(str(tmp_path), 0).copies == 0


def test_images_that_are_all_the_same_cannot_serve(tmp_path):
    write(tmp_path, ape=1)
    for number in range(1, 40):
        shutil.copy(tmp_path / "ape/0.png", tmp_path / f"ape/{number}.png")
    assert "has no image for calibration and evaluation that is not, by content, among the others" in refused(tmp_path)


def test_all_images_that_cannot_be_used_are_named_at_once(tmp_path):
    write(tmp_path, ape=60, cat=60)
    source = open_source(str(tmp_path), 0)
    bad = [source.paths("reference")[3], source.paths("evaluation")[5], source.paths("calibration")[2]]
    for path, content in zip(bad, (b"", b"no image", b"\x89PNG\r\n\x1a\n"), strict=True):
        with open(path, "wb") as file:
            file.write(content)
    with pytest.raises(DataError) as caught:
        data.prepare(source, "reference", 32, 64, tmp_path / "images.npy")
    message = str(caught.value)
    assert message.startswith("config key data.images: 3 files cannot be used: ")
    assert all(path in message for path in bad)
    assert "\n" not in message
    assert not (tmp_path / "images.npy").exists()


# An arrow that is not the same in any other way of seeing it.
ARROW = np.zeros((48, 64, 3), np.uint8)
ARROW[:10, :40] = 255
ARROW[10:30, :10] = 128


def stored_as(orientation):
    """Return the arrow as a camera stores it that writes this orientation."""
    back = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
    return pictures.upright(Image.fromarray(ARROW), back[orientation])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_an_image_is_turned_as_its_exif_data_says_whatever_its_format(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(ending, {})
    stored_as(orientation).save(tmp_path / f"x.{ending}", exif=exif, **options)
    found = np.asarray(pictures.read(str(tmp_path / f"x.{ending}"))).astype(int)
    assert found.shape == ARROW.shape
    assert abs(found - ARROW).max() < 12


def test_a_deep_image_is_turned_too(tmp_path):
    grey = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 3
    Image.fromarray(grey[::-1, ::-1].copy()).save(tmp_path / "x.png", exif=exif)
    found = np.asarray(pictures.read(str(tmp_path / "x.png")))[..., 0]
    assert abs(found.astype(float) - grey / 257).max() <= 1


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_there_is_not_turns_nothing(tmp_path, orientation):
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    Image.fromarray(ARROW).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(np.asarray(pictures.read(str(tmp_path / "x.png"))), ARROW)


def test_exif_data_that_is_none_turns_nothing(tmp_path):
    Image.fromarray(ARROW).save(tmp_path / "x.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert pictures.read(str(tmp_path / "x.jpg")).size == (64, 48)


def test_the_log_names_the_classes_with_their_counts_and_numbers(tmp_path):
    write(tmp_path, ape=20, cat=12)
    assert open_source(str(tmp_path), 0).summary() == (
        f"Images of {str(tmp_path)!r}: 32, of 2 classes: 'ape' 20 (class 0), 'cat' 12 (class 1)."
    )
    many = write(tmp_path / "many", **{f"{number}": 2 for number in range(30)})
    assert open_source(str(many), 0).summary().endswith("'26' 2 (class 26) and 10 more.")


def test_a_folder_is_read_whatever_the_order_that_the_system_lists_it_in(tmp_path, monkeypatch):
    write(tmp_path, ape=20, cat=20)
    before = open_source(str(tmp_path), 0).parts
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: reversed(list(scandir(path))))
    assert open_source(str(tmp_path), 0).parts == before


def test_a_pipe_among_images_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "0.jpg")
    with pytest.raises(DataError, match="is no file but a pipe; replace or remove it"):
        pictures.read(str(tmp_path / "0.jpg"))
