"""The HTML pages and Snakemake's own report, in a real browser that has no network."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from builders import LATENCIES, make_record, make_refusal, make_run, make_two_models, scattered, write_run
from streams import recorded
from workflow import PLOTS, SMOKE

from speedgrid.evidence.intervals import ratio_interval
from speedgrid.precision import PRECISIONS
from speedgrid.report import explorer, marks, results_page
from speedgrid.table.columns import BY_NAME
from speedgrid.text.language import speaking
from speedgrid.text.status import OUTCOMES

pytest_plugins = ["workflow"]

TEMPLATES = Path(__file__).parent.parent / "templates"
WITHHELD = "resnet18-onnxruntime-fp32-r64-b8"
RELABELLED = "resnet18-onnxruntime-fp32-r64-b1"
REASON = "an answer <b>far</b> from float64"
# What Snakemake's report holds at least: category -> entries.
ENTRIES = {
    "Answer": {"Explorer of all cells", "Report (Markdown)"},
    "Plots": set(PLOTS.values()),
    "Tables": {"All cells, every column (CSV)", "All cells, to sort and filter"},
    "The run": {"Audit of the table (JSON)", "Machine, versions, settings, commands (JSON)"},
}


def a_run(folder):
    """Return (table, run) of 14 cells: 12 have a speed, one ran another precision, one is wrong, one has no device."""
    records = {
        name: make_record(name, scattered(ms, seed)) for seed, (name, ms) in enumerate(LATENCIES.items(), start=1)
    }
    records[WITHHELD] = make_refusal(WITHHELD, "failed", REASON)
    records[RELABELLED] = make_record(RELABELLED, records[RELABELLED].host_ms, ran="bf16", dtype="float32")
    records["resnet18-openvino-fp32-r64-b1"] = make_refusal("resnet18-openvino-fp32-r64-b1", "unavailable", "not here")
    records["resnet18-pytorch-fp32-r64-b64"] = make_record("resnet18-pytorch-fp32-r64-b64", scattered(2550.0, 0))
    return write_run(folder, list(records.values()))


@pytest.fixture(scope="module")
def browser():
    """Return Chromium, which CI must have and a user need not."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        say = pytest.fail if os.environ.get("SPEEDGRID_CHROMIUM_REQUIRED") else pytest.skip
        say("this machine has neither chromium nor google-chrome")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Root, as in a container, has no sandbox.
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] * (os.geteuid() == 0))
        yield running
        running.close()


WINDOW = {"width": 1400, "height": 1000}


@pytest.fixture(scope="module")
def window(browser):
    """Return (page, what was asked, errors): one for all tests, as another one compiles the page's JavaScript anew."""
    context = browser.new_context(offline=True, viewport=WINDOW)
    context.set_default_timeout(60_000)
    asked, errors = [], []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page, asked, errors
    context.close()


@pytest.fixture
def visit(window):
    """Return a function that opens a file; afterwards nothing must have been asked of a network or gone wrong."""
    page, asked, errors = window
    page.set_viewport_size(WINDOW)
    page.emulate_media(color_scheme="light")

    def opened(path):
        page.goto("about:blank")  # what is opened next has nothing of a page that is open
        page.goto(path.as_uri())
        return page

    asked.clear()
    errors.clear()
    yield opened
    page.goto("about:blank")
    assert [url[:80] for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
    assert asked
    assert errors == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return (folder with both pages, table) of a run."""
    folder = tmp_path_factory.mktemp("pages")
    table, run = a_run(folder)
    (folder / "explorer.html").write_text(explorer.page(table, run, TEMPLATES / "explorer.html.j2"))
    (folder / "results.html").write_text(results_page.page(table, run, TEMPLATES / "results.html.j2"))
    return folder, table


def points(page):
    return page.locator("#chart path[aria-roledescription=point]")


def fields(page):
    return page.locator("#chart .mark-rect path")


def choose(page, name, label):
    """Choose an entry of one of the explorer's lists, and wait until Vega has drawn it."""
    page.locator(f"select[name={name}]").select_option(label=label)
    page.wait_for_timeout(150)


def explore(visit, pages):
    """Open the explorer with every resolution shown."""
    page = visit(pages[0] / "explorer.html")
    points(page).first.wait_for()
    choose(page, "only_resolution", "all")
    return page


def pointed_at(page, mark):
    """Return what the page says about a mark, name by name."""
    mark.hover()
    shown = page.locator("#vg-tooltip-element.visible")
    shown.wait_for()
    rows = [row.locator("td").all_inner_texts() for row in shown.locator("tr").all()]
    return {name.strip(): text.strip() for name, text in rows}


def test_the_explorer_draws_a_point_for_each_row_with_a_speed_and_a_field_for_each_cell(visit, pages):
    page = explore(visit, pages)
    table = pages[1]
    assert table.latency_ms.notna().sum() == 12
    assert points(page).count() == 12
    assert fields(page).count() == len(table) == 14


def test_the_explorer_begins_at_the_reports_resolution(visit, pages):
    page = visit(pages[0] / "explorer.html")
    points(page).first.wait_for()
    assert page.locator("select[name=only_resolution] option:checked").inner_text() == "64"
    assert points(page).count() == (pages[1].query("resolution == 64").latency_ms.notna()).sum() == 6


FILTERS = [
    ("only_backend", "ONNX Runtime", "backend == 'onnxruntime'"),
    ("only_precision", "fp16", "precision == 'fp16'"),
    ("only_batch_size", "8", "batch_size == 8"),
    ("only_status", "wrong_precision", "status == 'wrong_precision'"),
    ("only_status", "unavailable", "status == 'unavailable'"),
]


def test_a_filter_leaves_its_rows_in_both_views(visit, pages):
    page = explore(visit, pages)
    for name, label, wanted in FILTERS:
        rows = pages[1].query(wanted)
        choose(page, name, label)
        assert points(page).count() == rows.latency_ms.notna().sum() < 12
        assert fields(page).count() == len(rows)
        choose(page, name, "all")
    assert points(page).count() == 12


def test_over_resolution_the_batch_size_is_held_and_back_again(visit, pages):
    page = explore(visit, pages)
    choose(page, "over", "resolution, pixels")
    chosen = {name: page.locator(f"select[name=only_{name}] option:checked") for name in ("resolution", "batch_size")}
    assert {name: option.inner_text() for name, option in chosen.items()} == {"resolution": "all", "batch_size": "8"}
    assert points(page).count() == pages[1].query("batch_size == 8").latency_ms.notna().sum() == 5
    choose(page, "over", "batch size")
    assert {name: option.inner_text() for name, option in chosen.items()} == {"resolution": "64", "batch_size": "all"}


def test_pointing_at_a_mark_tells_its_figures_and_their_intervals(visit, pages):
    page = explore(visit, pages)
    choose(page, "only_backend", "PyTorch")
    choose(page, "only_batch_size", "64")
    row = pages[1].query("batch_size == 64").iloc[0]
    told = pointed_at(page, points(page).first)
    assert told["setting"] == "PyTorch fp32"
    middle, least, most = (
        f"{float(f'{one:.3g}'):,.0f}" for one in (row.latency_ms, row.latency_ms_low, row.latency_ms_high)
    )
    assert told["latency of one call, ms"] == f"{middle} ({least} to {most})"
    low, high = 64_000 / row.latency_ms_high, 64_000 / row.latency_ms_low
    assert low < high
    assert told["images/s, one call at a time"] == f"{row.fps:.1f} ({low:.1f} to {high:.1f})"
    assert (told["status"], told["reason"]) == (row.status, row.reason)


def test_what_is_shown_is_where_its_figure_says(visit, pages):
    page = explore(visit, pages)
    choose(page, "only_backend", "PyTorch")
    choose(page, "only_batch_size", "1")
    for figure, higher in (("latency of one call, ms", 128), ("images/s, one call at a time", 64)):
        choose(page, "figure", figure)
        assert figure in page.locator("#chart").inner_text()
        heights = {pointed_at(page, point)["resolution"]: point.bounding_box()["y"] for point in points(page).all()}
        assert min(heights, key=heights.get) == str(higher)  # the page's y axis points down


def test_a_row_without_a_speed_is_in_the_map_with_its_reason_and_in_no_chart(visit, pages):
    page = explore(visit, pages)
    choose(page, "only_status", "failed")
    assert points(page).count() == 0
    assert page.locator("#chart path[aria-roledescription='rule mark']").count() == 0
    told = pointed_at(page, fields(page).first)
    assert told["setting"] == "ONNX Runtime fp32"
    assert (told["status"], told["reason"]) == ("failed", REASON)
    assert "15.5" not in told.values()


def test_a_row_that_ran_another_precision_is_hollow(visit, pages):
    page = explore(visit, pages)
    choose(page, "only_backend", "ONNX Runtime")
    choose(page, "only_precision", "fp32")
    filled = {
        pointed_at(page, point)["precision that ran"]: point.get_attribute("fill-opacity")
        for point in points(page).all()
    }
    assert filled["bf16"] == "0"
    assert float(filled["fp32"]) > 0.5


def test_a_page_on_which_nothing_was_measured_opens_and_has_every_cell(visit, tmp_path):
    names = [f"resnet18-pytorch-fp32-r64-b{size}" for size in (1, 8)]
    table, run = write_run(tmp_path, [make_refusal(name, "unavailable", "no GPU") for name in names])
    path = tmp_path / "explorer.html"
    path.write_text(explorer.page(table, run, TEMPLATES / "explorer.html.j2"))
    page = visit(path)
    fields(page).first.wait_for()
    assert (points(page).count(), fields(page).count()) == (0, 2)
    assert "0 of 2 cells have a speed" in page.locator("body").inner_text()


def test_the_answer_stands_on_top_and_leads_to_its_cells(visit, pages):
    for name in ("explorer.html", "results.html"):
        page = visit(pages[0] / name)
        links = page.locator("#answer a")
        assert links.all_inner_texts() == [
            "ONNX Runtime fp16, batch size 8: 2,000 images/s",
            "ONNX Runtime fp16, batch size 1: 1.00 ms",
        ]
        assert links.first.get_attribute("href").endswith("#cell=resnet18-onnxruntime-fp16-r64-b8")


def beside(page):
    """Return the table of two cells beside each other, by the names of its lines."""
    rows = [row.locator("th, td").all_inner_texts() for row in page.locator("#beside tr").all()]
    return {name: texts for name, *texts in rows}


def test_a_link_to_two_cells_sets_them_beside_each_other_with_their_ratio(visit, pages):
    page = explore(visit, pages)
    one, other = "resnet18-pytorch-fp32-r128-b8", "resnet18-onnxruntime-fp16-r128-b8"
    page.evaluate(f"location.hash = 'cell={one}&with={other}'")
    page.locator("#beside tr").first.wait_for()
    assert page.locator("select[name=only_resolution] option:checked").inner_text() == "128"
    a, b = (pages[1][marks.names_of(pages[1]) == name].iloc[0] for name in (one, other))
    lines = beside(page)
    assert lines["setting"] == ["PyTorch fp32", "ONNX Runtime fp16", ""]
    ends = [(row.latency_ms, row.latency_ms_low, row.latency_ms_high) for row in (b, a)]
    told = re.findall(r"[\d.]+", lines["latency of one call, ms"][2])
    assert [float(text) for text in told] == pytest.approx(ratio_interval(*ends), rel=0.01)
    differing = page.locator("#beside tr.differs td:first-child").all_inner_texts()
    assert "setting" in differing
    assert "resolution" not in differing


def test_a_click_on_two_marks_sets_them_beside_each_other_and_into_the_address(visit, pages):
    page = explore(visit, pages)
    choose(page, "only_backend", "ONNX Runtime")
    choose(page, "only_resolution", "64")
    for index in (0, 2):
        points(page).nth(index).click()
        page.wait_for_timeout(150)
    chosen = [page.locator(f"#side-{side}").input_value() for side in "AB"]
    assert len(set(chosen)) == 2
    assert page.evaluate("location.hash") == f"#cell={chosen[0]}&with={chosen[1]}"
    assert beside(page)["setting"][:2] != ["", ""]


def front_of(page):
    """Return how the Pareto front is drawn; None where there is none."""
    drawn = page.locator("#chart g.mark-line path[stroke='#222222']")
    return drawn.first.get_attribute("d") if drawn.count() else None


def test_over_the_latency_a_front_is_drawn_that_follows_the_filters(visit, pages):
    page = explore(visit, pages)
    assert not front_of(page)
    choose(page, "over", "latency of one call, ms")
    choose(page, "only_batch_size", "all")
    whole = front_of(page)
    assert whole
    choose(page, "only_precision", "fp32")
    assert front_of(page)
    assert front_of(page) != whole


def test_demands_are_lines_and_what_misses_them_is_faint(visit, tmp_path):
    table, run = a_run(tmp_path)
    run["config"]["budget"]["latency_ms"] = 3.0
    for make, name in ((explorer.page, "explorer.html"), (results_page.page, "results.html")):
        (tmp_path / name).write_text(make(table, run, TEMPLATES / f"{name}.j2"))
    page = visit(tmp_path / "explorer.html")
    points(page).first.wait_for()
    lines = page.locator("#chart g.mark-rule line[stroke='#B2182B']")
    assert lines.count() == 0
    choose(page, "figure", "latency of one call, ms")
    assert lines.count() == 1
    faint = page.locator("#chart path[aria-roledescription=point][opacity='0.3']").count()
    met = table.query("resolution == 64 and latency_ms_high <= 3")
    assert faint == table.query("resolution == 64").latency_ms.notna().sum() - len(met) > 0
    page = visit(tmp_path / "results.html")
    assert page.locator("tr.recommended").count() == 1
    assert "latency of one call" in page.locator("#answer").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 3840])
def test_pages_fill_the_window_and_follow_the_readers_colours(window, visit, pages, width, scheme):
    window[0].emulate_media(color_scheme=scheme)
    window[0].set_viewport_size({"width": width, "height": 1000})
    for name in ("explorer.html", "results.html"):
        page = visit(pages[0] / name)
        page.locator("#chart svg, tbody tr").first.wait_for()
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(24, 26, 27)"}[scheme]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        filled = page.locator("#chart svg, .table").first.bounding_box()["width"]
        assert filled > 0.85 * width
        if name == "explorer.html":
            dot = page.evaluate("document.querySelector('path[aria-roledescription=point]').getBBox().width")
            assert dot < 11 if width == 1280 else dot > 12


def test_each_column_is_explained_where_it_stands(visit, pages):
    page = visit(pages[0] / "results.html")
    for name in ("latency_ms", "snr_db"):
        page.locator("th", has=header(page, name)).hover()
        told = page.locator("#about").inner_text()
        assert told.endswith(BY_NAME[name].about.replace("`", ""))
    page = explore(visit, pages)
    choose(page, "figure", "latency of one call, ms")
    assert BY_NAME["latency_ms"].about.replace("`", "") in page.locator("#about").inner_text()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Return the folder with both pages of a run in which batch sizes 1 and 4 of a setting served four cameras."""
    folder = tmp_path_factory.mktemp("served")
    names = {f"resnet18-onnxruntime-fp32-r64-b{size}": ms for size, ms in ((1, 10.0), (4, 16.0), (8, 30.0))}
    records = [make_record(name, scattered(ms, seed)) for seed, (name, ms) in enumerate(names.items())]
    of_machine = {"environment": records[0].environment, "fingerprint": records[0].fingerprint}
    asked = {"device": "cpu", "serving": {"for": "recommended", "fps": 25}, "minimum_streams": 3}
    table, run = make_run(records, config=asked, served=[replace(recorded(), **of_machine)])
    for make, name in ((explorer.page, "explorer.html"), (results_page.page, "results.html")):
        (folder / name).write_text(make(table, run, TEMPLATES / f"{name}.j2"))
    return folder


def test_cameras_are_in_the_table_of_cells_with_all_their_digits_and_are_explained(visit, served):
    page = visit(served / "results.html")
    assert column(page, "streams") == ["4", "4", ""]
    assert column(page, "streams_synchronised") == ["6", "6", ""]
    header(page, "streams").click()
    header(page, "streams").click()
    assert column(page, "streams") == ["4", "4", ""]
    for name in ("streams", "streams_missed_percent", "streams_wait_p99_ms"):
        page.locator("th", has=header(page, name)).hover()
        assert page.locator("#about").inner_text().endswith(BY_NAME[name].about)
    assert "cameras in time: ≥ 3" in page.locator("#answer li").first.inner_text()


def test_the_explorer_shows_the_cameras_of_a_setting_and_what_was_demanded_of_them(visit, served):
    page = visit(served / "explorer.html")
    points(page).first.wait_for()
    assert points(page).count() == 3
    told = pointed_at(page, points(page).first)
    assert told["cameras in time"] == "4"
    choose(page, "figure", "cameras in time")
    assert points(page).count() == 2
    assert page.locator("#chart g.mark-rule line[stroke='#B2182B']").count() == 1
    assert BY_NAME["streams"].about in page.locator("#about").inner_text()
    page.evaluate("location.hash = 'cell=resnet18-onnxruntime-fp32-r64-b4'")
    page.locator("#beside tr").first.wait_for()
    lines = beside(page)
    assert (lines["cameras in time"][0], lines["cameras within twice the deadline"][0]) == ("4", "10")


def test_the_explorer_fits_a_narrow_window(window, visit, pages):
    window[0].set_viewport_size({"width": 400, "height": 800})
    page = visit(pages[0] / "explorer.html")
    points(page).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_the_same_table_gives_the_same_bytes(tmp_path):
    table, run = a_run(tmp_path)
    for make, template in ((explorer.page, "explorer.html.j2"), (results_page.page, "results.html.j2")):
        assert make(table, run, TEMPLATES / template) == make(table.copy(), run, TEMPLATES / template)


def test_every_precision_has_a_shape_and_every_status_a_colour():
    assert len({explorer.SHAPES[precision] for precision in PRECISIONS}) == len(PRECISIONS)
    assert len({outcome.colour for outcome in OUTCOMES.values()}) == len(OUTCOMES)


def column(page, name):
    """Return the visible fields of one column from top to bottom."""
    names = page.locator("th button").all_inner_texts()
    return page.locator(f"tbody tr:not([hidden]) td:nth-child({names.index(name) + 1})").all_inner_texts()


def header(page, name):
    return page.get_by_role("button", name=name, exact=True)


def test_a_click_on_a_header_sorts_numbers_as_numbers_and_again_the_other_way_with_empty_last(visit, pages):
    page = visit(pages[0] / "results.html")
    whole = len(column(page, "latency_ms"))
    for order in ("ascending", "descending"):
        header(page, "latency_ms").click()
        assert page.locator(f"th[aria-sort={order}]").all_inner_texts() == ["latency_ms"]
        texts = column(page, "latency_ms")
        assert texts[-2:] == ["", ""]
        numbers = [float(text.replace(",", "")) for text in texts[:-2]]
        assert numbers == sorted(numbers, reverse=order == "descending")
        assert "2,550" in texts  # which as text would come before 4
        assert len(texts) == whole == 14
    header(page, "status").click()
    assert column(page, "status") == sorted(column(page, "status"))
    assert page.locator("th:not([aria-sort=none])").count() == 1


def test_numbers_are_sorted_as_numbers_in_a_language_with_a_space_between_thousands_too(visit, tmp_path):
    table, run = a_run(tmp_path)
    with speaking("ru"):
        (tmp_path / "results.html").write_text(results_page.page(table, run, TEMPLATES / "results.html.j2"))
    page = visit(tmp_path / "results.html")
    header(page, "latency_ms").click()
    texts = column(page, "latency_ms")[:-2]
    numbers = [float(re.sub(r"\s", "", text)) for text in texts]
    assert numbers == sorted(numbers)
    assert max(numbers) == 2550


def test_the_explorer_writes_numbers_as_the_report_of_its_language_does(visit, tmp_path):
    table, run = a_run(tmp_path)
    with speaking("ru"):
        (tmp_path / "explorer.html").write_text(explorer.page(table, run, TEMPLATES / "explorer.html.j2"))
    page = visit(tmp_path / "explorer.html")
    points(page).first.wait_for()
    for side, place in (("A", 1), ("B", 2)):
        page.locator(f"#side-{side}").select_option(index=place)
    chart = page.locator("#chart .role-axis-label text").all_text_contents()
    ratios = page.locator("#beside td:last-child").all_inner_texts()
    assert [text for text in chart if re.fullmatch(r"\d+\s000", text)], chart
    assert [text for text in ratios if re.fullmatch(r"\d\.\d+ \(\d\.\d+ – \d\.\d+\)", text)], ratios
    assert not [text for text in [*chart, *ratios] if re.search(r"\d,\d", text)]


def test_the_table_can_be_sorted_with_the_keyboard_alone(visit, pages):
    page = visit(pages[0] / "results.html")
    page.locator("#wanted").focus()
    page.keyboard.press("Tab")  # the table, which scrolls
    names = page.locator("th button").all_inner_texts()
    for _ in range(names.index("batch_size") + 1):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert column(page, "batch_size")[0] == "64"
    assert column(page, "batch_size")[-1] == "1"


def test_words_filter_the_table_and_every_row_without_a_speed_is_found_with_its_reason(visit, pages):
    page = visit(pages[0] / "results.html")
    wanted = page.get_by_role("searchbox")
    assert page.locator("#count").inner_text() == "14 of 14 rows"
    for words, statuses in (("FAILED", ["failed"]), ("openvino unavailable", ["unavailable"])):
        wanted.fill(words)
        assert column(page, "status") == statuses
        assert page.locator("#count").inner_text() == "1 of 14 rows"
        assert column(page, "latency_ms") == [""]
    assert column(page, "reason") == ["not here"]
    wanted.fill("failed")
    assert column(page, "reason") == [REASON]
    wanted.fill("onnxruntime nonsense")
    assert column(page, "status") == []
    wanted.fill("")
    assert len(column(page, "status")) == 14


@pytest.fixture(scope="module")
def report(smoke):
    """Return Snakemake's own report of the smoke run."""
    path = smoke.workflow.folder.with_name("report.html")
    outcome = smoke.workflow.snakemake("--report", str(path), *SMOKE)
    assert outcome.code == 0, outcome.log
    return path


def listed(page, category):
    """Open a category of Snakemake's report from its menu and return the labels of its entries."""
    page.locator("nav nav a").first.click()
    page.locator("nav li", has_text=re.compile(f"^{category}$")).click()
    page.locator("nav tbody tr").first.wait_for()
    return page.locator("nav tbody tr td:first-child").all_inner_texts()


def test_the_explorer_works_inside_snakemakes_report(visit, report):
    page = visit(report)
    listed(page, "Answer")
    page.locator("nav tbody tr", has_text="Explorer").locator("a").first.click()
    inside = page.frame_locator("iframe")
    points(inside).first.wait_for()
    assert points(inside).count() == fields(inside).count() == 6


def test_the_first_page_of_snakemakes_report_says_what_is_in_each_category(visit, report):
    page = visit(report)
    assert page.locator(".prose li strong").all_inner_texts() == sorted(ENTRIES)


def test_the_explorer_shows_one_of_several_models_at_a_time(visit, tmp_path):
    table, run = write_run(tmp_path, make_two_models())
    (tmp_path / "explorer.html").write_text(explorer.page(table, run, TEMPLATES / "explorer.html.j2"))
    page = visit(tmp_path / "explorer.html")
    points(page).first.wait_for()
    assert page.locator("select[name=only_model] option").all_inner_texts() == ["resnet18", "resnet50"]
    assert points(page).count() == fields(page).count() == 6
    choose(page, "only_model", "resnet50")
    assert points(page).count() == fields(page).count() == 6
    choose(page, "only_precision", "fp16")
    choose(page, "only_batch_size", "8")
    assert pointed_at(page, points(page).first)["images/s, one call at a time"].startswith("667")


def test_one_model_leaves_nothing_to_choose(visit, pages):
    page = explore(visit, pages)
    assert page.locator("select[name=only_model]").count() == 0


HACK = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>`_ {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def hostile(smoke, tmp_path_factory):
    """Return the folder of a finished run whose user, machine and published table all tried to get a script in."""
    tree = smoke.workflow.copy(tmp_path_factory.mktemp("hostile") / "tree")
    # Folders may be called so; not with braces or <word>, which Snakemake takes for its own.
    table = tree / "published/</script ><script >window.hacked = 1</script >.csv"
    table.parent.mkdir(parents=True)
    table.write_text(f"backend,FPS,ms/image,{HACK}\n{HACK},100,11,1\n{HACK},{HACK},3,2\n")
    summary = json.loads((tree / "artifacts/summary.json").read_text())
    summary["machine"] |= {"device_name": HACK, "cpu": HACK, "os": HACK, "packages": {HACK: HACK}}
    summary["details"] = {HACK: {HACK: HACK}}
    (tree / "artifacts/summary.json").write_text(json.dumps(summary))
    results = pd.read_parquet(tree / "artifacts/results.parquet")
    results["caveats"] = HACK
    results.to_parquet(tree / "artifacts/results.parquet", index=False)
    about = {"title": HACK, "source": HACK, "device": HACK}
    config = {"published": [{"file": str(table.relative_to(tree.folder))} | about]}
    asked = (*SMOKE, tree.write_config("hostile.yaml", config))
    for arguments in ((), ("--report", "report.html")):
        outcome = tree.snakemake(*arguments, *asked)
        assert outcome.code == 0, outcome.log
    yield tree.folder
    shutil.rmtree(tree.folder.parent, ignore_errors=True)


def test_no_text_from_elsewhere_runs_a_script_on_a_page_or_adds_one_to_snakemakes_report(visit, hostile, report):
    for name in ("report/explorer.html", "report/results.html"):
        page = visit(hostile / name)
        page.locator("h1").wait_for()
        assert HACK in page.locator("h1").inner_text()
        assert page.evaluate("window.hacked") is None
    assert (hostile / "report.html").read_text().count("<script") == report.read_text().count("<script")


def test_snakemakes_report_has_every_entry_in_its_category_and_each_opens_with_a_caption_and_no_script(visit, hostile):
    page = visit(hostile / "report.html")
    opened = 0
    for category, entries in ENTRIES.items():
        labels = listed(page, category)
        assert entries <= set(labels)
        for label in labels:
            listed(page, category)
            view, about = page.locator("nav tbody tr", has_text=label).locator("a").all()
            if not view.get_attribute("download"):
                view.click()
                page.locator("iframe, #app img[src^='data:image']").last.wait_for()
                opened += 1
            about.click()
            page.locator("nav .prose").wait_for()
            assert len(page.locator("nav .prose").inner_text()) > 40, label
            assert [frame.evaluate("window.hacked") for frame in page.frames] == [None] * len(page.frames)
    assert opened >= 2 + len(PLOTS)


def test_what_snakemakes_report_says_of_rules_and_jobs_has_no_text_of_a_user(hostile):
    text = (hostile / "report.html").read_text()
    assert "window.hacked" not in text
