"""Rounding of what a model's operators read and write, for a module with no layers to hook: a saved program."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

Rounding = Callable[[torch.Tensor], torch.Tensor]
aten = torch.ops.aten
# Operators that convolve or multiply matrices, and which of their arguments are the two factors.
PRODUCTS = {
    aten.convolution.default: (0, 1),
    aten.conv2d.default: (0, 1),
    aten.linear.default: (0, 1),
    aten.mm.default: (0, 1),
    aten.bmm.default: (0, 1),
    aten.addmm.default: (1, 2),
    aten.baddbmm.default: (1, 2),
}


class Rounded(nn.Module):
    """A module whose products read rounded factors, and write rounded results where `stored`.

    make: of the rounding of one activation. of_weights: of one weight, which a parameter is. Each product of a call has
    roundings of its own, by its place.
    """

    def __init__(self, module: nn.Module, make: Callable[[], Any], of_weights: Rounding, stored: bool):
        super().__init__()
        self.module, self.make, self.of_weights, self.stored = module, make, of_weights, stored
        self.own: dict[tuple[int, int], Rounding] = {}

    def forward(self, *given: torch.Tensor) -> Any:
        """Return the module's outputs with its products rounded."""
        with self.rounding():
            return self.module(*given)

    def of(self, key: tuple[int, int]) -> Rounding:
        """Return the rounding of an activation at one place."""
        if key not in self.own:
            self.own[key] = self.make()
        return self.own[key]

    @contextmanager
    def rounding(self) -> Iterator[None]:
        """Round within the block."""
        weights = {one.data_ptr() for one in self.module.parameters()}
        rounded, seen = self, [0]

        class Mode(TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                if func not in PRODUCTS:
                    return func(*args, **(kwargs or {}))
                seen[0] += 1
                changed = list(args)
                for place in PRODUCTS[func]:
                    weight = args[place].data_ptr() in weights
                    to = rounded.of_weights if weight else rounded.of((seen[0], place))
                    changed[place] = to(args[place])
                found = func(*changed, **(kwargs or {}))
                return rounded.of((seen[0], -1))(found) if rounded.stored else found

        with Mode():
            yield
