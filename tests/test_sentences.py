"""How scripts end that cannot go on, and what readers say of files that somebody damaged."""

import os
import resource
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from processes import ROOT, python, script

import scripts
from speedgrid import InputError
from speedgrid.data import arrays
from speedgrid.launcher import ending, reading
from speedgrid.launcher.reading import FileError
from speedgrid.machine import proc
from speedgrid.measure import host, memory
from speedgrid.measure.host import HostLoad
from speedgrid.measure.memory import MemoryMeter
from speedgrid.model.checkpoint import kinds
from speedgrid.model.described import Arithmetic, Origin
from speedgrid.table import saved

SENTENCES = {
    "a mistake": (InputError("config key x is 3; it must be 4."), "config key x is 3; it must be 4."),
    "memory": (MemoryError(), "this takes more memory than there is (MemoryError: ); "),
    "torch's memory": (
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        "this takes more memory than there is",
    ),
    "the linker's memory": (ImportError("libx.so: failed to map segment from shared object"), "this takes more memory"),
    "a file": (
        PermissionError(13, "Permission denied", "a.csv"),
        "a.csv cannot be used (Permission denied); it",
    ),
    "no file": (FileNotFoundError(2, "No such file or directory", "b"), "b cannot be used (No such file or directory)"),
    "what a terminal obeys": (InputError("key a\x1b[2J\x9b\x1cb\u2028c"), r"key a\x1b[2J\x9b\x1cb\u2028c"),
    "a name of two lines": (FileNotFoundError(2, "No such file", "a\nb\udc80"), r"a\nb\udc80 cannot be used (No such"),
}


@pytest.mark.parametrize(("error", "begin"), SENTENCES.values(), ids=SENTENCES)
def test_what_a_user_can_mend_is_one_sentence(capsys, error, begin):
    ending.tell(type(error), error, None)
    printed = capsys.readouterr().err
    assert printed.startswith(begin)
    assert printed.count("\n") == 1
    assert printed.strip().isprintable()


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyError("x"), OSError("odd"), ZeroDivisionError(), AssertionError()]
)
def test_a_fault_of_the_program_keeps_its_traceback(error):
    assert ending.sentence(error) is None
    program = f"import scripts; raise {type(error).__name__}('odd')"
    assert "Traceback" in python("-c", program, code=1).stderr


def test_the_limit_of_memory_is_named_where_there_is_one(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2_000_000_000, 2_000_000_000))
    assert "its limit is 2000 MB of address space" in ending.sentence(MemoryError())
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert "limit" not in ending.sentence(MemoryError())


def test_a_script_with_too_little_memory_says_so_and_nothing_else():
    done = subprocess.run(
        [sys.executable, "-c", "import scripts; bytearray(10**10)"],
        capture_output=True,
        encoding="utf-8",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 * 10**9, 4 * 10**9)),
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("this takes more memory than there is (MemoryError: ); its limit is 4000 MB of")
    assert done.stderr.count("\n") == 1


def test_what_a_terminal_cannot_show_is_printed_in_escapes():
    program = "import scripts; print('Отчёт')"
    done = python("-c", program, env={"PATH": "/usr/bin", "PYTHONIOENCODING": "ascii"})
    assert done.stdout == "\\u041e\\u0442\\u0447\\u0451\\u0442\n"
    assert scripts.__doc__


@pytest.mark.parametrize("name", ["audit", "render_report", "describe_run", "audit_published", "draw_plots"])
def test_every_script_names_the_artifact_that_is_damaged(tmp_path, name):
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    (tmp_path / "bad.csv").write_text("", encoding="utf-8")
    bad, table = tmp_path / "bad.json", tmp_path / "bad.csv"
    given = {
        "audit": ["--results", table, "--summary", bad, "--output", "x", "--reference", "{}"],
        "render_report": [
            *("--results", table, "--run", bad, "--published", bad),
            *("--template", "x", "--output", "x"),
        ],
        "describe_run": ["--summary", bad, "--config", bad, "--output", "x"],
        "audit_published": ["--config", bad, "--model", "resnet18", "--flops", bad, "--output", "x"],
        "draw_plots": [
            "--model",
            "m",
            "--results",
            table,
            "--rounds",
            table,
            "--run",
            bad,
            "--flops",
            bad,
            "--folder",
            "x",
        ],
    }[name]
    printed = script(name, *given, code=1).stderr
    assert printed.startswith(str(tmp_path / "bad."))
    assert printed.endswith("; it is damaged: delete it, and snakemake makes it again.\n")
    assert printed.count("\n") == 1


DAMAGED = {
    "nothing": ("", "cannot be read as JSON"),
    "cut off": ('{"model": "resnet18", "resol', "cannot be read as JSON"),
    "no number": ('{"a": NaN}', "it has NaN, which is no number"),
    "too large a number": ('{"a": [1e999]}', "it has 1e999, which is too large for a number"),
    "digits": ("1" * 5000, "cannot be read as JSON"),
    "deep": ("[" * 100_000, "it is nested too deeply"),
    "a list": ("[]", "is not what was written there (Expected `object`, got `array`)"),
    "a part lost": ('{"model": "resnet18"}', "is not what was written there (Object missing required field"),
}


@pytest.mark.parametrize(("text", "words"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_description_is_named_with_what_to_do(tmp_path, text, words):
    path = tmp_path / "resnet18-r64.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileError) as caught:
        reading.read_json(path, Origin)
    assert str(caught.value).startswith(f"{path} ")
    assert words in str(caught.value)
    assert str(caught.value).endswith("; it is damaged: delete it, and snakemake makes it again.")


@pytest.mark.parametrize("content", ["{}", '{"resnet18": {}}', '{"resnet18": {"64": {"flop": 3, "onnx_flop": null}}}'])
def test_parts_that_are_optional_may_be_lost_and_no_others(tmp_path, content):
    path = tmp_path / "flops.json"
    path.write_text(content, encoding="utf-8")
    if "flop" in content:
        with pytest.raises(FileError, match="missing required field"):
            reading.read_json(path, Arithmetic)
    else:
        assert reading.read_json(path, Arithmetic) is not None


@pytest.mark.parametrize("size", [0, 20, 90, -40])
def test_an_array_that_is_cut_off_is_named(tmp_path, size):
    path = tmp_path / "images.npy"
    np.save(path, np.zeros((2, 3, 4)))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FileError, match=rf"{path} cannot be read as an array of numpy .*: delete it, and snakemake"):
        arrays.read(path)


def test_an_array_of_objects_runs_nothing(tmp_path):
    np.save(tmp_path / "images.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(FileError, match="cannot be read as an array of numpy"):
        arrays.read(tmp_path / "images.npy")


@pytest.mark.parametrize("size", [1, 30, -1, -20])
def test_an_onnx_file_that_is_cut_off_is_named(tmp_path, size):
    path = tmp_path / "model.onnx"
    weight = helper.make_tensor("w", TensorProto.FLOAT, [20], [1.0] * 20)
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [], [weight])
    onnx.save(helper.make_model(graph), path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(
        FileError, match=rf"{path} cannot be read as ONNX .*: delete it, and snakemake makes it again\."
    ):
        reading.read_onnx(path)


def printing(output, *command):
    """Return exit code and errors of a command whose output goes to an open file."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, stdout=output, stderr=subprocess.PIPE, text=True, timeout=300
    )
    return done.returncode, done.stderr


COMMANDS = (("scripts.retry", "--list"), ("scripts.doctor",))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_who_has_heard_enough_is_told_nothing(command):
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    with open(writing_end, "wb") as closed:
        assert printing(closed, *command) == (1, "")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_output_to_a_full_disk_is_one_sentence(command):
    with open("/dev/full", "wb") as full:
        code, said = printing(full, *command)
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("what this prints cannot be written (No space left on device); free some space")


def test_whoever_interrupts_a_script_sees_no_traceback(capsys):
    ending.tell(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == ""


READERS = {
    "json": lambda path: reading.read_json(path, dict),
    "yaml": reading.read_yaml,
    "onnx": reading.read_onnx,
    "npy": arrays.read,
    "csv": saved.read,
    "parquet": saved.read,
    "pth": kinds.kind,
}


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path, ending, make):
    path = tmp_path / f"x.{ending}"
    make(path)
    signal.alarm(60)  # which ends all tests: nothing else would
    try:
        with pytest.raises(InputError, match=rf"{path} (cannot be read|is not a table)") as caught:
            READERS[ending](path)
    finally:
        signal.alarm(0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config/schema.yaml", "rules/unaffected.yaml"])
def test_files_of_the_workflows_own_are_the_same_to_either_reader_of_yaml(name):
    assert reading.read_own_yaml(ROOT / name) == reading.read_yaml(ROOT / name)


TWICE = {
    "at the top": "device: cpu\nmodels: [a]\ndevice: cuda\n",
    "nested": "timing:\n  rounds: 1\n  timed_runs: 3\n  rounds: 2\n",
    "in braces": "timing: {rounds: 1, rounds: 2}\n",
    "in JSON": '{"timing": {"rounds": 1, "rounds": 2}}',
    "in a list": "published:\n- {file: a.csv, model: b, file: c.csv}\n",
}


@pytest.mark.parametrize("text", TWICE.values(), ids=TWICE)
def test_a_key_that_stands_twice_is_refused(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=r"x\.yaml cannot be read as YAML .*the key '(device|rounds|file)' stands"):
        reading.read_yaml(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    "text", ["a: &x {b: 1}\nc: {<<: *x, b: 2}\n", "a: &x [1]\nb: *x\n", "- {a: 1}\n- {a: 2}\n", "{\t}"]
)
def test_keys_that_stand_once_in_each_place_are_read(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    assert reading.read_yaml(tmp_path / "x.yaml") is not None


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"cpu\n", b"cpu  1 2 3\n", b"intr 5\n", b"cpu  a b c d e f g h i j\n", b"\xff\xfe"]
)
def test_processors_that_are_not_told_of_are_not_known(tmp_path, monkeypatch, content):
    (tmp_path / "stat").write_bytes(content)
    monkeypatch.setattr(host, "STAT", tmp_path / "stat")
    assert HostLoad().read() is None


@pytest.mark.parametrize("content", [None, b"", b"VmRSS:\n", b"Name: x\n", b"VmRSS: lots kB\n"])
def test_memory_that_is_not_told_of_is_not_known(tmp_path, monkeypatch, content):
    if content is not None:
        (tmp_path / "status").write_bytes(content)
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    monkeypatch.setattr(memory, "PEAK_RESET", tmp_path / "none" / "clear_refs")
    meter = MemoryMeter("cpu")
    meter.read("loaded")
    assert meter.found().peak_mb() is None


def test_a_peak_that_may_not_be_reset_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "PEAK_RESET", tmp_path)  # which nobody can write to
    meter = MemoryMeter("cpu")
    meter.read("loaded")
    assert meter.found().peak_mb() >= 0


def test_a_kernel_that_tells_nothing_has_no_lines(tmp_path):
    assert proc.lines(tmp_path / "none") == proc.lines(tmp_path) == []
    (tmp_path / "empty").touch()
    assert proc.lines(tmp_path / "empty") == []
