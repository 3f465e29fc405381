"""Values of axes within other text: a header such as `TensorRT FP16 (ms), batch 8` says where its figures are from."""

import re
from functools import cache

from speedgrid.published.names import devices, precisions

BATCH = re.compile(
    r"(?<![a-z0-9])(?:(?:mini-?)?batch(?:[ _-]?size)?|bs|b)(?:\s*[=:]\s*|[\s_-]*)(?P<size>\d{1,6})(?![\d.a-z])",
    re.IGNORECASE,
)
BACKENDS = re.compile(
    r"(?<![a-z0-9])(?:torch[-_ ]?tensorrt|tensor[ -]?rt|trt|onnx[ -_]?runtime|ort|onnx|openvino|libtorch|torchscript|"
    r"torch\.?compile|pytorch|torch|inductor|tensorflow|tflite|litert|core ?ml|ncnn|mnn|tvm|jax|xla|eager|paddle|"
    r"directml|opencv)(?:[ -]?v?\d+(?:\.\d+)*)?(?![a-z0-9])",
    re.IGNORECASE,
)
CPU = re.compile(r"(?<![a-z0-9])cpu(?![a-z0-9])", re.IGNORECASE)
# Devices have up to so many words, such as Jetson AGX Orin 64GB.
WORDS = 5


@cache
def in_header(text: str) -> tuple[dict[str, str], str]:
    """Return the values of axes that a header names, and what is left of it without them."""
    place: dict[str, str] = {}
    if found := BATCH.search(text):
        place["batch_size"], text = found["size"], _without(text, found)
    if found := BACKENDS.search(text):
        place["backend"], text = found[0], _without(text, found)
    if found := CPU.search(text):
        place["device"], text = "CPU", _without(text, found)
    for found in re.finditer(r"[A-Za-z0-9-]+", text):
        if re.sub("-", "", found[0].lower()) in precisions.IN_HEADERS:
            place["precision"], text = found[0], _without(text, found)
            break
    if "device" not in place and (named := _device(text)):
        place["device"], text = named
    return place, text


def _without(text: str, found: re.Match[str]) -> str:
    return f"{text[: found.start()]} {text[found.end() :]}"


def _device(text: str) -> tuple[str, str] | None:
    words = list(re.finditer(r"[A-Za-z0-9]+", text))
    if not any(any(letter.isdigit() for letter in word[0]) or len(word[0]) > 3 for word in words):
        return None
    for length in range(min(WORDS, len(words)), 0, -1):
        for first in range(len(words) - length + 1):
            start, end = words[first].start(), words[first + length - 1].end()
            if devices.find(text[start:end]).known:
                return text[start:end], f"{text[:start]} {text[end:]}"
    return None
