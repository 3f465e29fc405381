"""Fixtures that several test files share; torchvision is imported once, in this process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, settings

settings.register_profile("speedgrid", deadline=None, max_examples=40, derandomize=True)
# pytest --hypothesis-profile=campaign: many more, and other ones each time.
settings.register_profile("campaign", deadline=None, max_examples=1000, phases=(Phase.explicit, Phase.generate))
settings.load_profile("speedgrid")

RESOLUTION = 64
# Threads of OpenMP that wait for each other sleep, also in the processes that tests start. Else they spin, and a
# machine that has other work takes three times the processor's time. Read when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# A shell's background and nohup have the tests ignore Ctrl-C and a closed terminal, and all processes that they start.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


# Files that take minutes begin first, so that neither of two processes waits for the other at the end.
LONGEST = (
    "test_cluster",
    "test_workflow",
    "test_several_models",
    "test_vanished",
    "test_bad_input",
    "test_smoke",
    "test_ending",
    "test_html",
    "test_two_runs",
    "test_faults",
)


def pytest_collection_modifyitems(items):
    """Put the files that take longest first, and leave all others in their order."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory):
    """Keep the locks that tests take in this process apart from those of the machine, which a run in it may hold."""
    from speedgrid.machine import locks

    folder = tmp_path_factory.mktemp("locks")
    folder.chmod(0o1777)
    locks.FOLDERS = (str(folder),)


@pytest.fixture(scope="session")
def resnet():
    """Return a seeded ResNet-18 for 64 x 64 pixels; tests copy it before they change it."""
    from speedgrid.model import modules as models

    return models.seeded("resnet18", 0, RESOLUTION)


@pytest.fixture(scope="session")
def weights(resnet, tmp_path_factory):
    """Return the path of that model's weights."""
    import torch

    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(resnet.state_dict(), path)
    return str(path)


@pytest.fixture(scope="session")
def reference_64(weights):
    """Return that model's float64 logits of images 0 to 10."""
    from speedgrid.data.sequence import images
    from speedgrid.evidence import reference

    return reference.compute("resnet18", weights, images(0, RESOLUTION, 0, 10))


@pytest.fixture(scope="session")
def expected_64(weights, reference_64):
    """Return what each precision is expected to do to that model."""
    from speedgrid.data.sequence import images
    from speedgrid.evidence.rounding import expected

    return expected("resnet18", weights, images(0, RESOLUTION, 0, 8), reference_64[:8])


@pytest.fixture(scope="session")
def exported_64(weights, tmp_path_factory):
    """Return (path, description) of that model's float32 ONNX file."""
    from speedgrid.builders import onnx_export as export

    path = tmp_path_factory.mktemp("onnx") / "fp32-r64.onnx"
    return path, export.attempt("resnet18", weights, "fp32", RESOLUTION, str(path))


@pytest.fixture(autouse=True)
def torch_math():
    """Give torch's settings of TF32 and threads back after a test: torch.export fails under some of them."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    backends = torch.backends
    levels = (backends, backends.cuda.matmul, backends.cudnn, backends.cudnn.conv, backends.cudnn.rnn)
    levels += (backends.mkldnn, backends.mkldnn.conv, backends.mkldnn.matmul)
    before, threads = [level.fp32_precision for level in levels], torch.get_num_threads()
    older = backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32
    yield
    backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32 = older
    for level, mode in zip(levels, before, strict=True):
        level.fp32_precision = mode
    torch.set_num_threads(threads)


@pytest.fixture
def no_gpu(monkeypatch):
    """Make this machine one with no GPU, whatever it has."""
    from speedgrid.machine import device

    monkeypatch.setattr(device, "gpu_count", lambda: 0)


@pytest.fixture(scope="session")
def executor(tmp_path_factory):
    """Return the environment in which Snakemake finds its executor for Slurm, which nothing else shall import."""
    folder = tmp_path_factory.mktemp("executor")
    group = ["--group", f"{Path(__file__).parent.parent / 'pyproject.toml'}:slurm"]
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *group]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"the executor for Slurm cannot be fetched here: {done.stderr.strip()[-200:]}")
    return {"PYTHONPATH": str(folder)}
