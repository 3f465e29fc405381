"""How much arithmetic one image costs, counted twice: by torch as it runs, and in the exported ONNX graph."""

import itertools
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch
from torch.utils.flop_counter import FlopCounterMode

from speedgrid import InputError
from speedgrid.data.resolution import Resolution, in_words
from speedgrid.grid import Cell
from speedgrid.launcher.reading import read_onnx
from speedgrid.model import onnx_graph, sources
from speedgrid.model.described import Arithmetic, Counted, LayerCount
from speedgrid.model.modules import build
from speedgrid.model.tensors import empty_inputs

# Both count the same operations: they differ in what an exporter adds or leaves out. Of 16 torchvision models 15 agree
# to the last digit; swin_v2_t has 0.3 % less in its graph, where a product of constants is folded.
TOLERANCE = 0.01


class CountError(InputError):
    """Two counts of one model's arithmetic that do not agree; the message has both."""


def count_all(models: Iterable[str], resolutions: Iterable[Resolution], onnx_files: Iterable[str]) -> Arithmetic:
    """Return the arithmetic, as of `count`, by model and by resolution as text, as JSON has it.

    onnx_files: one for each pair, the resolutions of the first model first.
    """
    counted: Arithmetic = {}
    for (model, resolution), onnx_file in zip(itertools.product(models, resolutions), onnx_files, strict=True):
        counted.setdefault(model, {})[str(resolution)] = count(model, resolution, onnx_file)
    return counted


def count(model: str, resolution: Resolution, onnx_file: str) -> Counted:
    """Return the arithmetic and the elements of one image, as plain JSON values.

    flop: by torch; onnx_flop: by the graph in `onnx_file`. weight_elements: of all weights, input_elements and
    output_elements: of one image. layers: of each convolution and matrix product its `flop`, `weight_elements` (read
    once a batch) and `activation_elements` (inputs and output of one image); see speedgrid.model.onnx_graph. Raises
    CountError if the two counts differ by more than 1 %. An empty file, of a model that could not be exported, gives
    torch's count alone; the rest is None, and layers are empty.
    """
    if not Path(onnx_file).stat().st_size:  # the model could not be exported
        return uncounted(flop_per_image(model, resolution) if sources.find(model).module else None)
    if not sources.find(model).module:
        return count_file(onnx_file)
    graph = onnx_graph.read(onnx_file)
    # The user's model may tell apart any number of classes: its last layer is as large as the graph says.
    classes = graph.output_elements if sources.find(model).task == "classification" else 1000
    flop = flop_per_image(model, resolution, classes)
    if abs(graph.flop - flop) > TOLERANCE * flop:
        raise CountError(
            f"{model} at {in_words(resolution)} costs {flop:,} FLOP an image by torch's count and {graph.flop:,} "
            f"by that of {onnx_file}; the two must agree within {TOLERANCE:.0%}."
        )
    return {
        "flop": flop,
        "onnx_flop": graph.flop,
        "weight_elements": graph.weight_elements,
        "input_elements": graph.input_elements,
        "output_elements": graph.output_elements,
        "layers": [cast(LayerCount, asdict(layer)) for layer in graph.layers],
    }


def count_file(onnx_file: str) -> Counted:
    """Return the arithmetic of a user's ONNX file, by its graph alone; None, with a `reason`, where it cannot be."""
    try:
        graph = onnx_graph.read(onnx_file)
    except onnx_graph.GraphError as error:
        return {**uncounted(None), "reason": str(error).removeprefix(f"{onnx_file}: ").rstrip(".")}
    batch = onnx_graph.batch_of(read_onnx(onnx_file))
    layers = [
        LayerCount(
            name=one.name,
            flop=one.flop // batch,
            weight_elements=one.weight_elements,
            activation_elements=one.activation_elements // batch,
        )
        for one in graph.layers
    ]
    return {
        "flop": graph.flop // batch,
        "onnx_flop": graph.flop // batch,
        "weight_elements": graph.weight_elements,
        "input_elements": graph.input_elements // batch,
        "output_elements": graph.output_elements // batch,
        "layers": layers,
    }


def uncounted(flop: int | None) -> Counted:
    """Return the count that is known without a graph: at most the operations that torch counted."""
    return {
        "flop": flop,
        "onnx_flop": None,
        "weight_elements": None,
        "input_elements": None,
        "output_elements": None,
        "layers": [],
    }


def images_within(flop: float, name: str, resolution: Resolution, fewest: int) -> int:
    """Return the number of images of a model that `flop` operations are enough for, `fewest` at least."""
    return max(fewest, int(flop / flop_per_image(name, resolution)))


def flop_per_image(name: str, resolution: Resolution, classes: int = 1000) -> int:
    """Return the floating-point operations of one image, as 2 x multiply-adds of convolutions and matrix products.

    classes: of a model that tells classes apart.

    ResNet-18 at 224: 3,628,146,688, which is the 1.814 "GFLOPS" of model tables, where those count multiply-adds.
    Counted by torch.utils.flop_counter on the meta device, so nothing is computed.
    """
    # Built on the CPU, because some models (RegNet) compute their widths with tensors.
    one = Cell(name, "", "fp32", resolution, 1)
    try:
        return counted_on("meta", build(name, classes), one)
    except (RuntimeError, NotImplementedError, AssertionError):
        if sources.find(name).trains:
            raise
    return counted_on("cpu", build(name, classes), one)  # it has tensors that stay where they were made


def counted_on(device: str, model: torch.nn.Module, cell: Cell) -> int:
    """Return the operations that torch counts in one call of a model on zeros on a device."""
    given = [one.zero_() for one in empty_inputs(cell, device, "float32")]
    model = model.to(device)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(*given)
    return counter.get_total_flops()
