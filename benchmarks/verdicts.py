"""How often verdicts are wrong: outputs of each precision and of faulty sessions, judged by the thousand.

    python -m benchmarks.verdicts [--trials 10000] [--keep outputs.npz]

Models with seeded weights, and with weights that were trained for a moment, whose images differ most, compute images in
each precision, in several ways: with and without folded batch norms, rounding layers or only what products read, and in
PyTorch's own half precision. A trial draws a model, a precision and the type of its tensors, a way, a batch size, the
images and how many of them are compared and simulated, and judges the record as the table does. A false verdict is one
that is not ok. Then the same session with a fault is judged; a missed one is ok. Faults that change no answer by more
than twice what rounding does are counted apart. It needs no finished run, and a quarter of an hour on two cores.
"""

import argparse
import copy
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from speedgrid.data.answers import Expected
from speedgrid.data.digits import Digits
from speedgrid.data.samples import Samples
from speedgrid.data.sequence import images
from speedgrid.evidence import parity, reference, rounding
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import replacing
from speedgrid.model import modules as models
from speedgrid.model import training
from speedgrid.precision import PRECISIONS, QUANTISED
from speedgrid.record import Asked, Memory, Record, Seen
from speedgrid.table.verdict import judge

SEEDED = ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "squeezenet1_1", "efficientnet_b0")
# Few steps make images differ most; trained for long they are as alike as seeded weights leave them.
TRAINED = {"resnet18": 10, "mobilenet_v3_small": 4, "efficientnet_b0": 4}
RESOLUTION, COUNT = 64, 48
# Labels and the tensors that sessions have for them; on a CPU OpenVINO computes bf16 behind float32 tensors.
SESSIONS = [(name, one.dtype) for name, one in PRECISIONS.items() if name != "fp8"] + [("bf16", "float32")]
# What may hide behind a label, with tensors of the same type.
LOWER = {
    ("fp32", "float32"): ("tf32", "bf16", "fp16"),
    ("tf32", "float32"): ("bf16", "int8"),
    ("bf16", "float32"): ("int8", "fp8"),
    ("fp16", "float16"): ("int8", "fp8"),
    ("bf16", "bfloat16"): ("int8", "fp8"),
    ("int8", "float32"): ("fp8",),
}
# Answers with less SNR than this, in dB, are no right ones, whatever computed them.
NO_SIGNAL = 6.0
# An expected SNR in dB that leaves faults room to be seen in.
CLEAR = 20.0
BATCHES = (1, 2, 3, 4, 8, 16, 33, 64)


def compute(module: nn.Module, pictures: torch.Tensor) -> np.ndarray:
    """Return a module's outputs in float64."""
    with torch.inference_mode():
        return torch.cat([module(part) for part in pictures.split(8)]).double().numpy()


class Reading(torch.overrides.TorchFunctionMode):
    """Rounds what convolutions and matrix products read, wherever in a model they are called."""

    def __init__(self, to):
        super().__init__()
        self.to = to

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (torch.conv2d, nn.functional.linear):
            args = (self.to(args[0]), self.to(args[1]), *args[2:])
        return function(*args, **(kwargs or {}))


def half_to_even(values: torch.Tensor) -> torch.Tensor:
    """Round float32 to TF32's mantissa, half to even: not as the simulation does."""
    whole = values.contiguous().view(torch.int32)
    return ((whole + 0xFFF + (whole >> 13 & 1)) & ~0x1FFF).view(torch.float32)


READ = {"tf32": half_to_even, "fp16": rounding.to_fp16, "bf16": rounding.to_bf16}


def outputs_of(name: str, steps: int | None) -> dict[str, np.ndarray]:
    """Return the outputs of a model: `right`, `PRECISION simulated`, `PRECISION WAY ...` and `fault ...`."""
    if steps is None:
        module, pictures = models.seeded(name, 0, RESOLUTION), images(0, RESOLUTION, 0, COUNT)
    else:
        training.STEPS, training.EVALUATION, training.LARGEST = steps, 16, RESOLUTION
        module, _ = training.train(name, 0, "cpu")
        models.calibrate(module, training.calibration(Digits(0), RESOLUTION))
        pictures = Digits(0).images("reference", RESOLUTION, 0, COUNT)
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder, "weights.pth"))
        torch.save(module.state_dict(), weights)
        found = {"right": reference.compute(name, weights, pictures)}
    module, batch = module.float().eval(), torch.from_numpy(np.array(pictures))
    folded = models.fold_batch_norm(copy.deepcopy(module))
    for precision in PRECISIONS:
        base = folded if precision in QUANTISED else module
        found[f"{precision} simulated"] = compute(rounding.simulate(base, precision, batch[:8]), batch)
        if precision in QUANTISED:
            found[f"{precision} other calibration"] = compute(rounding.simulate(base, precision, batch[-8:]), batch)
    for way, base in (("folded", folded), ("as it is", module)):
        found[f"fp32 {way}"] = compute(base, batch)
        for precision, to in READ.items():
            with Reading(to):
                found[f"{precision} read {way}"] = compute(base, batch)
            found[f"{precision} layers {way}"] = compute(rounding.simulate(base, precision, batch), batch)
            if precision != "tf32":
                own = copy.deepcopy(base).to(getattr(torch, PRECISIONS[precision].dtype))
                found[f"{precision} native {way}"] = compute(own, batch.to(next(own.parameters()).dtype))
    return found | faults(folded, batch)


def faults(module: nn.Module, batch: torch.Tensor) -> dict[str, np.ndarray]:
    """Return the outputs of a model whose inputs or layers are wrong, as float32 gives them."""
    found = {"fault normalisation": compute(module, 0.9 * batch + 0.1)}
    for what in ("bias", "layer"):
        broken = copy.deepcopy(module)
        names = [name for name, one in broken.named_modules() if isinstance(one, nn.Conv2d) and one.bias is not None]
        acts = [
            name for name, one in broken.named_modules() if isinstance(one, nn.ReLU | nn.ReLU6 | nn.SiLU | nn.Hardswish)
        ]
        if what == "bias":
            broken.get_submodule(names[len(names) // 2]).bias.data.zero_()
        else:
            broken.set_submodule(acts[len(acts) // 2], nn.Identity())
        found[f"fault {what}"] = compute(broken, batch)
    return found


class Trial:
    """A drawn session: its model's outputs, its label and tensors, and the images that are compared and simulated."""

    def __init__(self, known: dict[str, np.ndarray], random: np.random.Generator):
        self.known, self.random = known, random
        self.precision, self.dtype = SESSIONS[random.integers(len(SESSIONS))]
        self.size = int(random.choice(BATCHES))
        self.order = random.permutation(COUNT)[: int(random.choice([16, 24, COUNT]))]
        count, simulated = len(self.order), int(random.choice([8, 16, 38]))
        calls = max(-(-parity.FEWEST // self.size), int(random.integers(1, 1 + -(-count // self.size))))
        compared = self.size if self.size >= count else min(calls * self.size, count)
        self.rows = self.order[np.arange(compared) % count]
        self.images = min(compared, count)
        self.expected = self.expect(self.order[:simulated])

    def expect(self, rows: np.ndarray) -> Expected:
        """Return the errors that rounding is expected to make, as speedgrid.evidence.rounding has them of images."""
        snr_db, images_db, uneven_db = {}, {}, 0.0
        right = self.known["norm"][rows]
        for precision in PRECISIONS:
            noise = self.known[f"{precision} noise"][rows]
            snr_db[precision] = decibels(noise, right)
            images_db[precision] = (-20 * np.log10(noise / right)).tolist()
            if precision not in QUANTISED:
                uneven_db = max(uneven_db, float(np.median(images_db[precision]) - min(images_db[precision])))
        if self.precision in QUANTISED:  # its own file is known, by figures of all images
            images_db.pop(self.precision)
        return Expected(snr_db, uneven_db, images_db)

    def way(self, precision: str) -> np.ndarray:
        """Return outputs in a precision, in some way that has tensors of the session's type."""
        ways = [
            name for name in self.known if name.split()[0] == precision and name.split()[1] not in ("native", "noise")
        ]
        native = [name for name in self.known if name.split()[:2] == [precision, "native"]]
        ways = ways + native if self.dtype != "float32" else ways
        return self.known[ways[self.random.integers(len(ways))]]

    def status(self, outputs: np.ndarray) -> str:
        """Return the status of the session that gave these outputs for the compared images."""
        errors = parity.compare(outputs, self.known["right"][self.rows])
        if errors is not None:
            errors = type(errors)(**asdict(errors) | {"images": self.images})
        cell = Cell("resnet18", "pytorch", self.precision, RESOLUTION, self.size)
        asked = Asked(cell, "round1", "cpu", 10, 10, 0.2, 0.5, 2, 2)
        nodes = {"executed": 20, "of": 21} if self.precision in QUANTISED else None
        seen = Seen(self.dtype, {}, Samples([1.0]), {}, Memory({"baseline": 0.0}), self.expected, errors)
        seen = type(seen)(**vars(seen) | {"quantised_nodes": nodes})
        about = dict.fromkeys(("reason", "measured_at", "fingerprint", "command"), "")
        return judge(Record(asked=asked, status="ok", environment={}, seen=seen, **about)).status

    def faulty(self) -> dict[str, np.ndarray]:
        """Return the outputs of the session with each fault, by its name."""
        right = self.known["right"]
        own = self.way(self.precision)
        noise, rows = own - right, self.rows
        found = {f"computes in {one}": self.way(one)[rows] for one in LOWER[self.precision, self.dtype]}
        found |= {name: (one + noise)[rows] for name, one in self.known.items() if name.startswith("fault")}
        outputs, one = own[rows], int(self.random.integers(len(rows)))
        if len(set(rows)) > 1:
            other = next(place for place in self.random.permutation(len(rows)) if rows[place] != rows[one])
            swapped = outputs.copy()
            swapped[[one, other]] = outputs[[other, one]]
            found |= {"two images changed places": swapped, "all images moved by one": np.roll(outputs, 1, axis=0)}
            found["one image has another's answer"] = changed(outputs, one, outputs[other])
            if len(rows) > self.size:
                found["each batch has the first's answers"] = outputs[np.arange(len(rows)) % self.size]
        found["one image is zeros"] = changed(outputs, one, 0 * outputs[one])
        found["one image is noise"] = changed(outputs, one, self.random.permutation(outputs[one]))
        found["answers are scaled by a half"] = outputs / 2
        return found

    def small(self, outputs: np.ndarray) -> bool:
        """Say whether a fault changes no answer by more than twice what the label's rounding is expected to do."""
        usual, norm = (self.known[name][self.rows] for name in (f"{self.precision} noise", "norm"))
        level = np.maximum(usual, norm * 10 ** (-self.expected.snr_db[self.precision] / 20))
        return bool((np.linalg.norm(outputs - self.known["right"][self.rows], axis=1) <= 2 * level).all())


def decibels(noise: np.ndarray, right: np.ndarray) -> float:
    """Return the SNR in dB of images with these norms, all together."""
    return float(-10 * np.log10((noise**2).sum() / (right**2).sum()))


def changed(outputs: np.ndarray, row: int, answer: np.ndarray) -> np.ndarray:
    """Return outputs with another answer in one row."""
    found = outputs.copy()
    found[row] = answer
    return found


def main() -> None:
    """Compute all outputs, judge, and print what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="file that outputs are kept in, model by model, and taken from")
    asked = parser.parse_args()
    flat = {}
    if asked.keep and asked.keep.exists():
        with np.load(asked.keep) as kept:
            flat = dict(kept)
    for name, steps in [*((name, None) for name in SEEDED), *TRAINED.items()]:
        model = f"{name} {'trained' if steps else 'seeded'}"
        if any(what.startswith(f"{model}|") for what in flat):
            continue
        flat |= {f"{model}|{what}": one for what, one in outputs_of(name, steps).items()}
        print(f"{model}: computed", flush=True)
        if asked.keep:
            with replacing(asked.keep) as temporary, open(temporary, "wb") as file:
                np.savez(file, **flat)
    known: dict[str, dict[str, np.ndarray]] = {}
    for name, one in flat.items():
        model, what = name.split("|")
        known.setdefault(model, {})[what] = one
    for one in known.values():
        one["norm"] = np.linalg.norm(one["right"], axis=1)
        for precision in PRECISIONS:
            one[f"{precision} noise"] = np.linalg.norm(one[f"{precision} simulated"] - one["right"], axis=1)
    with threadpool_limits(1):  # threads wait for each other longer than they compute
        report(known, asked.trials, np.random.default_rng(asked.seed))


def report(known: dict[str, dict[str, np.ndarray]], trials: int, random: np.random.Generator) -> None:
    """Judge sessions, right ones and faulty ones, and print the rates."""
    false, total, missed, small, clear, faulty = (Counter() for _ in range(6))
    names, hopeless = list(known), 0
    while total.total() < trials:
        model = names[random.integers(len(names))]
        trial = Trial(known[model], random)
        kind, own = f"{trial.precision} on {trial.dtype}", trial.way(trial.precision)[trial.rows]
        right = trial.known["right"][trial.rows]
        if decibels(np.linalg.norm(own - right, axis=1), np.linalg.norm(right, axis=1)) < NO_SIGNAL:
            hopeless += 1
            continue
        total[kind] += 1
        if (status := trial.status(own)) != "ok":
            false[kind] += 1
            false[f"  {model}: {status}"] += 1
        for fault, outputs in trial.faulty().items():
            is_small = trial.small(outputs)
            faulty[fault] += not is_small
            small[fault] += is_small
            if not is_small and trial.status(outputs) == "ok":
                missed[fault] += 1
                clear[fault] += trial.expected.snr_db[trial.precision] >= CLEAR
    print(f"false verdicts: {sum(false[kind] for kind in total)} of {total.total()} right sessions")
    print(f"  ({hopeless} more have errors of half of their answers: integers do not do for these images)")
    for kind in sorted(total):
        print(f"  {kind:18} {false[kind]:6} of {total[kind]}")
    for what in sorted(name for name in false if name.startswith("  ")):
        print(f"{what} {false[what]}")
    print(f"missed faults: {missed.total()} of {faulty.total()}; {small.total()} more are no larger than rounding")
    print(
        f"  ({clear.total()} of them in precisions of which {CLEAR:g} dB are expected, the others in less exact ones)"
    )
    for fault in sorted(faulty):
        print(
            f"  {fault:36} {missed[fault]:6} of {faulty[fault]:6}, {clear[fault]} of them clear; {small[fault]} small"
        )


if __name__ == "__main__":
    main()
