"""What one image costs in a model at a resolution."""

from dataclasses import dataclass

# A direct convolution does so many times more multiplications than Winograd's F(2 x 2, 3 x 3), which libraries use
# (Lavin and Gray, https://arxiv.org/abs/1509.09308): arithmetic is counted as direct, so rates may exceed the peak.
WINOGRAD = 2.25


@dataclass(frozen=True)
class Cost:
    """The cost of an image: operations as 2 x multiply-adds, and elements of weights, of its input and its output.

    winograd: the share of the operations that are in convolutions of 3 x 3 with a stride of 1, one group and no
    dilation, which Winograd's algorithm is for.
    """

    flop: int
    weight_elements: int | None = None
    image_elements: int = 0
    winograd: float = 1.0

    @property
    def allowance(self) -> float:
        """How many times its peak a device may seem to reach in this model, as Winograd does fewer multiplications."""
        return 1 / (1 - self.winograd + self.winograd / WINOGRAD)
