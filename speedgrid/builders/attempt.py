"""Build what a backend loads, or record why it cannot be built: one way for all compilers."""

import traceback
from collections.abc import Callable
from typing import Any, TypeAlias

from speedgrid import InputError, backends
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import one_line, unmade
from speedgrid.machine import gpus

# The record of a build, as plain JSON values: `status`, `reason`, `build_seconds`, and what its compiler has to say.
Build: TypeAlias = dict[str, Any]


def attempt(cell: Cell, device: str, output: str, compile_: Callable[[], Build], alone: bool = False) -> Build:
    """Have `compile_` write `output` for a cell, and return the build record: what it returns, with its status.

    Where the cell cannot run here or the compiler gives up, `output` is empty and the record has the status and
    reason that the cells of this file then show. alone: the compiler times kernels, and so wants the GPU to itself.
    """
    record: Build = {"status": "ok", "reason": "", "build_seconds": None}
    if refusal := backends.refusal(cell, device):
        status, reason = refusal
        return record | unmade(output, reason, status)
    try:
        with gpus.working(alone=alone):
            return record | compile_()
    except InputError:  # a damaged file says nothing of the compiler
        raise
    except Exception as error:
        traceback.print_exc()
        lost = unmade(output, f"engine build: {one_line(error)}")
        return record | lost | {"traceback": traceback.format_exc()}
