"""The values of the axis `backend`: what they are called, and where their settings go."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from speedgrid import backends, settings
from speedgrid.backends import variants
from speedgrid.backends.variants import VARIANTS
from speedgrid.grid import Cell
from speedgrid.machine import graphics
from speedgrid.precision import PRECISIONS
from speedgrid.report import plots
from speedgrid.text import names

ROOT = Path(__file__).parent.parent
# How people with a kind of colour blindness see linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
VISIONS = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}


def test_the_schema_offers_exactly_the_variants_that_there_are():
    axes = settings.read_schema()["$defs"]["axes"]["properties"]
    assert axes["backend"]["items"]["enum"] == list(VARIANTS)


def test_the_default_grid_of_a_gpu_has_compiled_and_tuned_pytorch_beside_the_runtimes():
    grid = settings.complete({"device": "cpu"})["grid"]
    assert grid["cuda"]["backend"] == ["pytorch", "onnxruntime", "torch_tensorrt", "inductor", "pytorch_tuned"]
    assert grid["cpu"]["backend"] == ["pytorch", "onnxruntime", "openvino"]


def test_settings_are_plain_values_which_snakemake_can_compare():
    for name in VARIANTS:
        assert json.loads(json.dumps(backends.settings(name))) == backends.settings(name)


def test_a_backend_as_users_write_it_is_not_tuned():
    assert not any(backends.settings(name) for name in ("onnxruntime", "openvino"))
    plain = {"memory_format": "contiguous_format", "cudnn_benchmark": False, "cuda_graph": False}
    assert backends.settings("pytorch") == plain


def test_the_documentation_lists_the_variants_with_their_settings():
    assert variants.document() in (ROOT / "docs/backends.md").read_text(), "run `make docs`"


# Reasons that another machine, or another version of a package, has not.
HERE = re.compile("this CPU has no|needs NVIDIA ModelOpt|full TensorRT .* does both")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", VARIANTS)
def test_the_precisions_of_the_documentation_are_those_that_are_not_refused(name, device, monkeypatch):
    """A precision is documented exactly where it is refused for no reason but those of this machine."""
    monkeypatch.setattr(graphics, "own", dict)
    cells = {precision: Cell("resnet18", name, precision, 224, 1) for precision in PRECISIONS}
    found = {precision: backends.unsupported(cell, device) for precision, cell in cells.items()}
    taken = [precision for precision, reason in found.items() if reason is None or HERE.search(reason)]
    able = device in backends.get(name).IMPORTS
    assert VARIANTS[name].precisions[device] == (tuple(taken) if able else ())


def test_every_variant_has_a_label_of_its_own():
    assert len(set(names.NAMES.values())) == len(VARIANTS) == len(names.NAMES)


def lab(colour: str, seen) -> np.ndarray:
    """Return a colour in CIELAB (D65), as people with one kind of vision see it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ np.clip(np.array(seen) @ linear, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISIONS)
def test_the_colours_of_any_two_backends_can_be_told_apart(vision):
    assert set(plots.COLOURS) == set(VARIANTS)
    seen = [lab(colour, VISIONS[vision]) for colour in plots.COLOURS.values()]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 17
