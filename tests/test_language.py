"""Every text of a report has its translation, with the same figures in it."""

import os
import re
import warnings
from collections import Counter

import pytest
from babel.messages.pofile import write_po
from builders import make_record, make_records, make_refusal, write_run

from speedgrid import settings
from speedgrid.report import markdown as report
from speedgrid.table import columns
from speedgrid.text import language
from speedgrid.text.language import ROOT, _, ngettext, speaking
from speedgrid.text.words import number

TRANSLATED = [code for code in language.codes() if code != language.SOURCE]
TEMPLATE = ROOT / "templates" / "report.md.j2"
PLACEHOLDER = re.compile(r"\{\w*(?::[^}]*)?\}|%\(\w+\)s|%%")


def demand_none(found: list, advice: str) -> None:
    """Warn of what a release must not have, or fail where one is made (`make release`).

    So a sentence can be changed without its translation: until then it is shown in English.
    """
    if os.environ.get("SPEEDGRID_RELEASE") == "1":
        assert found == [], advice
    elif found:
        warnings.warn(f"{advice}: {found}", stacklevel=2)


def test_what_a_release_must_not_have_is_a_warning_before_it(monkeypatch):
    monkeypatch.delenv("SPEEDGRID_RELEASE", raising=False)
    demand_none([], "translate this")
    with pytest.warns(UserWarning, match=r"translate this: \['Its price'\]"):
        demand_none(["Its price"], "translate this")
    monkeypatch.setenv("SPEEDGRID_RELEASE", "1")
    demand_none([], "translate this")
    with pytest.raises(AssertionError, match="translate this"):
        demand_none(["Its price"], "translate this")


@pytest.fixture(scope="module")
def texts():
    """Return the messages of this version that have an identity, by it."""
    return {message.id: message for message in language.extract(columns.TEXTS) if message.id}


def test_the_texts_are_found_in_python_and_in_templates(texts):
    assert "Closest comes {setting}: {misses}." in texts
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
    update = f"run `python -m scripts.update_language {code}`"
    demand_none([key for key in texts if key not in known], f"{update} and translate what is new")
    demand_none([key for key in known if key not in texts], f"{update}, which forgets what no report says")
    waiting = [key for key, message in known.items() if message.fuzzy or not all(language.forms(message))]
    demand_none(waiting, f"translate what is empty in languages/{code}.po")


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_has_the_placeholders_of_its_text(code):
    for message in language.read(code):
        if message.id:
            many = message.id if isinstance(message.id, str) else message.id[1]
            wanted = [set(PLACEHOLDER.findall(one)) for one in (many, *language.forms(message)) if one]
            # A percent sign may become a word; a value may not be lost, nor invented.
            assert len({frozenset(one - {"%%"}) for one in wanted}) == 1, message.id


def test_without_a_language_a_text_is_itself():
    assert _("Closest comes {setting}: {misses}.") == "Closest comes {setting}: {misses}."
    with speaking("ru"):
        assert _("Closest comes {setting}: {misses}.") == "Ближе всего {setting}: {misses}."
        with speaking("en"):
            assert _("Closest comes {setting}: {misses}.") == "Closest comes {setting}: {misses}."
    assert _("Closest comes {setting}: {misses}.") == "Closest comes {setting}: {misses}."


ONE = "**{count} cell ran another precision** than its label says, and is called what it ran."
MANY = "**{count} cells ran another precision** than their label says, and are called what they ran."


@pytest.mark.parametrize(("count", "form"), [(1, "ячейка"), (3, "ячейки"), (5, "ячеек"), (21, "ячейка"), (12, "ячеек")])
def test_numbers_have_the_forms_that_a_language_gives_them(count, form):
    with speaking("ru"):
        text = ngettext(ONE, MANY, count)
    assert text.format(count=count).startswith(f"**{count} {form} ")


@pytest.fixture
def gaps(tmp_path, monkeypatch):
    """Make the Russian catalogue one without three translations: a text is unknown, one is empty, as is a plural."""
    catalogue = language.read("ru")
    catalogue.delete("Closest comes {setting}: {misses}.")
    catalogue["What to deploy at each resolution:"].string = ""
    catalogue[ONE].string = ("", "", "")
    with (tmp_path / "ru.po").open("wb") as file:
        write_po(file, catalogue)
    monkeypatch.setattr(language, "FOLDER", tmp_path)
    language.translations.cache_clear()
    yield
    language.translations.cache_clear()


@pytest.mark.usefixtures("gaps")
def test_a_text_without_a_translation_is_shown_in_english_among_the_others(tmp_path):
    with speaking("ru"):
        assert _("Closest comes {setting}: {misses}.") == "Closest comes {setting}: {misses}."
        assert [ngettext(ONE, MANY, count) for count in (1, 3, 5)] == [ONE, MANY, MANY]
    russian = reports(tmp_path, RUNS["some failed"])["ru"]
    assert "What to deploy at each resolution:" in russian
    assert "составлен" in russian


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
    demand_none([line for line in prose.splitlines() if english.search(line)], "a Russian report has English in it")


@pytest.mark.parametrize("code", TRANSLATED)
def test_what_a_page_says_of_a_column_is_in_its_language(code):
    with speaking(code):
        same = [one.name for one in columns.COLUMNS if _(one.about) == one.about]
    assert same == ["ms_per_image"]  # a formula
