"""ResNet-18 in fp16 as its users make it fast by hand: compiled, or with cuDNN's fused kernels in a CUDA graph.

python -m benchmarks.by_hand WAY WEIGHTS SHAPE OUTPUT, of benchmarks.best_row: in a process of its own, because a
compiler keeps what it has compiled. Nothing here is speedgrid's but loading weights and having the GPU alone.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

# How often each figure is taken; their median counts.
TURNS = 5
# What a way's answers may be off from eager PyTorch's, in fp16, relative to the largest.
CLOSE = 0.02


def compiled(model, images, mode: str) -> Callable[[], object]:
    """Return a function that calls `torch.compile(model, mode=mode)` on `images`, compiled."""
    import torch

    module = torch.compile(model, mode=mode, dynamic=False)
    return lambda: module(images)


def fused(model, images) -> Callable[[], object]:
    """Return a function that replays a CUDA graph of a ResNet-18 written out with cuDNN's fused convolutions."""
    import torch

    forward = written_out(model)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            forward(images)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            result = forward(images)

    def replay():
        graph.replay()
        return result

    return replay


def written_out(model) -> Callable:
    """Return the forward of a torchvision ResNet-18, batch norms folded, as its author could have written it."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    def fold(layer, norm):
        folded = fuse_conv_bn_eval(layer.float(), norm.float()).to(images_kind)
        return folded.to(memory_format=torch.channels_last)

    def how(layer):
        return layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups

    def convolve(layer, x):
        return torch.cudnn_convolution_relu(x, layer.weight, *how(layer))

    def convolve_and_add(layer, x, z):
        return torch.cudnn_convolution_add_relu(x, layer.weight, z, 1.0, *how(layer))

    images_kind = model.fc.weight.dtype
    stem = fold(model.conv1, model.bn1)
    blocks = [
        (fold(one.conv1, one.bn1), fold(one.conv2, one.bn2), one.downsample and fold(*one.downsample))
        for layer in (model.layer1, model.layer2, model.layer3, model.layer4)
        for one in layer
    ]

    def forward(x):
        x = model.maxpool(convolve(stem, x))
        for first, second, downsample in blocks:
            x = convolve_and_add(second, convolve(first, x), downsample(x) if downsample else x)
        return model.fc(torch.flatten(model.avgpool(x), 1))

    return forward


WAYS = {
    "torch.compile reduce-overhead": partial(compiled, mode="reduce-overhead"),
    "torch.compile max-autotune": partial(compiled, mode="max-autotune"),
    "cuDNN's fused kernels": fused,
}


def rates(way: str, weights: str, shape: list[int]) -> dict[str, float]:
    """Return the images/s of a way on inputs of `shape` [B, 3, H, W]: calls not waited for, and waited for."""
    import torch

    from speedgrid.machine import gpus
    from speedgrid.model import modules as models

    gpus.claim()
    gpus.measure_alone()
    kind = {"device": "cuda", "dtype": torch.float16, "memory_format": torch.channels_last}
    model = models.load("resnet18", weights).to(**kind)
    images = torch.randn(shape).to(**kind)
    with torch.inference_mode():
        expected = model(images).float()
        call = WAYS[way](model, images)
        for _ in range(10):
            answer = call()
        error = (answer.float() - expected).abs().max() / expected.abs().max()
        assert error < CLOSE, f"{way} answers otherwise than the model: {error:.3f} of the largest logit"
        torch.cuda.synchronize()
        names = {"call": call, "synchronize": torch.cuda.synchronize}
        return {
            "throughput_fps": rate("call()", names, shape[0]),
            "fps": rate("call(); synchronize()", names, shape[0]),
        }


def rate(statement: str, names: dict, batch_size: int) -> float:
    """Return the images/s of a statement by torch.utils.benchmark: the median over TURNS of the medians of blocks."""
    from torch.utils.benchmark import Timer

    timer = Timer(statement, globals=names)
    return batch_size / median(timer.blocked_autorange(min_run_time=0.5).median for _ in range(TURNS))


if __name__ == "__main__":
    way, weights, shape, output = sys.argv[1:]
    Path(output).write_text(json.dumps(rates(way, weights, json.loads(shape))), encoding="utf-8")
