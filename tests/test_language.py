"""Every text of a report has its translation, with the same figures in it."""

import re
from collections import Counter

import pytest
from builders import make_record, make_records, make_refusal, write_run

from speedgrid import settings
from speedgrid.report import markdown as report
from speedgrid.text import language
from speedgrid.text.language import ROOT, _, ngettext, speaking
from speedgrid.text.words import number

TRANSLATED = [code for code in language.codes() if code != language.SOURCE]
TEMPLATE = ROOT / "templates" / "report.md.j2"
PLACEHOLDER = re.compile(r"\{\w*(?::[^}]*)?\}|%\(\w+\)s|%%")


@pytest.fixture(scope="module")
def texts():
    """Return the messages of this version that have an identity, by it."""
    return {message.id: message for message in language.extract() if message.id}


def test_the_texts_are_found_in_python_and_in_templates(texts):
    assert "Its price: {parts}." in texts
    assert "What to deploy at each resolution:" in texts
    assert any(isinstance(key, tuple) for key in texts)
    assert len(texts) > 150


def test_the_languages_of_the_schema_are_those_that_have_a_catalogue():
    known = settings.read_schema()["properties"]["report"]["properties"]["language"]["enum"]
    assert known == language.codes()
    assert TRANSLATED == ["ru"]


@pytest.mark.parametrize("code", TRANSLATED)
def test_no_translation_is_missing_and_none_is_left_over(code, texts):
    known = {message.id: message for message in language.read(code) if message.id}
    assert set(known) == set(texts), f"run `python -m scripts.update_language {code}`, then translate what is empty"
    assert [key for key, message in known.items() if message.fuzzy or not all(language.forms(message))] == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_has_the_placeholders_of_its_text(code):
    for message in language.read(code):
        if message.id:
            wanted = (
                [set(PLACEHOLDER.findall(one)) for one in (message.id, *language.forms(message)) if one]
                if (isinstance(message.id, str))
                else [set(PLACEHOLDER.findall(one)) for one in (message.id[1], *language.forms(message))]
            )
            # A percent sign may become a word; a value may not be lost, nor invented.
            assert len({frozenset(one - {"%%"}) for one in wanted}) == 1, message.id


def test_without_a_language_a_text_is_itself():
    assert _("Its price: {parts}.") == "Its price: {parts}."
    with speaking("ru"):
        assert _("Its price: {parts}.") == "Цена: {parts}."
        with speaking("en"):
            assert _("Its price: {parts}.") == "Its price: {parts}."
    assert _("Its price: {parts}.") == "Its price: {parts}."


@pytest.mark.parametrize(("count", "form"), [(1, "ячейка"), (3, "ячейки"), (5, "ячеек"), (21, "ячейка"), (12, "ячеек")])
def test_numbers_have_the_forms_that_a_language_gives_them(count, form):
    with speaking("ru"):
        text = ngettext("%(count)s cell is `%(status)s`.", "%(count)s cells are `%(status)s`.", count)
    assert text % {"count": count, "status": "ok"} == f"{count} {form}: `ok`."


def test_a_language_without_a_catalogue_is_named():
    with pytest.raises(ValueError, match="no catalogue for language 'xx'; there are en, ru"):
        language.translations("xx")


def reports(folder, records) -> dict[str, str]:
    """Return the report of the same run in every language."""
    table, run = write_run(folder, records)
    found = {}
    for code in language.codes():
        run["config"]["report"]["language"] = code
        found[code] = report.markdown(table, run, TEMPLATE)
    return found


RUNS = {
    "all measured": make_records(),
    "some failed": [
        *make_records()[1:],
        make_refusal("resnet18-pytorch-fp32-r64-b1", "failed", "boom"),
        make_record("resnet18-pytorch-tf32-r64-b1", [3.0] * 50, ran="fp32"),
    ],
    "nothing measured": [make_refusal("resnet18-pytorch-fp32-r64-b1", "unavailable", "no GPU")],
}


@pytest.mark.parametrize("code", TRANSLATED)
@pytest.mark.parametrize("records", RUNS.values(), ids=RUNS)
def test_the_report_has_the_same_figures_in_every_language(tmp_path, code, records):
    written = reports(tmp_path, records)
    written["ru"] = written["ru"].replace("\u00a0", ",")  # between thousands
    numbers = {
        one: Counter(re.findall(r"\d+(?:[.,]\d+)*", re.sub(r"(rendered|составлен) [^;.]+|language: ..", "", text)))
        for one, text in written.items()
    }
    assert numbers[code] == numbers["en"]


def test_thousands_stand_apart_by_a_space_where_a_comma_would_be_a_decimal_mark():
    assert number(1234.5) == "1,230"
    with speaking("ru"):
        assert number(1234.5) == "1\u00a0230"


def test_a_russian_report_has_no_english_sentences(tmp_path):
    text = reports(tmp_path, RUNS["some failed"])["ru"]
    prose = re.sub(r"```.*?```|`[^`]*`|^\|.*$", "", text, flags=re.DOTALL | re.MULTILINE)
    english = re.compile(r"\b(the|is|are|of|and|was|with|that|each|nothing|cells?)\b")
    assert [line for line in prose.splitlines() if english.search(line)] == []
