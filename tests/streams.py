"""Records of streams under load, made on simulated time: what a machine with these times of service would have seen."""

import copy
from functools import cache

from speedgrid.serving.arrivals import draw
from speedgrid.serving.batching import chooser
from speedgrid.serving.loop import Plan
from speedgrid.serving.record import loaded_of, run_of
from speedgrid.serving.replay import replay

# Times of one call in ms by batch size: 100 images/s one by one, 250 by four.
SERVICE_MS = {1: 10.0, 4: 16.0}
FPS, DEADLINE_MS, BLOCKS = 25.0, 40.0, 120


# What is confirmed, a kind of arrivals with its deadline and its numbers of streams: these pass, and the next do not.
CONFIRMED = (
    ("periodic", DEADLINE_MS, (4, 5)),
    ("synchronised", DEADLINE_MS, (6, 7)),
    ("poisson", DEADLINE_MS, (3, 4)),
    ("periodic", 2 * DEADLINE_MS, (10, 11)),
)


def make_streams(backend: str = "onnxruntime", precision: str = "fp32", **changes) -> dict:
    """Return the record of a place that serves 4 cameras of 25 FPS. changes: of the record itself."""
    found = copy.deepcopy(_record())
    found["place"] |= {"backend": backend, "precision": precision}
    return found | changes


def served(kind: str, streams: int, blocks: int, seed: int):
    """Return arrivals, and what became of them on simulated time."""
    service = {size: round(ms * 1e6) for size, ms in SERVICE_MS.items()}
    arrivals = draw(kind, streams, FPS, blocks, seed)
    return arrivals, replay(arrivals, service, Plan(chooser("greedy", sorted(service), streams, 1e9 / FPS)))


@cache
def _record() -> dict:
    probes = [run_of(*served("periodic", streams, 40, streams), DEADLINE_MS, False) for streams in range(2, 8)]
    confirming = [
        run_of(*served(kind, count, BLOCKS, 100 + seed), deadline, True)
        for kind, deadline, counts in CONFIRMED
        for count in counts
        for seed in range(3)
    ]
    asked = {"fps": FPS, "deadline_ms": DEADLINE_MS, "quantile": 0.99, "confidence": 0.95}
    asked |= {"batching": "greedy", "queue": "keep", "in_flight": 1, "seed": 1}
    place = {"model": "resnet18", "backend": "onnxruntime", "precision": "fp32", "resolution": 64}
    return {
        "status": "ok",
        "reason": "",
        "place": place | {"batch_sizes": sorted(SERVICE_MS)},
        "asked": asked,
        "service_ms": {str(size): ms for size, ms in SERVICE_MS.items()},
        "memory_mb": 120.0,
        "runs": [*probes, *confirming],
        "loaded": loaded_of(*served("periodic", 4, BLOCKS, 100), DEADLINE_MS),
    }
