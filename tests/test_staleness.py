"""What a rule depends on: the closure of its script's imports, less what rules/unaffected.yaml says."""

import ast
import json
from functools import cache

import pytest
import yaml
from test_layers import KNOWN, ROOT, imports
from workflow import Workflow

from speedgrid.backends.variants import VARIANTS
from speedgrid.launcher import sources

UNAFFECTED = yaml.safe_load((ROOT / "rules/unaffected.yaml").read_text())
# What a rule names beside its script: modules whose names its script puts together.
NAMED = {
    "aggregate": "measure/probes",
    "decide_rounds": "measure/probes",
    "audit": "measure/probes",
    "choose_places": "measure/probes",
    "render_report": "measure/probes",
    "hand_over": "measure/probes",
    "draw_plots": "report/plots",
    "prepare_images": "data/noise.py",  # random images, as config/smoke.yaml asks for
}
FILES = {name: str(path.relative_to(ROOT)) for name, path in KNOWN.items()}
# Scripts of no rule: for people, and what they all share.
TOOLS = {
    "__init__",
    "archive",
    "compare",
    "doctor",
    "document_config",
    "fleet",
    "judge",
    "plain_weights",
    "triton",
    "redraw",
    "retry",
    "submit",
    "update_language",
}


def named_in_strings(path):
    """Return the modules that a file names whole in strings, as what is run with -m is."""
    strings = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
    return strings & set(KNOWN)


@cache
def run_by(path):
    """Return the modules that a file imports or names."""
    return imports(path, set(KNOWN)) | named_in_strings(path)


def closure(*starts):
    """Return the files that some files run, by their syntax trees: not by the library's own way of reading them."""
    found, waiting = set(), list(starts)
    while waiting:
        path = waiting.pop()
        for module in run_by(path):
            file = ROOT / FILES[module]
            if FILES[module] not in found:
                found.add(FILES[module])
                waiting.append(file)
    return found


def exempt(rule):
    """Return the files that make nothing of a rule's stale."""
    return {f"speedgrid/{one['file']}.py" for one in UNAFFECTED if one["in"] == "all" or rule in one["in"]}


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """Return by rule the library's files that Snakemake is told of, with checksums as params."""
    tree = Workflow.fresh(tmp_path_factory.mktemp("rules") / "tree")
    (tree / "rules.smk").write_text(
        'include: "Snakefile"\n'
        "import json\n"
        "found = {}\n"
        "for rule in workflow.rules:\n"
        "    named = [one.split()[0] for one in rule.params if isinstance(one, str) and one]\n"
        "    found[rule.name] = sorted({one for one in named if one.startswith('speedgrid/')})\n"
        "open('rules.json', 'w').write(json.dumps(found))\n"
    )
    outcome = tree.snakemake("-n", "-s", "rules.smk", "--configfile", "config/smoke.yaml")
    assert outcome.code == 0, outcome.log
    return {name: set(files) for name, files in json.loads((tree / "rules.json").read_text()).items()}


def test_each_rule_lists_what_its_script_runs_but_for_exceptions(listed):
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")} - TOOLS
    assert set(listed) - {"all", "deploy"} == scripts  # both ask for files of other rules
    for rule in scripts:
        own = [ROOT / "scripts" / f"{rule}.py"]
        named = ROOT / "speedgrid" / NAMED.get(rule, "-")
        more = [named] if named.suffix else sorted(named.glob("*.py"))
        wanted = closure(*own, *more) | {str(path.relative_to(ROOT)) for path in more}
        assert listed[rule] == wanted - exempt(rule), rule


def test_every_exception_has_a_reason_and_is_one():
    for one in UNAFFECTED:
        assert len(one["because"].split()) > 4, one
        rules = [path.stem for path in (ROOT / "scripts").glob("*.py")] if one["in"] == "all" else one["in"]
        starts = [
            [ROOT / "scripts" / f"{rule}.py", *(ROOT / "speedgrid" / NAMED.get(rule, "-")).glob("*.py")]
            for rule in rules
        ]
        held = [f"speedgrid/{one['file']}.py" in closure(*start) for start in starts]
        assert any(held) if one["in"] == "all" else all(held), one


def test_the_closure_of_every_backend_is_what_its_module_runs():
    for module in {variant.module for variant in VARIANTS.values()}:
        path = f"speedgrid/backends/{module}.py"
        assert set(sources.closure(path)) == closure(ROOT / path) - {path}, module


def test_of_a_probe_only_what_measures_counts(tmp_path, monkeypatch):
    probe = """
import json
from speedgrid.evidence import intervals
from speedgrid.measure import energy

LIMIT = 1
COUNT = 2
WORDS = {name: name for name in ("measure", "COUNT")}

def measure(session, context):
    return helper(session) + COUNT

def helper(session):
    return energy.per_call(session)

def columns(records, row):
    return intervals.compare(LIMIT, WORDS)
"""
    (tmp_path / "speedgrid").mkdir()
    for name in ("measure", "evidence"):
        (tmp_path / "speedgrid" / name).mkdir()
    (tmp_path / "speedgrid/measure/toy.py").write_text(probe)
    (tmp_path / "speedgrid/measure/energy.py").write_text("from speedgrid.measure import timing\n")
    (tmp_path / "speedgrid/measure/timing.py").write_text("LIMIT = 1\n")
    (tmp_path / "speedgrid/evidence/intervals.py").write_text("LIMIT = 1\n")
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    for one in (sources.closure, sources.imported, sources.files, sources.checksum):
        one.cache_clear()
    try:
        found = sources.closure_from("speedgrid/measure/toy.py", "measure")
        assert found == {"speedgrid/measure/energy.py", "speedgrid/measure/timing.py"}
        reached = sources.reached("speedgrid/measure/toy.py", "measure")
        assert "def helper" in reached
        assert "COUNT = 2" in reached
        assert "LIMIT" not in reached
        assert "WORDS" not in reached
        before = sources.checksum_of("speedgrid/measure/toy.py", "measure")
        edits = (("LIMIT = 1", "LIMIT = 3", False), ("COUNT = 2", "COUNT = 3", True), ("+ COUNT", "- COUNT", True))
        for old, new, stale in edits:
            (tmp_path / "speedgrid/measure/toy.py").write_text(probe.replace(old, new))
            assert (sources.checksum_of("speedgrid/measure/toy.py", "measure") != before) is stale, new
    finally:
        for one in (sources.closure, sources.imported, sources.files, sources.checksum):
            one.cache_clear()


def test_a_decorator_is_part_of_what_a_function_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    (tmp_path / "toy.py").write_text("from functools import cache\n\n\n@cache\ndef measure():\n    return 1\n")
    assert "@cache" in sources.reached("toy.py", "measure")


# Packages whose modules are found by names that are put together; the rules name those that a job depends on.
PUT_TOGETHER = ("speedgrid.measure.probes", "speedgrid.report.plots", "speedgrid.model.sources")


def test_every_module_is_reached_by_a_script_or_by_the_rules():
    by_name = {f"speedgrid.backends.{variant.module}" for variant in VARIANTS.values()}
    by_name |= {name for name in KNOWN if name.startswith(PUT_TOGETHER)}
    rules = {file for path in (ROOT / "rules").glob("*.smk") for file in sources.files_of(path.read_text())}
    starts = [*(ROOT / "scripts").glob("*.py"), *(KNOWN[name] for name in by_name), *(ROOT / path for path in rules)]
    reached = closure(*starts) | {FILES[name] for name in by_name} | rules
    # The launcher is the workflow's own, and parity by task has no rule yet.
    apart = ("speedgrid.launcher", "speedgrid.evidence.tasks")
    modules = {name for name in KNOWN if not name.startswith(apart) and "def " in KNOWN[name].read_text()}
    assert {FILES[name] for name in modules} - reached == set()
