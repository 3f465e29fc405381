"""The workflow's own folder: it is run from there, has its caches there, and its jobs find its code first."""

import os
import subprocess
import sys

import pytest
from workflow import BIN, ROOT, SMOKE, Workflow

from speedgrid.launcher import folder


@pytest.fixture
def environment(monkeypatch):
    """Return what there is in the environment; a test changes it, and it is as before afterwards."""
    for name in (*folder.CACHES, "PYTHONPATH", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_caches_are_in_the_folder_unless_the_user_says_where(environment):
    environment.setenv("MPLCONFIGDIR", "/mine")
    folder.prepare_environment()
    assert os.environ["MPLCONFIGDIR"] == "/mine"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(ROOT / ".snakemake/caches/inductor")
    assert all(os.environ[name].startswith(str(ROOT)) for name in folder.CACHES if name != "MPLCONFIGDIR")


def test_libraries_keep_their_caches_there(environment, tmp_path):
    environment.setattr(folder, "ROOT", tmp_path)
    folder.prepare_environment()
    program = (
        "import matplotlib; from torch._inductor.runtime.cache_dir_utils import cache_dir;"
        "print(matplotlib.get_cachedir(), cache_dir())"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert found == [str(tmp_path / ".snakemake/caches" / name) for name in ("matplotlib", "inductor")]


@pytest.mark.parametrize("variables", [{"PYTHONSAFEPATH": "1"}, {}])
def test_jobs_find_the_scripts_of_this_folder_whatever_others_there_are(environment, tmp_path, variables):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/__init__.py").write_text("raise SystemExit('foreign')")
    for name, value in {"PYTHONPATH": str(tmp_path), **variables}.items():
        environment.setenv(name, value)
    folder.prepare_environment()
    folder.prepare_environment()
    assert os.environ["PYTHONPATH"] == f"{ROOT}{os.pathsep}{tmp_path}"
    for how in ("warm", "cold"):
        command = [str(ROOT / "scripts" / how), "scripts.prepare_weights", "--help"]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | {"SPEEDGRID_PYTHON": sys.executable}, check=False)
        assert done.returncode == 0


def test_another_folder_is_refused_with_the_command_that_is_right(tmp_path, monkeypatch):
    folder.require()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(folder.FolderError) as caught:
        folder.require()
    assert str(caught.value) == (
        f"the folder {str(tmp_path)!r} is not that of speedgrid, in which its files and results are; change to it with "
        f"`cd {ROOT}`, or add `--directory {ROOT}` to the command."
    )


def test_jobs_in_a_container_or_environment_each_are_refused(tmp_path):
    tree = Workflow.fresh(tmp_path / "tree")
    for method in ("apptainer", "conda"):
        done = tree.dry_run(*SMOKE, "--software-deployment-method", method)
        assert done.code != 0
        assert f"--software-deployment-method is {method}, but jobs run where the workflow runs" in done.log
        assert "docs/containers.md" in done.log


def test_only_in_an_image_a_run_names_it(environment):
    environment.delenv(folder.IMAGE_VARIABLE, raising=False)
    assert folder.image() is None
    environment.setenv(folder.IMAGE_VARIABLE, "localhost/speedgrid")
    assert folder.image() == "localhost/speedgrid"
    text = (ROOT / "envs/Containerfile").read_text()
    assert f"{folder.IMAGE_VARIABLE}=localhost/speedgrid" in text


def test_snakemake_from_elsewhere_says_so_in_one_sentence(tmp_path):
    tree = Workflow.fresh(tmp_path / "tree")
    command = [str(BIN / "snakemake"), "-n", "-s", str(tree / "Snakefile")]
    done = subprocess.run(command, cwd=tmp_path, env=tree.environment(), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"`cd {tree.folder}`, or add `--directory {tree.folder}` to the command." in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "artifacts").exists()
