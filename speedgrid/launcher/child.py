"""What a launcher's children do: run a script as a fresh interpreter would."""

import os
import runpy
import socket
import sys

from speedgrid.launcher.ending import nowhere
from speedgrid.launcher.protocol import TYPE_CHECKING, Incoming, answer

if TYPE_CHECKING:
    from speedgrid.launcher.protocol import Request


def serve_kept(channel: socket.socket, inherited: list[int]) -> int:
    """Run scripts that come over `channel` in this process, one after another, until it closes.

    Descriptors of a client are closed before it is answered: whoever reads its output waits for that. One byte
    over `channel` tells the server that this process can take the next script.
    """
    for descriptor in inherited:
        os.close(descriptor)
    discarded = nowhere()
    while True:
        incoming = Incoming(channel)
        try:
            request = incoming.read()
        except EOFError:
            return 0
        assert request is not None  # this socket waits
        code = run_script(request, incoming.descriptors)
        for stream in (1, 2):
            os.dup2(discarded, stream)
        with socket.socket(fileno=incoming.descriptors.pop()) as client:
            incoming.drop_descriptors()
            channel.send(b".")
            answer(client, code)


def run_script(request: "Request", descriptors: list[int]) -> int:
    """Run a script in this process as `python -m MODULE ARGUMENT ...` would, and return its exit code."""
    os.dup2(descriptors[0], 1)
    os.dup2(descriptors[1], 2)
    try:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = request["arguments"]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        if isinstance(exit_.code, str):
            print(exit_.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # the package of the scripts has put its own there
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code
