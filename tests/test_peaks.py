"""Peak rates: data sheets, a matrix product and a copy."""

import re
import sys
from types import SimpleNamespace

import pytest
import yaml

from speedgrid.machine import data_sheet, gpus, locks
from speedgrid.measure import energy, peaks
from speedgrid.precision import PRECISIONS

ENTRIES = yaml.safe_load(data_sheet.HARDWARE_FILE.read_text())["devices"]


# Names as NVML gives them, each with a figure that no other form factor or size of that GPU has.
GTX = {"1050": 5, "1050 Ti": 6, "1060 3GB": 9, "1060 6GB": 10, "1070": 15, "1070 Ti": 19, "1080": 20, "1080 Ti": 28}
RTX = {
    "2060": 30,
    "2060 SUPER": 34,
    "2070": 36,
    "2070 SUPER": 40,
    "2080": 46,
    "2080 SUPER": 48,
    "3050": 20,
    "3060 Ti": 38,
    "3070": 46,
    "3070 Ti": 48,
    "3080 Ti": 80,
    "3090 Ti": 84,
    "4060": 24,
    "4060 Ti": 34,
    "4070 SUPER": 56,
    "4070 Ti": 60,
    "4070 Ti SUPER": 66,
    "4080 SUPER": 80,
}
JETSON = {
    "Nano": 1,
    "TX1": 2,
    "TX2": 2,
    "Xavier NX": 6,
    "AGX Xavier": 8,
    "Orin Nano": 8,
    "Orin NX": 8,
    "AGX Orin": 16,
    "AGX Thor": 20,
}
INSTINCT = {
    "MI210": 1638,
    "MI250": 3277,
    "MI250X": 3277,
    "MI300A": 5300,
    "MI300X": 5300,
    "MI325X": 6000,
    "MI350X": 8000,
    "MI355X": 8000,
}
APPLE = {"M1": 8, "M1 Pro": 24, "M1 Max": 48, "M1 Ultra": 96, "M2": 8}
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
    "NVIDIA GeForce RTX 4060 Laptop GPU": ("sms", 24),
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
    **{f"NVIDIA GeForce GTX {name}": ("sms", sms) for name, sms in GTX.items()},
    **{f"NVIDIA GeForce RTX {name}": ("sms", sms) for name, sms in RTX.items()},
    **{f"NVIDIA Jetson {name}": ("sms", sms) for name, sms in JETSON.items()},
    **{f"AMD Instinct {name}": ("bandwidth_gb_s", gb_s) for name, gb_s in INSTINCT.items()},
    **{f"Apple {name}": ("cache_mb", cache) for name, cache in APPLE.items()},
    "GeForce GTX 1080 Ti": ("bandwidth_gb_s", 484),  # as older drivers name it
    "NVIDIA TITAN X (Pascal)": ("sms", 28),
    "NVIDIA TITAN Xp": ("sms", 30),
    "NVIDIA TITAN V": ("sms", 80),
    "TITAN RTX": ("sms", 72),
    "Tesla P4": ("sms", 20),
    "Tesla P40": ("sms", 30),
    "Tesla P100-PCIE-16GB": ("boost_mhz", 1303),
    "Tesla P100-SXM2-16GB": ("boost_mhz", 1480),
    "Tesla V100-PCIE-16GB": ("boost_mhz", 1380),
    "Tesla V100-PCIE-32GB": ("boost_mhz", 1380),
    "Tesla V100-SXM2-16GB": ("boost_mhz", 1530),
    "Tesla V100-SXM2-32GB": ("boost_mhz", 1530),
    "Tesla V100S-PCIE-32GB": ("bandwidth_gb_s", 1134),
    "NVIDIA A30": ("sms", 56),
    "NVIDIA A10G": ("sms", 80),
    "NVIDIA L40": ("boost_mhz", 2490),
}


@pytest.fixture
def read_once(monkeypatch):
    """Let all names be looked up in the file as it was read once."""
    found = data_sheet.sheets()
    monkeypatch.setattr(data_sheet, "sheets", lambda: found)


def test_a_gpu_gets_its_own_data_sheet(read_once):
    found = {name: (figure, data_sheet.data_sheet(name)[figure]) for name, (figure, _) in NAMES.items()}
    assert found == NAMES
    matches = {name: [entry["match"] for entry in ENTRIES if re.search(entry["match"], name)] for name in NAMES}
    assert {name: found for name, found in matches.items() if len(found) != 1} == {}


def test_every_entry_has_a_gpu(read_once):
    assert {data_sheet.data_sheet(name)["match"] for name in NAMES} == {entry["match"] for entry in ENTRIES}


def test_a_device_without_a_data_sheet_gets_none(read_once):
    names = [
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4070 Ti Laptop GPU",
        "NVIDIA GeForce RTX 3080 Ti Laptop GPU",
        "NVIDIA GeForce GTX 1060",
        "NVIDIA GeForce GTX 970",
        "AMD Instinct MI100",
        "Apple M3",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA A100-SXM-64GB",
        "NVIDIA H100 80GB HBM2e",
        "NVIDIA GH200 480GB",
        "NVIDIA GB200",
        "NVIDIA RTX PRO 6000 Blackwell Server Edition",
        "Quadro RTX 6000",
        "AMD EPYC 9654 (8 CPUs)",
        "no GPU",
        "",
    ]
    assert [name for name in names if data_sheet.data_sheet(name) is not None] == []


@pytest.mark.parametrize("turn", [1, -1])
def test_the_longest_match_wins_in_any_order(tmp_path, monkeypatch, turn):
    entries = [{"match": match, "tflops": {}, "source": match} for match in ("GPU", "GPU 9", "GPU 9.*GB")]
    (tmp_path / "hardware.yaml").write_text(yaml.safe_dump({"devices": entries[::turn]}))
    monkeypatch.setattr(data_sheet, "HARDWARE_FILE", tmp_path / "hardware.yaml")
    assert data_sheet.data_sheet("GPU 9 80GB")["source"] == "GPU 9.*GB"
    assert data_sheet.data_sheet("GPU 9")["source"] == "GPU 9"
    assert data_sheet.data_sheet("GPU 8")["source"] == "GPU"


REQUIRED = {"match", "tflops", "source"}
# Of NVIDIA's, from which their rates follow.
DERIVED = {"compute_capability", "sms", "boost_mhz"}
NVIDIAS = [one for one in ENTRIES if not re.match(r"\^(AMD|Apple) ", one["match"])]
# Two cards of one name have different memories.
NO_BANDWIDTH = {
    "NVIDIA GeForce RTX 3060",
    "NVIDIA GeForce RTX 3080",
    "NVIDIA GeForce RTX 4060 Laptop GPU",
    "NVIDIA GeForce RTX 4070",
}


def test_an_entry_of_the_hardware_file_is_well_formed():
    optional = {"bandwidth_gb_s", "cache_mb"}
    more = {one["match"]: DERIVED | {"tensor_boost_mhz"} if one in NVIDIAS else set() for one in ENTRIES}
    wrong = {
        "keys": [one for one in ENTRIES if not REQUIRED <= set(one) <= REQUIRED | optional | more[one["match"]]],
        "what rates follow from": [one for one in NVIDIAS if not set(one) >= DERIVED],
        "cache": [one for one in ENTRIES if not 0 < one.get("cache_mb", 0) <= 256],
        "match": [one for one in ENTRIES if not re.fullmatch(r"\^.*\$", one["match"])],
        "which bandwidths": [
            one for one in ENTRIES if ("bandwidth_gb_s" in one) == (one["match"].strip("^$") in NO_BANDWIDTH)
        ],
        "bandwidth": [one for one in ENTRIES if not 20 < one.get("bandwidth_gb_s", 1000) <= 8000],
        "precisions": [one for one in ENTRIES if not {"fp32"} <= set(one["tflops"]) <= set(PRECISIONS)],
        "source": [one for one in ENTRIES if "https://" not in one["source"] and "http://" not in one["source"]],
    }
    assert {what: [one["match"] for one in entries] for what, entries in wrong.items() if entries} == {}


# Dense multiply-adds a clock and SM with float32 accumulation, by compute capability. Sources: NVIDIA's architecture
# whitepapers, and https://forums.developer.nvidia.com/t/244727 for 8.0 and 9.0. Orin (8.7) has the tensor cores of 8.0:
# its 8 SMs at 1020 MHz do 33 TOPS (dense) and 17 TFLOPS in float16.
# https://developer.nvidia.com/blog/nvidia-jetson-orin-nano-developer-kit-gets-a-super-boost/
MULTIPLY_ADDS = {
    5.3: {"fp32": 128, "fp16": 256},
    6.0: {"fp32": 64, "fp16": 128},
    6.1: {"fp32": 128, "int8": 512},
    6.2: {"fp32": 128, "fp16": 256},
    7.0: {"fp32": 64, "fp16": 512},
    7.2: {"fp32": 64, "fp16": 512, "int8": 1024},
    7.5: {"fp32": 64, "fp16": 512, "int8": 1024},
    8.0: {"fp32": 64, "tf32": 512, "fp16": 1024, "bf16": 1024, "int8": 2048},
    8.6: {"fp32": 128, "tf32": 256, "fp16": 512, "bf16": 512, "int8": 1024},
    8.7: {"fp32": 128, "tf32": 512, "fp16": 1024, "bf16": 1024, "int8": 2048},
    8.9: {"fp32": 128, "tf32": 256, "fp16": 512, "bf16": 512, "int8": 1024, "fp8": 1024},
    9.0: {"fp32": 128, "tf32": 1024, "fp16": 2048, "bf16": 2048, "int8": 4096, "fp8": 4096},
    10.0: {"fp32": 128, "tf32": 2048, "fp16": 4096, "bf16": 4096, "int8": 8192, "fp8": 8192},
    11.0: {"fp32": 128},
    12.0: {"fp32": 128, "tf32": 256, "fp16": 512, "bf16": 512, "int8": 1024, "fp8": 1024},
}


def derived(entry: dict) -> dict[str, float]:
    """Return the rates in TFLOPS that follow from the number of SMs and their clock, by precision."""
    rates = {}
    for precision, per_clock in MULTIPLY_ADDS[entry["compute_capability"]].items():
        # GeForce cards accumulate in float32 at half the rate of the same chip on a professional card.
        halved = 2 if "GeForce" in entry["match"] and precision not in ("fp32", "int8") else 1
        clock = entry["boost_mhz"] if precision == "fp32" else entry.get("tensor_boost_mhz", entry["boost_mhz"])
        rates[precision] = 2 * per_clock / halved * entry["sms"] * clock * 1e6 / 1e12
    return rates


def test_rates_follow_from_the_number_of_sms_and_their_clock():
    others = {entry["match"]: (entry["tflops"], derived(entry)) for entry in NVIDIAS}
    wrong = {name: pair for name, pair in others.items() if pair[0] != pytest.approx(pair[1], rel=0.01)}
    # Of a card with half its tensor cores, and of modules with accelerators beside the GPU, what the sheet says.
    assert set(wrong) == {"^NVIDIA A10G$", *(f"^NVIDIA Jetson {name}$" for name in WITH_ACCELERATORS)}
    assert [pair[0]["fp32"] / pair[1]["fp32"] for pair in wrong.values()] == pytest.approx([1.0] * 6, rel=0.01)


WITH_ACCELERATORS = ("Xavier NX", "AGX Xavier", "Orin NX", "AGX Orin", "AGX Thor")
# Before these there were no tensor cores, or those of a precision alone; and devices of other vendors are others.
OTHERS = ("Tesla V", "Tesla P", "GTX", "TITAN V", "TITAN X", "A10G", "Jetson", "AMD", "Apple")


def dense(entry: dict) -> bool:
    """Tell if tensor cores halve with each doubling of width: a sparse figure would show as a ratio of 4 or 1."""
    rates = entry["tflops"]
    # A float8 or int8 product is twice as wide as a float16 one; GeForce cards halve all but int8.
    ratios = {"int8": 4 if "GeForce" in entry["match"] else 2, "fp8": 2, "bf16": 1, "tf32": 0.5}
    found = {name: rates[name] / rates["fp16"] for name in ratios if name in rates}
    right = found == pytest.approx({name: ratios[name] for name in found}, rel=0.01)
    return right and "int8" in rates and rates.get("tf32", rates["fp16"]) >= rates["fp32"]


def test_rates_are_dense():
    known = [entry for entry in ENTRIES if not any(name in entry["match"] for name in OTHERS)]
    assert len(known) > 40
    assert [entry["match"] for entry in known if not dense(entry)] == []


def test_no_device_has_two_entries():
    matches = [entry["match"] for entry in ENTRIES]
    assert len(set(matches)) == len(matches)


def test_a_cpu_has_a_rate_in_fp32_alone(no_gpu):
    rates = peaks.measure_all("cpu", ["fp16", "tf32", "fp32"])
    assert rates["reason"] == ""
    assert rates["gemm_tflops"]["fp16"] is rates["gemm_tflops"]["tf32"] is None
    assert 0.001 < rates["gemm_tflops"]["fp32"] < 100


def test_a_cpu_copies_and_has_no_idle_power(no_gpu, monkeypatch):
    monkeypatch.setattr(peaks, "measure_gemm", lambda device, precision: 1.0)
    measured = peaks.measure_all("cpu", ["fp32"])
    assert set(measured) == {"gemm_tflops", "copy_gb_s", "cache_mb", "idle_power_w", "reason"}
    assert 0.1 < measured["copy_gb_s"] < 5000
    assert measured["idle_power_w"] is None


def test_rates_of_a_cpu_are_measured_while_nothing_else_works_on_it(no_gpu, monkeypatch):
    held = []
    for name in ("measure_gemm", "measure_copy"):
        monkeypatch.setattr(peaks, name, lambda *_: held.append(not locks.free("cpu")))
    peaks.measure_all("cpu", ["fp32"])
    assert held == [True, True]
    assert locks.free("cpu")


def test_a_copy_counts_what_is_read_and_what_is_written(monkeypatch):
    monkeypatch.setattr(peaks, "copied_bytes", lambda device: 4_000_000)
    monkeypatch.setattr(peaks, "median_seconds", lambda call, wait, together: 0.001)
    assert peaks.measure_copy("cpu") == 8.0


@pytest.mark.parametrize(("seconds", "bandwidth"), [([0.001, 0.002], 8.0), ([0.004, 0.002], 4.0)])
def test_the_faster_copy_of_a_cpu_counts(monkeypatch, seconds, bandwidth):
    monkeypatch.setattr(peaks, "copied_bytes", lambda device: 4_000_000)
    monkeypatch.setattr(peaks, "median_seconds", lambda call, wait, together: seconds.pop(0))
    assert peaks.measure_copy("cpu") == bandwidth


def make_caches(folder, caches):
    """Write what Linux says of caches: (core, index) -> (level, cores that share it, size)."""
    for (core, index), facts in caches.items():
        place = folder / f"cpu{core}" / "cache" / f"index{index}"
        place.mkdir(parents=True)
        for name, fact in zip(("level", "shared_cpu_list", "size"), facts, strict=True):
            if fact is not None:
                (place / name).write_text(f"{fact}\n")


TWO_SOCKETS = {
    (core, index): facts
    for core in range(4)
    for index, facts in enumerate(
        [(1, str(core), "32K"), (2, str(core), "1024K"), (3, "0-1" if core < 2 else "2-3", "32768K")]
    )
}


@pytest.mark.parametrize(
    ("caches", "megabytes"),
    [
        (TWO_SOCKETS, 2 * 33.554),
        ({(core, 2): (2, str(core), "512K") for core in range(4)}, 4 * 0.524),
        ({(0, 2): (2, "0", "512K"), (0, 3): (3, "0", None)}, 0.524),
        ({}, None),
    ],
    ids=["two sockets", "no third level", "a size is missing", "nothing"],
)
def test_each_cache_of_the_last_level_counts_once(tmp_path, monkeypatch, caches, megabytes):
    make_caches(tmp_path, caches)
    (tmp_path / "cpufreq").mkdir()
    monkeypatch.setattr(peaks, "CPU_CACHES", tmp_path)
    found = peaks.last_level_cache("cpu")
    assert found == (megabytes if megabytes is None else pytest.approx(megabytes, abs=0.002))


def test_a_system_that_shows_no_caches_has_none(monkeypatch, tmp_path):
    monkeypatch.setattr(peaks, "CPU_CACHES", tmp_path / "nowhere")
    assert peaks.last_level_cache("cpu") is None


@pytest.mark.parametrize(("cache", "expected"), [(None, 1 << 28), (32.0, 1 << 28), (1152.0, 4_608_000_000)])
def test_no_cache_of_a_cpu_holds_the_copied_buffer(monkeypatch, cache, expected):
    monkeypatch.setattr(peaks, "last_level_cache", lambda device: cache)
    assert peaks.copied_bytes("cpu") == expected


class FakeTorch:
    """Stands in for torch on a GPU with 50 MiB of L2."""

    def __init__(self, free):
        self.cuda, self.free, self.context = self, free, False

    def synchronize(self):
        self.context = True

    def mem_get_info(self):
        return self.free, 80 << 30

    def get_device_properties(self, index):
        return SimpleNamespace(L2_cache_size=50 << 20)


@pytest.mark.parametrize(("free", "expected"), [(80 << 30, 2 << 30), (4 << 30, 1 << 30)])
def test_the_copied_buffer_of_a_gpu_is_2_gib_or_a_quarter_of_what_is_free(monkeypatch, free, expected):
    monkeypatch.setitem(sys.modules, "torch", FakeTorch(free))
    assert peaks.copied_bytes("cuda") == expected


def test_the_cache_of_a_gpu_is_its_l2(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", FakeTorch(0))
    assert peaks.last_level_cache("cuda") == 52.429


@pytest.mark.parametrize(("power", "expected"), [(75.1234, 75.12), (None, None)])
def test_idle_power_is_with_a_context_and_no_reading_is_none(monkeypatch, power, expected):
    torch = FakeTorch(0)
    asked = []

    def mean_power(counter):
        asked.append(torch.context)
        return power

    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(energy, "EnergyCounter", lambda uuid: uuid)
    monkeypatch.setattr(energy, "mean_power", mean_power)
    assert peaks.idle_power("GPU-1") == expected
    assert asked == [True]


def test_a_gpu_is_claimed_and_idle_before_it_is_measured(monkeypatch):
    order = []
    monkeypatch.setattr(peaks, "missing", lambda device: None)
    monkeypatch.setattr(gpus, "claim", lambda: order.append("claim") or "GPU-1")
    monkeypatch.setattr(gpus, "measure_alone", lambda: order.append("alone"))
    monkeypatch.setattr(peaks, "idle_power", lambda uuid: order.append(uuid) or 75.0)
    monkeypatch.setattr(peaks, "measure_gemm", lambda device, precision: order.append(precision) or 700.0)
    monkeypatch.setattr(peaks, "measure_copy", lambda device: order.append("copy") or 4300.0)
    monkeypatch.setattr(peaks, "last_level_cache", lambda device: 52.4)
    assert peaks.measure_all("cuda", ["fp32", "fp16"]) == {
        "gemm_tflops": {"fp32": 700.0, "fp16": 700.0},
        "copy_gb_s": 4300.0,
        "cache_mb": 52.4,
        "idle_power_w": 75.0,
        "reason": "",
    }
    assert order == ["claim", "alone", "GPU-1", "fp32", "fp16", "copy"]


def test_a_gpu_that_is_not_there_gives_no_rates_and_a_reason(no_gpu):
    rates = peaks.measure_all("cuda", ["fp32", "fp16"])
    assert rates["gemm_tflops"] == {"fp32": None, "fp16": None}
    assert rates["reason"].startswith("no NVIDIA GPU")
    assert rates["copy_gb_s"] is rates["cache_mb"] is rates["idle_power_w"] is None
