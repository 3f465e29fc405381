# What the rules share: the checked configuration, the cells, and what makes a job stale. No rules here.
import gc
import hashlib
import inspect
import json
import shlex
import sys
from pathlib import Path

from speedgrid import backends, data, grid, precision, settings
from speedgrid.backends.fingerprint import fingerprint
from speedgrid.machine import environment
from speedgrid.machine import gpus
from speedgrid.report import plots
from speedgrid.launcher import progress
from speedgrid.launcher import server
from speedgrid.published import source

# A large graph of jobs is a million objects that stay; looking for garbage among them takes a sixth of `snakemake -n`.
gc.disable()

config.update(settings.complete(config))

DEVICE = config["device"]
AXES = {"model": config["models"], **config["grid"][DEVICE]}
CELLS = grid.cells(AXES)
DATA = config["data"]["images"]
SOURCE = data.open_source(DATA, config["model"]["seed"])
IMAGES = {"reference": data.REFERENCE, "calibration": data.CALIBRATION, "evaluation": config["accuracy"]["images"]}
# Random images have no right answers; there is nothing to evaluate on them.
EVALUATED = grid.evaluated_cells(AXES, config["accuracy"]["resolution"]) if DATA != "random" else []
CONTROL = grid.control_cell(AXES)
ORDER = grid.measuring_order(CELLS, CONTROL, config["model"]["seed"], config["timing"]["rounds"])
# All below 0, so that a job without a priority (0: exports) comes before any timing; higher ones start earlier.
PRIORITIES = {timing: -position for position, timing in enumerate(ORDER, start=1)}
# Snakemake sees neither drivers nor library versions: as params they make jobs stale.
MACHINE = environment.describe(DEVICE)
FINGERPRINTS = {name: fingerprint(MACHINE, name) for name in AXES["backend"]}
PREPROCESSING = environment.versions(("torch", "torchvision"))
PROGRESS = progress.Progress("artifacts/timings")
# `warm MODULE ARGUMENT ...` runs a script from the launcher, which has imported what is slow to import; without a
# launcher it starts in a process of its own.
shell.prefix(
    f'set -euo pipefail; warm() {{{{ {shlex.quote(sys.executable)} -S -m speedgrid.launcher.client "$@"; }}}}; '
)
# Cells on the GPUs at once: loaded side by side, measured one at a time on each GPU (speedgrid.machine.gpus).
GPUS = workflow.global_resources["gpu"].value if "gpu" in workflow.global_resources else 1
LOADED = gpus.use(GPUS) if DEVICE == "cuda" else 1
# A resource of all jobs together, because as cores these cells would take what engines are still to be built with:
# a timing that waits until nothing else works holds its core. On a cluster each job has a node.
if workflow.nodes is None:
    workflow.register_resource("loaded", LOADED)
# On the CPU a timing takes all cores by declaration, so that nothing else runs; on GPUs speedgrid.machine.gpus sees to it.
TIMING_THREADS = workflow.cores if DEVICE == "cpu" else 1
PLOTS = plots.asked(config)
LANGUAGES = sorted(str(path) for path in Path("languages").glob("*.po"))
PRELOAD = sorted({name for backend in AXES["backend"] for name in backends.get(backend).IMPORTS.get(DEVICE, ())})


# What rules compile ahead of time for each cell; the record of a build lies beside it, as .json.
COMPILED = {
    "torch_tensorrt": "artifacts/engines/{model}-{precision}-r{resolution}-b{batch_size}.ts",
    "tensorrt": "artifacts/tensorrt/{model}-{precision}-r{resolution}-b{batch_size}.engine",
    "inductor": f"artifacts/inductor/{grid.Cell.PATTERN}.pt2",
}


wildcard_constraints:
    model="|".join(AXES["model"]),
    backend="|".join(AXES["backend"]),
    precision="|".join(precision.PRECISIONS),
    resolution=r"\d+",
    batch_size=r"\d+",
    turn=grid.TURN,
    part="|".join(data.PARTS),


def per_job(function):
    """Write a function's signature down: Snakemake asks for it a dozen times for each of a thousand jobs."""
    function.__signature__ = inspect.signature(function)
    return function


def code(*modules):
    """Return library files, as input or to be checked, because Snakemake does not track what a script imports."""
    return [f"speedgrid/{module}.py" for module in modules]


def package(name):
    """Return the files of one package of the library as input."""
    return sorted(str(path) for path in Path("speedgrid", name).glob("*.py"))


def checksums(*files):
    """Return each file with a checksum of what is in it, as params: an edit is named as the reason to run again."""
    return [f"{file} {hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]}" for file in files]


def image_code(wildcards):
    """Return the library files that the images depend on: an edit of one source is nothing to another."""
    return code(*data.code(DATA))


def own_checkpoint(wildcards):
    """Return the user's checkpoint for a model and resolution where there is one."""
    path = config["model"]["weights"].format(model=wildcards.model, resolution=wildcards.resolution)
    return path if Path(path).exists() else []


def trained_weights(wildcards):
    """Return the weights that are trained on digits for whoever has neither images nor a checkpoint."""
    needed = DATA == "digits" and not own_checkpoint(wildcards)
    return f"artifacts/weights/digits-{wildcards.model}.pth" if needed else []


def training(wildcards):
    """Return the description of that training."""
    return [path.replace(".pth", ".json") for path in [trained_weights(wildcards)] if path]


def image_files(wildcards):
    """Return the user's image files of a part, so that a changed one is seen; there are none of other sources."""
    return SOURCE.paths(wildcards.part, IMAGES[wildcards.part]) if hasattr(SOURCE, "paths") else []


@per_job
def onnx_file(wildcards):
    """Return the ONNX file that serves a cell: fp32 and tf32 share one graph of float32 tensors."""
    stored = precision.stored(wildcards.precision, DEVICE)
    return f"artifacts/onnx/{wildcards.model}-{stored}-r{wildcards.resolution}.onnx"


@per_job
def calibration_images(wildcards):
    """Return the images that a quantised engine takes its ranges from; nothing for a float one."""
    if wildcards.precision not in precision.QUANTISED:
        return []
    return f"artifacts/images/calibration-r{wildcards.resolution}.npy"


@per_job
def timing_priority(wildcards):
    """Return the job priority that puts the cells of a round in random order."""
    return PRIORITIES.get(f"{grid.Cell.PATTERN.format(**wildcards)}-{wildcards.turn}", 0)


@per_job
def onnx_description(wildcards):
    """Return the description of that file, which says whether there is one."""
    return onnx_file(wildcards).replace(".onnx", ".json")


@per_job
def artifact(wildcards):
    """Return what a cell's backend loads, by what its module says: a file, and beside it the record that made it."""
    kind = backends.get(wildcards.backend).ARTIFACT
    if kind == "weights":
        return {"artifact": f"artifacts/weights/{wildcards.model}-r{wildcards.resolution}.pth", "build": []}
    if kind == "onnx":
        return {"artifact": onnx_file(wildcards), "build": onnx_description(wildcards)}
    compiled = COMPILED[kind].format(**wildcards)
    return {"artifact": compiled, "build": str(Path(compiled).with_suffix(".json"))}


@per_job
def more_options(wildcards):
    """Return what else a timing measures: in the first round, since once is enough.

    Energy and costs where the configuration wants them; names of kernels at one batch size, since a profiler takes
    its time.
    """
    if wildcards.turn != "round1":
        return ""
    cuda = DEVICE == "cuda"
    energy = cuda and int(wildcards.resolution) in config["timing"]["energy_resolutions"]
    kernels = cuda and int(wildcards.batch_size) == CONTROL.batch_size
    costs = config["timing"]["end_to_end"]
    return " ".join(["--energy"] * energy + ["--end-to-end"] * costs + ["--kernels"] * kernels)


@per_job
def timing_environment(wildcards):
    """Return the versions that a timing depends on; where requests are measured, those of preprocessing too."""
    return f"{FINGERPRINTS[wildcards.backend]}{PREPROCESSING if '--end-to-end' in more_options(wildcards) else ''}"


def timing_options():
    """Return what a timing is asked for, as one JSON string."""
    others = ("rounds", "energy_resolutions", "end_to_end")
    options = {name: value for name, value in config["timing"].items() if name not in others}
    return json.dumps(options)


@per_job
def backend_settings(wildcards):
    """Return the settings of the variant that a cell's backend is."""
    return backends.settings(wildcards.backend)


# Read once: a thousand jobs ask for them.
BACKEND_CODE = {name: checksums(*code(*backends.get(name).CODE)) for name in AXES["backend"]}


@per_job
def backend_code(wildcards):
    """Return the library files of a cell's backend with their checksums: an edit makes no other cells stale."""
    return BACKEND_CODE[wildcards.backend]
