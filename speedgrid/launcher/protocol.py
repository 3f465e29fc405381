"""How requests and answers travel over a Unix socket, open file descriptors included."""

import contextlib
import json
import socket

TYPE_CHECKING = False  # type checkers take it for true; importing typing takes 5 ms, which no client need pay
if TYPE_CHECKING:
    from typing import TypedDict

    class Request(TypedDict):
        """A script that a client wants run: its module and arguments, where, and in which environment.

        keep: the name of the kept process that runs it, None for a fresh one.
        """

        arguments: list[str]
        keep: str | None
        folder: str
        environment: dict[str, str]


def send(connection: socket.socket, request: "Request", descriptors: list[int]) -> None:
    """Send a request and open descriptors: where output and errors go, and for a kept process its client."""
    payload = json.dumps(request).encode()
    socket.send_fds(connection, [len(payload).to_bytes(4, "big")], descriptors)
    connection.sendall(payload)


def receive(connection: socket.socket) -> "tuple[Request, list[int]]":
    """Receive a request and its open descriptors, as `send` sent them. Raises EOFError if the other side is gone."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    payload, length = b"", int.from_bytes(head, "big")
    while len(payload) < length or not head:
        part = connection.recv(length - len(payload)) if head else b""
        if not part:
            raise EOFError
        payload += part
    return json.loads(payload), descriptors


def answer(connection: socket.socket, code: int) -> None:
    """Send an exit code; a client that is gone does not need it."""
    with contextlib.suppress(OSError):
        connection.sendall(f"{code}\n".encode())
