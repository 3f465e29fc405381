"""Does the loop that serves streams agree with MLPerf's LoadGen on how late requests are?

    pip install mlcommons-loadgen
    python -m benchmarks.loadgen_agreement [CELLS]

Takes cells of a finished run (default 2, spread over the grid), loads each in a fresh fork, and drives the loaded
session by turns with LoadGen's Server scenario and with `serving.loop`: Poisson arrivals at the same rate, one request
a call, latency from the planned arrival. Prints LoadGen / speedgrid of the median and of the 99th percentile, with the
95 % interval of the mean logarithm over turns. The arrivals are drawn anew in each turn of either, which is most of
what the interval of the 99th percentile consists of. LoadGen hands requests over from a thread of its own, which waits
for the interpreter while the session's thread holds it: what that costs is in its figures and not in ours.
"""

import json
import queue
import sys
import tempfile
import threading
from pathlib import Path
from statistics import median

import numpy as np
from scipy import stats

from benchmarks.finished import cells, launcher, name
from benchmarks.loaded import answer, in_fork
from speedgrid.serving import figures, loop
from speedgrid.serving.arrivals import draw

# How often each has its turn, how long one is, and how busy the session is kept.
TURNS, SECONDS, UTILISATION = 6, 8.0, 0.7
SECONDS_TO_KNOW_THE_RATE = 2.0


class OneByOne:
    """A loaded session as `serving.loop` drives it: a call for each request, finished when `submit` returns."""

    def __init__(self, session):
        self.session = session

    def submit(self, size: int, frames: list[int]) -> None:
        """Run the session once, to its result."""
        with self.session.active():
            self.session.run()
            self.session.synchronize()

    def wait(self, call: object, moment: int | None = None) -> bool:
        """Return True at once."""
        return True


def measure(session, asked) -> dict:
    """Time a loaded session by turns; return its rate in calls a second and both percentiles in ms, turn by turn."""
    server, clock = OneByOne(session), loop.RealClock()
    began, calls = clock.now(), 0
    while (elapsed := clock.now() - began) < SECONDS_TO_KNOW_THE_RATE * 1e9:
        server.submit(1, [0])
        calls += 1
    rate = UTILISATION * 1e9 * calls / elapsed
    found: dict[str, list] = {"loadgen": [], "speedgrid": []}
    for turn in range(TURNS):
        pair = [("loadgen", by_loadgen), ("speedgrid", by_speedgrid)]
        for tool, drive in pair if turn % 2 else pair[::-1]:
            found[tool].append(drive(server, rate, turn))
    return {"rate": rate, **found}


def by_speedgrid(server, rate: float, turn: int) -> dict[str, float]:
    """Return the median and the 99th percentile of latency in ms of a turn of the loop."""
    blocks = max(1, round(SECONDS * rate / 100))
    arrivals = draw("poisson", 1, rate, blocks, turn, periods=100)
    served = loop.serve(arrivals, server, loop.Plan(lambda waiting: 1), loop.RealClock())
    seen = figures.figures(arrivals, served, 1e9)
    return {name: seen.latency_ms[name] for name in ("p50", "p99")}


def by_loadgen(server, rate: float, turn: int) -> dict[str, float]:
    """Return the same of a turn of LoadGen's Server scenario."""
    import mlperf_loadgen as loadgen

    requests: queue.SimpleQueue = queue.SimpleQueue()

    def serve_requests() -> None:
        while (sample := requests.get()) is not None:
            server.submit(1, [0])
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0)])

    worker = threading.Thread(target=serve_requests)
    worker.start()
    sut = loadgen.ConstructSUT(lambda samples: [requests.put(one) for one in samples], lambda: None)
    library = loadgen.ConstructQSL(1, 1, lambda indices: None, lambda indices: None)
    with tempfile.TemporaryDirectory() as folder:
        loadgen.StartTestWithLogSettings(sut, library, test_settings(rate, turn), log_settings(folder), "")
        requests.put(None)
        worker.join()
        text = (Path(folder) / "mlperf_log_detail.txt").read_text(encoding="utf-8")
    loadgen.DestroyQSL(library)
    loadgen.DestroySUT(sut)
    return percentiles(text)


def test_settings(rate: float, turn: int):
    """Return LoadGen's settings of a turn."""
    import mlperf_loadgen as loadgen

    asked = loadgen.TestSettings()
    asked.scenario, asked.mode = loadgen.TestScenario.Server, loadgen.TestMode.PerformanceOnly
    asked.server_target_qps, asked.server_target_latency_ns = rate, 1_000_000_000
    asked.min_duration_ms, asked.min_query_count = round(SECONDS * 1000), 1
    asked.max_query_count = round(SECONDS * rate)
    asked.schedule_rng_seed = turn + 1
    return asked


def log_settings(folder: str):
    """Return the settings of LoadGen's log."""
    import mlperf_loadgen as loadgen

    output = loadgen.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = folder, False
    found = loadgen.LogSettings()
    found.log_output, found.enable_trace = output, False
    return found


def percentiles(log: str) -> dict[str, float]:
    """Return the percentiles in ms that LoadGen's detailed log has, one JSON value a line after its prefix."""
    lines = [json.loads(line.removeprefix(":::MLLOG ")) for line in log.splitlines() if line.startswith(":::MLLOG ")]
    values = {line["key"]: line["value"] for line in lines}
    names = {"p50": "result_50.00_percentile_latency_ns", "p99": "result_99.00_percentile_latency_ns"}
    return {short: values[long] / 1e6 for short, long in names.items()}


def ratio(found: dict, percentile: str) -> tuple[float, float, float]:
    """Return LoadGen / speedgrid of a percentile with its 95 % interval over turns (Welch, on logarithms)."""
    logs = [np.log([turn[percentile] for turn in found[tool]]) for tool in ("loadgen", "speedgrid")]
    interval = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    return float(np.exp(logs[0].mean() - logs[1].mean())), float(np.exp(interval.low)), float(np.exp(interval.high))


def main(count: int) -> None:
    """Print both ratios of each cell."""
    with tempfile.TemporaryDirectory() as folder, launcher() as address:
        for first, *_ in cells(count):
            found = in_fork("benchmarks.loadgen_agreement", first, folder, address)
            told = [
                f"{percentile} {median(turn[percentile] for turn in found['speedgrid']):.3g} ms, LoadGen / speedgrid "
                "{:.3f} ({:.3f} to {:.3f})".format(*ratio(found, percentile))
                for percentile in ("p50", "p99")
            ]
            print(f"{name(first)} at {found['rate']:.0f} requests a second: {'; '.join(told)}", flush=True)


if __name__ == "__main__" and not answer(measure):
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
