"""What the campaign of faults looks with: processes, half files, results, full folders; not the campaign itself."""

import base64
import io
import json
import os
import random
import signal
import subprocess
import sys
import zipfile
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import yaml
from builders import make_record
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image
from processes import run as run_command

from benchmarks import disturbed, faults, full_disk, processes, whole
from benchmarks.disturbed import Run
from benchmarks.processes import MARKER, Process
from speedgrid import settings
from speedgrid.grid import cells
from speedgrid.record import write

CELL = "resnet18-pytorch-fp32-r64-b1"
RECORD = f"artifacts/timings/{CELL}-round1.json"
BUSY = "while True: pass"


@pytest.mark.parametrize(
    ("parent", "command", "kind"),
    [
        (1, "python -m snakemake --configfile a.yaml", "other"),  # of another run
        (9, "python -X faulthandler -m speedgrid.launcher.server 5 /tmp/launcher torch", "launcher"),
        (70, "python -X faulthandler -m speedgrid.launcher.server 5 /tmp/launcher torch", "child"),
        (1, "python -X faulthandler -m speedgrid.launcher.server 5 /tmp/launcher torch", "child"),
        (8, "python3 -S -m speedgrid.launcher.client --record-death scripts.time_cell cell", "client"),
        (9, f"python3 -S -m {processes.ROOM}guard", "guard"),
        (8, "python3 -m scripts.render_report --output report.md", "script"),
        (8, "python3 -X faulthandler -m scripts.time_cell cell", "script"),
        (9, "/bin/bash -c scripts/cold", "shell"),
        (9, "/bin/sh scripts/warm scripts.audit", "shell"),
        (8, "g++ -m64 scripts.c", "other"),
        (8, "", "other"),
    ],
)
def test_a_process_is_told_by_its_command_and_its_parent(parent, command, kind):
    assert processes.kind_of(100, parent, command.split(), snakemake=9) == kind


def test_snakemake_is_told_by_its_number():
    assert processes.kind_of(9, 1, ["python", "-m", "anything"], snakemake=9) == "snakemake"


@pytest.fixture
def start(tmp_path):
    """Return a function that starts Python in a session of its own, and ends it after the test."""
    started = []

    def start(code, **options):
        one = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, cwd="/", **options)
        started.append(one)
        return one

    yield start
    for one in started:
        one.kill()
        one.wait()


def marked(value):
    return {"env": os.environ | {MARKER: value}}


def test_a_run_has_the_processes_with_its_marker_in_whatever_session_and_no_others(start, tmp_path):
    ours, _theirs = start(BUSY, **marked("run A")), start(BUSY, **marked("run B"))
    escaped = "if os.fork() == 0:\n    os.setsid()\n    os.environ.clear()\n"
    code = f"import os, time\n{escaped}print(flush=True)\ntime.sleep(99)"
    forked = start(code, **marked("run A"), stdout=subprocess.PIPE)
    for _ in range(2):
        forked.stdout.readline()
    found = processes.of_run("run A", tmp_path / "nowhere", snakemake=-1)
    assert {ours.pid, forked.pid} < {one.pid for one in found}
    assert len(found) == 3
    processes.end(found)
    assert processes.of_run("run A", tmp_path / "nowhere", snakemake=-1) == []


def test_a_run_has_the_processes_that_work_in_its_folder_and_their_jobs_are_their_logs(tmp_path):
    (tmp_path / "logs").mkdir()
    with open(tmp_path / "logs/a.log", "wb") as log:
        one = subprocess.Popen([sys.executable, "-c", BUSY], cwd=tmp_path, stdout=log)
    try:
        [found] = processes.of_run("no marker", tmp_path, snakemake=-1)
        assert (found.pid, found.parent, found.job) == (one.pid, os.getpid(), "logs/a.log")
    finally:
        one.kill()
        one.wait()


def test_what_computes_is_told_from_what_waits_and_from_what_is_gone(start):
    busy, waiting, gone = start(BUSY), start("import sys; sys.stdin.read()", stdin=subprocess.PIPE), start("")
    gone.wait()
    # What waits has first to start, which takes time of the processor.
    while processes.computing([Process(waiting.pid, 0, "other", "")]):
        pass
    everyone = [Process(one.pid, 0, "other", "") for one in (busy, waiting, gone)]
    assert [one.pid for one in processes.computing(everyone)] == [busy.pid]


SHELL, SCRIPT = Process(1, 9, "shell", ""), Process(2, 1, "client", "logs/a.log")
CHILD, HELPER = Process(3, 8, "child", "logs/a.log"), Process(4, 3, "other", "logs/a.log")
OTHER, OTHERS_SHELL = Process(5, 8, "child", "logs/b.log"), Process(6, 9, "shell", "")
LAUNCHER = Process(8, 9, "launcher", "")
EVERYONE = [SHELL, SCRIPT, CHILD, HELPER, OTHER, OTHERS_SHELL, LAUNCHER]


@pytest.mark.parametrize(
    ("victim", "doomed"),
    [
        (SHELL, {SCRIPT, CHILD, HELPER}),
        (SCRIPT, {CHILD, HELPER}),
        (CHILD, {HELPER}),  # its client lives on: it may say in a file what happened
        (LAUNCHER, {CHILD, HELPER, OTHER}),
        (OTHERS_SHELL, set()),
    ],
)
def test_what_works_for_a_process_ends_with_it(victim, doomed):
    assert set(processes.below(victim, EVERYONE)) == doomed


class Living:
    """A run that has these processes."""

    def __init__(self, *started):
        self.started = started

    def processes(self):
        return [Process(one.pid, 0, "child", "logs/a.log") for one in self.started if one.poll() is None]


@pytest.fixture
def soon(monkeypatch):
    for name in ("GRACE_SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(disturbed, name, 0.4)


def test_what_runs_on_after_the_end_of_its_run_is_named(start, soon):
    busy, ended = start(BUSY), start("")
    assert disturbed.settle(Living(busy)) == [f"child {busy.pid} of logs/a.log computes"]
    ended.wait()
    assert disturbed.settle(Living(ended)) == []


def test_work_that_goes_on_after_its_shell_was_killed_is_named(start, soon):
    shell, busy = start("input()", stdin=subprocess.PIPE), start(BUSY)
    victim, [doomed] = Process(shell.pid, 0, "child", "logs/a.log"), Living(busy).processes()
    assert disturbed.going_on(Living(shell, busy), victim, [doomed]) == []  # it took no notice of the signal
    shell.kill()
    shell.wait()
    assert disturbed.going_on(Living(shell, busy), victim, [doomed]) == [f"{doomed} computes on"]
    assert disturbed.going_on(Living(shell, busy), victim, []) == []


def png():
    image = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)).save(image, "PNG")
    return image.getvalue()


def npy():
    array = io.BytesIO()
    np.save(array, np.ones((4, 8)))
    return array.getvalue()


def pth():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data/0", bytes(100))
    return archive.getvalue()


def graph():
    weight = helper.make_tensor("w", TensorProto.FLOAT, [100], np.ones(100))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [100]) for name in "xy"]
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    return helper.make_model(helper.make_graph(nodes, "g", [ends[0]], [ends[1]], [weight])).SerializeToString()


WHOLE = {
    "a.csv": b'model,reason\nresnet18,"a\nb"\nresnet18,b\n',
    "a.html": b"<html><body>1</body></html>\n",
    "a.json": b'{"status": "ok"}\n',
    "a.md": b"# A\n\nb\n",
    "a.npy": npy(),
    "a.onnx": graph(),
    "a.parquet": pd.DataFrame({"a": range(9)}).to_parquet(),
    "a.png": png(),
    "a.pth": pth(),
    "a.svg": b"<svg><g/></svg>\n",
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_has_no_flaw_and_its_beginning_has(tmp_path, name):
    (tmp_path / name).write_bytes(WHOLE[name])
    assert whole.flaw(tmp_path / name) is None

    @given(st.floats(0, 0.9))
    def beginning(share):
        content = WHOLE[name][: int(share * len(WHOLE[name]))]
        # A text that ends with a whole line may be all there was: that it is less is seen in the comparison.
        if name not in ("a.csv", "a.md") or not content.endswith(b"\n"):
            (tmp_path / name).write_bytes(content)
            assert whole.flaw(tmp_path / name)

    beginning()


def test_an_empty_file_is_whole_where_its_description_says_why(tmp_path):
    path = tmp_path / "a.onnx"
    path.touch()
    assert whole.flaw(path) == "it is empty"
    (tmp_path / "a.json").write_text('{"status": "failed", "reason": "of 3 operators"}')
    assert whole.flaw(path) is None
    (tmp_path / "a.json").write_text('{"status": "fai')
    assert whole.flaw(path) == "it is empty"


def test_half_files_are_named_again_and_again_until_they_are_whole(tmp_path):
    looker, path = whole.Looker(), tmp_path / "a.json"
    path.write_text('{"a"')
    for _ in range(2):
        assert [one.split(":")[0] for one in looker.half_files(tmp_path, ["a.json", "b.json"])] == ["a.json"]
    path.write_text('{"a": 1}')
    assert looker.half_files(tmp_path, ["a.json", "b.json"]) == []


def finished(folder, status="ok", verdict="ok"):
    """Make a folder with the results of a run: one record, its row, and an array."""
    for name in ("artifacts/timings", "artifacts/images", "report"):
        (folder / name).mkdir(parents=True)
    write(folder / RECORD, make_record(CELL, status=status, reason="killed by signal 9" if status != "ok" else ""))
    row = dict(zip(whole.AXES, ["resnet18", "pytorch", "fp32", 64, 1], strict=True)) | {"status": verdict}
    pd.DataFrame([row]).to_csv(folder / "artifacts/results.csv", index=False)
    (folder / "artifacts/images/a.npy").write_bytes(npy())
    (folder / "report/report.md").write_text("a\n")
    return folder


def test_runs_that_differ_in_times_and_noise_alone_have_the_same_result(tmp_path):
    first, second = finished(tmp_path / "a"), finished(tmp_path / "b", verdict="unstable")
    (first / "report/report.md").write_text("another time\n")
    # What went on after its end has the controls of a session of its own.
    for turn in ("sentinel1s2", "twin1s3", "reference1s12"):
        write(first / f"artifacts/timings/{CELL}-{turn}.json", make_record(CELL, turn=turn))
    assert whole.differences(first, second) == []
    write(first / f"artifacts/timings/{CELL}-round2.json", make_record(CELL, turn="round2"))
    assert whole.differences(first, second) == [f"artifacts/timings/{CELL}-round2.json is left over"]


def test_what_differs_from_an_undisturbed_run_is_named(tmp_path):
    theirs, ours = finished(tmp_path / "a"), finished(tmp_path / "b", status="failed", verdict="failed")
    (ours / "report/report.md").unlink()
    (ours / "report/.report.md.x").touch()
    (ours / "artifacts/images/a.npy").write_bytes(npy()[:-1])
    assert whole.differences(ours, theirs) == [
        "report/report.md is missing",
        "report/.report.md.x is left over",
        "artifacts/images/a.npy has another content",
        f"{RECORD}: its status is failed (killed by signal 9), not ok",
        "artifacts/results.csv: resnet18-pytorch-fp32-64-1 is failed, not ok",
    ]
    (ours / RECORD).write_text("{")
    assert any(f"{ours / RECORD} is not a readable record" in one for one in whole.differences(ours, theirs))


def note(folder, kind, name, **about):
    path = folder / kind / base64.urlsafe_b64encode(name.encode()).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about))


@pytest.fixture
def run(tmp_path):
    """Return a finished run of two jobs, of which the first has two outputs."""
    for name, end, log in (("a.npy", 10, "a.log"), ("a.json", 11, "a.log"), ("b.json", 20, "b.log")):
        (tmp_path / "run/artifacts").mkdir(parents=True, exist_ok=True)
        (tmp_path / "run/artifacts" / name).write_text(name)
        note(tmp_path / "run", disturbed.METADATA, f"artifacts/{name}", endtime=end, log=[log])
    return Run(tmp_path / "run")


@pytest.mark.parametrize(
    ("share", "done"),
    [
        (0, set()),
        (0.5, {"artifacts/a.npy", "artifacts/a.json"}),
        (1, {"artifacts/a.npy", "artifacts/a.json", "artifacts/b.json"}),
    ],
)
def test_a_run_is_cut_short_between_two_jobs(run, tmp_path, share, done):
    copy = run.as_it_was(tmp_path / "copy", share)
    assert whole.results(copy.folder) == done == set(copy.done())
    assert len(run.done()) == 3


def test_an_output_that_is_being_made_is_not_done(run):
    before = run.done()
    note(run.folder, disturbed.INCOMPLETE, "artifacts/b.json")
    assert set(before) - set(run.done()) == {"artifacts/b.json"}
    (run.folder / "artifacts/a.npy").write_text("another")
    assert run.done()["artifacts/a.npy"] != before["artifacts/a.npy"]


def test_every_kind_of_process_gets_every_signal_as_often_as_any_other():
    few, many = (faults.cards(count, random.Random(0)) for count in (5, 60))
    assert len(set(few)) == 5
    assert set(Counter(many).values()) == {1, 2}
    assert len(set(many)) == len(processes.KINDS) * 4


# A workflow of two jobs that take a moment each, what it does at its beginning, and how it writes a result.
WORKFLOW = """
import base64, json, os, subprocess, sys, time
from pathlib import Path

for folder in ("artifacts", ".snakemake/metadata"):
    Path(folder).mkdir(parents=True, exist_ok=True)
{begin}
for name in ("artifacts/a.json", "artifacts/b.json"):
    if not Path(name).exists():
        time.sleep(0.2)
        {write}
        note = Path(".snakemake/metadata", base64.urlsafe_b64encode(name.encode()).decode())
        note.write_text(json.dumps(dict(endtime=time.time(), log=[name])))
time.sleep(0.2)
{end}
"""
WRITE = 'Path("temporary").write_text("{}"); os.replace("temporary", name)'
IN_PLACE = 'Path(name).write_text("{"); time.sleep(0.4); Path(name).write_text("{}")'
WORKER = 'worker = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)'


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, set()),
        ({"begin": WORKER, "end": "worker.kill(); worker.wait()"}, {"orphans"}),
        ({"write": IN_PLACE}, {"half files"}),
        ({"begin": 'Path("artifacts/a.json").write_text(str(time.time()))'}, {"lost"}),
        ({"begin": 'Path("artifacts", f".{os.getpid()}").touch()'}, {"left over"}),
        ({"begin": 'Path("artifacts/b.json").exists() and sys.exit(1)'}, {"other"}),
        ({"end": 'Path("artifacts/a.json").unlink()'}, {"lost", "other"}),
    ],
)
def test_a_campaign_finds_what_a_workflow_does_wrong_and_nothing_else(tmp_path, monkeypatch, soon, changes, found):
    program, right = tmp_path / "workflow.py", {"begin": "", "write": WRITE, "end": ""}
    program.write_text(WORKFLOW.format(**right))
    monkeypatch.setattr(disturbed, "SNAKEMAKE", (sys.executable, str(program)))
    monkeypatch.setattr(faults, "AT_WRITING", 1)
    (tmp_path / "undisturbed/scripts").mkdir(parents=True)
    (tmp_path / "undisturbed/scripts/retry.py").touch()  # nothing failed
    undisturbed = Run(tmp_path / "undisturbed")
    assert undisturbed.start().wait() == 0
    program.write_text(WORKFLOW.format(**right | changes))
    campaign = faults.Campaign(undisturbed, 1.0, 0.0, kills=0, seed=0)
    campaign.cards = [("snakemake", signal.SIGKILL)] * 2
    campaign.run()
    assert len(campaign.kills) == 2
    assert {column for one in campaign.kills for column, said in one.found.items() if said} == found
    assert faults.as_wanted(campaign, full_disk.Outcome()) == (not found)


def test_the_run_of_the_campaign_is_small_and_trains_nothing():
    config = settings.complete(yaml.safe_load((disturbed.ROOT / disturbed.CONFIG).read_text(encoding="utf-8")))
    assert (config["device"], config["data"]["images"], config["timing"]["rounds"]) == ("cpu", "random", 1)
    assert len(cells({"model": config["models"], **config["grid"]["cpu"]})) == 4


def test_the_summary_counts_what_was_found_by_kind_and_signal():
    fine = faults.Kill("child", signal.SIGHUP, "child 5", "run1", resumed=True)
    bad = faults.Kill("snakemake", signal.SIGKILL, "snakemake 4", "run1", resumed=True)
    bad.found["orphans"] += ["child 5 computes", "client 6 computes"]
    lines = faults.summary([fine, bad], faults.nothing()).splitlines()
    assert "| snakemake | SIGKILL | 1 | 1 | 2 | 0 | 0 | 0 | 0 |" in lines
    assert "| child | SIGHUP | 1 | 1 | 0 | 0 | 0 | 0 | 0 |" in lines
    assert "| all |  | 2 | 2 | 2 | 0 | 0 | 0 | 0 |" in lines
    assert lines[-2:] == [f"* run1, SIGKILL to snakemake 4: orphans: {one}" for one in bad.found["orphans"]]


LOG = """
Error in rule prepare_weights:
    message: Weights of resnet18
    jobid: 3
    output: artifacts/weights/a.pth, artifacts/weights/a.json
    log: logs/prepare_weights/a.log (check log file(s) for error details)
Error in rule draw_plots:
    output: report/plots/a.svg
    log: logs/draw_plots/a.log (check log file(s) for error details)
artifacts/weights/a.pth cannot be written: no space left on device
OSError: [Errno 28] No space left on device: '/tmp/run/.snakemake/metadata/YXJ0'
"""
FOLDERS = ["artifacts", "artifacts/weights", "artifacts/images", "report", "report/plots", ".snakemake", "logs"]


def test_folders_are_blamed_for_failed_jobs_and_for_what_is_said_to_be_full():
    assert full_disk.blamed(LOG, FOLDERS) == [".snakemake", "artifacts/weights", "report/plots"]
    assert full_disk.said_of("artifacts/weights", LOG, FOLDERS).startswith("artifacts/weights/a.pth cannot")
    assert full_disk.said_of("report/plots", LOG, FOLDERS) == ""
    assert full_disk.said_of(".snakemake", "OSError: [Errno 28] No space left on device", FOLDERS)
    assert full_disk.blamed("all is well in the artifacts", FOLDERS) == []


def test_a_folder_needs_what_its_own_files_take_in_whole_pages(run):
    (run.folder / "report").mkdir()
    (run.folder / "report/report.md").write_bytes(bytes(full_disk.PAGE + 1))
    needs = full_disk.needs(run)
    assert needs["artifacts"] == 3 * full_disk.PAGE
    assert needs["report"] == 2 * full_disk.PAGE
    assert list(needs)[-1] == full_disk.TEMPORARY


LONG = '"[" + " " * 100_000 + "]"'
SAYS = f"""try:
            Path("temporary").write_text({LONG}); shutil.copy("temporary", name)
        except OSError:
            os.unlink(name)
            sys.exit(f"{{name}} cannot be written (No space left on device); free some space.")
"""
IN_NAMESPACE = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from benchmarks import disturbed, full_disk
disturbed.SNAKEMAKE = (sys.executable, sys.argv[1])
print(json.dumps(asdict(full_disk.main(Path(sys.argv[2]), disturbed.Run(Path(sys.argv[3]))))))
"""


@pytest.mark.parametrize(
    ("write", "faults_of_artifacts"),
    [
        (SAYS, []),
        (f"Path(name).write_text({LONG})", ["no sentence", "a traceback", "half file artifacts/b.json"]),
    ],
)
def test_a_full_folder_is_told_and_what_is_made_with_space_again_is_compared(tmp_path, write, faults_of_artifacts):
    if why := full_disk.refused(tmp_path):
        pytest.skip(why)
    program, undisturbed = tmp_path / "workflow.py", Run(tmp_path / "undisturbed")
    program.write_text(WORKFLOW.format(begin="import shutil", write=write, end=""))
    undisturbed.folder.mkdir()
    subprocess.run([sys.executable, program], cwd=undisturbed.folder, check=True)
    command = [*full_disk.NAMESPACE, sys.executable, "-c", IN_NAMESPACE, program, tmp_path / "full", undisturbed.folder]
    found = json.loads(run_command(*command).stdout)
    [trial] = [one for one in found["trials"] if one["folder"] == "artifacts"]
    assert trial["stopped"]
    assert [one["folder"] for one in found["trials"] if one["stopped"]] == ["artifacts"]
    for said, start in zip(trial["faults"], faults_of_artifacts, strict=True):
        assert said.startswith(start)
    assert found["differences"] == []


def test_a_machine_that_lets_no_user_mount_anything_is_no_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(full_disk, "NAMESPACE", (sys.executable, "-c", "import sys; sys.exit('not permitted')"))
    found = full_disk.tried(Run(tmp_path / "undisturbed"), tmp_path / "full")
    assert "not permitted" in full_disk.summary(found)
    assert not found.differences
    monkeypatch.setattr(full_disk.shutil, "which", lambda _: None)
    assert "not installed" in full_disk.refused(tmp_path)


def test_a_campaign_that_is_stopped_prints_what_it_found_until_then(tmp_path, monkeypatch, capsys):
    class Done(Run):
        def start(self):
            return subprocess.Popen([sys.executable, "-c", ""])

        def end(self):
            pass

    def stopped(campaign):
        one = faults.Kill("snakemake", signal.SIGKILL, "process 7", "run1", {})
        one.found["lost"].append("artifacts/a.json was done and is made anew")
        campaign.kills.append(one)
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("it goes on")

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(Run, "fresh", classmethod(lambda _, folder: Done(folder)))
    monkeypatch.setattr(faults.whole, "results", lambda _: set())
    monkeypatch.setattr(faults.Campaign, "run", stopped)
    try:
        assert faults.campaign(tmp_path, 60, 0, 10) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr().out
    assert "* run1, SIGKILL to process 7: lost: artifacts/a.json was done and is made anew" in said
    assert said.endswith("Stopped after 1 kills.\n")
