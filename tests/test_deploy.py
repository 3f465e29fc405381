"""`snakemake deploy` after a finished run, and its folders where nothing is but what they require."""

import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from processes import python, run
from workflow import BIN, SMOKE

from speedgrid.handover import folder
from speedgrid.launcher.reading import read_json
from speedgrid.table import saved
from speedgrid.table.run import Description

pytest_plugins = ["workflow"]

BACKENDS = ("onnxruntime", "openvino", "pytorch")
DONE_AGAIN = {"deploy": 1, "hand_over": 1}
# With quotes and mark-up: names of files are data.
PHOTOGRAPH = "a 'photograph' of {x} <b>.png"


@pytest.fixture(scope="module")
def handed(smoke, tmp_path_factory):
    """Return a copy of the finished run with its folder, and what Snakemake said of it."""
    base = tmp_path_factory.mktemp("deploy")
    tree = smoke.workflow.copy(base / "tree")
    outcome = tree.forked("deploy", *SMOKE)
    assert outcome.code == 0, outcome.log
    yield tree, outcome
    shutil.rmtree(base, ignore_errors=True)


def about(path):
    return json.loads((path / "model.json").read_text())


def best(tree, column, largest):
    """Return the axes of the best row of a table for a column."""
    table = pd.read_csv(tree / "artifacts/results.csv")
    table = table[table.latency_ms.notna()].sort_values(column, ascending=not largest)
    return table.iloc[0][["backend", "precision", "resolution", "batch_size"]].to_dict()


def test_nothing_is_measured_or_built_for_it(handed):
    assert handed[1].jobs == DONE_AGAIN


def test_the_folder_says_that_its_weights_are_a_stand_in(handed):
    text = (handed[0] / "deploy/resnet18/README.md").read_text()
    assert "**Not deployable as it is.** Its weights are trained on handwritten digits" in text
    assert "weights/best_resnet18_64.pth" in text


def test_the_reports_answer_has_the_command(smoke):
    text = (smoke.workflow / "report/report.md").read_text()
    page = text[: text.index('<a id="findings"></a>')]
    answer = next(line for line in page.splitlines() if "`make deploy`" in line)
    assert "`deploy/resnet18/`" in answer
    assert "`weights/best_resnet18_64.pth`" in answer


def test_done_once_it_is_not_done_again(handed):
    assert handed[0].plan("deploy", *SMOKE).jobs == {}


def test_it_is_no_part_of_a_run_and_makes_nothing_of_one_stale(handed):
    assert handed[0].plan(*SMOKE).jobs == {}


def test_another_objective_makes_the_folder_again_and_nothing_else(handed):
    assert handed[0].plan("deploy", *SMOKE, "--config", "deploy={objective: latency}").jobs == DONE_AGAIN


def test_another_demand_or_program_makes_it_again(handed, tmp_path):
    tree = handed[0]
    assert tree.plan("deploy", *SMOKE, "--config", "minimum_fps=1").jobs == DONE_AGAIN | {"describe_run": 1}
    other = tree.copy(tmp_path / "tree")
    program = other / "templates/deploy/shared/check.py"
    program.write_text(program.read_text() + "\n")
    assert other.plan("deploy", *SMOKE).jobs == DONE_AGAIN


def test_another_objective_hands_over_another_setting(handed, tmp_path):
    tree = handed[0].copy(tmp_path / "tree")
    outcome = tree.forked("deploy", *SMOKE, "--config", "deploy={objective: latency}")
    assert outcome.code == 0, outcome.log
    found = about(tree / "deploy/resnet18")
    assert {axis: found[axis] for axis in ("backend", "precision", "resolution", "batch_size")} == best(
        tree, "latency_ms", largest=False
    )


def test_where_nothing_is_recommended_it_ends_with_one_sentence(handed, tmp_path):
    tree = handed[0].copy(tmp_path / "tree")
    outcome = tree.forked("deploy", *SMOKE, "--config", "minimum_fps=1000000000")
    assert outcome.code != 0
    assert "there is nothing to hand over of resnet18, as the report recommends nothing for throughput" in outcome.log
    assert "Traceback" not in outcome.log
    assert not (tree / "deploy/resnet18").exists()


def write(tree, backend, out):
    """Write the folder of a backend's setting of a finished run, whichever is recommended; return its path."""
    table, description = (
        saved.read(tree / "artifacts/results.parquet"),
        read_json(tree / "artifacts/run.json", Description),
    )
    row = table[(table.backend == backend) & (table.batch_size == 2)].iloc[0]
    kind = "weights/{model}-r{resolution}.pth" if backend == "pytorch" else "onnx/{model}-fp32-r{resolution}.onnx"
    patterns = {name: str(tree / getattr(folder.Places, name)) for name in ("described", "logits", "timing")}
    patterns["images"] = {"resnet18": str(tree / "artifacts/images/reference-r{resolution}.npy")}
    places = folder.Places({f"resnet18-{backend}-fp32": str(tree / "artifacts" / kind)}, **patterns)
    folder.write(row, description, "throughput", places, tree / "templates/deploy", out)
    return out


@pytest.fixture(params=BACKENDS)
def fresh(request, smoke, tmp_path):
    """Return the folder of a backend, and the Python of an environment that has what it requires, and nothing else."""
    out = write(smoke.workflow, request.param, tmp_path / "deploy" / "resnet18")
    environment = tmp_path / "environment"
    run(BIN / "uv", "venv", "--quiet", environment)
    install = ("pip", "install", "--quiet", "--python", environment, "--requirement", out / "requirements.txt")
    run(BIN / "uv", *install)
    yield out, environment / "bin/python"
    shutil.rmtree(environment)  # gigabytes of links


def test_a_folder_works_where_nothing_is_but_what_it_requires(fresh):
    out, interpreter = fresh
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(out / PHOTOGRAPH)
    # Speed is what a busy machine changes: 2 says that it alone differs.
    checked = run(interpreter, "check.py", cwd=out, code=None)
    assert checked.returncode in (0, 2), checked.stdout + checked.stderr
    assert "answers: those of the report" in checked.stdout
    assert "speed: " in checked.stdout
    assert " in the report: figures may differ" not in checked.stdout  # the machine, and the versions
    said = run(interpreter, "predict.py", PHOTOGRAPH, cwd=out).stdout
    assert said.startswith(f"{PHOTOGRAPH!r}: class ")
    assert run(interpreter, "-c", "import speedgrid", cwd=out, code=None).returncode == 1


def check(out):
    """Check a folder in this environment, and return the exit code and what it said."""
    done = python("check.py", cwd=out, code=None)
    return done.returncode, done.stdout


@pytest.fixture
def onnx_folder(smoke, tmp_path):
    return write(smoke.workflow, "onnxruntime", tmp_path / "deploy" / "resnet18")


def test_a_model_with_other_answers_is_found_out(onnx_folder):
    from onnx import load, numpy_helper, save

    model = load(onnx_folder / "model.onnx")
    for tensor in model.graph.initializer:  # rounded as float16 would
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16).astype(np.float32), tensor.name))
    save(model, onnx_folder / "model.onnx")
    code, said = check(onnx_folder)
    assert code == 1
    assert "answers: NOT those of the report" in said


@pytest.mark.parametrize(("factor", "word"), [(1e3, "FASTER"), (1e-3, "SLOWER")])
def test_another_speed_and_another_machine_are_said(onnx_folder, factor, word):
    known = about(onnx_folder)
    for name in ("latency_ms", "latency_ms_low", "latency_ms_high"):
        known["report"][name] *= factor
    known["report"]["device_name"] = "Another 'CPU'"
    (onnx_folder / "model.json").write_text(json.dumps(known))
    code, said = check(onnx_folder)
    assert code == 2
    assert f"speed: {word} than the report's" in said
    assert "and \"Another 'CPU'\" in the report: figures may differ" in said


def test_any_number_of_images_has_the_answers_of_single_ones(onnx_folder):
    code = (
        "import numpy as np; from predict import Model; m = Model(); x = np.load('reference.npz')['inputs0'][:3]\n"
        "[whole] = m(x); single = np.concatenate([m(x[i:i + 1])[0] for i in range(3)])\n"
        "assert len(whole) == 3; np.testing.assert_allclose(whole, single, rtol=1e-4, atol=1e-4)"
    )
    python("-c", code, cwd=onnx_folder)


def test_make_deploy_hands_its_words_on(smoke, place):
    tree = smoke.workflow.copy(place)
    command = ["make", "-n", "-o", "setup", "deploy", "FOR=latency", "CONFIG=config/smoke.yaml"]
    said = subprocess.run(command, cwd=tree.folder, capture_output=True, text=True, check=True).stdout
    assert (
        "snakemake deploy --keep-going --configfile 'config/smoke.yaml' --config 'deploy={objective: latency}'" in said
    )
