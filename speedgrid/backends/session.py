"""What timing needs of a backend: a loaded model with input and output buffers, and a way to run it once."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypedDict

import numpy as np

from speedgrid.data import arrays
from speedgrid.data.resolution import size_of
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


class Tensor(NamedTuple):
    """One input or output of a loaded model: its shape, and its type by the name that numpy gives it."""

    shape: tuple[int, ...]
    dtype: str


# Inputs or outputs by name, in the order of the model.
Tensors: TypeAlias = dict[str, Tensor]


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
        self.cell = cell
        self.shape: tuple[int, ...] = (cell.batch_size, 3, *size_of(cell.resolution))
        self.dtype = dtype or PRECISIONS[cell.precision].dtype
        self.details: dict[str, Any] = {}

    @abstractmethod
    def feed(self, batch: np.ndarray) -> None:
        """Copy `batch` into the input buffers: float32 [batch_size, 3, height, width], or a row of fields an image."""

    def zeros(self) -> np.ndarray:
        """Return a batch of zeros, to be fed."""
        return np.zeros(self.shape, np.float32)

    @abstractmethod
    def run(self) -> None:
        """Run the model once, or enqueue one run on `stream`. Call it inside `active()`."""

    @abstractmethod
    def poison(self) -> None:
        """Fill the output buffer with NaN, so that an output that is never written is seen."""

    @abstractmethod
    def output(self) -> np.ndarray:
        """Return the output of the last run as float64 [batch_size, ...], waiting for it first; of several, fields."""

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

        from speedgrid.model import tensors

        super().__init__(cell, dtype)
        self.module = module
        self.inputs = tensors.empty_inputs(cell, device, self.dtype, memory_format)
        self.input = self.inputs[0]
        self.shape = tuple(self.input.shape)
        self.result: Any = None
        if device == "cuda":
            self.stream = torch.cuda.Stream()

    def feed(self, batch):
        import torch

        with self.active():
            for target, part in zip(self.inputs, arrays.fields(batch).values(), strict=True):
                target.copy_(torch.from_numpy(np.ascontiguousarray(part)))
        self.synchronize()

    def zeros(self):
        return arrays.joined({str(number): np.zeros(one.shape, np.float32) for number, one in enumerate(self.inputs)})

    def run(self):
        self.result = self.module(*self.inputs)

    def poison(self):
        # A module allocates its result anew; what can go stale is the old reference.
        self.result = None

    def output(self):
        from speedgrid.model import tensors

        self.synchronize()
        assert self.result is not None, "the session was not run"
        found = tensors.tensors(self.result)
        return arrays.joined({name: one.double().cpu().numpy() for name, one in found.items()})

    @contextmanager
    def active(self):
        import torch

        with torch.inference_mode(), torch.cuda.stream(self.stream):
            yield self


class HostSession(Session):
    """A runtime on the CPU that reads and writes numpy arrays which stay where they are.

    inputs, outputs: their tensors by name. dtype: of floats among them, where it is not that of the cell's precision.
    """

    def __init__(self, cell: Cell, inputs: Tensors, outputs: Tensors, dtype: str | None = None):
        super().__init__(cell, dtype)
        self.shape = next(iter(inputs.values())).shape
        self.inputs = {name: np.zeros(one.shape, one.dtype) for name, one in inputs.items()}
        self.results = {name: np.empty(one.shape, one.dtype) for name, one in outputs.items()}
        self.input, self.result = (next(iter(one.values())) for one in (self.inputs, self.results))
        self.poison()

    def feed(self, batch):
        for target, part in zip(self.inputs.values(), arrays.fields(batch).values(), strict=True):
            target[...] = part

    def poison(self):
        for result in self.results.values():
            result.fill(poison_of(result.dtype))

    def output(self):
        return arrays.joined({name: one.astype(np.float64) for name, one in self.results.items()})


class DeviceSession(Session):
    """A runtime that reads and writes torch tensors on the GPU which stay where they are."""

    inputs: dict[str, Buffer]
    results: dict[str, Buffer]

    def allocate(self, inputs: Tensors, outputs: Tensors) -> None:
        """Make the tensors of a model's inputs and outputs; floats among them say what type the session has."""
        import torch

        ends = [
            {name: torch.zeros(one.shape, dtype=getattr(torch, one.dtype), device="cuda") for name, one in all_.items()}
            for all_ in (inputs, outputs)
        ]
        self.inputs, self.results = ends
        self.input, self.result = (next(iter(one.values())) for one in ends)
        self.shape = tuple(self.input.shape)
        self.dtype = float_type((*inputs.values(), *outputs.values()), self.dtype)

    def feed(self, batch):
        import torch

        for target, part in zip(self.inputs.values(), arrays.fields(batch).values(), strict=True):
            target.copy_(torch.from_numpy(np.ascontiguousarray(part)))
        torch.cuda.synchronize()

    def zeros(self):
        return arrays.joined({name: np.zeros(one.shape, np.float32) for name, one in self.inputs.items()})

    def poison(self):
        import torch

        for result in self.results.values():
            result.fill_(poison_of_tensor(result))
        torch.cuda.synchronize()

    def output(self):
        self.synchronize()
        return arrays.joined({name: one.double().cpu().numpy() for name, one in self.results.items()})


def poison_of_tensor(tensor) -> Any:
    """Return the value that fills an output on a device that must be written; see `poison_of`."""
    import torch

    return (
        float("nan")
        if tensor.is_floating_point()
        else torch.iinfo(tensor.dtype).min
        if tensor.dtype != torch.bool
        else 0
    )


def leaves(result: Any) -> list[Any]:
    """Return the tensors of what a model returned: one, or several in lists and dictionaries."""
    if isinstance(result, dict):
        return [leaf for one in result.values() for leaf in leaves(one)]
    return [leaf for one in result for leaf in leaves(one)] if isinstance(result, list | tuple) else [result]


def poison_of(dtype) -> Any:
    """Return the value that fills an output that must be written: NaN, or of integers the least, which is no answer."""
    kind = np.dtype(dtype)
    return np.nan if kind.kind == "f" else False if kind.kind == "b" else np.iinfo(kind).min


def float_type(tensors: Iterable[Tensor], otherwise: str) -> str:
    """Return the type of the first tensors that have one of floats, by which a session's errors are judged."""
    return next((one.dtype for one in tensors if "float" in one.dtype), otherwise)
