"""Peak rates: data sheets and a matrix product."""

import re

import pytest
import yaml

from speedgrid import peaks
from speedgrid.precision import PRECISIONS

ENTRIES = yaml.safe_load(peaks.HARDWARE_FILE.read_text())["devices"]


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("NVIDIA H200", "NVIDIA H200"),
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"),
        ("NVIDIA H100 PCIe", "NVIDIA H100 PCIe"),
        ("NVIDIA A100-SXM4-80GB", "NVIDIA A100"),
        ("NVIDIA A10", "NVIDIA A10$"),
        ("NVIDIA L4", "NVIDIA L4$"),
        ("NVIDIA L40S", "NVIDIA L40S"),
        ("Tesla T4", "Tesla T4"),
        ("NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090$"),
    ],
)
def test_a_gpu_gets_its_own_data_sheet(name, match):
    assert peaks.data_sheet(name)["match"] == match


@pytest.mark.parametrize(
    "name", ["NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA A10G", "AMD EPYC 9654 (8 CPUs)", "no GPU", ""]
)
def test_a_device_without_a_data_sheet_gets_none(name):
    assert peaks.data_sheet(name) is None


@pytest.mark.parametrize("turn", [1, -1])
def test_the_longest_match_wins_in_any_order(tmp_path, monkeypatch, turn):
    entries = [{"match": match, "tflops": {}, "source": match} for match in ("GPU", "GPU 9", "GPU 9.*GB")]
    (tmp_path / "hardware.yaml").write_text(yaml.safe_dump({"devices": entries[::turn]}))
    monkeypatch.setattr(peaks, "HARDWARE_FILE", tmp_path / "hardware.yaml")
    assert peaks.data_sheet("GPU 9 80GB")["source"] == "GPU 9.*GB"
    assert peaks.data_sheet("GPU 9")["source"] == "GPU 9"
    assert peaks.data_sheet("GPU 8")["source"] == "GPU"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["match"])
def test_an_entry_of_the_hardware_file_is_well_formed(entry):
    assert set(entry) == {"match", "tflops", "source"}
    re.compile(entry["match"])
    rates = entry["tflops"]
    assert "fp32" in rates
    assert set(rates) <= set(PRECISIONS)
    assert all(0 < rate < 10_000 for rate in rates.values())
    assert len(entry["source"]) > 10


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["match"])
def test_rates_are_dense_because_tensor_cores_halve_with_each_doubling_of_width(entry):
    rates = entry["tflops"]
    # A sparse figure in one column would show as a ratio of 4 or 1.
    if "tf32" in rates:
        assert rates["fp16"] / rates["tf32"] == pytest.approx(2, rel=0.02)
        assert rates["tf32"] >= rates["fp32"]
    assert rates.get("bf16", rates["fp16"]) == rates["fp16"]


def test_no_device_has_two_entries():
    matches = [entry["match"] for entry in ENTRIES]
    assert len(set(matches)) == len(matches)


def test_a_cpu_has_a_rate_in_fp32_alone(no_gpu):
    rates = peaks.measure_all("cpu", ["fp16", "tf32", "fp32"])
    assert rates["reason"] == ""
    assert rates["gemm_tflops"]["fp16"] is rates["gemm_tflops"]["tf32"] is None
    assert 0.001 < rates["gemm_tflops"]["fp32"] < 100


def test_a_gpu_that_is_not_there_gives_no_rates_and_a_reason(no_gpu):
    rates = peaks.measure_all("cuda", ["fp32", "fp16"])
    assert rates["gemm_tflops"] == {"fp32": None, "fp16": None}
    assert rates["reason"].startswith("no NVIDIA GPU")
