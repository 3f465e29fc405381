"""Every command, configuration and key that the documentation shows can be given as it stands there."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import yaml
from processes import python, run
from test_documents import DOCUMENTS

from speedgrid import settings

ROOT = Path(__file__).parent.parent
PROGRAMS = ("make", "snakemake", "python -m")


def commands_of(text):
    """Yield every command of a page: each line of a block without a language, and each that stands in a sentence."""
    blocks = re.findall(r"^ *```(?:sh|bash)?\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in [*lines, *inline]:
        if line.startswith(tuple(f"{one} " for one in PROGRAMS)) or line in PROGRAMS:
            yield line


@cache
def help_of(module):
    """Return what a script says of its arguments."""
    return python("-m", module, "--help").stdout


@cache
def snakemake_parser():
    from snakemake.cli import get_argument_parser

    return get_argument_parser()


def targets():
    """Return the names of all rules, and what each of them writes."""
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    return {"all", *re.findall(r"^rule (\w+):", text, re.MULTILINE), *re.findall(r'"(report/[\w.]+)"', text)}


def check_make(words):
    """Have make plan a command, without setting up."""
    run("make", "-n", "-o", ".venv/.installed", *words)


def check_script(words):
    """Hold a script and each of its options against what it says of itself."""
    path = ROOT / f"{words[0].replace('.', '/')}.py"
    assert path.exists() or (path.with_suffix("") / "__main__.py").exists(), words[0]
    options = {word.split("=")[0] for word in words[1:] if word.startswith("--")}
    if options:
        assert [option for option in options if option not in help_of(words[0])] == []


def check_snakemake(words):
    """Parse a command as Snakemake does; its files are there, or are the reader's, and its targets are ones."""
    asked = snakemake_parser().parse_args(words)
    files = [str(path) for path in asked.configfile or ()]
    assert [file for file in files if not (ROOT / file).exists() and Path(file).name != "my.yaml"] == []
    wanted = {*(asked.targets or ()), *(asked.forcerun or ())}
    assert {one for one in wanted if not one.startswith(("artifacts/", "deploy/"))} <= targets()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_of_a_page_can_be_given(name):
    for command in commands_of((ROOT / name).read_text(encoding="utf-8")):
        words = shlex.split(command.replace("...", ""))
        try:
            if words[0] == "make":
                check_make(words[1:])
            elif words[0] == "snakemake":
                check_snakemake(words[1:])
            else:
                check_script(words[2:])
        except (AssertionError, SystemExit) as error:
            pytest.fail(f"{name}: {command}: {error}")


def test_commands_are_found_in_blocks_and_in_sentences():
    text = (
        "Run `make demo` now:\n\n```\nsnakemake -n   # what\npython -m scripts.judge X\n```\n\n```yaml\nmake: no\n```\n"
    )
    assert list(commands_of(text)) == ["snakemake -n", "python -m scripts.judge X", "make demo"]


@pytest.mark.parametrize("words", [["nonsense"], ["report", "-W"]])
def test_a_command_that_cannot_be_given_is_found(words):
    with pytest.raises((AssertionError, SystemExit)):
        check_snakemake(words)
    with pytest.raises(AssertionError):
        check_make(["no-such-target"])
    with pytest.raises(AssertionError):
        check_script(["scripts.judge", "--no-such-option"])


KEYS = settings.read_schema()["properties"]


# Files of other commands, which say themselves what is wrong with one: prices of a fleet, machines of a campaign.
OF_OTHERS = {"price_per_hour", "machines"}


def configurations_of(text):
    """Yield every configuration that a page shows, in blocks and in sentences."""
    for block in re.findall(r"^ *```yaml\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        if not OF_OTHERS & set(found := yaml.safe_load(block)):
            yield found
    for line in re.findall(r"`([a-z_0-9]+: [^`\n]+)`", text):
        if line.split(":")[0] in KEYS:
            yield yaml.safe_load(line)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_configuration_of_a_page_is_one(name):
    for found in configurations_of((ROOT / name).read_text(encoding="utf-8")):
        try:
            settings.complete({"device": "cpu"} | found)
        except settings.SettingsError as error:
            pytest.fail(f"{name}: {found}: {error}")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_key_that_a_page_names_is_one(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    named = {one for one in re.findall(r"`([a-z_]+(?:\.[a-z_0-9]+)+)`", text) if one.split(".")[0] in KEYS}
    known = {row.split("`")[1] for row in settings.document().splitlines()[2:]}
    parents = {one.rsplit(".", depth)[0] for one in known for depth in (1, 2) if one.count(".") >= depth}
    files = {
        one
        for one in named
        if one.endswith((".yaml", ".py", ".json", ".onnx", ".pt2", ".engine", ".ts", ".md", ".html"))
    }
    assert named - files - known - parents == set()
