"""Locks of a machine: where they lie, what is no lock, and who is said to be in the way."""

import fcntl
import itertools
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from locking import PRELUDE, go_on, hands_over, line, lock_folders, of_machine, waits
from processes import ROOT, python, run

from speedgrid.machine import locks, waiting

pytest_plugins = ["locking"]

HOLD = "held = locks.locked('one', locks.fcntl.LOCK_EX); print('holds', flush=True); input()"
SHARE = HOLD.replace("LOCK_EX", "LOCK_SH")
SOON = "waiting.FIRST_SECONDS = waiting.LONGEST_SECONDS = 0.2; "
NOBODY = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Return the two folders that locks of this process lie in."""
    found = lock_folders(tmp_path)
    monkeypatch.setattr(locks, "FOLDERS", found)
    return list(map(Path, found))


@pytest.fixture
def everyones():
    """Return a folder that every user may enter, and that is gone after the test."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o1777)
        yield name


def lock_file(folder, name="one"):
    return Path(folder) / f"speedgrid-{name}.lock"


def exclusive(name="one"):
    return locks.locked(name, fcntl.LOCK_EX)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# Where they lie


def test_no_variable_says_where_locks_lie_and_there_is_a_folder_on_this_machine():
    asked = f"{PRELUDE}; print(locks.FOLDERS)".replace("; locks.FOLDERS = sys.argv[1:]", "")
    texts = [
        python("-c", asked, env=os.environ | {"PYTHONPATH": str(ROOT), name: "/nowhere"}).stdout
        for name in ("TMPDIR", "TMP", "TEMP", "XDG_RUNTIME_DIR", "HOME")
    ]
    assert len(set(texts)) == 1
    assert [folder for folder in eval(texts[0]) if os.path.isdir(folder) and os.stat(folder).st_mode & 0o1002 == 0o1002]


@pytest.mark.parametrize("other", ["its-own", "nowhere", ""])
def test_processes_with_a_tmpdir_of_their_own_keep_out_of_each_others_way(start, tmp_path, other):
    (tmp_path / "its-own").mkdir()
    holding = start(HOLD, TMPDIR=str(tmp_path))
    assert line(holding) == "holds"
    second = start(HOLD, TMPDIR=str(tmp_path / other) if other else "")
    assert hands_over(holding, second) == "holds"


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_processes_that_share_any_one_folder_keep_out_of_each_others_way(start, tmp_path, shared):
    views = [[tmp_path / f"{view}-{place}" for place in range(3)] for view in "ab"]
    views[1][shared] = views[0][shared]  # such as /dev/shm, where each has a /var/tmp and a /run/lock of its own
    for folder in {folder for view in views for folder in view}:
        folder.mkdir()
        folder.chmod(0o1777)
    first = start(HOLD, list(map(str, views[0])))
    assert line(first) == "holds"
    second = start(HOLD, list(map(str, views[1])))
    assert hands_over(first, second) == "holds"


def test_processes_that_share_no_folder_do_not_see_each_other(start, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o1777)
    assert {line(start(HOLD, [str(tmp_path / name)])) for name in ("a", "b")} == {"holds"}


@only_root
@pytest.mark.parametrize("private", [("/tmp", "/dev/shm"), ("/tmp", "/var/tmp"), ("/dev/shm", "/run/lock")])
def test_jobs_with_private_folders_keep_out_of_each_others_way(private):
    name = f"test-{os.getpid()}"
    code = f"{PRELUDE}; {HOLD}".replace("; locks.FOLDERS = sys.argv[1:]", "").replace("'one'", f"'{name}'")
    mounts = "".join(f"mount -t tmpfs -o mode=1777 none {folder} && " for folder in private)
    in_job = ["unshare", "--mount", "sh", "-c", f'cd / && {mounts} exec "$@"', "sh"]
    if subprocess.run([*in_job, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody have private folders")
    with tempfile.TemporaryDirectory(dir="/usr/local") as library:  # what lies in /tmp is gone in there
        shutil.copytree(ROOT / "speedgrid", Path(library) / "speedgrid")
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        given["env"] = os.environ | {"PYTHONPATH": library}
        python_here = os.path.realpath(sys.executable)
        with subprocess.Popen([*in_job, python_here, "-c", code], **given) as first:
            assert line(first) == "holds"
            with subprocess.Popen([*in_job, python_here, "-c", code], **given) as second:
                assert waits(second)
                go_on(first)
                assert line(second) == "holds"
                go_on(second)
    for path in map(Path, locks_of_this_machine(name)):
        path.unlink(missing_ok=True)


def locks_of_this_machine(name):
    return [lock_file(folder, name) for folder in ("/run/lock", "/var/tmp", "/dev/shm")]


def test_a_folder_with_two_names_is_locked_once(tmp_path, monkeypatch):
    first, _ = lock_folders(tmp_path)
    (tmp_path / "link").symlink_to(first)
    monkeypatch.setattr(locks, "FOLDERS", [first, str(tmp_path / "link")])
    with exclusive() as lock:
        assert len(lock.handles) == 1


@pytest.mark.parametrize("wrong", [0o755, 0o777, 0o700, 0o1775, None])
def test_a_folder_in_which_others_make_no_locks_or_remove_them_is_left_out(folders, wrong):
    if wrong is None:
        folders[0].rmdir()
    else:
        folders[0].chmod(wrong)
    with exclusive():
        pass
    assert [lock_file(folder).exists() for folder in folders] == [False, True]


def test_with_no_folder_for_locks_one_sentence_says_what_each_lacks(folders):
    folders[0].chmod(0o755)
    folders[1].rmdir()
    with pytest.raises(locks.LockError) as error:
        exclusive()
    [text] = str(error.value).splitlines()
    for word in (f"{folders[0]}: mode 0755, not 1777", f"{folders[1]}: No such file", "chmod 1777"):
        assert word in text


@only_root
def test_a_lock_in_a_folder_that_can_only_be_read_is_taken_and_none_is_missed_there(start, tmp_path, monkeypatch):
    place, other = map(Path, lock_folders(tmp_path))
    monkeypatch.setattr(locks, "FOLDERS", [str(place), str(other)])
    with exclusive("made"):
        pass
    (other / "speedgrid-made.lock").unlink()
    if subprocess.run(["mount", "--bind", "-o", "ro", place, place], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        with exclusive("made") as one, exclusive("none") as two:
            assert (len(one.handles), len(two.handles)) == (2, 1)
        monkeypatch.setattr(locks, "FOLDERS", [str(place)])
        with pytest.raises(locks.LockError, match="Read-only file system"):
            exclusive("none")
    finally:
        run("umount", place)


# What is no lock


def make_fifo(path):
    os.mkfifo(path)


def make_folder(path):
    path.mkdir()


def make_dangling(path):
    path.symlink_to(path.with_name("nothing"))


def make_link(path):
    path.with_name("dear").write_text("dear")
    path.symlink_to(path.with_name("dear"))


def make_circle(path):
    path.symlink_to(path)


def make_hard_link(path):
    path.with_name("dear").write_text("dear")
    os.link(path.with_name("dear"), path)


def make_socket(path):
    # Its address is too long for one with a path in a test's folder.
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


OBSTACLES = {
    "a FIFO": make_fifo,
    "a folder": make_folder,
    "a link": make_dangling,
    "a link ": make_link,
    "a link  ": make_circle,
    "2 names": make_hard_link,
    "a socket": make_socket,
}


@pytest.mark.parametrize("use", [exclusive, locks.tried, locks.free, locks.wait_until_free])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("kind", OBSTACLES)
def test_what_is_no_lock_is_one_sentence_that_says_what_to_do(folders, kind, place, use):
    path = lock_file(folders[place])
    OBSTACLES[kind](path)
    with pytest.raises(locks.LockError) as error:
        use("one")
    [text] = str(error.value).splitlines()
    for word in (str(path), kind.strip(), "root remove it"):
        assert word in text
    if (dear := path.with_name("dear")).exists():
        assert dear.read_text() == "dear"
    with exclusive("another") as lock:  # nothing of the first was left locked or open
        assert len(lock.handles) == 2


@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "a link"])
def test_a_script_ends_with_that_sentence_and_no_traceback(folders, tmp_path, kind):
    OBSTACLES[kind](lock_file(folders[0], "cpu"))
    arguments = ["--source", "random", "--part", "reference", "--resolution", "32", "--most", "1"]
    arguments += ["--output", str(tmp_path / "images.npy"), "--description", str(tmp_path / "images.json")]
    code = (
        f"import runpy; {PRELUDE.split('; locks.')[0]}; locks.FOLDERS = {list(map(str, folders))}; "
        f"sys.argv = ['prepare_images', *sys.argv[1:]]; runpy.run_module('scripts.prepare_images', run_name='__main__')"
    )
    ended = python("-c", code, *arguments, code=1, env=of_machine(tmp_path), timeout=100)
    assert len(ended.stderr.splitlines()) == 1
    assert str(lock_file(folders[0], "cpu")) in ended.stderr
    assert not (tmp_path / "images.npy").exists()


@only_root
def test_a_lock_that_another_user_keeps_to_himself_is_one_sentence_with_his_name(start, everyones):
    lock_file(everyones).touch()
    lock_file(everyones).chmod(0o600)
    refused = start(
        f"{NOBODY}\ntry: {HOLD.split(';')[0]}\nexcept locks.LockError as error: print(error, flush=True)", [everyones]
    )
    text = line(refused)
    for word in (str(lock_file(everyones)), "mode 0600", "a file of root", "have root remove it"):
        assert word in text


@only_root
def test_what_another_user_planted_is_told_with_the_name_of_who_can_remove_it(folders):
    os.mkfifo(lock_file(folders[0]))
    os.chown(lock_file(folders[0]), 65534, 65534)
    with pytest.raises(locks.LockError, match=r"a FIFO of nobody .* have nobody or root remove it"):
        exclusive()


@only_root
@pytest.mark.parametrize("allowed", [0o644, 0o444, 0o666])
def test_a_lock_that_another_user_made_serves_every_user_who_may_read_it(start, everyones, allowed):
    lock_file(everyones).touch()
    lock_file(everyones).chmod(allowed)
    first = start(NOBODY + HOLD, [everyones])
    assert line(first) == "holds"
    second = start(HOLD, [everyones])
    assert hands_over(first, second) == "holds"


@only_root
def test_users_keep_out_of_each_others_way_and_are_named(start, everyones):
    holding = start(NOBODY + HOLD, [everyones])
    assert line(holding) == "holds"
    second = start(SOON + HOLD, [everyones])
    assert f"held by process {holding.pid} of nobody since " in line(second)
    go_on(holding)
    while (text := line(second)) != "holds":
        assert text.startswith("Wait")


@given(umask=st.integers(0, 0o777))
def test_whatever_the_umask_is_a_lock_is_made_for_all_users(umask):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        os.chmod(folder, 0o1777)
        patch.setattr(locks, "FOLDERS", [folder])
        before = os.umask(umask)
        try:
            exclusive().close()
            assert os.umask(umask) == umask
        finally:
            os.umask(before)
        assert mode(lock_file(folder)) == 0o666


def test_a_process_that_is_killed_while_it_makes_locks_leaves_none_that_others_cannot_use(start, folders):
    code = "import os; os.umask(0o077); print('begins', flush=True); made = [locks.free(str(n)) for n in range(10**6)]"
    chance = random.Random(0)
    for _ in range(5):
        making = start(code)
        assert line(making) == "begins"
        time.sleep(chance.uniform(0, 0.02))
        making.send_signal(signal.SIGKILL)
        making.wait()
        for folder in folders:
            assert {mode(path) for path in folder.iterdir()} <= {0o666}
            assert all(path.name.endswith(".lock") and path.stat().st_size == 0 for path in folder.iterdir())
            for path in folder.iterdir():
                path.unlink()


def test_who_waits_on_a_file_that_is_removed_meanwhile_waits_for_whoever_has_its_successor(start, folders):
    only = [str(folders[0])]
    first = start(HOLD, only)
    assert line(first) == "holds"
    second = start(HOLD, only)
    assert waits(second)
    lock_file(folders[0]).unlink()  # as a cleaner of temporary files does
    third = start(HOLD, only)
    assert line(third) == "holds"
    go_on(first)
    first.wait()
    assert hands_over(third, second) == "holds"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_lock_is_free_when_its_process_has_ended(start, folders, end):
    holding = start(HOLD)
    assert line(holding) == "holds"
    assert not locks.free("one")
    assert locks.tried("one") is None
    holding.send_signal(end)
    holding.wait()
    assert locks.free("one")


def test_a_lock_in_two_folders_of_which_one_is_held_is_held(start, folders):
    assert line(start(HOLD, [str(folders[1])])) == "holds"
    assert not locks.free("one")
    assert locks.tried("one") is None
    assert line(start(HOLD, [str(folders[0])])) == "holds"  # nothing of it stayed locked here


# Who is in the way


def test_whoever_waits_says_for_which_lock_for_whom_and_since_when_and_at_last_how_long(start, folders):
    holding = start(f"sys.argv = ['scripts/time_cell.py', 'a cell']; {HOLD}", list(map(str, folders)))
    assert line(holding) == "holds"
    second = start(SOON + HOLD)
    texts = [line(second) for _ in range(2)]  # and says it again
    for text in texts:
        assert text.startswith("Waiting since 20")
        assert f" for the lock {lock_file(folders[0])}, held by process {holding.pid} of " in text
        assert text.endswith("UTC: scripts/time_cell.py 'a cell'")
    go_on(holding)
    while (text := line(second)).startswith("Waiting"):
        pass
    assert text.startswith("Waited ")
    assert str(lock_file(folders[0])) in text
    assert line(second) == "holds"


def test_a_wait_that_is_short_is_not_told(start, folders):
    holding = start(HOLD)
    assert line(holding) == "holds"
    second = start(HOLD)
    assert hands_over(holding, second) == "holds"


def test_pauses_between_what_is_told_grow():
    found = list(itertools.islice(waiting.pauses(), 20))
    assert found[:3] == [waiting.FIRST_SECONDS, 2 * waiting.FIRST_SECONDS, 4 * waiting.FIRST_SECONDS]
    assert found == sorted(found)
    assert found[-1] == waiting.LONGEST_SECONDS


def test_readers_that_share_a_lock_are_all_named(start, folders):
    readers = [start(SHARE) for _ in range(3)]
    assert {line(reader) for reader in readers} == {"holds"}
    waiting_for = line(start(SOON + HOLD))
    assert all(f"process {reader.pid} of" in waiting_for for reader in readers)


@pytest.mark.parametrize("option", ["--shared", "--exclusive"])
def test_a_program_that_never_signed_is_named_too(start, folders, option):
    with exclusive():
        pass
    foreign = subprocess.Popen(["flock", "--no-fork", option, lock_file(folders[1]), "sleep", "1000"])
    try:
        while not waiting.pids(lock_file(folders[1])):
            time.sleep(0.01)
        text = line(start(SOON + HOLD))
        assert f"the lock {lock_file(folders[1])}, held by process {foreign.pid} of " in text
        assert re.search(r", which runs since 20\d\d-.* UTC: sleep 1000$", text)
    finally:
        foreign.kill()
        foreign.wait()


def test_a_process_that_cannot_be_seen_is_told_by_its_signature(folders, monkeypatch):
    with exclusive():
        monkeypatch.setattr(waiting, "pids", lambda path: [])
        [text] = waiting.holders(lock_file(folders[0]))
    assert f"last signed by process {os.getpid()}" in text
    nowhere = waiting.sentence("a lock", datetime.now(UTC), [folders[0] / "nothing"])
    assert "a process that this one cannot see" in nowhere


def test_a_signature_that_is_older_than_its_process_is_not_believed(folders):
    with exclusive():
        for age, believed in ((timedelta(0), True), (timedelta(days=400), False)):
            signed = waiting.when(datetime.now(UTC) - age), "a command"
            assert ("a command" in waiting.described(os.getpid(), signed)) is believed


def test_signatures_of_many_readers_do_not_fill_the_disk(folders, monkeypatch):
    monkeypatch.setattr(waiting, "MOST_BYTES", 1000)
    for _ in range(100):
        locks.locked("one", fcntl.LOCK_SH).close()
    assert 0 < lock_file(folders[0]).stat().st_size < 2000


@pytest.mark.parametrize("kept", [0o644, 0o600, 0o640])
def test_nothing_is_written_into_a_file_that_not_everyone_may_write_to(folders, kept):
    path = lock_file(folders[0])
    path.write_text("dear")
    path.chmod(kept)
    for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
        locks.locked("one", kind).close()
    assert path.read_text() == "dear"


@given(content=st.binary(max_size=300))
def test_whatever_others_write_into_a_lock_it_is_taken_and_told_in_one_line_without_commands_to_terminals(content):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        os.chmod(folder, 0o1777)
        patch.setattr(locks, "FOLDERS", [folder])
        patch.setattr(waiting, "pids", lambda path: [])
        head = b"1 2026-01-02 03:04:05 UTC "
        for start_ in (b"", head):
            lock_file(folder).write_bytes(start_ + content)
            lock_file(folder).chmod(0o666)
            text = waiting.sentence("a lock", datetime.now(UTC), [lock_file(folder)])
            assert text.isprintable()
            exclusive().close()
            assert lock_file(folder).read_bytes().startswith(f"{os.getpid()} 20".encode())


def test_what_commands_say_to_terminals_is_not_repeated(start, folders):
    holding = start(f"sys.argv = ['evil', chr(27) + '[2J', chr(10), 'x' * 10000]; {HOLD}")
    assert line(holding) == "holds"
    text = line(start(SOON + HOLD))
    assert "evil" in text
    assert text.isprintable()
    assert len(text) < 1000
