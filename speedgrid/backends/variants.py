"""The values of the axis `backend`: for each the module that runs it, and the settings that it runs with.

Users write a runtime in one way and tune it in others; each way that is measured has a name here, and a record says
the settings of its own. They are builtins, because the workflow shows them to Snakemake: editing the settings of one
variant makes its cells stale and no others. Importing this imports no runtime.
"""

from typing import Any, NamedTuple

# What runtimes have, for the documentation: whether this machine does is asked of their modules, `unsupported`.
FLOATS = {"cpu": ("fp32", "fp16", "bf16"), "cuda": ("fp32", "tf32", "fp16", "bf16")}
ON_CUDA = {"cpu": (), "cuda": FLOATS["cuda"]}
ENGINES = {"cpu": (), "cuda": (*FLOATS["cuda"], "int8", "fp8")}


class Variant(NamedTuple):
    """One value of the axis `backend`: the module that runs it and its settings.

    module: of speedgrid.backends. label: its name in reports. settings: what its module reads. about: one sentence on
    what it is. precisions: those that it has on each device, on some machine with some version of it.
    """

    module: str
    label: str
    settings: dict[str, Any]
    about: str
    precisions: dict[str, tuple[str, ...]]


VARIANTS = {
    "pytorch": Variant(
        "pytorch",
        "PyTorch",
        {"memory_format": "contiguous_format", "cudnn_benchmark": False, "cuda_graph": False},
        "Eager PyTorch as users write it: `model(images)` in inference mode.",
        FLOATS,
    ),
    "pytorch_tuned": Variant(
        "pytorch",
        "PyTorch tuned",
        {"memory_format": "channels_last", "cudnn_benchmark": True, "cuda_graph": True},
        "The same operators with channels_last, cuDNN's algorithms timed, and the call replayed from a CUDA graph.",
        FLOATS,
    ),
    "pytorch_fused": Variant(
        "pytorch_fused",
        "PyTorch fused",
        {"memory_format": "channels_last", "cuda_graph": True},
        "Batch norms folded, and bias, sum and activation computed by the convolution's own kernel (cuDNN's, on a CPU "
        "oneDNN's), with channels_last and a CUDA graph: nothing is compiled.",
        FLOATS,
    ),
    "inductor": Variant(
        "inductor",
        "Inductor",
        {"mode": "reduce-overhead", "memory_format": "channels_last", "cudnn_benchmark": False, "cuda_graph": True},
        'What `torch.compile(mode="reduce-overhead")` runs, compiled ahead of time by AOTInductor.',
        FLOATS,
    ),
    "inductor_tuned": Variant(
        "inductor",
        "Inductor tuned",
        {"mode": "reduce-overhead", "memory_format": "channels_last", "cudnn_benchmark": True, "cuda_graph": True},
        "The same with cuDNN's algorithms chosen by timing when it is loaded.",
        FLOATS,
    ),
    "inductor_max_autotune": Variant(
        "inductor",
        "Inductor max-autotune",
        {"mode": "max-autotune", "memory_format": "channels_last", "cudnn_benchmark": True, "cuda_graph": True},
        "The same with Inductor's own kernels chosen by timing too: a minute and more to compile.",
        FLOATS,
    ),
    "onnxruntime": Variant(
        "onnxruntime",
        "ONNX Runtime",
        {},
        "ONNX Runtime's CUDA or CPU provider with its default options, through IO binding.",
        {"cpu": ("fp32", "int8"), "cuda": FLOATS["cuda"]},
    ),
    "onnxruntime_tuned": Variant(
        "onnxruntime",
        "ONNX Runtime tuned",
        {"prefer_nhwc": ["fp16"], "cudnn_conv_algo_search": "EXHAUSTIVE", "enable_cuda_graph": True},
        "The CUDA provider with its own CUDA graph, and fp16 convolutions in NHWC.",
        ON_CUDA,
    ),
    "onnxruntime_tensorrt": Variant(
        "onnxruntime_tensorrt",
        "ONNX Runtime TensorRT",
        {"trt_builder_optimization_level": 3, "trt_cuda_graph_enable": True},
        "ONNX Runtime's TensorRT provider, where full TensorRT is installed.",
        {"cpu": (), "cuda": ("tf32", "fp16")},
    ),
    "tensorrt": Variant(
        "tensorrt",
        "TensorRT",
        {"cuda_graph": True},
        "An engine built from the ONNX file by TensorRT's parser and run by its own runtime, as trtexec does.",
        ON_CUDA,
    ),
    "torch_tensorrt": Variant(
        "torch_tensorrt",
        "Torch-TensorRT",
        {"cuda_graph": False},
        "An engine that Torch-TensorRT compiled ahead of time.",
        ENGINES,
    ),
    "torch_tensorrt_graph": Variant(
        "torch_tensorrt",
        "Torch-TensorRT graph",
        {"cuda_graph": True},
        "The same engine, replayed from a CUDA graph.",
        ENGINES,
    ),
    "openvino": Variant(
        "openvino",
        "OpenVINO",
        {},
        "OpenVINO's own runtime on the CPU, hinted at latency.",
        {"cpu": (*FLOATS["cpu"], "int8"), "cuda": ()},
    ),
}


def document() -> str:
    """Return a Markdown table of the variants: what each is, where it runs in which precisions, its settings."""
    lines = ["| backend | what it is | on a CPU | on an NVIDIA GPU | settings |", "|---|---|---|---|---|"]
    for name, variant in VARIANTS.items():
        cpu, cuda = (", ".join(variant.precisions[device]) or "no" for device in ("cpu", "cuda"))
        settings = ", ".join(f"`{key}: {value}`" for key, value in variant.settings.items())
        lines.append(f"| `{name}` | {variant.about} | {cpu} | {cuda} | {settings} |")
    return "\n".join(lines) + "\n"
