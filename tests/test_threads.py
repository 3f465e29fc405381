"""How many threads a computation gets."""

import os

import psutil
import pytest

from speedgrid.machine.threads import physical_cores, session_threads


@pytest.mark.parametrize(
    ("cores", "allowed", "threads"),
    [(4, 8, 4), (8, 2, 2), (4, 4, 4), (None, 3, 3)],
)
def test_threads_are_physical_cores_as_far_as_the_process_may_use_them(monkeypatch, cores, allowed, threads):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(allowed)), raising=False)
    assert physical_cores() == threads


def test_what_is_measured_on_a_cpu_has_the_threads_that_are_asked_for_and_on_a_gpu_few_to_load_it():
    assert session_threads("cpu", 16) == 16
    assert session_threads("cuda", 16) in (1, 2)
