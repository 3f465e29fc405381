"""How many threads a computation gets."""

import os

import psutil
import pytest

from speedgrid.threads import physical_cores


@pytest.mark.parametrize(
    ("cores", "allowed", "threads"),
    [(4, 8, 4), (8, 2, 2), (4, 4, 4), (None, 3, 3)],
)
def test_threads_are_physical_cores_as_far_as_the_process_may_use_them(monkeypatch, cores, allowed, threads):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(allowed)), raising=False)
    assert physical_cores() == threads
