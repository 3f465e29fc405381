"""Stand-ins for the CUDA libraries that an installation for a CPU leaves out: `make setup CPU=1` runs this.

PyPI has one build of torch for Linux, which is linked with 3 GB of CUDA libraries: it does not start without them, and
calls none of them where there is no GPU. For each that is absent (envs/without-cuda.txt), a library of the same name is
compiled here, a few kB, with the functions that torch names. One that is called all the same ends the process and says
so. Not needed with the builds of PyTorch's own index, which have no CUDA (docs/containers.md). Run with the Python of
the installation; needs a C compiler and readelf, which comes with one.
"""

import ctypes
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

COMPILER = os.environ.get("CC", "cc")
# Of the driver, which no package has, and what asks for it is loaded only where there is one.
DRIVER = "libcuda.so.1"
BODY = """#include <stdio.h>
#include <stdlib.h>
static int absent(const char *name) {{
    fprintf(stderr, "%s of {library} was called, which was left out: install without CPU=1.\\n", name);
    abort();
}}
"""


def readelf(*arguments: str | Path) -> str:
    """Return what readelf says of a library."""
    return subprocess.run(["readelf", "-W", *arguments], capture_output=True, text=True, check=True).stdout


def absent(libraries: list[Path]) -> set[str]:
    """Return the names of the libraries that these are linked with, and that neither lie in the packages nor here."""
    folders = [libraries[0].parent, *libraries[0].parents[2].glob("nvidia/*/lib")]
    present = {one.name for folder in folders for one in folder.iterdir()}
    needed = {name for one in libraries for name in re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("-d", one))}
    return {name for name in needed - present - {DRIVER} if not loads(name)}


def loads(name: str) -> bool:
    """Say whether the system has a library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def wanted(libraries: list[Path], name: str) -> tuple[list[str], str]:
    """Return the functions that libraries want of one that is absent, and the version that they have, "" for none.

    Functions without a version do not say whose they are: those whose names begin as the library's does.
    """
    stem = re.sub(r"^lib|\.so.*$", "", name)
    versions, functions = set(), set()
    for one in libraries:
        if found := re.search(rf"File: {re.escape(name)} .*\n +0x\w+: +Name: (\S+)", readelf("-V", one)):
            versions.add(found[1])
    [version] = versions or {""}
    for one in libraries:
        for symbol in re.findall(r" UND (\S+)", readelf("--dyn-syms", one)):
            function, _, of_version = symbol.partition("@")
            if of_version == version and (version or function.lower().startswith(stem.lower())):
                functions.add(function)
    return sorted(functions), version


def compile_one(folder: Path, name: str, functions: list[str], version: str) -> None:
    """Compile the stand-in of one library into a folder."""
    lines = [f'int {one}(void) {{ return absent("{one}"); }}' for one in functions]
    with tempfile.TemporaryDirectory() as scratch:
        source, exported = Path(scratch, "stand_in.c"), Path(scratch, "exported")
        source.write_text("\n".join([BODY.format(library=name), *lines, ""]), encoding="utf-8")
        exported.write_text(f"{version} {{ global: *; }};\n", encoding="utf-8")
        script = [f"-Wl,--version-script={exported}"] if version else []
        options = ["-w", "-shared", "-fPIC", "-fno-builtin", f"-Wl,-soname,{name}", *script]
        subprocess.run([COMPILER, *options, "-o", folder / name, source], check=True)


def main() -> None:
    """Make the stand-ins of an installation, and see that torch starts with them."""
    torch = Path(sysconfig.get_path("purelib"), "torch", "lib")
    libraries = sorted(one for one in torch.glob("*.so*") if one.is_file())
    for name in sorted(absent(libraries)) if sys.platform == "linux" and libraries else ():
        compile_one(torch, name, *wanted(libraries, name))
        print(f"{name}: a stand-in, as there is no GPU")
    subprocess.run([sys.executable, "-c", "import torch"], check=True)


if __name__ == "__main__":
    main()
