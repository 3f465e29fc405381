"""The folder of one machine's run: results of its own, and links to everything else of the workflow's folder."""

import os
from pathlib import Path

from speedgrid.launcher import outputs

FOLDER = "runs"
# What a run writes, which is its own; all else is shared, your data and weights too.
OWN = {"artifacts", "logs", "report", "deploy", "report.html", FOLDER}


def prepare(root: Path, name: str) -> Path:
    """Return the folder runs/`name` below the workflow's, with links to all that a run reads.

    Links that lead nowhere any more are removed, new ones are made; whatever else lies there stays. Raises Unwritable.
    """
    folder = root / FOLDER / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in folder.iterdir():
            if one.is_symlink() and not one.exists():
                one.unlink()
        for one in sorted(root.iterdir()):
            link = folder / one.name
            if one.name not in OWN and not one.name.startswith(".") and not os.path.lexists(link):
                link.symlink_to(Path("..", "..", one.name))
    except OSError as error:
        raise outputs.Unwritable(folder, error.errno or 0) from error
    return folder
