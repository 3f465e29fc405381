"""The configuration: defaults, and one sentence for everything that cannot run."""

import copy
import math
import runpy
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from speedgrid import settings
from speedgrid.backends import variants
from speedgrid.settings import SettingsError, complete
from speedgrid.table import columns

ROOT = Path(__file__).parent.parent
TIMING = settings.read_schema()["properties"]["timing"]["properties"]
AXES = {"backend": ["pytorch"], "precision": ["fp32"], "resolution": [64], "batch_size": [1]}


def with_axis(axis, values):
    return {"device": "cpu", "grid": {"cpu": {**AXES, axis: values}}}


BAD = {
    "unknown key": (
        {"devce": "cpu"},
        [
            "'devce'",
            "the top level",
            f"known keys there are {', '.join(settings.read_schema()['properties'])}.",
        ],
    ),
    "unknown nested key": (
        {"timing": {"timed_run": 3}},
        ["'timed_run'", "at timing", f"known keys there are {', '.join(TIMING)}."],
    ),
    "unknown device": ({"device": "gpu"}, ["device", "'gpu'", "one of auto, cuda, cpu"]),
    "wrong type": ({"timing": {"timed_runs": "many"}}, ["timing.timed_runs", "'many'", "of type integer"]),
    "text for a list": (with_axis("backend", "pytorch"), ["grid.cpu.backend", "'pytorch'", "of type array"]),
    "text for a number or none": ({"minimum_fps": "many"}, ["minimum_fps", "'many'", "of type number or null"]),
    "more than all": ({"minimum_top1_agreement": 99}, ["minimum_top1_agreement", " 99;", "at most 1"]),
    "no budget": ({"budget": {"latency_ms": 0}}, ["budget.latency_ms", " 0;", "more than 0"]),
    "language without a catalogue": ({"report": {"language": "de"}}, ["report.language", "'de'", "one of en, ru"]),
    "truth value": (with_axis("batch_size", [True]), ["grid.cpu.batch_size.0", "True", "of type integer"]),
    "one model and no list": ({"models": "resnet18"}, ["models", "'resnet18'", "of type array"]),
    "no model": ({"models": []}, ["models", "[]", "a list of at least 1"]),
    "a model twice": ({"models": ["resnet18"] * 2}, ["models", "a list without repeats"]),
    "a model that is no word": ({"models": ["res-net"]}, ["models.0", "'res-net'", "text that matches"]),
    "text for a section": ({"model": "resnet18"}, ["model", "'resnet18'", "of type object"]),
    "empty section": ({"grid": None}, ["grid", "None", "of type object"]),
    "whole number with a point": (
        with_axis("resolution", [64.0]),
        ["grid.cpu.resolution.0", " 64.0;", "from 32 to 8192 pixels, or HEIGHTxWIDTH"],
    ),
    "seconds that are no number": (
        {"timing": {"min_seconds": math.nan}},
        ["timing.min_seconds", " nan;", "of type number"],
    ),
    "seconds without end": ({"timing": {"max_seconds": math.inf}}, ["timing.max_seconds", " inf;", "of type number"]),
    "truth value for seconds": ({"timing": {"max_seconds": True}}, ["timing.max_seconds", " True;", "of type number"]),
    "missing axis": (
        {"device": "cpu", "grid": {"cpu": {axis: AXES[axis] for axis in AXES if axis != "batch_size"}}},
        ["config key grid.cpu is ", "it must be complete: 'batch_size' is a required property."],
    ),
    "broken number": (with_axis("resolution", [64.5]), ["grid.cpu.resolution.0", "64.5", "from 32 to 8192 pixels"]),
    "unknown backend": (
        with_axis("backend", ["torch"]),
        ["grid.cpu.backend.0", "'torch'", "pytorch, pytorch_tuned, pytorch_fused"],
    ),
    "unknown precision": (
        with_axis("precision", ["fp64"]),
        ["grid.cpu.precision.0", "'fp64'", "fp32, tf32, fp16, bf16, int8, fp8, auto"],
    ),
    "auto beside others": (
        with_axis("precision", ["fp32", "auto"]),
        ["grid.cpu.precision", "['fp32', 'auto']", "auto means every precision that the device has, and must be alone"],
    ),
    "auto of nothing": (
        {"device": "cpu", "grid": {"cpu": {**AXES, "backend": ["torch_tensorrt"], "precision": ["auto"]}}},
        ["grid.cpu.precision", "['auto']", "none of torch_tensorrt runs on this machine"],
    ),
    "a loss of more than all": ({"accuracy": {"max_top1_loss": 2}}, ["accuracy.max_top1_loss", " 2;", "at most 1"]),
    "empty list": (with_axis("precision", []), ["grid.cpu.precision", "[]", "a list of at least 1"]),
    "repeats": (
        with_axis("batch_size", [1, 8, 1]),
        ["grid.cpu.batch_size", "[1, 8, 1]", "a list without repeats"],
    ),
    "zero batch": (with_axis("batch_size", [0]), ["grid.cpu.batch_size.0", " 0;", "at least 1"]),
    "tiny image": (with_axis("resolution", [16]), ["grid.cpu.resolution.0", "16", "from 32 to 8192 pixels"]),
    "no time": ({"timing": {"max_seconds": 0}}, ["timing.max_seconds", " 0;", "more than 0"]),
    "min above max": (
        {"timing": {"min_seconds": 5, "max_seconds": 1}},
        ["timing.min_seconds", " 5;", "at most timing.max_seconds, 1"],
    ),
    "reference backend not measured": (
        {"device": "cpu", "report": {"reference": {"backend": "torch_tensorrt"}}},
        [
            "report.reference.backend",
            "'torch_tensorrt'",
            "grid.cpu.backend, ['pytorch', 'onnxruntime', 'openvino']",
        ],
    ),
    "reference precision not measured": (
        {"device": "cpu", "report": {"reference": {"precision": "fp16"}}},
        ["report.reference.precision", "'fp16'", "grid.cpu.precision, ['fp32']"],
    ),
    "not a mapping": ([], ["the top level", "[]", "of type object"]),
    "a name that ends in a newline": ({"models": ["resnet18\n"]}, ["models.0", r"'resnet18\n'", "text that matches"]),
    "a path with a newline": ({"model": {"weights": "a.pth\n"}}, ["model.weights", "with no control characters"]),
    "a path of 5,000 letters": ({"data": {"images": "a" * 5000}}, ["data.images", "... (5002 characters)", "255"]),
    "a path of many names": ({"data": {"images": "a/" * 3000}}, ["data.images", "a path of at most 4095 bytes"]),
    "a path of 200 letters of two bytes": ({"published": ["ж" * 200]}, ["published.0", "each name of at most 255"]),
    "a table without a name": ({"published": [""]}, ["published.0", "''", "text that is not empty"]),
    "a table whose file has no name": ({"published": [{"file": ""}]}, ["published.0.file", "text that is not empty"]),
    "400 digits": ({"timing": {"rounds": 10**400}}, ["timing.rounds", "... (401 characters)", "at most 100"]),
    "5,000 digits": ({"timing": {"rounds": 16**5000}}, ["timing.rounds is a number of thousands of digits"]),
    "a million rounds": ({"timing": {"rounds": 1_000_000}}, ["timing.rounds", " 1000000;", "at most 100"]),
    "a batch of millions": (with_axis("batch_size", [10**7]), ["grid.cpu.batch_size.0", "at most 4096"]),
    "a hundred thousand pixels": (
        with_axis("resolution", [10**5]),
        ["grid.cpu.resolution.0", "from 32 to 8192 pixels"],
    ),
    "a seed that numpy does not take": ({"model": {"seed": 2**32}}, ["model.seed", "at most 4294967295"]),
    "an hour a cell": ({"timing": {"max_seconds": 1e5}}, ["timing.max_seconds", "at most 3600"]),
    "101 batch sizes": (with_axis("batch_size", list(range(1, 102))), ["grid.cpu.batch_size", "a list of at most 100"]),
    "more timings than can be planned": (
        with_axis("batch_size", list(range(1, 101)))
        | {"models": [f"m{n}" for n in range(30)], "timing": {"rounds": 9}},
        ["grid.cpu has cells for 27,000 timings in 9 rounds; they must be at most 20,000"],
    ),
    "text that is nearly a number": ({"timing": {"min_seconds": "1e-3 s"}}, ["timing.min_seconds", "of type number"]),
    "a number in quotes": ({"timing": {"min_seconds": "0.1"}}, ["timing.min_seconds", "'0.1'", "of type number"]),
    "no number of rounds": ({"timing": {"rounds": "1e1"}}, ["timing.rounds", "'1e1'", "auto or an integer"]),
    "a number without end": ({"timing": {"min_seconds": "1e400"}}, ["timing.min_seconds", "inf", "of type number"]),
}


@pytest.mark.parametrize(("config", "parts"), BAD.values(), ids=BAD)
def test_bad_input_gives_one_sentence_with_key_value_and_what_would_be_right(config, parts):
    with pytest.raises(SettingsError) as caught:
        complete(config)
    message = str(caught.value)
    assert [part for part in parts if part not in message] == []
    assert message.startswith("config key ")
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize("key", ["min_seconds", "max_seconds", "target_percent"])
@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
def test_yamls_numbers_that_are_not_finite_are_refused(key, value):
    with pytest.raises(SettingsError, match=rf"config key timing\.{key} is -?(nan|inf); it must be "):
        complete({"timing": yaml.safe_load(f"{key}: {value}")})


@pytest.mark.parametrize("text", ["1e-3", "1E-3", ".1e-2", "1.e-3", "+1e-3", "0.0001e1", "1e-03"])
def test_a_number_with_an_exponent_is_a_number(text):
    assert complete({"timing": yaml.safe_load(f"min_seconds: {text}")})["timing"]["min_seconds"] == 0.001
    assert complete({}, {"timing": {"min_seconds": text}})["timing"]["min_seconds"] == 0.001


def test_what_is_nested_in_the_option_config_is_read_as_yaml_has_it():
    # Snakemake leaves all of it as text, where it stands in braces.
    given = {
        "timing": {"min_seconds": "0.1", "rounds": "2", "end_to_end": "true", "energy_resolutions": ["64"]},
        "minimum_fps": "null",
        "model": {"weights": "best.pth"},
    }
    found = complete({"timing": {"timed_runs": 7}, "minimum_fps": 3}, given)
    assert found["timing"] | {"min_seconds": 0.1, "rounds": 2, "end_to_end": True} == found["timing"]
    assert (found["timing"]["timed_runs"], found["timing"]["energy_resolutions"]) == (7, [64])
    assert (found["minimum_fps"], found["model"]["weights"]) == (None, "best.pth")
    with pytest.raises(SettingsError, match=r"timing\.rounds is 'two'; it must be auto or an integer"):
        complete({}, {"timing": {"rounds": "two"}})


def test_a_configuration_that_leads_back_to_itself_is_refused():
    loop = yaml.safe_load("published: &a [*a]")
    with pytest.raises(SettingsError, match=r"nested too deeply|published"):
        complete(loop)


def test_every_number_of_the_schema_has_a_largest_one():
    schema, waiting = settings.read_schema(), []
    waiting.append(schema)
    endless = []
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            kinds = one.get("type", [])
            kinds = [kinds] if isinstance(kinds, str) else kinds
            if {"integer", "number"} & set(kinds) and "maximum" not in one:
                endless.append(one)
            if "array" in kinds and "maxItems" not in one:
                endless.append(one)
            waiting += one.values()
    assert endless == []


def test_seconds_may_be_whole_numbers():
    timing = complete({"device": "cpu", "timing": {"min_seconds": 1, "max_seconds": 2}})["timing"]
    assert (timing["min_seconds"], timing["max_seconds"]) == (1, 2)


@pytest.mark.parametrize(
    "weights", ["best.pth", "{model}.pth", "{resolution}", "a/{model}/{model}_{resolution}.pth", "{model}{resolution}"]
)
def test_paths_of_weights_may_use_both_placeholders_any_number_of_times(weights):
    assert complete({"device": "cpu", "model": {"weights": weights}})["model"]["weights"] == weights
    assert "{" not in weights.format(model="m", resolution=64)


@pytest.mark.parametrize(
    "weights", ["", "{name}.pth", "{}.pth", "{model.pth", "model}.pth", "{{model}}", "{model!r}", "{resolution:04d}"]
)
def test_other_placeholders_of_weights_are_refused_by_name(weights):
    with pytest.raises(SettingsError) as caught:
        complete({"device": "cpu", "model": {"weights": weights}})
    assert str(caught.value).startswith(f"config key model.weights is {weights!r}; it must be text that matches ")


def test_a_reference_counts_for_the_grid_of_the_device_in_use_only():
    reference = {"report": {"reference": {"backend": "openvino"}}}
    assert complete({"device": "cpu", **reference})["report"]["reference"]["backend"] == "openvino"
    with pytest.raises(SettingsError, match=r"grid\.cuda\.backend"):
        complete({"device": "cuda", **reference})


REFERENCES = {
    "fp32 is there": (["int8", "fp32"], ["openvino", "pytorch"], {}, ("pytorch", "fp32")),
    "no fp32": (["fp16", "tf32", "bf16"], ["onnxruntime", "pytorch"], {}, ("pytorch", "tf32")),
    "half precisions": (["bf16", "fp16"], ["pytorch"], {}, ("pytorch", "fp16")),
    "no PyTorch": (["fp32"], ["onnxruntime", "openvino"], {}, ("onnxruntime", "fp32")),
    "PyTorch has no int8": (["int8"], ["pytorch", "onnxruntime", "openvino"], {}, ("onnxruntime", "int8")),
    "nothing runs": (["int8"], ["torch_tensorrt", "pytorch"], {}, ("pytorch", "int8")),
    "a backend is given": (["bf16", "int8"], ["pytorch", "openvino"], {"backend": "openvino"}, ("openvino", "bf16")),
    "a precision is given": (
        ["fp32", "int8"],
        ["pytorch", "onnxruntime"],
        {"precision": "int8"},
        ("onnxruntime", "int8"),
    ),
    "both are given": (
        ["fp32", "int8"],
        ["pytorch", "onnxruntime"],
        {"precision": "int8", "backend": "pytorch"},
        ("pytorch", "int8"),
    ),
}


@pytest.mark.parametrize(("precisions", "names", "given", "wanted"), REFERENCES.values(), ids=REFERENCES)
def test_the_reference_follows_the_grid(precisions, names, given, wanted):
    axes = AXES | {"precision": precisions, "backend": names}
    config = {"device": "cpu", "grid": {"cpu": axes}, "report": {"reference": given}}
    assert complete(config)["report"]["reference"] == dict(zip(("backend", "precision"), wanted, strict=True))
    assert complete(complete(config)) == complete(config)


@pytest.mark.parametrize("changed", ["precision", "backend"])
def test_a_grid_that_is_changed_alone_needs_no_other_reference(changed):
    """The default configuration is what other files are laid over: what it says of the reference holds for any grid."""
    default = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    axes = default["grid"]["cpu"] | {changed: {"precision": ["int8"], "backend": ["onnxruntime"]}[changed]}
    completed = complete(default | {"device": "cpu", "grid": {"cpu": axes}})
    assert completed["report"]["reference"][changed] in axes[changed]


def test_an_empty_configuration_gets_every_default():
    completed = complete({"device": "cpu"})
    assert completed["models"] == ["resnet18"]
    assert completed["model"] == {
        "weights": "weights/best_{model}_{resolution}.pth",
        "seed": 0,
    }
    assert completed["timing"] == {
        "warmup_runs": 10,
        "timed_runs": 10,
        "min_seconds": 0.2,
        "max_seconds": 0.5,
        "target_percent": 2,
        "patience_seconds": 3,
        "rounds": "auto",
        "max_rounds": 3,
        "energy_resolutions": [],
        "end_to_end": False,
        "cpu_threads": 0,
    }
    assert set(completed["budget"].values()) == {None}
    assert completed["minimum_fps"] is completed["minimum_top1_agreement"] is None
    assert completed["report"] == {
        "language": "en",
        "reference": {"backend": "pytorch", "precision": "fp32"},
        "resolution": 224,
        "batch_size": 32,
    }
    assert completed["grid"]["cuda"]["batch_size"] == [1, 2, 4, 8, 16, 32, 33, 64]
    assert completed["grid"]["cpu"]["backend"] == ["pytorch", "onnxruntime", "openvino"]


def test_what_is_given_wins_over_defaults_and_is_not_changed():
    given = {"device": "cpu", "timing": {"timed_runs": 7}, "report": {"reference": {}}}
    before = copy.deepcopy(given)
    completed = complete(given)
    assert completed["timing"]["timed_runs"] == 7
    assert completed["timing"]["warmup_runs"] == 10
    assert given == before


def test_completing_twice_changes_nothing():
    completed = complete({"device": "cpu"})
    assert complete(completed) == completed


@pytest.mark.parametrize(("gpus", "device"), [(0, "cpu"), (1, "cuda"), (8, "cuda")])
def test_auto_is_resolved_by_the_number_of_gpus(monkeypatch, gpus, device):
    monkeypatch.setattr("speedgrid.machine.device.gpu_count", lambda: gpus)
    assert complete({})["device"] == device


def test_the_precision_auto_is_what_a_backend_of_the_grid_has_on_the_device(monkeypatch):
    offered = ["FP32", "BF16", "INT8"]
    monkeypatch.setattr("speedgrid.backends.openvino.offered", lambda: offered)
    axes = {**AXES, "backend": ["openvino"], "precision": ["auto"]}
    config = {"device": "cpu", "grid": {"cpu": axes}, "report": {"reference": {"backend": "openvino"}}}
    assert complete(config)["grid"]["cpu"]["precision"] == ["fp32", "bf16", "int8"]
    offered.remove("BF16")
    assert complete(config)["grid"]["cpu"]["precision"] == ["fp32", "int8"]
    axes["backend"] = ["openvino", "pytorch"]
    assert complete(config)["grid"]["cpu"]["precision"] == ["fp32", "fp16", "bf16", "int8"]
    assert complete(complete(config)) == complete(config)


@pytest.mark.parametrize(
    ("capability", "precisions"),
    [
        ("7.5", ["fp32", "fp16"]),
        ("8.0", ["fp32", "tf32", "fp16", "bf16"]),
        ("9.0", ["fp32", "tf32", "fp16", "bf16"]),
    ],
)
def test_on_a_gpu_auto_is_what_its_tensor_cores_have_but_for_what_is_experimental(monkeypatch, capability, precisions):
    monkeypatch.setattr("speedgrid.machine.graphics.own", lambda: {"compute_capability": capability})
    monkeypatch.setattr("speedgrid.machine.device.gpu_count", lambda: 1)
    axes = {**AXES, "precision": ["auto"]}
    assert complete({"device": "cuda", "grid": {"cuda": axes}})["grid"]["cuda"]["precision"] == precisions


@pytest.mark.parametrize("name", ["config.yaml", "smoke.yaml"])
def test_the_configurations_that_come_along_are_valid(name):
    complete(yaml.safe_load((settings.SCHEMA_FILE.parent / name).read_text()))


def leaves(schema, path=""):
    """Yield (path, subschema) of every key that has a value of its own."""
    for key, subschema in schema.get("properties", {}).items():
        if subschema.get("type") == "object":
            yield from leaves(subschema, f"{path}{key}.")
        else:
            yield f"{path}{key}", subschema


def test_the_schema_is_strict_and_says_of_every_key_what_it_means_and_its_default():
    schema = settings.read_schema()
    Draft202012Validator.check_schema(schema)
    found = dict(leaves(schema))
    assert {"device", "timing.rounds", "report.resolution"} < set(found)
    assert [path for path, one in found.items() if "default" not in one or len(one["description"]) < 10] == []
    objects = [schema, *schema["properties"].values(), *schema["$defs"].values()]
    assert [one for one in objects if one.get("type") == "object" and one["additionalProperties"] is not False] == []


def values(config, path=""):
    """Yield (path, value) of every key of a configuration that has a value of its own."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from values(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def test_the_document_has_a_line_with_default_and_meaning_for_every_key_of_a_complete_configuration():
    head, rule, *lines = settings.document().splitlines()
    assert (head, rule) == ("| key | default | meaning |", "|---|---|---|")
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert {len(one) for one in cells} == {5}
    documented = {key: default for _, key, default, meaning, _ in cells if len(meaning) > 10}
    resolved = ("device", "report.reference.backend", "report.reference.precision")
    defaults = dict(values(complete({"device": "cpu"}))) | dict.fromkeys(resolved, "auto")
    written = {key: "null" if value is None else value for key, value in defaults.items()}
    assert documented == {f"`{key}`": f"`{value}`" for key, value in written.items()}
    assert len(lines) == len(defaults)


def test_the_document_has_descriptions_and_choices_of_the_schema():
    lines = settings.document().splitlines()
    assert (
        "| `device` | `auto` | Where to measure; auto takes the GPU if NVML finds one, else the CPU. "
        "One of auto, cuda, cpu. |"
    ) in lines
    assert "| `grid.cpu.batch_size` | `[1, 8]` | On a machine with no GPU. Images per call. |" in lines


def test_the_table_of_the_documentation_is_the_document():
    [_, rest] = (ROOT / "docs/configuration.md").read_text().split("<!-- config table: make docs -->\n")
    [table, _] = rest.split("<!-- end of config table -->\n")
    assert table == settings.document(), "run `make docs`"


def test_make_docs_changes_the_tables_of_pages_and_nothing_else(tmp_path, monkeypatch):
    around = "# a\nbefore\n<!-- {0} table: make docs -->\n{1}<!-- end of {0} table -->\nafter\n"
    written = {"configuration.md": ("config", settings.document()), "backends.md": ("backends", variants.document())}
    for page, (name, _) in written.items():
        (tmp_path / page).write_text(around.format(name, "| old |\n"))
    monkeypatch.setattr("sys.argv", ["document_config", str(tmp_path)])
    runpy.run_module("scripts.document_config")
    for page, (name, table) in written.items():
        assert (tmp_path / page).read_text() == around.format(name, table)
    assert (tmp_path / "columns.md").read_text() == columns.document()
