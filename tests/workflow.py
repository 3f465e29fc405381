"""Snakemake on copies of the tree, never in it; a pytest plugin of the tests that need a finished run.

PYTEST_DONT_REWRITE: those tests also import from here, which pytest would warn about.
"""

import fcntl
import functools
import os
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dry_runs
import pytest
import yaml
from processes import run, show

from speedgrid import settings
from speedgrid.launcher import ADDRESS_VARIABLE
from speedgrid.machine import device
from speedgrid.report import plots

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
SMOKE = ("--configfile", "config/smoke.yaml")
# The plots that it has something for.
PLOTS = plots.asked(settings.complete(yaml.safe_load((ROOT / "config/smoke.yaml").read_text())))
CELLS = {
    f"resnet18-{backend}-fp32-r64-b{size}" for backend in ("pytorch", "onnxruntime", "openvino") for size in (1, 2)
}
# A grid of a GPU that is not there: every job runs, in a moment, and says so.
NO_GPU = {
    "device": "cuda",
    "grid": {
        "cuda": {
            "backend": ["pytorch", "onnxruntime", "torch_tensorrt", "inductor", "tensorrt"],
            "precision": ["fp32"],
            "resolution": [64, 96],
            "batch_size": [1],
        }
    },
    "data": {"images": "random"},  # nothing is trained for what cannot run
    "timing": {"rounds": 1},
    "report": {"resolution": 64, "batch_size": 1},
}
# A bug that is known and not mended yet: the test fails as soon as it is.
bug = functools.partial(pytest.mark.xfail, strict=True)


@dataclass(frozen=True)
class Outcome:
    """What one call of Snakemake gave."""

    code: int
    log: str
    cpu_seconds: float = 0.0  # of a fork, whatever else the machine did

    @property
    def jobs(self) -> dict[str, int]:
        """Return the table of jobs, rule by rule, without the rule `all` and the total."""
        table = re.findall(r"^(\w+) +(\d+)$", self.log, re.MULTILINE)
        return {rule: int(count) for rule, count in table if rule not in ("all", "total")}

    @property
    def timings(self) -> set[str]:
        """Return the cells that are timed, in whatever round."""
        return set(re.findall(r"Timing (\S+), \w+\d", self.log))


def copy_or_link(source: str, target: str) -> None:
    """Copy a file; link a large one, of weights or images: Snakemake removes what it makes again."""
    (os.link if os.path.getsize(source) > 1e6 else shutil.copy2)(source, target)


class Workflow:
    """A copy of the tree in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)

    @classmethod
    def fresh(cls, folder: Path) -> "Workflow":
        """Copy what git tracks and does not ignore, without the tests."""
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        names = run(*command).stdout.splitlines()
        for name in names:
            if not name.startswith("tests/") and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        return cls(folder)

    def copy(self, folder: Path) -> "Workflow":
        """Copy a finished run with the times of its files and Snakemake's notes."""
        shutil.copytree(self.folder, folder, copy_function=copy_or_link)
        return Workflow(folder)

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def environment(self, **changes) -> dict[str, str]:
        """Return the environment of a user who has activated .venv; temporary files go beside the copy."""
        temporary = self.folder.with_name(f"{self.folder.name}-tmp")
        temporary.mkdir(exist_ok=True)
        # Bytecode is kept in the copy, and in copies of that: each process of a run would compile what it imports.
        left_out = (ADDRESS_VARIABLE, "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        return kept | {"PATH": f"{BIN}:{kept['PATH']}", "TMPDIR": str(temporary)} | changes

    def call(self, *command, **environment) -> Outcome:
        """Run a command in the copy."""
        done = subprocess.run(
            list(command),
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        show(done.stdout)
        return Outcome(done.returncode, done.stdout)

    def snakemake(self, *arguments, **environment) -> Outcome:
        """Run Snakemake. Targets come first: `--configfile X target` takes the target as a second file."""
        return self.call(str(BIN / "snakemake"), *arguments, **environment)

    def forked(self, *arguments, **environment) -> Outcome:
        """Run Snakemake in a fork of a process that has imported it: for what is refused, or has little to do."""
        return Outcome(*dry_runs.snakemake(self.folder, arguments, self.environment(**environment)))

    def dry_run(self, *arguments, **environment) -> Outcome:
        """Ask Snakemake what it would do."""
        return self.forked("-n", *arguments, **environment)

    def plan(self, *arguments, **environment) -> Outcome:
        """Dry-run Snakemake, which must succeed."""
        outcome = self.dry_run(*arguments, **environment)
        assert outcome.code == 0, outcome.log
        return outcome

    def write_config(self, name: str, config: dict) -> str:
        """Write a configuration and return its path for --configfile."""
        (self.folder / "config" / name).write_text(yaml.safe_dump(config))
        return f"config/{name}"

    def generated(self) -> dict[str, tuple[bytes, int]]:
        """Return content and time of every result that a user would hate to lose."""
        files = [*(self / "artifacts").rglob("*"), *(self / "report").rglob("*")]
        return {
            str(file.relative_to(self.folder)): (file.read_bytes(), file.stat().st_mtime_ns)
            for file in files
            if file.is_file() and "weights" not in file.parts
        }


@dataclass(frozen=True)
class Run:
    """A run from beginning to end, and the copy that it ran in; nobody changes that copy."""

    workflow: Workflow
    outcome: Outcome


def run_once(folder: Path, *arguments, config: dict | None = None):
    """Yield a run in `folder`, and remove it afterwards: it holds 100 MB."""
    workflow = Workflow.fresh(folder / "tree")
    if config:
        arguments = (*arguments, "--configfile", workflow.write_config("test.yaml", config))
    outcome = workflow.snakemake(*arguments)
    assert outcome.code == 0, outcome.log
    yield Run(workflow, outcome)
    shutil.rmtree(folder, ignore_errors=True)


def shared_run(factory: pytest.TempPathFactory, name: str, *arguments, config: dict | None = None):
    """Yield a run that all processes of pytest-xdist share: the first to ask makes it, each has a copy of its own."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield from run_once(factory.mktemp(name), *arguments, config=config)
        return
    common = factory.getbasetemp().parent / name
    common.mkdir(exist_ok=True)
    with (common / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (common / "outcome").exists():
            made = next(run_once(common, *arguments, config=config))  # not to its end, where it is removed
            (common / "outcome").write_bytes(pickle.dumps(made.outcome))
    outcome = pickle.loads((common / "outcome").read_bytes())
    folder = factory.mktemp(name)
    yield Run(Workflow(common / "tree").copy(folder / "tree"), outcome)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """Return the one real run of config/smoke.yaml."""
    yield from shared_run(tmp_path_factory, "smoke", "--verbose", *SMOKE)


@pytest.fixture(scope="session")
def without_gpu(tmp_path_factory):
    """Return the one real run of a grid for a GPU on this machine, which has none."""
    if device.gpu_count():
        pytest.skip("this machine has a GPU")
    yield from shared_run(tmp_path_factory, "without-gpu", config=NO_GPU)


@pytest.fixture
def place(tmp_path):
    """Return a folder that does not exist yet and is gone after the test."""
    yield tmp_path / "tree"
    shutil.rmtree(tmp_path, ignore_errors=True)
