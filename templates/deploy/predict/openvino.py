"""The model in OpenVINO on the CPU, as it was measured: `python predict.py PHOTO ...`, or `Model()(images)`."""

import numpy as np
import openvino
from batches import ABOUT, FILE, SETTINGS, Batches, main


class Model(Batches):
    """The loaded model: `feed` it a batch, `run` it, and read the `output`; or call it with any number of images."""

    def __init__(self):
        core = openvino.Core()
        model = core.read_model(FILE)
        model.reshape({place: one["shape"] for place, one in enumerate(ABOUT["inputs"])})
        self.request = core.compile_model(model, "CPU", SETTINGS["hints"]).create_infer_request()
        # Arrays that stay where they are, and that OpenVINO shares.
        self.inputs, self.results = map(arrays, (model.inputs, model.outputs))
        for place, one in enumerate(self.inputs):
            self.request.set_input_tensor(place, openvino.Tensor(one, shared_memory=True))
        for place, one in enumerate(self.results):
            self.request.set_output_tensor(place, openvino.Tensor(one, shared_memory=True))

    def feed(self, batch):
        """Put a batch where the model reads it: for each input an array."""
        for target, one in zip(self.inputs, batch, strict=True):
            target[...] = one

    def run(self):
        """Run the model once, and return when its result is there."""
        self.request.infer()

    def output(self):
        """Return the results as arrays."""
        return [one.copy() for one in self.results]


def arrays(ends):
    """Return an array for each input or output."""
    return [np.zeros(tuple(one.shape), one.element_type.to_dtype()) for one in ends]


if __name__ == "__main__":
    main(Model)
