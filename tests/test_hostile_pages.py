"""Every field that a user, a file or another machine can fill, on every page: no page has an element for it."""

import csv
import itertools
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from builders import FLOP, LATENCIES, make_evaluation, make_record, make_refusal, write_run
from hostile import HOSTILE
from reading import read
from results import write_result

from speedgrid.comparison import cells, load
from speedgrid.comparison import report as comparison
from speedgrid.fleet import machines, page, ranking
from speedgrid.fleet.wishes import Wishes
from speedgrid.launcher.outputs import write_json
from speedgrid.published.verdict import audit_all
from speedgrid.report import explorer, results_page
from speedgrid.report import markdown as report

TEMPLATES = Path(__file__).parent.parent / "templates"
# Of a description, what a schema or this program fills from words of its own.
OWN = {"language", "reference", "device", "status", "precision", "observed", "rounds"}
WITHHELD = "resnet18-onnxruntime-fp32-r64-b8"


def plain(number):
    return f"word{number}"


def words(offset, kind):
    """Yield texts for one field after the other: plain words, or hostile ones that begin at an offset."""
    for number in itertools.count():
        yield plain(number) if kind == "plain" else f"{HOSTILE[(offset + 7 * number) % len(HOSTILE)]}"


def cell_text(word):
    """Return the next text as a table can hold it: no halves of characters."""
    return next(word).encode(errors="replace").decode()


def filled(value, word, key=""):
    """Return a description with each of its texts replaced, and names of packages and backends as well."""
    if isinstance(value, dict):
        named = key in ("packages", "details", "commands")
        return {(next(word) if named else name): filled(one, word, name) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, word, key) for one in value]
    return next(word) if isinstance(value, str) and key not in OWN else value


def a_run(folder, word):
    """Return (table, run) whose every text is another one; its own words are where a schema would have them."""
    records = {name: make_record(name, [ms, 1.1 * ms] * 30) for name, ms in LATENCIES.items()}
    records[WITHHELD] = make_refusal(WITHHELD, "failed", "its reason")
    folder.mkdir()
    evaluations = [make_evaluation(name) for name in LATENCIES if name.endswith("r64-b1")]
    table, run = write_run(folder, list(records.values()), evaluations=evaluations)
    run = json.loads(json.dumps(run))
    run["machine"] |= {"packages": {"torch": "2.14"}, "commit": "abc"}
    run["details"] = {"pytorch": {"version": "2", "options": {"a": ["b", "c"]}, "names of kernels": "d"}}
    run["peaks"]["data_sheet_source"] = "its data sheet"
    for one in run["weights"][:1]:
        one.update(own=True, trained=None)
    run["accuracy"]["images"] |= {"source": "a folder", "images_in_folder": 500}
    run["accuracy"]["missing"] = [
        {"model": "m", "backend": "b", "precision": "fp32", "status": "failed", "reason": "its reason"}
    ]
    names = {"resnet18": cell_text(word), "onnxruntime": cell_text(word)}
    models = run["config"]["models"]
    kept = {key: run["config"][key] for key in ("grid", "report")}
    run = {key: filled(one, word, key) for key, one in run.items() if key not in ("arithmetic", "accuracy")} | {
        "arithmetic": {names["resnet18"]: run["arithmetic"]["resnet18"]},
        "accuracy": filled(run["accuracy"] | {"models": {}}, word)
        | {"models": {names["resnet18"]: run["accuracy"]["models"]["resnet18"]}},
    }
    run["config"] |= kept | {"models": [names[one] for one in models]}
    for one in run["weights"]:
        one["model"] = names["resnet18"]
    table["model"], table["backend"] = table.model.replace(names), table.backend.replace(names)
    table["reason"] = table.reason.where(table.reason.isna(), cell_text(word))
    for column in ("caveats", "throttled", "kernels", "limiter"):
        texts = pd.Series([cell_text(word) for _ in table.index], table.index, dtype=object)
        table[column] = texts.where(table.latency_ms.notna())
    table.loc[table.index[1], "status"], table.loc[table.index[1], "reason"] = "unstable", cell_text(word)
    return table, run


def published(folder, word):
    """Return the verdicts on a table whose headers, cells, names and description are all filled in."""
    name = next(word).replace("/", "-").replace("\0", "")[:40].encode(errors="replace").decode()
    path = folder / f"a{name}.csv"
    about = {"title": next(word), "source": next(word), "origin": next(word), "device": next(word)}

    # A file with a byte of zero is refused as a whole.
    def text():
        return next(word).replace("\0", "")

    with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
        rows = csv.writer(file)
        rows.writerow(["backend", "precision", "resolution", "batch", "FPS", "ms/image", f"x {text()}"])
        for size in (1, 2, 4):
            rows.writerow([text(), "fp32", 64, size, 100, 7 + size, text()])
        rows.writerow([text(), text(), 64, 8, 100, f"word {text()}", text()])
    flops = {"resnet18": {str(size): {"flop": flop} for size, flop in FLOP.items()}}
    entries = [{"file": str(path)} | about, {"file": str(path), "title": next(word)}]
    found = audit_all(entries, "resnet18", flops)
    for one, title in zip(found, [next(word), next(word)], strict=True):
        one["file"] = title
    return found


class Elements(HTMLParser):
    """The elements of a page of HTML, with the names of their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, *(name for name, _ in attributes)))

    def handle_comment(self, data):
        self.found.append(("!--",))


OFFSETS = range(0, len(HOSTILE), 19)


@pytest.fixture(scope="module", params=OFFSETS)
def both(request, tmp_path_factory):
    """Return the same run twice, as (table, run, published): of plain words, and of hostile ones."""
    found = []
    for kind in ("plain", "hostile"):
        folder = tmp_path_factory.mktemp(kind)
        word = words(request.param, kind)
        found.append((*a_run(folder / "run", word), published(folder, word)))
    return found


def test_the_report_has_the_elements_of_its_templates_alone(both):
    pages = [report.markdown(table, run, TEMPLATES / "report.md.j2", tables) for table, run, tables in both]
    one, other = map(read, pages)
    assert len(one.elements) > 100
    assert one.elements == other.elements
    assert len(one.lines) == len(other.lines)


@pytest.mark.parametrize(
    ("make", "template"), [(explorer.page, "explorer.html.j2"), (results_page.page, "results.html.j2")]
)
def test_pages_of_html_have_the_elements_of_their_templates_alone(both, make, template):
    one, other = (Elements(make(table, run, TEMPLATES / template)).found for table, run, _ in both)
    assert len(one) > 15
    assert one == other


def archived(folder, word):
    """Write a result in which every text is another one, as an archive of anybody may be, and return it as read."""
    write_result(folder, factor=1 if folder.name == "a" else 1.2, lost=() if folder.name == "a" else (WITHHELD,))
    artifacts = folder / "artifacts"
    run = json.loads((artifacts / "run.json").read_text())
    kept = {key: run["config"][key] for key in ("models", "grid", "report")}
    run = {key: filled(one, word, key) if key in ("machine", "config", "details") else one for key, one in run.items()}
    run["config"] |= kept
    for one in run["weights"]:
        one.update(source=next(word), sha256=next(word))
    run |= {"measured_from": next(word), "measured_to": next(word)}
    run["controls"]["cell"] = next(word)
    write_json(artifacts / "run.json", run)
    table = pd.read_csv(artifacts / "results.csv")
    table["reason"] = [cell_text(word) for _ in table.index]
    if folder.name == "b":
        table.loc[table.index[1], ["status", "latency_ms"]] = ["failed", None]
    # Quoted, as Python's writer leaves a lone carriage return bare, which begins another line.
    table.to_csv(artifacts / "results.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    return load.read_tables(folder)


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_comparison_has_the_elements_of_its_template_alone(tmp_path, offset):
    found = []
    for kind in ("plain", "hostile"):
        word = words(offset, kind)
        pair = [archived(tmp_path / kind / side, word) for side in ("a", "b")]
        compared = cells.compare(*pair, threshold=0.05)
        found.append(read(comparison.markdown(compared, f"{cell_text(word)}.csv", f"{cell_text(word)}.png")))
    one, other = found
    assert one.elements.count("code") > 10
    assert one.elements == other.elements
    assert len(one.lines) == len(other.lines)


@pytest.mark.parametrize("offset", OFFSETS[::2])
def test_a_fleet_has_the_elements_of_its_templates_alone(tmp_path, offset, monkeypatch):
    if offset != OFFSETS[0]:  # its plots take longest, and each is a picture on the page
        picture = tmp_path / "picture.svg"
        picture.write_text("<svg/>")
        monkeypatch.setattr("speedgrid.fleet.plot.draw", lambda *_: [picture])
    found = []
    for kind in ("plain", "hostile"):
        word = words(offset, kind)
        folders = [tmp_path / kind / side for side in ("a", "b")]
        for one in folders:
            archived(one, word)
            shutil.rmtree(one / "artifacts" / "timings")  # whose records are held against the reasons of the table
        wishes = Wishes({str(folders[0]): 2.0}, currency=next(word)[:12])
        fleet = ranking.rank(machines.read(folders, wishes), wishes, 0.05)
        text, html = (one.read_text() for one in page.write(fleet, tmp_path / kind / "fleet.md")[:2])
        found.append((read(text), Elements(html).found))
    (one, one_html), (other, other_html) = found
    assert one.elements.count("code") > 5
    assert one.elements == other.elements
    assert len(one.lines) == len(other.lines)
    assert len(one_html) > 100
    assert one_html == other_html
