"""The workflow's own folder: where it must be run from, where its caches are, and how its jobs find its code.

Jobs run where the workflow runs, from a process that is warm already: in a container, or in none, all of them together.
"""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from speedgrid import ROOT, InputError

# Where libraries keep what they compile or look up once; else in the home folder, which may not be there, may not be
# written to, or may be that of another machine.
CACHES = {
    "XDG_CACHE_HOME": "",
    "MPLCONFIGDIR": "matplotlib",
    "TORCH_HOME": "torch",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
    "CUDA_CACHE_PATH": "cuda",
    "HF_HOME": "huggingface",
}


# Set by the image of envs/Containerfile to its name.
IMAGE_VARIABLE = "SPEEDGRID_IMAGE"


class FolderError(InputError):
    """A folder that the workflow cannot be run from; the message names it and what would be right."""


def image() -> str | None:
    """Return the name of the image that this process runs in, for Snakemake's report; None outside."""
    return os.environ.get(IMAGE_VARIABLE) or None


def require(deployed_by: Iterable[object] = ()) -> None:
    """Raise FolderError unless this process works in the workflow's own folder, where its results are.

    deployed_by: what Snakemake was asked to put each job into: an environment or a container. Jobs that the warm
    process runs would not be in it, and the results would say that they were, so that is refused, too.
    """
    if names := sorted(str(one) for one in deployed_by):
        raise FolderError(
            f"--software-deployment-method is {' '.join(names)}, but jobs run where the workflow runs; leave it out "
            "and run all of it in the container or in the environment (docs/containers.md)."
        )
    if not os.path.samefile(ROOT, "."):
        root = shlex.quote(str(ROOT))
        raise FolderError(
            f"the folder {os.getcwd()!r} is not that of speedgrid, in which its files and results are; change to it "
            f"with `cd {root}`, or add `--directory {root}` to the command."
        )


def prepare_environment() -> None:
    """Have this process's children keep their caches in the workflow's folder, and find its code before any other."""
    caches = ROOT / ".snakemake" / "caches"
    for name, folder in CACHES.items():
        os.environ.setdefault(name, str(caches / folder))
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if Path(next(iter(others), "")) != ROOT:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *others])
    os.environ.pop("PYTHONSAFEPATH", None)  # with it Python looks for modules in no folder that it is run from
