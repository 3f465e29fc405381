"""What files say of a model: where its weights are from, and what arithmetic an image costs.

Importing this imports no torch, so that a table and a report can name these types.
"""

from typing import NotRequired, TypeAlias, TypedDict

from speedgrid.data.resolution import Resolution


class Fit(TypedDict):
    """How the weights of a model were fitted to digits. epochs: where all weights were."""

    method: str
    epochs: NotRequired[float]
    steps: int
    loss: float


class Training(Fit):
    """How a model was trained on digits, and how often it is right on those of two parts, as shares."""

    canvas: int
    seed: int
    top1_training: float
    top1_held_out: float
    seconds: float


class Part(TypedDict):
    """The part of a checkpoint that was taken. key: of its state dict, or empty. prefix: that its names had.

    others: what else in the file would have fitted, such as an average of the weights.
    """

    key: str
    prefix: str
    others: list[str]


class Origin(TypedDict):
    """Where the weights of a model at one resolution are from, as of speedgrid.model.weights.

    source: in words. own: they are the user's. trained: how, where they were trained on digits. part: what of
    the user's file was taken. external: SHA-256 of the files with the tensors of an ONNX file, by path.
    """

    model: str
    resolution: Resolution
    source: str
    own: bool
    trained: Training | None
    sha256: str
    parameters: int
    classes: int
    part: NotRequired[Part]
    external: NotRequired[dict[str, str]]


class LayerCount(TypedDict):
    """The arithmetic and traffic of one layer of one image, as of speedgrid.model.onnx_graph.Layer."""

    name: str
    flop: int
    weight_elements: int
    activation_elements: int


class Counted(TypedDict):
    """The arithmetic and the elements of one image, as of speedgrid.model.flops.count.

    All but `flop` is None for a model that could not be exported, and `flop` too where nothing could be counted.
    layers: not in the summary of a run. reason: why nothing could be counted.
    """

    flop: int | None
    onnx_flop: int | None
    weight_elements: int | None
    input_elements: int | None
    output_elements: int | None
    layers: NotRequired[list[LayerCount]]
    reason: NotRequired[str]


# By model, and by resolution as text.
Arithmetic: TypeAlias = dict[str, dict[str, Counted]]
