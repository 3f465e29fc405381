"""Which device there is."""

import sys
import types

import pytest

from speedgrid.machine import device, visible


class FakeNvml(types.ModuleType):
    """A driver with `gpus` GPUs, or none at all."""

    NVMLError = type("NVMLError", (Exception,), {})

    def __init__(self, gpus):
        super().__init__("pynvml")
        self.gpus, self.shutdowns = gpus, 0

    def nvmlInit(self):
        if self.gpus is None:
            raise self.NVMLError

    def nvmlShutdown(self):
        self.shutdowns += 1

    def nvmlDeviceGetCount(self):
        return self.gpus


@pytest.fixture
def driver(monkeypatch, request):
    fake = FakeNvml(request.param)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


@pytest.mark.parametrize(("driver", "count"), [(None, 0), (0, 0), (2, 2)], indirect=["driver"])
def test_gpus_are_counted_and_no_driver_counts_as_none(driver, count):
    assert device.gpu_count() == count


@pytest.mark.parametrize("driver", [None, 0], indirect=True)
def test_a_job_that_slurm_gave_gpus_which_the_driver_does_not_find_is_no_measurement_of_a_processor(
    driver, monkeypatch
):
    monkeypatch.setenv("SLURM_JOB_GPUS", "0,1")
    with pytest.raises(visible.GpuError, match=r"SLURM_JOB_GPUS is '0,1'.*NVML finds none.*write device: cpu"):
        device.resolve("auto")
    # Who says what is meant gets it: rows of a device that is not there, or of the processor.
    assert (device.resolve("cuda"), device.resolve("cpu")) == ("cuda", "cpu")


@pytest.mark.parametrize(("driver", "resolved"), [(None, "cpu"), (0, "cpu"), (1, "cuda")], indirect=["driver"])
def test_auto_takes_the_gpu_where_there_is_one(driver, resolved):
    assert device.resolve("auto") == resolved


@pytest.mark.parametrize("driver", [None], indirect=True)
@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_a_device_that_was_named_stays(driver, name):
    assert device.resolve(name) == name


@pytest.mark.parametrize("driver", [0], indirect=True)
def test_a_missing_gpu_is_explained_and_a_cpu_is_never_missing(driver):
    assert device.missing("cuda").startswith("no NVIDIA GPU on this machine")
    assert device.missing("cpu") is None


@pytest.mark.parametrize("driver", [1], indirect=True)
def test_nothing_is_missing_where_there_is_a_gpu(driver):
    assert device.missing("cuda") is None


@pytest.mark.parametrize("driver", [1], indirect=True)
def test_nvml_is_shut_down_also_after_an_exception(driver):
    with pytest.raises(KeyError), device.nvml():
        raise KeyError
    assert driver.shutdowns == 1


@pytest.mark.parametrize("driver", [None], indirect=True)
def test_an_exception_inside_is_not_swallowed_where_there_is_no_driver(driver):
    with pytest.raises(KeyError), device.nvml():
        raise KeyError
    assert driver.shutdowns == 0


class Cards(FakeNvml):
    """A driver whose GPUs have names, and some of which are divided."""

    def __init__(self, models, divided=()):
        super().__init__(len(models))
        self.models, self.divided = models, divided

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetUUID(self, index):
        return f"GPU-{index}{index}{index}-4c"

    def nvmlDeviceGetName(self, index):
        return self.models[index]

    def nvmlDeviceGetMigMode(self, index):
        if self.models[index] == "old":
            raise self.NVMLError
        return int(index in self.divided), 1


@pytest.fixture
def cards(monkeypatch):
    """Return a function that gives this machine GPUs and a value of CUDA_VISIBLE_DEVICES."""

    def give(models=("A", "A"), value=None, divided=(), **variables):
        monkeypatch.setitem(sys.modules, "pynvml", Cards(models, divided))
        monkeypatch.delenv(visible.VARIABLE, raising=False)
        if value is not None:
            monkeypatch.setenv(visible.VARIABLE, value)
        for name, text in variables.items():
            monkeypatch.setenv(name, text)

    return give


def refusal(name="auto"):
    """Return the sentence with which the GPUs that are chosen are refused for a device."""
    with pytest.raises(visible.GpuError) as caught:
        device.resolve(name)
    return str(caught.value)


@pytest.mark.parametrize("value", ["", "-1", " ", "none", "NoDevFiles"])
def test_gpus_that_are_hidden_are_not_planned_for(cards, value):
    cards(value=value)
    assert device.resolve("auto") == "cpu"
    assert device.resolve("cuda") == "cuda"
    assert device.missing("cuda") == f"CUDA_VISIBLE_DEVICES is {value!r} and hides the 2 GPUs of this machine"


@pytest.mark.parametrize(
    "value", [None, "0", "00", "1,0", "GPU-000", "GPU-111-4c", "GPU-000,1", "0,7", "0,,0", "1,-1,0"]
)
def test_gpus_that_are_chosen_are_planned_for(cards, value):
    cards(value=value)
    assert device.resolve("auto") == "cuda"
    assert device.missing("cuda") is None


@pytest.mark.parametrize(
    "value", ["7", "7,0", "-1,0", "GPU-9", "GPU-", "GPU", "G", "gpu-000-4c", "c00-4c", "cuda:0", "all", ",0"]
)
@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_name_that_is_no_gpu_is_said_where_cuda_would_see_none(cards, name, value):
    cards(value=value)
    assert refusal(name) == (
        f"CUDA_VISIBLE_DEVICES is {value!r}, whose first name is no GPU of this machine, so that CUDA sees none; "
        "name one of 0 (A, GPU-000-4c), 1 (A, GPU-111-4c), or unset it."
    )
    assert device.resolve("cpu") == "cpu"


@pytest.mark.parametrize(("value", "odd"), [("+0", "+0"), ("0x1", "0x1"), ("1,0abc", "0abc"), ("1gpu2", "1gpu2")])
def test_a_number_that_cuda_reads_otherwise_is_refused(cards, value, odd):
    cards(value=value)
    assert refusal() == (
        f"CUDA_VISIBLE_DEVICES is {value!r}, of which CUDA reads {odd!r} as another number than it looks like; write "
        "a plain one, such as 0."
    )


def test_a_number_of_more_bits_than_cuda_reads_is_refused(cards):
    cards(value="4294967296")
    with pytest.raises(visible.GpuError, match="'4294967296' as another number"):
        device.resolve("auto")


@pytest.mark.parametrize(("value", "name"), [("0,0", "0"), ("1,GPU-000,0", "0"), ("GPU-111,GPU-111-4c", "GPU-111-4c")])
def test_a_gpu_that_is_named_twice_is_refused_as_cuda_then_sees_none(cards, value, name):
    cards(value=value)
    assert refusal() == (
        f"CUDA_VISIBLE_DEVICES is {value!r}, which names the GPU {name} twice, so that CUDA sees none; name each once."
    )


def test_numbers_of_different_gpus_must_be_those_of_the_bus(cards):
    cards(("A", "B"), "1")
    with pytest.raises(
        visible.GpuError, match="CUDA numbers the fastest first, but NVML by the bus; set CUDA_DEVICE_ORDER"
    ):
        device.resolve("auto")
    cards(("A", "B"), "1", CUDA_DEVICE_ORDER="PCI_BUS_ID")
    assert device.resolve("auto") == "cuda"
    cards(("A", "B"), "GPU-111", CUDA_DEVICE_ORDER="FASTEST_FIRST")
    assert device.resolve("auto") == "cuda"


@pytest.mark.parametrize("value", ["MIG-1e7bfbd2-8f53-5ec8-b8a3-2a4ae0ac5e1c", "mig-GPU-000/1/0", "MIG-3,0"])
def test_an_instance_of_a_gpu_is_refused(cards, value):
    cards(value=value)
    with pytest.raises(
        visible.GpuError, match=r"names an instance of a GPU \(MIG\), of which clocks, power and memory"
    ):
        device.resolve("auto")


def test_a_gpu_that_is_divided_is_refused_and_the_others_are_not(cards):
    cards(divided=(0,))
    with pytest.raises(visible.GpuError, match=r"the GPU 0 \(A, GPU-000-4c\) is divided into instances \(MIG\)"):
        device.resolve("cuda")
    cards(("old", "old"), divided=())
    assert device.resolve("auto") == "cuda"
    cards(divided=(0,), value="1")
    assert device.resolve("auto") == "cuda"


def card(number):
    return visible.Card(number, f"GPU-{number}", "A")


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        (None, [0, 1, 2]),
        ("2,0", [2, 0]),
        ("0,0,1", [0, 1]),
        ("0,7,1", [0]),
        ("0,,1", [0]),
        ("7", []),
        (" 1 , 2 ", [1, 2]),
        ("GPU-2", [2]),
        ("GPU-", []),
        ("", []),
        ("-1", []),
    ],
)
def test_cuda_sees_what_comes_before_the_first_name_that_is_none(value, numbers):
    environment = {} if value is None else {visible.VARIABLE: value}
    assert [one.index for one in visible.chosen([card(number) for number in range(3)], environment)] == numbers
