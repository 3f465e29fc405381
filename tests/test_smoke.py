"""The smallest grid, from nothing to its report, for real on the CPU: run once, looked at from all sides."""

import json
import os
import re
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from processes import python, run
from workflow import CELLS, PLOTS, SMOKE, Workflow

from speedgrid import record
from speedgrid.measure import slices
from speedgrid.measure.probes import request
from speedgrid.table import limiter
from speedgrid.table.verdict import judge, parity_of
from speedgrid.text.names import NAMES

pytest_plugins = ["workflow"]


@pytest.fixture(scope="module")
def records(smoke):
    """Return the records of the run by their cell's name."""
    files = sorted((smoke.workflow / "artifacts/timings").glob("*-round1.json"))
    return {file.name.removesuffix("-round1.json"): record.read(file) for file in files}


@pytest.fixture(scope="module")
def table(smoke):
    """Return the results as a reader of the CSV file has them."""
    return pd.read_csv(smoke.workflow / "artifacts/results.csv")


@pytest.fixture(scope="module")
def report(smoke):
    """Return the text of the report."""
    return (smoke.workflow / "report/report.md").read_text()


def names(table):
    """Return the cell of every row."""
    return [
        f"{row.model}-{row.backend}-{row.precision}-r{row.resolution}-b{row.batch_size}" for row in table.itertuples()
    ]


def test_every_rule_ran_as_often_as_the_grid_asks(smoke):
    assert smoke.outcome.jobs == {
        "train_digits": 1,
        "prepare_weights": 1,
        "count_flops": 1,
        "prepare_images": 2,
        "classify_images": 1,
        "measure_accuracy": 3,
        "compute_reference": 1,
        "export_onnx": 1,
        "measure_peaks": 1,
        "time_cell": 6 + 4,  # and the controls of the run
        "aggregate": 1,
        "audit": 1,
        "describe_run": 1,
        "audit_published": 1,
        "draw_plots": 1,
        "render_pages": 1,
        "render_report": 1,
    }
    assert smoke.outcome.timings == CELLS


def test_snakemake_rests_while_jobs_run(smoke):
    # It chooses jobs at the start and when one has ended, not once a second: that costs a core beside the timings.
    assert 1 < smoke.outcome.log.count("Ready jobs: ") <= sum(smoke.outcome.jobs.values()) + 1


def test_the_table_has_one_row_for_each_cell_and_all_have_a_proven_speed(table):
    assert sorted(names(table)) == sorted(CELLS)
    # Whether a row is stable depends on what else the machine does during the test.
    assert set(table.status) <= {"ok", "unstable", "busy"}, table.reason.tolist()
    assert (table.observed_precision == "fp32").all()
    numbers = ["latency_ms", "fps", "tflops", "memory_mb", "snr_db", "tflops_peak"]
    assert (table[numbers] > 0).all(axis=None)
    reference = table[table.backend == "pytorch"]
    assert (reference.speedup == 1).all()


def test_the_arithmetic_was_counted_twice_and_the_device_measured(smoke):
    counted = json.loads((smoke.workflow / "artifacts/flops.json").read_text())
    [(model, sizes)] = counted.items()
    [(size, image)] = sizes.items()
    assert (model, size) == ("resnet18", "64")
    assert image["flop"] == image["onnx_flop"] == 297_115_648
    assert len(image["layers"]) == 21
    measured = json.loads((smoke.workflow / "artifacts/peaks.json").read_text())
    assert measured["copy_gb_s"] > 0.1
    assert measured["idle_power_w"] is None


def test_every_row_says_what_limits_it(table):
    assert set(table.limiter) <= set(limiter.WORDS)


def test_csv_and_parquet_hold_the_same(smoke, table):
    parquet = pd.read_parquet(smoke.workflow / "artifacts/results.parquet")
    parquet = parquet.replace({"reason": {"": None}}).fillna(np.nan)  # CSV has no empty text and no None
    pd.testing.assert_frame_equal(parquet, table, check_dtype=False, check_exact=False, rtol=1e-9)


def test_a_record_has_samples_the_environment_and_what_really_ran(records):
    assert set(records) == CELLS
    for name, one in records.items():
        assert one.status == "ok"
        assert judge(one).observed == "fp32"
        # On a busy machine a cell's time may be over before its count is reached; it then says so.
        fewest = slices.FEWEST_RUNS if one.seen.samples.capped else one.asked.timed_runs
        assert len(one.host_ms) >= fewest
        assert min(one.host_ms) > 0
        assert parity_of(one).snr_db > 90
        assert re.match(r"[\d.]+", one.seen.details["version"])[0] in one.fingerprint
        assert one.environment["device_name"] in one.fingerprint
        assert one.command.startswith(
            f"python -m scripts.time_cell {name} --config artifacts/config.json --turn round1 "
        )


def test_timings_start_warm_from_the_launcher(records):
    # Warm it takes a millisecond, cold a second; both more on a busy machine.
    program = "import time; began = time.perf_counter(); import torch; print(time.perf_counter() - began)"
    cold = min(float(python("-c", program).stdout) for _ in range(2))
    for backend in {one.cell.backend for one in records.values()}:
        warm = [one.seen.seconds["import"] for one in records.values() if one.cell.backend == backend]
        assert min(warm) < cold / 3, backend


def test_a_records_command_measures_its_cell_again_alone(smoke, records, place):
    again = smoke.workflow.copy(place)
    for file in (again / "artifacts/timings").iterdir():
        file.unlink()

    def repeat(one):
        command = shlex.split(one.command)
        assert command[0] == "python"
        return again.call(sys.executable, *command[1:])

    one_each = {name: one for name, one in records.items() if one.cell.batch_size == 1}
    assert len(one_each) == 3
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(repeat, one_each.values()))
    assert [outcome.log for outcome in outcomes if outcome.code] == []
    for name, old in one_each.items():
        new = record.read(again / f"artifacts/timings/{name}-round1.json")
        assert new.status == "ok", new.reason
        for key in ("asked", "fingerprint", "command"):
            assert getattr(new, key) == getattr(old, key)
        assert judge(new).observed == judge(old).observed
        assert new.host_ms != old.host_ms


def test_the_launcher_is_gone_and_so_is_its_folder(smoke):
    temporary = smoke.workflow.environment()["TMPDIR"]
    assert [path.name for path in Path(temporary).iterdir() if path.name.startswith("speedgrid-")] == []
    lines = run("ps", "-ww", "-eo", "args").stdout
    assert [line for line in lines.splitlines() if temporary in line] == []


def test_nothing_is_written_into_the_users_weights(smoke):
    assert [path.name for path in (smoke.workflow / "weights").iterdir()] == ["README.md"]


def test_only_what_git_ignores_was_generated(smoke):
    tracked = {path.name for path in Workflow.fresh(smoke.workflow.folder.with_name("before")).folder.iterdir()}
    found = {path.name for path in smoke.workflow.folder.iterdir()}
    assert found - tracked == {".snakemake", "artifacts", "logs", "report"}


def test_a_second_run_has_nothing_to_do(smoke):
    before = smoke.workflow.generated()
    outcome = smoke.workflow.forked(*SMOKE)
    assert outcome.code == 0
    assert "Nothing to be done" in outcome.log
    assert outcome.jobs == {}
    assert smoke.workflow.generated() == before


def test_the_report_names_every_cell_and_its_numbers(report, table):
    sections = dict(re.findall(r"^### ([\w ]+), fp32\n(.*?)(?=^#)", report, re.MULTILINE | re.DOTALL))
    assert set(sections) == {"PyTorch", "ONNX Runtime", "OpenVINO"}
    for row in table.itertuples():
        lines = re.findall(
            rf"^\| {row.resolution} \| {row.batch_size} \|.*$", sections[NAMES[row.backend]], re.MULTILINE
        )
        assert len(lines) == 1
        shown = float(lines[0].split("|")[3].strip(" [").partition("]")[0])
        assert shown == pytest.approx(row.latency_ms, rel=0.01)
        assert lines[0].endswith(f"| {row.status} |")
    assert "6 of 6 cells have a speed" in report


def test_every_link_of_the_report_leads_to_a_file_and_every_plot_is_there(smoke, records, report):
    links = re.findall(r"\]\(([^)]+)\)", report)
    files = [link for link in links if "#" not in link]
    assert len(files) == 2 * len(PLOTS) + 2
    assert {"explorer.html", "results.html"} < set(files)
    for link in files:
        assert (smoke.workflow / "report" / link).stat().st_size > 1000, link
    # Settings of page one lead to their cell in the explorer, other links to a place of the report itself.
    own = {link for link in links if link.startswith("#")}
    cells = set(links) - {*files, *own}
    assert cells
    assert cells <= {f"explorer.html#cell={name}" for name in records}
    assert own <= {f"#{place}" for place in re.findall(r'<a id="([^"]+)"></a>', report)}
    assert re.findall(r"!\[([^]]+)\]", report) == list(PLOTS.values())


def test_the_report_says_where_weights_come_from_and_gives_its_own_command(report, records):
    assert "At 64 pixels the weights are trained on handwritten digits, seed 0" in report
    assert records["resnet18-pytorch-fp32-r64-b1"].command in report


def test_the_model_was_trained_and_its_accuracy_is_in_every_row(smoke, table, report):
    how = json.loads((smoke.workflow / "artifacts/weights/digits-resnet18.json").read_text())
    assert how["canvas"] == 64
    assert how["top1_held_out"] > 0.9
    assert ((table.top1 > 0.85) & (table.top1_low < table.top1) & (table.top1 < table.top1_high)).all()
    # The same arithmetic but for the order of its sums: no image may change its class.
    assert (table.agreement == 1).all()
    assert (table.top1_loss == 0).all()
    shown = re.findall(r"^\| resnet18 \| [\w ]+ fp32 \| ([\d.]+) \(.* \| 100.0 \|$", report, re.MULTILINE)
    assert [float(share) for share in shown] == [pytest.approx(100 * table.top1[0], abs=0.06)] * 3


def test_no_image_is_in_two_parts(smoke):
    images = [np.load(smoke.workflow / f"artifacts/images/{part}-r64.npy") for part in ("reference", "evaluation")]
    assert [part.shape for part in images] == [(64, 3, 64, 64), (200, 3, 64, 64)]
    assert len({image.tobytes() for part in images for image in part}) == 64 + 200


def test_weights_that_were_trained_on_small_images_know_large_ones(smoke):
    from speedgrid.data.digits import Digits
    from speedgrid.model import modules as models
    from speedgrid.model import training

    digits = Digits(0)
    model = models.load("resnet18", smoke.workflow / "artifacts/weights/digits-resnet18.pth")
    models.calibrate(model, training.calibration(digits, 224))
    assert training.top1(model, digits, "evaluation", 224, 64) > 0.85


def test_precisions_are_told_apart_on_trained_weights_too(smoke):
    expected = json.loads((smoke.workflow / "artifacts/references/expected-resnet18-r64.json").read_text())["snr_db"]
    assert expected["fp32"] > expected["tf32"] + 30
    assert expected["tf32"] > expected["bf16"] + 15
    assert expected["fp16"] > expected["bf16"] + 10


def test_snakemakes_own_report_has_every_plot_and_table_and_needs_no_new_run_for_a_caption(smoke, place):
    copy = smoke.workflow.copy(place)
    caption = copy / "templates/captions/fps_over_resolution.rst"
    caption.write_text(caption.read_text() + "\nThis caption was edited.\n")
    assert copy.plan(*SMOKE).jobs == {}
    outcome = copy.snakemake("--report", *SMOKE)
    assert outcome.code == 0, outcome.log
    html = copy / "report.html"
    assert html.stat().st_size > 1_000_000
    text = html.read_text()
    words = ("Answer", "Plots", "Tables", "The run", *PLOTS.values())
    missing = [word for word in words if f'"{word}"' not in text]
    assert missing == []
    assert "This caption was edited." in text


def test_a_run_describes_itself(smoke):
    run = json.loads((smoke.workflow / "artifacts/run.json").read_text())
    assert sum(run["statuses"].values()) == 6
    assert [name in CELLS for name in run["commands"]] == [True] * len({name.split("-")[1] for name in CELLS})
    assert run["config"]["device"] == "cpu"
    assert run["machine"]["commit"] is None  # the copy is not in git
    assert run["threads"] <= os.cpu_count()


def test_every_cell_of_the_first_round_says_what_its_request_costs(records, table, smoke):
    for one in records.values():
        found = one.seen.probes["request"]
        assert set(found["samples"]) == {"preprocess_cpu", "call", "end_to_end_cpu"}, found
        assert found["photograph"] == [107, 143]
        assert all(len(sample["host_ms"]) >= request.FEWEST_TURNS for sample in found["samples"].values())
    assert (table.preprocess_cpu_ms > 0).all()
    assert (table.call_ms > 0).all()
    assert "What a user pays end to end" in (smoke.workflow / "report/report.md").read_text()
    others = (smoke.workflow / "artifacts/timings").glob("*-twin*.json")
    assert {"request" in record.read(path).seen.probes for path in others} == {False}
