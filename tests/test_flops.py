"""The arithmetic of one image."""

import pytest

from speedgrid.flops import flop_per_image


def test_resnet18_at_224_needs_twice_the_multiply_adds_of_the_published_figure():
    assert flop_per_image("resnet18", 224) == 3_628_146_688


def convolution(size, kernel, given, made):
    return 2 * size**2 * kernel**2 * given * made


@pytest.mark.parametrize("resolution", [64, 256])
def test_resnet18_costs_what_its_layers_cost(resolution):
    half = [resolution // step for step in (2, 4, 8, 16, 32)]
    expected = convolution(half[0], 7, 3, 64) + 4 * convolution(half[1], 3, 64, 64) + 2 * 512 * 1000
    for size, given in ((half[2], 64), (half[3], 128), (half[4], 256)):
        made = 2 * given
        expected += convolution(size, 3, given, made) + 3 * convolution(size, 3, made, made)
        expected += convolution(size, 1, given, made)
    assert flop_per_image("resnet18", resolution) == expected
