# What the rules share: the checked configuration, the cells, and where files are. No rules here.
import gc
import inspect
import itertools
import json
import os
import re
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from snakemake.iocontainers import Wildcards
from snakemake.logging import logger

from speedgrid import backends, data, grid, precision, settings
from speedgrid.data import resolution
from speedgrid.cluster import elsewhere
from speedgrid.machine import cpu, environment, gpus, turns
from speedgrid.report import plots
from speedgrid.launcher import SESSION_VARIABLE, guard, inputs, outputs, progress
from speedgrid.launcher import server
from speedgrid.measure import percentiles, probes
from speedgrid.model import checkpoints as own_weights  # Snakemake has a global of that name
from speedgrid.model import sources as models
from speedgrid.serving import places, video
from speedgrid.published import source

# A large graph of jobs is a million objects that stay; looking for garbage among them takes a sixth of `snakemake -n`.
gc.disable()

folder.prepare_environment()
for file in workflow.configfiles:
    settings.require_readable(file)
# With an executor of a cluster this process plans what jobs do on another machine, and measures nothing itself.
AT_HEAD = workflow.nodes is not None and not workflow.remote_exec
if AT_HEAD:
    elsewhere.require_device(config.get("device", "auto"))
# Snakemake leaves numbers as text where `--config` has them in braces.
config.update(settings.complete(config, workflow.config_settings.config))
# What is handed over is no part of the run that its description and its report have: they need not be made again for it.
DEPLOYED_FOR = config.pop("deploy")["objective"]
models.require(config["models"])

DEVICE = config["device"]
AXES = grid.axes_of(config)
# Models by what they are: torch modules, and ONNX files of the user's; those that are given images alone.
MODULES = [name for name in AXES["model"] if models.find(name).module]
FILES = [name for name in AXES["model"] if name not in MODULES]
PLAIN = {name for name in MODULES if not models.find(name).inputs}
ENTRIES = {one["name"]: one for one in config["models"] if not isinstance(one, str)}
CELLS = grid.cells(AXES)
DATA = config["data"]["images"]
SOURCE = data.open_source(DATA, config["model"]["seed"])
# Images depend on the code of their own source: an edit of another is nothing to them.
SOURCE_MODULE = type(SOURCE).__module__.removeprefix("speedgrid.").replace(".", "/")
TABLES = source.files(config["published"], "artifacts/published.json")
IMAGES = {"reference": data.REFERENCE, "calibration": data.CALIBRATION, "evaluation": config["accuracy"]["images"]}
data.require(SOURCE, IMAGES)
DESCRIBED = "artifacts/weights/{model}-r{resolution}.json"
own_weights.require(config["model"]["weights"], AXES["model"], AXES["resolution"], DESCRIBED)
for sentence in own_weights.unasked(config["model"]["weights"], AXES["model"], AXES["resolution"]):
    logger.warning(sentence)
# Random images have no right answers; there is nothing to evaluate on them.
CLASSIFIERS = [name for name in AXES["model"] if models.find(name).task == "classification" and DATA != "random"]
EVALUATED = grid.evaluated_cells({**AXES, "model": CLASSIFIERS}, config["accuracy"]["resolution"])
CONTROL = grid.control_cell(AXES)
MACHINE = elsewhere.described(DEVICE) if AT_HEAD else environment.describe(DEVICE)
if workflow.remote_exec:
    elsewhere.require_same(MACHINE)
# The settings of a timing that every timing is given.
TIMING_OPTIONS = (
    "warmup_runs",
    "timed_runs",
    "min_seconds",
    "max_seconds",
    "target_percent",
    "patience_seconds",
    "cpu_threads",
)
# The user's video, or the clip that is encoded for whoever has none; neither where none is asked for.
CLIP = "artifacts/video/photographs.mp4"
VIDEO = video.require(config["serving"]["video"]) or (CLIP if config["serving"]["video"] else None)
DECODING = ["artifacts/decoding.json"] if VIDEO else []
places.require(config, AXES)
PLACES = "artifacts/serving/places.json"
# What a recommendation depends on beside the records.
RECOMMENDING = ("serving", "timing", "accuracy", "budget", "report")
DEMANDS = {name: value for name, value in config.items() if name in RECOMMENDING or name.startswith("minimum_")}
PROGRESS = progress.Progress("artifacts/timings")
# A timing on this machine's CPU says in the run's own log who keeps it waiting; on a cluster another machine times.
IN_THE_WAY = cpu.InTheWay()
# The interpreter that scripts/warm and scripts/cold run: this one, whatever comes first on the path.
os.environ.update(SPEEDGRID_PYTHON=sys.executable)
# Cells that are loaded at once, side by side: measured one at a time on each GPU, and in turns on the CPU.
GPUS = workflow.global_resources["gpu"].value if "gpu" in workflow.global_resources else 1
LOADED = 1 if AT_HEAD else gpus.use(GPUS) if DEVICE == "cuda" else turns.loaded()
# A resource of all jobs together, because as cores these cells would take what engines are still to be built with:
# a timing that waits until nothing else works holds its core. On a cluster each job has a node.
if workflow.nodes is None:
    workflow.register_resource("loaded", LOADED)
# On the CPU what is loaded waits for its turns without using a core (speedgrid.machine.turns), and nothing works
# beside one that has its turn, as on GPUs (speedgrid.machine.gpus). On a cluster a timing has all cores of its node.
ALL_THREADS = workflow.cores if DEVICE == "cpu" else 1
TIMING_THREADS = 0 if DEVICE == "cpu" and workflow.nodes is None else ALL_THREADS
PLOTS = plots.asked(config)
PRELOAD = sorted({name for backend in AXES["backend"] for name in backends.get(backend).IMPORTS.get(DEVICE, ())})


def begin_run():
    """Start what ends the work of this run with it, remove what killed runs left half written, start the launcher.

    No launcher where jobs are on another machine: one that shared this one's address would run them here.

    The configuration is written for the jobs that need a user's text of it (`digest`).
    """
    gc.enable()
    # Snakemake's own folders of a run, in TMPDIR and in its cache, unless that is one that the user has named.
    leaves = [workflow.snakemake_tmp_dir, *filter(None, [getattr(workflow.sourcecache.runtime_cache, "name", None)])]
    guard.start(cancels=workflow.nodes is not None, leaves=leaves)
    # For its limit of jobs a second Snakemake chooses jobs again each second, and once more for each job that has
    # ended: soon without a pause, on a core beside the timings.
    if workflow.nodes is None:
        workflow.scheduler.job_rate_limiter = None
    os.environ[SESSION_VARIABLE] = datetime.now(UTC).isoformat(timespec="seconds")
    outputs.sweep("artifacts", "report", "deploy")
    outputs.write_json("artifacts/config.json", config)
    IN_THE_WAY.look = DEVICE == "cpu" and workflow.nodes is None
    PROGRESS.start(to_be_timed, open_rounds)
    if hasattr(SOURCE, "summary"):
        logger.info(SOURCE.summary())
    if AT_HEAD:
        elsewhere.begin(MACHINE, {job.rule.name for job in workflow.dag.needrun_jobs()})
    else:
        server.start(["torch", "torchvision", "speedgrid.model.modules", "speedgrid.measure.cell", *PRELOAD])


# What rules compile ahead of time for each cell; the record of a build lies beside it, as .json.
COMPILED = {
    "torch_tensorrt": "artifacts/engines/{model}-{precision}-r{resolution}-b{batch_size}.ts",
    "tensorrt": "artifacts/tensorrt/{model}-{precision}-r{resolution}-b{batch_size}.engine",
    "inductor": f"artifacts/inductor/{grid.Cell.PATTERN}.pt2",
}


def any_of(names):
    """Return a regular expression of names; one that nothing matches where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    model=any_of(AXES["model"]),
    backend="|".join(AXES["backend"]),
    precision="|".join(precision.PRECISIONS),
    resolution=resolution.PATTERN,
    batch_size=r"\d+",
    turn=grid.TURN,
    round=r"\d+",
    part="|".join(data.PARTS),


def per_job(function):
    """Write a function's signature down: Snakemake asks for it a dozen times for each of a thousand jobs."""
    function.__signature__ = inspect.signature(function)
    return function


def streams(wildcards):
    """Return the records of what serves streams, which is known once all cells are timed; none where nothing is."""
    if not config["serving"]["for"]:
        return []
    chosen = places.read(checkpoints.choose_places.get().output[0])
    return [f"artifacts/serving/{one['place']}.json" for one in chosen]


def promised(wildcards):
    """Return every result that a user was promised: `rule all` asks for each, so that one that was deleted comes back.

    What timings are made from (weights, images, right answers, ONNX files, engines) is not among them: made again, it
    would make stale every timing that is there. It comes back when something has to be made from it.
    """
    of_run = ("render_report", "render_pages", "describe_run", "audit", "audit_published", "aggregate")
    once = [str(path) for name in (*of_run, "count_flops", "measure_peaks") for path in getattr(rules, name).output]
    plots = [str(path) for path in rules.draw_plots.output]
    accuracy = [f"artifacts/accuracy/{cell}.json" for cell in EVALUATED]
    once += DECODING
    # Before it is known what serves, nothing else is kept waiting for that.
    served = [PLACES, *(streams(wildcards) if Path(PLACES).exists() else [])] if config["serving"]["for"] else []
    return [*once, *expand(plots, model=AXES["model"]), *timings_so_far(), *accuracy, *served]


def own_checkpoint(wildcards):
    """Return the user's checkpoint for a model and resolution where there is one."""
    return own_weights.find(config["model"]["weights"], **wildcards, described=DESCRIBED.format(**wildcards)) or []


def trained_weights(wildcards):
    """Return the weights that are trained on digits for whoever has neither images nor a checkpoint."""
    needed = DATA == "digits" and models.find(wildcards.model).trains and not own_checkpoint(wildcards)
    return f"artifacts/weights/digits-{wildcards.model}.pth" if needed else []


def training(wildcards):
    """Return the description of that training."""
    return [path.replace(".pth", ".json") for path in [trained_weights(wildcards)] if path]


@per_job
def onnx_file(wildcards):
    """Return the ONNX file that serves a cell: fp32 and tf32 share one graph of float32 tensors."""
    stored = precision.stored(wildcards.precision, DEVICE)
    return f"artifacts/onnx/{wildcards.model}-{stored}-r{wildcards.resolution}.onnx"


def given(part):
    """Return the function of a job's wildcards that returns what its model is given of a part: images, or inputs."""

    @per_job
    def file(wildcards):
        plain = wildcards.model in PLAIN
        return (
            f"artifacts/{f'images/{part}' if plain else f'inputs/{part}-{wildcards.model}'}-r{wildcards.resolution}.npy"
        )

    return file


@per_job
def calibration_images(wildcards):
    """Return the images that a quantised engine takes its ranges from; nothing for a float one."""
    return given("calibration")(wildcards) if wildcards.precision in precision.QUANTISED else []


@per_job
def whole_model(wildcards):
    """Return what a model is: the weights of a module, or the user's ONNX file as it is bound to a resolution."""
    if wildcards.model in FILES:
        return f"artifacts/onnx/{wildcards.model}-fp32-r{wildcards.resolution}.onnx"
    return f"artifacts/weights/{wildcards.model}-r{wildcards.resolution}.pth"


@per_job
def file_description(wildcards):
    """Return the description of a user's ONNX file; nothing for a module."""
    return whole_model(wildcards).replace(".onnx", ".json") if wildcards.model in FILES else []


@per_job
def onnx_description(wildcards):
    """Return the description of that file, which says whether there is one."""
    return onnx_file(wildcards).replace(".onnx", ".json")


@per_job
def artifact(wildcards):
    """Return what a cell's backend loads, by what its module says: a file, and beside it the record that made it."""
    kind = backends.get(wildcards.backend).ARTIFACT
    if kind == "weights":
        return {"artifact": whole_model(wildcards), "build": file_description(wildcards)}
    if kind == "onnx":
        return {"artifact": onnx_file(wildcards), "build": onnx_description(wildcards)}
    compiled = COMPILED[kind].format(**wildcards)
    return {"artifact": compiled, "build": str(Path(compiled).with_suffix(".json"))}


def place_files(part):
    """Return the function for what a place that serves streams loads, for each of its batch sizes in their order.

    part: `artifact` or `build`. Each is a function of its own: where the choice is yet to be made, what a function
    returns for `unpack` has no names, and a command cannot be shown.
    """

    def files(wildcards):
        sizes = sizes_of(wildcards)
        found = [artifact(Wildcards(fromdict={**wildcards, "batch_size": size}))[part] for size in sizes]
        return [one for one in found if one]

    return files


def sizes_of(wildcards):
    """Return the batch sizes of a place, as they were chosen."""
    chosen = places.read(checkpoints.choose_places.get().output[0])
    return places.find(chosen, places.PATTERN.format(**wildcards))["batch_sizes"]


def asked_streams(wildcards):
    """Return what a place that serves streams is asked for, as JSON."""
    return json.dumps(places.asked(config, **wildcards, batch_sizes=sizes_of(wildcards)))


def timed_files(wildcards):
    """Return what was timed, as JSON: artifacts by model, backend and precision, and images by model, by patterns.

    Which of them it is only the table says; they are no inputs, because what was timed is never made again for this.
    """
    found, images = {}, {}
    for setting in itertools.product(AXES["model"], AXES["backend"], AXES["precision"]):
        sizes = {"resolution": "{resolution}", "batch_size": "{batch_size}"}
        axes = Wildcards(fromdict=dict(zip(grid.AXES, setting)) | sizes)
        found["-".join(setting)] = artifact(axes)["artifact"]
        images[setting[0]] = given("reference")(axes)
    return json.dumps({"artifacts": found, "images": images})


@cache
def probes_of(turn, **axes):
    """Return the probes that a timing measures, by what their modules say; Snakemake asks again and again."""
    return probes.asked(grid.Cell.of(**axes), turn, DEVICE, config["timing"], CONTROL)


@per_job
def asked_probes(wildcards):
    """Return the probes that a timing measures."""
    return probes_of(**wildcards)


def timing_options():
    """Return what a timing is asked for, as one JSON string."""
    timing = percentiles.long_enough(config["timing"], config["budget"])
    return json.dumps({name: timing[name] for name in TIMING_OPTIONS})
