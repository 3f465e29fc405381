"""What a timing costs beyond its measuring windows, over a finished run. python -m benchmarks.overhead

Prints (wall time of all timing jobs - their warm-up, latency and throughput windows) / cells, in seconds, and where
the rest goes. Cells that are loaded side by side share the time that this takes; scheduling is in it.
"""

from collections import defaultdict
from statistics import mean

from benchmarks.finished import in_timing, jobs, loop_of, overhead, told, wall_time, windows
from speedgrid.measure.probes import all_probes

# What a cell does once it has the GPU for itself.
MEASURING = ("telemetry", "timing", "parity", "end_to_end", *all_probes())


def main() -> None:
    """Print the ratio and the mean seconds of each step."""
    times, records = zip(*(found := jobs()), strict=True)
    if (beyond := overhead(found)) is None:
        raise SystemExit(f"overhead: {told(beyond)}")
    steps, measuring, wall = defaultdict(list), [windows(record) for record in records], wall_time(list(times))
    for (start, end), record in zip(times, records, strict=True):
        spent = record.seen.seconds
        used = dict(spent)
        for step, window in (("timing", in_timing(record)), ("back_to_back", loop_of(record).get("seconds", 0.0))):
            if step in used:
                used[step] = max(0.0, used[step] - window)
        used["launch, write, end"] = end - start - sum(spent.values())
        for step, seconds in used.items():
            steps[step].append(seconds)
    waiting = sum(mean(steps.pop(step, [0.0])) for step in ("claim", "queue"))
    print(f"overhead: {told(beyond)}, over {len(records)} cells")
    print(f"measuring windows: {mean(measuring):.3f} s a cell; all timings together: {wall:.0f} s")
    first = min(end - sum(record.seen.seconds.get(step, 0.0) for step in MEASURING) for (_, end), record in found)
    print(f"in it, until the first was measured (others were still built): {first - min(times)[0]:.0f} s")
    at_once = sum(end - start for start, end in times) / wall
    print(f"jobs at once: {at_once:.1f}; a cell waited {waiting:.3f} s for its turn; its other steps:")
    for step, seconds in sorted(steps.items(), key=lambda item: -mean(item[1])):
        print(f"  {step:<26} {mean(seconds):7.3f} s")


if __name__ == "__main__":
    main()
