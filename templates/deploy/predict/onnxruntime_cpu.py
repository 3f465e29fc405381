"""The model in ONNX Runtime on the CPU, as it was measured: `python predict.py PHOTO ...`, or `Model()(images)`."""

import numpy as np
import onnxruntime as ort
from batches import ABOUT, FILE, SETTINGS, SIZE, Batches, main

TYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}


class Model(Batches):
    """The loaded model: `feed` it a batch, `run` it, and read the `output`; or call it with any number of images."""

    def __init__(self):
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = ABOUT["threads"], 1
        options.add_free_dimension_override_by_name("batch", SIZE)
        self.session = ort.InferenceSession(FILE, options, providers=[SETTINGS["provider"]], enable_fallback=0)
        self.inputs, self.results = map(arrays, (self.session.get_inputs(), self.session.get_outputs()))
        self.binding = self.session.io_binding()  # to arrays that stay where they are
        for name, one in self.inputs.items():
            self.binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(one))
        for name, one in self.results.items():
            self.binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(one))

    def feed(self, batch):
        """Put a batch where the model reads it: for each input an array."""
        for target, one in zip(self.inputs.values(), batch, strict=True):
            target[...] = one

    def run(self):
        """Run the model once, and return when its result is there."""
        self.session.run_with_iobinding(self.binding)

    def output(self):
        """Return the results as arrays."""
        return [one.copy() for one in self.results.values()]


def arrays(ends):
    """Return an array for each input or output, by name."""
    kinds = [TYPES.get(one.type, one.type[len("tensor(") : -1]) for one in ends]
    shapes = [[SIZE if axis == "batch" else axis for axis in one.shape] for one in ends]
    return {one.name: np.zeros(shape, kind) for one, shape, kind in zip(ends, shapes, kinds, strict=True)}


if __name__ == "__main__":
    main(Model)
