"""How a run ends: with it ends all that works for it, whatever ended it; then it goes on as docs/ending.md says.

The runs are of a small workflow, which starts its guard and its launcher as the real one does.
"""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from launchers import alive, processes_in, wait_for
from processes import ROOT, run

from speedgrid.launcher import ADDRESS_VARIABLE, RUN_VARIABLE, guard, lifetime
from speedgrid.launcher.outputs import PART

pytest_plugins = ["launchers"]
pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="a run is watched on Linux")

BIN = Path(sys.executable).parent
PAGE = (ROOT / "docs/ending.md").read_text()
# Each computes, and so does a process that it has started; half a file is written. `finish` lets them end.
WORK = """
import os, subprocess, sys
from pathlib import Path
from speedgrid.launcher.outputs import replacing
name = sys.argv[1]
if "--died" in sys.argv:
    Path(f"{name}.died").touch()
if Path(f"{name}.broken").exists():
    sys.exit("it is broken")
with replacing(f"results/{name}") as temporary:
    temporary.write_text(name)
    if not Path("finish").exists():
        code = "import pathlib\\nwhile not pathlib.Path('finish').exists(): pass"
        child = subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session="session" in sys.argv)
        Path(f"{name}.begun").touch()
        child.wait()
"""
SNAKEFILE = """
import os, sys
from speedgrid.launcher import guard, outputs, server
os.environ.update(SPEEDGRID_PYTHON=sys.executable)
onstart:
    START
    server.start([])
rule all:
    input: expand("results/{name}", name=["warm", "kept", "cold", "alone", "plain"])
rule warm:
    output: "results/warm"
    shell: "scripts/warm --record-death work warm session"
rule kept:
    output: "results/kept"
    shell: "scripts/warm --keep builds --record-death work kept"
rule cold:
    output: "results/cold"
    shell: "scripts/cold work cold session > cold.log 2>&1"
rule alone:
    output: "results/alone"
    shell: "SPEEDGRID_LAUNCHER= scripts/warm --record-death work alone session"
rule plain:
    output: "results/plain"
    shell: "touch plain.begun; while [ ! -e finish ]; do sleep 0.05; done & wait; touch {output}"
"""
JOBS = ("warm", "kept", "cold", "alone", "plain")
# The lines of the real workflow that end its work and remove what was left.
RULES = (ROOT / "rules/common.smk").read_text()
START = re.findall(r"^    (leaves = .*|guard\.start\(.*|outputs\.sweep\(.*)$", RULES, re.MULTILINE)


class Small:
    """A small workflow in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "scripts").mkdir(parents=True)
        for name in ("warm", "cold"):
            shutil.copy2(ROOT / "scripts" / name, folder / "scripts" / name)
        (folder / "work.py").write_text(WORK)
        lines = [line.replace('"artifacts", "report"', '"results"') for line in START]
        (folder / "Snakefile").write_text(SNAKEFILE.replace("START", "\n    ".join(lines)))
        self.temporary = folder.parent / "temporary"
        self.temporary.mkdir()
        self.cache = folder.parent / "cache"
        left_out = {ADDRESS_VARIABLE, RUN_VARIABLE}
        self.environment = {name: value for name, value in os.environ.items() if name not in left_out}
        path = f"{BIN}:{self.environment['PATH']}"
        self.environment |= {"PYTHONPATH": f"{folder}:{ROOT}", "PATH": path, "TMPDIR": str(self.temporary)}
        self.environment["XDG_CACHE_HOME"] = str(self.cache)

    def begin(self, **options):
        """Start a run, and wait until all of its jobs are at work."""
        for name in JOBS:
            (self.folder / f"{name}.begun").unlink(missing_ok=True)
        with (self.folder / "log").open("w") as log:
            given = {"cwd": self.folder, "env": self.environment, "stdin": subprocess.DEVNULL}
            given |= {"stdout": log, "stderr": log, "start_new_session": True}
            running = subprocess.Popen([BIN / "snakemake", "--cores", "5", "--rerun-incomplete"], **given | options)
        wait_for(lambda: self.at_work() or running.poll() is not None)
        assert running.poll() is None, (self.folder / "log").read_text()
        return running

    def at_work(self):
        """Tell if all jobs have begun."""
        return all((self.folder / f"{name}.begun").exists() for name in JOBS)

    def call(self, *arguments):
        """Run Snakemake to its end; return its exit code and all that it printed."""
        command = [BIN / "snakemake", "--cores", "5", "--rerun-incomplete", *arguments]
        done = run(*command, cwd=self.folder, env=self.environment, code=None)
        return done.returncode, done.stdout + done.stderr

    def hold_that_nothing_is_left(self):
        """Hold that nothing works in the folder any more, that nothing was made, and that no death was recorded."""
        wait_for(lambda: not processes_in(self.folder))
        wait_for(lambda: not any(self.temporary.iterdir()))
        wait_for(lambda: not any(self.cache.rglob("snakemake-runtime-cache/*")))
        assert list(self.folder.glob("*.died")) == []
        assert [one.name for one in (self.folder / "results").iterdir() if not one.name.endswith(PART)] == []

    def hold_that_it_goes_on(self):
        """Hold that Snakemake alone goes on to the end, and removes what was left half written."""
        (self.folder / "finish").touch()
        code, said = self.call()
        assert code == 0, said
        assert sorted(one.name for one in (self.folder / "results").iterdir()) == sorted(JOBS)
        assert {(self.folder / "results" / name).read_text() for name in JOBS} == {*JOBS, ""} - {"plain"}


@pytest.fixture
def small(tmp_path):
    """Return a small workflow; whatever a test leaves of it ends."""
    made = Small(tmp_path / "small")
    yield made
    (made.folder / "finish").touch()
    for one in processes_in(made.folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_after_a_signal_nothing_works_on_and_snakemake_goes_on(small, name):
    running = small.begin()
    os.kill(running.pid, getattr(signal, name))
    assert running.wait(60) == 1
    small.hold_that_nothing_is_left()
    assert "| `Ctrl-C`, `kill PID`, or its terminal was closed | what was at work | `snakemake` |" in PAGE
    small.hold_that_it_goes_on()


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["alone", "with its group"])
def test_after_kill_9_nothing_works_on_and_snakemake_goes_on_once_unlocked(small, kill):
    running = small.begin()
    kill(running.pid, signal.SIGKILL)
    running.wait(60)
    small.hold_that_nothing_is_left()
    assert any(one.name.endswith(PART) for one in (small.folder / "results").iterdir())
    assert "| what was at work | `snakemake --unlock`, then `snakemake` |" in PAGE
    code, said = small.call()
    assert code != 0
    assert "--unlock" in said
    assert small.call("--unlock")[0] == 0
    small.hold_that_it_goes_on()


def guards_of(running):
    """Return the guards of a run: what has its name, and watches it."""
    found = []
    for one in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if one.name.isdecimal() and b"speedgrid.launcher.guard" in (one / "cmdline").read_bytes():
                watched = re.search(rb"SPEEDGRID_RUN=\S+ (\d+) \d+\0", (one / "environ").read_bytes())
                found += [int(one.name)] if watched and int(watched[1]) == running.pid and alive(int(one.name)) else []
    return found


def words_of(number):
    """Return the arguments of a process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{number}/cmdline").read_text(encoding="utf-8").split("\0")
    return []


@pytest.mark.parametrize(("times", "name"), [(3, "SIGKILL"), (1, "SIGTERM")])
def test_after_its_guard_is_killed_a_run_has_another_and_nothing_works_on_when_it_ends(small, times, name):
    running = small.begin()
    for _ in range(times):
        [first] = wait_for(lambda: guards_of(running))
        os.kill(first, signal.SIGKILL)
        wait_for(lambda killed=first: guards_of(running) not in ([], [killed]))
    os.kill(running.pid, getattr(signal, name))
    running.wait(60)
    small.hold_that_nothing_is_left()
    wait_for(lambda: not guards_of(running))
    assert "Where that is killed, the run starts another at once." in PAGE
    if name == "SIGKILL":
        assert small.call("--unlock")[0] == 0
    small.hold_that_it_goes_on()


def test_where_guard_and_run_are_killed_at_once_what_is_measured_ends_and_the_rest_is_written_whole(small):
    running = small.begin()
    os.kill(running.pid, signal.SIGSTOP)  # it sees no guard end
    for one in guards_of(running):
        os.kill(one, signal.SIGKILL)
    os.kill(running.pid, signal.SIGKILL)
    running.wait(60)

    # What the launcher had has ended.
    wait_for(lambda: not {"warm", "kept"} & {name for one in processes_in(small.folder) for name in words_of(one)})
    (small.folder / "finish").touch()
    wait_for(lambda: not processes_in(small.folder))
    whole = {one.name for one in (small.folder / "results").iterdir() if not one.name.endswith(PART)}
    assert whole == {"cold", "alone", "plain"}
    assert (small.folder / "results/cold").read_text() == "cold"
    assert "are killed at the same time, timings and builds still end;" in PAGE
    assert small.call("--unlock")[0] == 0
    small.hold_that_it_goes_on()


def test_after_its_terminal_is_closed_nothing_works_on_and_snakemake_goes_on(small):
    ours, theirs = pty.openpty()

    def take_the_terminal():
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    running = small.begin(stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=take_the_terminal)
    os.close(theirs)
    os.close(ours)
    assert running.wait(60) != 0
    small.hold_that_nothing_is_left()
    small.hold_that_it_goes_on()


def test_a_run_under_nohup_does_not_see_its_terminal_close(small):
    running = small.begin(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    os.kill(running.pid, signal.SIGHUP)
    (small.folder / "finish").touch()
    assert running.wait(120) == 0, (small.folder / "log").read_text()
    assert "`nohup`" in PAGE


def test_a_second_signal_does_not_disturb_the_first(small):
    running = small.begin()
    for _ in range(3):
        os.kill(running.pid, signal.SIGINT)
        time.sleep(0.05)
    assert running.wait(60) in (1, -signal.SIGINT)  # the second, where it comes when Python has all but ended
    small.hold_that_nothing_is_left()
    assert list((small.folder / ".snakemake").glob("locks/*")) == []


def test_a_run_that_goes_through_leaves_nothing(small):
    (small.folder / "finish").touch()
    code, said = small.call()
    assert code == 0, said
    wait_for(lambda: not processes_in(small.folder))
    assert list(small.temporary.iterdir()) == []


def test_a_job_that_fails_costs_no_other_one_and_snakemake_goes_on_once_it_is_mended(small):
    (small.folder / "finish").touch()
    (small.folder / "cold.broken").touch()
    code, said = small.call("--keep-going")
    assert code == 1
    assert "| a job failed, and the run with it | nothing | mend what its log says, then `snakemake` |" in PAGE
    assert (small.folder / "cold.log").read_text() == "it is broken\n"
    assert {one.name for one in (small.folder / "results").iterdir()} == {*JOBS} - {"cold"}
    (small.folder / "cold.broken").unlink()
    code, said = small.call()
    assert code == 0, said
    assert set(re.findall(r"^(\w+) +\d+$", said, re.MULTILINE)) == {"cold", "all", "total"}


def test_two_runs_end_apart():
    """The work of one run is no work of another one's."""
    ends, goes_on = (subprocess.Popen(["sleep", "600"]) for _ in range(2))
    names = [lifetime.name(one.pid) for one in (ends, goes_on)]
    workers = [subprocess.Popen(["sleep", "600"], env=os.environ | {RUN_VARIABLE: name}) for name in names]
    try:
        assert guard.kill_workers(names[0]) == 1
        assert workers[0].wait(60) == -signal.SIGKILL
        assert alive(workers[1].pid)
        assert alive(ends.pid)
        assert guard.kill_workers(names[0]) == 0
    finally:
        for one in (ends, goes_on, *workers):
            one.kill()
            one.wait()


def client(folder, *arguments, **variables):
    """Run a client with variables of its own, and return what it gave."""
    given = {name: value for name, value in os.environ.items() if name not in (ADDRESS_VARIABLE, RUN_VARIABLE)}
    given |= {"PYTHONPATH": f"{folder}:{ROOT}", **variables}
    command = [sys.executable, "-S", "-m", "speedgrid.launcher.client", *arguments]
    return run(*command, cwd=folder, env=given, code=None)


@pytest.fixture
def mark(tmp_path):
    """Return a folder with a script `mark`, which makes a file, or kills itself."""
    (tmp_path / "mark.py").write_text(
        "import os, sys\nfrom pathlib import Path\nPath('marked').touch()\n"
        "if sys.argv[1:] == ['kill']:\n    os.kill(os.getpid(), 9)\n"
    )
    return tmp_path


@pytest.mark.parametrize("address", ["", "@speedgrid-gone"], ids=["no launcher", "launcher gone"])
def test_a_client_begins_nothing_once_its_run_has_ended(mark, address):
    ended = subprocess.Popen(["sleep", "600"])
    name = lifetime.name(ended.pid)
    ended.kill()
    for reaped in (False, True):  # one that nobody has waited for has ended as well
        if reaped:
            ended.wait()
        else:
            wait_for(lambda: not alive(ended.pid))
        done = client(mark, "mark", **{ADDRESS_VARIABLE: address, RUN_VARIABLE: name})
        assert done.returncode == 1
        assert done.stderr == "The run that this script works for has ended; it is not run.\n"
        assert not (mark / "marked").exists()


def test_a_death_is_not_recorded_once_the_run_has_ended(mark):
    living = subprocess.Popen(["sleep", "600"])
    name = lifetime.name(living.pid)
    (mark / "mark.py").write_text(
        "import os, sys\nfrom pathlib import Path\n"
        f"os.kill({living.pid}, 9) if len(sys.argv) == 1 else Path('recorded').touch()\nos.kill(os.getpid(), 9)\n"
    )
    done = client(mark, "--record-death", "mark", **{RUN_VARIABLE: name})
    living.wait()
    assert done.returncode == 1
    assert "has ended" in done.stderr
    assert not (mark / "recorded").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name,
        lambda name: "another-boot/pid:[1] 1 1",
        lambda name: name.replace("pid:[", "pid:[1"),
        lambda name: "",
        lambda name: "nonsense",
        lambda name: "a b c d",
    ],
    ids=["living", "another machine's", "another container's", "none", "nonsense", "more nonsense"],
)
def test_a_client_runs_its_script_while_its_run_lives_or_cannot_be_seen(mark, change):
    name = change(lifetime.name(os.getpid()))
    assert client(mark, "mark", **{RUN_VARIABLE: name}).returncode == 0
    assert (mark / "marked").exists()


@given(st.text() | st.tuples(st.sampled_from(["", lifetime._machine()]), st.text(), st.text()).map(" ".join))
def test_what_is_no_name_of_a_run_has_not_ended(name):
    assert lifetime.ended(name) in (True, False)


def test_a_process_of_the_same_number_is_another_run():
    machine, pid, started = lifetime.name(os.getpid()).split()
    assert not lifetime.ended(f"{machine} {pid} {started}")
    assert lifetime.ended(f"{machine} {pid} {int(started) - 1}")
    assert lifetime.ended(f"{machine} {2**22 + 1} {started}")


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "alone"])
def test_a_script_outlives_the_thread_that_started_its_client(launch, warm):
    """Snakemake starts jobs from threads, and a signal for the end of a parent comes at the end of its thread."""
    launcher = launch()
    if not warm:
        del launcher.environment[ADDRESS_VARIABLE]
    clients = []
    thread = threading.Thread(target=lambda: clients.append(launcher.begin("meet", "mine", "other")))
    thread.start()
    thread.join()
    wait_for((launcher.folder / "mine").exists)
    (launcher.folder / "other").touch()
    assert clients[0].communicate(timeout=60) == ("", "")
    assert clients[0].returncode == 0


def test_a_script_that_runs_alone_ends_with_its_client(launch):
    launcher = launch()
    del launcher.environment[ADDRESS_VARIABLE]
    begun = launcher.begin("wait", "pid")
    child = launcher.wait_for_pid("pid")
    begun.kill()
    begun.communicate()
    wait_for(lambda: not alive(child))


RECORDS = {
    "timings/a-round1": {"status": "ok", "reason": ""},
    "timings/a-round2": {"status": "failed", "reason": "the process was killed by signal 9 (SIGKILL)"},
    "timings/b-round1": {"status": "out_of_memory", "reason": "6 GB"},
    "timings/c-round1": {"status": "unsupported", "reason": "no int8"},
    "accuracy/a": {"status": "failed", "reason": "x"},
    "engines/a": {"status": "failed", "reason": "y"},
    "engines/b": {"status": "ok", "reason": ""},
    "weights/a": {"parameters": 3},
    "images/list": [1, 2],
}


@pytest.fixture
def artifacts(tmp_path):
    """Return a folder with records, some of which failed, and two engines."""
    for name, content in RECORDS.items():
        path = tmp_path / "artifacts" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    (tmp_path / "artifacts/timings/d-round1.json").write_text('{"status": "ok", ')
    for name in "ab":
        (tmp_path / f"artifacts/engines/{name}.ts").write_bytes(b"")
    return tmp_path


def retry(folder, *arguments, code=0):
    """Run scripts/retry.py in a folder, and return the lines that it printed."""
    done = run(
        sys.executable, "-m", "scripts.retry", *arguments, cwd=folder, env=os.environ | {"PYTHONPATH": ROOT}, code=code
    )
    return (done.stdout + done.stderr).splitlines()


NAMED = [
    "artifacts/accuracy/a.json: failed (x)",
    "artifacts/engines/a.json: failed (y)",
    "artifacts/images/list.json: unreadable (it is no record)",
    "artifacts/timings/a-round2.json: failed (the process was killed by signal 9 (SIGKILL))",
    "artifacts/timings/b-round1.json: out_of_memory (6 GB)",
    "artifacts/timings/d-round1.json: unreadable (it is not JSON)",
]


def test_what_failed_is_named(artifacts):
    assert retry(artifacts, "--list") == [*NAMED, "6 records to try again."]


def test_records_of_a_given_status_are_named(artifacts):
    assert "`--status unsupported`" in PAGE
    found = ["artifacts/timings/c-round1.json: unsupported (no int8)", "1 records to try again."]
    assert retry(artifacts, "--list", "--status", "unsupported") == found


def test_a_status_that_there_is_not_is_refused_with_those_that_there_are(artifacts):
    said = retry(artifacts, "--list", "--status", "fialed", code=2)
    assert "invalid choice: 'fialed' (choose from " in said[-1]
    assert all(one in said[-1] for one in ("failed", "unsupported", "unreadable"))


@pytest.mark.parametrize("reason", ["\x1b[2J", "a\nb", "\x07\u2028", "\x9b0m"])
def test_a_reason_tells_a_terminal_nothing(tmp_path, reason):
    (tmp_path / "artifacts/timings").mkdir(parents=True)
    (tmp_path / "artifacts/timings/a.json").write_text(json.dumps({"status": "failed", "reason": f"x{reason}y"}))
    [line, _] = retry(tmp_path, "--list")
    assert line.isprintable()
    assert line.startswith("artifacts/timings/a.json: failed (x")
    assert "?" in line


def test_where_nothing_failed_nothing_is_run(tmp_path):
    assert retry(tmp_path) == ["0 records to try again."]


RECORDING = """
rule report:
    input: expand("artifacts/timings/{name}.json", name=["ok", "failed", "out_of_memory", "unsupported"])
    output: "report"
    shell: "cat {input} > {output}"
rule record:
    output: "artifacts/timings/{name}.json"
    shell:
        "if [ -e better ]; then now=ok; else now={wildcards.name}; fi;"
        " printf '{{\\"status\\": \\"%s\\"}} ' $now > {output}"
"""


def reported(folder):
    """Return the statuses that a report names."""
    return re.findall(r'"status": "(\w+)"', (folder / "report").read_text())


def test_a_command_makes_again_what_failed_and_what_depends_on_it(tmp_path):
    (tmp_path / "Snakefile").write_text(RECORDING)
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    run(*command, cwd=tmp_path)
    assert reported(tmp_path) == ["ok", "failed", "out_of_memory", "unsupported"]
    (tmp_path / "better").touch()
    # A record that the workflow does not ask for any more.
    (tmp_path / "artifacts/timings/gone.json").write_text('{"status": "failed"}')
    run(*command, cwd=tmp_path)
    assert reported(tmp_path) == ["ok", "failed", "out_of_memory", "unsupported"]
    said = retry(tmp_path, "--cores", "1")
    assert "artifacts/timings/failed.json: failed" in said
    assert "3 records to try again." in said
    assert reported(tmp_path) == ["ok", "ok", "ok", "unsupported"]


def test_the_real_workflow_starts_its_guard_before_anything_that_works():
    assert [line.split("(")[0] for line in START][1:] == ["guard.start", "outputs.sweep"]
    assert RULES.index("guard.start") < RULES.index("server.start")
    assert "    begin_run()\n" in (ROOT / "Snakefile").read_text().split("onstart:")[1].split("rule all:")[0]
