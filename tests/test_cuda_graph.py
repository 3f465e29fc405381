"""Replaying a CUDA graph, as far as it can be shown without a GPU: what is captured, and that poison is seen."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from speedgrid.backends import cuda_graph
from speedgrid.backends.cuda_graph import WARM_CALLS, GraphSession, capture
from speedgrid.backends.session import TorchSession
from speedgrid.grid import Cell

CELL = Cell("resnet18", "pytorch_tuned", "fp32", 32, 2)


class Sums(torch.nn.Module):
    """Sums each channel, and counts its calls."""

    calls = 0

    def forward(self, images):
        self.calls += 1
        return images.sum(dim=(2, 3))


class Replay:
    """Stands for a torch.cuda.CUDAGraph: replaying writes into the output that was there at the capture."""

    def __init__(self, session):
        session.feed(np.zeros(session.shape, np.float32))
        with session.active():
            session.run()
        self.session, self.static = session, session.result

    def replay(self):
        self.static.copy_(self.session.input.sum(dim=(2, 3)))


@pytest.fixture
def replayed(monkeypatch):
    monkeypatch.setattr(cuda_graph, "capture", Replay)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextmanager(lambda: iter([None]))())
    return GraphSession(TorchSession(CELL, "cpu", Sums()))


def test_a_replay_sees_new_input_and_writes_the_output_that_was_captured(replayed):
    for value in (1.0, 2.0):
        replayed.feed(np.full(replayed.shape, value, np.float32))
        replayed.poison()
        assert np.isnan(replayed.output()).all()
        with replayed.active():
            replayed.run()
        assert (replayed.output() == value * 32 * 32).all()


def test_a_replay_that_writes_nothing_leaves_the_poison(replayed, monkeypatch):
    monkeypatch.setattr(replayed.graph, "replay", lambda: None)
    replayed.poison()
    with replayed.active():
        replayed.run()
    assert np.isnan(replayed.output()).all()


def test_it_takes_the_place_of_the_session_that_it_replays(replayed):
    inner = replayed.session
    assert replayed.input is inner.input
    assert replayed.result is inner.result
    assert (replayed.shape, replayed.dtype, replayed.stream) == (inner.shape, inner.dtype, inner.stream)
    assert replayed.details["cuda_graph"]


def test_libraries_have_chosen_and_allocated_before_the_one_call_that_is_captured(monkeypatch):
    module, captured = Sums(), []

    @contextmanager
    def recording(graph, stream, capture_error_mode):
        captured.append((module.calls, capture_error_mode))
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    capture(TorchSession(CELL, "cpu", module))
    assert WARM_CALLS >= 3
    assert captured == [(WARM_CALLS, "thread_local")]
    assert module.calls == WARM_CALLS + 1
