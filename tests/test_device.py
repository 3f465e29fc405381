"""Which device there is."""

import sys
import types

import pytest

from speedgrid.machine import device


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
