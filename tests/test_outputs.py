"""Files are written whole or not at all, whatever library writes them, and a full disk is named."""

import ast
import contextlib
import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from launchers import wait_for

from speedgrid import data
from speedgrid.builders import attempt, onnx_export
from speedgrid.grid import Cell
from speedgrid.launcher import outputs
from speedgrid.launcher.outputs import PART, Unwritable, replacing, sweep, write_json, write_text

ROOT = Path(__file__).parent.parent
# Names of calls that write to a path, or make one: of the standard library, and of libraries in use here.
WRITERS = {
    *("write_text", "write_bytes", "touch", "open", "open_memmap", "ZipFile", "mkstemp", "NamedTemporaryFile", "dump"),
    *("copy", "copy2", "copyfile", "copytree", "move", "rename", "replace", "link", "symlink", "symlink_to"),
    *("save", "savez", "savetxt", "tofile", "savefig", "to_csv", "to_parquet", "to_json", "to_html", "to_excel"),
    *("save_model", "export", "quantize_static", "quant_pre_process", "write_po", "write_mo", "hardlink_to"),
    *("aoti_compile_and_package", "to_pickle", "to_string", "savemat", "imsave", "write_image"),
}
# Harmless functions of the same names, by what they belong to; nothing: those of this library.
HARMLESS = {
    ("", "replace"),
    ("dataclasses", "replace"),
    ("copy", "copy"),
    ("", "export"),
    ("torch.export", "export"),
    ("", "write_text"),
}
# What may write in another way, by file and call, each with its reason.
EXCEPTIONS = {
    ("speedgrid/launcher/outputs.py", "os.replace"): "it is what writes in the one way",
    ("speedgrid/launcher/outputs.py", "os.open"): "it is the lock of what writes in the one way",
    ("speedgrid/launcher/ending.py", "os.open"): "it is the null device, no file",
    ("speedgrid/measure/memory.py", "PEAK_RESET.write_text"): "it is no file but a switch of the kernel's",
    ("speedgrid/data/arrays.py", "np.lib.format.open_memmap"): "it is opened to be read alone",
    ("speedgrid/machine/locks.py", "os.open"): "a lock is empty, and never half written",
    ("speedgrid/builders/inductor.py", "(libraries / 'libcuda.so').symlink_to"): "it lies in a temporary folder",
    ("speedgrid/builders/inductor.py", "torch._inductor.aoti_compile_and_package"): "it writes to memory here",
    ("speedgrid/builders/onnx_int8.py", "quant_pre_process"): "it lies in a temporary folder",
    ("speedgrid/builders/onnx_int8.py", "onnx.save"): "it lies in a temporary folder",
    ("speedgrid/builders/onnx_int8.py", "quantize_static"): "whoever calls it gives it a temporary path",
    ("speedgrid/cluster/place.py", "link.symlink_to"): "a link is there at once or not at all",
    ("speedgrid/cluster/campaign.py", "os.open"): "a lock is empty, and never half written",
    ("speedgrid/text/language.py", "write_mo"): "it is written to memory here",
}


def calls(path):
    """Yield the calls of a file that may write, with the names that hold temporary paths where each stands."""
    yield from within(ast.parse(path.read_text(encoding="utf-8")), frozenset())


def within(node, temporary):
    """Yield the calls below a node that may write, each with the temporary names that it can see."""
    if isinstance(node, ast.With | ast.AsyncWith):
        for item in node.items:
            made, name = item.context_expr, item.optional_vars
            yield from within(made, temporary)
            ours = isinstance(made, ast.Call) and ast.unparse(made.func).endswith("replacing")
            # A file that is opened below a temporary path is temporary too.
            if isinstance(name, ast.Name) and (ours or names(made) & temporary):
                temporary = temporary | {name.id}
        for inner in node.body:
            yield from within(inner, temporary)
        return
    if isinstance(node, ast.Call) and writes(node):
        yield node, temporary
    for inner in ast.iter_child_nodes(node):
        yield from within(inner, temporary)


def writes(call):
    """Tell if a call may write a file."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    arguments = [*call.args, *(one.value for one in call.keywords)]
    whose = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
    if name not in WRITERS or (whose, name) in HARMLESS or (name == "copy" and not arguments):
        return False  # what copies itself, as arrays and sets do, goes to no path
    if name in ("open", "ZipFile"):
        texts = [one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        modes = [text for text in texts if len(text) <= 3 and set(text) <= set("rwaxbt+")]
        flags = any("O_CREAT" in ast.unparse(one) or "O_WRONLY" in ast.unparse(one) for one in arguments)
        return flags or any(set(mode) & set("wax+") for mode in modes)
    if name in ("to_csv", "to_json", "to_html", "to_string") and not arguments_that_name(call):
        return False  # it returns the text
    # Those of texts and tables, with the same names, are many.
    return name not in ("replace", "rename") or whose in ("os", "shutil")


def arguments_that_name(call):
    """Return the arguments of a pandas writer that are its path: the first, or `path_or_buf` and the like."""
    return call.args or [one for one in call.keywords if one.arg in ("path_or_buf", "path", "buf")]


def names(node):
    """Return the names that are used below a node."""
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def unguarded(path, name):
    """Return the calls of a file that write in place: not to what `replacing` gives, and no exceptions."""
    found = []
    for call, temporary in calls(path):
        if not names(call) & temporary and (name, ast.unparse(call.func)) not in EXCEPTIONS:
            found.append(f"{name}:{call.lineno} {ast.unparse(call.func)}")
    return found


FILES = sorted([*(ROOT / "speedgrid").rglob("*.py"), *(ROOT / "scripts").glob("*.py")])


def test_whatever_writes_a_file_writes_it_beside_its_place():
    assert [one for path in FILES for one in unguarded(path, str(path.relative_to(ROOT)))] == []


def test_every_exception_is_still_there_and_has_a_reason():
    for (name, function), reason in EXCEPTIONS.items():
        assert function in [ast.unparse(call.func) for call, _ in calls(ROOT / name)], (name, function)
        assert len(reason.split()) > 4


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("open(path, 'w').write(x)", 1),
        ("open(path).read()", 0),
        ("path.open(mode='ab')", 1),
        ("os.open(path, os.O_WRONLY | os.O_CREAT)", 1),
        ("torch.save(model, path)", 1),
        ("with replacing(path) as one:\n    torch.save(model, path)", 1),
        ("with replacing(path) as one:\n    torch.save(model, one)", 0),
        ("with replacing(path) as one, one.open('wb') as file:\n    numpy.save(file, x)", 0),
        ("with replacing(path) as one:\n    pass\none.write_text(x)", 1),
        ("text.replace('a', 'b')", 0),
        ("os.replace(a, b)", 1),
        ("table.to_csv(index=False)", 0),
        ("table.to_csv(path, index=False)", 1),
        ("shutil.copyfile(a, b)", 1),
        ("figure.savefig(path)", 1),
    ],
)
def test_a_writer_in_place_would_be_found(tmp_path, code, found):
    (tmp_path / "one.py").write_text(code)
    assert len(unguarded(tmp_path / "one.py", "one.py")) == found


def listing(folder):
    """Return the names of all that is in a folder and below."""
    return sorted(str(one.relative_to(folder)) for one in Path(folder).rglob("*"))


def test_a_file_takes_its_place_with_what_was_written_beside_it(tmp_path):
    with replacing(tmp_path / "new" / "model.onnx") as temporary:
        assert temporary.name == "model.onnx"
        temporary.write_bytes(b"graph")
        temporary.with_suffix(".onnx.data").write_bytes(b"weights")
        assert not (tmp_path / "new" / "model.onnx").exists()
    assert listing(tmp_path) == ["new", "new/model.onnx", "new/model.onnx.data"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_what_was_there_stays_where_writing_fails(tmp_path, error):
    write_text(tmp_path / "table.csv", "old")

    def fail():
        with replacing(tmp_path / "table.csv") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "table.csv").read_text() == "old"
    assert listing(tmp_path) == ["table.csv"]


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
def test_text_and_json_come_back_as_they_were(tmp_path_factory, content):
    import json

    folder = tmp_path_factory.mktemp("outputs")
    write_json(folder / "one.json", content)
    assert json.loads((folder / "one.json").read_text(encoding="utf-8")) == content
    assert listing(folder) == ["one.json"]


def test_a_folder_takes_its_place_with_all_of_its_files_on_the_disk(tmp_path, monkeypatch):
    flushed, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (flushed.append(os.fstat(number).st_ino), fsync(number)))
    with replacing(tmp_path / "deploy" / "model") as temporary:
        (temporary / "inner").mkdir(parents=True)
        for name in ("one", "inner/two"):
            (temporary / name).write_text(name)
        assert not (tmp_path / "deploy" / "model").exists()
    assert listing(tmp_path / "deploy") == ["model", "model/inner", "model/inner/two", "model/one"]
    assert {(tmp_path / "deploy" / "model" / name).stat().st_ino for name in ("one", "inner/two")} <= set(flushed)


def test_a_number_that_json_has_not_leaves_the_file_as_it_was(tmp_path):
    write_json(tmp_path / "one.json", {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "one.json", {"a": float("nan")})
    assert (tmp_path / "one.json").read_text() == '{\n "a": 1\n}\n'


WRITER = """
import sys, time
from pathlib import Path
from speedgrid.launcher.outputs import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text(sys.argv[2])
    (temporary.parent / "more").mkdir()
    Path(sys.argv[3]).touch()
    time.sleep(600 if len(sys.argv) > 4 else 0)
    (temporary.parent / "more").rmdir()
"""


def writer(path, text, sign, *more):
    """Start a process that writes a file, and wait until it is half done."""
    options = {"env": os.environ | {"PYTHONPATH": str(ROOT)}}
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), text, str(sign), *more], **options)
    wait_for(sign.exists)
    return process


def test_a_kill_leaves_the_old_file_and_the_next_writer_takes_over(tmp_path):
    path = tmp_path / "folder" / "weights.pth"
    write_text(path, "old")
    for number in range(3):
        process = writer(path, "half", tmp_path / f"sign{number}", "wait")
        process.kill()
        process.wait()
        assert path.read_text() == "old"
    # One folder, however often.
    assert sum(one.endswith(PART) for one in listing(tmp_path)) == 1
    write_text(path, "new")
    assert path.read_text() == "new"
    assert listing(path.parent) == ["weights.pth"]


def test_sweeping_removes_what_killed_processes_left_and_nothing_of_living_ones(tmp_path):
    gone = writer(tmp_path / "a.json", "half", tmp_path / "sign1", "wait")
    gone.kill()
    gone.wait()
    living = writer(tmp_path / "deep" / "b.json", "half", tmp_path / "sign2", "wait")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a.part").mkdir()
    sweep(tmp_path, tmp_path / "nowhere")
    left = listing(tmp_path)
    living.kill()
    living.wait()
    assert "deep/.b.json.part/b.json" in left
    assert not any(one.startswith(".a.json") for one in left)
    assert {".hidden", "a.part"} < set(left)
    sweep(tmp_path)
    assert not any("b.json" in one for one in listing(tmp_path))


def test_two_who_write_one_file_do_not_meet(tmp_path):
    path = tmp_path / "one.csv"
    first = writer(path, "first", tmp_path / "sign", "wait")
    write_text(path, "second")
    assert path.read_text() == "second"
    first.terminate()
    first.wait()
    assert path.read_text() == "second"


# Files may not be longer than this in the processes that follow: what any user can do who cannot fill a disk.
LIMIT = 200_000
LIBRARIES = {
    "torch": "import torch\nwith replacing(path) as one: torch.save(torch.zeros(200_000), one)",
    "numpy": "import numpy\nwith replacing(path) as one: numpy.save(one, numpy.zeros(200_000))",
    "text": "outputs.write_text(path, 'x' * 1_000_000)",
    "json": "outputs.write_json(path, {'a': 'x' * 1_000_000})",
    "parquet": "import numpy, pandas\nwith replacing(path) as one: "
    "pandas.DataFrame(numpy.random.rand(100_000, 2), columns=['a', 'b']).to_parquet(one)",
    "zip": "import os, zipfile\nwith replacing(path) as one, zipfile.ZipFile(one, 'w') as archive: "
    "archive.writestr('a', os.urandom(1_000_000))",
    "plot": "import numpy\nfrom matplotlib import pyplot\nfigure = pyplot.figure(figsize=(20, 20))\n"
    "figure.add_subplot().imshow(numpy.random.rand(2000, 2000))\nwith replacing(path) as one: figure.savefig(one)",
    "images": "import numpy, types\nfrom speedgrid import data\nsource = types.SimpleNamespace(\n"
    " size=lambda part, most: most, describe=dict, labels=lambda part, count: None,\n"
    " images=lambda part, size, start, count: numpy.zeros((count, 3, size, size)))\n"
    "data.prepare(source, 'evaluation', 64, 64, path)",
    "onnx": "import numpy, onnx\nfrom onnx import helper, numpy_helper\n"
    "weights = numpy_helper.from_array(numpy.zeros(200_000), 'w')\n"
    "graph = helper.make_graph([], 'g', [], [], [weights])\n"
    "with replacing(path) as one: onnx.save(helper.make_model(graph), one)",
}
ENDINGS = {"torch": ".pth", "numpy": ".npy", "json": ".json", "parquet": ".parquet", "zip": ".zip", "plot": ".png"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_full_disk_is_one_sentence_with_the_file(tmp_path, library):
    path = tmp_path / f"file{ENDINGS.get(library, '.txt')}"
    path.write_text("old")
    code = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT}))\n"
        "from speedgrid.launcher import outputs\nfrom speedgrid.launcher.outputs import replacing\n"
        f"path = sys.argv[1]\ntry:\n    exec({LIBRARIES[library]!r})\n"
        "except Exception as error:\n    raise AssertionError('it would be taken for a failure') from error\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    [sentence] = [line for line in done.stderr.splitlines() if "Warning" not in line][-1:]
    assert sentence == f"{path} cannot be written (File too large); allow larger files (ulimit -f), then run again."
    assert "Traceback" not in done.stderr
    assert path.read_text() == "old"
    assert listing(tmp_path) == [path.name]


def test_where_a_library_has_killed_its_process_the_next_writer_says_that_the_disk_is_full(tmp_path, monkeypatch):
    process = writer(tmp_path / "engine.ts", "half", tmp_path / "sign", "wait")
    process.send_signal(signal.SIGABRT)
    process.wait()
    (tmp_path / "sign").unlink()
    monkeypatch.setattr(outputs, "no_room", lambda folder: 28)
    with pytest.raises(Unwritable, match=r"engine\.ts cannot be written \(No space left on device\); free some space"):
        outputs.unmade(tmp_path / "engine.ts", "engine build: killed by signal 6")
    # With the space that it took free again, the next try has what there is.
    assert listing(tmp_path) == []
    outputs.unmade(tmp_path / "engine.ts", "engine build: no such operator")
    assert listing(tmp_path) == ["engine.ts"]


def test_a_full_disk_is_no_failure_of_what_was_built(tmp_path, monkeypatch):
    def no_room(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.onnx.export", no_room)
    monkeypatch.setattr(onnx_export.models, "load", lambda *asked: __import__("torch").nn.Flatten())
    monkeypatch.setattr(onnx_export.models, "fold_batch_norm", lambda module: module)
    with pytest.raises(Unwritable, match=r"a\.onnx cannot be written \(No space left on device\); free some space in"):
        onnx_export.attempt("resnet18", "none.pth", "fp32", 64, str(tmp_path / "a.onnx"))
    cell = Cell.parse("resnet18-pytorch-fp32-r64-b1")

    def compile_():
        with replacing(tmp_path / "b.engine"):
            no_room()

    with pytest.raises(Unwritable, match=r"b\.engine cannot be written"):
        attempt.attempt(cell, "cpu", str(tmp_path / "b.engine"), compile_)
    assert listing(tmp_path) == []


UNWRITABLE = {
    "below a file": lambda folder: folder / "file" / "a.csv",
    "a folder": lambda folder: folder / "folder",
    "a long name": lambda folder: folder / ("a" * 300),
    "where the kernel has no files": lambda folder: Path("/proc/self/a.csv"),
}


@pytest.mark.parametrize("place", UNWRITABLE.values(), ids=UNWRITABLE)
def test_what_cannot_be_written_is_one_sentence(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "more").mkdir(parents=True)
    path = place(tmp_path)
    with pytest.raises(Unwritable) as caught:
        write_text(path, "text")
    assert str(caught.value).startswith(f"{path} cannot be written (")
    assert str(caught.value).endswith(", then run again.")
    assert listing(tmp_path) == ["file", "folder", "folder/more"]


def test_images_are_what_numpy_itself_writes(tmp_path):
    """They are written a few at a time, by hand."""
    import numpy as np

    from speedgrid.data.noise import Noise

    data.prepare(Noise(0), "calibration", 16, 40, tmp_path / "images.npy")
    found = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert found.shape == (40, 3, 16, 16)
    assert found.dtype == np.float32
    written = io.BytesIO()
    np.save(written, np.array(found))
    assert (tmp_path / "images.npy").read_bytes() == written.getvalue()
    np.testing.assert_array_equal(found[32:], Noise(0).images("calibration", 16, 32, 8))


def test_an_archive_that_fails_is_not_there(tmp_path):
    def fail():
        with replacing(tmp_path / "a.zip") as one, zipfile.ZipFile(one, "w") as archive:
            archive.write(tmp_path / "nothing")

    with contextlib.suppress(FileNotFoundError):
        fail()
    assert listing(tmp_path) == []
