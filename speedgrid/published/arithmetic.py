"""The operations of one image of any model at any resolution, counted where nobody has counted them yet."""

from functools import cached_property


class Counter:
    """The operations of one image of any model: counted already, or counted by torch when they are first asked for."""

    def __init__(self, counted: dict[tuple[str, int], int]):
        self.known: dict[tuple[str, int], int | None] = dict(counted)

    def __call__(self, model: str, resolution: int) -> int | None:
        """Return 2 x multiply-adds of an image, or None of a model that torchvision does not have or cannot run so."""
        if (model, resolution) not in self.known:
            self.known[model, resolution] = self._count(model, resolution)
        return self.known[model, resolution]

    @cached_property
    def _flops(self):
        from speedgrid.model import flops  # imports torch, which a table of the grid's own resolutions does not need

        return flops

    def _count(self, model: str, resolution: int) -> int | None:
        try:
            return self._flops.flop_per_image(model, resolution)
        except Exception:  # an unknown name, or a size that the model does not take: each model says so in its way
            return None
