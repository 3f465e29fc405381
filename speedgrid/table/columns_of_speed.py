"""The columns of speed: what was timed, what follows from it, and what it is compared with."""

from speedgrid.text.column import (
    HIGHER,
    LOWER,
    MB,
    MHZ,
    MS,
    NONE,
    NUMBER,
    PERCENT,
    RATE,
    TFLOPS,
    WATT,
    Column,
)
from speedgrid.text.language import N_

SPEED = (
    Column(
        "latency_ms",
        NUMBER,
        MS,
        LOWER,
        N_("latency of one call"),
        "Median time of one call with one in flight, from the call to its finished result, on the host clock; its "
        "interval contains what differs between rounds.",
        interval=True,
        proven=True,
    ),
    *(
        Column(
            f"latency_p{percent}_ms",
            NUMBER,
            MS,
            LOWER,
            label,
            f"The time that {percent} % of the calls of all rounds do not exceed; empty where too few were timed.",
            proven=True,
        )
        for percent, label in (
            (90, N_("latency, 90th percentile")),
            (95, N_("latency, 95th percentile")),
            (99, N_("latency, 99th percentile")),
        )
    ),
    Column(
        "ms_per_image",
        NUMBER,
        MS,
        LOWER,
        N_("time per image"),
        "`latency_ms` / `batch_size`.",
        proven=True,
    ),
    Column(
        "fps",
        NUMBER,
        RATE,
        HIGHER,
        N_("images/s, one call at a time"),
        "1000 x `batch_size` / `latency_ms`: images a second where each call waits for the one before it.",
        proven=True,
    ),
    Column(
        "device_ms",
        NUMBER,
        MS,
        LOWER,
        N_("time on the device"),
        "Median time of a call between two CUDA events around it; empty on the CPU.",
        proven=True,
    ),
    Column(
        "submit_ms",
        NUMBER,
        MS,
        LOWER,
        N_("time to submit a call"),
        "Median time until the call returns to the host, its work not yet done; empty on the CPU.",
        proven=True,
    ),
)

EFFICIENCY = (
    Column(
        "tflops",
        NUMBER,
        TFLOPS,
        HIGHER,
        N_("TFLOPS"),
        "FLOP of an image, as 2 x multiply-adds of direct convolutions, x `fps`, in 10^12 a second.",
        proven=True,
    ),
    Column(
        "tflops_peak",
        NUMBER,
        TFLOPS,
        None,
        N_("TFLOPS of the peak"),
        "Data-sheet rate of the precision that ran, from `config/hardware.yaml`; `gemm_tflops` where none is known.",
    ),
    Column(
        "utilisation_percent",
        NUMBER,
        PERCENT,
        HIGHER,
        N_("% of peak"),
        "`tflops` as a share of `tflops_peak`.",
        proven=True,
    ),
    Column(
        "gemm_tflops",
        NUMBER,
        TFLOPS,
        None,
        N_("TFLOPS of a matrix product"),
        "Rate of a large matrix product measured on this device, in the precision that ran.",
    ),
    Column(
        "utilisation_of_gemm_percent",
        NUMBER,
        PERCENT,
        HIGHER,
        N_("% of a matrix product"),
        "`tflops` as a share of `gemm_tflops`; more than 100 where fewer operations are needed than are counted.",
        proven=True,
    ),
)

MEMORY = (
    Column(
        "memory_mb",
        NUMBER,
        MB,
        LOWER,
        N_("memory"),
        "The most, in 10^6 bytes, that the process held on its device (on the CPU: in RAM) beyond what it held before "
        "the model was loaded.",
    ),
)

SPEEDUP = (
    Column(
        "speedup",
        NUMBER,
        NONE,
        HIGHER,
        N_("speed-up over {reference}"),
        "`latency_ms` of the reference (`report.reference`) of the same model, resolution and batch size, over that of "
        "this row.",
        interval=True,
        proven=True,
    ),
    Column(
        "reference_ms",
        NUMBER,
        MS,
        LOWER,
        N_("latency of the reference"),
        "Of a run that was measured in several sessions: latency of the reference that this row's speed-up is over, as "
        "the row's own session has it.",
        proven=True,
    ),
)

TELEMETRY = (
    Column(
        "sm_clock_mhz",
        NUMBER,
        MHZ,
        None,
        N_("SM clock"),
        "Clock of the GPU's multiprocessors while the cell was timed, by NVML: median over rounds.",
    ),
    Column(
        "power_w",
        NUMBER,
        WATT,
        None,
        N_("power while timed"),
        "Power of the whole GPU while the cell was timed, by NVML: median over rounds.",
    ),
)
