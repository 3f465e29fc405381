"""Peak rates: data sheets, a matrix product and a copy."""

import re

import pytest
import yaml

from speedgrid import peaks
from speedgrid.precision import PRECISIONS

ENTRIES = yaml.safe_load(peaks.HARDWARE_FILE.read_text())["devices"]


# Names as NVML gives them, each with a figure that no other form factor or size of that GPU has.
NAMES = {
    "Tesla T4": ("bandwidth_gb_s", 320),
    "NVIDIA GeForce RTX 2080 Ti": ("sms", 68),
    "NVIDIA A100-SXM4-40GB": ("bandwidth_gb_s", 1555),
    "NVIDIA A100-SXM4-80GB": ("bandwidth_gb_s", 2039),
    "NVIDIA A100-PCIE-40GB": ("bandwidth_gb_s", 1555),
    "NVIDIA A100 80GB PCIe": ("bandwidth_gb_s", 1935),
    "NVIDIA A10": ("sms", 72),
    "NVIDIA A40": ("boost_mhz", 1740),
    "NVIDIA RTX A6000": ("boost_mhz", 1800),
    "NVIDIA GeForce RTX 3060": ("sms", 28),
    "NVIDIA GeForce RTX 3080": ("sms", 68),
    "NVIDIA GeForce RTX 3090": ("sms", 82),
    "NVIDIA L4": ("sms", 58),
    "NVIDIA L40S": ("bandwidth_gb_s", 864),
    "NVIDIA RTX 6000 Ada Generation": ("bandwidth_gb_s", 960),
    "NVIDIA GeForce RTX 4070": ("sms", 46),
    "NVIDIA GeForce RTX 4080": ("sms", 76),
    "NVIDIA GeForce RTX 4090": ("sms", 128),
    "NVIDIA H100 PCIe": ("sms", 114),
    "NVIDIA H100 80GB HBM3": ("bandwidth_gb_s", 3350),
    "NVIDIA H100 NVL": ("bandwidth_gb_s", 3938),
    "NVIDIA H200": ("boost_mhz", 1980),
    "NVIDIA H200 NVL": ("boost_mhz", 1785),
    "NVIDIA B200": ("sms", 148),
    "NVIDIA GeForce RTX 5080": ("sms", 84),
    "NVIDIA GeForce RTX 5090": ("sms", 170),
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": ("boost_mhz", 2617),
    "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": ("boost_mhz", 2288),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_gets_its_own_data_sheet(name):
    figure, value = NAMES[name]
    assert peaks.data_sheet(name)[figure] == value
    assert len([entry for entry in ENTRIES if re.search(entry["match"], name)]) == 1


def test_every_entry_has_a_gpu():
    assert {peaks.data_sheet(name)["match"] for name in NAMES} == {entry["match"] for entry in ENTRIES}


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4070 Ti",
        "NVIDIA GeForce RTX 4080 SUPER",
        "NVIDIA GeForce RTX 3060 Ti",
        "NVIDIA GeForce RTX 3080 Ti",
        "NVIDIA GeForce RTX 2080",
        "NVIDIA A10G",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA A100-SXM-64GB",
        "NVIDIA H100 80GB HBM2e",
        "NVIDIA L40",
        "NVIDIA GH200 480GB",
        "NVIDIA GB200",
        "NVIDIA RTX PRO 6000 Blackwell Server Edition",
        "Quadro RTX 6000",
        "AMD EPYC 9654 (8 CPUs)",
        "no GPU",
        "",
    ],
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


REQUIRED = {"match", "compute_capability", "sms", "boost_mhz", "tflops", "source"}
# Two cards of one name have different memories.
NO_BANDWIDTH = {"NVIDIA GeForce RTX 3060", "NVIDIA GeForce RTX 3080", "NVIDIA GeForce RTX 4070"}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["match"])
def test_an_entry_of_the_hardware_file_is_well_formed(entry):
    assert set(entry) >= REQUIRED
    assert set(entry) <= REQUIRED | {"bandwidth_gb_s", "tensor_boost_mhz"}
    assert entry["match"].startswith("^")
    assert entry["match"].endswith("$")
    assert ("bandwidth_gb_s" not in entry) == (entry["match"].strip("^$") in NO_BANDWIDTH)
    assert 100 < entry.get("bandwidth_gb_s", 1000) <= 8000
    rates = entry["tflops"]
    assert {"fp32", "fp16"} <= set(rates) <= set(PRECISIONS)
    assert len(entry["source"]) > 10


# Dense multiply-adds a clock and SM with float32 accumulation, by compute capability. Sources: NVIDIA's architecture
# whitepapers, and https://forums.developer.nvidia.com/t/244727 for 8.0 and 9.0.
MULTIPLY_ADDS = {
    7.5: {"fp32": 64, "fp16": 512},
    8.0: {"fp32": 64, "tf32": 512, "fp16": 1024, "bf16": 1024},
    8.6: {"fp32": 128, "tf32": 256, "fp16": 512, "bf16": 512},
    8.9: {"fp32": 128, "tf32": 256, "fp16": 512, "bf16": 512},
    9.0: {"fp32": 128, "tf32": 1024, "fp16": 2048, "bf16": 2048},
    10.0: {"fp32": 128, "tf32": 2048, "fp16": 4096, "bf16": 4096},
    12.0: {"fp32": 128, "tf32": 256, "fp16": 512, "bf16": 512},
}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["match"])
def test_rates_follow_from_the_number_of_sms_and_their_clock(entry):
    per_clock = MULTIPLY_ADDS[entry["compute_capability"]]
    assert set(entry["tflops"]) == set(per_clock)
    for precision, rate in entry["tflops"].items():
        # GeForce cards accumulate in float32 at half the rate of the same chip on a professional card.
        halved = 2 if "GeForce" in entry["match"] and precision != "fp32" else 1
        clock = entry["boost_mhz"] if precision == "fp32" else entry.get("tensor_boost_mhz", entry["boost_mhz"])
        derived = 2 * per_clock[precision] / halved * entry["sms"] * clock * 1e6 / 1e12
        assert rate == pytest.approx(derived, rel=0.01), precision


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
