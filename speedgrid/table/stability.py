"""Say which rows cannot be repeated well, and why, in words: they are marked and kept."""

import numpy as np

from speedgrid.measure.host import pace_of
from speedgrid.measure.telemetry import POWER_CAP

# A row is unstable when its 95 % interval reaches further than this from its latency on either side.
WIDEST = 0.10
# So many cores busy with something else make the host's part of a latency doubtful.
BUSY_CORES = 1.0
# So many times as long for the same work is another processor, as far as a call that waits for it is concerned.
SLOWER = 1.2


def throttled(records: list[dict]) -> list[str]:
    """Return why the GPU lowered its clock in any round of a cell, each reason once."""
    return sorted({reason for record in records for reason in (record["telemetry"] or {}).get("throttled", ())})


def unstable(records: list[dict], latency: float, low: float, high: float) -> str:
    """Return why a cell is unstable, as one clause; empty if it is not.

    records: its rounds, at least one. latency, low, high: the row's, in ms.
    """
    found = []
    if max(1 - low / latency, high / latency - 1) > WIDEST:
        medians = [f"{np.median(record['samples']['host_ms']):.3g}" for record in records]
        what = f"the rounds' medians are {', '.join(medians)} ms" if len(records) > 1 else "its calls differ"
        found.append(f"its interval reaches from {low / latency - 1:+.0%} to {high / latency - 1:+.0%}: {what}")
    if reasons := [reason for reason in throttled(records) if reason != POWER_CAP]:
        found.append(f"the GPU lowered its clock ({', '.join(reasons)})")
    if found and (busy := busiest(records)) > BUSY_CORES:
        found.append(f"up to {busy:.1f} cores were busy with something else")
    paces = [one for one in map(pace_of, records) if one]
    if found and len(paces) > 1 and (ratio := max(paces) / min(paces)) > SLOWER:
        took = ", ".join(f"{one:.3g}" for one in paces)
        found.append(f"the processor itself was up to {ratio:.1f} times slower (a fixed loop took {took} ms)")
    return "; ".join(found)


def busiest(records: list[dict]) -> float:
    """Return how many cores were busy elsewhere, or stolen, in the worst round."""
    return max(elsewhere(record) or 0.0 for record in records)


def elsewhere(record: dict) -> float | None:
    """Return how many cores something else had while a cell was measured; None where the system did not tell."""
    host = record.get("host")
    return host["busy_elsewhere_cores"] + host["stolen_cores"] if host else None


def hosts(records: list[dict]) -> dict:
    """Return what the host did during all measurements: `neighbours` and `processor`, None where it is not known."""
    return {"neighbours": neighbours(records), "processor": processor(records)}


def processor(records: list[dict]) -> dict | None:
    """Return how long that took around all measurements: `best_ms`, `median_ms`, `worst_ms`, and `slow_percent`.

    slow_percent: of how many of them it took SLOWER times the best, or more.
    """
    known = np.array([one for one in map(pace_of, records) if one])
    if not len(known):
        return None
    return {
        "best_ms": float(known.min()),
        "median_ms": float(np.median(known)),
        "worst_ms": float(known.max()),
        "slow_percent": float(100 * np.mean(known > SLOWER * known.min())),
    }


def neighbours(records: list[dict]) -> dict | None:
    """Return how many cores were busy elsewhere during all measurements, `median_cores` and `most_cores`."""
    known = [cores for cores in map(elsewhere, records) if cores is not None]
    return {"median_cores": float(np.median(known)), "most_cores": max(known)} if known else None
