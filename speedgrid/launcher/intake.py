"""The intake of a launcher: connections until each has made its request, none of which can keep it from the others."""

import os
import selectors
import socket
import time
from collections.abc import Callable

from speedgrid.launcher.protocol import TYPE_CHECKING, Incoming, Refused, answer, is_ours

if TYPE_CHECKING:
    from speedgrid.launcher.protocol import Request

# A request that is not whole so long after its connection is refused.
REQUEST_SECONDS = 10.0
# Time for other processes to let go of descriptors where the whole machine has none left.
PAUSE_SECONDS = 0.05


class Intake:
    """Accepts connections of this user from `listener`, reads their requests as they come, and has `begin` run them.

    What `begin` raises, and what is no request, ends that connection; its client is told why, and runs its script
    itself.
    """

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        begin: "Callable[[Request, Incoming], None]",
    ):
        self.listener, self.selector, self.begin = listener, selector, begin
        self.waiting: dict[Incoming, float] = {}  # requests that are not whole -> until when they are waited for
        self.spare = self.open_spare()
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self.accept)

    def open_spare(self) -> int | None:
        """Return a descriptor that is given up for a moment where there are no more, to say so; None if there are."""
        try:
            return os.open(os.devnull, os.O_RDONLY)
        except OSError:
            return None

    def accept(self) -> None:
        """Take a connection of this user's, or refuse it where there is no descriptor for it."""
        try:
            connection, _ = self.listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            return self.turn_away(error)
        incoming = Incoming(connection)
        try:
            connection.setblocking(False)
            if not is_ours(connection):
                raise Refused("it is another user's")
            self.selector.register(connection, selectors.EVENT_READ, lambda: self.read(incoming))
        except Exception as error:
            return self.end(incoming, error)
        self.waiting[incoming] = time.monotonic() + REQUEST_SECONDS

    def turn_away(self, error: OSError) -> None:
        """Refuse a connection for which there is no descriptor, or its client would wait for ever."""
        if self.spare is not None:
            os.close(self.spare)
        try:
            connection, _ = self.listener.accept()
            answer(connection, f"refused: {error.strerror}")
            connection.close()
        except OSError:
            time.sleep(PAUSE_SECONDS)
        self.spare = self.open_spare()

    def read(self, incoming: Incoming) -> None:
        """Read the part of a request that has arrived, and run it once it is whole; refuse what is none."""
        if incoming not in self.waiting:
            return  # it was refused while this waited
        try:
            request = incoming.read()
            if request is not None:
                self.forget(incoming)
                self.begin(request, incoming)
        except EOFError:  # the client went away before it asked for anything
            self.end(incoming)
        except Exception as error:
            self.end(incoming, error)

    def forget(self, incoming: Incoming) -> None:
        """Wait for a request no longer."""
        if self.waiting.pop(incoming, None) is not None:
            self.selector.unregister(incoming.connection)

    def end(self, incoming: Incoming, error: Exception | None = None) -> None:
        """Close a connection and what came with it; `error` says to its client why."""
        self.forget(incoming)
        if error is not None:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            answer(incoming.connection, f"refused: {reason or type(error).__name__}")
        incoming.connection.close()
        incoming.drop_descriptors()

    def patience(self, otherwise: float | None) -> float | None:
        """Return the seconds until a request is late, or `otherwise` if that is sooner; None for no limit."""
        waits = [max(0.0, until - time.monotonic()) for until in self.waiting.values()]
        return min([*waits, *([] if otherwise is None else [otherwise])], default=None)

    def end_late(self) -> None:
        """Refuse requests whose rest did not come."""
        for incoming in [one for one, until in self.waiting.items() if time.monotonic() >= until]:
            self.end(incoming, Refused(f"it was not whole after {REQUEST_SECONDS:g} s"))

    def extend(self) -> None:
        """Give all that wait their whole time once more."""
        self.waiting = dict.fromkeys(self.waiting, time.monotonic() + REQUEST_SECONDS)

    def close(self) -> None:
        """Close all that is open here, in a child: nothing of it is its own. Its standard input is nothing."""
        if self.spare is not None:
            os.dup2(self.spare, 0)
            os.close(self.spare)
        self.listener.close()
        for incoming in self.waiting:
            incoming.connection.close()
            incoming.drop_descriptors()
