"""The sizes of inputs: one name for each, in their order, from the configuration to the table and the plots."""

import json
from dataclasses import asdict

import msgspec
import numpy as np
import pandas as pd
import pytest
from builders import make_record, make_records, make_run
from hypothesis import given
from hypothesis import strategies as st

from speedgrid import data, settings
from speedgrid.data.digits import Digits
from speedgrid.data.folder import Folder
from speedgrid.data.preprocessing import photograph_size, preprocess, resized_side
from speedgrid.data.resolution import Rectangle, in_words, read, side_of, size_of
from speedgrid.data.sequence import images
from speedgrid.grid import Cell, cells, nearest
from speedgrid.launcher.reading import FileError, read_yaml
from speedgrid.report import findings
from speedgrid.report.explorer import tick_labels
from speedgrid.report.plots import lines
from speedgrid.table import saved, sizes
from speedgrid.table.conditions import disorder

SIDES = st.integers(1, 9000)
ANY = st.one_of(SIDES, st.builds("{}x{}".format, SIDES, SIDES)).map(read)


@given(SIDES, SIDES)
def test_each_size_has_one_name_and_is_read_back_from_it(height, width):
    found = read(f"{height}x{width}")
    assert size_of(found) == (height, width)
    assert read(found) == read(str(found)) == found
    assert str(found) == (str(height) if height == width else f"{height}x{width}")
    assert isinstance(found, int) == (height == width)
    assert in_words(found) == f"{height} x {width}"


@given(ANY, ANY)
def test_sizes_are_in_the_order_of_their_pixels_and_only_the_same_are_equal(one, other):
    pixels = [np.prod(size_of(each)) for each in (one, other)]
    assert (one == other) == (size_of(one) == size_of(other))
    if pixels[0] != pixels[1]:
        assert (one < other) == (pixels[0] < pixels[1]) == (side_of(one) < side_of(other))
    assert sum([one < other, one == other, one > other]) == 1
    assert (one <= other) == (one < other or one == other)
    assert (one >= other) == (not one < other)


@given(st.text())
def test_what_is_no_size_is_refused_with_what_would_be_right(text):
    parts = text.split("x")
    fine = len(parts) <= 2 and all(one.isascii() and one.isdecimal() and one[0] != "0" for one in parts)
    if fine and max(map(len, parts)) < 10:
        assert size_of(read(text)) == (int(parts[0]), int(parts[-1]))
    else:
        with pytest.raises(ValueError, match="it must be a number of pixels such as 224, or HEIGHTxWIDTH such as 640"):
            read(text)


@pytest.mark.parametrize(
    "value", [0, -1, True, 2.0, None, [640, 384], "0x640", "640x", "x640", "640X384", "640x0", "1x2x3"]
)
def test_a_value_that_is_no_size_is_none(value):
    with pytest.raises(ValueError, match="is no resolution"):
        read(value)


@given(ANY, st.sampled_from([1, 8]))
def test_a_cell_of_any_size_is_read_back_from_its_name_and_from_json(resolution, batch_size):
    cell = Cell("a-b", "pytorch", "fp32", resolution, batch_size)
    assert Cell.parse(str(cell)) == cell
    again = msgspec.convert(json.loads(json.dumps(asdict(cell))), Cell)
    assert again == cell
    assert type(again.resolution) is type(resolution)


@pytest.mark.parametrize("name", ["m-pytorch-fp32-r64x64-b1", "m-pytorch-fp32-r064-b1", "m-pytorch-fp32-r0x64-b1"])
def test_a_cell_has_no_second_name(name):
    with pytest.raises(ValueError, match=r"no resolution|does not read as"):
        Cell.parse(name)


def configured(resolution, **changes):
    """Return a configuration of a small grid with resolutions."""
    axes = {"backend": ["pytorch"], "precision": ["fp32"], "resolution": resolution, "batch_size": [1]}
    return {"device": "cpu", "grid": {"cpu": axes}} | changes


def test_a_configuration_takes_sizes_wherever_it_takes_a_resolution():
    found = settings.complete(
        configured(
            ["640x384", 224, "96x96"],
            report={"resolution": "384x640"},
            accuracy={"resolution": "128x128"},
            timing={"energy_resolutions": ["640x384"]},
        )
    )
    assert found["grid"]["cpu"]["resolution"] == ["640x384", 224, 96]
    assert isinstance(found["grid"]["cpu"]["resolution"][0], Rectangle)
    assert (found["report"]["resolution"], found["accuracy"]["resolution"]) == ("384x640", 128)
    assert found["timing"]["energy_resolutions"] == ["640x384"]


@pytest.mark.parametrize(
    "bad", ["0x640", "640x", "640X384", "640x384x3", "31x640", "640x8193", "640 x 384", "", 31, 64.5]
)
def test_a_configuration_refuses_other_texts_with_the_key_and_what_would_be_right(bad):
    with pytest.raises(settings.SettingsError) as caught:
        settings.complete(configured([64, bad]))
    wanted = "it must be from 32 to 8192 pixels, or HEIGHTxWIDTH such as 640x384."
    assert str(caught.value) == f"config key grid.cpu.resolution.1 is {bad!r}; {wanted}"


def test_one_size_under_two_names_is_a_repeat():
    with pytest.raises(settings.SettingsError, match=r"grid\.cpu\.resolution has 64 x 64 pixels twice"):
        settings.complete(configured([64, "64x64"]))


OTHER_BASES = {"0x640": "hexadecimal", "-0x2f": "hexadecimal", "0b11": "binary", "010": "octal", "-07_7": "octal"}
OTHER_BASES |= dict.fromkeys(["1:30", "1:00:00", "1:30.5", "-2:05"], "to base 60")


@pytest.mark.parametrize(("text", "kind"), OTHER_BASES.items())
@pytest.mark.parametrize("line", ["resolution: [64, {}]", "? {}\n: 3", "{}: 1", "price: {{a: {}}}"])
def test_a_number_that_yaml_reads_as_another_one_is_refused_where_it_stands(tmp_path, text, kind, line):
    (tmp_path / "config.yaml").write_text(f"a: 1\n{line.format(text)}\n")
    with pytest.raises(FileError, match=f"line 2 has {text}, in YAML an? (number )?{kind}"):
        read_yaml(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("1_000", 1000), ("0.5", 0.5), ("-3", -3), ("'010'", "010"), ("08:00", "08:00")]
)
def test_numbers_of_ten_digits_and_texts_are_read(tmp_path, text, value):
    (tmp_path / "config.yaml").write_text(f"a: {text}\n")
    assert read_yaml(tmp_path / "config.yaml") == {"a": value}


def test_a_size_on_the_command_line_stays_a_text():
    axes = configured(["64"])["grid"]
    given = {"grid": {"cpu": axes["cpu"] | {"resolution": ["640x384", "64"], "batch_size": ["1"]}}}
    found = settings.complete(configured([64]), given)
    assert found["grid"]["cpu"]["resolution"] == ["640x384", 64]
    with pytest.raises(settings.SettingsError, match=r"resolution\.0 is '0x640'"):
        settings.complete(
            configured([64]), {"grid": {"cpu": axes["cpu"] | {"resolution": ["0x640"], "batch_size": [1]}}}
        )


@given(st.lists(ANY, min_size=1), ANY)
def test_no_size_is_nearer_than_the_nearest_and_a_size_that_is_there_is_taken(values, wanted):
    found = nearest([str(one) for one in values], wanted)
    assert found in values
    assert all(abs(side_of(found) - side_of(wanted)) <= abs(side_of(one) - side_of(wanted)) for one in values)
    assert found == wanted or wanted not in values


@pytest.mark.parametrize("resolution", [64, "48x96", "96x33"])
@pytest.mark.parametrize("source", ["digits", "random"])
def test_images_have_the_height_and_width_that_are_asked_for(tmp_path, source, resolution):
    made = data.prepare(data.open_source(source, 0), "reference", read(resolution), 3, tmp_path / "images.npy")
    assert made["resolution"] == resolution
    assert np.load(tmp_path / "images.npy").shape == (3, 3, *size_of(resolution))


def test_images_that_are_no_squares_are_others_for_each_size_and_those_of_squares_are_as_they_were():
    old = np.random.default_rng([5, 48, 2]).standard_normal((3, 48, 48), dtype=np.float32)
    assert np.array_equal(images(5, 48, 2, 1)[0], old)
    assert not np.array_equal(images(5, read("48x96"), 0, 1)[0].ravel(), images(5, read("96x48"), 0, 1)[0].ravel())
    square = Digits(0).images("reference", 64, 0, 2)
    assert np.array_equal(Digits(0).images("reference", read("64x32"), 0, 2), square[:, :, :, :32])


@pytest.mark.parametrize("photograph", [(375, 500), (500, 375), (100, 1000)])
@given(height=st.integers(32, 700), width=st.integers(32, 700))
def test_a_photograph_is_resized_to_what_an_input_is_cut_out_of(photograph, height, width):
    shorter = resized_side(photograph, (height, width))
    scale = shorter / min(photograph)
    assert all(side * scale >= wanted for side, wanted in zip(photograph, (height, width), strict=True))
    assert min(side * scale / wanted for side, wanted in zip(photograph, (height, width), strict=True)) < 1.2
    if height == width:
        assert shorter == round(height * 256 / 224)


def test_an_input_that_is_no_square_is_the_middle_of_the_photograph():
    import torch

    photograph = torch.zeros(1, 300, 600, 3, dtype=torch.uint8)
    photograph[:, 140:160, 280:320] = 255  # white in its middle
    target = torch.empty(1, 3, 96, 128)
    preprocess(photograph, target)
    where = target[0, 0] > 1
    rows, columns = where.any(1).nonzero(), where.any(0).nonzero()
    assert (rows[0] + rows[-1]).item() in range(93, 98)
    assert (columns[0] + columns[-1]).item() in range(125, 130)
    # Of the height 96 * 8 / 7 of 300 pixels; the white is 20 high and 40 wide there.
    assert abs(len(rows) - 20 * 110 / 300) < 2
    assert abs(len(columns) - 40 * 110 / 300) < 2
    assert photograph_size(read("448x112")) == photograph_size(224) == (375, 500)


def test_a_folder_of_photographs_gives_inputs_of_any_size(tmp_path):
    from PIL import Image

    for number in range(32):
        Image.new("RGB", (90, 60), (number, 0, 0)).save(tmp_path / f"{number}.png")
    assert Folder(tmp_path, 0).images("reference", read("48x32"), 0, 2).shape == (2, 3, 48, 32)


TIMES = {"64": 4.0, "64x256": 9.0, "96": 5.0, "256x64": 8.0}


def run_of(resolutions):
    """Return the table of a run with one row of each size, and its description."""
    return make_run([make_record(f"resnet18-pytorch-fp32-r{one}-b1", [TIMES[one]] * 50) for one in resolutions])


@pytest.mark.parametrize("resolutions", [["64x256"], ["256x64", "64x256"], ["64", "64x256", "96", "256x64"]])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_with_sizes_comes_back_from_its_file_in_their_order(tmp_path, resolutions, ending):
    table, _ = run_of(resolutions)
    path = tmp_path / f"results.{ending}"
    if ending == "csv":
        table.to_csv(path, index=False)
    else:
        sizes.writable(table).to_parquet(path, index=False)
    again = saved.read(path)
    assert again.resolution.tolist() == table.resolution.tolist()
    assert [str(one) for one, _ in again.groupby("resolution")] == [
        one for one in ("64", "96", "64x256", "256x64") if one in resolutions
    ]


def test_a_table_of_squares_has_numbers():
    assert run_of(["64", "96"])[0].resolution.dtype == np.int64


@pytest.mark.parametrize("bad", ["64x", "0x64", "100001x5", "-5", ""])
def test_a_saved_table_with_what_is_no_size_is_refused(tmp_path, bad):
    table, _ = run_of(["64x256"])
    table.assign(resolution=bad).to_csv(tmp_path / "results.csv", index=False)
    with pytest.raises(saved.SavedError, match=r"line 2: resolution is .* from 1 to 100,000, or two such"):
        saved.read(tmp_path / "results.csv")


def test_sentences_say_height_and_width_and_sizes_of_as_many_pixels_are_not_more_work():
    table, run = run_of(["64", "64x256", "256x64"])
    assert disorder(table) == {}
    run["config"]["report"]["resolution"] = "256x64"
    found = findings.compute(table, run["config"], 1.0)
    assert "at 256 x 64 pixels: **" in found["answers"][0]
    assert [line["resolution"] for line in found["by_resolution"]] == [64, "64x256", "256x64"]
    line = dict(found["topics"])["How resolution acts (batch size 1)"].rows[0]
    assert line[1].startswith("64 to ")
    assert line[3] == "1.1"


def test_a_plot_has_sizes_where_squares_of_as_many_pixels_would_be():
    table, _ = run_of(["64", "64x256", "96"])
    figure = lines.draw(table, "resolution", "fps", "title")
    axis = figure.axes[0].xaxis
    assert [text.get_text() for text in axis.get_ticklabels()] == ["64", "96", "64x256"]
    assert axis.get_ticklocs().tolist() == [64, 96, 128]
    assert tick_labels(table.resolution) == {64: "64", 96: "96", 128: "64x256"}
    assert tick_labels([read("64x256"), read("256x64")]) == {128: "64x256, 256x64"}


def test_cells_of_texts_are_those_of_sizes():
    axes = {"model": ["m"], "backend": ["a"], "precision": ["p"], "resolution": ["640x384", 64], "batch_size": [1]}
    assert [str(one) for one in cells(axes)] == ["m-a-p-r640x384-b1", "m-a-p-r64-b1"]
    assert isinstance(pd.Series([cells(axes)[0].resolution], dtype=object)[0], Rectangle)


def test_records_of_sizes_are_together_with_those_of_squares():
    table, _ = make_run(make_records())
    assert table.resolution.dtype == np.int64


@pytest.mark.parametrize("text", ["1:30", "010", "0b11"])
def test_a_number_on_the_command_line_that_yaml_reads_as_another_one_is_refused(text):
    with pytest.raises(settings.SettingsError, match=f"config key timing.max_seconds is '{text}'; it must be"):
        settings.complete({"timing": {"max_seconds": text}}, {"timing": {"max_seconds": text}})
