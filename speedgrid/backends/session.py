"""What timing needs of a backend: a loaded model with input and output buffers, and a way to run it once."""

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import numpy as np

from speedgrid.grid import Cell
from speedgrid.precision import PRECISIONS

if TYPE_CHECKING:
    import torch

# What a session reads and writes: on a GPU a torch.Tensor, on the CPU a numpy.ndarray or a torch.Tensor.
Buffer: TypeAlias = Any


class Options(TypedDict):
    """How a session is loaded: the threads that it has on the CPU, and the settings of its variant."""

    cpu_threads: int
    settings: dict[str, Any]


class Quantised(TypedDict):
    """How many convolutions and matrix products of a model execute in integers or fp8, and of how many; by type."""

    executed: int
    of: int
    types: dict[str, int]


class UnsupportedError(RuntimeError):
    """A cell that a runtime refuses only when it is asked to run; the message says what the runtime lacks."""


class Session(ABC):
    """A model that is loaded, bound to buffers of one shape, and ready to run.

    dtype: type of the input and output tensors as the session itself reports it, e.g. "float16".
    stream: the torch.cuda.Stream that `run` enqueues on, or None on the CPU, where `run` returns when done.
    details: what ran, for the record: plain JSON values.
    input, result: the buffers, of the sessions that have some.
    """

    stream: "torch.cuda.Stream | None" = None
    input: Buffer
    result: Buffer

    def __init__(self, cell: Cell, dtype: str | None = None):
        self.shape = (cell.batch_size, 3, cell.resolution, cell.resolution)
        self.dtype = dtype or PRECISIONS[cell.precision].dtype
        self.details: dict[str, Any] = {}

    @abstractmethod
    def feed(self, batch: np.ndarray) -> None:
        """Copy `batch`, float32 [batch_size, 3, resolution, resolution], into the input buffer."""

    @abstractmethod
    def run(self) -> None:
        """Run the model once, or enqueue one run on `stream`. Call it inside `active()`."""

    @abstractmethod
    def poison(self) -> None:
        """Fill the output buffer with NaN, so that an output that is never written is seen."""

    @abstractmethod
    def output(self) -> np.ndarray:
        """Return the output of the last run as float64 [batch_size, classes], waiting for it first."""

    def synchronize(self) -> None:
        """Wait until every enqueued run of the model is done."""
        if self.stream is not None:
            self.stream.synchronize()

    @contextmanager
    def active(self):
        """Hold the modes and the stream that `run` needs, entered once around a loop and not once for each call."""
        yield self


class TorchSession(Session):
    """A torch module on one device: the input is a tensor on the device, the output whatever the call returned.

    memory_format: of the input, as torch names it: contiguous_format (NCHW) or channels_last (NHWC). dtype: of input
    and output, where it is not that of the cell's precision.
    """

    def __init__(
        self,
        cell: Cell,
        device: str,
        module,
        memory_format: str = "contiguous_format",
        dtype: str | None = None,
    ):
        import torch

        super().__init__(cell, dtype)
        self.module = module
        kind = {"dtype": getattr(torch, self.dtype), "memory_format": getattr(torch, memory_format)}
        self.input = torch.empty(self.shape, device=device, **kind)
        self.result: torch.Tensor | None = None
        if device == "cuda":
            self.stream = torch.cuda.Stream()

    def feed(self, batch):
        import torch

        with self.active():
            self.input.copy_(torch.from_numpy(batch))
        self.synchronize()

    def run(self):
        self.result = self.module(self.input)

    def poison(self):
        # A module allocates its result anew; what can go stale is the old reference.
        self.result = None

    def output(self):
        self.synchronize()
        assert self.result is not None, "the session was not run"
        return self.result.double().cpu().numpy()

    @contextmanager
    def active(self):
        import torch

        with torch.inference_mode(), torch.cuda.stream(self.stream):
            yield self


class HostSession(Session):
    """A runtime on the CPU that reads and writes numpy arrays which stay where they are.

    dtype: of these, where it is not that of the cell's precision.
    """

    def __init__(self, cell: Cell, classes: int, dtype: str | None = None):
        super().__init__(cell, dtype)
        self.input = np.zeros(self.shape, self.dtype)
        self.result = np.full((cell.batch_size, classes), np.nan, self.dtype)

    def feed(self, batch):
        self.input[...] = batch

    def poison(self):
        self.result.fill(np.nan)

    def output(self):
        return self.result.astype(np.float64)
