"""A cache folder, a home and a user's name for Snakemake, where the machine gives its user none.

Snakemake makes a folder below the user's home and asks for the user's name before it reads a line of the Snakefile, and
ends with a traceback where it cannot: in a container that runs with any number for a user, on a node whose homes are
read-only. So this must be there before Snakemake is. Run by hand (`python envs/homeless.py`, as `make setup` does) it
copies itself beside the packages of that Python, with a path configuration file (site, of Python's standard library)
that has every Python of theirs run it at its start. It changes Snakemake's processes alone, and these only where they
would fail.
"""

import os  # Python itself has imported these two by then: others would be paid for at its every start
import sys

NAME = "speedgrid_homeless"


def starts_snakemake() -> bool:
    """Say whether this process was started to be Snakemake: `snakemake`, `python -m snakemake`."""
    return any(os.path.basename(word) == "snakemake" for word in sys.orig_argv[:4])


def can_be_made(folder: str) -> bool:
    """Say whether a folder is there and can be written to, or can be made."""
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def provide() -> None:
    """Set for this process, and those that it starts, what Snakemake would miss."""
    import getpass

    import platformdirs

    beside = os.path.dirname(sys.prefix)  # the workflow's folder, if this is its .venv
    root = beside if os.path.isfile(os.path.join(beside, "Snakefile")) else os.getcwd()
    try:
        cache = platformdirs.user_cache_dir("snakemake", "snakemake")
    except RuntimeError:  # neither HOME nor an entry
        os.environ["HOME"] = os.path.join(root, ".snakemake", "home")
    else:
        if not can_be_made(os.path.join(cache, "snakemake", "source-cache", "snakemake-runtime-cache")):
            os.environ["XDG_CACHE_HOME"] = os.path.join(root, ".snakemake", "caches")
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError since Python 3.13
        os.environ["LOGNAME"] = "speedgrid"


def install() -> None:
    """Have this installation's Python run this file at its every start."""
    import py_compile
    import sysconfig
    from pathlib import Path

    packages = Path(sysconfig.get_path("purelib"))
    (packages / f"{NAME}.py").write_bytes(Path(__file__).read_bytes())
    py_compile.compile(str(packages / f"{NAME}.py"))  # now, as whoever runs it may not write there
    (packages / f"{NAME}.pth").write_text(f"import {NAME}\n", encoding="utf-8")


if __name__ == "__main__":
    install()
elif starts_snakemake():
    provide()
