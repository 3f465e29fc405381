"""The launcher: scripts start warm in forks of one server, and behave as `python -m` in every other way."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from launchers import MODULES, alive, children, state, wait_for
from processes import run

from speedgrid.launcher import ADDRESS_VARIABLE, server
from speedgrid.launcher.protocol import bound_to

pytest_plugins = ["launchers"]
pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the launcher needs Linux")


def test_a_script_runs_in_a_fork_and_all_of_its_output_reaches_the_clients_own(launch):
    launcher = launch()
    code, output, errors = launcher.run("speak", "--option", "two words")
    assert code == 0
    assert output == f"printed --option two words\nwritten\nechoed\nmarked {launcher.folder}\n"
    assert errors == "complained\n"
    assert launcher.is_warm()


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_the_clients_exit_code_is_the_scripts(launch, warm):
    launcher = launch()
    if not warm:
        del launcher.environment[ADDRESS_VARIABLE]
    assert launcher.run("end", "pass") == (0, "", "")
    assert launcher.run("end", "sys.exit(3)") == (3, "", "")
    assert launcher.run("end", "sys.exit('in words')") == (1, "", "in words\n")
    code, output, errors = launcher.run("end", "print('before'); 1 / 0")
    assert (code, output) == (1, "before\n")
    assert errors.startswith("Traceback")
    assert errors.endswith("ZeroDivisionError: division by zero\n")
    code, _, errors = launcher.run("nowhere")
    assert code == 1
    assert "nowhere" in errors


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_a_signal_that_kills_a_script_is_told_by_exit_code_and_to_the_script_itself_if_asked(launch, warm):
    launcher = launch()
    if not warm:
        del launcher.environment[ADDRESS_VARIABLE]
    code, output, errors = launcher.run("death", "SIGSEGV")
    assert (code, output) == (139, "tried\n")
    assert errors.startswith("Fatal Python error: Segmentation fault")
    assert 'death.py", line 7 in <module>' in errors
    reason = "told: the process was killed by signal 11 (SIGSEGV)"
    assert launcher.run("--record-death", "death", "SIGSEGV")[:2] == (0, f"tried\n{reason}\n")
    # From outside (a scheduler, Ctrl-C): it says nothing about the script.
    assert launcher.run("--record-death", "death", "SIGTERM")[:2] == (143, "tried\n")
    assert launcher.run("--record-death", "end", "sys.exit(3)")[0] == 3


@pytest.mark.parametrize("address", [None, "", "nothing/here", "@nothing-here", "parent.py", "left-behind"])
def test_without_a_launcher_the_script_runs_in_a_fresh_process(launch, address):
    launcher = launch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(launcher.folder / "left-behind"))
    launcher.environment.pop(ADDRESS_VARIABLE)
    if address is not None:
        launcher.environment[ADDRESS_VARIABLE] = address
    client = launcher.begin("parent")
    output, errors = client.communicate(timeout=120)
    assert (client.returncode, output, errors) == (0, f"{client.pid}\n", "")


def test_state_does_not_leak_between_forks_and_stays_in_a_kept_process_until_it_was_idle_for_a_while(launch):
    launcher = launch("state")
    fork = f"1 {launcher.pid}\n"

    def kept(name="builds"):
        return launcher.run("--keep", name, "count")[1]

    assert [launcher.run("count")[1], launcher.run("count")[1]] == [fork, fork]
    assert [kept(), kept(), kept()] == [f"{number} {launcher.pid}\n" for number in (1, 2, 3)]
    assert kept("others") == fork
    assert kept() == f"4 {launcher.pid}\n"
    assert launcher.run("count")[1] == fork
    assert kept() == f"5 {launcher.pid}\n"
    wait_for(lambda: not children(launcher.pid))  # it gives its memory back
    assert kept() == fork


def test_as_many_processes_are_kept_as_have_work_at_once(launch):
    launcher = launch("state")
    arguments = ("--keep", "builds", "meet")
    clients = [launcher.begin(*arguments, "a", "b"), launcher.begin(*arguments, "b", "a")]
    assert [client.communicate(timeout=120) for client in clients] == [("", ""), ("", "")]
    assert len(children(launcher.pid)) == 2
    assert launcher.run("--keep", "builds", "count") == (0, f"1 {launcher.pid}\n", "")
    assert len(children(launcher.pid)) == 2


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_a_script_that_others_were_in_the_way_of_runs_once_more_alone(launch, warm):
    launcher = launch()
    if not warm:
        del launcher.environment[ADDRESS_VARIABLE]
    assert launcher.run("crowded", "cell") == (0, "cell\ncell --alone\n", "")


def test_a_kept_process_gives_each_client_its_own_output_and_exit_code(launch):
    launcher = launch()
    assert launcher.run("--keep", "one", "speak", "first")[1].startswith("printed first\n")
    assert launcher.run("--keep", "one", "end", "sys.exit('no')") == (1, "", "no\n")
    assert launcher.run("--keep", "one", "end", "sys.exit(3)") == (3, "", "")
    assert launcher.run("--keep", "one", "end", "print('again')") == (0, "again\n", "")


def test_a_kept_process_that_died_is_replaced(launch):
    launcher = launch("state")
    assert launcher.run("--keep", "builds", "count")[1] == f"1 {launcher.pid}\n"
    code, output, _ = launcher.run("--keep", "builds", "death", "SIGKILL")
    assert code == 137
    assert output == "tried\ntried\n"  # once kept, once in a fresh process
    assert launcher.run("--keep", "builds", "count")[1] == f"1 {launcher.pid}\n"
    assert launcher.run("--keep", "builds", "count")[1] == f"2 {launcher.pid}\n"


def test_what_is_preloaded_is_imported_once_in_the_server_at_the_first_request(launch):
    launcher = launch("noted", "no_such_module")
    assert not (launcher.folder / "imports").exists()
    for _ in range(2):
        assert launcher.run("use_noted") == (0, "", "")
    assert (launcher.folder / "imports").read_text() == f"{launcher.pid}\n"


def test_two_scripts_run_at_the_same_time(launch):
    launcher = launch()
    clients = [launcher.begin("meet", "a", "b"), launcher.begin("meet", "b", "a")]
    assert [client.communicate(timeout=120) for client in clients] == [("", ""), ("", "")]
    assert [client.returncode for client in clients] == [0, 0]


def test_a_client_that_is_killed_takes_its_script_along(launch):
    launcher = launch()
    client = launcher.begin("wait", "pid")
    child = launcher.wait_for_pid("pid")
    assert alive(child)
    client.kill()
    client.communicate()
    wait_for(lambda: not alive(child))
    assert launcher.is_warm()


@pytest.mark.parametrize("keep", [[], ["--keep", "builds"]], ids=["fork", "kept"])
def test_the_launcher_ends_with_its_starter_with_its_scripts_and_leaves_nothing(launch, keep):
    launcher = launch()
    client = launcher.begin(*keep, "wait", "pid")
    child = launcher.wait_for_pid("pid")
    assert alive(launcher.pid)
    assert alive(child)
    os.kill(client.pid, signal.SIGSTOP)  # else it runs its script again, in a fresh process
    launcher.starter.kill()
    wait_for(lambda: not alive(launcher.pid) and not alive(child))
    client.kill()
    client.communicate()
    assert {one.name for one in launcher.folder.iterdir()} <= {"__pycache__", *(f"{name}.py" for name in MODULES)}


def test_a_launcher_that_is_killed_takes_its_scripts_along_and_its_clients_go_on_alone(launch):
    launcher = launch()
    client = launcher.begin("wait", "pid")
    child = launcher.wait_for_pid("pid")
    os.kill(launcher.pid, signal.SIGKILL)
    wait_for(lambda: not alive(child))
    os.kill(launcher.wait_for_pid("pid"), signal.SIGINT)
    assert "The launcher ended while it ran this script" in client.communicate(timeout=120)[1]
    assert client.returncode == 130


def test_ctrl_c_at_the_terminal_does_not_end_the_launcher_before_its_starter(launch):
    launcher = launch()
    assert launcher.is_warm()
    os.kill(launcher.pid, signal.SIGINT)
    assert launcher.is_warm()


def test_a_client_that_leaves_without_a_word_does_not_end_the_launcher(launch):
    launcher = launch()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(bound_to(launcher.address))
    assert launcher.is_warm()


def test_a_script_and_its_client_that_die_together_do_not_end_the_launcher(launch):
    launcher = launch()
    client = launcher.begin("wait", "pid")
    child = launcher.wait_for_pid("pid")
    os.kill(launcher.pid, signal.SIGSTOP)
    wait_for(lambda: state(launcher.pid) == "T")
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: not alive(child))
    client.kill()
    client.communicate()
    os.kill(launcher.pid, signal.SIGCONT)
    assert launcher.is_warm()


def test_a_script_whose_output_cannot_be_written_harms_no_other(launch):
    launcher = launch()
    other = launcher.begin("wait", "pid")
    child = launcher.wait_for_pid("pid")
    with open("/dev/full", "w", encoding="utf-8") as full:
        assert launcher.begin("end", "print('lost')", stdout=full, stderr=full).wait(120) != 0
    survived = alive(child)
    other.kill()
    other.communicate()
    assert survived
    assert launcher.is_warm()


def test_a_script_from_a_folder_that_is_gone_harms_no_other(launch):
    launcher = launch()
    gone = launcher.folder / "gone"
    gone.mkdir()
    command = 'rmdir "$PWD" && exec "$0" -S -m speedgrid.launcher.client parent'
    arguments = ["bash", "-c", command, sys.executable]
    assert run(*arguments, cwd=gone, env=launcher.environment, code=None).returncode != 0
    assert launcher.is_warm()


def test_a_module_that_breaks_while_it_is_preloaded_does_not_end_the_launcher(launch):
    assert launch("broken").is_warm()


def test_a_client_whose_turn_never_comes_runs_its_script_alone(launch):
    launcher = launch("slow")
    first = launcher.begin("end", "print('first')")
    wait_for((launcher.folder / "importing").exists)
    second = launcher.begin("end", "print('second')")
    # The listener, the first client's end, and the end that waits to be accepted.
    wait_for(lambda: Path("/proc/net/unix").read_text(encoding="utf-8").count(launcher.address) == 3)
    with contextlib.suppress(subprocess.TimeoutExpired):  # time to send its request
        second.wait(0.2)
    os.kill(launcher.pid, signal.SIGKILL)
    assert [client.communicate(timeout=120)[0] for client in (first, second)] == ["first\n", "second\n"]
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_kept_process_lets_go_of_its_clients_output(launch):
    launcher = launch()
    client = launcher.begin("--keep", "builds", "speak")
    assert client.wait(120) == 0
    try:
        assert client.communicate(timeout=20)[0].startswith("printed\n")
    finally:
        client.stdout.close()
        client.stderr.close()


def test_the_launcher_can_be_reached_as_soon_as_it_is_started(launch):
    launcher = launch()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(bound_to(launcher.address))


def test_where_the_system_has_no_pidfd_there_is_no_launcher(monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    assert server.start([]) is None
    assert ADDRESS_VARIABLE not in os.environ


def test_an_option_that_does_not_exist_is_refused_with_those_that_do(launch):
    code, _, errors = launch().run("--kepe", "builds", "parent")
    assert code == 1
    assert errors == "unknown option --kepe; known are --keep NAME and --record-death\n"
