"""From decoded photographs to a model's input."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import _presets

from speedgrid.data.preprocessing import STD, photograph_size, preprocess

# One step of uint8 after scaling, in the channel whose standard deviation is the smallest.
LEVEL = 1 / 255 / min(STD)


def photographs(batch, resolution):
    """Return photographs of random colours, uint8 [batch, height, width, 3]."""
    shape = (batch, *photograph_size(resolution), 3)
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def reference(resolution):
    """Return torchvision's own preprocessing, which its published weights are evaluated with."""
    return _presets.ImageClassification(crop_size=resolution, resize_size=round(resolution * 256 / 224))


@pytest.mark.parametrize("resolution", [32, 64, 224, 299])
def test_it_is_what_torchvision_does_for_its_own_weights(resolution):
    decoded = photographs(2, resolution)
    target = torch.empty(2, 3, resolution, resolution)
    preprocess(decoded, target)
    expected = [reference(resolution)(Image.fromarray(one.numpy())) for one in decoded]
    difference = (target - torch.stack(expected)).abs()
    assert difference.max() <= LEVEL * 1.001
    assert (difference > 1e-6).double().mean() < 0.01  # where Pillow rounds a half the other way


def test_a_photograph_of_imagenet_for_224_pixels_and_larger_than_the_input_everywhere():
    assert photograph_size(224) == (375, 500)
    for resolution in range(32, 1025):
        height, width = photograph_size(resolution)
        assert width > height > 1.4 * resolution


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_type_and_memory_format_of_the_input_are_kept(dtype, layout):
    exact = torch.empty(2, 3, 64, 64)
    target = torch.empty_like(exact, dtype=dtype).contiguous(memory_format=layout)
    preprocess(photographs(2, 64), exact)
    preprocess(photographs(2, 64), target)
    assert target.is_contiguous(memory_format=layout)
    torch.testing.assert_close(target, exact.to(dtype))


def test_a_gpu_which_resizes_in_float_differs_from_a_cpu_by_one_level_of_uint8_at_most():
    """CPUs resize uint8 in integers, as Pillow does; GPUs in float32, as torchvision does with other tensors."""
    decoded, on_cpu = photographs(4, 64), torch.empty(4, 3, 64, 64)
    preprocess(decoded, on_cpu)
    in_float = reference(64)(decoded.permute(0, 3, 1, 2))
    difference = (on_cpu - in_float).abs()
    assert 0 < difference.max() <= LEVEL * 1.001
    assert difference.mean() < 0.25 * LEVEL
