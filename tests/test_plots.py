"""The plots of the report."""

from pathlib import Path
from xml.etree import ElementTree

import matplotlib.colors
import numpy as np
import pytest
from builders import make_record, make_records, make_refusal, make_request, make_table, make_two_models
from drawing import draw, make_material, texts

from speedgrid.precision import PRECISIONS
from speedgrid.report import plots
from speedgrid.report.plots.lines import bars_of
from speedgrid.report.plots.lines import draw as draw_line
from speedgrid.report.plots.material import Material
from speedgrid.text import language

NOTHING = [make_refusal(f"resnet18-pytorch-fp32-r64-b{size}", "unavailable", "no GPU") for size in (1, 8)]
RUNS = {
    "normal": make_records(),
    "one cell": [make_record("resnet18-pytorch-fp32-r64-b1", [2.0] * 5)],
    "nothing measured": NOTHING,
}
STREAMS = {"stream_misses", "stream_latency", "stream_timeline"}
# What each plot says where there is nothing to draw.
WORDS = {
    **dict.fromkeys(plots.PLOTS, "nothing was measured here"),
    "roofline": "no cell has both a speed and a count of its layers",
    "build_time": "no engine was built",
    "end_to_end": "no request was measured end to end here",
    "drift": "the control cell was not measured",
    "round_spread": "no cell was measured in two rounds",
    **dict.fromkeys(STREAMS, "no streams were served under load"),
}


@pytest.fixture
def spoken(monkeypatch):
    """Return the list of every text that is looked up in the catalogue."""
    heard = []
    spy = type("Spy", (), {"gettext": lambda _, text: heard.append(text) or text})()
    monkeypatch.setattr(language, "translations", lambda code: spy)
    return heard


@pytest.mark.parametrize("records", RUNS.values(), ids=RUNS)
def test_every_plot_is_written_as_svg_and_png(tmp_path, records, spoken):
    folder = tmp_path / "plots"
    folder.mkdir()
    material = make_material(tmp_path, records)
    material.run["config"]["timing"] |= {"energy_resolutions": [64], "end_to_end": True}
    material.run["config"]["serving"]["for"] = "recommended"
    plots.draw_all(material, folder)
    assert {path.name for path in folder.iterdir()} == {
        f"resnet18-{name}.{kind}" for name in plots.PLOTS for kind in ("svg", "png")
    }
    for name in plots.PLOTS:
        assert ElementTree.parse(folder / f"resnet18-{name}.svg").getroot().tag.endswith("svg")
        assert (folder / f"resnet18-{name}.png").read_bytes().startswith(b"\x89PNG")
    assert {plot.title for plot in plots.PLOTS.values()} <= set(spoken)


@pytest.mark.parametrize(
    ("key", "value", "more"),
    [
        ("rounds", 1, set()),
        ("rounds", 2, {"round_spread"}),
        ("energy_resolutions", [64], {"energy_over_batch_size"}),
        ("end_to_end", True, {"end_to_end"}),
    ],
)
def test_a_plot_that_a_run_was_asked_nothing_for_is_not_drawn(key, value, more):
    timing = {"rounds": 1, "energy_resolutions": [], "end_to_end": False, key: value}
    always = set(plots.PLOTS) - {"round_spread", "energy_over_batch_size", "end_to_end"} - STREAMS
    assert set(plots.asked({"timing": timing})) == always | more
    assert set(plots.asked({"timing": timing, "serving": {"for": "recommended"}})) == always | more | STREAMS
    assert set(plots.asked({"timing": timing, "serving": {"for": None}})) == always | more


def test_the_same_run_gives_the_same_bytes(tmp_path):
    material = make_material(tmp_path, make_records())
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
        plots.draw_all(material, folder)
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", plots.PLOTS)
def test_a_plot_with_nothing_to_draw_says_so(tmp_path, name):
    figure = draw(name, make_material(tmp_path, NOTHING))
    assert WORDS[name] in texts(figure)
    assert any(plots.PLOTS[name].title in text for text in texts(figure))


@pytest.mark.parametrize("name", plots.PLOTS)
def test_every_plot_of_the_example_can_be_drawn_again_from_its_folder(name):
    folder = Path(__file__).parent.parent / "examples" / "nvidia-h200"
    files = [folder / file for file in ("results.csv", "rounds.csv", "run.json", "flops.json")]
    material = Material.read(*files)
    if name not in plots.asked(material.run["config"]):
        pytest.skip("the example's run was not asked to measure this")
    figure = draw(name, material)
    assert WORDS[name] not in texts(figure)
    assert any(axes.has_data() for axes in figure.axes)


def test_every_plot_has_a_caption_that_names_the_model_unless_it_shows_the_run():
    captions = Path(__file__).parent.parent / "templates" / "captions"
    assert set(plots.PLOTS) <= {path.stem for path in captions.glob("*.rst")}
    named = {name for name in plots.PLOTS if "snakemake.wildcards.model" in (captions / f"{name}.rst").read_text()}
    assert named == {name for name, plot in plots.PLOTS.items() if not plot.of_run}


def test_every_file_of_the_package_is_an_input_of_its_rule():
    root = Path(__file__).parent.parent
    rule = (root / "rules" / "report.smk").read_text().split("rule render_report")[0]
    assert 'code("draw_plots", "report/plots")' in rule


def test_a_plot_has_a_line_per_backend_and_precision_with_the_values_of_the_table():
    from matplotlib import pyplot

    results = make_table(make_records())
    figure = draw_line(results[results.resolution == 64], "batch_size", "fps", "title")
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
    assert {"title", "images/s, one call at a time", "PyTorch", "ONNX Runtime", "fp32", "fp16"} <= set(texts(figure))
    pyplot.close(figure)


def test_a_line_breaks_at_a_cell_without_a_speed():
    from matplotlib import pyplot

    names = [f"resnet18-pytorch-fp32-r64-b{size}" for size in (1, 4, 8)]
    records = [make_record(name, [2.0] * 5) for name in (names[0], names[2])]
    records.insert(1, make_refusal(names[1], "wrong_result", "noise"))
    figure = draw_line(make_table(records), "batch_size", "fps", "title")
    [line] = [container.lines[0] for container in figure.axes[0].containers]
    np.testing.assert_equal(np.array(line.get_ydata(), float), [500.0, np.nan, 4000.0])
    pyplot.close(figure)


def test_an_empty_plot_says_that_nothing_was_measured():
    from matplotlib import pyplot

    figure = draw_line(make_table(NOTHING), "batch_size", "fps", "title")
    assert "nothing was measured here" in texts(figure)
    pyplot.close(figure)


def test_a_row_that_ran_another_precision_is_hollow_and_explained():
    from matplotlib import pyplot

    wrong = make_record("resnet18-pytorch-fp32-r64-b1", ran="tf32")
    figure = draw_line(make_table([wrong, make_record("resnet18-pytorch-fp32-r64-b8")]), "batch_size", "fps", "title")
    [hollow] = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert list(hollow.get_xdata()) == [1]  # the other row of the same line is not
    assert any("hollow" in text for text in texts(figure))
    pyplot.close(figure)


def test_intervals_of_rates_turn_round():
    results = make_table([make_record("resnet18-pytorch-fp32-r64-b8", [16.0] * 50)])
    results[["latency_ms_low", "latency_ms_high"]] = [10.0, 20.0]
    np.testing.assert_allclose(bars_of(results, "latency_ms"), [[6.0], [4.0]])
    np.testing.assert_allclose(bars_of(results, "fps"), [[100.0], [300.0]])  # 500 within 400 to 800
    assert bars_of(results, "memory_mb") is None


def test_every_precision_has_a_style_of_its_own():
    styles = [tuple(plots.STYLES[precision].values()) for precision in PRECISIONS]
    assert len(set(styles)) == len(PRECISIONS)
    assert len(set(plots.COLOURS.values())) == len(plots.COLOURS)


def test_a_request_is_a_bar_of_its_steps_with_a_line_where_the_whole_ends(tmp_path):
    steps = {"preprocess_cpu": 5.0, "copy_in_pinned": 1.0, "call": 16.0, "copy_out_pinned": 0.5, "end_to_end_cpu": 22.0}
    other = {"copy_in_uint8": 0.25, "preprocess_gpu": 2.0, "end_to_end_gpu": 40.0}  # does not add up: not drawn
    record = make_record("resnet18-pytorch-fp32-r64-b8", [16.0] * 50, probes={"request": make_request(steps | other)})
    [axes] = draw("end_to_end", make_material(tmp_path, [record])).axes
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars == [(0.0, 5.0), (5.0, 1.0), (6.0, 16.0), (22.0, 0.5)]
    assert matplotlib.colors.same_color(axes.patches[2].get_facecolor(), plots.COLOURS["pytorch"])
    [line] = axes.lines
    assert list(line.get_xdata()) == [22.0, 22.0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["PyTorch fp32, CPU"]


def test_each_of_several_models_has_its_own_plots_which_name_it(tmp_path):
    material = make_material(tmp_path, make_two_models())
    for model in ("resnet18", "resnet50"):
        plots.draw_all(material.of(model), tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == {
        f"{model}-{name}" for model in ("resnet18", "resnet50") for name in plots.asked(material.run["config"])
    }
    drawn = {model: (tmp_path / f"{model}-fps_over_batch_size.svg").read_text() for model in ("resnet18", "resnet50")}
    assert all(f"{model}: Throughput over batch size (64 x 64 pixels)" in text for model, text in drawn.items())
    [line, *_] = [
        container.lines[0] for container in draw("fps_over_batch_size", material.of("resnet50")).axes[0].containers
    ]
    assert list(line.get_ydata()) == [pytest.approx(250 / 3), pytest.approx(500 / 3)]
