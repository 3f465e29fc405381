"""Users whose home cannot be written to, or is none, and who have no name: Snakemake as `make setup` installs it."""

import os
import shutil
import subprocess
import sys
import sysconfig

import pytest
from processes import run
from workflow import ROOT, Workflow

# A program called snakemake, so that it is taken for it: what Snakemake asks its machine for, and what it got.
ASKS = """
import getpass, os, platformdirs
cache = platformdirs.user_cache_dir("snakemake", "snakemake")
os.makedirs(os.path.join(cache, "snakemake/source-cache"), exist_ok=True)
print(getpass.getuser(), platformdirs.user_config_dir(), *sorted(set(os.environ) & {"XDG_CACHE_HOME"}))
"""
NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a copy of the workflow with a .venv of its own, in which is what is installed here."""
    tree = Workflow.fresh(tmp_path_factory.mktemp("homeless") / "tree")
    python = str(tree / ".venv/bin/python")
    assert tree.call(sys.executable, "-m", "venv", "--without-pip", ".venv").code == 0
    found = subprocess.run([python, "-c", "import site; print(site.getsitepackages()[0])"], stdout=subprocess.PIPE)
    packages = found.stdout.decode().strip()
    (tree / "packages.pth").write_text(sysconfig.get_path("purelib"))
    shutil.copy(tree / "packages.pth", packages)
    assert tree.call(python, "envs/homeless.py").code == 0
    (tree / "asks").mkdir()
    (tree / "asks/snakemake").write_text(ASKS)
    return tree


@pytest.fixture(scope="module")
def as_user(tmp_path_factory):
    """Return what a command begins with so that root, too, may write only to what its owner may."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed, and root writes to any home")
    return ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]


@pytest.fixture
def homes(tmp_path):
    """Return homes of each kind: what HOME is, or None where it is not set."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    (tmp_path / "full/.cache").mkdir(parents=True, mode=0o755)
    (tmp_path / "full/.cache/snakemake").mkdir(mode=0o555)
    return {"closed": closed, "in it": closed / "me", "a device": "/dev/null", "its cache": tmp_path / "full"}


def asked(tree, prefix, home, *command, **changes):
    """Run a command of the copy's .venv with a home and no cache of the user's; return its outcome."""
    changes = {"HOME": home, "XDG_CACHE_HOME": None} | changes
    words = ["env", *(f"--unset={name}" for name, value in changes.items() if value is None)]
    words += [f"{name}={value}" for name, value in changes.items() if value is not None]
    return tree.call(*prefix, *words, str(tree / ".venv/bin/python"), *command)


@pytest.mark.parametrize("kind", ["closed", "in it", "a device", "its cache"])
def test_a_cache_goes_to_the_workflows_folder_where_the_home_has_no_place(tree, as_user, homes, kind, monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "me")
    shutil.rmtree(tree / ".snakemake", ignore_errors=True)
    outcome = asked(tree, as_user, homes[kind], "asks/snakemake")
    assert (outcome.code, outcome.log.split()) == (0, ["me", f"{homes[kind]}/.config", "XDG_CACHE_HOME"]), outcome.log
    assert (tree / ".snakemake/caches/snakemake/snakemake/source-cache").is_dir()


def test_a_cache_of_the_users_own_that_cannot_be_written_to_is_replaced(tree, as_user, homes, tmp_path):
    given = {"XDG_CACHE_HOME": homes["closed"]}
    outcome = asked(tree, as_user, tmp_path, "asks/snakemake", **given)
    assert outcome.code == 0
    assert not (tmp_path / ".cache").exists()


def test_a_home_that_can_be_written_to_is_left(tree, as_user, tmp_path):
    shutil.rmtree(tree / ".snakemake", ignore_errors=True)
    outcome = asked(tree, as_user, tmp_path / "new", "asks/snakemake", LOGNAME="me")
    assert (outcome.code, outcome.log.split()) == (0, ["me", f"{tmp_path}/new/.config"])
    assert (tmp_path / "new/.cache/snakemake/snakemake").is_dir()
    assert not (tree / ".snakemake").exists()


def test_other_programs_of_the_installation_are_left(tree, as_user, homes):
    code = "import os, sys; print(os.environ.get('XDG_CACHE_HOME'), *sorted(sys.modules))"
    installed = asked(tree, as_user, homes["closed"], "-c", code).log.split()
    plain = asked(tree, as_user, homes["closed"], "-S", "-c", "import os, site, sys; print(*sorted(sys.modules))")
    # No start of Python gets slower by what this imports.
    assert (installed[0], set(installed[1:]) - set(plain.log.split())) == ("None", {"speedgrid_homeless"})
    assert asked(tree, as_user, homes["closed"], "asks/snakemake", "x").code == 0


def nobody(monkeypatch, tree):
    """Give this process neither a home nor a name, and return the module that is installed."""
    import pwd

    def none(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", none)
    for name in ("XDG_CACHE_HOME", "HOME", *NAMES):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(sys, "prefix", str(tree / ".venv"))
    monkeypatch.syspath_prepend(ROOT / "envs")
    import homeless

    return homeless


@pytest.mark.parametrize("home", ["", "relative", "/dev/null"])
def test_a_user_without_entry_gets_a_name_and_a_home_if_there_is_none(tree, monkeypatch, home):
    module = nobody(monkeypatch, tree)
    monkeypatch.setenv("HOME", home)
    module.provide()
    assert os.environ["LOGNAME"] == "speedgrid"
    absent = not home.startswith("/")
    assert os.environ["HOME"] == (str(tree / ".snakemake/home") if absent else home)
    assert os.environ["XDG_CACHE_HOME"] == ("" if absent else str(tree / ".snakemake/caches"))


def test_outside_of_a_workflows_folder_it_is_the_one_that_snakemake_is_run_in(tree, monkeypatch, tmp_path):
    module = nobody(monkeypatch, tree)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "conda/envs/speedgrid"))
    monkeypatch.chdir(tmp_path)
    module.provide()
    assert os.environ["HOME"] == str(tmp_path / ".snakemake/home")


def test_snakemake_plans_where_the_home_cannot_be_written_to(tree, as_user, homes):
    outcome = asked(tree, as_user, homes["closed"], "-m", "snakemake", "-n", "--configfile", "config/smoke.yaml")
    assert outcome.code == 0, outcome.log
    assert outcome.jobs["time_cell"] > 0
    assert (tree / ".snakemake/caches/snakemake").is_dir()
    assert list(homes["closed"].iterdir()) == []


def test_setup_installs_it_after_the_packages():
    plan = run("make", "--no-print-directory", "-n", "-B", "setup").stdout.splitlines()
    [packages] = [number for number, line in enumerate(plan) if "uv pip sync" in line]
    assert plan[packages + 1 :][:1] == [".venv/bin/python envs/homeless.py"]
