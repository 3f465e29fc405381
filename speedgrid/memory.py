"""How much memory a cell takes, as the difference to the same process before it loaded anything."""

from pathlib import Path

# Writing "5" here resets the peak that the Linux kernel keeps for a process (proc(5)).
PEAK_RESET = Path("/proc/self/clear_refs")


class MemoryMeter:
    """Read memory in MB (1e6 bytes): of the whole device on CUDA, of this process on the CPU.

    On CUDA the device's own account covers what torch's allocator cannot see: ONNX Runtime's arena, TensorRT's
    workspace, cuDNN's and cuBLAS's. It is right only while nothing else uses the GPU. The allocators keep their
    peak, so readings after load, warm-up and timing bound the peak from below by what was ever reserved.
    """

    def __init__(self, device: str):
        self.device = device
        if device == "cpu" and PEAK_RESET.exists():
            PEAK_RESET.write_text("5")
        self.readings = {"baseline": self.now("VmRSS")}

    def now(self, field: str) -> float:
        """Return what the device has in use; on the CPU, a field of proc(5)'s status of this process."""
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()
            free, total = torch.cuda.mem_get_info()
            return round((total - free) / 1e6, 3)
        status = Path("/proc/self/status").read_text()
        return round(int(status.split(f"{field}:")[1].split()[0]) * 1024 / 1e6, 3)

    def read(self, moment: str) -> None:
        """Keep a reading under a name; on the CPU, the peak since the meter was made."""
        self.readings[moment] = self.now("VmHWM")

    def peak_mb(self) -> float:
        """Return the largest reading less the baseline."""
        return round(max(self.readings.values()) - self.readings["baseline"], 3)
