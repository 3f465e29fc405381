"""Any session on CUDA replayed from a CUDA graph: its kernels are launched as one, with no work left for the host."""

from contextlib import contextmanager

from speedgrid.backends.session import Session, leaves, poison_of_tensor

# Calls before the capture: libraries choose kernels and allocate in their first ones, which a graph must not record.
# https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
WARM_CALLS = 3


class GraphSession(Session):
    """A session that replays the CUDA graph of one call of `session`.

    Input and output stay where they were when it was captured.
    session: loaded, on CUDA; its `run` must enqueue on its stream alone, and leave its output in `session.result`.
    """

    def __init__(self, session: Session):
        self.session = session
        self.shape, self.dtype, self.stream = session.shape, session.dtype, session.stream
        self.graph = capture(session)
        self.input, self.result = session.input, session.result
        # A dictionary of them, as some models return, or the only one.
        self.results = leaves(session.results if hasattr(session, "results") else session.result)
        self.details = session.details | {"cuda_graph": True}

    def feed(self, batch):
        self.session.feed(batch)

    def run(self):
        self.graph.replay()

    def poison(self):
        # On the stream of the replays, so that it overtakes none and none overtakes it.
        with self.active():
            for result in self.results:
                result.fill_(poison_of_tensor(result))

    def output(self):
        return self.session.output()

    @contextmanager
    def active(self):
        import torch

        # A graph is replayed on the current stream, and what was made in inference mode can be changed only there.
        with torch.inference_mode(), torch.cuda.stream(self.stream):
            yield self


def capture(session: Session):
    """Return a torch.cuda.CUDAGraph of one call of `session`, after WARM_CALLS calls on the session's own stream.

    Raises what torch raises if the call does something that a graph cannot record, such as waiting for the device.
    """
    import torch

    session.feed(session.zeros())
    with session.active():
        for _ in range(WARM_CALLS):
            session.run()
        session.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Only this thread's calls are recorded and restricted: libraries have threads of their own.
        with torch.cuda.graph(graph, stream=session.stream, capture_error_mode="thread_local"):
            session.run()
    session.synchronize()
    return graph
