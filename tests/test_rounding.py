"""The simulated error of each precision, against models that really run in it."""

import copy
import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from speedgrid.data import arrays
from speedgrid.data.digits import Digits
from speedgrid.data.sequence import images
from speedgrid.evidence import reference, rounding
from speedgrid.evidence.parity import compare
from speedgrid.evidence.snr import summarise, unevenness
from speedgrid.model import modules as models
from speedgrid.model import training
from speedgrid.precision import PRECISIONS, QUANTISED
from speedgrid.table.verdict import verdict

FLOATS = tuple(name for name in PRECISIONS if name not in QUANTISED)

TINY = 2.0**-11


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (0.0, 0.0),
        (-0.0, -0.0),
        (1.0, 1.0),
        (1 + 2 * TINY, 1 + 2 * TINY),  # ten bits of mantissa stay
        (1 + TINY, 1 + 2 * TINY),  # half goes away from zero
        (-1 - TINY, -1 - 2 * TINY),
        (1 + 3 * TINY, 1 + 4 * TINY),
        (1 + TINY - 2.0**-23, 1.0),  # less than half goes back
        (1 + TINY / 2, 1.0),
        (2 - 2.0**-23, 2.0),  # into the next power
        (3.0e38, round(3.0e38 / 2**117) * 2.0**117),
        (2.0**-137, 2.0**-136),  # subnormal numbers have the same step throughout
        (2.0**-138, 0.0),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
        (torch.finfo(torch.float32).max, math.inf),
    ],
)
def test_tf32_keeps_ten_bits_and_rounds_half_away_from_zero(value, rounded):
    [found] = rounding.to_tf32(torch.tensor([value])).tolist()
    assert (found, math.copysign(1, found)) == (rounded, math.copysign(1, rounded))


def test_no_number_stays_no_number_in_tf32():
    assert torch.isnan(rounding.to_tf32(torch.tensor([math.nan, -math.nan]))).all()


@given(st.floats(2.0**-100, 2.0**100, width=32))
def test_tf32_is_nearest_symmetric_and_final(value):
    given_ = torch.tensor([value, -value])
    once = rounding.to_tf32(given_)
    assert abs(once[0].item() - value) <= TINY * value
    assert once[1] == -once[0]
    assert (once.view(torch.int32) & 0x1FFF).tolist() == [0, 0]
    assert torch.equal(rounding.to_tf32(once), once)
    assert given_.tolist() == [value, -value]


def test_a_view_is_rounded_like_its_values():
    values = torch.randn(5, 7)
    assert torch.equal(rounding.to_tf32(values.T), rounding.to_tf32(values.T.clone()))


@pytest.mark.parametrize(
    ("precision", "product", "passed"),
    [
        # Weights 1 + 2^-11 and 1, inputs 1 + 2^-12 and 3, bias 2^-18; a ReLU of 1 + 2^-11.
        ("tf32", 1 + 2**-10 + 3 + 2**-18, 1 + 2**-11),
        ("fp16", 4.0, 1.0),  # 1 + 2^-11 lies halfway and goes to even; bias and output are rounded at the end
        ("bf16", 4.0, 1.0),
    ],
)
def test_hand_computed_layers(precision, product, passed):
    linear = nn.Linear(2, 1)
    linear.weight.data, linear.bias.data = torch.tensor([[1 + 2**-11, 1.0]]), torch.tensor([2.0**-18])
    model = nn.ModuleDict({"linear": linear, "relu": nn.ReLU()})
    copied = rounding.simulate(model, precision, torch.zeros(1, 2))
    with torch.inference_mode():
        assert copied["linear"](torch.tensor([[1 + 2**-12, 3.0]])).item() == product
        assert copied["relu"](torch.tensor([1 + 2**-11])).item() == passed
        exact = (1 + 2**-11) * (1 + 2**-12) + 3 + 2**-18
        assert model["linear"](torch.tensor([[1 + 2**-12, 3.0]])).item() == pytest.approx(exact, rel=2**-23)
    assert linear.weight[0, 0].item() == 1 + 2**-11


def test_a_simulation_leaves_the_model_as_it_was_and_fp32_rounds_nothing(resnet):
    batch = torch.from_numpy(images(0, 64, 0, 2))
    before = copy.deepcopy(resnet.state_dict())
    with torch.inference_mode():
        outputs = resnet(batch)
        for precision in PRECISIONS:
            simulated = rounding.simulate(resnet, precision, batch)(batch)
            assert torch.equal(simulated, outputs) == (precision == "fp32")
        assert torch.equal(resnet(batch), outputs)
    assert all(torch.equal(value, before[name]) for name, value in resnet.state_dict().items())


def half_to_even(values):
    """Round float32 to ten bits of mantissa, half to even: not as speedgrid.evidence.rounding does it."""
    whole = values.contiguous().view(torch.int32)
    return ((whole + 0xFFF + (whole >> 13 & 1)) & ~0x1FFF).view(torch.float32)


class InTF32(torch.overrides.TorchFunctionMode):
    """Rounds what convolutions and matrix products read, wherever in a model they are called."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (torch.conv2d, nn.functional.linear):
            args = (half_to_even(args[0]), half_to_even(args[1]), *args[2:])
        return function(*args, **(kwargs or {}))


def really_run(module, precision, batch):
    """Run a copy of a model in a precision that this CPU has; TF32, which it has not, by rounding in every call."""
    dtype = getattr(torch, PRECISIONS[precision].dtype)
    copied = copy.deepcopy(module).to(dtype)
    with torch.inference_mode():
        if precision == "tf32":
            with InTF32():
                return copied(torch.from_numpy(batch)).double().numpy()
        return copied(torch.from_numpy(batch).to(dtype)).double().numpy()


MODELS = [
    ("resnet18", 32),
    ("resnet50", 32),
    ("mobilenet_v2", 32),
    ("mobilenet_v3_small", 64),
    ("squeezenet1_1", 32),  # has no batch norm
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Compute with one thread: layers are so small here that two wait for each other, above all on a busy machine."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "shared_cores", lambda: 1)
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=MODELS, ids="{0[0]}-{0[1]}".format)
def simulated(request, tmp_path_factory):
    """Return (run, logits, expected): `run(precision, fold)` gives outputs for 16 images, of which 8 are simulated."""
    name, resolution = request.param
    module = models.seeded(name, 0, resolution)
    path = str(tmp_path_factory.mktemp("weights") / "weights.pth")
    torch.save(module.state_dict(), path)
    pictures = images(0, resolution, 0, 16)
    logits = reference.compute(name, path, pictures)

    @functools.cache
    def run(precision, fold):
        folded = models.fold_batch_norm(copy.deepcopy(module)) if fold else module
        return really_run(folded, precision, pictures)

    return run, logits, rounding.expected(name, path, pictures[:8], logits[:8])["snr_db"]


@pytest.mark.parametrize("fold", [False, True], ids=["", "folded"])
@pytest.mark.parametrize("precision", FLOATS)
def test_a_model_that_runs_in_a_precision_is_recognised_by_what_was_simulated(simulated, precision, fold):
    run, logits, expected = simulated
    outputs = run(precision, fold)
    for count in (1, 8, 16):  # a short run compares the first batch alone
        found = summarise(compare(outputs[:count], logits[:count]))
        assert verdict(precision, PRECISIONS[precision].dtype, found, expected) == ("ok", "", precision)
    assert found.snr_db == pytest.approx(expected[precision], abs=4)


@pytest.mark.parametrize(("ran", "looks_like"), [("fp16", "tf32"), ("bf16", "bf16"), ("tf32", "tf32")])
def test_what_hides_behind_float32_tensors_is_recognised(simulated, ran, looks_like):
    run, logits, expected = simulated
    status, reason, observed = verdict("fp32", "float32", summarise(compare(run(ran, True), logits)), expected)
    assert (status, observed) == ("wrong_precision", looks_like)
    assert reason.endswith(f"is that of {looks_like}")


def test_what_is_expected_falls_with_the_bits_of_the_mantissa(simulated):
    expected = simulated[2]
    assert list(expected) == list(PRECISIONS)
    assert expected["fp32"] > expected["tf32"] + 30
    assert min(expected["tf32"], expected["fp16"]) > expected["bf16"] + 10
    assert expected["tf32"] == pytest.approx(expected["fp16"], abs=5)  # both have ten bits
    assert expected["bf16"] > expected["int8"] > expected["fp8"]  # eight bits, seven or less, four


@pytest.mark.parametrize(
    ("model", "resolution", "count"),
    [("resnet18", 512, 8), ("vit_b_16", 224, 8), ("resnet18", 224, 8), ("efficientnet_b0", 224, 38)],
)
def test_as_many_images_of_a_cheap_model_are_simulated_as_cost_what_few_of_a_dear_one_do(model, resolution, count):
    assert rounding.images_for(model, resolution) == count


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a MobileNetV3 that was trained for a moment, 64 digits, the right answers and what is expected of them."""
    name, digits = "mobilenet_v3_small", Digits(0)
    path = str(tmp_path_factory.mktemp("trained") / "weights.pth")
    with pytest.MonkeyPatch.context() as patch:
        # As few steps as make images differ as those of trained weights do: 17.8 dB in fp32, 16.1 in bf16.
        for constant, value in {"STEPS": 4, "EVALUATION": 16, "LARGEST": 64}.items():
            patch.setattr(training, constant, value)
        module, _ = training.train(name, 0, "cpu")
    models.calibrate(module, training.calibration(digits, 64))
    torch.save(module.state_dict(), path)
    pictures = digits.images("reference", 64, 0, 64)
    logits = reference.compute(name, path, pictures)
    return module, pictures, logits, rounding.expected(name, path, pictures, logits)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rounding_alone_is_never_called_a_wrong_result_on_weights_that_were_trained(trained, precision):
    module, pictures, logits, expected = trained
    outputs = np.concatenate([really_run(module, precision, part) for part in np.split(pictures, 8)])
    found = summarise(compare(outputs, logits))
    assert unevenness(found) > 12  # the worst image of random weights is 8 dB below the median one at most
    judged = verdict(precision, PRECISIONS[precision].dtype, found, expected["snr_db"], uneven_db=expected["uneven_db"])
    assert judged == ("ok", "", precision)


def test_what_rounding_does_to_images_is_as_uneven_as_in_the_worst_float_precision(weights, reference_64, monkeypatch):
    shares = iter([1, 2, 5, 3, 100, 100])  # of PRECISIONS; quantised ones and what overflows count for nothing
    monkeypatch.setattr(rounding, "unevenness", lambda parity: next(shares))
    assert rounding.expected("resnet18", weights, images(0, 64, 0, 2), reference_64[:2])["uneven_db"] == 5


def test_a_model_that_overflows_in_fp16_has_no_signal_there(resnet, tmp_path):
    state = {**resnet.state_dict(), "conv1.weight": resnet.conv1.weight * 1e7}
    state["bn1.running_mean"], state["bn1.running_var"] = (
        state["bn1.running_mean"] * 1e7,
        state["bn1.running_var"] * 1e14,
    )
    torch.save(state, tmp_path / "large.pth")
    pictures = images(0, 64, 0, 2)
    logits = reference.compute("resnet18", str(tmp_path / "large.pth"), pictures)
    assert not np.isfinite(really_run(models.load("resnet18", tmp_path / "large.pth"), "fp16", pictures)).any()
    expected = rounding.expected("resnet18", str(tmp_path / "large.pth"), pictures, logits)["snr_db"]
    assert expected["fp16"] == 0.0
    assert expected["fp32"] > 100 > expected["tf32"] > 40 > expected["bf16"] > 20


def test_images_that_are_mapped_from_a_file_can_be_read_but_not_written(weights, reference_64, expected_64, tmp_path):
    np.save(tmp_path / "images.npy", images(0, 64, 0, 8))
    mapped = arrays.read(tmp_path / "images.npy")
    assert rounding.expected("resnet18", weights, mapped, reference_64[:8]) == expected_64


def calibrated(kind, *batches):
    """Return a rounding of activations that has seen these and rounds now."""
    made = kind()
    for batch in batches:
        assert torch.equal(made(batch), batch)  # nothing is rounded while it looks
    made.calibrating = False
    return made


def test_activations_have_256_steps_from_the_smallest_to_the_largest_number_seen_and_zero_is_exact():
    to = calibrated(rounding.ScaledToUint8, torch.tensor([-1.0, 0.5]), torch.tensor([2.0]))
    step = 3 / 255
    values = torch.tensor([-1.0, 0.0, 0.4 * step, 0.6 * step, 2.0, 5.0, -7.0])
    assert to(values).tolist() == pytest.approx([-1.0, 0.0, 0.0, step, 2.0, 2.0, -1.0])


def test_activations_that_are_never_negative_use_all_steps_above_zero():
    to = calibrated(rounding.ScaledToUint8, torch.tensor([1.0, 2.55]))
    assert to(torch.tensor([0.0, 0.014, 0.016, 2.55])).tolist() == pytest.approx([0.0, 0.01, 0.02, 2.55])
    assert calibrated(rounding.ScaledToUint8, torch.zeros(3))(torch.zeros(2)).tolist() == [0.0, 0.0]


def test_weights_have_a_scale_for_each_output_channel():
    weight = torch.tensor([[1.27, 0.014], [127.0, 1.4], [0.0, 0.0]])
    rounded = rounding.to_int8_by_channel(weight)
    assert rounded.flatten().tolist() == pytest.approx([1.27, 0.01, 127.0, 1.0, 0.0, 0.0])
    assert rounding.to_int8_by_channel(weight[:, :, None, None]).shape == (3, 2, 1, 1)


def test_float8_has_three_bits_of_mantissa_at_a_scale_that_uses_its_largest_number():
    to = calibrated(rounding.ScaledToFloat8, torch.tensor([-44.8, 3.0]))
    # In units of a tenth: 448 is the largest; between 256 and 448 the step is 32, between 16 and 32 it is 2.
    assert to(torch.tensor([-44.8, 30.0, 1.7, 1.9, 100.0])).tolist() == pytest.approx([-44.8, 28.8, 1.6, 2.0, 44.8])
