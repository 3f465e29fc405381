"""The README and the pages that a user reads first: short, in plain words, and true of the workflow."""

import itertools
import re
from pathlib import Path

import onnx_files
import pytest
from PIL import Image
from workflow import Workflow

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Pages that a user reads, which say no word of the project before they explain it.
FIRST = ["README.md", "docs/running.md", "docs/results.md", "docs/questions.md", "docs/configuration.md"]
WORDS = re.compile(r"\b(cells?|sentinels?|twins?|stale)\b", re.IGNORECASE)


def prose(text):
    """Return a page without its blocks, tables that are generated, and names in code."""
    text = re.sub(r"<!-- \w+ table.*?<!-- end of", "", text, flags=re.DOTALL)
    return re.sub(r"`[^`\n]+`", "x", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))


def test_the_readme_is_short_enough_to_be_read():
    assert len(README.splitlines()) <= 110
    lines = [line for line in prose(README).splitlines() if not line.startswith("![")]
    assert max(map(len, lines)) <= 150


@pytest.mark.parametrize("name", FIRST)
def test_a_first_page_says_no_word_of_the_project(name):
    assert WORDS.findall(prose((ROOT / name).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("name", [*FIRST, "docs/numbers.md", "docs/backends.md", "docs/what-runs-again.md"])
def test_no_sentence_of_a_first_page_is_long(name):
    text = prose((ROOT / name).read_text(encoding="utf-8"))
    pieces = re.split(r"(?<=[.:;?])\s|\n\n|\n *[*|#] ?|\|", text)
    assert [piece for piece in pieces if len(piece.split()) > 30] == []


def test_the_picture_of_the_readme_is_the_graph_of_the_rules(tmp_path):
    """Each arrow is a way in the real graph of a GPU's grid, and of what is handed over."""
    [picture] = re.findall(r"```mermaid\n(.*?)```", README, re.DOTALL)
    lines = re.sub(r'\[".*?"\]', "[", picture).splitlines()[1:]
    chains = [re.findall(r"(\w+)(?:\[|$| -->)", line.strip()) for line in lines]
    shown = {pair for chain in chains for pair in itertools.pairwise(chain)}
    assert len(shown) >= 8
    tree = Workflow.fresh(tmp_path / "tree")
    grid = {
        "backend": ["pytorch", "onnxruntime", "torch_tensorrt"],
        "precision": ["fp32"],
        "resolution": [64],
        "batch_size": [1],
    }
    config = tree.write_config("graph.yaml", {"device": "cuda", "grid": {"cuda": grid}})
    graph = tree.plan("all", "deploy", "--rulegraph", "mermaid-js", "--configfile", config).log
    names = dict(re.findall(r"^\s*(id\d+)\[(\w+)\]", graph, re.MULTILINE))
    after = {name: set() for name in names.values()}
    for one, other in re.findall(r"(id\d+) --> (id\d+)", graph):
        after[names[one]].add(names[other])

    def reaches(one, other):
        return other in after[one] or any(reaches(between, other) for between in after[one])

    assert {f"{one} -> {other}" for one, other in shown if not reaches(one, other)} == set()


def test_the_configuration_of_the_readme_can_be_run(tmp_path):
    """Planned in a fresh copy with an ONNX file and photographs, as it stands there."""
    [block] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    tree = Workflow.fresh(tmp_path / "tree")
    (tree / "my.yaml").write_text(block)
    onnx_files.two_heads(tree / "my.onnx")
    for name in ("ape", "cat"):
        (tree / "photos" / name).mkdir(parents=True)
        for number in range(20):
            colour = (number, 7 * number, 90 if name == "ape" else 9)
            Image.new("RGB", (40, 40), colour).save(tree / "photos" / name / f"{number}.png")
    outcome = tree.plan("--configfile", "my.yaml", "--config", "device=cpu")
    assert outcome.jobs["time_cell"] >= 2 * 2 * 2 * 3
