"""The report."""

import re
from pathlib import Path

import pandas as pd
import pytest
from builders import (
    KERNEL,
    LATENCIES,
    changed,
    make_evaluation,
    make_record,
    make_records,
    make_refusal,
    make_request,
    make_two_models,
    write_run,
)

from speedgrid import settings
from speedgrid.data.samples import Host
from speedgrid.report import markdown as report
from speedgrid.report import plots, results_page
from speedgrid.report.findings import trust

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "templates" / "report.md.j2"
PAGE = ROOT / "templates" / "results.html.j2"
REASON = "no NVIDIA GPU on this machine: NVML finds no device or no driver"
UNAVAILABLE = [
    make_refusal(f"resnet18-{backend}-fp32-r{size}-b1", "unavailable", REASON)
    for backend in ("pytorch", "torch_tensorrt")
    for size in (64, 128)
]


def render(folder, records, cells=None, through_parquet=True):
    table, run = write_run(folder, records, cells)
    if through_parquet:  # as the workflow does
        table.to_parquet(folder / "results.parquet")
        table = pd.read_parquet(folder / "results.parquet")
    return report.markdown(table, run, TEMPLATE), results_page.page(table, run, PAGE), table


def section(text, title):
    """Return the text under one heading."""
    return re.split(r"^(?:#+ |<a id=)", text.split(f" {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_report_answers_first_and_has_every_cell(tmp_path):
    text, _, _ = render(tmp_path, make_records())
    assert text.startswith("# resnet18 on Test CPU (2 CPUs): which backend, precision and batch size to deploy")
    assert text.index("**For throughput** at 64 x 64 pixels: **ONNX Runtime fp16") < text.index("## Findings")
    assert "12 of 12 cells have a speed, from 600 timed calls" in text
    assert "What could not be measured" not in text  # every cell has a speed
    for title in ("PyTorch, fp32", "ONNX Runtime, fp32", "ONNX Runtime, fp16"):
        rows = [line for line in section(text, title).splitlines() if re.match(r"\| \d+ \| \d+ \|", line)]
        assert len(rows) == 4
    assert (
        "| 64 | 8 | [16.0](explorer.html#cell=resnet18-pytorch-fp32-r64-b8) (16.0 to 16.0) "
        "| 2.00 | 500 | 500 | 0.500 | 2.00 | 25.0 | kernel | 100 | 121 | ok |"
        in section(text, "PyTorch, fp32").splitlines()
    )


def test_the_figure_of_each_cell_links_to_the_explorer(tmp_path):
    records = make_records()
    text, _, _ = render(tmp_path, records)
    for record in records:
        assert re.search(rf"^\| \d+ \| \d+ \| \[[\d.]+\]\(explorer\.html#cell={record.cell}\)", text, re.MULTILINE)


def test_every_table_of_the_report_has_as_many_cells_in_each_line_as_in_its_head(tmp_path):
    text, _, _ = render(tmp_path, [*make_records(), *UNAVAILABLE[2:]])
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) > 10
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_report_has_no_leftovers_of_the_program(tmp_path):
    text, html, _ = render(tmp_path, [*make_records(), *UNAVAILABLE[2:]])
    for leftover in ("nan", "None", "{{", "{%", "Undefined", "np.float64"):
        assert not re.search(rf"(?<![A-Za-z]){re.escape(leftover)}(?![A-Za-z])", text + html)


def test_speed_ups_are_shown_with_their_interval_and_the_reference_as_one(tmp_path):
    text, _, _ = render(tmp_path, make_records())
    over_resolution, over_batch = re.findall(r"\| (?:resolution|batch size) \| \d.*\n\|---.*\n((?:\|.*\n)+)", text)
    assert over_resolution.splitlines() == [
        "| PyTorch fp32 | 1.00 | 1.00 |",
        "| ONNX Runtime fp32 | 1.03 | 1.03 |",
        "| ONNX Runtime fp16 | 4.00 | 4.13 |",
    ]
    assert over_batch.splitlines()[2] == "| ONNX Runtime fp16 | 4.00 | 4.00 |"


def test_an_interval_of_some_width_is_written_out():
    row = pd.Series({"speedup": 2.0, "speedup_low": 1.5, "speedup_high": 2.5})
    assert report.speedup_text(row) == "2.00 (1.50 to 2.50)"
    assert report.speedup_text(pd.Series({"speedup": float("nan")})) == ""


def test_cells_that_could_not_be_measured_are_brought_together_with_their_reason(tmp_path):
    text, _, _ = render(tmp_path, [*make_records(), *UNAVAILABLE[2:]])
    assert "2 of 14 cells have no speed (2 `unavailable`)." in text
    assert f"* torch_tensorrt fp32, 2 cells: `unavailable`, {REASON}." in section(text, "What could not be measured")
    assert f"All 2 cells: `unavailable`, {REASON}." in section(text, "Torch-TensorRT, fp32")


def test_a_row_that_ran_another_precision_says_so(tmp_path):
    text, _, _ = render(tmp_path, [make_record("resnet18-pytorch-fp32-r64-b1", ran="tf32")])
    assert "The outputs of 1 cell have the error of another precision" in section(
        text, "Rows that did not run what their label says"
    )
    assert "| PyTorch | fp32 | **tf32** | 1 | 61.0 to 61.0 |" in text
    assert "| wrong_precision: ran tf32 |" in text


def test_a_run_in_which_nothing_could_be_measured_has_a_report(tmp_path):
    text, html, table = render(tmp_path, UNAVAILABLE)
    assert "Nothing was measured at 64 x 64 pixels, so there is nothing to recommend." in text
    assert "0 of 4 cells have a speed" in text
    assert "## Findings" not in text
    assert "## Speed-up over" not in text
    assert html.count("<tr") == len(table) + 1


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["pytorch-fp16", "pytorch-tf32"], None),
        (["pytorch-fp16", "onnxruntime-fp32"], None),
        (["pytorch-fp16", "pytorch-fp32"], "| PyTorch | fp16 | fp32 | 1.00 | 1.00 to 1.00 | 1 | 0 |  |"),
    ],
)
def test_precisions_are_compared_where_a_backend_has_both(tmp_path, names, line):
    text, _, _ = render(tmp_path, [make_record(f"resnet18-{name}-r64-b1") for name in names])
    assert ("Where precision matters" in text) == bool(line)
    assert line is None or line in section(text, "Where precision matters").split("\n")


def test_seeded_weights_are_said_to_be(tmp_path):
    assert "the weights are generated (seeded, seed 0)" in render(tmp_path, make_records())[0]


def test_the_part_of_a_checkpoint_that_was_taken_is_named_and_its_names_are_no_mark_up(tmp_path):
    table, run = write_run(tmp_path, make_records())
    part = {"key": "state_dict_ema", "prefix": "module.", "others": ["state_dict", "<b>|x"]}
    run["weights"] = [{**run["weights"][0], "own": True, "source": "my weights.pth", "part": part}]
    text = report.markdown(table, run, TEMPLATE)
    assert (
        "At 64 pixels the weights are your own: `my weights.pth`. Taken of the file: `state_dict_ema`. "
        "Taken off its names: `module.`. Also there, and not taken: state_dict, " in text
    )
    assert "<b>" not in text
    run["weights"][0]["part"] = {"key": "", "prefix": "", "others": []}
    assert "are your own: `my weights.pth`.\n" in report.markdown(table, run, TEMPLATE)


def test_what_a_container_leaves_of_the_processor_is_said(tmp_path):
    table, run = write_run(tmp_path, make_records())
    assert "allowed" not in section(report.markdown(table, run, TEMPLATE), "The machine")
    run["machine"] |= {"cpus_allowed": 3, "cpu_quota": 1.5}
    text = section(report.markdown(table, run, TEMPLATE), "The machine")
    assert "; 3 CPUs allowed; quota: time of 1.50 CPUs |" in text


def test_the_html_table_has_every_row_and_every_reason_whole(tmp_path):
    cells = [*LATENCIES, "resnet18-torch_tensorrt-fp32-r64-b1", "resnet18-openvino-fp32-r64-b1"]
    reason = "a < b & " + "long " * 50 + "end"
    records = [*make_records(), make_refusal("resnet18-torch_tensorrt-fp32-r64-b1", "failed", reason)]
    _, html, table = render(tmp_path, records, cells)
    assert html.count("<tr") == len(table) + 1 == 15
    assert "a &lt; b &amp; " + "long " * 50 + "end" in html
    assert "no record of this cell" in html


def test_the_html_table_of_a_large_grid_is_not_cut(tmp_path):
    records = [make_record(f"resnet18-pytorch-fp32-r64-b{size}") for size in range(1, 201)]
    _, html, _ = render(tmp_path, records)
    assert html.count("<tr") == 201


def test_the_report_shows_how_to_reproduce_it(tmp_path):
    text, _, _ = render(tmp_path, make_records())
    assert "python -m scripts.time_cell resnet18-pytorch-fp32-r64-b1" in text
    assert "reference: {backend: pytorch, precision: fp32}" in text


def test_the_numbers_of_the_readme_are_those_of_the_example():
    [_, rest] = (ROOT / "README.md").read_text().split("<!-- example table -->\n")
    [table, _] = rest.split("<!-- end of example table -->\n")
    example = (ROOT / "examples" / "nvidia-h200" / "report" / "report.md").read_text().splitlines()
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert [line for line in lines if line not in example] == []


@pytest.mark.parametrize(
    ("gpus", "beside", "words"),
    [(1, 0, []), (1, 7, ["Up to 7 other cells were loaded"]), (2, 7, ["2 GPUs of one model"])],
)
def test_the_report_says_how_many_gpus_measured_and_what_was_loaded_beside(tmp_path, gpus, beside, words):
    results, run = write_run(tmp_path, make_records())
    text = report.markdown(results, run | {"gpus": gpus, "loaded_beside": beside}, TEMPLATE)
    assert all(one in text for one in words)
    assert ("were loaded on the GPU" in text, "of one model" in text) == (beside > 0, gpus > 1)


def control_lines(tmp_path, **changes):
    """Return the lines about repeatability for a run with these controls."""
    results, run = write_run(tmp_path, make_records())
    known = {
        "cell": "resnet18-pytorch-fp32-r64-b1",
        "sentinel": {"latency_ms": [4.0, 4.2, 4.1], "measured_at": ["", "", ""], "drift_percent": 5.0},
        "twin": {"ratio": 0.9876, "low": 0.97, "high": 1.01, "rounds": 3, "ties": True},
        "noise_floor_percent": 1.24,
    }
    text = report.markdown(results, run | {"controls": known | changes}, TEMPLATE)
    return text.split("## How repeatable this run is")[1].split("\n## ")[0]


def test_the_report_shows_drift_and_the_noise_floor(tmp_path):
    text = control_lines(tmp_path)
    assert "4.00 ms at the start of the run, 4.20 ms in the middle and 4.10 ms at the end. Of 3 such timings" in text
    assert "no two differ by more than 5.0 %" in text
    assert "0.988 times the speed (95 % interval 0.970 to 1.010). The two tie" in text
    assert "**Noise floor** of this run: 1.2 %" in text
    assert "excludes 1 by 2.0 %" in text


def test_a_noisy_run_says_so_and_claims_less(tmp_path):
    twin = {"ratio": 0.9, "low": 0.88, "high": 0.92, "rounds": 3, "ties": False}
    text = control_lines(tmp_path, twin=twin, noise_floor_percent=10.0)
    assert "**They do not tie" in text
    assert "excludes 1 by 10.0 %" in text


def test_a_run_without_controls_says_that_it_has_none(tmp_path):
    text = control_lines(tmp_path, sentinel=None, twin=None, noise_floor_percent=None)
    assert text.count("is not known") == 2


def test_unstable_and_throttled_rows_are_named_with_their_reasons(tmp_path):
    throttling = {"throttled": ["hardware thermal slowdown"]}
    hot = make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 50, telemetry=throttling)
    text, _, _ = render(tmp_path, [hot, *make_records()[1:]])
    assert "**Unstable** cells: 1 of 12." in text
    assert (
        "| PyTorch fp32 | 64 x 64 pixels, batch size 1 | the GPU lowered its clock (hardware thermal slowdown)" in text
    )
    assert "**Lowered clocks**: in 1 of 12 cells, for hardware thermal slowdown." in text


def test_the_report_says_what_else_kept_the_machine_busy(tmp_path):
    hosts = [
        None,
        Host(0.25, 0.0),
        Host(1.0, 0.5),
    ]
    records = [changed(one, host=host) for one, host in zip(make_records(), hosts * 4, strict=True)]
    text, _, _ = render(tmp_path, records)
    assert "something else kept 0.88 cores busy in the median, 1.50 at most" in text
    assert "Neighbours" not in render(tmp_path, make_records())[0]


def test_what_limits_a_row_is_in_its_line_and_explained(tmp_path):
    text, _, _ = render(tmp_path, make_records())
    lines = [line for line in section(text, "PyTorch, fp32").splitlines() if line.endswith("| ok |")]
    assert [line.split("|")[10].strip() for line in lines] == ["kernel", "kernel", "kernel", "kernel"]
    assert "* *compute* or *memory*: at the rates" in text
    assert "host-launch" not in text  # a CPU has no launches


def test_energy_has_a_column_where_it_was_measured_and_only_there(tmp_path):
    used = {"joules_per_call": 0.5, "power_w": 125.0, "calls": 500, "seconds": 2.0}
    first = make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 50, probes={"energy": used})
    text, _, _ = render(tmp_path, [first, *make_records()[1:]])
    header = next(line for line in text.splitlines() if line.startswith("| resolution | batch size |"))
    row = next(line for line in text.splitlines() if line.startswith("| 64 | 1 |"))
    assert row.split("|")[header.split("|").index(" energy, mJ/image ")].strip() == "500"
    assert "mJ/image" not in render(tmp_path, make_records())[0]


def test_kernels_are_a_second_witness_that_may_disagree(tmp_path):
    agreeing = make_record(
        "resnet18-onnxruntime-fp16-r64-b1", [1.0] * 50, probes={"kernels": {"ms": {KERNEL["fp16"]: 1.0}}}
    )
    other = make_record(
        "resnet18-onnxruntime-fp32-r64-b1", [2.0] * 50, probes={"kernels": {"ms": {KERNEL["tf32"]: 1.0}}}
    )
    text, _, _ = render(tmp_path, [make_record("resnet18-pytorch-fp32-r64-b1", [4.0] * 50), agreeing, other])
    assert "by their names, at batch size 1:" in text
    assert "* onnxruntime, labelled fp16, by its error fp16: kernels of fp16 (1 cell)." in text
    assert (
        "* onnxruntime, labelled fp32, by its error fp32: kernels of tf32 (1 cell). **The two do not agree.**" in text
    )
    assert "second witness" not in render(tmp_path, make_records())[0]


STEPS = {"preprocess_cpu": 5.0, "call": 16.0, "end_to_end_cpu": 20.0}
COPIES = {"copy_in_pinned": 1.0, "copy_in_uint8": 0.25, "preprocess_gpu": 2.0, "copy_out_pinned": 0.5}
ON_GPU = STEPS | COPIES | {"end_to_end_gpu": 18.75}


def requests(folder, **costs):
    """Return the section about requests of a run whose cells at batch size 8 have these costs; None if it has none."""
    records = [
        make_record(f"resnet18-{name}-fp32-r64-b8", [16.0] * 50, probes={"request": one} if one else {})
        for name, one in costs.items()
    ]
    text, _, _ = render(folder, records)
    title = "What a user pays end to end"
    return section(text, title) if title in text else None


def test_without_costs_the_report_has_no_section_about_requests(tmp_path):
    assert requests(tmp_path, pytorch=None) is None


def test_requests_on_a_cpu_have_no_columns_of_copies(tmp_path):
    text = requests(tmp_path, pytorch=make_request(STEPS))
    head, _, row = [line for line in text.splitlines() if line.startswith("|")]
    columns = ["setting", "call", "preprocessing on the CPU", "whole, preprocessed on the CPU"]
    assert [one.strip() for one in head.strip("|").split("|")] == [*columns, "better on", "share of the call, %"]
    assert row == "| PyTorch fp32 | 16.0 | 5.00 | 20.0 | on the CPU | 80.0 |"
    assert "PyTorch fp32: 20.0 ms, 400 images/s, preprocessed on the CPU; its call is 80.0 % of that." in text


def test_the_quickest_request_need_not_have_the_quickest_call(tmp_path):
    slower = ON_GPU | {"call": 17.0, "preprocess_gpu": 0.5, "end_to_end_gpu": 18.25}
    text = requests(tmp_path, pytorch=make_request(ON_GPU), onnxruntime=make_request(slower))
    assert "The quickest request is that of ONNX Runtime fp32: 18.2 ms" in text
    assert "The quickest call is that of PyTorch fp32, 16.0 ms: for requests as a whole" in text
    row = next(line for line in text.splitlines() if line.startswith("| PyTorch fp32"))
    assert row.endswith("| 20.0 | 18.8 | on the GPU | 85.3 |")


def test_a_request_that_was_not_measured_or_was_disturbed_is_no_figure(tmp_path):
    failed = {"samples": {}, "error": "OutOfMemoryError: CUDA out of memory"}
    text = requests(tmp_path, pytorch=make_request(STEPS | {"end_to_end_cpu": 60.0}), onnxruntime=failed)
    assert "* Not measured, for the reason in the record of the first round: ONNX Runtime fp32." in text
    assert "| PyTorch fp32 | 16.0 | 5.00 |  |  |" in text
    assert "The quickest request" not in text


def test_several_models_have_an_answer_each_and_one_table_beside_each_other(tmp_path):
    text, html, _ = render(tmp_path, make_two_models())
    assert text.startswith(
        "# resnet18, resnet50 on Test CPU (2 CPUs): which backend, precision and batch size to deploy"
    )
    head, *answers = re.split(r"^## (resnet\d\d): what to deploy$", text, flags=re.MULTILINE)
    assert (
        "| resnet18 | 1.000 | ONNX Runtime fp16, batch size 8: 2,000 | ONNX Runtime fp16, batch size 1: 1.00 |" in head
    )
    assert "| resnet50 | 1.000 | ONNX Runtime fp16, batch size 8: 667 | ONNX Runtime fp16, batch size 1: 3.00 |" in head
    assert answers[::2] == ["resnet18", "resnet50"]
    for answer, rate in zip(answers[1::2], ("2,000", "667"), strict=True):
        assert f"**ONNX Runtime fp16, batch size 8**, {rate} images/s" in answer.split("## ")[0]
        assert "12 of 12 cells have a speed, from 600 timed calls" in answer.split("## ")[0]
    assert html.count("<td>resnet50</td>") == html.count("<td>resnet18</td>") == 12


def test_sections_on_several_models_name_theirs_and_compare_within_it(tmp_path):
    records = [*make_two_models(), make_refusal("resnet50-openvino-fp32-r64-b1", "failed", "noise")]
    text, _, _ = render(tmp_path, records)
    for title in ("Findings", "Speed-up over pytorch fp32", "Plots", "All cells"):
        assert re.findall(rf"^## {title}: (\w+)$", text, re.MULTILINE) == ["resnet18", "resnet50"]
    ups = [section(text, f"Speed-up over pytorch fp32: {model}") for model in ("resnet18", "resnet50")]
    assert ups[0].strip() == ups[1].strip()  # three times as long, and so is the reference
    assert "What could not be measured: resnet18" not in text  # every cell has a speed
    assert "1 cell: `failed`, noise." in section(text, "What could not be measured: resnet50")
    links = re.findall(r"\]\(plots/(resnet\d\d)-(\w+)\.png\)", text)
    asked = plots.asked(settings.complete({}))  # as tests/builders.py makes it
    assert [name for model, name in links if model == "resnet18"] == list(asked)
    assert [name for model, name in links if model == "resnet50"] == [
        one for one in asked if not plots.PLOTS[one].of_run
    ]
    assert "| resnet18 | 64 | 1.000 |\n| resnet18 | 128 | 4.000 |\n| resnet50 | 64 | 1.000 |" in text
    assert "resnet50, ONNX Runtime fp16" not in text


def test_an_unstable_cell_says_of_which_model_it_is_where_there_are_several(tmp_path):
    records = make_two_models()
    records[-1] = changed(records[-1], steady=False)
    named = "| resnet50, ONNX Runtime fp16 | 128 x 128 pixels, batch size 8 | its warm-up never became steady"
    assert named in render(tmp_path, records)[0]


def test_the_table_of_models_has_their_accuracy_where_it_was_measured(tmp_path):
    table, run = write_run(tmp_path, make_two_models())
    table["top1"] = (table.model == "resnet50").map({True: 0.975, False: float("nan")})
    text = report.markdown(table, run, TEMPLATE)
    assert "| resnet18 | 1.000 |  | ONNX Runtime fp16" in text
    assert "| resnet50 | 1.000 | 97.5 | ONNX Runtime fp16" in text


EVALUATED = [
    make_evaluation("resnet18-pytorch-fp32-r64-b8", wrong=5),
    make_evaluation("resnet18-onnxruntime-fp16-r64-b8"),
    make_evaluation("resnet18-openvino-fp32-r64-b8", status="unavailable", reason="not here", predicted=None),
]


def with_accuracy(folder, evaluations, **weights):
    """Return the report of a run with accuracy; `weights` changes the description of its weights."""
    table, run = write_run(folder, make_records(), evaluations=evaluations)
    run["weights"][0] |= weights
    return report.markdown(table, run, TEMPLATE)


def test_accuracy_has_a_line_for_each_evaluation_with_intervals_and_says_that_digits_stand_in(tmp_path):
    how = {"method": "all weights trained", "canvas": 64, "seconds": 12.3}
    text = with_accuracy(tmp_path, EVALUATED, trained=how, source="trained on handwritten digits, seed 0")
    found = section(text, "Accuracy")
    assert "Measured on 100 of the handwritten digits" in found
    assert "They stand in for your task" in found
    assert "resnet18 in float32 on the CPU is right on 95.0 % of them (88.8 to 97.8)" in found
    assert "Training: all weights trained, at 64 x 64 pixels, in 12.3 s." in found
    assert "| resnet18 | PyTorch fp32 | 95.0 (88.8 to 97.8) | 0.0 (" in found
    assert "| resnet18 | ONNX Runtime fp16 | 90.0 (82.6 to 94.5) | 5.0 (" in found
    assert "* resnet18 openvino fp32: `unavailable`, not here." in found
    assert "At 64 pixels the weights are trained on handwritten digits, seed 0" in text
    assert "its classifications mean nothing" not in text
    assert "| 90.0 | 5.0 |" in section(text, "The answer")
    assert "Inputs are images of `digits`, chosen by seed 0" in text


CLASS_FOLDERS = [{"name": f"kind <b> {number}", "number": number, "images": 7} for number in range(25)]


def test_the_classes_of_a_users_images_are_named_with_their_counts_and_the_classes_of_the_model(tmp_path):
    images = {"source": "photos", "count": 100, "images_in_folder": 175, "seed": 0, "class_folders": CLASS_FOLDERS}
    images |= {
        "numbered": False,
        "copies": 3,
        "passed_over": 1,
        "others": {".heic": 2, "": 1},
        "evaluated": "val",
        "calibrating": "train",
    }
    text = with_accuracy(tmp_path, [make_evaluation("resnet18-onnxruntime-fp16-r64-b8", images=images)])
    found = section(text, "Accuracy")
    assert "Images are turned as their EXIF data says." in found
    assert "Of the data set's parts, `val` is evaluated; the other images are from `train`." in found
    assert "3 images are left out, as another part has them by content." in found
    assert "1 hidden name or one of a system's was passed over." in found
    assert "3 files are no images by their names (most of them `.heic`) and were not read." in found
    assert "| 7 | 19 |\n" in found
    assert "| 7 | 20 |\n" not in found
    assert "<b>" not in found
    assert "5 more are in `artifacts/images/`. Class folders are numbered in alphabetical order" in found


def test_without_labels_the_report_says_that_only_agreement_is_known(tmp_path):
    images = {"source": "photos", "count": 100, "images_in_folder": 5000, "seed": 0}
    evaluations = [make_evaluation("resnet18-onnxruntime-fp16-r64-b8", labels=None, images=images)]
    text = with_accuracy(tmp_path, evaluations, own=True, source="weights/best.pth")
    found = section(text, "Accuracy")
    assert "Measured on 100 of the 5000 images in `photos`" in found
    assert "no labels that the weights of resnet18 (weights/best.pth) were made for" in found
    assert "| resnet18 | ONNX Runtime fp16 |  |  | 95.0 |" in found
    assert "same class as float32, %" in section(text, "The answer")


def test_a_run_on_random_images_says_that_no_accuracy_was_measured(tmp_path):
    text, _, _ = render(tmp_path, make_records())
    assert "No accuracy was measured: the images are random numbers." in section(text, "Accuracy")
    assert "Inputs are random normal images from seed 0" in text


def test_sections_with_nothing_to_say_leave_one_blank_line_and_code_stays_as_it_is():
    text = "a\n\n\n\n\nb\n\n```\nc\n\n\n\nd\n```\n\n\n\ne\n"
    assert report.without_gaps(text) == "a\n\nb\n\n```\nc\n\n\n\nd\n```\n\ne\n"


def test_each_section_has_one_place_to_link_to_in_whatever_language(tmp_path):
    table, run = write_run(tmp_path, make_two_models())
    found = {}
    for language in ("en", "ru"):
        run["config"]["report"]["language"] = language
        text = report.markdown(table, run, TEMPLATE)
        found[language] = re.findall(r'^<a id="([\w-]+)"></a>\n\n(?=## )', text, re.MULTILINE)
        assert text.count('<a id="') == len(found[language]) == len(set(found[language])) == text.count("\n## ")
    assert found["en"] == found["ru"]
    assert {"answer-resnet18", "answer-resnet50", "findings-resnet50", "machine"} <= set(found["en"])


def test_the_quality_of_a_run_is_said_in_at_most_five_lines(tmp_path):
    records = make_records()
    records[0] = make_record(
        "resnet18-pytorch-fp32-r64-b1", [4.0] * 50, telemetry={"throttled": ["hardware thermal slowdown"]}
    )
    records[1] = make_record("resnet18-pytorch-fp32-r64-b8", [16.0] * 50, ran="tf32")
    records.append(make_refusal("resnet18-openvino-fp32-r64-b1", "failed", "noise"))
    table, run = write_run(tmp_path, records)
    session = {"number": 1, "began": "", "ended": "", "timings": 6, "slowdown": [1.0, 1.0, 1.0]}
    run["sessions"] = [session, session | {"number": 2}]
    table.loc[2, "status"] = "busy"
    twin = {"ratio": 0.99, "low": 0.98, "high": 1.01, "rounds": 3, "ties": True, "tells": True}
    quality = trust.quality(table, run["controls"] | {"twin": twin, "noise_floor_percent": 1.0}, run["sessions"])
    assert [re.findall(r"\*\*(.*?)\*\*", line) for line in quality] == [
        ["Good enough to rank settings"],
        ["Busy"],
        ["Unstable"],
        ["Withheld or not measured", "1 cell ran another precision"],
        ["Sessions"],
    ]
    doubted = trust.quality(table, run["controls"] | {"twin": twin | {"tells": False}, "noise_floor_percent": 1.0})
    assert doubted[0] == "**Not good enough to rank settings**: one cell is 0.980 to 1.01 times as fast as itself."
    assert "not known" in trust.quality(table, run["controls"])[0]
