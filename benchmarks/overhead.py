"""What a timing costs beyond its measuring windows, over a finished run. python -m benchmarks.overhead

Prints (wall time of all timing jobs - their warm-up, latency and throughput windows) / cells, in seconds, and where
the rest goes. A job's wall time lasts until the next timing job begins, so that scheduling is in it.
"""

import base64
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

# A longer pause between two timings is an interrupted run, not scheduling.
PAUSE_SECONDS = 60.0


def job_times(path: Path) -> tuple[float, float]:
    """Return (start, end) of the job that wrote `path`, from Snakemake's metadata."""
    name = base64.urlsafe_b64encode(str(path).encode()).decode()
    metadata = json.loads((Path(".snakemake/metadata") / name).read_text())
    return metadata["starttime"], metadata["endtime"]


def windows(record: dict) -> float:
    """Return the seconds in which a record's session was warmed up and timed."""
    samples = record["samples"]
    return samples["warmup_seconds"] + samples["timed_seconds"] + samples["throughput_seconds"]


def main() -> None:
    """Print the ratio and the mean seconds of each step."""
    jobs = []
    for path in Path("artifacts/timings").glob("*.json"):
        record = json.loads(path.read_text())
        if "samples" in record:
            jobs.append((*job_times(path), record))
    jobs.sort(key=lambda job: job[0])
    if not jobs:
        raise SystemExit("artifacts/timings holds no measured cell; run snakemake first")
    steps, walls = defaultdict(list), []
    for (start, end, record), following in zip(jobs, [*jobs[1:], None], strict=True):
        wall = following[0] - start if following and following[0] - start < PAUSE_SECONDS else end - start
        walls.append(wall)
        used = record["seconds"] | {"timing": max(0.0, record["seconds"]["timing"] - windows(record))}
        used["launch, schedule, write"] = wall - sum(record["seconds"].values())
        for step, seconds in used.items():
            steps[step].append(seconds)
    measuring = [windows(record) for _, _, record in jobs]
    print(f"overhead: {(sum(walls) - sum(measuring)) / len(jobs):.3f} s a cell, over {len(jobs)} cells")
    print(f"measuring windows: {mean(measuring):.3f} s a cell")
    for step, seconds in sorted(steps.items(), key=lambda item: -mean(item[1])):
        print(f"  {step:<26} {mean(seconds):7.3f} s")


if __name__ == "__main__":
    main()
