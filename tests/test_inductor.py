"""Compiled PyTorch: one real package for the CPU, and what is asked of the compiler elsewhere."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import python

from speedgrid import backends
from speedgrid.backends import inductor
from speedgrid.builders import inductor as inductor_package
from speedgrid.data.sequence import images
from speedgrid.grid import Cell
from speedgrid.launcher import ADDRESS_VARIABLE, client, server

CELL = Cell("resnet18", "inductor", "fp32", 64, 2)


# A compiler that puts a C++ library of its own into what it links, as some do by default.
STATIC = """#!/bin/sh
case " $* " in *" -shared "*) set -- "$@" -static-libstdc++;; esac
exec g++ "$@"
"""


@pytest.fixture(scope="module")
def compiled(weights, tmp_path_factory):
    """Compile one package in a fork of a launcher, as the workflow does; return its path and its record."""
    folder = tmp_path_factory.mktemp("inductor")
    compiler = tmp_path_factory.mktemp("compiler") / "static"
    compiler.write_text(STATIC)
    compiler.chmod(0o755)
    package, build = folder / "package.pt2", folder / "build.json"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CXX", str(compiler))
        # What torch finds out about the compiler takes half of a build, and is not what is tested here.
        patched.setenv("TORCHINDUCTOR_VEC_ISA_OK", "1")
        process = server.start(
            ["torch", "torchvision", "speedgrid.model.modules"]
        )  # it reads both when it imports torch
        try:
            asked = ["scripts.compile_inductor", str(CELL), "--device", "cpu", "--weights", weights]
            asked += ["--package", str(package), "--build", str(build)]
            assert client.ask(os.environ.pop(ADDRESS_VARIABLE), asked, None) == 0
        finally:
            process.stdin.close()
    return package, json.loads(build.read_text())


def test_a_build_says_how_long_it_took_from_a_cold_cache_and_leaves_nothing_but_the_package(compiled):
    package, record = compiled
    assert record["status"] == "ok", record.get("traceback")
    assert record["cold_cache"]
    assert record["build_seconds"] > 0
    assert record["engine_mb"] == round(package.stat().st_size / 1e6, 3) > 40  # it has the weights in it
    assert sorted(path.name for path in package.parent.iterdir()) == ["build.json", "package.pt2"]


def test_a_package_gives_the_models_own_outputs_and_sees_new_input(compiled, reference_64):
    options = {"cpu_threads": 1, "settings": backends.settings("inductor")}
    session = inductor.load(CELL, "cpu", str(compiled[0]), options)
    for start in (0, 2):
        session.feed(images(0, 64, start, 2))
        session.poison()
        with session.active():
            session.run()
        np.testing.assert_allclose(session.output(), reference_64[start : start + 2], rtol=1e-3, atol=1e-4)
    assert session.dtype == "float32"
    assert session.details["executes_on"] == "cpu"
    assert session.details["coverage_percent"] == 100
    assert torch.get_num_threads() == 1


def test_a_package_with_a_cpp_library_of_its_own_in_it_runs_in_a_process_that_has_loaded_nothing_else(compiled):
    load = f"""
from speedgrid import backends
from speedgrid.backends import inductor
from speedgrid.grid import Cell
options = {{"cpu_threads": 1, "settings": backends.settings("inductor")}}
print(inductor.load(Cell.parse("{CELL}"), "cpu", "{compiled[0]}", options).output().shape)
"""
    assert python("-c", load).stdout == "(2, 1000)\n"


def test_without_a_compiler_there_is_no_package_and_the_cell_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    output = tmp_path / "package.pt2"
    record = inductor_package.build(CELL, "cpu", "none.pth", str(output))
    assert (record["status"], record["build_seconds"]) == ("unavailable", None)
    assert record["reason"].startswith("Inductor needs a C++ compiler, and no-such-compiler is not installed")
    assert output.read_bytes() == b""


@pytest.mark.parametrize(
    ("backend", "alone"), [("inductor", False), ("inductor_tuned", False), ("inductor_max_autotune", True)]
)
def test_only_a_compiler_that_times_kernels_has_the_gpu_to_itself(monkeypatch, backend, alone):
    asked = []
    monkeypatch.setattr(inductor_package, "attempt", lambda cell, device, output, work, alone: asked.append(alone))
    inductor_package.build(Cell("resnet18", backend, "fp16", 64, 1), "cuda", "none.pth", "none.pt2")
    assert asked == [alone]


def test_what_is_asked_of_the_compiler_fits_mode_and_device():
    quick = inductor_package.compiler_options("reduce-overhead", "cuda")
    best = inductor_package.compiler_options("max-autotune", "cuda")
    cpu = inductor_package.compiler_options("reduce-overhead", "cpu")
    assert best["max_autotune"]
    assert "max_autotune" not in quick
    assert quick["compile_threads"] == 1
    assert "compile_threads" not in best  # it runs alone
    assert cpu["freezing"]
    assert not any("cudagraphs" in name for options in (quick, best, cpu) for name in options)
    # torch refuses an option that it does not know.
    for options in (quick, best, cpu):
        with torch._inductor.config.patch(options):
            pass


def test_caches_belong_to_the_build_and_the_users_own_are_named_again_after_it(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", "the user's")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    with inductor_package.caches_in(str(tmp_path)):
        for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
            assert Path(os.environ[name]).is_relative_to(tmp_path)
        from torch._inductor.runtime.cache_dir_utils import cache_dir

        assert Path(cache_dir()).is_relative_to(tmp_path)
    assert os.environ["TRITON_CACHE_DIR"] == "the user's"
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ


def test_cudas_headers_are_found_where_there_is_no_toolkit(monkeypatch, tmp_path):
    from torch.utils import cpp_extension

    pytest.importorskip("triton")
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    monkeypatch.setenv("CUDA_HOME", "")
    inductor_package.find_cuda(str(tmp_path))
    folders = [Path(folder) for folder in cpp_extension.include_paths("cuda")]
    assert any((folder / "cuda_runtime_api.h").exists() for folder in folders)
    assert any((folder / "crt" / "host_defines.h").exists() for folder in folders)


def test_a_users_toolkit_is_left_alone(monkeypatch, tmp_path):
    from torch.utils import cpp_extension

    monkeypatch.setattr(cpp_extension, "CUDA_HOME", "/opt/cuda")
    inductor_package.find_cuda(str(tmp_path))
    assert cpp_extension.CUDA_HOME == "/opt/cuda"
