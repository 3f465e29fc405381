"""Checkpoints as people have them: what a file is, what is in it, and which part of it is a model's weights.

    kinds      what a file is by its bytes: a checkpoint, or one sentence on what it is instead
    tensors    what is in a checkpoint, read as plain data
    inert      what is in one that also holds Python objects, with nothing of it run
    parts      the state dicts in it, and the one whose names are those of a model

Importing this package imports no torch.
"""

from speedgrid import InputError


class WeightsError(InputError):
    """Weights that cannot be used; the message names the file and what would be right."""
