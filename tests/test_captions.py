"""Captions of Snakemake's report: reStructuredText, in which Snakemake's own Jinja escapes nothing."""

import re
from pathlib import Path

import pytest
from docutils.core import publish_parts
from hostile import HOSTILE

from speedgrid import settings
from speedgrid.settings import SettingsError

CAPTIONS = sorted((Path(__file__).parent.parent / "templates" / "captions").glob("*.rst"))
# What captions may say of a run: words that the schema has, or that no mark-up fits into.
SAFE = {
    "snakemake.wildcards.model",
    'snakemake.config["report"]["reference"]["backend"]',
    'snakemake.config["report"]["reference"]["precision"]',
}


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_a_caption_says_of_a_run_what_can_hold_no_mark_up(path):
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\{\{ (.*?) \}\}", text)) <= SAFE
    assert "{%" not in text
    # A name of a section that is not in this caption is Snakemake's.
    body = publish_parts(re.sub(r"\{\{.*?\}\}", "word", text), writer="html", settings_overrides={"report_level": 5})
    assert set(re.findall(r"<(\w+)", body["fragment"])) <= {"p", "ul", "li", "strong", "a", "tt", "span"}


@pytest.mark.parametrize("text", [text for text in HOSTILE if not re.fullmatch(r"\w+", text)])
def test_the_schema_refuses_mark_up_in_what_captions_say(text):
    for config in ({"models": [text]}, {"report": {"reference": {"backend": text}}}):
        with pytest.raises(SettingsError):
            settings.complete(config)
