"""Streams under load for tests of what shows them: a record made on simulated time, as its readers have it."""

import copy
from functools import cache

from builders import make_serving

from speedgrid.serving.record import Serving
from speedgrid.serving.shown import streams_of

# Times of one call in ms by batch size: 100 images/s one by one, 250 by four.
SERVICE_MS = {1: 10.0, 4: 16.0}
FPS, DEADLINE_MS = 25.0, 40.0


@cache
def recorded() -> Serving:
    """Return the record of a place that serves 4 cameras of 25 FPS."""
    asked = {"fps": FPS, "deadline_ms": DEADLINE_MS, "batching": "greedy", "blocks": 360}
    return make_serving("resnet18-onnxruntime-fp32-r64", SERVICE_MS, **asked)


@cache
def _shown() -> dict:
    return streams_of(recorded())


def make_streams(backend: str = "onnxruntime", precision: str = "fp32", **changes) -> dict:
    """Return that record for its readers. changes: of the record itself."""
    found = copy.deepcopy(_shown())
    found["place"] |= {"backend": backend, "precision": precision}
    return found | changes
