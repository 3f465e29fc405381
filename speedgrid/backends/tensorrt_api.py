"""TensorRT's own Python package, under either of its names, and what it says when something goes wrong."""

from importlib import import_module
from importlib.util import find_spec

# TensorRT-RTX, whose kernels are compiled for the GPU at hand, and full TensorRT: one interface.
PACKAGES = ("tensorrt_rtx", "tensorrt")


def package() -> str | None:
    """Return the name of the installed TensorRT package, or None."""
    return next((name for name in PACKAGES if find_spec(name)), None)


def bindings():
    """Import the installed TensorRT package. Raises ImportError if there is none."""
    if name := package():
        return import_module(name)
    raise ImportError("neither tensorrt_rtx nor tensorrt is installed")


def make_log(api):
    """Return a logger for the TensorRT `api` that keeps errors: a call that fails returns None and says why only there.

    errors: a list of texts, first to last.
    """

    class Log(api.ILogger):  # type: ignore[name-defined]  # which package it is of is known when it runs
        def __init__(self):
            api.ILogger.__init__(self)
            self.errors = []

        def log(self, severity, message):
            if severity in (api.ILogger.Severity.ERROR, api.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()


def must(result, log, what: str):
    """Return the `result` of a TensorRT call, or raise RuntimeError with the first error in `log` if it is None.

    what: what was done.
    """
    if result is None or result is False:
        raise RuntimeError(f"TensorRT could not {what}: {(log.errors or ['it does not say why'])[0]}")
    return result
