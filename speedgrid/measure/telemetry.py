"""Sample the GPU's clocks, power, temperature and utilisation in a process of its own, so that timing never waits.

Run as a program, it waits for a line on its standard input, then prints one JSON line a sample until that closes.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from statistics import median

INTERVAL_SECONDS = 0.05
# The GPU lowers its clock by itself under load, which is normal work; heat and faults are not.
POWER_CAP = "software power cap"
# Reasons for a lower clock that make a number unrepresentative (NVML, clocks event reasons).
THROTTLE_REASONS = {
    0x4: POWER_CAP,
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}


class Telemetry:
    """Sample the GPU `uuid` from `start()` to `stop()`; made earlier, it is ready. With no uuid nothing happens."""

    def __init__(self, uuid: str | None):
        self.process = None
        if uuid is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "speedgrid.measure.telemetry", uuid],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )

    def start(self) -> None:
        """Begin sampling, and wait for the first sample."""
        if self.process is not None:
            with contextlib.suppress(OSError):  # a sampler that is gone gives no samples
                self.process.stdin.write("\n")
                self.process.stdin.flush()
            self.process.stdout.readline()

    def stop(self) -> dict | None:
        """Stop the sampler and return the summary of its samples, or None where there are none."""
        if self.process is None:
            return None
        lines, _ = self.process.communicate()
        return summarise([json.loads(line) for line in lines.splitlines() if line.startswith("{")])


def summarise(samples: list[dict]) -> dict | None:
    """Reduce samples to medians and maxima. Clocks in MHz, power in W, temperature in C; no reading is None."""
    if not samples:
        return None

    def reduce(key, how):
        values = [sample[key] for sample in samples if sample.get(key) is not None]
        return how(values) if values else None

    reasons = 0
    for sample in samples:
        reasons |= sample.get("reasons") or 0
    return {
        "samples": len(samples),
        "sm_clock_mhz": reduce("sm_clock_mhz", median),
        "sm_clock_mhz_min": reduce("sm_clock_mhz", min),
        "power_w": reduce("power_w", median),
        "power_w_max": reduce("power_w", max),
        "temperature_c": reduce("temperature_c", max),
        "utilisation_percent": reduce("utilisation_percent", median),
        "throttled": [text for bit, text in THROTTLE_REASONS.items() if reasons & bit],
    }


def sample(api, handle) -> dict:
    """Read every quantity once; a quantity that this board does not give is None."""

    def ask(question):
        try:
            return question()
        except api.NVMLError:
            return None

    return {
        "time": time.time(),
        "sm_clock_mhz": ask(lambda: api.nvmlDeviceGetClockInfo(handle, api.NVML_CLOCK_SM)),
        "power_w": ask(lambda: api.nvmlDeviceGetPowerUsage(handle) / 1000),
        "temperature_c": ask(lambda: api.nvmlDeviceGetTemperature(handle, api.NVML_TEMPERATURE_GPU)),
        "utilisation_percent": ask(lambda: api.nvmlDeviceGetUtilizationRates(handle).gpu),
        "reasons": ask(lambda: api.nvmlDeviceGetCurrentClocksEventReasons(handle)),
    }


def main(uuid: str) -> None:
    """Print samples from the first line on standard input until it closes."""
    import select

    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    os.read(0, 1)
    while True:
        started = time.monotonic()
        print(json.dumps(sample(pynvml, handle)), flush=True)
        rest = max(0.0, INTERVAL_SECONDS - (time.monotonic() - started))
        if select.select([sys.stdin], [], [], rest)[0]:
            return


if __name__ == "__main__":
    main(sys.argv[1])
