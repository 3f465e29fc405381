"""How much memory a cell takes, as the difference to the same process before it loaded anything."""

import os
from contextlib import suppress
from pathlib import Path

from speedgrid.machine.device import nvml
from speedgrid.machine.proc import lines
from speedgrid.record import Memory

# Writing "5" here resets the peak that the Linux kernel keeps for a process (proc(5)).
PEAK_RESET = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


def reset_peak() -> None:
    """Have the kernel forget this process's peak, where it does: some containers do not let it."""
    if PEAK_RESET.exists():
        with suppress(OSError):
            PEAK_RESET.write_text("5", encoding="utf-8")


class MemoryMeter:
    """Read the memory of this process in MB (1e6 bytes): on the GPU `uuid` on CUDA, in RAM on the CPU.

    On CUDA the driver's account covers what torch's allocator cannot see: ONNX Runtime's arena, TensorRT's workspace,
    cuDNN's and cuBLAS's. The allocators keep their peak, so readings after load, warm-up and timing bound the peak
    from below by what was ever reserved. Where the driver does not list this process (some containers), the whole
    device is read instead (`whole_device`), which is right only while nothing else uses it.
    """

    def __init__(self, device: str, uuid: str | None = None):
        self.device, self.uuid, self.whole_device = device, uuid, False
        if device == "cpu":
            reset_peak()
        if device == "cuda":
            import torch

            torch.cuda.synchronize()  # makes the context, without which no process is listed
            self.whole_device = self.processes().get(os.getpid()) is None
        self.readings = {"baseline": self.now("VmRSS")}

    def now(self, field: str) -> float | None:
        """Return the memory of this process in MB (None: nobody tells); on the CPU, a field of proc(5)'s status."""
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()
            free, total = torch.cuda.mem_get_info()
            used = total - free if self.whole_device else self.processes().get(os.getpid())
            return None if used is None else round(used / 1e6, 3)
        words = [line.split() for line in lines(STATUS) if line.startswith(f"{field}:")]
        known = words and len(words[0]) > 1 and words[0][1].isdecimal()
        return round(int(words[0][1]) * 1024 / 1e6, 3) if known else None

    def processes(self) -> dict[int, int | None]:
        """Return the bytes that each process has on the GPU, by the driver's account; None where it cannot tell."""
        with nvml() as api:
            if not api or self.uuid is None:
                return {}
            try:
                listed = api.nvmlDeviceGetComputeRunningProcesses(api.nvmlDeviceGetHandleByUUID(self.uuid))
            except api.NVMLError:
                return {}
            return {process.pid: process.usedGpuMemory for process in listed}

    def others(self) -> int | None:
        """Return how many other processes have something on the GPU; None where the driver does not say."""
        known = self.device == "cuda" and not self.whole_device
        return len(self.processes().keys() - {os.getpid()}) if known else None

    def read(self, moment: str) -> None:
        """Keep a reading under a name; on the CPU, the peak since the meter was made."""
        self.readings[moment] = self.now("VmHWM")

    def found(self) -> Memory:
        """Return the readings, and how many other processes had something on the same GPU."""
        return Memory(dict(self.readings), self.whole_device, self.others())
