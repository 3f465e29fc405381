"""The plots of the report."""

from xml.etree import ElementTree

import numpy as np
import pytest
from builders import REFERENCE, make_record, make_records, make_refusal, make_table

from speedgrid import plots
from speedgrid.precision import PRECISIONS


def texts(figure):
    """Return every text in a figure."""
    return [one.get_text() for one in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


TABLES = {
    "normal": make_records(),
    "nothing measured": [make_refusal(f"pytorch-fp32-r64-b{size}", "unavailable", "no GPU") for size in (1, 8)],
}


@pytest.mark.parametrize("records", TABLES.values(), ids=TABLES)
def test_every_plot_is_written_as_svg_and_png(tmp_path, records):
    plots.draw_all(make_table(records), REFERENCE, 64, 8, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{kind}" for name in plots.TITLES for kind in ("svg", "png")
    }
    for name in plots.TITLES:
        assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_has_a_line_per_backend_and_precision_with_the_values_of_the_table():
    from matplotlib import pyplot

    results = make_table(make_records())
    figure = plots.draw(results[results.resolution == 64], "batch_size", "fps", "title")
    lines = [container.lines[0] for container in figure.axes[0].containers]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in lines] == [
        ([1, 8], [250.0, 500.0]),
        ([1, 8], [500.0, pytest.approx(8000 / 15.5)]),
        ([1, 8], [1000.0, 2000.0]),
    ]
    assert [(line.get_color(), line.get_linestyle()) for line in lines] == [
        (plots.COLOURS["pytorch"], "-"),
        (plots.COLOURS["onnxruntime"], "-"),
        (plots.COLOURS["onnxruntime"], ":"),
    ]
    assert {"title", "images/s", "PyTorch", "ONNX Runtime", "fp32", "fp16"} <= set(texts(figure))
    pyplot.close(figure)


def test_a_line_breaks_at_a_cell_without_a_speed():
    from matplotlib import pyplot

    names = [f"pytorch-fp32-r64-b{size}" for size in (1, 4, 8)]
    records = [make_record(name, [2.0] * 5) for name in (names[0], names[2])]
    records.insert(1, make_refusal(names[1], "wrong_result", "noise"))
    figure = plots.draw(make_table(records), "batch_size", "fps", "title")
    [line] = [container.lines[0] for container in figure.axes[0].containers]
    np.testing.assert_equal(np.array(line.get_ydata(), float), [500.0, np.nan, 4000.0])
    pyplot.close(figure)


def test_an_empty_plot_says_that_nothing_was_measured():
    from matplotlib import pyplot

    figure = plots.draw(make_table(TABLES["nothing measured"]), "batch_size", "fps", "title")
    assert "nothing was measured here" in texts(figure)
    pyplot.close(figure)


def test_a_row_that_ran_another_precision_is_hollow_and_explained():
    from matplotlib import pyplot

    wrong = make_record("pytorch-fp32-r64-b1", status="wrong_precision", observed_precision="tf32")
    figure = plots.draw(make_table([wrong, make_record("pytorch-fp32-r64-b8")]), "batch_size", "fps", "title")
    [hollow] = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert list(hollow.get_xdata()) == [1]  # the other row of the same line is not
    assert any("hollow" in text for text in texts(figure))
    pyplot.close(figure)


def test_intervals_of_rates_turn_round():
    results = make_table([make_record("pytorch-fp32-r64-b8", [16.0] * 50)])
    results[["latency_ms_low", "latency_ms_high"]] = [10.0, 20.0]
    np.testing.assert_allclose(plots.interval(results, "latency_ms"), [[6.0], [4.0]])
    np.testing.assert_allclose(plots.interval(results, "fps"), [[100.0], [300.0]])  # 500 within 400 to 800
    assert plots.interval(results, "memory_mb") is None


def test_every_precision_has_a_style_of_its_own():
    styles = [tuple(plots.STYLES[precision].values()) for precision in PRECISIONS]
    assert len(set(styles)) == len(PRECISIONS)
    assert len(set(plots.COLOURS.values())) == len(plots.COLOURS)
