"""What limits a cell, in one word, from figures that can be computed in the head."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speedgrid.table import limiter

# At 1 TFLOP/s and 1 GB/s: 1 ms of arithmetic and 0.4 + 0.2 x batch size ms of traffic, each in float32.
CONVOLUTION = {"flop": 10**9, "weight_elements": 100_000, "activation_elements": 50_000}
# 0.01 ms of arithmetic, and 4 ms of traffic at a batch size of 1, nearly all of it weights.
PRODUCT = {"flop": 10**7, "weight_elements": 999_000, "activation_elements": 1000}
PEAKS = {"gemm_tflops": {"fp32": 1.0, "fp16": 2.0, "bf16": None}, "copy_gb_s": 1.0}


def word(layers, device_ms, *, throttled=(), peaks=PEAKS, **changes):
    """Return the word for a row on a GPU that was submitted in no time."""
    row = {
        "latency_ms": 1000.0,
        "device_ms": device_ms,
        "submit_ms": 0.0,
        "batch_size": 1,
        "observed_precision": "fp32",
        **changes,
    }
    return limiter.limiter(row, layers, peaks, throttled)


@pytest.mark.parametrize(
    ("device_ms", "submit_ms", "expected"),
    [(1.0, 0.81, "host-launch-bound"), (1.0, 0.8, "compute-bound"), (1.0, 1.2, "host-launch-bound")],
)
def test_submitting_that_takes_more_than_four_fifths_of_the_device_binds(device_ms, submit_ms, expected):
    assert word([CONVOLUTION], device_ms, submit_ms=submit_ms) == expected


def test_the_power_limit_counts_only_where_the_host_keeps_up():
    capped = ["hardware slowdown", "software power cap"]
    assert word([CONVOLUTION], 1.0, throttled=capped) == "power-capped"
    assert word([CONVOLUTION], 1.0, throttled=["hardware slowdown"]) == "compute-bound"
    assert word([CONVOLUTION], 1.0, throttled=capped, submit_ms=0.9) == "host-launch-bound"


@pytest.mark.parametrize(("device_ms", "expected"), [(1.99, "compute-bound"), (2.01, "kernel-bound")])
def test_arithmetic_binds_where_it_explains_half_of_the_time(device_ms, expected):
    assert word([CONVOLUTION], device_ms) == expected


@pytest.mark.parametrize(("device_ms", "expected"), [(7.99, "memory-bound"), (8.01, "kernel-bound")])
def test_traffic_binds_where_it_explains_half_of_the_time(device_ms, expected):
    assert word([PRODUCT], device_ms) == expected


def test_weights_are_read_once_a_batch():
    # 256 x 0.01 ms of arithmetic; 256 x 0.004 + 3.996 ms of traffic, where weights for each image were 1024 ms.
    assert word([PRODUCT], 10.0, batch_size=256) == "memory-bound"
    assert word([PRODUCT], 11.0, batch_size=256) == "kernel-bound"
    # 1024 x 0.01 ms of arithmetic; 1024 x 0.004 + 3.996 ms of traffic.
    assert word([PRODUCT], 20.0, batch_size=1024) == "compute-bound"


def test_the_roofline_is_per_layer_and_the_larger_sum_gives_the_word():
    # Arithmetic 1.01 ms and traffic 4.6 ms; 1 + 4 ms where only the larger of each layer counts.
    assert limiter.roofline([CONVOLUTION, PRODUCT], 1, 4, 1.0, 1.0) == pytest.approx((1.01, 4.6, 5.0))
    assert word([CONVOLUTION, PRODUCT], 9.9) == "memory-bound"
    assert word([CONVOLUTION, PRODUCT], 10.1) == "kernel-bound"


def test_the_ceilings_are_those_of_the_precision_that_ran():
    # Half the arithmetic's time and half the bytes.
    assert word([CONVOLUTION], 1.01, observed_precision="fp16") == "kernel-bound"
    assert word([CONVOLUTION], 0.99, observed_precision="fp16") == "compute-bound"
    assert word([PRODUCT], 3.99, observed_precision="fp16") == "memory-bound"
    assert word([PRODUCT], 4.01, observed_precision="fp16") == "kernel-bound"


@pytest.mark.parametrize(("latency_ms", "expected"), [(1.99, "compute-bound"), (2.01, "kernel-bound")])
def test_on_a_cpu_the_latency_is_the_time_of_the_device(latency_ms, expected):
    assert word([CONVOLUTION], None, submit_ms=None, latency_ms=latency_ms) == expected


@pytest.mark.parametrize(
    ("peaks", "precision"),
    [(PEAKS, "bf16"), (PEAKS, "tf32"), (PEAKS | {"copy_gb_s": None}, "fp32"), (PEAKS, None)],
)
def test_without_a_ceiling_only_the_host_and_the_power_limit_can_be_told(peaks, precision):
    changes = {"peaks": peaks, "observed_precision": precision}
    assert word([CONVOLUTION], 1.0, **changes) is None
    assert word([CONVOLUTION], 1.0, submit_ms=0.9, **changes) == "host-launch-bound"
    assert word([CONVOLUTION], 1.0, throttled=["software power cap"], **changes) == "power-capped"


LAYERS = st.lists(
    st.fixed_dictionaries({name: st.integers(1, 10**9) for name in CONVOLUTION}),
    min_size=1,
    max_size=5,
)


@given(LAYERS, st.integers(1, 1024))
def test_the_roofline_lies_between_its_larger_part_and_their_sum(layers, batch_size):
    arithmetic, traffic, both = limiter.roofline(layers, batch_size, 4, 1.0, 1.0)
    assert max(arithmetic, traffic) <= both * (1 + 1e-9)
    assert both <= (arithmetic + traffic) * (1 + 1e-9)
