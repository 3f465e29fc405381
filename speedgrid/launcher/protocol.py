"""How requests and answers travel over a Unix socket, open file descriptors included.

A request is its length, four bytes, and then JSON. An answer is one line: an exit code, or why there is none. Addresses
are abstract (unix(7)): they are no files, and end with whoever listens. Each side asks the kernel who the other is.
"""

import contextlib
import json
import os
import socket
import sys

TYPE_CHECKING = False  # type checkers take it for true; importing typing takes 5 ms, which no client need pay
if TYPE_CHECKING:
    from typing import Any, TypedDict

    class Request(TypedDict):
        """A script that a client wants run: its module and arguments, where, and in which environment.

        keep: the name of the kept process that runs it, None for a fresh one.
        """

        arguments: list[str]
        keep: str | None
        folder: str
        environment: dict[str, str]


# Bytes of the length; the longest request. Arguments and environment of a process have 6 MB at most (execve(2)).
HEAD = 4
LONGEST = 1 << 24
# Bytes that are taken at once.
PART = 1 << 16
# Descriptors that go with a request: where output and errors go, and for a kept process its client.
MOST_DESCRIPTORS = 3


class Refused(Exception):
    """A request that is none, or that cannot be served now; the message says why."""


class Incoming:
    """A request as it arrives, in however many pieces, with its descriptors."""

    def __init__(self, connection: socket.socket):
        self.connection, self.received = connection, bytearray()
        self.descriptors: list[int] = []

    def read(self) -> "Request | None":
        """Return the request if it is whole; None where the rest of it would have to be waited for.

        It waits if its connection is one that waits. Raises EOFError if the other side is gone, and Refused.
        """
        while missing := self.missing():
            try:
                part, descriptors, flags, _ = socket.recv_fds(
                    self.connection, min(missing, PART), MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return None
            self.descriptors += descriptors
            if not part:
                raise EOFError
            if flags & socket.MSG_CTRUNC or len(self.descriptors) > MOST_DESCRIPTORS:
                raise Refused("its descriptors are too many, or too many are open here")
            self.received += part
        return parse(bytes(self.received[HEAD:]))

    def missing(self) -> int:
        """Return how many bytes are still to come, as far as is known. Raises Refused for a length that cannot be."""
        if len(self.received) < HEAD:
            return HEAD - len(self.received)
        length = int.from_bytes(self.received[:HEAD], "big")
        if not 0 < length <= LONGEST:
            raise Refused(f"its length is {length}; it has to be 1 to {LONGEST} bytes")
        return HEAD + length - len(self.received)

    def drop_descriptors(self) -> None:
        """Close the descriptors that came with it."""
        while self.descriptors:
            os.close(self.descriptors.pop())


def parse(payload: bytes) -> "Request":
    """Return the request that JSON is. Raises Refused if it is none."""
    try:
        request = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Refused("it is not JSON") from error
    if not isinstance(request, dict) or request.keys() != {"arguments", "keep", "folder", "environment"}:
        raise Refused("it has to have arguments, keep, folder and environment")
    arguments, keep, environment = request["arguments"], request["keep"], request["environment"]
    if not (isinstance(arguments, list) and arguments and all(map(is_text, arguments))):
        raise Refused("its arguments have to be a module and texts")
    if not (is_text(request["folder"]) and (keep is None or is_text(keep))):
        raise Refused("its folder has to be a text, and keep one or null")
    if not (isinstance(environment, dict) and all(map(is_text, environment.values()))):
        raise Refused("its environment has to be texts")
    if any(not name or "=" in name or not is_text(name) for name in environment):
        raise Refused("its environment has a name that no variable can have")
    return request  # type: ignore[return-value]


def is_text(value: "Any") -> bool:
    """Tell if a value is a text that the kernel takes."""
    return isinstance(value, str) and "\0" not in value


def send(connection: socket.socket, request: "Request", descriptors: list[int]) -> None:
    """Send a request and open descriptors: where output and errors go, and for a kept process its client."""
    payload = json.dumps(request).encode()
    socket.send_fds(connection, [len(payload).to_bytes(HEAD, "big")], descriptors)
    connection.sendall(payload)


def answer(connection: socket.socket, found: int | str) -> None:
    """Send an exit code, or why there is none; a client that is gone, or takes nothing, does not need it."""
    with contextlib.suppress(OSError):
        connection.sendall(f"{found}\n".encode())


def bound_to(address: str) -> str | bytes:
    """Return the name that a socket is bound to for an address as an environment holds it: @ is the zero byte."""
    return b"\0" + os.fsencode(address[1:]) if address.startswith("@") else address


def is_ours(connection: socket.socket) -> bool:
    """Tell if the other side of a connection is a process of this user, as the kernel says (SO_PEERCRED, unix(7))."""
    known = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # three numbers: process, user, group
    return int.from_bytes(known[4:8], sys.byteorder) == os.geteuid()
