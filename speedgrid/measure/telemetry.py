"""Sample the GPU's clocks, power, temperature and utilisation in a process of its own, so that timing never waits.

Run as a program, it waits for a line on its standard input, then prints one JSON line a sample until that closes.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import fields
from typing import Any

from speedgrid.record import Telemetry

INTERVAL_SECONDS = 0.05
QUANTITIES = tuple(field.name for field in fields(Telemetry))


class Sampler:
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
        if self.process is not None and self.process.stdin and self.process.stdout:
            with contextlib.suppress(OSError):  # a sampler that is gone gives no samples
                self.process.stdin.write("\n")
                self.process.stdin.flush()
            self.process.stdout.readline()

    def stop(self) -> Telemetry | None:
        """Stop sampling and return the readings, or None where there are none."""
        if self.process is None:
            return None
        lines, _ = self.process.communicate()
        return gather([json.loads(line) for line in lines.splitlines() if line.startswith("{")])


def gather(samples: list[dict[str, Any]]) -> Telemetry | None:
    """Return readings as of `sample`, read from JSON, quantity by quantity; None where there are none."""
    if not samples:
        return None
    readings: dict[str, list[Any]] = {name: [one.get(name) for one in samples] for name in QUANTITIES}
    return Telemetry(**readings)


def sample(api, handle) -> dict[str, float | None]:
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
