"""Whether this folder's model gives the answers of its report here, and at their speed: `python check.py`.

Ends with 0 if both are so, with 1 if the answers are others or cannot be had, with 2 if the speed alone is.
"""

import gc
import platform
import statistics
import sys
import time
from importlib import metadata

import numpy as np
from batches import ABOUT, HERE
from predict import Model

REPORT = ABOUT["report"]
# By how many dB an error may be larger than that of the report, as other kernels of one precision make it (fp16 and
# bf16 are 17 dB apart), and by which factor a call may be slower or faster.
DECIBELS, FACTOR = 10.0, 1.1


def main():
    """Check the machine, the versions, the answers and the speed, and say of each what was found."""
    model = Model()
    for name, here, there in (("device", device(), REPORT["device_name"]), *versions()):
        print(f"{name}: {here!a}" + ("" if here == there else f", and {there!a} in the report: figures may differ"))
    right = answers(model)
    as_fast = speed(model)
    sys.exit(0 if right and as_fast else 2 if right else 1)


def device():
    """Return the name of the device that the model runs on, as the report has it."""
    if ABOUT["device"] == "cuda":
        import torch

        return torch.cuda.get_device_name()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.processor() or platform.machine()} ({len(names) or 1} CPUs)"


def versions():
    """Yield the packages whose version is not the one in requirements.txt: name, version here, version there."""
    for line in (HERE / "requirements.txt").read_text(encoding="utf-8").splitlines():
        name, _, wanted = line.partition("==")
        if wanted and not name.startswith("#"):
            try:
                found = metadata.version(name)
            except metadata.PackageNotFoundError:
                found = "not installed"
            if found != wanted:
                yield name, found, wanted


def answers(model):
    """Say whether the model's answers to the reference images are as near to the right ones as in the report."""
    try:
        with np.load(HERE / "reference.npz") as file:
            inputs, right = ([file[f"{kind}{at}"] for at in range(len(ABOUT[kind]))] for kind in ("inputs", "outputs"))
    except Exception as error:  # of a ZIP file, of numpy
        sys.exit(f"{HERE / 'reference.npz'} is damaged ({error}); make deploy writes its folder again.")
    worst = min(map(decibels, model(*inputs), right))
    passed = worst >= REPORT["snr_db"] - DECIBELS
    words = "those of the report" if passed else "NOT those of the report"
    print(f"answers: {words}, {worst:.1f} dB SNR against the reference over {len(right[0])} images", end="")
    print(f"; the report has {REPORT['snr_db']:.1f} dB, and {DECIBELS:g} dB less pass")
    return passed


def decibels(found, right):
    """Return the signal-to-noise ratio in dB of outputs, all of them together; below any limit if one is not finite."""
    if found.shape != right.shape or not np.isfinite(found).all():
        return -np.inf
    noise = np.linalg.norm(found.astype(np.float64) - right) / max(np.linalg.norm(right), 1e-300)
    return -20 * np.log10(max(noise, 1e-16))


def speed(model):
    """Say whether a call takes as long as in the report; the model has been fed and run."""
    gc.disable()
    calls = []
    for seconds in (0.25, 1.0):  # to warm up, and to be counted
        calls.clear()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(calls) < 3:
            start = time.perf_counter()
            model.run()
            calls.append(1000 * (time.perf_counter() - start))
    latency, low, high = statistics.median(calls), REPORT["latency_ms_low"], REPORT["latency_ms_high"]
    passed = low / FACTOR <= latency <= high * FACTOR
    words = "that of the report" if passed else f"{'SLOWER' if latency > high else 'FASTER'} than the report's"
    print(f"speed: {words}, {latency:.4g} ms a call of {ABOUT['batch_size']} images (median of {len(calls)})", end="")
    print(f"; the report has {low:.4g} to {high:.4g} ms, and a factor of {FACTOR:g} beyond passes")
    return passed


if __name__ == "__main__":
    main()
