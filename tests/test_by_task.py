"""Parity by task, from the outputs of a session to the verdict: planted lies are found, and nothing true is accused."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import make_record
from torch import nn

from speedgrid.data import arrays
from speedgrid.data.answers import Expected
from speedgrid.evidence import detections, parity
from speedgrid.evidence.rounding import gathered, run_errors, simulate
from speedgrid.model import tensors
from speedgrid.precision import PRECISIONS
from speedgrid.table import answers, cells
from speedgrid.table.verdict import judge

COUNT, SEEN = 8, 16
BATCH = torch.from_numpy(np.random.default_rng(0).standard_normal((SEEN, 3, 32, 32), np.float32))


class Trunk(nn.Module):
    """Four convolutions, enough for rounding to leave its usual trace."""

    def __init__(self, channels: int):
        super().__init__()
        torch.manual_seed(0)
        widths = (3, 16, 16, 16, channels)
        layers = [nn.Conv2d(*pair, 3, padding=1) for pair in itertools.pairwise(widths)]
        self.layers = nn.Sequential(*(one for layer in layers for one in (layer, nn.Tanh())))

    def forward(self, images):
        return self.layers(images)


class Segmenter(Trunk):
    def __init__(self):
        super().__init__(5)


class Labeller(Segmenter):
    """A segmentation model whose graph ends in the choice of classes."""

    def forward(self, images):
        return super().forward(images).argmax(1)


class Detector(Trunk):
    """Boxes on a grid of 8 x 8 places, the best 20 of them in the order of their scores, as after suppression."""

    def __init__(self):
        super().__init__(6)

    def forward(self, images):
        raw = nn.functional.avg_pool2d(super().forward(images), 4).flatten(2)
        place = torch.arange(64, dtype=raw.dtype)
        left, top = 40 * (place % 8), 40 * (place // 8)
        corners = torch.stack([left + raw[:, 0], top + raw[:, 1], left + 30 + raw[:, 2], top + 30 + raw[:, 3]], -1)
        scores = torch.sigmoid(6 * raw[:, 4] + 1)
        best = scores.topk(20).indices
        classes = (raw[:, 5].gather(1, best) > 0).long()
        return {
            "boxes": corners.gather(1, best[..., None].expand(-1, -1, 4)),
            "scores": scores.gather(1, best),
            "labels": classes,
        }


MODELS = {"segmentation": Segmenter, "detection": Detector, "raw": Labeller}


def arrays_of(found) -> np.ndarray:
    return arrays.joined({name: one.numpy() for name, one in tensors.tensors(found).items()})


def as_session(rows: np.ndarray) -> np.ndarray:
    """Return outputs as sessions give them, all in float64."""
    return arrays.joined({name: one.astype(np.float64) for name, one in arrays.fields(rows).items()})


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    """Return a task, the right answers, what rounding is expected to do, and the outputs in each precision."""
    module = MODELS[request.param]().eval()
    with torch.inference_mode():
        right = arrays_of(Trunk.double(MODELS[request.param]().eval())(BATCH.double()))
        runs = {name: arrays_of(simulate(module, name, BATCH)(BATCH)) for name in PRECISIONS}
        some = {
            name: [run_errors(arrays.fields(one[:COUNT]), arrays.fields(right[:COUNT]), request.param)]
            for name, one in runs.items()
        }
    each = gathered(some)
    least = min(each.values(), key=lambda one: one["snr_db"]["tf32"])
    return request.param, right, Expected(**least, outputs=each if len(each) > 1 else {}), runs


def record_of(task: str, right, expected: Expected, outputs, label="fp32"):
    """Return the record of a session with these outputs."""
    errors = parity.worst(as_session(outputs), right, expected.usual(label), task)
    known = expected.of(errors.output if errors else "")
    return make_record(f"resnet18-pytorch-{label}-r64-b1", errors=errors, expected=known, parity=None)


def shuffled(right):
    """Return boxes in another order."""
    order = np.random.default_rng(1).permutation(right["scores"].shape[1])
    changed = right.copy()
    for name in right.dtype.names:
        changed[name] = right[name][:, order]
    return changed


def test_what_is_true_is_not_accused(model):
    task, right, expected, runs = model
    found = judge(record_of(task, right, expected, runs["fp32"]))
    assert found.status == "ok", found.reason
    assert found.observed == (None if task == "raw" else "fp32")
    record = record_of(task, right, expected, runs["fp32"])
    assert list(answers.answers(record, record.seen)) == []


@pytest.mark.parametrize("ran", ["tf32", "bf16"])
def test_another_precision_is_found_where_there_are_floats(model, ran):
    task, right, expected, runs = model
    found = judge(record_of(task, right, expected, runs[ran]))
    if task == "raw":  # integers do not show what computed them
        assert found.observed is None
    else:
        assert (found.status, found.observed) == ("wrong_precision", ran), found.reason


def test_answers_to_other_images_are_wrong(model):
    task, right, expected, runs = model
    assert judge(record_of(task, right, expected, np.roll(runs["fp32"], 1, axis=0))).status == "wrong_result"


def test_an_output_that_is_not_finite_is_wrong(model):
    task, right, expected, runs = model
    broken = as_session(runs["fp32"]).copy()
    for one in arrays.fields(broken).values():
        one.flat[0] = np.nan
    assert judge(record_of(task, right, expected, broken)).status == "wrong_result"


def test_figures_of_the_task_are_in_the_row(model):
    task, right, expected, runs = model
    row = cells.means([record_of(task, right, expected, runs["fp32"])])
    has = {name for name in ("miou", "matched_boxes", "exact_integers", "top1_agreement") if row[name] is not None}
    assert has == {"segmentation": {"miou"}, "detection": {"matched_boxes"}, "raw": {"exact_integers"}}[task]
    assert all(row[name] > 0.99 for name in has)


@pytest.fixture(scope="module")
def detector():
    module = Detector().eval()
    with torch.inference_mode():
        right = arrays_of(Detector().eval().double()(BATCH.double()))
        runs = {name: arrays_of(simulate(module, name, BATCH)(BATCH)) for name in PRECISIONS}
    some = {name: [run_errors(arrays.fields(one), arrays.fields(right), "detection")] for name, one in runs.items()}
    return right, Expected(**gathered(some)[""]), runs


def test_boxes_in_another_order_are_the_same_boxes(detector):
    right, expected, runs = detector
    found = judge(record_of("detection", right, expected, shuffled(runs["fp32"])))
    assert (found.status, found.observed) == ("ok", "fp32"), found.reason


def missing(rows):
    rows["scores"][:, ::3] = 0


def of_another_class(rows):
    rows["labels"][:, :10] = 1 - rows["labels"][:, :10]


@pytest.mark.parametrize("task", ["segmentation", "detection", "raw"])
def test_a_model_that_names_its_only_output_is_simulated(task):
    """As torchvision's for segmentation do: an array of one output has no name."""
    right = np.random.default_rng(0).standard_normal((2, 3, 6, 6))
    found, counted = run_errors({"out": right}, {"": right}, task)
    assert (found[""][0], counted) == (320.0, None)


def moved(rows):
    rows["boxes"][:, ::2] += 25


def invented(rows):
    rows["boxes"][:, 10:] = [300, 300, 310, 310]
    rows["scores"][:, 10:] = 0.9


@pytest.mark.parametrize("lie", [missing, of_another_class, moved, invented])
def test_boxes_that_are_not_the_right_ones_are_a_wrong_result(detector, lie):
    right, expected, runs = detector
    planted = runs["fp32"].copy()
    lie(planted)
    found = judge(record_of("detection", right, expected, planted))
    assert found.status == "wrong_result"
    assert "of its boxes are not the right ones, and rounding to fp32 explains" in found.reason


def test_integers_that_are_not_the_right_ones_are_a_wrong_result():
    right = np.random.default_rng(0).integers(0, 10, (16, 50))
    expected = Expected({"fp32": 320.0, "tf32": 320.0, "bf16": 320.0}, same={"fp32": 1.0}, same_of=400)
    planted = right.copy()
    planted[:, 0] += 1  # one of fifty
    found = judge(record_of("raw", right, expected, planted))
    assert (found.status, found.reason) == (
        "wrong_result",
        "2 % of its integers are not the right ones, and rounding to fp32 explains 1 %",
    )
    assert judge(record_of("raw", right, expected, right)).status == "ok"


def test_precisions_that_leave_the_same_error_are_not_told_apart():
    """A heatmap of zeros has none in any precision: it is no proof of a more exact one."""
    right = np.zeros((4, 10))
    expected = Expected(dict.fromkeys(PRECISIONS, 320.0), images_db=dict.fromkeys(PRECISIONS, [320.0] * 4))
    for label in ("fp32", "tf32"):
        found = judge(record_of("raw", right, expected, right, label))
        assert (found.status, found.observed) == ("ok", label), found.reason


ROWS = np.array([[[0, 0, 9, 9, 0.9, 1], [20, 20, 30, 30, 0.3, 0]]])
CORNERS, SCORES, CLASSES = ROWS[..., :4], ROWS[..., 4], ROWS[..., 5]


@pytest.mark.parametrize(
    ("outputs", "layout"),
    [
        ({"output0": ROWS}, ("output0",) * 3),
        ({"a": CLASSES, "b": CORNERS, "c": SCORES}, ("b", "c", "a")),
        ({"labels": CLASSES.astype(int), "boxes": CORNERS, "scores": SCORES}, ("boxes", "scores", "labels")),
        ({"boxes": CORNERS, "scores": SCORES}, ("boxes", "scores", None)),
        ({"heat": np.zeros((1, 1, 8, 8)), "size": np.zeros((1, 2, 8, 8))}, None),
        ({"raw": np.zeros((1, 84, 8400))}, None),
        ({"boxes": CORNERS, "logits": np.zeros((1, 2, 91))}, None),
        ({"raw": ROWS * [1, 1, 1, 1, 1, 0.5]}, None),  # what would be classes are no whole numbers
        ({"boxes": CORNERS, "scores": np.zeros((1, 7))}, None),
    ],
)
def test_boxes_are_known_by_their_form_and_heads_are_none(outputs, layout):
    assert detections.layout_of(outputs) == layout
    if layout:
        (one,) = detections.boxes_of(outputs, detections.Layout(*layout))
        assert one.scores.tolist() == [0.9, 0.3]
        assert one.classes.tolist() == ([1, 0] if layout[2] else [0, 0])


def test_boxes_count_from_the_usual_score_or_half_of_the_best():
    some = detections.boxes_of({"x": ROWS}, detections.Layout("x", "x", "x"))
    assert detections.threshold_of(some) == detections.SCORE
    faint = [replace(one, scores=one.scores / 10) for one in some]
    assert detections.threshold_of(faint) == pytest.approx(0.045)


def test_shares_that_contradict_each_other_are_found(detector):
    right, expected, runs = detector
    record = record_of("detection", right, expected, runs["fp32"])
    seen = record.seen
    for changes in ({"f1_loose": 0.5}, {"f1_tight": 1.5}, {"excused": -1}):
        errors = replace(seen.errors, boxes=replace(seen.errors.boxes, **changes))
        assert list(answers.shares(errors)), changes
