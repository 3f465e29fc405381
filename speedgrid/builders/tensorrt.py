"""Build a TensorRT engine of one static shape from an ONNX file with TensorRT's own parser, as trtexec does."""

import json
import time
from collections import Counter
from typing import TypedDict

from speedgrid import backends
from speedgrid.backends import tensorrt_api
from speedgrid.builders.attempt import Build, attempt
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import replacing, unmade
from speedgrid.launcher.reading import read_json


class Made(TypedDict):
    """The first part of the description of an ONNX file."""

    status: str
    reason: str


def build(cell: Cell, device: str, onnx: str, description: str, output: str) -> Build:
    """Build the engine of a cell into `output` and return the build record (see speedgrid.builders.attempt).

    description: file that says whether there is an ONNX file; where there is none, its status and reason are passed on.
    """
    exported = read_json(description, Made)
    if exported["status"] != "ok":
        return unmade(output, exported["reason"], exported["status"]) | {"build_seconds": None}
    if refusal := backends.fixed(cell, read_json(description, dict)):
        return unmade(output, refusal[1], refusal[0]) | {"build_seconds": None}
    # Full TensorRT times kernels while it builds; TensorRT-RTX does not.
    alone = tensorrt_api.package() == "tensorrt"
    return attempt(cell, device, output, lambda: build_engine(cell, onnx, output), alone)


def build_engine(cell: Cell, onnx: str, output: str) -> Build:
    """Write the engine of an ONNX file for the cell's shape to `output`; types are those of the file.

    Returns build seconds, size and how many layers write which type. Raises RuntimeError with TensorRT's first error.
    """
    api = tensorrt_api.bindings()
    log = tensorrt_api.make_log(api)
    started = time.perf_counter()
    builder = api.Builder(log)
    network = builder.create_network(1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = api.OnnxParser(network, log)
    tensorrt_api.must(parser.parse_from_file(onnx), log, f"read {onnx}")
    config = builder.create_builder_config()
    config.profiling_verbosity = api.ProfilingVerbosity.DETAILED  # for the inspector; costs no speed
    # On by default, as in cuDNN; the switch is for float32 tensors alone.
    (config.clear_flag if cell.precision == "fp32" else config.set_flag)(api.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for name, shape in shapes_of(cell, network).items():
        profile.set_shape(name, min=shape, opt=shape, max=shape)
    config.add_optimization_profile(profile)
    engine = bytes(tensorrt_api.must(builder.build_serialized_network(network, config), log, f"build from {onnx}"))
    build_seconds = time.perf_counter() - started
    with replacing(output) as temporary:
        temporary.write_bytes(engine)
    return {
        "build_seconds": round(build_seconds, 3),
        "network_layers": network.num_layers,
        "layers_per_type": written_types(api, log, engine),
        "coverage_percent": 100.0,  # a network is built whole: what TensorRT cannot parse is an error
        "engine_mb": round(len(engine) / 1e6, 3),
    }


def shapes_of(cell: Cell, network) -> dict[str, tuple[int, ...]]:
    """Return the shape of each input of a network in a cell: as its module has them, or else the user's file."""
    from speedgrid.model import sources, tensors

    given = [network.get_input(number) for number in range(network.num_inputs)]
    if sources.find(cell.model).module:
        rows = [one.row for one in tensors.inputs_of(cell.model, cell.resolution)]
    else:
        rows = [tuple(one.shape)[1:] for one in given]
    return {one.name: (cell.batch_size, *row) for one, row in zip(given, rows, strict=True)}


def written_types(api, log, engine: bytes) -> dict[str, int]:
    """Return how many layers of an engine write which type, as its inspector says; empty where it does not say."""
    loaded = api.Runtime(log).deserialize_cuda_engine(engine)
    if loaded is None:
        return {}
    text = loaded.create_engine_inspector().get_engine_information(api.LayerInformationFormat.JSON)
    return count_types(text)


def count_types(text: str) -> dict[str, int]:
    """Return how many layers write which type, from what an engine inspector says in JSON.

    A layer is an object with `Outputs`, each with a `Format/Datatype` such as `Half` or `Channel major FP16 format`;
    with less verbosity it is a name.
    """
    layers = [layer for layer in json.loads(text).get("Layers", []) if isinstance(layer, dict)]
    return dict(
        Counter(
            kind
            for layer in layers
            for kind in {str(output.get("Format/Datatype", "unknown")) for output in layer.get("Outputs", [])}
        )
    )
