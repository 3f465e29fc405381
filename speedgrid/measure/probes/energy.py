"""The probe of energy: joules of a call, by the counter of the GPU's driver, in calls back to back."""

from collections.abc import Iterator
from typing import Any

from speedgrid.measure import probes
from speedgrid.measure.energy import EnergyCounter, PerCall, per_call
from speedgrid.record import Record
from speedgrid.text.column import LOWER, MILLIJOULE, NUMBER, WATT, Column
from speedgrid.text.language import N_

ORDER, WITH_TIMING = 10, False
COLUMNS = (
    Column(
        "energy_mj_per_image",
        NUMBER,
        MILLIJOULE,
        LOWER,
        N_("energy per image"),
        "Energy of the whole GPU, idle power included, by NVML's counter over 20 of its updates of a loop that never "
        "waits; empty where that did not run at `throughput_fps`.",
        proven=True,
    ),
    Column(
        "energy_power_w",
        NUMBER,
        WATT,
        None,
        N_("power while energy was measured"),
        "Mean power of the whole GPU in the loop that `energy_mj_per_image` is from.",
    ),
)
# The column that they follow.
AFTER = "power_w"
SENTENCE = N_("`energy` is that of the whole GPU, idle power included, over 20 updates of its counter.")
# Energy is measured after the timing, so its rate is not exactly the same.
SAME_RATE = 0.1
# Energy and throughput are measured one after the other: clocks and power differ by this much between them.
POWER_TIMES_TIME = 0.25


def asked(cell, turn, device, timing, control) -> bool:
    """Whether a timing measures it: in the first round, since once is enough, at the resolutions that are asked for."""
    return device == "cuda" and turn == "round1" and cell.resolution in timing["energy_resolutions"]


def measure(session, context: probes.Context) -> PerCall | None:
    """Return the energy of a call, as of speedgrid.measure.energy.per_call; None without a counter."""
    return per_call(session, EnergyCounter(context.uuid), context.call_seconds)


def columns(records: list[Record], row: dict[str, Any]) -> dict[str, float | None]:
    """Return energy per image and the power it was measured at: of the first round whose calls ran at the row's rate.

    Energy belongs to a rate: a cell that waits for its host half of the time pays for an idle GPU with each image.
    """
    for used in probes.seen(records, "energy"):
        rate = used["calls"] * row["batch_size"] / used["seconds"]
        if abs(rate / row["throughput_fps"] - 1) <= SAME_RATE:
            joules = 1000 * used["joules_per_call"] / row["batch_size"]
            return {"energy_mj_per_image": joules, "energy_power_w": used["power_w"]}
    return {"energy_mj_per_image": None, "energy_power_w": None}


def checks(line: dict[str, Any]) -> Iterator[str]:
    """Energy is power times time: measured one after the other, they still multiply to each other."""
    joules, rate, watts = line["energy_mj_per_image"] / 1000, line["throughput_fps"], line["energy_power_w"]
    if joules * rate > watts * (1 + POWER_TIMES_TIME) or joules * rate < watts * (1 - POWER_TIMES_TIME):
        product = f"{joules:.6g} J an image x {rate:.6g} images/s = {joules * rate:.6g} W"
        yield f"energy x rate = {product}, not the power of {watts:.6g} W"
