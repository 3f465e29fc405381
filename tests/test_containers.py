"""What an image and an installation without CUDA are made of: files that are there, and locks that agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from speedgrid.launcher import sources

ROOT = Path(__file__).parent.parent
ENVS = ROOT / "envs"


def pins(name):
    """Return the version of each package of a lock, in every place that it stands."""
    found = {}
    for package, version in re.findall(r"^([\w.-]+)==([^ ;\\]+)", (ENVS / name).read_text(), re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def test_the_lock_without_cuda_has_the_versions_of_the_other():
    whole, cpu = pins("requirements.txt"), pins("requirements-cpu.txt")
    assert len(cpu) > 100
    assert [name for name in cpu if not cpu[name] <= whole.get(name, set())] == []


def test_the_lock_without_cuda_has_nothing_that_it_is_to_leave_out():
    lines = (ENVS / "without-cuda.txt").read_text().splitlines()
    left = {line for line in lines if line and not line.startswith("#")}
    assert left <= set(pins("requirements.txt"))
    assert not left & set(pins("requirements-cpu.txt"))
    assert not [name for name in pins("requirements-cpu.txt") if name.startswith("tensorrt")]


def test_both_locks_have_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = {re.match(r"[\w.-]+", one)[0].lower() for one in project["project"]["dependencies"]}
    cpu = set(pins("requirements-cpu.txt"))
    assert asked <= set(pins("requirements.txt"))
    assert asked - cpu <= {"onnxruntime-gpu", "torch-tensorrt-rtx"}
    assert "onnxruntime" in cpu


def copied_before_installing():
    text = (ENVS / "Containerfile").read_text().split("RUN make setup")[0].replace("\\\n", " ")
    return {name for line in re.findall(r"^COPY (?:--\S+ )?(.*) \S+$", text, re.MULTILINE) for name in line.split()}


@pytest.mark.parametrize("script", ["scripts/__init__.py", "scripts/doctor.py"])
def test_an_image_has_all_that_installing_runs(script):
    # What the doctor imports later, where a configuration is given, is not asked for here.
    runs = {"scripts/__init__.py": sources.closure(script)}.get(script, sources.closure("speedgrid/machine/doctor.py"))
    assert {script, "Makefile", "envs", *runs} <= copied_before_installing()


def test_an_image_runs_as_a_user():
    lines = (ENVS / "Containerfile").read_text().splitlines()
    assert "USER speedgrid" in lines
    assert lines.index("USER speedgrid") < next(number for number, line in enumerate(lines) if "make setup" in line)


def test_conda_has_the_compiler_that_the_image_has():
    assert "gxx" in yaml.safe_load((ENVS / "environment.yaml").read_text())["dependencies"]
    assert " g++ " in (ENVS / "Containerfile").read_text()
