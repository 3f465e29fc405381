"""The costs of one image of any model at any resolution, counted where nobody has counted them yet."""

from dataclasses import replace
from functools import cached_property

from speedgrid.model.described import Arithmetic
from speedgrid.published.cost import Cost


class Counter:
    """The costs of one image of any model: counted already, or counted by torch when they are first asked for."""

    def __init__(self, counted: Arithmetic | None = None):
        self.counted = counted or {}
        self.known: dict[tuple[str, int], Cost | None] = {}

    def __call__(self, model: str, resolution: int) -> Cost | None:
        """Return the cost of an image, or None of a model that torchvision does not have or cannot run so."""
        if (model, resolution) not in self.known:
            self.known[model, resolution] = self._count(model, resolution)
        return self.known[model, resolution]

    @cached_property
    def _layers(self):
        from speedgrid.published import layers  # imports torch, which takes seconds

        return layers

    def _count(self, model: str, resolution: int) -> Cost | None:
        own = self.counted.get(model, {}).get(str(resolution))
        flop = own["flop"] if own else None
        try:
            found = self._layers.cost(model, resolution)
        except Exception:  # an unknown name, or a size that the model does not take: each model says so in its way
            return Cost(flop, own["weight_elements"]) if own and flop else None
        # The user's model of that name may tell apart another number of classes.
        return replace(found, flop=flop) if flop else found
