"""Words: a docstring's first sentence, read alone in a hover, names its subject; what a text names is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("speedgrid", "scripts", "benchmarks")
# Words that point at something which a hover does not show: "this" does, and "this machine" does not.
POINTING = r"(that|it|those|them|so many|(this|these|one)(?= (of|that|which|is|are|for|and)\b|[.,;:]))"
WITHOUT_A_SUBJECT = re.compile(
    # "Return what that is", "Return where it is from", "Keep it", "Receive what `send` sent"
    rf"(Return|Yield|Give|Take|Receive|Read|Write|Keep|Make|Name) ({POINTING}|what|where|when|how(?! (many|much)\b))\b"
    # "Say what it is", "Say whether that holds", "Show them"
    rf"|(Say|Tell|Show|Know) ((what|where|when|why|how|whether) )?{POINTING}\b"
    # "It ran in a faster precision", "What a process holds"
    rf"|({POINTING}|what)\b"
    # "for so many steps", wherever
    r"|.*\bso many\b",
    re.IGNORECASE,
)


def first_sentence(docstring):
    """Return the first sentence of a docstring on one line: up to a point that a space or the end follows."""
    return re.split(r"(?<=[.])\s", " ".join(docstring.split("\n\n")[0].split()))[0]


def first_sentences():
    """Return the first sentence of every function and class in the code, by its place."""
    return {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": first_sentence(docstring)
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and (docstring := ast.get_docstring(node))
    }


def test_the_first_sentence_of_a_docstring_names_its_subject():
    found = first_sentences()
    assert len(found) > 400
    assert [f"{place}: {text}" for place, text in found.items() if without_subject(text)] == []


def without_subject(text):
    return bool(WITHOUT_A_SUBJECT.match(text))


@pytest.mark.parametrize(
    "text",
    [
        "Return what that is.",
        "Return one of them.",
        "Return how it looks.",
        "Receive what `send` sent.",
        "Say whether it holds.",
        "What a process holds of its GPU.",
        "It ran in a faster precision than its label.",
        "Let this process see only so many GPUs.",
    ],
)
def test_a_sentence_without_a_subject_is_seen(text):
    assert without_subject(text)


@pytest.mark.parametrize(
    "text",
    [
        "Return the SNR of each image.",
        "Return one row per record, by cell and then by time, with COLUMNS.",
        "Return how many nodes run in int8.",
        "Say whether a model runs at a resolution; tried without arithmetic.",
        "One configuration to measure; the only place that knows how a cell is written in a file name.",
    ],
)
def test_a_sentence_with_a_subject_is_not(text):
    assert not without_subject(text)


def test_the_first_sentence_ends_at_a_point_and_not_in_a_number():
    assert first_sentence("Write 0.8 of\n    it. More.\n\nElse.") == "Write 0.8 of it."


def defined(path):
    """Return the names that a module binds at its top, and those of its classes as CLASS.NAME."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        else:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            names |= {one.id for target in targets if target for one in ast.walk(target) if isinstance(one, ast.Name)}
    return names


def exists(dotted):
    """Say whether `speedgrid.a.b.c` is a package, a module, or a name in one."""
    *parents, last = dotted.split(".")
    path = ROOT.joinpath(*parents, last)
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    folder = ROOT.joinpath(*parents)
    module = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    return module.exists() and last in defined(module)


def test_every_module_and_file_of_the_library_that_a_text_names_is_there():
    texts = [
        *(path for folder in (*FOLDERS, "rules") for path in (ROOT / folder).rglob("*.*")),
        *(path for folder in ("config", "templates", "profiles") for path in (ROOT / folder).rglob("*.*")),
        *(ROOT / name for name in ("README.md", "Snakefile", "Makefile", "pyproject.toml")),
    ]
    lost, seen = [], 0
    for path in texts:
        if path.suffix not in {".py", ".smk", ".md", ".yaml", ".j2", ".rst", ".toml", ""} or path.is_dir():
            continue
        text = path.read_text()
        dotted = set(re.findall(r"(?<![\w./-])speedgrid(?:\.[A-Za-z_]\w*)+(?!\w*[/\w])", text))
        files = set(re.findall(r"(?<![\w.-])speedgrid/[\w/]+\.py\b", text)) - {"speedgrid/backends/NAME.py"}
        seen += len(dotted) + len(files)
        lost += [f"{path.relative_to(ROOT)}: {name}" for name in dotted if not exists(name)]
        lost += [f"{path.relative_to(ROOT)}: {name}" for name in files if not (ROOT / name).exists()]
    assert seen > 200
    assert lost == []
