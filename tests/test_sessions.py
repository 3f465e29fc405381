"""What the runtimes say of their sessions, and of which rows the report says it."""

import pytest
from builders import make_record, make_refusal, make_run
from hypothesis import given
from hypothesis import strategies as st

from speedgrid import ROOT
from speedgrid.grid import Cell
from speedgrid.report.markdown import markdown
from speedgrid.table import sessions

F32, BF16 = {"hint": "f32"}, {"hint": "bf16"}


def record(name, **details):
    return make_record(name, details=details)


def test_what_all_sessions_of_a_backend_have_in_common_is_said_once():
    records = [record(f"resnet18-openvino-fp32-r64-b{size}", version="9", hint="f32") for size in (1, 2)]
    records += [record("resnet18-pytorch-fp32-r64-b1", version="2")]
    assert sessions.details(records) == {"openvino": {"version": "9", "hint": "f32"}, "pytorch": {"version": "2"}}


def test_what_differs_between_precisions_is_said_of_each():
    records = [
        record("resnet18-openvino-bf16-r64-b1", hints=BF16, version="9"),
        record("resnet18-openvino-int8-r64-b1", hints=F32, version="9", quantised=20),
        record("resnet18-openvino-int8-r64-b2", hints=F32, version="9", quantised=20),
    ]
    assert sessions.details(records) == {
        "openvino": {"version": "9"},
        "openvino bf16": {"hints": BF16},
        "openvino int8": {"hints": F32, "quantised": 20},
    }


def test_what_differs_between_models_is_said_of_each_where_there_are_several():
    records = [
        record(f"{model}-tensorrt-{precision}-r64-b1", version="10", layers=layers, precision=precision)
        for model, precision, layers in (("vgg16", "fp32", 9), ("vgg16", "fp16", 9), ("vit_b_16", "fp32", 7))
    ]
    assert sessions.details(records) == {
        "tensorrt": {"version": "10"},
        "tensorrt fp32": {"precision": "fp32"},
        "tensorrt fp16": {"precision": "fp16"},
        "tensorrt fp32 vgg16": {"layers": 9},
        "tensorrt fp16 vgg16": {"layers": 9},
        "tensorrt fp32 vit_b_16": {"layers": 7},
    }


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_differs_between_sizes_is_the_list_of_what_it_is(precision):
    sizes = {1: 41, 2: 43, 8: 41}
    records = [record(f"resnet18-tensorrt-{precision}-r64-b{size}", layers=found) for size, found in sizes.items()]
    assert sessions.details(records) == {f"tensorrt {precision}": {"layers": [41, 43]}}


def test_a_detail_that_some_sessions_lack_is_said_of_those_that_have_it():
    records = [
        record("resnet18-onnxruntime-fp32-r64-b1"),
        record("resnet18-onnxruntime-int8-r64-b1", quantised={"executed": 20}),
        make_refusal("resnet18-onnxruntime-fp16-r64-b1", "failed", "boom"),
    ]
    assert sessions.details(records) == {"onnxruntime int8": {"quantised": {"executed": 20}}}


ACCOUNTS = st.dictionaries(st.sampled_from(["version", "hints", "layers"]), st.integers(0, 2) | st.none())
CELLS = st.builds(
    Cell,
    model=st.sampled_from(["resnet18", "vgg16"]),
    backend=st.sampled_from(["pytorch", "openvino"]),
    precision=st.sampled_from(["fp32", "int8"]),
    resolution=st.just(64),
    batch_size=st.sampled_from([1, 2]),
)


@given(st.lists(st.tuples(CELLS, ACCOUNTS), max_size=8))
def test_no_row_is_given_what_is_not_its_own_sessions(accounts):
    said = sessions.details([make_record(str(cell), details=account) for cell, account in accounts])
    for cell, account in accounts:
        words = (cell.backend, cell.precision, cell.model)
        of_row = [said.get(" ".join(words[:count]), {}) for count in (1, 2, 3)]
        for name, value in account.items():
            found = [part[name] for part in of_row if name in part]
            assert len(found) == 1
            assert value in (found[0] if isinstance(found[0], list) else [found[0]])
    # And nothing is said of a row that none of its sessions said.
    for rows, part in said.items():
        own = [
            account
            for cell, account in accounts
            if " ".join((cell.backend, cell.precision, cell.model)).startswith(rows)
        ]
        for name, value in part.items():
            values = [one[name] for one in own if name in one]
            assert all(one in values for one in (value if isinstance(value, list) else [value]))


def test_the_report_shows_a_winner_with_its_own_hints():
    records = [
        make_record("resnet18-openvino-bf16-r64-b1", [2.0] * 50, details={"version": "9", "hints": BF16}),
        make_record("resnet18-openvino-int8-r64-b1", [1.0] * 50, details={"version": "9", "hints": F32}),
        make_record("resnet18-tensorrt-int8-r64-b1", details={"layers": 41}),
        make_record("resnet18-tensorrt-int8-r64-b8", details={"layers": 43}),
    ]
    table, run = make_run(records)
    lines = markdown(table, run, ROOT / "templates/report.md.j2").splitlines()
    wanted = (
        "| openvino | version 9 |",
        "| openvino bf16 | hints {'hint': 'bf16'} |",
        "| openvino int8 | hints {'hint': 'f32'} |",
        "| tensorrt int8 | layers 41, 43 |",
    )
    assert [line for line in lines if line.startswith(("| openvino", "| tensorrt"))] == list(wanted)
