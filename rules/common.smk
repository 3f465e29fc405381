# What the rules share: the checked configuration, the cells, and what makes a job stale. No rules here.
import gc
import json
import math
import shlex
import sys
from pathlib import Path

from speedgrid import backends, data, environment, gpus, grid, plots, precision, progress, settings
from speedgrid.launcher import server
from speedgrid.published import source

# A large graph of jobs is a million objects that stay; looking for garbage among them takes a sixth of `snakemake -n`.
gc.disable()

config.update(settings.complete(config))

DEVICE = config["device"]
AXES = {"model": config["models"], **config["grid"][DEVICE]}
CELLS = grid.cells(AXES)
SOURCE = data.open_source(config["data"]["images"], config["model"]["seed"])
IMAGES = {"reference": data.REFERENCE, "calibration": data.CALIBRATION, "evaluation": config["accuracy"]["images"]}
# Random images have no right answers; there is nothing to evaluate on them.
EVALUATED = grid.evaluated_cells(AXES, config["accuracy"]["resolution"]) if config["data"]["images"] != "random" else []
CONTROL = grid.control_cell(AXES)
ORDER = grid.measuring_order(CELLS, CONTROL, config["model"]["seed"], config["timing"]["rounds"])
# All below 0, so that a job without a priority (0: exports) comes before any timing; higher ones start earlier.
PRIORITIES = {timing: -position for position, timing in enumerate(ORDER, start=1)}
# Snakemake sees neither drivers nor library versions: as params they make jobs stale.
MACHINE = environment.describe(DEVICE)
FINGERPRINTS = {name: environment.fingerprint(MACHINE, name) for name in AXES["backend"]}
PROGRESS = progress.Progress("artifacts/timings")
# `warm MODULE ARGUMENT ...` runs a script from the launcher, which has imported what is slow to import; without a
# launcher it starts in a process of its own.
shell.prefix(
    f'set -euo pipefail; warm() {{{{ {shlex.quote(sys.executable)} -S -m speedgrid.launcher.client "$@"; }}}}; '
)
# Cells on the GPUs at once: loaded side by side, measured one at a time on each GPU (speedgrid.gpus).
GPUS = workflow.global_resources["gpu"].value if "gpu" in workflow.global_resources else 1
LOADED = gpus.use(GPUS) if DEVICE == "cuda" else 1
# Cores that a timing takes by declaration: on the CPU all of them, so that nothing else runs; on GPUs so many that no
# more timings start than can be loaded.
TIMING_THREADS = math.ceil(workflow.cores / LOADED)
LANGUAGES = sorted(str(path) for path in Path("languages").glob("*.po"))
PRELOAD = sorted({name for backend in AXES["backend"] for name in backends.get(backend).IMPORTS.get(DEVICE, ())})


wildcard_constraints:
    model="|".join(AXES["model"]),
    backend="|".join(AXES["backend"]),
    precision="|".join(precision.PRECISIONS),
    resolution=r"\d+",
    batch_size=r"\d+",
    turn=grid.TURN,
    part="|".join(data.PARTS),


def code(*modules):
    """Return library files as input, because Snakemake does not track what a script imports."""
    return [f"speedgrid/{module}.py" for module in modules]


def package(name):
    """Return the files of one package of the library as input."""
    return sorted(str(path) for path in Path("speedgrid", name).glob("*.py"))


def backend_code(wildcards):
    """Return the library files of one backend: an edit makes its cells stale and no others."""
    return code(*backends.get(wildcards.backend).CODE)


def image_code(wildcards):
    """Return the library files that the images depend on: an edit of one source is nothing to another."""
    return code(*data.code(config["data"]["images"]))


def own_checkpoint(wildcards):
    """Return the user's checkpoint for a model and resolution where there is one."""
    path = config["model"]["weights"].format(model=wildcards.model, resolution=wildcards.resolution)
    return path if Path(path).exists() else []


def trained_weights(wildcards):
    """Return the weights that are trained on digits for whoever has neither images nor a checkpoint."""
    needed = config["data"]["images"] == "digits" and not own_checkpoint(wildcards)
    return f"artifacts/weights/digits-{wildcards.model}.pth" if needed else []


def training(wildcards):
    """Return the description of that training."""
    return [path.replace(".pth", ".json") for path in [trained_weights(wildcards)] if path]


def image_files(wildcards):
    """Return the user's image files of a part, so that a changed one is seen; there are none of other sources."""
    return SOURCE.paths(wildcards.part, IMAGES[wildcards.part]) if hasattr(SOURCE, "paths") else []


def onnx_file(wildcards):
    """Return the ONNX file that serves a cell: fp32 and tf32 share one graph of float32 tensors."""
    return f"artifacts/onnx/{wildcards.model}-{precision.stored(wildcards.precision)}-r{wildcards.resolution}.onnx"


def timing_priority(wildcards):
    """Return the job priority that puts the cells of a round in random order."""
    return PRIORITIES.get(f"{grid.Cell.PATTERN.format(**wildcards)}-{wildcards.turn}", 0)


def onnx_description(wildcards):
    """Return the description of that file, which says whether there is one."""
    return onnx_file(wildcards).replace(".onnx", ".json")


def more_options(wildcards):
    """Return what else a timing measures: in the first round, since once is enough.

    Energy where the configuration wants it; names of kernels at one batch size, since a profiler takes its time.
    """
    if wildcards.turn != "round1" or DEVICE != "cuda":
        return ""
    energy = int(wildcards.resolution) in config["timing"]["energy_resolutions"]
    kernels = int(wildcards.batch_size) == CONTROL.batch_size
    return " ".join(["--energy"] * energy + ["--kernels"] * kernels)


def timing_options():
    """Return what a timing is asked for, as one JSON string."""
    options = {name: value for name, value in config["timing"].items() if name not in ("rounds", "energy_resolutions")}
    return json.dumps(options)
