"""The sources of images."""

import json
import os
import random
import re
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from processes import python
from torchvision.datasets import folder as torchvision_folder

from speedgrid import data
from speedgrid.data import DataError, folder, open_source, pictures, tree
from speedgrid.data.digits import TILE, bundled
from speedgrid.data.sequence import images
from speedgrid.data.source import DEVIATION, MEAN


def write_images(place, names, size=(40, 30), colour=None):
    """Write images of one colour, each of another one where none is given."""
    for number, name in enumerate(names):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour or (255, 0, number % 256)).save(place / name)
    return place


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Return a folder of three classes with 20, 40 and 100 images."""
    names = [
        f"{label}/{number:03}.png"
        for label, count in (("cat", 20), ("ape", 40), ("dog", 100))
        for number in range(count)
    ]
    return write_images(tmp_path_factory.mktemp("classes"), names)


@pytest.fixture(params=["digits", "random", "folder"])
def source(request, classes):
    """Return each source in turn."""
    return open_source(str(classes) if request.param == "folder" else request.param, 3)


def whole(source, part, resolution=32, most=1000):
    count = source.size(part, most)
    return source.images(part, resolution, 0, count) if count else np.empty((0, 3, resolution, resolution), np.float32)


def test_images_are_normalised_float32_of_the_asked_shape_and_any_slice_is_that_of_the_whole(source):
    made = whole(source, "calibration")
    assert made.dtype == np.float32
    assert made.shape == (source.size("calibration", 1000), 3, 32, 32)
    assert 0 < made.std() < 3
    np.testing.assert_array_equal(source.images("calibration", 32, 3, 5), made[3:8])


def test_a_seed_gives_the_same_images_and_another_seed_others(source, classes):
    name = source.describe()["source"]
    np.testing.assert_array_equal(whole(open_source(name, 3), "reference"), whole(source, "reference"))
    assert not np.array_equal(whole(open_source(name, 4), "reference"), whole(source, "reference"))


def test_no_more_images_than_are_wanted(source):
    assert source.size("reference", 7) == 7


def test_what_is_prepared_is_one_array_and_its_description(source, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "CHUNK", 3)
    about = data.prepare(source, "reference", 32, 8, tmp_path / "images.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "images.npy"), source.images("reference", 32, 0, 8))
    assert json.loads(json.dumps(about)) == about
    assert (about["part"], about["count"], about["resolution"]) == ("reference", 8, 32)
    assert about["labels"] == source.labels("reference", 8)


def test_random_images_are_those_of_the_seeded_sequence_with_no_classes_and_no_evaluation():
    source = open_source("random", 3)
    np.testing.assert_array_equal(whole(source, "reference"), images(3, 32, 0, 64))
    np.testing.assert_array_equal(whole(source, "calibration"), images(3, 32, 64, 128))
    assert source.size("evaluation", 1000) == 0
    assert source.labels("reference", 64) is None


def test_every_digit_is_in_one_part_and_every_part_has_all_classes_in_equal_shares():
    parts = open_source("digits", 0).parts()
    assert {name: len(part) for name, part in parts.items()} == {
        "reference": 64,
        "calibration": 128,
        "evaluation": 360,
        "training": 1245,
    }
    assert sorted(np.concatenate(list(parts.values()))) == list(range(1797))
    for part in parts.values():
        shares = np.bincount(bundled().target[part]) / len(part)
        assert len(shares) == 10
        assert (abs(shares - 0.1) < 0.02).all()


def test_digits_are_labelled_by_what_they_show():
    source = open_source("digits", 0)
    chosen = source.parts()["evaluation"][:5]
    assert source.labels("evaluation", 5) == bundled().target[chosen].tolist()


@pytest.mark.parametrize("resolution", [32, 100, 224])
def test_a_digit_is_beside_itself_over_and_over(resolution):
    source = open_source("digits", 0)
    [image], [tile] = source.images("evaluation", resolution, 2, 1), source.images("evaluation", TILE, 2, 1)
    assert image.shape == (3, resolution, resolution)
    rows, columns = np.indices((resolution, resolution)) % TILE
    np.testing.assert_array_equal(image, tile[:, rows, columns])


def test_a_digit_is_grey_before_it_is_normalised():
    [image] = open_source("digits", 0).images("evaluation", 32, 0, 1)
    grey = image * np.array(DEVIATION)[:, None, None] + np.array(MEAN)[:, None, None]
    np.testing.assert_allclose(grey[0], grey[2], atol=1e-6)
    assert -1e-6 < grey.min() < 0.05 < 0.9 < grey.max() < 1 + 1e-6


def test_extensions_are_those_of_torchvisions_image_folder():
    assert set(tree.EXTENSIONS) == set(torchvision_folder.IMG_EXTENSIONS)


def test_class_folders_are_numbered_as_torchvision_numbers_them(classes):
    source = open_source(str(classes), 0)
    theirs = torchvision_folder.ImageFolder(classes)
    assert list(source.classes) == theirs.classes
    assert {str(classes / name): label for name, label in source.files.items()} == dict(theirs.samples)


def test_class_folders_that_are_called_by_numbers_have_these_numbers(tmp_path):
    write_images(tmp_path, [f"{label}/{number}.png" for label in (9, 10, 207) for number in range(12)])
    source = open_source(str(tmp_path), 0)
    assert Counter(source.files.values()) == {9: 12, 10: 12, 207: 12}
    assert all(name.startswith(f"{label}/") for name, label in source.files.items())


def test_images_without_class_folders_have_no_labels(tmp_path):
    write_images(tmp_path, [f"{number}.png" for number in range(40)])
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    source = open_source(str(tmp_path), 0)
    assert source.labels("evaluation", 10) is None
    assert [len(part) for part in source.parts.values()] == [5, 10, 25]


def test_the_parts_of_a_folder_share_no_image_and_have_each_class_in_the_folders_share(classes):
    source = open_source(str(classes), 0)
    assert [len(source.parts[part]) for part in data.PARTS] == [20, 40, 100]
    assert sorted(name for part in source.parts.values() for name in part) == sorted(source.files)
    for part in data.PARTS:
        counts = Counter(source.labels(part, None))
        for label, name in enumerate(source.classes):
            expected = len(source.parts[part]) * sum(one == label for one in source.files.values()) / 160
            assert abs(counts[label] - expected) <= 1, name


def test_of_a_large_folder_evaluation_has_the_rest():
    files = {f"{number % 7}/{number}.jpg": number % 7 for number in range(5000)}
    parts = folder.split(files, 0)
    assert [len(part) for part in parts.values()] == [64, 128, 4808]
    beginning = Counter(files[name] for name in parts["evaluation"][:256])
    assert all(30 <= count <= 43 for count in beginning.values())


def test_a_folder_is_split_the_same_whatever_the_order_of_its_files():
    files = {f"{number % 3}/{number}.jpg": number % 3 for number in range(100)}
    names = list(files)
    random.Random(1).shuffle(names)
    again = folder.split({name: files[name] for name in sorted(names)}, 0)
    assert again == folder.split(dict(sorted(files.items())), 0)


def test_an_image_is_preprocessed_as_torchvisions_presets_do(tmp_path):
    write_images(tmp_path, [f"{number}.png" for number in range(40)], size=(300, 256), colour=(0, 255, 51))
    picture = open_source(str(tmp_path), 0).images("reference", 224, 0, 1)[0]
    expected = (np.array([0, 1, 0.2]) - MEAN) / DEVIATION
    np.testing.assert_allclose(picture, np.broadcast_to(expected[:, None, None], (3, 224, 224)), atol=1e-6)


def test_the_middle_is_cut_out_after_the_shorter_side_is_resized_to_an_eighth_more(tmp_path):
    for number in range(40):  # the left and right eighth of the height's width are white: they are cut away
        image = Image.new("L", (64 + 32, 64), 255)
        image.paste(0, (16 + 4, 4, 16 + 60, 60))
        image.save(tmp_path / f"{number}.png")
    [picture] = open_source(str(tmp_path), 0).images("reference", 56, 0, 1)
    np.testing.assert_allclose(picture[0], -MEAN[0] / DEVIATION[0], atol=1e-6)


def bad_folders(place):
    """Return folders that cannot serve, with what the message must say."""
    few = write_images(place / "few", [f"{number}.png" for number in range(31)])
    mixed = write_images(place / "mixed", ["cat/1.png", "1.png"])
    return {
        str(place / "nowhere"): "digits, random or a folder that can be read",
        str(few): "holds 31 images",
        str(mixed): "beside the class folder 'cat'",
    }


def test_a_folder_that_cannot_serve_is_named_in_one_sentence(tmp_path):
    for path, words in bad_folders(tmp_path).items():
        with pytest.raises(DataError) as caught:
            open_source(path, 0)
        message = str(caught.value)
        assert message.startswith(f"config key data.images is {path!r}")
        assert words in message
        assert message.endswith(".")
        assert "\n" not in message


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n cut off"])
def test_an_unreadable_image_is_named(tmp_path, content):
    write_images(tmp_path, [f"{number}.png" for number in range(40)])
    source = open_source(str(tmp_path), 0)
    broken = Path(source.paths("reference")[2])
    broken.write_bytes(content)
    with pytest.raises(DataError, match=rf"data\.images: {broken} is not a readable image"):
        source.images("reference", 32, 0, 4)


def ramp(dtype, largest, shape=(48, 64)):
    """Return a picture that goes from black to white along its width."""
    return np.tile(np.linspace(0, largest, shape[1]), (shape[0], 1)).round().astype(dtype)


def threefold(grey):
    """Return the bytes of a picture whose three channels are one."""
    return np.repeat(grey[..., None], 3, axis=2).tobytes()


LEVELS = {
    "PNG of 16 bits": lambda path: Image.fromarray(ramp(np.uint16, 65535)).save(path),
    "TIFF of 16 bits": lambda path: Image.fromarray(ramp(np.uint16, 65535)).save(path, "TIFF"),
    "TIFF of 16 bits, the other way round": lambda path: Image.fromarray(ramp(">u2", 65535)).save(path, "TIFF"),
    "TIFF whose 0 is white": lambda path: Image.fromarray(65535 - ramp(np.uint16, 65535)).save(
        path, "TIFF", tiffinfo={262: 0}
    ),
    "PGM of 16 bits": lambda path: path.write_bytes(b"P5 64 48 65535\n" + ramp(">u2", 65535).tobytes()),
    "PGM of 10 bits": lambda path: path.write_bytes(b"P5 64 48 1023\n" + ramp(">u2", 1023).tobytes()),
    "PPM of 16 bits": lambda path: path.write_bytes(b"P6 64 48 65535\n" + threefold(ramp(">u2", 65535))),
    "PPM of 10 bits": lambda path: path.write_bytes(b"P6 64 48 1023\n" + threefold(ramp(">u2", 1023))),
    "PNG of 16 bits in three channels": lambda path: path.write_bytes(png_of_16_bits(ramp(">u2", 65535))),
}


def png_of_16_bits(grey):
    """Return a PNG file of RGB with 16 bits, which PIL does not write."""
    rows = b"".join(b"\0" + np.repeat(row, 3).tobytes() for row in grey)
    head = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 16, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("save", LEVELS.values(), ids=LEVELS)
def test_grey_of_more_than_8_bits_keeps_its_brightness(tmp_path, save):
    save(tmp_path / "image.png")
    found = np.asarray(pictures.read(str(tmp_path / "image.png")))
    assert found.shape == (48, 64, 3)
    assert abs(found.astype(int) - ramp(np.uint8, 255)[..., None]).max() <= 1


def tiff(dtype, largest):
    """Return what writes a ramp to a path."""
    return lambda path: Image.fromarray(ramp(dtype, largest)).save(path, "TIFF")


def plain(mode, size):
    """Return what writes a black picture to a path."""
    return lambda path: Image.new(mode, size).save(path)


def raw(content):
    """Return what writes bytes to a path."""
    return lambda path: path.write_bytes(content)


ODD = {
    "floats": (tiff(np.float32, 1), "has floating-point numbers as pixels, and nothing says which of them is white"),
    "large floats": (tiff(np.float32, 255), "has floating-point numbers as pixels"),
    "a sign": (
        lambda path: Image.fromarray(ramp(np.uint8, 127)).save(path, "TIFF", tiffinfo={339: 2}),
        "has numbers of 32 bits or with a sign as pixels",
    ),
    "32 bits": (tiff(np.int32, 2**20), "has numbers of 32 bits or with a sign as pixels"),
    "a line": (plain("L", (1, 5000)), "has 1 x 5000 pixels; one side may be at most 20 times as long as the other"),
    "a long line": (plain("RGB", (4100, 200)), "has 4100 x 200 pixels; one side may be at most 20 times"),
    "a bomb": (plain("1", (11_000, 10_000)), "has 11000 x 10000 pixels, more than 100,000,000; make it smaller."),
    "a larger bomb": (plain("1", (20_000, 18_000)), "has more than 100,000,000 pixels; make it smaller."),
    "another decoder's error": (raw(b"P5 9 9 99999\n" + bytes(81)), "is not a readable image"),
    "a pickle": (raw(b"\x80\x04."), "is not a readable image"),
}


@pytest.mark.parametrize(("save", "words"), ODD.values(), ids=ODD)
def test_an_image_that_cannot_be_used_is_refused_in_one_sentence_with_its_file(tmp_path, save, words):
    path = tmp_path / "image.png"
    save(path)
    with pytest.raises(DataError) as caught:
        pictures.read(str(path))
    message = str(caught.value)
    assert message.startswith(f"config key data.images: {path} ")
    assert words in message
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize("pair", [("01", "1"), ("7", "007"), ("0", "00")])
def test_class_folders_that_are_one_number_are_refused(tmp_path, pair):
    write_images(tmp_path, [f"{name}/{number}.png" for name in (*pair, "5") for number in range(20)])
    with pytest.raises(DataError, match=rf"class folders '0\d*' and '\d+' are both of class {int(pair[0])};"):
        open_source(str(tmp_path), 0)


@pytest.mark.parametrize("hidden", [".", "cat", "cat/young"])
def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch, hidden):
    write_images(tmp_path, [f"{name}/{number}.png" for name in ("ape", "cat/young", "dog") for number in range(20)])
    scandir, closed = os.scandir, os.path.normpath(tmp_path / hidden)

    def refuse(path):
        if os.path.normpath(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=rf"of which '{re.escape(closed)}/?' cannot be read \(Permission denied\)"):
        open_source(str(tmp_path), 0)


@pytest.mark.parametrize("name", ["digits", "random", "folder"])
def test_opening_a_source_imports_nothing_heavy(name, classes):
    path = str(classes) if name == "folder" else name
    program = f"import sys; from speedgrid import data; data.open_source({path!r}, 0); print(*sys.modules)"
    heavy = {"torch", "numpy", "sklearn", "scipy", "PIL", "torchvision"}
    assert heavy & set(python("-c", program).stdout.split()) == set()


def test_torch_takes_the_images(source):
    assert torch.from_numpy(source.images("reference", 32, 0, 2)).shape == (2, 3, 32, 32)
