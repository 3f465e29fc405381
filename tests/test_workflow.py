"""What is stale when: dry-runs on copies of finished runs, and what the rules promise beside it."""

import base64
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from launchers import processes_in, wait_for
from workflow import BIN, CELLS, NO_GPU, ROOT, SMOKE, Workflow

from speedgrid import grid, record, settings

pytest_plugins = ["workflow"]

PAGES = {"render_pages": 1, "render_report": 1}  # the report first
REPORT = {"draw_plots": 1, **PAGES}
SHOWN = {"describe_run": 1, **REPORT}
TABLE = {"aggregate": 1, "audit": 1, **SHOWN}
# The backends of the grid for a GPU that is not there, and the rules that compile for three of them.
ON_GPU = NO_GPU["grid"]["cuda"]["backend"]
COMPILERS = ("compile_trt", "compile_inductor", "compile_tensorrt")
# Timings of the control cell, which is PyTorch's and the largest here: three sentinels and a twin.
CONTROLS = 4
CONTROL = "resnet18-pytorch-fp32-r64-b2"
WEIGHTS = {"prepare_weights": 1, "compute_reference": 1, "export_onnx": 1, "count_flops": 1, "audit_published": 1}
# One evaluation for each backend of the smoke grid.
ACCURACY = {"classify_images": 1, "measure_accuracy": 3}
ALL = {**WEIGHTS, **ACCURACY, "time_cell": 6 + CONTROLS, **TABLE}


def cells_of(*words):
    """Return the cells of the smoke grid that have one of some words in their names."""
    return {cell for cell in CELLS if any(word in cell for word in words)}


def append(file, text):
    """Change a file as an editor would."""
    file.write_text(file.read_text() + text)


@pytest.fixture
def tree(smoke, place):
    """Return a copy of the finished smoke run that a test may change."""
    return smoke.workflow.copy(place)


@pytest.fixture
def gpu_tree(without_gpu, place):
    """Return a copy of the finished run without a GPU that a test may change."""
    return without_gpu.workflow.copy(place)


EDITS = {
    "template": ("templates/report.md.j2", "\nA new line.\n", PAGES, set()),
    "plot": ("speedgrid/report/plots/lines.py", "\n# edited\n", REPORT, set()),
    "look of plots": ("speedgrid/report/plots/style.py", "\n# edited\n", REPORT, set()),
    "page": ("templates/explorer.html.j2", "\n<!-- edited -->\n", {"render_pages": 1}, set()),
    "findings": ("speedgrid/report/findings/effects.py", "\n# edited\n", PAGES, set()),
    "section": ("templates/sections/answer.md.j2", "\nA new line.\n", PAGES, set()),
    "language": ("languages/ru.po", "\n# edited\n", REPORT, set()),
    "audit": ("speedgrid/table/audit.py", "\n# edited\n", {"audit": 1, **PAGES}, set()),
    "published section": ("speedgrid/published/words.py", "\n# edited\n", PAGES, set()),
    "published table": (
        "config/published/resnet18-fp16-batch33.csv",
        "pytorch,fp32,224,1,2.0,2.0,500,1.0\n",
        {"audit_published": 1, **PAGES},
        set(),
    ),
    "published source": (
        "config/published/resnet18-fp16-batch33.yaml",
        "device: NVIDIA H200\n",
        {"audit_published": 1, **PAGES},
        set(),
    ),
    "table": ("speedgrid/table/cells.py", "\n# edited\n", TABLE, set()),
    # What decides a verdict, and no measurement: its sentences and limits, a pattern, an interval, a caveat.
    "verdict": ("speedgrid/table/verdict.py", "\n# edited\n", TABLE, set()),
    "conditions": ("speedgrid/table/conditions.py", "\n# edited\n", TABLE, set()),
    "interval": ("speedgrid/evidence/intervals.py", "\n# edited\n", TABLE, set()),
    "description": ("speedgrid/table/description.py", "\n# edited\n", TABLE, set()),
    "counting": (
        "speedgrid/model/onnx_graph.py",
        "\n# edited\n",
        {"count_flops": 1, "audit_published": 1, **TABLE},
        set(),
    ),
    "a pattern of kernels": ("speedgrid/measure/probes/kernels.py", "\nPATTERNS = PATTERNS[1:]\n", TABLE, set()),
    # A request is measured here; what its module says beside measuring it makes no timing stale.
    "a probe's check": ("speedgrid/measure/probes/request.py", "\nSTEPS_AND_WHOLE = 0.5\n", TABLE, set()),
    "a probe's measuring": (
        "speedgrid/measure/probes/request.py",
        "\nSECONDS = 0.5\n",
        {"time_cell": 6, **TABLE},
        CELLS,
    ),
    "peaks": ("speedgrid/measure/peaks.py", "\n# edited\n", {"measure_peaks": 1, **TABLE}, set()),
    "data sheet": ("speedgrid/machine/data_sheet.py", "\n# edited\n", {"audit_published": 1, **TABLE}, set()),
    "limiter": ("speedgrid/table/limiter.py", "\n# edited\n", TABLE, set()),
    "timing": ("speedgrid/measure/timing.py", "\n# edited\n", {"time_cell": 6 + CONTROLS, **TABLE}, CELLS),
    "one backend": (
        "speedgrid/backends/openvino.py",
        "\n# edited\n",
        {"time_cell": 2, "measure_accuracy": 1, **TABLE},
        cells_of("openvino"),
    ),
    "export": (
        "speedgrid/builders/onnx_export.py",
        "\n# edited\n",
        {
            "export_onnx": 1,
            "count_flops": 1,
            "audit_published": 1,
            "measure_accuracy": 2,
            "time_cell": 4,
            **TABLE,
        },
        cells_of("openvino", "onnxruntime"),
    ),
    "accuracy": ("speedgrid/measure/accuracy.py", "\n# edited\n", {"measure_accuracy": 3, **TABLE}, set()),
    "classes": ("speedgrid/evidence/classes.py", "\n# edited\n", {**ACCURACY, **TABLE}, set()),
    "shares": ("speedgrid/table/accuracy.py", "\n# edited\n", TABLE, set()),
    "training": ("speedgrid/model/training.py", "\n# edited\n", {"train_digits": 1, **ALL}, CELLS),
}


def dry_run(folder, smoke, change):
    """Make one of EDITS or CHANGES in a copy of the finished smoke run, and ask what would then be done."""
    tree = smoke.workflow.copy(folder / "tree")
    try:
        if isinstance(change, dict):
            return tree.dry_run(*SMOKE, tree.write_config("change.yaml", change))
        append(tree / change[0], change[1])
        return tree.dry_run(*SMOKE)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def planned(request, smoke, tmp_path_factory):
    """Return by test what would be done after each change that is asked for: two at a time, for each takes one core."""
    here = [item for item in request.session.items if item.path == request.path]
    tests = [item for item in here if "change" in item.fixturenames]
    folders = [tmp_path_factory.mktemp("planned") for _ in tests]
    with ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(lambda folder, item: dry_run(folder, smoke, item.callspec.params["change"]), folders, tests)
        return dict(zip([item.name for item in tests], outcomes, strict=True))


@pytest.mark.parametrize(
    ("change", "jobs", "cells"), [((file, text), *stale) for file, text, *stale in EDITS.values()], ids=EDITS
)
def test_an_edit_makes_stale_what_it_touches_and_no_more(request, planned, change, jobs, cells):
    outcome = planned[request.node.name]
    assert outcome.code == 0, outcome.log
    assert outcome.jobs == jobs
    assert outcome.timings == cells


# What is found in the file of variants, and what it becomes; which backend's cells are then stale.
VARIANT_EDITS = {
    "a setting": (
        '"TensorRT",\n        {"cuda_graph": True}',
        '"TensorRT",\n        {"cuda_graph": False}',
        {"time_cell": 2, **TABLE},
        "tensorrt",
    ),
    "a setting that its compiler reads": (
        '"Inductor",\n        {"mode": "reduce-overhead"',
        '"Inductor",\n        {"mode": "default"',
        {"compile_inductor": 2, "time_cell": 2, **TABLE},
        "inductor",
    ),
    "what is said of it": ("Eager PyTorch as users write it", "Eager PyTorch", REPORT, None),
}


@pytest.mark.parametrize(("before", "after", "jobs", "stale"), VARIANT_EDITS.values(), ids=VARIANT_EDITS)
def test_an_edit_of_a_variant_makes_its_own_cells_stale(gpu_tree, before, after, jobs, stale):
    file = gpu_tree / "speedgrid/backends/variants.py"
    text = file.read_text()
    assert text.count(before) == 1
    file.write_text(text.replace(before, after))
    planned = gpu_tree.plan("--configfile", "config/test.yaml")
    assert planned.jobs == jobs
    assert planned.timings == ({f"resnet18-{stale}-fp32-r{size}-b1" for size in (64, 96)} if stale else set())


CHANGES = {
    "a batch size more": (
        {"grid": {"cpu": {"batch_size": [1, 2, 3]}}},
        # Accuracy is measured at the batch size nearest to 32.
        # The control cell is another one, so the reference of before links this session with the first. Where it was,
        # operators are no longer asked for: those cells are timed again.
        {"time_cell": 3 + CONTROLS + 1 + 3, "measure_accuracy": 3, **TABLE},
        {f"resnet18-{backend}-fp32-r64-b3" for backend in ("pytorch", "onnxruntime", "openvino")} | cells_of("b2"),
    ),
    "a resolution more": (
        {"grid": {"cpu": {"resolution": [64, 96]}}},
        # Accuracy is measured at the resolution nearest to 224.
        {**ALL, "prepare_images": 2, "time_cell": 6 + CONTROLS + 1 + 3},
        {cell.replace("r64", "r96") for cell in CELLS} | cells_of("b2"),
    ),
    # The control cell is the first model's.
    "a model more": (
        {"models": ["resnet18", "squeezenet1_1"]},
        {"train_digits": 1, **ALL, "time_cell": 6 + CONTROLS, "draw_plots": 2},
        {cell.replace("resnet18", "squeezenet1_1") for cell in CELLS} | {CONTROL},
    ),
    # Peaks are measured in each precision, in one job.
    "int8": (
        {"grid": {"cpu": {"precision": ["fp32", "int8"]}}},
        {
            "prepare_images": 1,
            "quantize_onnx": 1,
            "measure_peaks": 1,
            "measure_accuracy": 3,
            # With the reference at both batch sizes.
            "time_cell": 6 + CONTROLS + 2,
            **TABLE,
        },
        {cell.replace("fp32", "int8") for cell in CELLS} | cells_of("pytorch"),
    ),
    "a limit of the loss": ({"accuracy": {"max_top1_loss": 0.1}}, TABLE, set()),
    "a backend less": ({"grid": {"cpu": {"backend": ["pytorch", "openvino"]}}}, TABLE, set()),
    "timing settings": ({"timing": {"timed_runs": 60}}, {"time_cell": 6 + CONTROLS, **TABLE}, CELLS),
    "a demand": ({"budget": {"latency_ms": 5}}, SHOWN, set()),
    "a demand on a percentile": ({"budget": {"latency_p99_ms": 5}}, {"time_cell": 6 + CONTROLS, **TABLE}, CELLS),
    "the language": ({"report": {"language": "ru"}}, SHOWN, set()),
    "no costs": ({"timing": {"end_to_end": False}}, {"time_cell": 6, **TABLE}, CELLS),
    "energy, which a CPU does not tell": ({"timing": {"energy_resolutions": [64]}}, SHOWN, set()),
    "another seed": (
        {"model": {"seed": 1}},
        {"train_digits": 1, "prepare_images": 2, **ALL},
        CELLS,
    ),
    "fewer images for accuracy": ({"accuracy": {"images": 100}}, {"prepare_images": 1, **ACCURACY, **TABLE}, set()),
    "random images": (
        {"data": {"images": "random"}},
        {"prepare_images": 1, **WEIGHTS, "time_cell": 6 + CONTROLS, **TABLE},
        CELLS,
    ),
    "another reference": ({"report": {"reference": {"backend": "openvino"}}}, TABLE, set()),
    # Of what users write, params have no more than a checksum.
    "one published table": (
        {"published": [{"file": "config/published/resnet18-fp16-batch33.csv", "title": "</script>"}]},
        {"audit_published": 1, **SHOWN},
        set(),
    ),
}


@pytest.mark.parametrize(("change", "jobs", "cells"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_configuration_makes_stale_what_it_touches_and_no_more(request, planned, change, jobs, cells):
    outcome = planned[request.node.name]
    assert outcome.code == 0, outcome.log
    assert outcome.jobs == jobs
    assert outcome.timings == cells


def test_two_rounds_are_twice_the_timings_and_the_first_one_counts(tree):
    planned = tree.plan(*SMOKE, tree.write_config("change.yaml", {"timing": {"rounds": 2}}))
    assert planned.jobs == {"time_cell": 6 + 3 + 1, **TABLE}
    assert set(re.findall(r"Timing (\S+), round2$", planned.log, re.MULTILINE)) == CELLS
    assert set(re.findall(r"Timing \S+, ([st]\w+)$", planned.log, re.MULTILINE)) == {
        *("twin2", "sentinel4", "sentinel5"),
        "sentinel1s2",  # at the start of this session
    }
    assert re.findall(r"Timing \S+, round1$", planned.log, re.MULTILINE) == []


def another_version(folder, package):
    """Make Python see another version of an installed package: what comes first on its path counts."""
    description = folder / f"{package.replace('-', '_')}-99.9.dist-info" / "METADATA"
    description.parent.mkdir(parents=True)
    description.write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 99.9\n")
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("package", "jobs", "cells"),
    [
        ("openvino", {"time_cell": 2, "measure_accuracy": 1, **TABLE}, cells_of("openvino")),
        # It decodes and preprocesses what each cell is asked for, too.
        ("torchvision", {"time_cell": 6 + CONTROLS, "measure_accuracy": 1, **TABLE}, CELLS),
        pytest.param("psutil", {}, set(), id="psutil, which no fingerprint has"),
    ],
)
def test_another_version_of_a_library_makes_its_own_timings_stale(tree, tmp_path, package, jobs, cells):
    planned = tree.plan(*SMOKE, **another_version(tmp_path / "newer", package))
    assert planned.jobs == jobs
    assert planned.timings == cells


def test_another_version_of_tensorrt_makes_its_engines_and_timings_stale(gpu_tree, tmp_path):
    changed = another_version(tmp_path / "newer", "torch-tensorrt-rtx")
    planned = gpu_tree.plan("--configfile", "config/test.yaml", **changed)
    assert planned.jobs == {"compile_trt": 2, "time_cell": 2, **TABLE}
    assert planned.timings == {"resnet18-torch_tensorrt-fp32-r64-b1", "resnet18-torch_tensorrt-fp32-r96-b1"}


def test_forcing_compile_trt_compiles_and_times_tensorrt_again_and_nothing_else(gpu_tree):
    planned = gpu_tree.plan("--configfile", "config/test.yaml", "--forcerun", "compile_trt")
    assert planned.jobs == {"compile_trt": 2, "time_cell": 2, **TABLE}
    assert planned.timings == {"resnet18-torch_tensorrt-fp32-r64-b1", "resnet18-torch_tensorrt-fp32-r96-b1"}


def test_a_users_checkpoint_makes_everything_of_its_resolution_stale_and_nothing_of_others(gpu_tree):
    shutil.copyfile(gpu_tree / "artifacts/weights/resnet18-r96.pth", gpu_tree / "weights/best_resnet18_64.pth")
    planned = gpu_tree.plan("--configfile", "config/test.yaml")
    assert planned.jobs == {**WEIGHTS, **dict.fromkeys(COMPILERS, 1), "time_cell": 5, **TABLE}
    assert planned.timings == {f"resnet18-{backend}-fp32-r64-b1" for backend in ON_GPU}


def test_a_run_that_was_killed_goes_on_where_it_stopped(tree):
    shutil.rmtree(tree / "report")
    for lost in ("results.csv", "results.parquet", "run.json", "timings/resnet18-onnxruntime-fp32-r64-b2-round1.json"):
        (tree / "artifacts" / lost).unlink()
    planned = tree.plan(*SMOKE)
    assert planned.jobs == {"time_cell": 1 + 1 + CONTROLS, **TABLE}
    assert planned.timings == {"resnet18-onnxruntime-fp32-r64-b2", CONTROL}


def test_what_was_being_measured_when_a_run_was_stopped_is_measured_again_with_no_flag(tree):
    incomplete(tree, "resnet18-pytorch-fp32-r64-b1-round1.json").touch()
    assert tree.plan(*SMOKE).timings == {"resnet18-pytorch-fp32-r64-b1"}


def test_an_edit_of_measuring_code_is_named_as_the_reason_to_measure_again(tree):
    append(tree / "speedgrid/measure/timing.py", "\n# edited\n")
    reasons = re.findall(r"Reason: (Params have changed.*)", tree.plan(*SMOKE).log)
    assert len(reasons) == 6 + CONTROLS
    assert all("speedgrid/measure/timing.py" in one and "speedgrid/measure/cell.py" not in one for one in reasons)


def test_energy_at_a_resolution_times_its_cells_again_and_no_others(gpu_tree):
    wanted = gpu_tree.write_config("change.yaml", {"timing": {"energy_resolutions": [64]}})
    planned = gpu_tree.plan("--configfile", "config/test.yaml", wanted)
    assert planned.jobs == {"time_cell": 5, **TABLE}
    assert planned.timings == {f"resnet18-{backend}-fp32-r64-b1" for backend in ON_GPU}


def test_a_model_that_cannot_be_exported_ends_with_a_report_that_says_so(tree):
    code = tree / "speedgrid/builders/onnx_export.py"
    broken, times = re.subn(
        r"( +)(torch\.onnx\.export\()", r'\1raise RuntimeError("no operator")\n\1\2', code.read_text()
    )
    assert times == 1
    code.write_text(broken)
    outcome = tree.snakemake(*SMOKE)
    assert outcome.code == 0, outcome.log
    report = (tree / "report/report.md").read_text()
    assert "2 of 6 cells have a speed" in report
    for backend in ("onnxruntime", "openvino"):
        assert f"* {backend} fp32, 2 cells: `failed`, ONNX export: RuntimeError: no operator." in report
    assert "There is no ONNX graph to check torch's count with" in report


def incomplete(tree, name):
    """Return the file by which Snakemake marks the record `name` as not known to be whole."""
    return tree / ".snakemake/incomplete" / base64.urlsafe_b64encode(f"artifacts/timings/{name}".encode()).decode()


def measured(tree):
    """Return the names of the records of timings that are there."""
    return {file.name for file in (tree / "artifacts/timings").glob("*.json")}


def killed_in_the_middle(tree):
    """Measure all again, more than is loaded at once, and kill everything with SIGKILL once a record is there.

    Return what was to be measured.
    """
    wanted = measured(tree)
    shutil.rmtree(tree / "report")
    for name in wanted:
        (tree / "artifacts/timings" / name).unlink()
    for lost in ("results.csv", "results.parquet", "run.json"):
        (tree / "artifacts" / lost).unlink()
    with subprocess.Popen(
        [BIN / "snakemake", *SMOKE],
        cwd=tree.folder,
        env=tree.environment(),
        start_new_session=True,
    ) as running:
        while not measured(tree) & wanted:
            time.sleep(0.1)
            assert running.poll() is None
        time.sleep(0.3)  # into the next one
        os.killpg(running.pid, signal.SIGKILL)
    return wanted


def test_a_run_that_is_killed_at_once_leaves_no_half_file_and_resumes_with_what_is_missing(tree):
    before = measured(tree)
    wanted = killed_in_the_middle(tree)
    wait_for(lambda: not processes_in(tree.folder))
    done = measured(tree) & wanted
    assert 1 <= len(done) < len(wanted)
    unnoted = {name for name in done if incomplete(tree, name).exists()}  # whole, but Snakemake had no time to see it
    assert {record.read(tree / "artifacts/timings" / name).status for name in done} == {"ok"}
    assert "--unlock" in tree.snakemake(*SMOKE).log  # Snakemake's own words
    assert tree.snakemake("--unlock", *SMOKE).code == 0
    resumed = tree.snakemake("artifacts/audit.json", *SMOKE)
    assert resumed.code == 0, resumed.log
    added = measured(tree) - before  # the controls of this session
    assert resumed.jobs == {"time_cell": len(wanted - done | unnoted) + len(added), "aggregate": 1, "audit": 1}
    assert {grid.session_number(name.removesuffix(".json")) for name in added} == {2}
    assert measured(tree) >= before
    with (tree / "artifacts/results.csv").open() as file:
        assert {row["status"] for row in csv.DictReader(file)} <= {"ok", "unstable", "busy"}
    assert tree.plan(*SMOKE).jobs == SHOWN  # plots and pages of two sessions are made in tests/test_auto_rounds.py


@pytest.mark.parametrize(
    ("record", "jobs", "cells"),
    [
        (
            "timings/resnet18-openvino-fp32-r64-b1-round1",
            {"time_cell": 1 + 1 + CONTROLS, **TABLE},
            {"resnet18-openvino-fp32-r64-b1", *cells_of("pytorch")},
        ),
        ("accuracy/resnet18-openvino-fp32-r64-b2", {"measure_accuracy": 1, **TABLE}, set()),
        ("onnx/resnet18-fp32-r64", *EDITS["export"][2:]),
    ],
    ids=["timing", "evaluation", "export"],
)
def test_what_failed_is_made_again_after_a_command_and_not_before(tree, record, jobs, cells):
    path = tree / f"artifacts/{record}.json"
    made = path.stat().st_mtime_ns
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "failed", "reason": "killed"}))
    os.utime(path, ns=(made, made))
    assert tree.plan(*SMOKE).jobs == {}
    planned = tree.call(sys.executable, "-m", "scripts.retry", "-n", *SMOKE)
    assert planned.code == 0, planned.log
    assert f"artifacts/{record}.json: failed (killed)" in planned.log
    assert planned.jobs == jobs
    assert planned.timings == cells


def test_the_default_grid_for_a_gpu_is_planned_without_one_and_costs_no_more_a_job_than_a_small_one(place):
    workflow = Workflow.fresh(place)
    _, small = workflow.plan(*SMOKE), workflow.plan(*SMOKE)  # the first one imports
    planned = workflow.plan("--config", "device=cuda")
    assert planned.jobs == {
        "train_digits": 1,
        "prepare_weights": 4,
        "prepare_images": 4 + 1,
        "classify_images": 1,
        "measure_accuracy": 5 * 3,
        "count_flops": 1,
        "audit_published": 1,
        "compute_reference": 4,
        "export_onnx": 8,
        "compile_trt": 96,
        "compile_inductor": 96,
        "measure_peaks": 1,
        "time_cell": 480 + 4,  # with the controls of the first round; what follows it is decided then
        "decide_rounds": 1,
        **TABLE,
    }
    assert len(planned.timings) == 480
    assert planned.cpu_seconds / sum(planned.jobs.values()) < small.cpu_seconds / sum(small.jobs.values())


def test_the_quick_configuration_is_the_default_grid_in_one_round():
    quick = yaml.safe_load((ROOT / "config" / "quick.yaml").read_text())
    default = settings.complete({"device": "cuda"})
    assert settings.complete({"device": "cuda"} | quick) == default | {"timing": default["timing"] | {"rounds": 1}}


def test_a_grid_for_a_gpu_that_is_not_there_ends_well_with_a_reason_in_every_row(without_gpu):
    workflow = without_gpu.workflow
    assert without_gpu.outcome.code == 0
    assert {rule: without_gpu.outcome.jobs[rule] for rule in COMPILERS} == dict.fromkeys(COMPILERS, 2)
    with (workflow / "artifacts/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert {(row["status"], row["latency_ms"]) for row in rows} == {("unavailable", "")}
    assert {row["reason"] for row in rows} == {"no NVIDIA GPU on this machine: NVML finds no device or no driver"}
    report = (workflow / "report/report.md").read_text()
    assert "0 of 10 cells have a speed" in report
    for backend in ON_GPU:
        assert f"* {backend} fp32, 2 cells: `unavailable`, no NVIDIA GPU on this machine" in report
    texts = [report, without_gpu.outcome.log, *(file.read_text() for file in workflow.folder.rglob("logs/**/*.log"))]
    records = [file.read_text() for file in (workflow / "artifacts/timings").iterdir()]
    texts += [text.replace('"traceback": null', "") for text in records]
    assert len(texts) > 20
    assert [text for text in texts if "raceback" in text] == []


def test_a_changed_image_of_the_users_makes_its_own_part_stale_and_no_other(place, tmp_path):
    from PIL import Image

    from speedgrid.data import open_source

    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(40):
        Image.new("L", (80, 80), number).save(photos / f"{number}.png")
    tree = Workflow.fresh(place)
    config = tree.write_config("photos.yaml", {"data": {"images": str(photos)}})
    files = [f"artifacts/images/{part}-r64.npy" for part in ("calibration", "evaluation")]
    assert tree.snakemake(*files, *SMOKE, config).jobs == {"prepare_images": 2}
    assert tree.plan(*files, *SMOKE, config).jobs == {}
    Image.new("L", (80, 80), 255).save(open_source(str(photos), 0).paths("evaluation")[0])
    assert tree.plan(files[0], *SMOKE, config).jobs == {}
    assert tree.plan(files[1], *SMOKE, config).jobs == {"prepare_images": 1}


def test_no_rule_writes_into_the_users_weights(without_gpu):
    for rules in (ROOT / "rules").glob("*.smk"):
        for output in re.findall(r"^    output:\n(.*?)^    \w+:", rules.read_text(), re.MULTILINE | re.DOTALL):
            paths = re.findall(r'"([^"]+/[^"]+)"', output)
            allowed = ("artifacts/", "report/", "deploy/", "../templates/")
            assert [path for path in paths if not path.startswith(allowed)] == []
    assert [path.name for path in (without_gpu.workflow / "weights").iterdir()] == ["README.md"]


def test_a_table_that_cannot_be_true_stops_the_report_with_the_row_and_the_arithmetic(tree):
    import pandas as pd

    path = tree / "artifacts/results.parquet"
    results = pd.read_parquet(path)
    results.loc[0, "fps"] *= 2
    results.to_parquet(path, index=False)
    before = (tree / "report/report.md").read_text()
    outcome = tree.forked(*SMOKE)
    assert outcome.code != 0
    assert "FPS x latency" in outcome.log  # Snakemake shows the log of a job that failed
    assert (tree / "report/report.md").read_text() == before
