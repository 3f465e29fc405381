"""Text from elsewhere is shown as it is, and is no mark-up, wherever it enters a page."""

import html
import re
from pathlib import Path

import cmarkgfm
import markupsafe
import pytest
from cmarkgfm import cmark
from hostile import HOSTILE
from hypothesis import example, given
from hypothesis import strategies as st
from reading import read

from speedgrid.text import markup
from speedgrid.text.markup import Markdown, code, code_in_cell, fenced

TEMPLATES = Path(__file__).parent.parent / "templates"
HONEST = [
    "Intel(R) Xeon(R) Processor (32 CPUs)",
    "AMD EPYC 7763 64-Core Processor, 2.45 GHz",
    "2.11.0+cu130",
    "torch_tensorrt",
    "NVIDIA GeForce RTX 4060 Laptop GPU",
    "nvidia-cudnn-cu13",
    "8bc0135b0e",
    "its interval reaches from -18% to +29%: 1.8, 2 ms",
    "R&D, 3 < 4".replace("<", ">"),
    "-1.0",
    "config/published/resnet18-fp16-batch33.csv",
    "{'use_tf32': '1'}",
    "2026-11-25T03:33:07+00:00",
    "Linux 6.18.44-fc-v657-gpu, Python 3.12.3",
    "50 %",
    'it is "so", isn\'t it?',
    "1.5 GB",
    "ResNet-18 (1)",
]
# Letters of mark-up oftener than others.
TEXTS = st.text(
    st.one_of(st.sampled_from("`|*_[]()<>!#&;$~\\{}%:=+-.1a \n\r\t\u2028@/wh\"'"), st.characters()), max_size=40
)


def shown(text):
    """Return what a reader should see of a text: one line, without what cannot be seen."""
    line = "".join(" " if ord(one) < 32 or 127 <= ord(one) < 160 or one in "\u2028\u2029" else one for one in text)
    line = "".join(
        "\ufffd"
        if one in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" or 0xD800 <= ord(one) < 0xE000
        else one
        for one in line
    )
    return re.sub(" +", " ", line).strip()


def same(text, other):
    return re.sub(r"\s+", " ", text).strip() == re.sub(r"\s+", " ", other).strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_shown_and_is_no_element(text):
    found = read(Markdown.escape(text))
    assert found.elements == []
    assert same(found.lines[0], shown(text))


@pytest.mark.parametrize("text", HONEST)
def test_an_honest_text_stays_as_it_is(text):
    assert Markdown.escape(text) == text
    assert code(text) == f"`{text}`"


@given(TEXTS)
@example("\\`")
@example("&amp")
def test_any_text_is_shown_and_is_no_element_alone_and_where_text_may_stand(text):
    escaped = Markdown.escape(text)
    for before, after, elements in (
        ("", "", []),
        ("* ", "", ["item"]),
        ("* ", ", version", ["item"]),
        ("## ", " and cells", ["heading"]),
        ("**At** ", ", (and so on).", ["emphasis", "emphasis"]),
        ("It is ", ".", []),
        ("| ", " | x |", ["row of 2"]),
    ):
        found = read(f"{before}{escaped}{after}")
        assert found.elements == elements, (before, after)
        plain = read(f"{before}{after}").lines
        assert len(found.lines) == max(len(plain), 1)
        assert same(shown(text), "") or shown(text)[:1] in found.lines[0]
    assert same(read(escaped).lines[0], shown(text))


@given(TEXTS)
def test_any_text_is_code_whole_in_a_line_and_in_a_cell(text):
    for before, after, elements, made in (
        ("* ", " is it.", ["item"], code),
        ("| ", " | x |", ["row of 2"], code_in_cell),
    ):
        found = read(f"{before}{made(text)}{after}")
        assert found.elements == [*elements, *(["code"] if shown(text) else [])]
        assert same(found.lines[0], f"{shown(text)}{after}" if "|" not in after else shown(text))


@given(TEXTS, st.sampled_from(["", "yaml"]))
def test_any_text_stays_in_its_block(text, language):
    found = read(f"before\n\n{fenced(text, language)}\n\n# after")
    assert found.elements == ["block of code", "heading"]
    assert found.lines[-1] == "after"


@given(TEXTS, TEXTS)
def test_what_is_put_into_a_sentence_is_escaped_once_and_between_backticks_is_code(one, other):
    made = Markdown("**{a}** and `{b}`, {c}").format(a=one, b=other, c=Markdown("_{}_").format(one))
    assert made == f"**{Markdown.escape(one)}** and {code(other)}, _{Markdown.escape(one)}_"
    assert made == Markdown("**%(a)s** and `%(b)s`, %(c)s") % {
        "a": one,
        "b": other,
        "c": Markdown("_%s_") % one,
    }
    assert Markdown(", ").join([one, Markdown("*"), other]) == f"{Markdown.escape(one)}, *, {Markdown.escape(other)}"
    assert one + Markdown("*") + other == f"{Markdown.escape(one)}*{Markdown.escape(other)}"


def test_a_sentence_that_is_put_together_in_another_way_is_data():
    made = f"{Markdown('**bold**')} and {Markdown('`code`')}"
    assert read(Markdown.escape(made)).elements == []


def test_what_is_markdown_is_no_html():
    assert markupsafe.escape(Markdown("<b>**x**</b>")) == "&lt;b&gt;**x**&lt;/b&gt;"


@pytest.mark.parametrize(
    "text", ["https://www.example.org/a-b/c_d.html?x=1&y=2", "http://example.org", "https://example.org/#part"]
)
def test_an_address_stays_one(text):
    assert markup.address(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "https://e.org/)[x](y",
        "https://e.org/ <b>",
        "data:text/html,x",
        "https://e.org/_a_",
        "HTTP",
    ],
)
def test_what_is_no_plain_address_is_escaped(text):
    assert markup.address(text) == Markdown.escape(text)
    assert read(markup.address(text)).elements == []


def test_no_template_writes_code_of_data_by_itself():
    # It would be escaped as a text is, and its escapes shown; within `trans` what stands between backticks is code.
    for path in TEMPLATES.rglob("*.md.j2"):
        text = re.sub(r"\{%\+? trans.*?endtrans %\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert "`{{" not in text, path.name


# As GitHub reads them; what it makes of pages beyond this is to take elements away.
IN_PAGES = (("", ""), ("* ", ", version"), ("It is ", "."), ("(", ")"), ("| a |\n| --- |\n| ", " |"))
UNSAFE = cmark.Options.CMARK_OPT_UNSAFE  # tags are not taken away: there must be none
LINKED = re.compile(r"<(?!/?(?:p|ul|li|table|thead|tbody|tr|t[hd])>|!-- -->)[^>]*>")
PIECES = re.findall(
    r"\S+",
    r"me www. wWw. http https FTP : // @ @@ evil.example x.y mailto: xmpp: . - _ / & + 1 # \ < > ; é &#64; &commat; "
    "&colon; ( ) *",
)
ADDRESSES = st.lists(st.sampled_from([*PIECES, " "]), max_size=9).map("".join)


@given(ADDRESSES | TEXTS)
@example("me@evil.example")
@example("a@@b.c and www..é or ftp@-x.y")
@example("&#64;a+b@1.2")
@example("a@b:c://d@e.f")
def test_githubs_own_reader_makes_no_link_and_no_other_element_of_any_text(text):
    for before, after in IN_PAGES:
        page = cmarkgfm.github_flavored_markdown_to_html(f"{before}{Markdown.escape(text)}{after}\n", UNSAFE)
        assert LINKED.findall(page) == [], page
        seen = html.unescape(re.sub("<[^>]*>", "", page))
        assert same(shown(text), "") or shown(text) in re.sub(r"\s+", " ", seen)
