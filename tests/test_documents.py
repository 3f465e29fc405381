"""The documents for those who carry on: what they name is there, and nothing that is there is left out."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "config/README.md",
    *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]


def test_every_room_is_described_and_each_that_is_described_is_there():
    rooms = {
        path.stem
        for path in (ROOT / "speedgrid").iterdir()
        if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    table = ARCHITECTURE.split("## One cell's way")[0]
    described = {
        name for row in re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE) for name in re.findall("`(.+?)`", row)
    }
    assert described == rooms


def test_the_rooms_are_in_the_order_of_their_layers():
    from test_layers import DEPTH

    table = ARCHITECTURE.split("## One cell's way")[0]
    order = [re.findall("`(.+?)`", row) for row in re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE)]
    depths = [DEPTH[name] for names in order for name in names]
    assert depths == sorted(depths)


def test_every_rule_of_a_cells_way_is_one():
    rules = set(
        re.findall(
            r"^(?:rule|checkpoint) (\w+):", "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk")), re.M
        )
    )
    named = {name for name in re.findall(r"`(\w+)`", ARCHITECTURE.split("## One cell's way")[1]) if "_" in name}
    assert named <= rules
    assert {"prepare_weights", "compute_reference", "time_cell", "render_report"} <= named


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_a_document_links_to_or_runs_is_there(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    folder = (ROOT / name).parent
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    files = re.findall(r"`((?:tests|speedgrid|scripts|rules|config|docs|templates)/[\w./]+\w)`", text)
    scripts = [f"{one.replace('.', '/')}.py" for one in re.findall(r"python -m ([\w.]+)", text)]
    tests = re.findall(r"(tests/test_\w+\.py)", text)
    files = [file for file in files if "NAME" not in file]
    missing = [link for link in links if not (folder / link).exists()]
    missing += [
        file for file in (*files, *scripts, *tests) if not (ROOT / file).exists() and not (ROOT / f"{file}.py").exists()
    ]
    assert missing == []


def test_every_page_is_linked_from_the_readme_or_from_one_that_is():
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page not in reached:
            reached.add(page)
            links = re.findall(r"\]\(([\w./-]+\.md)", page.read_text(encoding="utf-8"))
            left += [(page.parent / link).resolve() for link in links]
    assert set((ROOT / "docs").glob("*.md")) <= reached


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_anchor_that_a_page_links_to_is_a_heading(name):
    text, folder = (ROOT / name).read_text(encoding="utf-8"), (ROOT / name).parent
    for file, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", text):
        headings = re.findall(r"^#+ (.+)$", (folder / file).read_text() if file else text, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", one).strip().lower().replace(" ", "-") for one in headings}
        assert anchor in slugs, f"{file}#{anchor}"


def test_the_licence_and_the_version_are_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (project["license"], project["version"]) == (cited["license"], cited["version"])
    assert (ROOT / "LICENSE").read_text().startswith(f"{project['license']} License")
    latest = re.findall(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert latest == project["version"]
    assert cited["title"] == project["name"]


def test_the_catalogue_is_told_what_the_workflow_has():
    """https://snakemake.github.io/snakemake-workflow-catalog: its mandatory keys, each as it is here."""
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert usage["mandatory-flags"]["flags"] == ""  # the profile is found without one
    assert (ROOT / "profiles/default/profile.yaml").exists()
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert usage["software-stack-deployment"] == {"conda": "conda:" in rules}
    assert usage["report"] == ("report:" in (ROOT / "Snakefile").read_text())
    assert (ROOT / "config/README.md").exists()  # the page that the catalogue shows
