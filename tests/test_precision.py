"""Precisions: the type of the tensors, and what torch may multiply with."""

import pytest
import torch

from speedgrid import precision, settings

LEVELS = (
    torch.backends,
    torch.backends.cuda.matmul,
    torch.backends.cudnn,
    torch.backends.cudnn.conv,
    torch.backends.cudnn.rnn,
)


@pytest.mark.parametrize(
    ("name", "dtype", "on_cuda", "on_cpu"),
    [
        ("fp32", torch.float32, "fp32", "fp32"),
        ("tf32", torch.float32, "fp32", "fp32"),
        ("fp16", torch.float16, "fp16", "fp32"),
        ("bf16", torch.bfloat16, "bf16", "fp32"),
        ("int8", torch.float32, "int8", "int8"),
        ("fp8", torch.float32, "fp32", "fp32"),
    ],
)
def test_a_precision_has_a_tensor_type_and_a_file(name, dtype, on_cuda, on_cpu):
    assert precision.torch_dtype(name) == dtype
    assert (precision.stored(name, "cuda"), precision.stored(name, "cpu")) == (on_cuda, on_cpu)


def test_the_schema_offers_exactly_the_precisions_that_there_are():
    axes = settings.read_schema()["$defs"]["axes"]["properties"]
    assert tuple(axes["precision"]["items"]["enum"]) == (*precision.PRECISIONS, "auto")


@pytest.mark.parametrize("name", ["fp32", "fp16", "bf16", "int8", "fp8"])
def test_every_precision_but_tf32_takes_tf32_away_again_on_every_level(name):
    precision.set_torch_math("tf32")
    assert {level.fp32_precision for level in LEVELS} == {"tf32"}
    precision.set_torch_math(name)
    assert {level.fp32_precision for level in LEVELS} == {"ieee"}
    mkldnn = torch.backends.mkldnn
    assert {level.fp32_precision for level in (mkldnn, mkldnn.conv, mkldnn.matmul)} == {"ieee"}


@pytest.mark.parametrize("name", ["fp32", "tf32", "fp16", "bf16"])
def test_the_older_switches_say_the_same_so_that_a_model_can_be_exported(name):
    precision.set_torch_math(name)
    assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == (name == "tf32")
    torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),), strict=False)  # asks them
