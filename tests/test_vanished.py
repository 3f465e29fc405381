"""Each input and each output of a finished run, removed in turn: an input is missed, a result comes back."""

import fnmatch
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import pytest
from workflow import SMOKE, Workflow

from speedgrid.model import checkpoints

pytest_plugins = ["workflow"]

# What timings are made from. It comes back when something has to be made from it, not before: every timing would be
# stale with it.
WORKING = (
    "artifacts/weights/*",
    "artifacts/images/*",
    "artifacts/references/*",
    "artifacts/onnx/*",
    "artifacts/config.json",
)
PAGES = {"render_pages"}
REPORT = {"render_report"} | PAGES  # in this order
SHOWN = {"describe_run", "draw_plots"} | REPORT
TABLE = {"aggregate", "audit"} | SHOWN
# The rules that run again for each result that is gone; of a kind of results one stands for all.
RESULTS = {
    "report/report.md": REPORT,
    "report/explorer.html": PAGES,
    "report/results.html": PAGES,
    "report/plots/resnet18-*.png": {"draw_plots"} | REPORT,
    "artifacts/results.csv": TABLE,
    "artifacts/summary.json": TABLE,
    "artifacts/run.json": SHOWN,
    "artifacts/audit.json": {"audit"} | REPORT,
    "artifacts/published.json": {"audit_published"} | REPORT,
    "artifacts/flops.json": {"count_flops", "audit_published"} | TABLE,
    "artifacts/peaks.json": {"measure_peaks"} | TABLE,
    "artifacts/accuracy/resnet18-openvino-*.json": {"measure_accuracy"} | TABLE,
    "artifacts/timings/resnet18-onnxruntime-*-b2-round1.json": {"time_cell"} | TABLE,
    "artifacts/timings/*-twin1.json": {"time_cell"} | TABLE,
}


def produced(workflow):
    """Return the paths of all that a run has made, from its folder."""
    found = [file for name in ("artifacts", "report") for file in (workflow / name).rglob("*") if file.is_file()]
    return sorted(str(file.relative_to(workflow.folder)) for file in found)


def without(workflow, name, *configs):
    """Return what Snakemake says that it would do where a file or folder is gone, and put it back as it was."""
    aside = workflow.folder.with_name(f"{workflow.folder.name}-aside")
    (workflow / name).rename(aside)
    try:
        return workflow.dry_run(*SMOKE, *configs)
    finally:
        aside.rename(workflow / name)


@pytest.fixture(scope="module")
def copies(smoke, tmp_path_factory):
    """Return two copies of the finished run for two threads, from which tests take files and put them back."""
    folder = tmp_path_factory.mktemp("copies")
    yield [smoke.workflow.copy(folder / name) for name in ("one", "other")]
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def removed(copies):
    """Return, for each of RESULTS, what Snakemake would do without it; two at a time, for each takes one core."""
    files = [fnmatch.filter(produced(copies[0]), pattern)[0] for pattern in RESULTS]
    free = Queue()
    for tree in copies:
        free.put(tree)

    def planned(file):
        tree = free.get()
        try:
            return file, without(tree, file)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(copies)) as pool:
        return dict(zip(RESULTS, pool.map(planned, files), strict=True))


@pytest.mark.parametrize(("pattern", "rules"), RESULTS.items())
def test_a_result_that_is_gone_comes_back_with_what_follows_from_it_and_no_more(removed, pattern, rules):
    file, outcome = removed[pattern]
    assert outcome.code == 0, outcome.log
    assert set(outcome.jobs) == rules
    assert file in outcome.log
    cell = file.removeprefix("artifacts/timings/").rsplit("-", 1)[0]
    # Measured in a session of its own, beside the reference, which is the control cell there.
    assert outcome.timings == ({cell, "resnet18-pytorch-fp32-r64-b2"} if "time_cell" in rules else set())


def test_everything_that_a_run_makes_is_asked_for_but_for_what_timings_are_made_from(copies):
    outcome = copies[0].dry_run("--forcerun", "all", *SMOKE)
    [asked] = [line for line in outcome.log.splitlines() if line.startswith("    input: report/report.md")]
    wanted = set(asked.removeprefix("    input: ").split(", "))
    working = {file for pattern in WORKING for file in fnmatch.filter(produced(copies[0]), pattern)}
    assert len(working) >= 10
    assert wanted == set(produced(copies[0])) - working


def test_what_timings_are_made_from_may_go_and_nothing_is_measured_again(copies):
    for name in ("artifacts/weights/resnet18-r64.json", "artifacts/onnx", "artifacts/images", "artifacts/weights"):
        outcome = without(copies[0], name)
        assert (outcome.code, outcome.jobs) == (0, {}), outcome.log


def test_results_that_are_gone_come_back_and_a_page_that_cannot_be_rendered_does_not_stop_the_report(smoke, place):
    tree = smoke.workflow.copy(place)
    gone = ("report/report.md", "report/explorer.html", "artifacts/audit.json")
    for name in gone:
        (tree / name).unlink()
    page = tree / "templates/explorer.html.j2"
    whole = page.read_text()
    page.write_text(whole + "{{ 1 / 0 }}")
    outcome = tree.forked(*SMOKE)
    assert outcome.code != 0
    assert "ZeroDivisionError" in outcome.log
    assert [(tree / name).exists() for name in gone] == [True, False, True]
    assert "6 of 6 cells have a speed" in (tree / "report/report.md").read_text()
    page.write_text(whole)
    outcome = tree.forked(*SMOKE)
    assert outcome.code == 0, outcome.log
    assert set(outcome.jobs) == PAGES
    assert [name for name in produced(smoke.workflow) if not (tree / name).exists()] == []


# Of the workflow's own, with a result that is there: Snakemake would take the result for a source file.
OWN = (
    "config/hardware.yaml",
    "templates/report.md.j2",
    "templates/explorer.html.j2",
    "templates/results.html.j2",
    "scripts/aggregate.py",
    "scripts/audit_published.py",
)


@pytest.mark.parametrize("name", OWN)
def test_a_file_of_the_workflow_that_is_gone_is_an_error_before_any_job(copies, name):
    outcome = without(copies[0], name)
    refused(outcome, back(name))


def test_the_catalogue_of_the_reports_language_that_is_gone_is_an_error_before_any_job(copies):
    config = copies[0].write_config("russian.yaml", {"report": {"language": "ru"}})
    sentence = (
        "languages/ru.po is not there; it is a part of speedgrid, and `git checkout languages/ru.po` brings it back."
    )
    refused(without(copies[0], "languages/ru.po", config), sentence)


@pytest.mark.parametrize("name", ["templates/sections/answer.md.j2", "languages/ru.po", "speedgrid/table/limiter.py"])
def test_where_one_of_many_is_gone_what_was_made_of_them_is_stale(copies, name):
    assert without(copies[0], name).jobs.get("render_report") == 1


def back(name):
    """Return the sentence on a file of the workflow that is gone."""
    return f"{name} is not there; it is a part of speedgrid, and `git checkout {name}` brings it back."


def refused(outcome, sentence):
    """Check that Snakemake ended before any job, with one sentence."""
    assert outcome.code != 0
    assert sentence in outcome.log.splitlines()
    assert "Job stats" not in outcome.log
    assert "Traceback" not in outcome.log


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("config/published/resnet18-rtx4060-laptop.csv", "which is not there; it must be a CSV file that can be read."),
        (
            "config/published/resnet18-rtx4060-laptop.yaml",
            "whose description 'config/published/resnet18-rtx4060-laptop.yaml' is not there, though it was audited "
            "with it; put it back, or remove artifacts/published.json to audit it without.",
        ),
    ],
)
def test_a_published_table_or_its_description_that_is_gone_is_an_error_and_no_old_verdict(copies, name, end):
    table = "config/published/resnet18-rtx4060-laptop.csv"
    refused(without(copies[0], name), f"config key published.0 is {table!r}, {end}")


def test_a_table_that_was_never_there_is_an_error_beside_the_verdicts_on_another(copies):
    config = copies[0].write_config("typo.yaml", {"published": ["conf/typo.csv"]})
    sentence = "config key published.0 is 'conf/typo.csv', which is not there; it must be a CSV file that can be read."
    refused(copies[0].dry_run(*SMOKE, config), sentence)


def test_a_checkpoint_that_results_were_measured_with_and_that_is_gone_is_an_error(smoke, place):
    tree = smoke.workflow.copy(place)
    path, described = "weights/best_resnet18_64.pth", "artifacts/weights/resnet18-r64.json"
    origin = json.loads((tree / described).read_text())
    (tree / described).write_text(json.dumps(origin | {"own": True, "source": path}))
    which = f"config key model.weights is {checkpoints.DEFAULT!r}, and for resnet18 at 64 pixels {path!r}"
    refused(
        tree.dry_run(*SMOKE),
        f"{which} is not there, though the results of this folder were measured with it; "
        f"put it back, or remove {described} to measure without it.",
    )
    (tree / path).symlink_to("/nowhere/best.pth")
    refused(
        tree.dry_run(*SMOKE),
        f"{which} is a link to '/nowhere/best.pth', which is not there; it must be a file that can be read.",
    )
    # The way out that the first sentence names.
    (tree / path).unlink()
    (tree / described).unlink()
    assert tree.plan(*SMOKE).code == 0


# What can be wrong in a tree in which nothing was ever measured, and the sentence.
FRESH = {
    "no table": (
        {"published": [""]},
        "config key published.0 is ''; it must be text that is not empty.",
    ),
    "a folder for a table": (
        {"published": [{"file": "config"}]},
        "config key published.0 is 'config', which is no file but a folder; it must be a CSV file that can be read.",
    ),
    "a table with braces": (
        {"published": ["config/{model}.csv"]},
        "config key published.0 is 'config/{model}.csv', which has a brace in its path, where the rules of the "
        "workflow have placeholders; it must be a CSV file that can be read.",
    ),
    "a checkpoint nowhere": (
        {"model": {"weights": "~/speedgrid/{model}.pth"}},
        "config key model.weights is '~/speedgrid/{model}.pth', and for resnet18 at 64 pixels "
        "'HOME/speedgrid/resnet18.pth' is not there; put a checkpoint there, or leave the key out to measure with "
        "weights that need none.",
    ),
    "a folder for a checkpoint": (
        {"model": {"weights": "weights"}},
        "config key model.weights is 'weights', and for resnet18 at 64 pixels 'weights' is no file but a folder; "
        "it must be a file that can be read.",
    ),
    "a file for images": (
        {"data": {"images": "README.md"}},
        "config key data.images is 'README.md', which is no folder but a file; "
        "it must be digits, random or a folder that can be read.",
    ),
    "images in a home that is not there": (
        {"data": {"images": "~/photos"}},
        "config key data.images is 'HOME/photos', which is not there; "
        "it must be digits, random or a folder that can be read.",
    ),
    "a model nowhere": (
        {"models": ["resnet18", "mobilenet_v3"]},
        "config key models has 'mobilenet_v3'; its entries must be torchvision "
        "models that classify, segment or detect, such as "
        "mobilenet_v2, mobilenet_v3_small, mobilenet_v3_large.",
    ),
}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """Return a tree in which nothing was ever measured."""
    return Workflow.fresh(tmp_path_factory.mktemp("untouched") / "tree")


@pytest.mark.parametrize(("change", "sentence"), FRESH.values(), ids=FRESH)
def test_an_input_that_is_not_there_ends_a_dry_run_in_one_sentence(untouched, change, sentence):
    config = untouched.write_config("change.yaml", change)
    home = str(untouched.folder.parent)
    refused(untouched.dry_run(*SMOKE, config, HOME=home), sentence.replace("HOME", home))


def test_a_checkpoint_may_have_a_space_in_its_path(untouched):
    (untouched / "my weights").mkdir()
    (untouched / "my weights/one.pth").touch()
    config = untouched.write_config("change.yaml", {"model": {"weights": "my weights/one.pth"}})
    outcome = untouched.plan("artifacts/weights/resnet18-r64.pth", "--printshellcmds", *SMOKE, config)
    assert " --checkpoint 'my weights/one.pth' " in outcome.log
    assert outcome.jobs == {"prepare_weights": 1}
