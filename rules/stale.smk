# What makes a job stale beside its inputs, for params: code with all that it imports, versions, settings. No rules here.
import json
from functools import cache
from pathlib import Path

import yaml

from speedgrid import backends, record
from speedgrid.backends.fingerprint import fingerprint
from speedgrid.launcher import sources
from speedgrid.machine import environment
from speedgrid.serving import seen

# Snakemake sees neither drivers nor library versions: as params they make jobs stale.
FINGERPRINTS = {name: fingerprint(MACHINE, name) for name in AXES["backend"]}
PREPROCESSING = environment.versions(("torch", "torchvision"))
UNAFFECTED = yaml.safe_load(Path("rules/unaffected.yaml").read_text(encoding="utf-8"))


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
