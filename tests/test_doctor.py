"""The doctor: what a machine lacks is said before anything is installed, by any Python from 3.9 on."""

import ast
import errno
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from processes import run

from speedgrid.launcher import sources
from speedgrid.machine import doctor

ROOT = Path(__file__).parent.parent
MAKE = ["make", "--no-print-directory"]
INSTALLED = [*MAKE, "-o", ".venv/.installed"]


def find_python(version):
    """Return this version of Python if it is on this machine, or skip the test."""
    for path in [f"python{version}", *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]:
        # What is on the path may be the shim of a version manager alone.
        if shutil.which(path) and run(path, "-c", "", code=None).returncode == 0:
            return path
    pytest.skip(f"there is no Python {version}")


class Driver:
    """The library of a driver for a version of CUDA that shows some GPUs."""

    def __init__(self, version, count, error=0):
        self.version, self.count, self.error = version, count, error

    def cuDriverGetVersion(self, answer):
        answer._obj.value = self.version
        return 0

    def cuInit(self, flags):
        return self.error

    def cuDeviceGetCount(self, answer):
        answer._obj.value = self.count
        return 0


def test_everything_it_imports_is_of_the_standard_library_and_of_python_3_9():
    for path in ("scripts/__init__.py", "scripts/doctor.py", *sources.closure("speedgrid/machine/doctor.py")):
        text = (ROOT / path).read_text()
        tree = ast.parse(text, feature_version=(3, 9))
        names = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
        assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | {"speedgrid"}, path
        unions = any(isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) for node in ast.walk(tree))
        assert not unions or "__future__" in names, path


@pytest.mark.parametrize("version", ["3.9", "3.10"])
def test_an_old_python_is_told_which_one_is_needed(version):
    done = run(find_python(version), "-B", "-m", "scripts.doctor", code=1)
    assert "lacking  Python 3.11 or newer is needed, and " in done.stdout
    assert done.stderr == ""


def test_a_much_older_python_is_named_by_make(monkeypatch):
    """What Make asks of it, any Python can read."""
    [question] = re.findall(r"^OLD = \$\(PYTHON\) -c '(.+)'$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    ast.parse(question, feature_version=(3, 4))
    with pytest.raises(SystemExit, match=r"^False$"):
        exec(question)
    monkeypatch.setattr(sys, "version_info", (3, 6, 8))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer"):
        exec(question)


def test_this_machine_lacks_nothing():
    found = doctor.examine()
    assert [one for one in found if one.state == doctor.LACKING] == []
    assert run(sys.executable, "-m", "scripts.doctor").stdout.count("\n") == len(found)


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (doctor.python((3, 10, 4)), doctor.LACKING, ["3.11 or newer", "is 3.10.4"]),
        (doctor.libc(("glibc", "2.17")), doctor.LACKING, ["glibc 2.28", "glibc 2.17"]),
        (doctor.libc(("", "")), doctor.LACKING, ["Alpine"]),
        (doctor.libc(("glibc", "2.39")), doctor.OK, ["2.39"]),
        (doctor.system("darwin", "arm64"), doctor.NOTE, ["darwin on arm64"]),
        (doctor.gpu(False, None), doctor.OK, ["the processor is measured"]),
        (doctor.gpu(True, None), doctor.NOTE, ["without a driver", "CUDA 13"]),
        (doctor.gpu(True, Driver(12080, 1)), doctor.LACKING, ["CUDA 12,", "update it", "CUDA_VISIBLE_DEVICES"]),
        (doctor.gpu(True, Driver(13010, 2)), doctor.OK, ["2 NVIDIA GPUs"]),
        (doctor.gpu(True, Driver(13000, 0)), doctor.NOTE, ["no device", "only the processor"]),
        (doctor.gpu(True, Driver(13000, 0, error=803)), doctor.NOTE, ["error 803"]),
        (doctor.writable(Path("/proc/1")), doctor.LACKING, ["/proc/1", "folder of your own"]),
        (doctor.configured("docs"), doctor.LACKING, ["is no file but a folder"]),
    ],
)
def test_what_is_there_and_what_to_do_are_one_sentence(found, state, words):
    assert found.state == state
    assert [word for word in words if word not in found.sentence] == []
    assert len(found.sentence.split()) <= 30


def test_gpus_are_seen_without_a_driver(tmp_path):
    for name, vendor, kind in [("0", "0x8086", "0x030000"), ("1", "0x10de", "0x040300")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    assert not doctor.has_nvidia(tmp_path)  # the sound of a card is no GPU
    (tmp_path / "0" / "vendor").write_text("0x10de\n")
    assert doctor.has_nvidia(tmp_path)
    assert not doctor.has_nvidia(tmp_path / "none")


def test_a_little_disk_is_enough_for_what_is_installed(tmp_path):
    few = 5_000_000_000
    assert doctor.room(tmp_path, few).state == doctor.LACKING
    assert doctor.room(tmp_path, few, cuda=False).state == doctor.OK
    assert "needs 4" in doctor.room(tmp_path, 3_000_000_000, cuda=False).sentence
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    assert doctor.room(tmp_path, few).state == doctor.OK
    assert "0.1 GB" in doctor.room(tmp_path, 100_000_000).sentence


def test_a_full_disk_is_not_a_folder_of_somebody_else(tmp_path, monkeypatch):
    def full(dir):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert "is full" in doctor.writable(tmp_path).sentence


def test_a_missing_compiler_leaves_the_other_backends(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert doctor.compiler().state == doctor.NOTE
    assert "no-such-compiler" in doctor.compiler().sentence


def test_the_versions_it_asks_for_are_those_of_the_project():
    lock = (ROOT / "envs/requirements.txt").read_text()
    assert set(re.findall(r"-cu(\d+)==", lock)) == {str(doctor.CUDA)}
    project = (ROOT / "pyproject.toml").read_text()
    assert f'requires-python = ">={".".join(map(str, doctor.PYTHON))}"' in project


FILES = {
    "missing": (None, "is not there"),
    "folder": ("", "is no file but a folder"),
    "not UTF-8": (b"device: \xff\n", "is no text in UTF-8 (byte 8)"),
    "not YAML": (b"device: [cpu\n", "cannot be read as YAML"),
    "a key twice": (b"device: cpu\ndevice: cuda\n", "twice"),
}


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES)
def test_make_report_looks_at_the_configuration_first(tmp_path, content, words):
    path = tmp_path / "it's mine.yaml"
    if content == b"" or content == "":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    done = run(*INSTALLED, "report", f"CONFIG={path}", code=2)
    said = done.stdout + done.stderr
    assert words in said
    assert "it's mine.yaml" in said
    assert "Traceback" not in said
    assert "snakemake" not in said.replace("snakemake --configfile", "")


def test_make_installs_nothing_where_something_is_lacking(tmp_path):
    """The doctor comes before the first thing that is installed."""
    plan = run(*MAKE, "-n", "-B", "setup").stdout.splitlines()
    [looked] = [number for number, line in enumerate(plan) if "scripts.doctor" in line]
    [made] = [number for number, line in enumerate(plan) if "-m venv" in line]
    assert looked < made


def test_help_names_every_command():
    said = run(*MAKE, "help").stdout
    makefile = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert [name for name in phony.split() if f"make {name} " not in said] == []
    assert set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)) == set(phony.split())
    assert max(map(len, said.splitlines())) <= 120


def test_the_demo_is_a_configuration_that_trains_nothing_and_says_where_its_answer_is():
    plan = run(*INSTALLED, "-n", "demo").stdout
    assert "snakemake --configfile config/demo.yaml" in plan
    assert f"{ROOT}/report/report.md" in plan
