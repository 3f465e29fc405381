"""What somebody else made ends in a result or in one sentence: random tables, configurations, records and archives.

`pytest --hypothesis-profile=campaign tests/test_mistakes.py` tries a thousand of each, other ones each time.
"""

import copy
import csv
import io
import json
import random
import warnings
import zipfile
from dataclasses import asdict

import pytest
import yaml
from builders import make_evaluation, make_record, make_serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from results import write_result

from speedgrid import InputError, record
from speedgrid.comparison import archive, cells, judged, load, report
from speedgrid.launcher.outputs import write_json
from speedgrid.published import section, verdict
from speedgrid.published.reading.headers import AXES
from speedgrid.serving import shown
from speedgrid.settings import complete, require_readable
from speedgrid.table import held_streams, streams
from speedgrid.table.cells import tabulate

FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6),
    st.integers(),
    st.floats(),
    st.integers(300, 4000).map(lambda digits: 10**digits),
    st.sampled_from([0, -1, 1e308, 5e-324, 10**400]),
)
ODD = st.sampled_from(["1e-3", "1e400", "x\n", "a" * 5000, "\0"])
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT, ODD)
# What JSON and YAML have, a few levels deep.
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)


def one_sentence(work):
    """Return what `work` gives, or None where it raises one of the project's own errors, in one line."""
    with warnings.catch_warnings(action="ignore"):
        try:
            return work()
        except InputError as error:
            sentence = str(error)
    assert len(sentence.splitlines()) == 1, sentence
    assert 20 < len(sentence) < 3000, sentence
    return None


def places(value, path=()):
    """Yield the path of every value in a JSON value, itself first."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


@st.composite
def spoilt(draw, whole):
    """Draw a JSON value with one to three of its parts lost, or replaced by anything."""
    found = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(found))))
        if not path:
            return draw(VALUES)
        holder = found
        for key in path[:-1]:
            holder = holder[key]
        if draw(st.booleans()):
            del holder[path[-1]]
        else:
            holder[path[-1]] = draw(VALUES)
        if not found:
            break
    return found


# Published tables

HEADERS = st.one_of(
    st.sampled_from([*AXES, "fps", "latency_ms", "ms_per_image", "tflops", "tflops_peak", "speedup", "it/s", "GFLOPs"]),
    st.sampled_from(["utilisation (%)", "GMACs", "throughput (img/s)", "qps", "image size", "bs", "", " "]),
    TEXT,
)
CELLS = st.one_of(
    st.sampled_from(["1e400", "9" * 400, "1e308", "1e-400", "0", "-1", "0.000", "1e999999999999999999999", "٣", "∞"]),
    st.sampled_from(["resnet18", "vit_b_16", "swin_t", "fp32", "NVIDIA H200", "224", "1x1", "7", "99999", "9" * 5000]),
    st.floats().map(str),
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    TEXT,
)


@st.composite
def tables(draw):
    """Draw the bytes of a CSV file: mostly a table, of anything, sometimes ragged or damaged."""
    headers = draw(st.lists(HEADERS, min_size=1, max_size=7, unique=draw(st.booleans())))
    if draw(st.booleans()):
        headers = list(dict.fromkeys(["fps", "model", "resolution", "batch_size", *headers]))
    rows = draw(st.lists(st.lists(CELLS, min_size=len(headers), max_size=len(headers)), max_size=4))
    if rows and draw(st.integers(0, 9)) == 0:
        rows[-1] = rows[-1][1:]
    text = io.StringIO()
    csv.writer(text).writerows([headers, *rows])
    content = text.getvalue().encode(
        draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"])), "replace"
    )
    return content if draw(st.integers(0, 9)) else content + draw(st.binary(max_size=20))


ABOUT = st.one_of(
    st.none(), st.dictionaries(st.sampled_from(["device", "model", "title", "batch_size", "gpu"]), VALUES)
)


@FILES
@given(table=tables(), about=ABOUT)
def test_a_published_table_of_anything_is_audited_or_refused(tmp_path, table, about):
    path = tmp_path / "table.csv"
    path.write_bytes(table)
    with warnings.catch_warnings(action="ignore"):
        beside = yaml.safe_dump(about) if about is not None else None
    path.with_suffix(".yaml").unlink(missing_ok=True)
    if beside is not None:
        path.with_suffix(".yaml").write_text(beside, encoding="utf-8")
    found = one_sentence(lambda: verdict.audit_all([str(path)], "resnet18", {}))
    if found:
        write_json(tmp_path / "published.json", {"tables": found})  # which takes no number that is none
        section.facts(found[0])
        section.findings(found[0])
        section.verdicts(found[0])


# Configurations

WHOLE = complete({"device": "cpu"})


@given(
    config=spoilt(WHOLE),
    given_too=st.one_of(st.just({}), st.dictionaries(st.sampled_from(list(WHOLE)), VALUES, max_size=2)),
)
def test_a_configuration_of_anything_is_complete_or_refused(config, given_too):
    found = one_sentence(lambda: complete(config, given_too))
    if found is not None:
        assert complete(found) == found
        json.dumps(found, allow_nan=False)


@FILES
@given(
    content=st.one_of(
        st.binary(max_size=60),
        VALUES.map(lambda value: yaml.safe_dump(value, allow_unicode=True).encode()),
        st.sampled_from(["utf-16", "latin-1"]).map(lambda code: "device: größer\n".encode(code)),
        st.integers(50, 5000).map(lambda depth: b"[" * depth),
        st.integers(300, 6000).map(lambda digits: b"timing: {rounds: 1" + b"0" * digits + b"}"),
    )
)
def test_a_file_of_configuration_of_any_bytes_is_read_or_refused(tmp_path, content):
    (tmp_path / "config.yaml").write_bytes(content)
    one_sentence(lambda: require_readable(tmp_path / "config.yaml"))


# Records

NAME = "resnet18-pytorch-fp32-r64-b1"
RECORD = asdict(make_record(NAME))
PEAKS = {"gemm_tflops": {"fp32": 1.0}, "copy_gb_s": 10.0, "cache_mb": 30.0, "idle_power_w": None}
PEAKS |= {"data_sheet_tflops": {}, "data_sheet_gb_s": None, "data_sheet_source": None}
COUNTED = {"flop": 3 * 10**8, "onnx_flop": 3 * 10**8, "weight_elements": 10**7, "layers": []}
COUNTED |= {"input_elements": 12_288, "output_elements": 1000}


@FILES
@given(content=spoilt(RECORD))
def test_a_record_with_any_part_lost_or_replaced_is_read_or_refused(tmp_path, content):
    path = tmp_path / f"{NAME}-round1.json"
    path.write_text(text_of(content), encoding="utf-8")
    found = one_sentence(lambda: record.read(path))
    if found is not None and found.seen and str(found.cell) == NAME:
        arithmetic = {"resnet18": {"64": COUNTED}}
        reference = {"backend": "pytorch", "precision": "fp32"}
        one_sentence(lambda: tabulate([found.cell], [found], arithmetic, PEAKS, reference))


def text_of(content):
    """Return a JSON value as text, where a number of thousands of digits is a number without end."""
    try:
        return json.dumps(content)
    except ValueError:
        return "Infinity"


# Streams under load

SERVED = asdict(make_serving("resnet18-onnxruntime-fp32-r64", {1: 10.0, 4: 16.0}, blocks=60))


@FILES
@given(content=spoilt(SERVED))
def test_a_record_of_streams_with_any_part_lost_or_replaced_is_shown_or_refused(tmp_path, content):
    path = tmp_path / "resnet18-onnxruntime-fp32-r64.json"
    path.write_text(text_of(content), encoding="utf-8")
    found = one_sentence(lambda: held_streams.read(path))
    if found is not None and found.seen and str(found.asked.place) == path.stem:
        streams.figures(found, shown.streams_of(found))


# Archives


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return a result, and the members of an archive of it."""
    folder = write_result(tmp_path_factory.mktemp("kept") / "run", seed=3)
    for name in ("flops", "peaks"):
        content = {"resnet18": {"64": COUNTED}} if name == "flops" else {**PEAKS, "reason": ""}
        write_json(folder / "artifacts" / f"{name}.json", content)
    write_json(folder / "artifacts" / "accuracy" / f"{NAME}.json", make_evaluation(NAME))
    path = archive.write(folder, str(folder.parent / "kept"))
    with zipfile.ZipFile(path) as packed:
        return load.read(folder), {name: packed.read(name) for name in packed.namelist()}


@st.composite
def damage(draw, content, name):
    """Draw what became of a member: a JSON value or a table with parts lost or replaced, or other bytes."""
    if name.endswith(".json") and draw(st.integers(0, 4)):
        return text_of(draw(spoilt(json.loads(content)))).encode()
    if name.endswith(".csv") and draw(st.integers(0, 4)):
        lines = list(csv.reader(io.StringIO(content.decode())))
        for _ in range(draw(st.integers(1, 2))):
            row = draw(st.sampled_from(lines))
            column = draw(st.integers(0, len(row) - 1))
            row[column] = draw(CELLS)
        text = io.StringIO()
        csv.writer(text).writerows(lines[: draw(st.integers(0, len(lines)))] if draw(st.booleans()) else lines)
        return text.getvalue().encode(errors="replace")
    cut = draw(st.integers(0, len(content)))
    return content[:cut] + draw(st.binary(max_size=10))


@FILES
@given(data=st.data())
def test_an_archive_with_anything_in_it_is_compared_and_judged_or_refused(tmp_path, kept, data):
    result, members = kept
    names = [name for name in members if name.endswith((".json", ".csv"))]
    changed = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    held = {name: data.draw(damage(content, name)) if name in changed else content for name, content in members.items()}
    path = tmp_path / "other.speedgrid.zip"
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "w") as packed:
        for name, content in held.items():
            packed.writestr(name, content)
        if data.draw(st.integers(0, 9)) == 0:
            packed.writestr(data.draw(TEXT) or "x", b"{}")
    if data.draw(st.integers(0, 4)) == 0:
        path.write_bytes(noise(path.read_bytes(), data.draw(st.integers(0, 2**32))))
    found = one_sentence(lambda: load.read(path))
    if found:
        compared = one_sentence(lambda: cells.compare(result, found, 0.05))
        if compared:
            report.markdown(compared, "table.csv", None)
    one_sentence(lambda: judged.judge(path))


def noise(content, seed):
    """Return bytes of which a few are others."""
    chance, found = random.Random(seed), bytearray(content)
    for _ in range(chance.randrange(1, 20)):
        found[chance.randrange(len(found))] = chance.randrange(256)
    return bytes(found)
