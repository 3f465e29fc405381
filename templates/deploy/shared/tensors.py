"""What runtimes share that work on torch's tensors: where inputs are, on which stream, and the CUDA graph of a call."""

import contextlib
import importlib

import torch
from batches import ABOUT, FILE, SETTINGS, Batches

# Calls before the capture: libraries choose kernels and allocate in their first ones, which a graph must not record.
WARM_CALLS = 3


class Tensors(Batches):
    """A model on tensors that stay where they are. `load` of the class that derives from it returns what is called."""

    def __init__(self):
        cuda = ABOUT["device"] == "cuda"
        self.stream = torch.cuda.Stream() if cuda else None
        if not cuda:
            torch.set_num_threads(ABOUT["threads"])
        # This thread keeps both from here on, as while it was measured: entering them takes microseconds of a call.
        self.modes = contextlib.ExitStack()
        self.modes.enter_context(torch.inference_mode())
        self.modes.enter_context(torch.cuda.stream(self.stream))
        self.inputs = [self.tensor(**one) for one in ABOUT["inputs"]]
        self.call = self.load()
        self.run()
        if SETTINGS.get("cuda_graph") and cuda:
            self.capture()

    def tensor(self, name, shape, dtype):
        """Return the tensor of one input."""
        layout = SETTINGS.get("memory_format", "contiguous_format") if len(shape) == 4 else "contiguous_format"
        kind = {"dtype": getattr(torch, dtype), "memory_format": getattr(torch, layout)}
        return torch.empty(shape, device=ABOUT["device"], **kind).zero_()

    def capture(self):
        """Replay the CUDA graph of one call from here on."""
        for _ in range(WARM_CALLS):
            self.run()
        # A graph knows addresses alone: what was captured, and with it its weights, is kept.
        self.captured, graph = self.call, torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            results = self.captured(*self.inputs)

        def replay(*inputs):
            graph.replay()
            return results

        self.call = replay

    def feed(self, batch):
        """Put a batch where the model reads it: for each input an array."""
        for target, one in zip(self.inputs, batch, strict=True):
            target.copy_(torch.from_numpy(one))

    def run(self):
        """Run the model once, and return when its result is there."""
        self.results = self.call(*self.inputs)
        if self.stream:
            self.stream.synchronize()

    def output(self):
        """Return the results as arrays, those of floats in float32."""
        found = self.results if isinstance(self.results, list | tuple | dict) else [self.results]
        found = found.values() if isinstance(found, dict) else found
        return [(one.float() if one.is_floating_point() else one).cpu().numpy() for one in found]


def set_arithmetic():
    """Have torch multiply in IEEE float32 or TF32 as it was measured, and choose cuDNN's algorithms in the same way."""
    every = torch.backends
    levels = [every, every.cuda.matmul, every.cudnn, every.cudnn.conv, every.cudnn.rnn]
    if SETTINGS["fp32_precision"] == "ieee":
        levels += [every.mkldnn, every.mkldnn.conv, every.mkldnn.matmul]
    for level in levels:
        level.fp32_precision = SETTINGS["fp32_precision"]
    every.cudnn.benchmark = SETTINGS.get("cudnn_benchmark", False)


def module():
    """Return the module with the weights in its file, in float32 and eval mode."""
    package, function = SETTINGS["call"].split(":")
    with torch.device("meta"):  # shapes alone: the weights are in the file
        found = getattr(importlib.import_module(package), function)(**SETTINGS["arguments"])
    found.load_state_dict(torch.load(FILE, weights_only=True), assign=True)
    return found.eval()
