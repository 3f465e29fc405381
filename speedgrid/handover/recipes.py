"""How each runtime's model is loaded from a folder: which file and program, with which settings and packages.

What was measured decides, as its record tells it: a variant whose settings have changed since is handed over with those
that won. This is the one place that knows what the artifact of a model is, and what its inputs are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from speedgrid.backends import onnxruntime_tensorrt
from speedgrid.backends.onnxruntime import BATCH, PROVIDERS
from speedgrid.backends.variants import VARIANTS
from speedgrid.data.resolution import size_of
from speedgrid.handover.winner import HandoverError
from speedgrid.model import sources
from speedgrid.model.sources.timm_model import Timm
from speedgrid.model.sources.torchvision import Torchvision
from speedgrid.record import Record, Seen

# What every folder needs, beside what its runtime does.
EVERYWHERE = ("numpy", "pillow")
# Packages of TensorRT by the name of their module.
TENSORRT = {"tensorrt_rtx": "tensorrt-rtx", "tensorrt": "tensorrt"}
# What fuses convolutions.
FUSION: dict[str, str | None] = {
    "speedgrid.model.fusion": None,
    "speedgrid.model.convolution": None,
    "speedgrid.backends.fused_kernels": None,
    "speedgrid.launcher.outputs": "one_line",
}


@dataclass(frozen=True)
class Recipe:
    """The way in which a model is loaded.

    program: of templates/deploy/predict. file: what the artifact is called in the folder. settings: what the program
    reads, as plain JSON values. packages: distributions, those that are not installed left out. compiled: it is for one
    kind of device alone. library: modules of this library that the program imports, of some one function alone.
    """

    program: str
    file: str
    settings: dict[str, Any]
    packages: tuple[str, ...]
    compiled: bool = False
    library: dict[str, str | None] = field(default_factory=dict)


def recipe(found: Record, seen: Seen, classes: int) -> Recipe:
    """Return the recipe for what a record measured. classes: how many the model tells apart. Raises HandoverError."""
    module = VARIANTS[found.cell.backend].module if found.cell.backend in VARIANTS else ""
    if module not in RECIPES:
        raise HandoverError(
            f"{found.cell} is what the report recommends, and nothing here writes a folder for {found.cell.backend}; "
            f"take it out of the config key grid.{found.asked.device}.backend to have the next best."
        )
    source = sources.find(found.cell.model)
    if source.module and source.inputs:
        raise HandoverError(
            f"{found.cell.model} is a module with inputs of its own, for which nothing here writes a folder; export "
            "it, and give the file as onnx: FILE."
        )
    return RECIPES[module](found, seen, classes)


def inputs(found: Record, seen: Seen) -> list[dict[str, Any]]:
    """Return the inputs of a model in their order: name, shape of a batch, and type in memory.

    Of a file that has some of its own they are those of its description, which is the record of its build.
    """
    cell = found.cell
    described = (found.build or {}).get("inputs")
    if not described:
        shape = [cell.batch_size, 3, *size_of(cell.resolution)]
        return [{"name": "images", "shape": shape, "dtype": seen.dtype}]
    return [_of_a_call(one, cell.batch_size, seen.dtype) for one in described]


def _of_a_call(one: dict[str, Any], batch_size: int, dtype: str) -> dict[str, Any]:
    """Return an input or output with the shape of a batch. dtype: of its floats, as a converted file has others."""
    shape = [batch_size if axis == BATCH else axis for axis in one["shape"]]
    return {"name": one["name"], "shape": shape, "dtype": dtype if one["dtype"] == "float32" else one["dtype"]}


def outputs(found: Record, seen: Seen, count: int) -> list[dict[str, Any]]:
    """Return the outputs of a model in their order: name, and of a file that was described shape of a batch and type.

    By number where nothing names as many.
    """
    described = (found.build or {}).get("outputs") or [{"name": "logits"}]
    if len(described) != count:
        return [{"name": f"output{at}"} for at in range(count)]
    return [_of_a_call(one, found.cell.batch_size, seen.dtype) if "shape" in one else one for one in described]


def takes_photographs(found: Record) -> bool:
    """Say whether a model takes one normalised photograph an image, and so no arrays of its own."""
    return not (found.build or {}).get("inputs")


def construction(model: str, classes: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the construction of a model's module, `call` and `arguments`, and the packages that it is made of."""
    source = sources.find(model)
    if isinstance(source, Torchvision):
        arguments = {"name": source.called, "weights": None, "num_classes": classes}
        if source.task == "detection":
            raise HandoverError(
                f"PyTorch is what the report recommends for {model}, of which its heads were measured: torchvision "
                "itself makes boxes of them; take the backends that run it so out of the grid to have the next best."
            )
        more = {"weights_backbone": None} if source.task == "segmentation" else {}
        return {"call": "torchvision.models:get_model", "arguments": arguments | more}, ("torchvision",)
    if isinstance(source, Timm):
        arguments = {"model_name": source.model, "pretrained": False, "num_classes": classes}
        return {"call": "timm:create_model", "arguments": arguments}, ("timm", "torchvision")
    raise HandoverError(
        f"PyTorch is what the report recommends for {model}, whose module is code of yours that no folder has; take "
        "the backends that run it so out of the grid to have the next best, such as onnxruntime or openvino."
    )


def _pytorch(found: Record, seen: Seen, classes: int) -> Recipe:
    made, packages = construction(found.cell.model, classes)
    settings = found.asked.settings | {"fp32_precision": seen.details["fp32_precision"]} | made
    return Recipe("pytorch", "weights.pth", settings, ("torch", *packages))


def _pytorch_fused(found: Record, seen: Seen, classes: int) -> Recipe:
    return replace(_pytorch(found, seen, classes), program="pytorch_fused", library=FUSION)


def _inductor(found: Record, seen: Seen, classes: int) -> Recipe:
    settings = found.asked.settings | {"fp32_precision": seen.details["fp32_precision"]}
    return Recipe("inductor", "model.pt2", settings, ("torch",), compiled=True)


def _onnxruntime(found: Record, seen: Seen, classes: int) -> Recipe:
    packages = ("onnxruntime-gpu", "onnxruntime")
    if found.asked.device == "cpu":
        return Recipe("onnxruntime_cpu", "model.onnx", {"provider": PROVIDERS["cpu"]}, packages)
    settings = {"provider": PROVIDERS["cuda"], "provider_options": seen.details["provider_options"]}
    return Recipe("onnxruntime_cuda", "model.onnx", settings, (*packages, "torch"))


def _onnxruntime_tensorrt(found: Record, seen: Seen, classes: int) -> Recipe:
    settings = {"provider": onnxruntime_tensorrt.PROVIDER, "provider_options": seen.details["provider_options"]}
    return Recipe("onnxruntime_cuda", "model.onnx", settings, ("onnxruntime-gpu", "onnxruntime", "torch", "tensorrt"))


def _openvino(found: Record, seen: Seen, classes: int) -> Recipe:
    return Recipe("openvino", "model.onnx", {"hints": seen.details["hints"]}, ("openvino",))


def _tensorrt(found: Record, seen: Seen, classes: int) -> Recipe:
    # The record names the libraries of TensorRT-RTX, in the account of what ran and among the machine's packages.
    known = found.environment["packages"]
    module = "tensorrt_rtx" if "tensorrt-rtx-cu13-libs" in known else "tensorrt"
    settings = found.asked.settings | {"package": module}
    return Recipe("tensorrt", "model.engine", settings, ("torch", TENSORRT[module]), compiled=True)


def _torch_tensorrt(found: Record, seen: Seen, classes: int) -> Recipe:
    packages = ("torch", "torch-tensorrt-rtx", "torch-tensorrt", *TENSORRT.values())
    return Recipe("torch_tensorrt", "model.ts", found.asked.settings, packages, compiled=True)


RECIPES: dict[str, Callable[[Record, Seen, int], Recipe]] = {
    "pytorch": _pytorch,
    "pytorch_fused": _pytorch_fused,
    "inductor": _inductor,
    "onnxruntime": _onnxruntime,
    "onnxruntime_tensorrt": _onnxruntime_tensorrt,
    "openvino": _openvino,
    "tensorrt": _tensorrt,
    "torch_tensorrt": _torch_tensorrt,
}
