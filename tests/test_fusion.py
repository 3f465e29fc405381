"""Fused convolutions: what the pattern finds in real and in awkward models, and that the result stays the same."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision import models as zoo

from speedgrid import backends
from speedgrid.backends import fused_kernels, pytorch_fused
from speedgrid.data.sequence import images
from speedgrid.grid import Cell
from speedgrid.model import convolution, fusion

# Of each family: side of its images, how many convolutions it has, those that cuDNN fuses, those that follow a sum.
FAMILIES = {
    "resnet18": (32, 20, 17, 8),
    "resnet50": (32, 53, 49, 16),
    "mobilenet_v2": (32, 52, 18, 10),
    "mobilenet_v3_small": (32, 52, 11, 6),
    "efficientnet_b0": (32, 81, 0, 9),
    "convnext_tiny": (32, 22, 0, 0),
    "vit": (32, 1, 0, 0),
    "densenet121": (32, 120, 59, 0),
    "googlenet": (32, 57, 57, 0),
    "inception_v3": (75, 94, 94, 0),
    "regnet_y_400mf": (32, 85, 65, 16),
}


def lively(module: nn.Module) -> nn.Module:
    """Return a model in eval mode whose batch norms and head do something to numbers, which new ones do not."""
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            layer.running_mean.normal_(0, 0.1, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
            if layer.affine:
                nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
                nn.init.normal_(layer.bias, 0, 0.1, generator=generator)
    for parameter in module.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, 0, 0.1, generator=generator)
    return module.eval()


def new(name: str) -> nn.Module:
    """Return a model of torchvision's; a vision transformer is a small one."""
    if name == "vit":
        return zoo.VisionTransformer(32, 16, num_layers=2, num_heads=4, hidden_dim=64, mlp_dim=128)
    return zoo.get_model(
        name, weights=None, **({"init_weights": False} if name in ("googlenet", "inception_v3") else {})
    )


def batch(size: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def cudnn(monkeypatch):
    """Have PyTorch's two operators of cuDNN compute by their definition, on this CPU; return how often each was."""
    calls = {"relu": 0, "add_relu": 0}

    def relu(given, weight, bias, *how):
        calls["relu"] += 1
        return functional.conv2d(given, weight, bias, *how).relu()

    def add_relu(given, weight, z, alpha, bias, *how):
        calls["add_relu"] += 1
        result = functional.conv2d(given, weight, bias, *how)
        assert z.shape == result.shape  # cuDNN reads it as if it were
        return (result + alpha * z).relu()

    monkeypatch.setattr(torch, "cudnn_convolution_relu", relu)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", add_relu)
    return calls


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_models_computes_the_same_in_float64_with_cudnns_kernels_where_they_fit(name, cudnn):
    size, convolutions, fused, sums = FAMILIES[name]
    torch.manual_seed(0)
    module = lively(new(name))
    exact, given = copy.deepcopy(module).double(), batch(size)
    found = fusion.fuse(module)
    found.module.double()
    fused_kernels.give(found.convolutions, fused_kernels.Cudnn())
    with torch.inference_mode():
        expected = exact(given)
        results = [found.module(given) for _ in range(2)]  # the first settles the kernels
    for result in results:
        torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9 * expected.abs().max().item())
    account = found.account()
    assert (account["executed"], account["of"]) == (fused, convolutions)
    assert sum(account["others"].values()) == convolutions - fused
    assert cudnn["relu"] + cudnn["add_relu"] == 2 * fused
    calls = [node for node in found.module.graph.nodes if node.op == "call_module" and len(node.args) == 2]
    assert len(calls) == sums


def test_each_reason_for_an_operator_of_torchs_own_is_counted(cudnn):
    found = fusion.fuse(zoo.mobilenet_v2().eval())
    found.module.float()
    fused_kernels.give(found.convolutions, fused_kernels.Cudnn())
    with torch.inference_mode():
        found.module(batch(32).float())
    assert found.account() == {
        "executed": 18,
        "of": 52,
        "others": {"it is depthwise": 17, "cuDNN fuses ReLU alone, and after it comes none": 17},
    }


class Block(nn.Module):
    """Three convolutions of one shape, with batch norms, for the models below."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(3, 3, 3, padding=1, bias=bias) for bias in (True, False, True))
        self.one, self.other = nn.BatchNorm2d(3), nn.BatchNorm2d(3, affine=False)


class Residual(Block):
    def forward(self, x):
        return functional.relu(self.one(self.first(x)) + self.other(self.second(x)))


class InPlaceBetween(Block):
    def forward(self, x):
        y = self.first(x)
        z = torch.relu_(x)  # first() read x before
        return functional.relu(y + z)


class OverwritesIdentity(Block):
    def forward(self, x):
        x = self.second(x)
        y = x
        x += self.first(x)  # y is x
        return functional.relu(x) + y


class OverwritesItsOwn(Block):
    def forward(self, x):
        y = self.first(x)
        y += x
        return torch.relu_(y)


class SharedConvolution(Block):
    def forward(self, x):
        return functional.relu(self.one(self.first(x))) + functional.relu(self.other(self.first(self.second(x))))


class SharedNorm(Block):
    def forward(self, x):
        return self.one(self.first(x)) * self.one(self.second(x))


class ReadTwice(Block):
    def forward(self, x):
        y = self.first(x)
        return functional.relu(self.one(y)) + functional.relu(y)


class Twice(Block):
    def forward(self, x):
        y = self.first(x)
        return functional.relu(y + y)


class Chain(Block):
    def forward(self, x):
        return functional.relu(self.first(x) + self.second(x) + self.third(x))


class Broadcast(Block):
    def forward(self, x):
        return functional.relu(self.first(x) + self.second(x).mean((2, 3), keepdim=True))


class BroadcastOther(Block):
    def forward(self, x):
        return functional.relu(self.first(x.mean((2, 3), keepdim=True)) + x)


class Sliced(Block):
    def forward(self, x):
        y = self.first(x)
        part = x[:, :1]
        part *= 2  # x is changed
        return functional.relu(y + x)


class Scalar(Block):
    def forward(self, x):
        return functional.relu(self.first(x) + x.size(2)) + functional.relu(self.second(x) + 2.0)


class Alpha(Block):
    def forward(self, x):
        return functional.relu(torch.add(self.first(x), x, alpha=3))


class ByName(Block):
    def forward(self, x):
        return functional.relu(input=self.one(input=self.first(input=x)), inplace=True).relu()


class Methods(Block):
    def forward(self, x):
        return self.first(x).add_(x).relu_() + self.second(x).add(x).relu()


class Idle(Block):
    def __init__(self):
        super().__init__()
        self.drop, self.nothing = nn.Dropout(0.5), nn.Identity()

    def forward(self, x):
        return functional.relu(self.drop(self.nothing(self.first(x))) + self.drop(input=x))


class Sides(nn.Module):
    """Paddings of all kinds, strides and dilations."""

    def __init__(self):
        super().__init__()
        kinds = [{"padding": "same"}, {"padding": "valid"}, {"padding": (2, 1), "stride": (2, 1), "dilation": (1, 2)}]
        kinds += [{"padding": "same", "kernel_size": 2}, {"padding": 1, "padding_mode": "reflect"}]
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, **{"kernel_size": 3} | one) for one in kinds)

    def forward(self, x):
        for layer in self.layers:
            x = functional.hardswish(layer(x)) + 1
        return x


class Hooked(Block):
    def __init__(self):
        super().__init__()
        self.first.register_forward_hook(lambda layer, given, output: output * 2)
        self.one.register_forward_hook(lambda layer, given, output: output + 1)

    def forward(self, x):
        return functional.relu(self.first(x)) + functional.relu(self.one(self.second(x)))


class Functional(Block):
    def forward(self, x):
        return functional.relu(functional.conv2d(x, self.first.weight)) + 1


AWKWARD = [
    *(Residual, InPlaceBetween, OverwritesIdentity, OverwritesItsOwn, SharedConvolution, SharedNorm, ReadTwice, Twice),
    *(Chain, Broadcast, BroadcastOther, Sliced, Scalar, Alpha, ByName, Methods, Idle, Sides, Hooked, Functional),
]


@pytest.mark.parametrize("kind", AWKWARD)
@pytest.mark.parametrize("kernels", ["definition", "cudnn"])
def test_a_model_that_is_awkward_computes_the_same(kind, kernels, cudnn):
    torch.manual_seed(0)
    module, given = lively(kind()), batch(8)
    exact = copy.deepcopy(module).double()
    found = fusion.fuse(module)
    found.module.double()
    if kernels == "cudnn":
        fused_kernels.give(found.convolutions, fused_kernels.Cudnn())
    with torch.inference_mode():
        for _ in range(2):
            torch.testing.assert_close(found.module(given.clone()), exact(given.clone()), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("kind", "fused"),
    [
        (Residual, 1),
        (InPlaceBetween, 0),
        (Sliced, 0),
        (OverwritesItsOwn, 1),
        (OverwritesIdentity, 0),
        (SharedConvolution, 2),
        (Chain, 1),
        (Idle, 1),
        (Methods, 2),
    ],
)
def test_a_pattern_is_found_where_it_is_safe(kind, fused, cudnn):
    found = fusion.fuse(lively(kind()))
    found.module.float()
    fused_kernels.give(found.convolutions, fused_kernels.Cudnn())
    with torch.inference_mode():
        found.module(batch(8).float())
    assert found.account()["executed"] == fused


def test_a_bias_that_is_only_added_moves_into_the_fused_kernel():
    found = fusion.fuse(lively(Residual()))
    first, second = sorted(found.convolutions, key=lambda one: one.activation or "")
    assert (first.bias, first.activation) == (None, None)
    assert second.bias is not None
    assert second.activation == "relu"


def test_folded_weights_are_rounded_once():
    torch.manual_seed(0)
    module = lively(Residual())
    found = fusion.fuse(module)
    exact = module.first.weight.double() * (module.one.weight / 1).double().view(-1, 1, 1, 1)
    exact = exact / (module.one.running_var.double() + module.one.eps).sqrt().view(-1, 1, 1, 1)
    weights = [one.weight for one in found.convolutions]
    assert {one.dtype for one in weights} == {torch.float64}
    assert any(torch.allclose(one, exact, rtol=1e-14, atol=0) for one in weights)
    # What was folded is the result's own.
    assert module.first.weight.dtype == torch.float32
    assert found.module.half()(torch.zeros(1, 3, 8, 8).half()).dtype == torch.float16


def test_a_batch_norm_that_still_learns_is_left_alone():
    module = lively(Residual())
    module.one.train()
    found = fusion.fuse(module)
    assert [name for name, one in found.module.named_modules() if isinstance(one, nn.BatchNorm2d)] == ["one"]


class Branches(Block):
    """Asks for a value, which torch.fx does not have when it traces."""

    def forward(self, x):
        return self.first(x) if x.sum() > 0 else self.second(x)


def test_a_model_that_cannot_be_traced_stays_as_it_is_and_says_why():
    module = Branches().eval()
    found = fusion.fuse(module)
    assert found.module is module
    account = found.account()
    assert (account["executed"], account["of"]) == (0, 3)
    [(reason, count)] = account["others"].items()
    assert count == 3
    assert reason.startswith("torch.fx cannot trace the model: TraceError: ")
    assert "\n" not in reason


class Refusing(fused_kernels.Cudnn):
    """Stands for a library that has no kernel for most shapes."""

    def compute(self, one, images, added):
        if one.weight.shape[2] == 3:
            raise RuntimeError("GET was unable to find an engine to execute this computation\nmore")
        return super().compute(one, images, added)


def test_a_kernel_that_the_library_lacks_is_replaced_by_torchs_own_operators(cudnn):
    module, given = lively(zoo.resnet18()), batch(32)
    exact = copy.deepcopy(module).double()
    found = fusion.fuse(module)
    found.module.double()
    fused_kernels.give(found.convolutions, Refusing())
    with torch.inference_mode():
        for _ in range(2):
            torch.testing.assert_close(found.module(given), exact(given), rtol=1e-9, atol=1e-9)
    account = found.account()
    assert (account["executed"], account["of"]) == (1, 20)
    assert 16 in account["others"].values()
    assert cudnn == {"relu": 2, "add_relu": 0}


def test_memory_that_runs_out_is_no_missing_kernel(cudnn, monkeypatch):
    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", no_memory)
    found = fusion.fuse(zoo.resnet18().eval())
    found.module.float()
    fused_kernels.give(found.convolutions, fused_kernels.Cudnn())
    with torch.inference_mode(), pytest.raises(torch.OutOfMemoryError):
        found.module(batch(32).float())


ONE_DNN = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


@ONE_DNN
@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "regnet_y_400mf"]
)
def test_onednn_fuses_every_convolution_and_computes_the_same(name):
    torch.manual_seed(0)
    module, given = lively(zoo.get_model(name, weights=None)), batch(32).float()
    with torch.inference_mode():
        expected = copy.deepcopy(module)(given)
        found = fusion.fuse(module)
        fused = found.module.float().to(memory_format=torch.channels_last)
        fused_kernels.give(found.convolutions, fused_kernels.OneDnn())
        for _ in range(3):  # the first settles the kernels, and lays out weights for the next ones
            result = fused(given.to(memory_format=torch.channels_last))
            torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    account = found.account()
    assert account == {"executed": FAMILIES[name][1], "of": FAMILIES[name][1], "others": {}}


@ONE_DNN
@pytest.mark.parametrize("kind", AWKWARD)
def test_onednn_computes_what_an_awkward_model_does(kind):
    torch.manual_seed(0)
    module, given = lively(kind()), batch(8).float()
    exact = copy.deepcopy(module)
    found = fusion.fuse(module)
    found.module.float()
    fused_kernels.give(found.convolutions, fused_kernels.OneDnn())
    with torch.inference_mode():
        for _ in range(2):
            torch.testing.assert_close(found.module(given.clone()), exact(given.clone()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", convolution.ACTIVATIONS)
@pytest.mark.parametrize("added", [False, True])
@ONE_DNN
def test_onednns_kernels_are_the_definition(activation, added):
    torch.manual_seed(0)
    one = convolution.Convolution(nn.Conv2d(4, 8, 3, stride=2, padding=2, dilation=2, groups=2))
    one.activation = activation
    given = 3 * torch.randn(2, 4, 9, 7)
    with torch.inference_mode():
        more = torch.randn(one.output_shape(given.shape)) if added else None
        expected = convolution.define(one, given, more)
        torch.testing.assert_close(fused_kernels.OneDnn().compute(one, given, more), expected, rtol=1e-5, atol=1e-5)


def test_the_backend_gives_the_models_own_outputs_on_a_cpu_and_its_share_is_in_the_record(weights, reference_64):
    options = {"cpu_threads": 1, "settings": backends.settings("pytorch_fused")}
    session = pytorch_fused.load(Cell("resnet18", "pytorch_fused", "fp32", 64, 2), "cpu", weights, options)
    for start in (0, 2):
        session.feed(images(0, 64, start, 2))
        session.poison()
        with session.active():
            session.run()
        np.testing.assert_allclose(session.output(), reference_64[start : start + 2], rtol=1e-3, atol=1e-4)
    details = session.details
    assert details["fused_convolutions"]["of"] == 20
    assert details["fused_convolutions"]["executed"] + sum(details["fused_convolutions"]["others"].values()) == 20
    assert (details["memory_format"], details["cuda_graph"], details["executes_on"]) == ("channels_last", False, "cpu")
    assert session.dtype == "float32"
    assert session.input.is_contiguous(memory_format=torch.channels_last)
