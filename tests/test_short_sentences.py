"""Sentences of a report that can be read at once: none of more than 30 words, in any language."""

from pathlib import Path

import pytest
from builders import write_run
from sentences import longest, sentences
from test_golden import RECORDS

from speedgrid.report import markdown as report
from speedgrid.text import language

ROOT = Path(__file__).parent.parent
COMMITTED = [ROOT / "tests/golden/report.md", *sorted(ROOT.glob("examples/*/report/report.md"))]


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sentence_of_a_committed_report_has_more_than_30_words(path):
    text = path.read_text()
    assert len(sentences(text)) > 100
    assert longest(text) == []


@pytest.mark.parametrize("code", [one for one in language.codes() if one != language.SOURCE])
def test_no_sentence_of_a_translated_report_has_more_than_30_words(tmp_path, code):
    table, run = write_run(tmp_path, RECORDS)
    run["config"]["report"]["language"] = code
    assert longest(report.markdown(table, run, ROOT / "templates" / "report.md.j2")) == []


def test_a_long_sentence_is_found_wherever_it_stands():
    words = " ".join(["word"] * 31)
    for text in (words, f"* {words}.", f"Short. {words}", f"| cell | {words} |", f"## {words}", f"[{words}](x)"):
        assert len(longest(text)) == 1, text
    short = " ".join(["word"] * 30)
    for text in (f"{short}. {short}", f"**{short}.** {short}", f"| {short} | {short}; {short} |", f"```\n{words}\n```"):
        assert longest(text) == [], text
