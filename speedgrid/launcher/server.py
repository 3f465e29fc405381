"""Import what is slow to import once, then fork a child for every script that a client hands over.

    python -m speedgrid.launcher.server DESCRIPTOR MODULE ...

The modules are imported at the first request. A child is a fresh process state: the parent never touches the GPU
(forking after a CUDA call breaks every child). The server lives as long as its standard input is open, which only
the process that started it holds: it also ends when that one is killed. Nothing that arrives over a connection ends
it, or keeps it from other connections: what is no request, or comes too slowly, ends its own connection alone.
"""

import contextlib
import gc
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from speedgrid.launcher import ADDRESS_VARIABLE, lifetime
from speedgrid.launcher.child import run_script, serve_kept
from speedgrid.launcher.intake import REQUEST_SECONDS, Intake
from speedgrid.launcher.protocol import TYPE_CHECKING, Incoming, Refused, answer, bound_to, send

if TYPE_CHECKING:
    from speedgrid.launcher.protocol import Request

# Held, because a Popen that is collected closes the pipe that keeps its server alive.
STARTED: list[subprocess.Popen[bytes]] = []
# Clients that wait to be accepted: more than a machine has jobs at once.
BACKLOG = 1024
# A kept process with nothing to do for so long ends.
IDLE_SECONDS = 3.0


def start(modules: list[str]) -> subprocess.Popen[bytes] | None:
    """Start a server for this process and name its address in the environment. It ends with this process.

    None where processes cannot be watched (not Linux): scripts then run in fresh processes.
    """
    if not lifetime.supported():
        return None
    address = f"@speedgrid-{os.getpid()}-{os.urandom(8).hex()}"
    with socket.socket(socket.AF_UNIX) as listener:
        # Bound here, so that a client that comes before the server is up waits instead of finding nothing.
        listener.bind(bound_to(address))
        listener.listen(BACKLOG)
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", __name__, str(listener.fileno()), *modules],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            start_new_session=True,  # what a terminal sends to all does not reach it
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
    """Accept scripts from `listener`, run each in a child, and answer with its exit code."""

    def __init__(self, listener: socket.socket, modules: list[str]):
        self.modules, self.selector = modules, selectors.DefaultSelector()
        self.intake = Intake(listener, self.selector, self.begin)
        self.clients: dict[int, socket.socket] = {}  # child -> who waits for it
        self.kept: list[Kept] = []
        self.end_with_server = lifetime.end_with(os.getpid())

    def serve(self) -> None:
        """Serve requests until standard input closes; then end every child."""
        # Libraries have started threads, which wait for work: none of them holds a lock while this process forks.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        # The end of standard input is what counts here, not Ctrl-C.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self.stop)
        try:
            while True:
                for key, _ in self.selector.select(self.intake.patience(IDLE_SECONDS if self.kept else None)):
                    key.data()
                self.end_idle()
                self.intake.end_late()
        finally:
            for child in [*self.clients, *(one.child for one in self.kept)]:
                kill_group(child)

    def stop(self) -> None:
        """End the server, whose starter is gone."""
        raise SystemExit

    def begin(self, request: "Request", incoming: Incoming) -> None:
        """Run a request in a fresh fork, or hand it to the process kept for its name. Raises Refused and OSError."""
        if len(incoming.descriptors) != 2:
            raise Refused("two descriptors have to come with it: for output and errors")
        self.preload()
        name, descriptors = request["keep"], incoming.descriptors
        if name is None:
            room = os.open(os.devnull, os.O_RDONLY)  # for a handle on the child: better to fail before there is one
            try:
                child = self.fork(lambda: run_script(request, descriptors))
            finally:
                os.close(room)
            self.watch(child, incoming.connection)
        else:
            self.hand_over(name, request, incoming)
        incoming.drop_descriptors()

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
        self.intake.extend()  # nothing could be read meanwhile

    def fork(self, work: Callable[[], int]) -> int:
        """Fork a child in a process group of its own that does `work` and exits with its result."""
        child = os.fork()
        with contextlib.suppress(OSError):
            os.setpgid(child, child)  # by both sides, so that neither can come too early
        if child:
            return child
        code = 1
        try:
            # Nothing measures on after a killed launcher.
            if self.end_with_server:
                self.end_with_server()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            for connection in (*self.clients.values(), *(one.channel for one in self.kept)):
                connection.close()
            self.intake.close()
            self.selector.close()
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)  # nothing of the server's may run in a child

    def watch(self, child: int, connection: socket.socket) -> None:
        """Answer `connection` when `child` ends, and end `child` when the client goes away."""
        try:
            handle = os.pidfd_open(child)
            self.selector.register(handle, selectors.EVENT_READ, lambda: self.finish(child, handle))
            self.selector.register(connection, selectors.EVENT_READ, lambda: self.abandon(child, connection))
        except OSError:
            kill_group(child)
            os.waitpid(child, 0)
            raise
        self.clients[child] = connection

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
        """Kill the child of a client that was killed, or that says something after its request."""
        if self.clients.get(child) is not connection:
            return  # both ended at once, and the child's end came first
        self.selector.unregister(connection)
        kill_group(child)

    def hand_over(self, name: str, request: "Request", incoming: Incoming) -> None:
        """Pass a request on to an idle process kept for `name`, or a new one, which then answers the client itself."""
        descriptors = [*incoming.descriptors, incoming.connection.fileno()]
        while True:
            idle = next((one for one in self.kept if one.name == name and not one.busy), None)
            one = idle or self.fork_kept(name, descriptors)
            try:
                send(one.channel, request, descriptors)
                break
            except OSError:  # it died meanwhile, or takes nothing; another one takes over
                self.end(one)
                if not idle:
                    raise
        one.busy = True
        incoming.connection.close()

    def fork_kept(self, name: str, inherited: list[int]) -> Kept:
        """Start a process that is kept for scripts of `name`; it must close the `inherited` descriptors."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                inherited = [ours.fileno(), *inherited]
                one = Kept(name, self.fork(lambda: serve_kept(theirs, inherited)), ours)
            except OSError:
                ours.close()
                raise
        ours.settimeout(REQUEST_SECONDS)
        self.kept.append(one)
        self.selector.register(ours, selectors.EVENT_READ, lambda: self.hear(one))
        return one

    def hear(self, one: Kept) -> None:
        """Take a kept process's word that it has nothing to do any more, or note that it is dead."""
        if one not in self.kept:
            return  # it was found dead while this waited
        if not one.channel.recv(1):
            return self.end(one)
        one.busy, one.idle_since = False, time.monotonic()

    def end_idle(self) -> None:
        """End kept processes that had nothing to do for a while: they hold memory, on the GPU too."""
        for one in [one for one in self.kept if not one.busy]:
            if time.monotonic() - one.idle_since >= IDLE_SECONDS:
                self.end(one)

    def end(self, one: Kept) -> None:
        """End a kept process, and what it has started."""
        self.selector.unregister(one.channel)
        one.channel.close()
        kill_group(one.child)
        os.waitpid(one.child, 0)
        self.kept.remove(one)


def kill_group(child: int) -> None:
    """Kill a child and all processes that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


if __name__ == "__main__":
    Server(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]).serve()
