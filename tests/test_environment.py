"""The environment of a measurement and its fingerprint."""

import json
import re
import shlex
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from processes import run

from speedgrid import backends
from speedgrid.backends import fingerprint as fingerprints
from speedgrid.backends.variants import VARIANTS
from speedgrid.machine import environment, graphics
from speedgrid.precision import PRECISIONS

H200 = {"gpu": "NVIDIA H200", "driver": "570.1"}


def fingerprint(device, backend=None):
    """Return the fingerprint of this machine as it seems to be now."""
    return fingerprints.fingerprint(environment.describe(device), backend)


@pytest.fixture
def installed(monkeypatch):
    """Return the package versions that this machine seems to have; a test changes them."""
    found = {
        "torch": "2.0",
        "torchvision": "0.1",
        "onnxruntime-gpu": "1.31",
        "openvino": "2026.1",
        "pandas": "3",
    }
    monkeypatch.setattr(environment, "versions", lambda: dict(found))
    monkeypatch.setattr(graphics, "gpu", lambda index=0: dict(H200))
    monkeypatch.setattr(environment, "cpu_name", lambda: "Test CPU (2 CPUs)")
    monkeypatch.setattr(environment, "cpu_limits", dict)
    return found


def test_what_a_container_leaves_of_a_processor_is_in_the_record_and_in_the_fingerprint_of_the_cpu(
    monkeypatch, installed
):
    monkeypatch.setattr(environment, "cpu_limits", lambda: {"cpus_allowed": 3, "cpu_quota": 1.5})
    assert environment.describe("cpu")["cpu_quota"] == 1.5
    assert fingerprint("cpu", "openvino") == "Test CPU (2 CPUs), on 3 CPUs, quota of 1.5 CPUs, openvino 2026.1"
    assert "quota" not in fingerprint("cuda")


def test_limits_are_named_where_there_are_some(monkeypatch):
    monkeypatch.setattr(environment.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(environment.threads, "allowed", lambda: {0, 1, 2, 3, 4, 5, 6, 7})
    monkeypatch.setattr(environment.cgroup, "quota", lambda: None)
    assert environment.cpu_limits() == {}
    monkeypatch.setattr(environment.threads, "allowed", lambda: {5, 7})
    monkeypatch.setattr(environment.cgroup, "quota", lambda: 1 / 3)
    assert environment.cpu_limits() == {"cpus_allowed": 2, "cpu_quota": 0.333}


def test_the_fingerprint_is_readable_and_names_device_driver_and_packages(installed):
    assert fingerprint("cuda") == "NVIDIA H200, driver 570.1, torch 2.0"
    assert fingerprint("cpu", "openvino") == "Test CPU (2 CPUs), openvino 2026.1"
    assert fingerprint("cuda", "pytorch") == "NVIDIA H200, driver 570.1, torch 2.0, torchvision 0.1"


@pytest.mark.parametrize(
    ("package", "stale"),
    [
        ("torch", set(VARIANTS) - {"openvino"}),
        ("torchvision", {"pytorch", "pytorch_tuned", "pytorch_fused"}),
        ("onnxruntime-gpu", {"onnxruntime", "onnxruntime_tuned", "onnxruntime_tensorrt"}),
        ("openvino", {"openvino"}),
        ("pandas", set()),
    ],
)
def test_a_new_version_changes_the_fingerprint_of_those_that_depend_on_it(installed, package, stale):
    before = {name: fingerprint("cpu", name) for name in VARIANTS}
    installed[package] += ".1"
    assert {name for name in VARIANTS if fingerprint("cpu", name) != before[name]} == stale


@pytest.mark.parametrize("change", [{"driver": "580.2"}, {"gpu": "NVIDIA H100"}])
def test_another_driver_or_gpu_changes_the_fingerprint_on_cuda_and_not_on_the_cpu(installed, monkeypatch, change):
    cuda, cpu = fingerprint("cuda"), fingerprint("cpu")
    monkeypatch.setattr(graphics, "gpu", lambda index=0: H200 | change)
    assert fingerprint("cuda") != cuda
    assert fingerprint("cpu") == cpu


def test_a_machine_with_no_gpu_says_so(installed, monkeypatch):
    monkeypatch.setattr(graphics, "gpu", lambda index=0: {})
    assert fingerprint("cuda") == "no GPU, torch 2.0"


def test_every_package_that_a_backend_depends_on_is_looked_up():
    known = {*environment.PACKAGES, *environment.compiler_version()}
    unknown = {name: set(backends.get(name).PACKAGES) - known for name in VARIANTS}
    assert {name: packages for name, packages in unknown.items() if packages} == {}


def test_another_compiler_changes_the_fingerprint_of_what_it_compiles(installed, monkeypatch, tmp_path):
    before = {name: fingerprint("cuda", name) for name in VARIANTS}
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho 99.1.0\n")
    other.chmod(0o755)
    monkeypatch.setenv("CXX", str(other))
    after = {name: fingerprint("cuda", name) for name in VARIANTS}
    compiled = {name for name, variant in VARIANTS.items() if variant.module == "inductor"}
    assert {name for name in VARIANTS if after[name] != before[name]} == compiled
    assert after["inductor"].endswith("c++ 99.1.0")


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_no_compiler_is_no_version(monkeypatch, compiler):
    monkeypatch.setenv("CXX", compiler)
    assert environment.compiler_version() == {}


def test_packages_that_are_not_installed_are_left_out():
    assert set(environment.versions(["numpy", "no-such-package-anywhere"])) == {"numpy"}


def test_the_description_is_plain_json_and_names_the_device():
    described = environment.describe("cpu")
    assert json.loads(json.dumps(described)) == described
    assert described["device_name"] == described["cpu"]
    assert described["packages"]["numpy"] == environment.versions(["numpy"])["numpy"]


def test_the_cpu_is_named_with_its_number_of_logical_cpus():
    assert re.fullmatch(r".+ \(\d+ CPUs\)", environment.cpu_name())


class Api(SimpleNamespace):
    """An NVML that knows one GPU and refuses to give its power limit."""

    NVMLError = type("NVMLError", (Exception,), {})
    NVML_CLOCK_SM = 1

    def __getattr__(self, name):
        answers = {
            "nvmlDeviceGetCount": 1,
            "nvmlSystemGetCudaDriverVersion": 12080,
            "nvmlDeviceGetCudaComputeCapability": (9, 0),
            "nvmlDeviceGetName": "NVIDIA H200",
            "nvmlDeviceGetUUID": "GPU-1",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=150_000_400_000),
            "nvmlSystemGetDriverVersion": "570.1",
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetHandleByIndex": object(),
        }

        def answer(*_):
            if name not in answers:
                raise self.NVMLError
            return answers[name]

        return answer


def test_a_gpu_is_described_and_a_value_that_it_does_not_give_is_none(monkeypatch):
    @contextmanager
    def nvml():
        yield Api()

    monkeypatch.setattr(graphics, "nvml", nvml)
    assert graphics.gpu() == {
        "gpu": "NVIDIA H200",
        "gpu_uuid": "GPU-1",
        "gpu_memory_mb": 150000,
        "compute_capability": "9.0",
        "driver": "570.1",
        "cuda_driver": "12.8",
        "power_limit_w": None,
        "max_sm_clock_mhz": 1980,
    }
    assert graphics.gpu(1) == {}


@pytest.mark.parametrize(
    ("capability", "lacks"),
    [
        (None, set()),
        ("7.0", {"tf32", "bf16", "int8", "fp8"}),
        ("7.5", {"tf32", "bf16", "fp8"}),
        ("8.0", {"fp8"}),
        ("8.6", {"fp8"}),
        ("8.9", set()),
        ("9.0", set()),
        ("10.0", set()),
    ],
)
def test_what_tensor_cores_lack_follows_from_the_compute_capability(monkeypatch, capability, lacks):
    monkeypatch.setattr(graphics, "own", lambda: {"compute_capability": capability} if capability else {})
    reasons = {name: graphics.lacking(name, "cuda") for name in PRECISIONS}
    assert {name for name, reason in reasons.items() if reason} == lacks
    if capability == "7.5":
        assert reasons["bf16"] == "tensor cores have bf16 from compute capability 8.0 on; this GPU has 7.5"


def test_a_cpu_lacks_tf32_alone_whatever_its_runtimes_have():
    assert [name for name in PRECISIONS if graphics.lacking(name, "cpu")] == ["tf32"]


def test_there_is_no_commit_outside_git_but_what_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    monkeypatch.delenv("SPEEDGRID_COMMIT", raising=False)
    assert environment.commit() is None
    monkeypatch.setenv("SPEEDGRID_COMMIT", "0123abcd")
    assert environment.commit() == "0123abcd"


def git(folder, *arguments):
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    return run("git", "-C", folder, *identity, *arguments).stdout.strip()


def test_the_commit_is_named_by_ten_digits_and_marked_where_files_differ_from_it(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    (tmp_path / "environment.py").write_text("1\n")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first"), ("tag", "v1")):
        git(tmp_path, *arguments)
    head = git(tmp_path, "rev-parse", "HEAD")[:10]
    assert environment.commit() == head
    (tmp_path / "environment.py").write_text("2\n")
    assert environment.commit() == f"{head}+"


@pytest.mark.parametrize(
    ("gpu", "device", "name"),
    [
        (H200, "cuda", "NVIDIA H200"),
        (H200, "cpu", "Test CPU (2 CPUs)"),
        ({}, "cuda", "no GPU"),
        ({}, "cpu", "Test CPU (2 CPUs)"),
    ],
)
def test_the_description_has_the_gpu_and_the_name_of_the_device_that_is_measured(
    installed, monkeypatch, gpu, device, name
):
    monkeypatch.setattr(graphics, "gpu", lambda index=0: dict(gpu))
    monkeypatch.setattr(environment, "commit", lambda: "0123456789+")
    monkeypatch.setattr(environment, "compiler_version", lambda: {"c++": "12.2.0"})
    described = environment.describe(device)
    assert re.fullmatch(r"\w+ \S+", described.pop("os"))
    assert re.fullmatch(r"3\.\d+\.\S+", described.pop("python"))
    assert described == {
        "device": device,
        "device_name": name,
        "cpu": "Test CPU (2 CPUs)",
        "packages": {**installed, "c++": "12.2.0"},
        "commit": "0123456789+",
        **gpu,
    }


def test_a_fingerprint_is_of_the_description_and_not_of_this_machine():
    machine = {"device": "cuda", "device_name": "GPU 9", "driver": "1.2", "packages": {"torch": "7", "numpy": "8"}}
    assert fingerprints.fingerprint(machine) == "GPU 9, driver 1.2, torch 7"
    assert fingerprints.fingerprint(machine, "openvino") == "GPU 9, driver 1.2"
    assert fingerprints.fingerprint(machine | {"device": "cpu", "device_name": "CPU 9"}) == "CPU 9, torch 7"


@pytest.mark.parametrize(
    "arguments",
    [[], ["--options", '{"a": 1}'], ["a b", "it's", "$HOME", "`ls`", "*", "", "new\nline", '"']],
)
@pytest.mark.parametrize("script", ["scripts/time_cell.py", "/somewhere/scripts/time_cell.py", "time_cell"])
def test_the_command_can_be_pasted_into_a_shell(monkeypatch, script, arguments):
    monkeypatch.setattr("sys.argv", [script, *arguments])
    assert shlex.split(environment.command()) == ["python", "-m", "scripts.time_cell", *arguments]


def test_the_command_is_quoted_where_it_must_be_and_nowhere_else(monkeypatch):
    monkeypatch.setattr("sys.argv", ["scripts/time_cell.py", "resnet18-pytorch-fp32-r64-b1", "--options", '{"a": 1}'])
    assert environment.command() == """python -m scripts.time_cell resnet18-pytorch-fp32-r64-b1 --options '{"a": 1}'"""
