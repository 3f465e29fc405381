"""Keep a whole result in one file: table, raw samples, environment, configuration and report.

The archive is a ZIP file with the paths of a working folder, so that unpacked it is one. speedgrid.comparison reads it
without unpacking.
"""

import zipfile
from pathlib import Path

import yaml

from speedgrid.comparison import load
from speedgrid.comparison.packed import ArchiveError
from speedgrid.launcher.outputs import PART, replacing

SUFFIX = ".speedgrid.zip"
# Of artifacts/, what cannot be made again; engines, weights and ONNX files can, and are large.
KEPT = ("results.csv", "rounds.csv", "run.json", "flops.json", "peaks.json", "decoding.json", "audit.json")


def write(folder: str | Path, name: str) -> Path:
    """Keep the result in `folder` as `name`.speedgrid.zip, whole or not at all, and return its path.

    `config.yaml` in it is the configuration with every default filled in. Raises ArchiveError if the file exists or
    the folder has no samples, and speedgrid.comparison.load.ComparisonError if the result cannot be read.
    """
    folder, path = Path(folder), Path(f"{name.removesuffix(SUFFIX)}{SUFFIX}")
    if path.exists():
        raise ArchiveError(f"{path} is there already; an archive is not overwritten: take another name.")
    artifacts = folder / "artifacts"
    if not (artifacts / "timings").is_dir():
        raise ArchiveError(f"{artifacts / 'timings'} is not there; an archive holds raw samples: measure first.")
    run = load.read(folder).run  # what cannot be read back is not kept
    files = [artifacts / one for one in KEPT if (artifacts / one).is_file()]
    for kind in ("timings", "accuracy", "serving"):
        files += sorted(one for one in (artifacts / kind).glob("*.json") if not one.name.startswith("."))
    report = (one for one in (folder / "report").rglob("*") if one.is_file() and not one.is_symlink())
    files += sorted(one for one in report if not one.parent.name.endswith(PART))  # left half written by a kill
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.yaml", yaml.safe_dump(run["config"], sort_keys=False))
        for one in files:
            archive.write(one, one.relative_to(folder))
    return path
