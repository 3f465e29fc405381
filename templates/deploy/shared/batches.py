"""What every runtime's predict.py shares: the settings in model.json, batches of any number of images, the command."""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
try:
    ABOUT = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
    FILE, SIZE, SETTINGS = str(HERE / ABOUT["file"]), ABOUT["batch_size"], ABOUT["settings"]
except (OSError, ValueError, KeyError, TypeError) as error:
    sys.exit(f"{HERE / 'model.json'} is damaged ({error}); make deploy writes its folder again.")
for needed in (FILE, HERE / "requirements.txt"):
    if not Path(needed).is_file():
        sys.exit(f"{needed} is not there; make deploy writes its folder again.")


class Batches:
    """A model that is fed, run and read a whole batch at a time, called with any number of images."""

    def __call__(self, *inputs):
        """Return for each output an array, the first axis the image.

        inputs: for each input an array of the type and shape in model.json, but with any number of images.
        """
        found = []
        for start in range(0, len(inputs[0]), SIZE):
            part = [one[start : start + SIZE] for one in inputs]
            self.feed([np.resize(one, (SIZE, *one.shape[1:])) for one in part])  # repeated up to a whole batch
            self.run()
            found.append([one[: len(part[0])] for one in self.output()])
        return [np.concatenate(one) for one in zip(*found, strict=True)]


def main(model):
    """Print the class of each photograph that is named on the command line. model: the class to load."""
    paths = sys.argv[1:]
    if not paths:
        sys.exit("python predict.py PHOTO ...")
    if ABOUT["preprocessing"] is None:
        sys.exit("This model takes arrays: those of `inputs` in model.json, for Model()(...) of predict.py.")
    from photographs import read

    images = np.stack([read(path) for path in paths])
    found = model()(images)
    if ABOUT["task"] != "classification":
        for one, answers in zip(ABOUT["outputs"], found, strict=True):
            print(f"{one['name']!a}: {list(answers.shape)}")
        return
    for path, answer in zip(paths, found[0], strict=True):
        best = int(answer.argmax())
        print(f"{path!a}: class {best}", *([f"{ABOUT['classes'][best]!a}"] if ABOUT["classes"] else []))
