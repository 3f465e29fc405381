"""The library files that a script runs: what it imports, and what that imports. Snakemake sees none of them.

A module that a script reaches in one function alone is followed from there (`closure_from`): of a probe only what its
`measure` reaches is measured with, and its columns, checks and sentences may change without a timing being stale.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache

from speedgrid import ROOT

# A module may also be named in a string, as what is run with -m is.
NAMED = re.compile(r'"(speedgrid(?:\.\w+)+)"')
IMPORT = re.compile(
    r"^[ \t]*(?:from (speedgrid[\w.]*) import (\([^)]*\)|[^\n#]+)|import (speedgrid[\w.]*))", re.MULTILINE
)


@cache
def closure(start: str) -> tuple[str, ...]:
    """Return the library's files that a file runs, itself not among them: paths from the folder of the workflow.

    Imports count wherever they stand. A module whose name is put together, as those of backends and probes are, is
    not followed.
    """
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for path in imported(waiting.pop()):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return tuple(sorted(found - {start}))


@cache
def imported(path: str) -> tuple[str, ...]:
    """Return the library's files that a file imports."""
    return tuple(sorted(set(files_of((ROOT / path).read_text(encoding="utf-8")))))


def files_of(text: str) -> Iterator[str]:
    """Yield the library's files that a piece of code imports, or names in a string."""
    for name in NAMED.findall(text):
        yield from files(name)
    for module, names, other in IMPORT.findall(text):
        names = [name.split(" as ")[0].strip() for name in names.strip("()").split(",")]
        for name in [other] if other else [f"{module}.{name}" for name in names if name]:
            yield from files(name)


@cache
def files(name: str) -> tuple[str, ...]:
    """Return the file of a dotted name of the library, or of the module or package that it is in.

    Packages that are only passed on the way to one of their modules are not among them: they decide nothing.
    """
    parts = name.split(".")
    for place in ("/".join(parts), "/".join(parts[:-1])):
        for path in (f"{place}.py", f"{place}/__init__.py"):
            if (ROOT / path).is_file():
                return (path,)
    return ()


def file_of(module: str) -> str:
    """Return the file of a module of the library by its dotted name. Raises ValueError if there is none."""
    [path] = files(module)
    return path


def reached(path: str, name: str) -> str:
    """Return the source of what one function of a module reaches in it: itself, and every name that it uses there."""
    return _reached((ROOT / path).read_text(encoding="utf-8"), name)


@cache
def _reached(text: str, name: str) -> str:
    defined: dict[str, list[ast.stmt]] = {}
    for node in ast.parse(text).body:
        for one in names_of(node):
            defined.setdefault(one, []).append(node)
    wanted, waiting = set(), [name]
    while waiting:
        one = waiting.pop()
        if one in wanted or one not in defined:
            continue
        wanted.add(one)
        used = [inner for node in defined[one] for inner in ast.walk(node)]
        waiting += [inner.id for inner in used if isinstance(inner, ast.Name)]
    nodes = sorted({node for one in wanted for node in defined[one]}, key=lambda node: node.lineno)
    # Not ast.get_source_segment, which splits the whole text anew for each, and leaves out what decorates a function.
    lines = text.splitlines()
    return "\n".join(line for node in nodes for line in lines[first_line(node) - 1 : node.end_lineno])


def first_line(node: ast.stmt) -> int:
    """Return the number of the line with which a statement begins, that of its first decorator if it has some."""
    return min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])


def names_of(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement at the top of a module gives."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))


@cache
def checksum(path: str) -> str:
    """Return a file with a checksum of what is in it, so that an edit is named where it makes something stale."""
    return f"{path} {digest((ROOT / path).read_bytes())}"


def closure_from(path: str, name: str) -> set[str]:
    """Return the library's files that one function of a file runs, the file itself not among them."""
    direct = set(files_of(reached(path, name)))
    return direct.union(*(closure(one) for one in direct)) - {path}


def checksum_of(path: str, name: str) -> str:
    """Return a file with a checksum of what one function of it reaches there."""
    return f"{path} {digest(reached(path, name).encode())}"


def digest(content: bytes) -> str:
    """Return the first digits of a checksum, enough to tell versions of a file apart."""
    return hashlib.sha256(content).hexdigest()[:12]
