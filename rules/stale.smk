# What makes a job stale: files of the user's and of the workflow's own; for params code with all that it imports,
# versions, settings. No rules here.
import json
from functools import cache
from pathlib import Path

from speedgrid import backends, record
from speedgrid.backends.fingerprint import fingerprint
from speedgrid.launcher import sources
from speedgrid.launcher.reading import read_own_yaml
from speedgrid.machine import environment
from speedgrid.serving import seen

# Snakemake sees neither drivers nor library versions: as params they make jobs stale.
FINGERPRINTS = {name: fingerprint(MACHINE, name) for name in AXES["backend"]}
PREPROCESSING = environment.versions(("torch", "torchvision"))
UNAFFECTED = read_own_yaml("rules/unaffected.yaml")


def digest(value):
    """Return a checksum of what a user wrote, for a param: the job reads the text itself from artifacts/config.json.

    Snakemake's report has the params of what is in it, and the names of input files that no function gives, in a script
    of its page, where a text that ends the script begins another.
    """
    return outputs.checksum({"given": value})


def own(path):
    """Return a file of the workflow's own, which must be there, as the user's files must that common.smk looks at.

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


def image_files(wildcards):
    """Return the user's image files of a part, so that a changed one is seen; there are none of other sources."""
    return SOURCE.paths(wildcards.part, IMAGES[wildcards.part]) if hasattr(SOURCE, "paths") else []


def source_files(wildcards):
    """Return the user's files that a model is made of."""
    return models.files(wildcards.model)


def source_stale_when(wildcards):
    """Return what makes a model with a source of its own stale: its entry, and the code of its source."""
    if (entry := ENTRIES.get(wildcards.model)) is None:
        return []
    own_code = f"speedgrid/model/sources/{models.KINDS[models.kind_of(entry)][0]}.py"
    return [digest(entry), sources.checksum(own_code)]


def published_tables(wildcards):
    """Return the files of published tables; a function, for the reason of `digest`."""
    return TABLES


def video_file(wildcards):
    """Return the video whose decoding is measured; a function, for the reason of `digest`."""
    return VIDEO


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
def streams_stale_when(wildcards):
    """Return what makes streams under load stale: what makes an evaluation so, and the format of records."""
    return [*accuracy_stale_when(wildcards), f"records of format {seen.FORMAT}"]


@per_job
def accuracy_stale_when(wildcards):
    """Return what makes an evaluation stale: versions, the settings of the variant and the code of its backend."""
    return [
        FINGERPRINTS[wildcards.backend],
        json.dumps(backends.settings(wildcards.backend)),
        *map(sources.checksum, BACKEND_CODE[wildcards.backend]),
    ]
