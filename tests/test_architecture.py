"""The shape of the code: who imports whom, and how long anything may be."""

import ast
import json
import re
from pathlib import Path

import pytest
from processes import python

from speedgrid import backends, settings
from speedgrid.report import plots
from speedgrid.text import names

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "speedgrid").rglob("*.py"))
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
RULES = sorted((ROOT / "rules").glob("*.smk"))
BACKENDS = settings.read_schema()["$defs"]["axes"]["properties"]["backend"]["items"]["enum"]


def name_of(path):
    return str(path.relative_to(ROOT))


def imported(path):
    """Yield the top-level name of every package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def code_lines(path):
    return [line for line in path.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]


def test_there_is_something_to_look_at():
    assert len(MODULES) > 20
    assert len(SCRIPTS) > 8
    assert len(RULES) == 9


def test_the_library_does_not_know_snakemake():
    assert [name_of(path) for path in MODULES if "snakemake" in imported(path)] == []


CONTAINERS = {"dict", "list", "tuple", "set", "frozenset"}
HEAVY = {
    "torch",
    "torchvision",
    "pandas",
    "matplotlib",
    "scipy",
    "onnx",
    "onnxruntime",
    "openvino",
    "torch_tensorrt",
    "tensorrt_rtx",
    "tensorrt",
}


def test_what_the_workflow_imports_is_light():
    lines = [line for name in ("common", "stale") for line in (ROOT / f"rules/{name}.smk").read_text().splitlines()]
    imports = [line for line in lines if re.match(r"(from|import) ", line)]
    assert any("speedgrid" in line for line in imports)
    # What they call counts too: the configuration, and the fingerprint and code of each backend.
    calls = [
        "settings.complete({'device': 'cpu'})",
        "probes.all_probes()",
        *(f"fingerprint(environment.describe('cpu'), {name!r})" for name in BACKENDS),
        "print(json.dumps(sorted(sys.modules)))",
    ]
    program = "\n".join([*imports, "import json, sys", *calls])
    assert HEAVY & set(json.loads(python("-c", program).stdout)) == set()


def test_a_module_stays_under_300_lines():
    assert [name_of(path) for path in MODULES if len(path.read_text().splitlines()) >= 300] == []


def test_no_function_is_longer_than_40_lines():
    functions = [
        (path, node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert len(functions) > 500
    assert [f"{name_of(path)}: {one.name}" for path, one in functions if one.end_lineno - one.lineno + 1 > 40] == []


def annotations(tree):
    """Yield every annotation in a module: of parameters, of what is returned, of variables and of fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            yield node.returns


def bare(annotation):
    """Return the names of containers in an annotation that do not say what they contain, in text too."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    nodes = list(ast.walk(annotation))
    told = {id(node.value) for node in nodes if isinstance(node, ast.Subscript)}
    return [node.id for node in nodes if isinstance(node, ast.Name) and node.id in CONTAINERS and id(node) not in told]


def test_every_annotated_container_says_what_it_contains():
    found = [(path, one) for path in MODULES for one in annotations(ast.parse(path.read_text()))]
    assert len(found) > 1500
    assert [f"{name_of(path)}:{one.lineno}: {ast.unparse(one)}" for path, one in found if bare(one)] == []


@pytest.mark.parametrize("text", ["dict", "list[dict]", "tuple | None", "Callable[[dict], str]", "'dict[str, list]'"])
def test_a_container_that_does_not_say_what_it_contains_is_seen(text):
    assert bare(ast.parse(text, mode="eval").body)


@pytest.mark.parametrize("text", ["dict[str, int]", "Mapping[str, list[str]]", "'tuple[int, ...]'", "Description"])
def test_one_that_does_is_not(text):
    assert not bare(ast.parse(text, mode="eval").body)


def public(tree):
    """Return a module's tree and those of its public functions and classes."""
    nodes = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [tree, *(node for node in nodes if not node.name.startswith("_"))]


def test_a_module_and_its_public_functions_and_classes_say_what_they_are():
    nodes = [(path, node) for path in MODULES for node in public(ast.parse(path.read_text()))]
    silent = [(path, node) for path, node in nodes if not ast.get_docstring(node)]
    assert [f"{name_of(path)}: {getattr(node, 'name', 'module')}" for path, node in silent] == []


def test_a_script_has_at_most_20_lines_of_code():
    assert [name_of(path) for path in SCRIPTS if len(code_lines(path)) > 20] == []


def test_the_snakefile_has_at_most_40_lines():
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 40


def test_every_rule_has_a_script_of_its_name():
    rules = {name for path in RULES for name in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)}
    assert len(rules) >= 10
    assert rules - {"deploy"} <= {path.stem for path in SCRIPTS}  # it asks for the folder of each model


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_has_the_functions_and_names_that_every_backend_has(name):
    module = backends.get(name)
    for function in ("available", "unsupported", "load"):
        assert callable(getattr(module, function))
    assert module.PACKAGES
    assert set(module.IMPORTS) <= {"cpu", "cuda"}
    assert module.ARTIFACT in {"weights", "onnx", "torch_tensorrt", "tensorrt", "inductor"}
    assert name in names.NAMES
    assert name in plots.COLOURS


def test_every_plot_has_a_caption():
    captions = {path.stem for path in (ROOT / "templates" / "captions").glob("*.rst")}
    assert set(plots.PLOTS) <= captions
