"""The model as a TensorRT engine, as it was measured: `python predict.py PHOTO ...`, or `Model()(images)`."""

import importlib
from pathlib import Path

import torch
from batches import FILE, SETTINGS, main
from tensors import Tensors

api = importlib.import_module(SETTINGS["package"])


class Model(Tensors):
    """The loaded model: `feed` it a batch, `run` it, and read the `output`; or call it with any number of images."""

    def load(self):
        """Return a call of the engine, which is bound to the inputs."""
        self.runtime = api.Runtime(api.Logger())  # an engine needs its runtime for as long as it lives
        self.engine = self.runtime.deserialize_cuda_engine(Path(FILE).read_bytes())
        self.context = self.engine.create_execution_context(*final_kernels(self.engine))
        names = [self.engine.get_tensor_name(place) for place in range(self.engine.num_io_tensors)]
        given = [name for name in names if self.engine.get_tensor_mode(name) == api.TensorIOMode.INPUT]
        bound = dict(zip(given, self.inputs, strict=True))
        for name, one in bound.items():
            self.context.set_input_shape(name, tuple(one.shape))
        results = {name: self.result(name) for name in names if name not in given}
        for name, one in (bound | results).items():
            self.context.set_tensor_address(name, one.data_ptr())

        def call(*inputs):
            if not self.context.execute_async_v3(self.stream.cuda_stream):
                raise RuntimeError("TensorRT could not enqueue the engine; its log says why")
            return list(results.values())

        return call

    def result(self, name):
        """Return the tensor of one output."""
        types = {api.DataType.FLOAT: torch.float32, api.DataType.HALF: torch.float16, api.DataType.BF16: torch.bfloat16}
        kind = types[self.engine.get_tensor_dtype(name)]
        return torch.empty(tuple(self.context.get_tensor_shape(name)), dtype=kind, device="cuda")


def final_kernels(engine):
    """Return a configuration in which TensorRT-RTX runs no general kernels first, to be replaced; else none."""
    if not (strategy := getattr(api, "DynamicShapesKernelSpecializationStrategy", None)):
        return []
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = strategy.EAGER
    return [config]


if __name__ == "__main__":
    main(Model)
