# What the rules share: the checked configuration, the cells, and what makes a job stale. No rules here.
import gc
import inspect
import json
import os
import sys
from functools import cache
from pathlib import Path

import yaml
from snakemake.iocontainers import Wildcards
from snakemake.logging import logger

from speedgrid import backends, data, grid, precision, record, settings
from speedgrid.backends.fingerprint import fingerprint
from speedgrid.machine import cpu, environment, gpus, turns
from speedgrid.report import plots
from speedgrid.launcher import guard, inputs, outputs, progress
from speedgrid.launcher import server, sources
from speedgrid.measure import probes
from speedgrid.model import checkpoints
from speedgrid.model import sources as models
from speedgrid.published import source

# A large graph of jobs is a million objects that stay; looking for garbage among them takes a sixth of `snakemake -n`.
gc.disable()

folder.prepare_environment()
for file in workflow.configfiles:
    settings.require_readable(file)
# Snakemake leaves numbers as text where `--config` has them in braces.
config.update(settings.complete(config, workflow.config_settings.config))
# What is handed over is no part of the run that its description and its report have: they need not be made again for it.
DEPLOYED_FOR = config.pop("deploy")["objective"]
models.require(config["models"])

DEVICE = config["device"]
AXES = {"model": config["models"], **config["grid"][DEVICE]}
CELLS = grid.cells(AXES)
DATA = config["data"]["images"]
SOURCE = data.open_source(DATA, config["model"]["seed"])
# Images depend on the code of their own source: an edit of another is nothing to them.
SOURCE_MODULE = type(SOURCE).__module__.removeprefix("speedgrid.").replace(".", "/")
TABLES = source.files(config["published"], "artifacts/published.json")
IMAGES = {"reference": data.REFERENCE, "calibration": data.CALIBRATION, "evaluation": config["accuracy"]["images"]}
data.require(SOURCE, IMAGES)
DESCRIBED = "artifacts/weights/{model}-r{resolution}.json"
checkpoints.require(config["model"]["weights"], AXES["model"], AXES["resolution"], DESCRIBED)
for sentence in checkpoints.unasked(config["model"]["weights"], AXES["model"], AXES["resolution"]):
    logger.warning(sentence)
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
PROGRESS = progress.Progress("artifacts/timings")
# A timing on this machine's CPU says in the run's own log who keeps it waiting; on a cluster another machine times.
IN_THE_WAY = cpu.InTheWay()
# The interpreter that scripts/warm and scripts/cold run: this one, whatever comes first on the path.
os.environ.update(SPEEDGRID_PYTHON=sys.executable)
# Cells that are loaded at once, side by side: measured one at a time on each GPU, and in turns on the CPU.
GPUS = workflow.global_resources["gpu"].value if "gpu" in workflow.global_resources else 1
LOADED = gpus.use(GPUS) if DEVICE == "cuda" else turns.loaded()
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

    The configuration is written for the jobs that need a user's text of it (`digest`).
    """
    # Snakemake's own folders of a run, in TMPDIR and in its cache, unless that is one that the user has named.
    leaves = [workflow.snakemake_tmp_dir, *filter(None, [getattr(workflow.sourcecache.runtime_cache, "name", None)])]
    guard.start(cancels=workflow.nodes is not None, leaves=leaves)
    # For its limit of jobs a second Snakemake chooses jobs again each second, and once more for each job that has
    # ended: soon without a pause, on a core beside the timings.
    if workflow.nodes is None:
        workflow.scheduler.job_rate_limiter = None
    outputs.sweep("artifacts", "report", "deploy")
    outputs.write_json("artifacts/config.json", config)
    if hasattr(SOURCE, "summary"):
        logger.info(SOURCE.summary())
    server.start(["torch", "torchvision", "speedgrid.model.modules", "speedgrid.measure.cell", *PRELOAD])


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


def digest(value):
    """Return a checksum of what a user wrote, for a param: the job reads the text itself from artifacts/config.json.

    Snakemake's report has the params of what is in it, and the names of input files that no function gives, in a script
    of its page, where a text that ends the script begins another.
    """
    return outputs.checksum({"given": value})


UNAFFECTED = yaml.safe_load(Path("rules/unaffected.yaml").read_text(encoding="utf-8"))


def own(path):
    """Return a file of the workflow's own, which must be there, as the user's files must that are looked at above.

    Snakemake takes the old result of a rule whose input is gone for a source file, and shows it as it is.
    """
    if fault := inputs.file_fault(path):
        raise FileNotFoundError(f"{path} {fault}; it is a part of speedgrid, and `git checkout {path}` brings it back.")
    return path


def all_own(pattern):
    """Return the files of the workflow's own whose paths match a pattern."""
    return sorted(own(str(path)) for path in Path().glob(pattern))


# A report is stale with any of them, and needs that of its own language; English needs none.
LANGUAGES = all_own("languages/*.po")
if config["report"]["language"] != "en":
    own(f"languages/{config['report']['language']}.po")


def code(rule, *more):
    """Return the files of a rule's code, each with a checksum, for its params: an edit is named as the reason to run again.

    Snakemake does not track what a script imports; as inputs, these files would be looked at once for each of a thousand
    jobs. As one list it would name all of them where one was edited.
    """
    return [sources.checksum(path) for path in code_files(rule, *more)]


def code_files(rule, *more):
    """Return a rule's script, all that this imports, and more: but for what unaffected.yaml says.

    more: modules and packages that the script names in other ways.
    """
    named = [path for one in more for path in library_files(one)]
    script = own(f"scripts/{rule}.py")
    found = {path for start in (script, *named) for path in sources.closure(start)}
    return [script, *sorted({*found, *named} - exempt(rule))]


def library_files(name):
    """Return the file of a module of the library, or those of a package."""
    file = Path("speedgrid", f"{name}.py")
    return [str(file)] if file.exists() else sorted(str(path) for path in Path("speedgrid", name).glob("*.py"))


def promised(wildcards):
    """Return every result that a user was promised: `rule all` asks for each, so that one that was deleted comes back.

    What timings are made from (weights, images, right answers, ONNX files, engines) is not among them: made again, it
    would make stale every timing that is there. It comes back when something has to be made from it.
    """
    of_run = ("render_report", "render_pages", "describe_run", "audit", "audit_published", "aggregate")
    once = [str(path) for name in (*of_run, "count_flops", "measure_peaks") for path in getattr(rules, name).output]
    plots = [str(path) for path in rules.draw_plots.output]
    records = [*(f"timings/{timing}" for timing in ORDER), *(f"accuracy/{cell}" for cell in EVALUATED)]
    return [*once, *expand(plots, model=AXES["model"]), *(f"artifacts/{record}.json" for record in records)]


def own_checkpoint(wildcards):
    """Return the user's checkpoint for a model and resolution where there is one."""
    return checkpoints.find(config["model"]["weights"], **wildcards, described=DESCRIBED.format(**wildcards)) or []


def trained_weights(wildcards):
    """Return the weights that are trained on digits for whoever has neither images nor a checkpoint."""
    needed = DATA == "digits" and not own_checkpoint(wildcards)
    return f"artifacts/weights/digits-{wildcards.model}.pth" if needed else []


def training(wildcards):
    """Return the description of that training."""
    return [path.replace(".pth", ".json") for path in [trained_weights(wildcards)] if path]


def published_tables(wildcards):
    """Return the files of published tables; a function, for the reason of `digest`."""
    return TABLES


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


def artifact_patterns(wildcards):
    """Return what a cell's backend loads by model, backend and precision, as JSON: {resolution} and {batch_size} open.

    Which of them it is only the table says; they are no inputs, because what was timed is never made again for this.
    """
    found = {}
    for one in grid.cells({**AXES, "resolution": ["{resolution}"], "batch_size": ["{batch_size}"]}):
        axes = {axis: getattr(one, axis) for axis in grid.AXES}
        found[f"{one.model}-{one.backend}-{one.precision}"] = artifact(Wildcards(fromdict=axes))["artifact"]
    return json.dumps(found)


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
    return json.dumps({name: config["timing"][name] for name in TIMING_OPTIONS})


def exempt(rule):
    """Return the library files that make nothing of a rule's stale, by unaffected.yaml."""
    return {f"speedgrid/{one['file']}.py" for one in UNAFFECTED if one["in"] == "all" or rule in one["in"]}


def with_imports(path):
    """Return a library file and those that it imports, without those that make no timing stale."""
    return {path, *sources.closure(path)} - exempt("time_cell")


TIMING_CODE = code_files("time_cell")
# What a backend's numbers depend on; a thousand jobs ask for it.
BACKEND_CODE = {
    name: sorted(with_imports(f"speedgrid/backends/{backends.VARIANTS[name].module}.py")) for name in AXES["backend"]
}


@cache
def probe_checksums(names):
    """Return what probes measure with, with checksums: their columns and sentences make no timing stale."""
    paths = {name: f"speedgrid/measure/probes/{name}.py" for name in names}
    others = {one for path in paths.values() for one in sources.closure_from(path, "measure")}
    own = [sources.checksum_of(path, "measure") for path in paths.values()]
    return own + [sources.checksum(path) for path in sorted(others - exempt("time_cell") - set(TIMING_CODE))]


@cache
def stale_when(backend, names):
    """Return what makes a timing of a backend with these probes stale, beside what it is asked and every timing runs.

    Versions, where requests are measured those of preprocessing too; the variant's settings; the format of records;
    the code of its backend and of its probes.
    """
    return [
        f"{FINGERPRINTS[backend]}{PREPROCESSING if 'request' in names else ''}",
        json.dumps(backends.settings(backend)),
        f"records of format {record.FORMAT}",
        *(sources.checksum(path) for path in BACKEND_CODE[backend] if path not in TIMING_CODE),
        *probe_checksums(names),
    ]


@per_job
def timing_stale_when(wildcards):
    """Return what makes a timing stale."""
    return stale_when(wildcards.backend, tuple(asked_probes(wildcards)))


@per_job
def accuracy_stale_when(wildcards):
    """Return what makes an evaluation stale: versions, the settings of the variant and the code of its backend."""
    return [
        FINGERPRINTS[wildcards.backend],
        json.dumps(backends.settings(wildcards.backend)),
        *map(sources.checksum, BACKEND_CODE[wildcards.backend]),
    ]
