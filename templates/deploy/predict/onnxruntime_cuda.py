"""The model in ONNX Runtime on the GPU, as it was measured: `python predict.py PHOTO ...`, or `Model()(images)`."""

import torch  # first: its CUDA libraries are those that the provider then finds loaded
from batches import FILE, SETTINGS, SIZE, main
from tensors import Tensors

import onnxruntime as ort  # isort: skip

TYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}


class Model(Tensors):
    """The loaded model: `feed` it a batch, `run` it, and read the `output`; or call it with any number of images."""

    def load(self):
        """Return a call of the session, which is bound to the inputs."""
        options = ort.SessionOptions()
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.add_free_dimension_override_by_name("batch", SIZE)
        place = {"device_id": str(torch.cuda.current_device()), "has_user_compute_stream": "1"}
        place["user_compute_stream"] = str(self.stream.cuda_stream)
        provider = (SETTINGS["provider"], SETTINGS["provider_options"] | place)
        session = ort.InferenceSession(FILE, options, providers=[provider], enable_fallback=0)
        results = [result(one) for one in session.get_outputs()]
        torch.cuda.synchronize()
        binding = session.io_binding()
        for one, tensor in zip(session.get_inputs(), self.inputs, strict=True):
            binding.bind_ortvalue_input(one.name, ort.OrtValue.from_dlpack(tensor))
        for one, tensor in zip(session.get_outputs(), results, strict=True):
            binding.bind_ortvalue_output(one.name, ort.OrtValue.from_dlpack(tensor))
        asked = ort.RunOptions()
        asked.add_run_config_entry("disable_synchronize_execution_providers", "1")  # `run` waits for the stream

        def call(*inputs):
            session.run_with_iobinding(binding, asked)
            return results

        for _ in range(3):  # a provider that replays a CUDA graph captures it after its first runs
            call()
        return call


def result(one):
    """Return the tensor of one output."""
    shape = [SIZE if axis == "batch" else axis for axis in one.shape]
    kind = TYPES.get(one.type, one.type[len("tensor(") : -1])
    return torch.empty(shape, dtype=getattr(torch, kind), device="cuda")


if __name__ == "__main__":
    main(Model)
