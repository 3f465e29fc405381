"""Import what is slow to import once, then fork a child for every script that a client hands over.

    python -m speedgrid.launcher.server DESCRIPTOR ADDRESS MODULE ...

The modules are imported at the first request. A child is a fresh process state: the parent never touches the GPU
(forking after a CUDA call breaks every child). The server lives as long as its standard input is open, which only
the process that started it holds: it also ends when that one is killed. Its socket lies in a folder of its user.
"""

import contextlib
import ctypes
import gc
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from speedgrid.launcher import ADDRESS_VARIABLE
from speedgrid.launcher.child import run_script, serve_kept
from speedgrid.launcher.protocol import TYPE_CHECKING, answer, receive, send

if TYPE_CHECKING:
    from speedgrid.launcher.protocol import Request

# Held, because a Popen that is collected closes the pipe that keeps its server alive.
STARTED: list[subprocess.Popen[bytes]] = []
# What fits into sockaddr_un (unix(7)), with its closing zero.
LONGEST_ADDRESS = 107
# prctl(2): a child gets this signal when its parent dies, so that nothing measures on after a killed launcher.
PR_SET_PDEATHSIG = 1
# A kept process with nothing to do for so long ends.
IDLE_SECONDS = 3.0


def start(modules: list[str]) -> subprocess.Popen[bytes] | None:
    """Start a server for this process and name its address in the environment. It ends with this process.

    None where there is no pidfd_open(2) (not Linux) or no short enough temporary folder: scripts then run in fresh
    processes.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    folder = tempfile.mkdtemp(prefix="speedgrid-")  # mode 0700: no other user can reach into it
    address = str(Path(folder) / "launcher")
    if len(os.fsencode(address)) > LONGEST_ADDRESS:
        os.rmdir(folder)
        return None
    with socket.socket(socket.AF_UNIX) as listener:
        # Bound here, so that a client that comes before the server is up waits instead of finding nothing.
        listener.bind(address)
        os.chmod(address, 0o600)
        listener.listen(64)
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", __name__, str(listener.fileno()), address, *modules],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    os.environ[ADDRESS_VARIABLE] = address
    STARTED.append(process)
    return process


@dataclass(eq=False)
class Kept:
    """A process that runs scripts of one name, one after another: its number, the socket to it, if it has work."""

    name: str
    child: int
    channel: socket.socket
    busy: bool = False
    idle_since: float = 0.0


class Server:
    """Accept scripts on `address`, run each in a child, and answer with its exit code."""

    def __init__(self, listener: socket.socket, address: str, modules: list[str]):
        self.listener, self.address, self.modules = listener, address, modules
        self.selector = selectors.DefaultSelector()
        self.clients: dict[int, socket.socket] = {}  # child -> who waits for it
        self.kept: list[Kept] = []

    def serve(self) -> None:
        """Serve requests until standard input closes; then end every child."""
        # Libraries have started threads, which wait for work: none of them holds a lock while this process forks.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        # Snakemake's Ctrl-C reaches the whole terminal group; the end of standard input is what counts here.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self.stop)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        try:
            while True:
                for key, _ in self.selector.select(IDLE_SECONDS if self.kept else None):
                    key.data()
                self.end_idle()
        finally:
            for child in [*self.clients, *(one.child for one in self.kept)]:
                kill_group(child)
            shutil.rmtree(Path(self.address).parent, ignore_errors=True)

    def stop(self) -> None:
        """End the server, whose starter is gone."""
        raise SystemExit

    def accept(self) -> None:
        """Take one request and run it in a fresh fork, or hand it to the process kept for its name."""
        connection, _ = self.listener.accept()
        try:
            request, descriptors = receive(connection)
        except (EOFError, OSError):  # the client went away before it asked for anything
            connection.close()
            return
        self.preload()
        name = request["keep"]
        if name is None:
            self.watch(self.fork(lambda: run_script(request, descriptors)), connection)
        else:
            self.hand_over(name, request, descriptors, connection)
        for descriptor in descriptors:
            os.close(descriptor)

    def preload(self) -> None:
        """Import the modules that are slow to import, at the first request."""
        if not self.modules:
            return
        for module in self.modules:
            with contextlib.suppress(Exception):  # the script itself says what is missing or broken
                import_module(module)
        self.modules = []
        # Children need not look through, and so copy, what was imported here when they collect garbage.
        gc.collect()
        gc.freeze()

    def fork(self, work) -> int:
        """Fork a child in a process group of its own that does `work` and exits with its result."""
        child = os.fork()
        with contextlib.suppress(OSError):
            os.setpgid(child, child)  # by both sides, so that neither can come too early
        if child:
            return child
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for connection in (self.listener, *self.clients.values(), *(one.channel for one in self.kept)):
            connection.close()
        code = 1
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)  # nothing of the server's may run in a child

    def watch(self, child: int, connection: socket.socket) -> None:
        """Answer `connection` when `child` ends, and end `child` when the client goes away."""
        self.clients[child] = connection
        handle = os.pidfd_open(child)
        self.selector.register(handle, selectors.EVENT_READ, lambda: self.finish(child, handle))
        self.selector.register(connection, selectors.EVENT_READ, lambda: self.abandon(child, connection))

    def finish(self, child: int, handle: int) -> None:
        """Send the child's exit code: negative for a signal, as subprocess gives it."""
        self.selector.unregister(handle)
        os.close(handle)
        _, status = os.waitpid(child, 0)
        connection = self.clients.pop(child)
        answer(connection, os.waitstatus_to_exitcode(status))
        with contextlib.suppress(KeyError):
            self.selector.unregister(connection)
        connection.close()

    def abandon(self, child: int, connection: socket.socket) -> None:
        """Kill the child of a client that was killed."""
        if self.clients.get(child) is not connection:
            return  # both ended at once, and the child's end came first
        self.selector.unregister(connection)
        kill_group(child)

    def hand_over(self, name: str, request: "Request", descriptors: list[int], connection: socket.socket) -> None:
        """Pass a request on to an idle process kept for `name`, or a new one, which then answers the client itself."""
        while True:
            one = next((one for one in self.kept if one.name == name and not one.busy), None)
            if one is None:
                one = self.fork_kept(name, [connection.fileno(), *descriptors])
            try:
                send(one.channel, request, [*descriptors, connection.fileno()])
                break
            except OSError:  # it died meanwhile; another one takes over
                self.end(one)
        one.busy = True
        connection.close()

    def fork_kept(self, name: str, inherited: list[int]) -> Kept:
        """Start a process that is kept for scripts of `name`; it must close the `inherited` descriptors."""
        ours, theirs = socket.socketpair()
        inherited = [ours.fileno(), *inherited]
        one = Kept(name, self.fork(lambda: serve_kept(theirs, inherited)), ours)
        theirs.close()
        self.kept.append(one)
        self.selector.register(ours, selectors.EVENT_READ, lambda: self.hear(one))
        return one

    def hear(self, one: Kept) -> None:
        """Take a kept process's word that it has nothing to do any more, or note that it is dead."""
        if not one.channel.recv(1):
            return self.end(one)
        one.busy, one.idle_since = False, time.monotonic()

    def end_idle(self) -> None:
        """End kept processes that had nothing to do for a while: they hold memory, on the GPU too."""
        for one in [one for one in self.kept if not one.busy]:
            if time.monotonic() - one.idle_since >= IDLE_SECONDS:
                self.end(one)

    def end(self, one: Kept) -> None:
        """Let a kept process end."""
        self.selector.unregister(one.channel)
        one.channel.close()
        os.waitpid(one.child, 0)
        self.kept.remove(one)


def kill_group(child: int) -> None:
    """Kill a child and all processes that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


if __name__ == "__main__":
    Server(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3:]).serve()
