"""What the plots beside the lines show, compared with figures computed another way."""

import numpy as np
import pandas as pd
import pytest
from builders import ARITHMETIC, PEAKS, make_record, make_records, make_refusal, make_table
from drawing import draw, make_material, texts
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Rectangle

from speedgrid.report.plots import builds, heatmap, pareto, repeats, roofline

LAYERS = ARITHMETIC["resnet18"]["64"]["layers"]


def labelled_line(axes, label):
    """Return the points of the line with this label."""
    [line] = [one.lines[0] for one in axes.containers if one.get_label() == label]
    return line.get_xydata()


def dominated(one, other):
    """Return whether `other` is as quick and as productive as `one`, and better in one of the two."""
    return other[0] <= one[0] and other[1] >= one[1] and other != one


# Few different values, so that ties are frequent.
SPEED = st.tuples(st.integers(1, 6).map(float), st.integers(1, 6).map(float))


@given(st.lists(st.one_of(SPEED, st.just((np.nan, np.nan))), max_size=12))
def test_the_front_is_what_no_other_row_beats(speeds):
    rows = pd.DataFrame(speeds, columns=["latency_ms", "fps"], dtype=float)
    known = [speed for speed in speeds if speed[0] == speed[0]]
    expected = sorted(one for one in known if not any(dominated(one, other) for other in known))
    found = pareto.front(rows)
    assert sorted(zip(found.latency_ms, found.fps, strict=True)) == expected
    assert found.latency_ms.is_monotonic_increasing


def test_the_front_is_drawn_with_its_batch_sizes(tmp_path):
    figure = draw("fps_over_latency", make_material(tmp_path, make_records()))
    [axes] = figure.axes
    [step] = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    # Of r64: onnxruntime fp16 takes 1 ms for 1 image and 4 ms for 8; nothing else is as quick or as productive.
    assert step.get_xydata().tolist() == [[1.0, 1000.0], [4.0, 2000.0]]
    assert {(one.get_text(), *one.xy) for one in axes.texts} == {("1", 1.0, 1000.0), ("8", 4.0, 2000.0)}
    points = {tuple(line.get_xydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1}
    assert points == {(4.0, 250.0), (16.0, 500.0), (2.0, 500.0), (15.5, 8000 / 15.5), (1.0, 1000.0), (4.0, 2000.0)}


def test_the_intensity_counts_weights_once_and_activations_for_each_image():
    # 1 GFLOP over 4 x (2 M weights + 0.5 M activations) = 10 MB; with 8 images 8 GFLOP over 4 x (2 + 4) M = 24 MB.
    assert roofline.intensity(LAYERS, 1, 4) == pytest.approx(100)
    assert roofline.intensity(LAYERS, 8, 4) == pytest.approx(8e9 / 24e6)
    assert roofline.intensity(LAYERS * 2, 8, 2) == pytest.approx(8e9 / 12e6)


def test_the_roofline_has_a_point_per_cell_at_its_intensity_and_rate():
    wrong = make_record("resnet18-onnxruntime-fp32-r64-b8", [2.0] * 9, ran="fp16")
    table = make_table([make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 9), wrong])
    found = roofline.points(table, ARITHMETIC)
    assert list(found.intensity) == [pytest.approx(100), pytest.approx(8e9 / 12e6)]  # fp16 moves half of the bytes
    assert list(found.tflops) == [pytest.approx(0.25), pytest.approx(4.0)]


def test_the_points_and_ceilings_of_the_roofline_are_where_they_belong(tmp_path):
    material = make_material(tmp_path, make_records(), peaks=PEAKS | {"data_sheet_gb_s": 20.0})
    [axes] = draw("roofline", material).axes
    drawn = {
        tuple(np.round(point, 6)) for line in axes.lines for point in line.get_xydata() if len(line.get_xdata()) < 9
    }
    expected = {(100.0, 0.25), (333.333333, 0.5), (100.0, 0.5), (333.333333, round(8 / 15.5, 6))}
    assert drawn == expected | {(200.0, 1.0), (666.666667, 2.0)}
    ceilings = [line.get_xydata() for line in axes.lines if len(line.get_xdata()) > 9]
    # fp32 at 5 TFLOP/s by the data sheet and at 2 as measured; fp16 at 10 by the data sheet alone.
    assert [points[:, 1].max() for points in ceilings] == [5.0, 2.0, 10.0]
    for points, bandwidth in zip(ceilings, (20.0, 10.0, 20.0), strict=True):
        assert points[0, 1] == pytest.approx(points[0, 0] * bandwidth / 1000)
    assert {"fp32 5", "fp32 2", "fp16 10", "data sheet"} <= set(texts(axes.figure))


def test_a_roofline_without_a_bandwidth_is_flat_and_without_layers_there_is_none(tmp_path):
    np.testing.assert_array_equal(roofline.ceiling([1.0, 1e6], 2.0, None), [2.0, 2.0])
    bare = PEAKS | {"copy_gb_s": None, "gemm_tflops": {"fp32": None}, "data_sheet_tflops": {}}
    material = make_material(tmp_path, make_records(), peaks=bare)
    assert "matrix product,\nmeasured" not in texts(draw("roofline", material))
    for counted in material.arithmetic["resnet18"].values():
        counted["layers"] = []
    assert "no cell has both a speed and a count of its layers" in texts(draw("roofline", material))


def test_the_map_has_the_values_of_the_table_and_hatches_what_has_none(tmp_path):
    refused = make_refusal("resnet18-torch_tensorrt-fp32-r64-b8", "unsupported", "no")
    wrong = make_record("resnet18-torch_tensorrt-fp32-r64-b1", [1.0] * 9, ran="tf32")
    material = make_material(tmp_path, [*make_records(), wrong, refused])
    rows = material.at_resolution
    figure = draw("utilisation_map", material)
    axes = figure.axes[0]
    shown = axes.images[0].get_array()
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == ["PyTorch fp32", "ONNX Runtime fp32", "ONNX Runtime fp16", "Torch-TensorRT fp32"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "8"]
    values = rows.pivot_table(index=["backend", "precision"], columns="batch_size", values="utilisation_percent")
    assert shown[0, 1] == values.loc[("pytorch", "fp32"), 8] == pytest.approx(100 * 0.5 / 2)
    assert shown[3, 0] == values.loc[("torch_tensorrt", "fp32"), 1] == pytest.approx(100 * 1.0 / 4)
    hatched = {(one.get_x() + 0.5, one.get_y() + 0.5) for one in axes.patches if isinstance(one, Rectangle)}
    assert hatched == {(0, 2), (1, 2), (1, 3)}  # nobody knows a peak in fp16; the engine was refused
    assert {"25*", "12"} <= set(texts(figure))
    assert any("hatched" in text and "* ran" in text for text in texts(figure))


def test_the_grid_of_the_map_keeps_a_gap_where_a_cell_is_not_in_the_table():
    table = make_table([make_record("resnet18-pytorch-fp32-r64-b1"), make_record("resnet18-openvino-fp32-r64-b8")])
    values = heatmap.grid_of(table, "latency_ms")
    np.testing.assert_array_equal(values, [[1.0, np.nan], [np.nan, 1.0]])


def built(name, ms, seconds, **changes):
    return make_record(name, [ms] * 9, build={"build_seconds": seconds}, **changes)


def test_a_build_pays_after_its_seconds_over_what_an_image_saves():
    records = [
        make_record("resnet18-pytorch-fp32-r64-b8", [20.0] * 9),
        make_record("resnet18-onnxruntime-fp32-r64-b8", [16.0] * 9),
        built("resnet18-torch_tensorrt-fp32-r64-b8", 8.0, 5.0),  # saves 1 ms an image over the quicker one
        make_record("resnet18-pytorch-fp32-r64-b1", [1.0] * 9),
        built("resnet18-torch_tensorrt-fp32-r64-b1", 1.5, 5.0),  # never pays
        built("resnet18-torch_tensorrt-fp16-r64-b8", 1.0, 5.0),  # nothing to compare with
        built("resnet18-torch_tensorrt-tf32-r64-b8", 12.0, 5.0, ran="fp32"),
    ]
    images = builds.payback(make_table(records))
    np.testing.assert_allclose(images, [np.nan, np.nan, 5000.0, np.nan, np.inf, np.nan, 10000.0])


def test_build_seconds_are_bars_and_their_images_points(tmp_path):
    cells = [make_record(f"resnet18-pytorch-fp32-r{size}-b8", [16.0] * 9) for size in (64, 128)]
    engines = [
        built(f"resnet18-torch_tensorrt-fp32-r{size}-b8", 8.0, seconds) for size, seconds in ((64, 5.0), (128, 7.0))
    ]
    figure = draw("build_time", make_material(tmp_path, cells + engines))
    assert [[bar.get_height() for bar in axes.patches] for axes in figure.axes[:2]] == [[5.0], [7.0]]
    images = [[y for line in axes.lines for y in line.get_ydata()] for axes in figure.axes[2:]]
    assert images == [[5000.0], [7000.0]]
    assert [axes.get_title() for axes in figure.axes[:2]] == ["64 x 64 pixels", "128 x 128 pixels"]


def test_a_build_that_never_pays_is_said_in_words(tmp_path):
    records = [
        make_record("resnet18-pytorch-fp32-r64-b8", [8.0] * 9),
        built("resnet18-torch_tensorrt-fp32-r64-b8", 9.0, 5.0),
    ]
    assert "no build is known to pay" in texts(draw("build_time", make_material(tmp_path, records)))


def test_few_resolutions_are_those_nearest_to_the_reports():
    assert builds.nearest_few([32, 64, 96, 128, 256, 64], 96) == [32, 64, 96, 128]


CONTROL = "resnet18-pytorch-fp32-r64-b8"
TURNS = {"sentinel1": 10.0, "round1": 10.1, "sentinel2": 9.9, "twin1": 10.2, "sentinel3": 10.0}


def control_records():
    return [
        make_record(CONTROL, [ms] * 9, turn=turn, measured_at=f"2026-01-02T03:{minute:02}:00+00:00")
        for minute, (turn, ms) in enumerate(TURNS.items())
    ]


def test_the_drift_plot_has_every_timing_of_the_control_cell(tmp_path):
    other = make_record("resnet18-onnxruntime-fp32-r64-b8", [1.0] * 9, measured_at="2026-01-02T02:58:00+00:00")
    [axes] = draw("drift", make_material(tmp_path, [*control_records(), other])).axes
    sentinels = labelled_line(axes, "start, middle and\nend of a round")
    np.testing.assert_allclose(sentinels, [[2, 0], [4, -1], [6, 0]], atol=1e-9)  # the run began with the other cell
    np.testing.assert_allclose(labelled_line(axes, "the same cell\nunder another name"), [[5, 2]])
    np.testing.assert_allclose(labelled_line(axes, "in its place\nin the grid"), [[3, 1]])
    [band] = [one for one in axes.patches if isinstance(one, Rectangle)]
    floor = 100 * (10.2 / 10.1 - 1)  # of the twin over the round, or the other way round
    assert -band.get_y() == pytest.approx(floor, rel=0.02)
    assert "PyTorch fp32, 64 x 64 pixels, batch size 8" in axes.get_title(loc="left")


def test_a_control_that_has_no_speed_is_left_out():
    records = control_records()
    records[2] = make_refusal(CONTROL, "out_of_memory", "too large", turn="sentinel2")
    from speedgrid.table import rounds

    table = rounds.tabulate(records)
    assert set(repeats.controls(table, CONTROL).turn) == set(TURNS) - {"sentinel2"}
    assert repeats.controls(table, None).empty


def test_the_spread_plot_sorts_the_cells_of_each_backend(tmp_path):
    pairs = {
        "resnet18-pytorch-fp32-r64-b1": (1.0, 1.5),
        "resnet18-pytorch-fp32-r64-b8": (1.0, 1.1),
        "resnet18-openvino-fp32-r64-b8": (2.0, 2.1),
    }
    records = [
        make_record(name, [ms] * 9, turn=f"round{number}")
        for name, times in pairs.items()
        for number, ms in enumerate(times, start=1)
    ]
    figure = draw("round_spread", make_material(tmp_path, records))
    points = [line.get_xydata() for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    np.testing.assert_allclose(points[0], [[25, 10], [75, 50]])
    np.testing.assert_allclose(points[1], [[50, 5]])
    assert {"PyTorch:\nmedian 30.0 %", "OpenVINO:\nmedian 5.0 %"} <= set(texts(figure))


def test_energy_is_drawn_at_the_nearest_resolution_that_has_it(tmp_path):
    material = make_material(tmp_path, make_records())
    material.table.loc[material.table.resolution == 128, "energy_mj_per_image"] = 7.5
    figure = draw("energy_over_batch_size", material)
    assert "128 x 128 pixels" in figure.axes[0].get_title(loc="left")
    assert {float(y) for one in figure.axes[0].containers for y in one.lines[0].get_ydata()} == {7.5}
