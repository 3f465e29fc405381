"""What arrives at a launcher: nothing that its user sends ends it, hangs it or uses it up; others get nothing."""

import array
import contextlib
import json
import os
import resource
import select
import selectors
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from launchers import MODULES, ROOT, Launcher, alive, children, wait_for

from speedgrid.launcher import intake, protocol
from speedgrid.launcher.protocol import Incoming, Refused, bound_to, parse

pytest_plugins = ["launchers"]
pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the launcher needs Linux")

GOOD = {"arguments": ["parent"], "keep": None, "folder": ".", "environment": {}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
# Requests of which one field, or each, is anything at all; the others are right.
CHANGED = st.fixed_dictionaries({}, optional={name: JSON for name in GOOD} | {"more": JSON}).map(
    lambda changes: GOOD | {"arguments": ["no_such_module"]} | changes
)
# What may come instead of a request: bytes, bytes with their length before them, JSON.
MESSAGES = st.binary(max_size=64) | (st.binary(max_size=64) | JSON.map(json.dumps).map(str.encode)).map(
    lambda one: framed(one)
)


def framed(payload):
    """Return a payload with its length before it."""
    return len(payload).to_bytes(4, "big") + payload


def connect(launcher):
    """Return a connection to a launcher."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(bound_to(launcher.address))
    return connection


def say(launcher, message, descriptors=(), end=True):
    """Send bytes, with descriptors, and return the answer; `end`: say that there is no more."""
    with connect(launcher) as connection:
        with contextlib.suppress(OSError):  # it may have heard enough
            if descriptors:
                packed = array.array("i", descriptors)
                connection.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)])
            else:
                connection.sendall(message)
        with contextlib.suppress(OSError):
            if end:
                connection.shutdown(socket.SHUT_WR)
            return connection.makefile("r").readline()
        return ""


BAD = {
    "nothing": b"",
    "half a length": b"\0\0",
    "a length and nothing": framed(b"{}")[:4],
    "length zero": bytes(4),
    "the longest length": b"\xff" * 4,
    "one byte more than there may be": (protocol.LONGEST + 1).to_bytes(4, "big"),
    "not JSON": framed(b"hello"),
    "not UTF-8": framed(b"\xff\xfe{}"),
    "an empty object": framed(b"{}"),
    "a list": framed(b"[]"),
    "a number": framed(b"7"),
    "a number of many digits": framed(b"7" * 10_000),
    "deep": framed(b"[" * 200_000),
    "deep objects": framed(b'{"a":' * 200_000),
    "no arguments": framed(json.dumps(GOOD | {"arguments": []}).encode()),
    "arguments that are a text": framed(json.dumps(GOOD | {"arguments": "parent"}).encode()),
    "arguments that are numbers": framed(json.dumps(GOOD | {"arguments": [1]}).encode()),
    "a zero byte in an argument": framed(json.dumps(GOOD | {"arguments": ["a\0b"]}).encode()),
    "a folder that is a list": framed(json.dumps(GOOD | {"folder": ["."]}).encode()),
    "a number to be kept for": framed(json.dumps(GOOD | {"keep": 1}).encode()),
    "an environment of numbers": framed(json.dumps(GOOD | {"environment": {"A": 1}}).encode()),
    "a variable with no name": framed(json.dumps(GOOD | {"environment": {"": "1"}}).encode()),
    "a variable with = in its name": framed(json.dumps(GOOD | {"environment": {"A=B": "1"}}).encode()),
    "a field too many": framed(json.dumps(GOOD | {"more": 1}).encode()),
    "a field too few": framed(json.dumps({name: GOOD[name] for name in ("arguments", "keep")}).encode()),
    "no descriptors": framed(json.dumps(GOOD).encode()),
    "no descriptors, kept": framed(json.dumps(GOOD | {"keep": "builds"}).encode()),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Return one launcher that all tests here try to end; in the end it has no child and no descriptor more."""
    one = Launcher(tmp_path_factory.mktemp("launcher"), [])
    assert one.is_warm()
    before = len(os.listdir(f"/proc/{one.pid}/fd"))
    yield one
    wait_for(lambda: not children(one.pid))
    wait_for(lambda: len(os.listdir(f"/proc/{one.pid}/fd")) == before)
    one.close()


@pytest.fixture
def launcher(shared):
    """Return that launcher, which a test leaves warm."""
    yield shared
    assert shared.is_warm()


@pytest.mark.parametrize("message", BAD.values(), ids=BAD)
def test_what_is_no_request_ends_its_own_connection(launcher, message):
    assert say(launcher, message) in ("", *(f"refused: {reason}\n" for reason in reasons(message)))


def reasons(message):
    """Return the reasons with which a message is refused, by the same words that a child's end of it would give."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(message[:100_000])
        theirs.shutdown(socket.SHUT_WR)
        try:
            Incoming(ours).read()
        except Refused as error:
            return [str(error)]
        except EOFError:
            return ["it is not JSON"]
        return ["two descriptors have to come with it: for output and errors"]


def test_a_thousand_random_messages_end_a_connection_each(launcher):
    number = 0

    @settings(max_examples=1000, suppress_health_check=list(HealthCheck))
    @given(
        st.binary(max_size=64) | st.binary(max_size=64).map(framed) | JSON.map(json.dumps).map(str.encode).map(framed)
    )
    def send(message):
        nonlocal number
        number += 1
        # A random request without descriptors is none.
        assert say(launcher, message) in ("", *(f"refused: {reason}\n" for reason in reasons(message)))

    send()
    assert number >= 1000
    assert alive(launcher.pid)


@given(CHANGED)
@settings(max_examples=300)
def test_a_request_is_right_or_refused(changed):
    try:
        found = parse(json.dumps(changed).encode())
    except Refused:
        return
    assert found.keys() == GOOD.keys()
    texts = [found["folder"], *found["arguments"], *found["environment"], *found["environment"].values()]
    assert all(isinstance(one, str) for one in texts)
    assert found["arguments"]


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_bytes_are_a_request_or_refused(payload):
    with contextlib.suppress(Refused):
        parse(payload)


@pytest.mark.parametrize("more", [0, 1, 3, 20, 250])
def test_descriptors_that_are_not_two_are_refused_and_closed(launcher, more):
    with open(os.devnull, encoding="utf-8") as nowhere:
        message = framed(json.dumps(GOOD).encode())
        assert say(launcher, message, [nowhere.fileno()] * more).startswith("refused: ")


def test_descriptors_with_every_byte_are_refused_and_closed(launcher):
    with connect(launcher) as connection, open(os.devnull, encoding="utf-8") as nowhere:
        with contextlib.suppress(OSError):
            for byte in framed(json.dumps(GOOD).encode()):
                socket.send_fds(connection, [bytes([byte])], [nowhere.fileno()] * 3)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100).startswith(b"refused")


def test_connections_that_say_no_more_keep_nobody_waiting_and_are_refused_in_the_end(launcher):
    whole = framed(json.dumps(GOOD).encode())
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(launcher)) for _ in range(40)]
        for one, waiting in zip(silent, [b"", b"\0\0", whole[:4], whole[:-1]] * 10, strict=True):
            one.sendall(waiting)
        assert launcher.run("parent")[:2] == (0, f"{launcher.pid}\n")
        # Ended by the launcher: all of them can be read, and nobody was refused before its time.
        assert wait_for(lambda: len(select.select(silent, [], [], 1)[0]) == len(silent))
        assert {one.recv(100) for one in silent} == {b"refused: it was not whole after 10 s\n"}


def test_a_request_may_come_in_pieces(launcher):
    with connect(launcher) as connection, open(launcher.folder / "pieces", "w+", encoding="utf-8") as output:
        message = framed(
            json.dumps(GOOD | {"folder": str(launcher.folder), "environment": launcher.environment}).encode()
        )
        socket.send_fds(connection, [message[:1]], [output.fileno()] * 2)
        for start in range(1, len(message), 100):
            connection.sendall(message[start : start + 100])
        assert connection.makefile("r").readline() == "0\n"
        output.seek(0)
        assert output.read() == f"{launcher.pid}\n"


def test_a_long_request_is_taken(launcher):
    long = {"LONG": "x" * 100_000, **{f"LONG{number}": "y" * 100_000 for number in range(5)}}
    launcher.environment |= long
    try:
        assert launcher.is_warm()
    finally:
        for name in long:
            del launcher.environment[name]


@pytest.mark.parametrize("keep", [None, "builds"])
@pytest.mark.parametrize(
    "change",
    [{"folder": "/no/such/folder"}, {"folder": ""}, {"arguments": ["no_such_module"]}, {"arguments": [""]}],
    ids=["folder", "no folder", "module", "no module"],
)
def test_what_cannot_be_run_is_the_clients_own_failure(launcher, keep, change):
    request = GOOD | {"keep": keep, "environment": {"PYTHONPATH": str(launcher.folder)}} | change
    with open(launcher.folder / "failed", "w+", encoding="utf-8") as output:
        assert say(launcher, framed(json.dumps(request).encode()), [output.fileno()] * 2, end=False) == "1\n"
        output.seek(0)
        assert "Error" in output.read()


def test_whoever_says_something_after_a_request_ends_that_alone(launcher):
    other = launcher.begin("wait", "other")
    child = launcher.wait_for_pid("other")
    with connect(launcher) as connection, open(os.devnull, "w", encoding="utf-8") as nowhere:
        message = framed(json.dumps(GOOD | {"arguments": ["wait", "mine"], "folder": str(launcher.folder)}).encode())
        socket.send_fds(connection, [message], [nowhere.fileno()] * 2)
        mine = launcher.wait_for_pid("mine")
        connection.sendall(b"more")
        wait_for(lambda: not alive(mine))
        with contextlib.suppress(ConnectionResetError):
            assert connection.makefile("r").readline() == "-9\n"
    assert alive(child)
    other.kill()
    other.communicate()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_gets_no_script_run(launcher):
    code = (
        "import os, socket, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from speedgrid.launcher.protocol import bound_to, send\n"
        "os.setuid(65534)\n"
        "with socket.socket(socket.AF_UNIX) as one:\n"
        "    one.connect(bound_to(sys.argv[2]))\n"
        "    try:\n"
        "        send(one, {'arguments': ['parent'], 'keep': None, 'folder': '/', 'environment': {}}, [1, 2])\n"
        "    except OSError:\n"
        "        pass\n"
        "    print(one.makefile('r').readline())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), launcher.address], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() in ("", "refused: it is another user's"), done.stderr


def test_a_client_gives_nothing_to_a_launcher_of_another_user(launcher, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    code = (
        "import os, socket, sys\n"
        "os.setuid(65534)\n"
        "with socket.socket(socket.AF_UNIX) as one:\n"
        "    one.bind(b'\\0' + sys.argv[1].encode())\n"
        "    one.listen()\n"
        "    print('ready', flush=True)\n"
        "    connection, _ = one.accept()\n"
        "    print(len(connection.recv(1000)), flush=True)\n"
    )
    name = f"taken-{os.getpid()}"
    thief = subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE, text=True)
    assert thief.stdout.readline() == "ready\n"
    ours = launcher.environment["SPEEDGRID_LAUNCHER"]
    launcher.environment["SPEEDGRID_LAUNCHER"] = f"@{name}"
    try:
        client = launcher.begin("parent")
        assert client.communicate(timeout=60) == (f"{client.pid}\n", "")
    finally:
        launcher.environment["SPEEDGRID_LAUNCHER"] = ours
    assert thief.communicate(timeout=60)[0] == "0\n"


@pytest.mark.parametrize("keep", [[], ["--keep", "builds"]], ids=["fork", "kept"])
def test_a_launcher_without_descriptors_refuses_jobs_and_goes_on(launch, keep):
    one = launch()
    resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (14, 14))
    clients = [one.begin(*keep, "end", "import time; time.sleep(0.5); print('done')") for _ in range(16)]
    found = [client.communicate(timeout=120) for client in clients]
    assert [client.returncode for client in clients] == [0] * 16
    assert {output for output, _ in found} == {"done\n"}
    refused = [errors for _, errors in found if errors]
    assert refused
    assert all("; running it in a fresh process." in errors for errors in refused)
    assert len(refused) < 16
    assert one.is_warm()


def test_a_fork_that_fails_ends_its_connection_with_the_systems_own_reason():
    def begin(request, incoming):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        address = bound_to(f"@cannot-fork-{os.getpid()}")
        listener.bind(address)
        listener.listen()
        selector = selectors.DefaultSelector()
        taken = intake.Intake(listener, selector, begin)
        client.connect(address)
        with open(os.devnull, encoding="utf-8") as nowhere:
            protocol.send(client, GOOD, [nowhere.fileno()] * 2)
        for _ in range(3):
            for key, _mask in selector.select(1):
                key.data()
        assert client.makefile("r").readline() == "refused: Resource temporarily unavailable\n"
        taken.close()
        selector.close()


def test_nothing_is_left_of_a_launcher_whatever_ended_it(launch):
    for number in (15, 9):
        one = launch()
        assert one.is_warm()
        os.kill(one.pid, number)
        wait_for(lambda one=one: not alive(one.pid))
        known = {f"{name}.py" for name in MODULES} | {"__pycache__"}
        assert {path.name for path in Path(one.folder).iterdir()} <= known
        assert one.address not in Path("/proc/net/unix").read_text(encoding="utf-8")
