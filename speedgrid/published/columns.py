"""What the columns of other people's tables mean: their names and units, in the conventions of common tools.

A header that could mean two things means nothing here: it is named in the report, and not guessed.
"""

import re
from dataclasses import dataclass

from speedgrid.published.quantities import Figure

AXES = {
    "backend": {"backend", "runtime", "framework", "engine"},
    "precision": {"precision", "dtype", "data type", "datatype", "compute precision"},
    "resolution": {
        "resolution",
        "image size",
        "img size",
        "imgsz",
        "input size",
        "input resolution",
        "image resolution",
    },
    "batch_size": {"batch size", "batchsize", "batch", "bs"},
    "model": {"model", "network", "architecture", "arch"},
    "device": {"device", "gpu", "hardware"},
}
PRECISION_WORDS = {
    "fp32": {"fp32", "float32", "single", "f32"},
    "tf32": {"tf32", "tensorfloat32"},
    "fp16": {"fp16", "float16", "half", "f16"},
    "bf16": {"bf16", "bfloat16"},
    "int8": {"int8", "i8"},
    "fp8": {"fp8", "float8", "e4m3"},
}
WORDS = {
    **dict.fromkeys(("images", "img", "imgs", "sample", "samples", "frame", "frames"), "image"),
    **dict.fromkeys(("calls", "batch", "batches", "it", "iter", "iteration", "iterations", "request"), "call"),
    **dict.fromkeys(("requests", "step", "steps"), "call"),
    **dict.fromkeys(("queries",), "query"),
    **dict.fromkeys(("infer", "inferences", "infs"), "inference"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("msec", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("usec", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("nanosecond", "nanoseconds"), "ns"),
    **dict.fromkeys(("pct", "percentage"), "percent"),
    "fraction": "share",
    **dict.fromkeys(("utilization", "util", "mfu", "use"), "utilisation"),
    "fps": "image per s",
    "ips": "image per s",
    "qps": "query per s",
    **{f"{prefix}flops": f"{prefix}flop per s" for prefix in "mgtp"},
    **{f"{prefix}macs": f"{prefix}mac" for prefix in "mg"},
}
# Which statistic it is does not change what it must agree with.
STATISTICS = {"median", "mean", "avg", "average", "p50"}
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
PREFIXES = {"": 1.0, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15}
TIME = r"(?:(?:inference |forward )?(?:latency|time|duration))"
UNIT = r"(?P<time>ns|us|ms|s)"
RATE = r"(?P<flop>[mgtp]?)flop per s"
# (pattern of the whole header in the words above, quantity, its unit in units of the pattern's)
PATTERNS = (
    (rf"(?:{TIME} )?{UNIT} per image|(?:{TIME} per image|image {TIME}) (?P<time2>ns|us|ms|s)", "ms_per_image", 1e-3),
    (rf"(?:{TIME} )?{UNIT} per call|(?:{TIME} per call|call {TIME}|{TIME}) (?P<time2>ns|us|ms|s)", "latency_ms", 1e-3),
    (r"image per s", "fps", 1),
    (r"call per s", "calls_per_s", 1),
    # trtexec counts executions of a batch as queries; Triton's perf_analyzer counts images as inferences. Both keep
    # several requests in flight, as does anything called throughput: it need not follow from the latency.
    (r"(?:throughput )?(?:query|call) per s", "throughput_calls_per_s", 1),
    (r"(?:throughput )?(?:inference|image) per s", "throughput_fps", 1),
    (rf"(?:achieved |effective |measured )?{RATE}", "tflops", 1e12),
    (rf"(?:theoretical |stated |device |gpu )?peak {RATE}|{RATE.replace('flop>', 'flop2>')} peak", "tflops_peak", 1e12),
    (r"(?P<flop>[mgt]?)flop(?: per image)?", "gflop_per_image", 1e9),
    (r"(?P<mac>[mg]?)mac(?: per image)?", "gflop_per_image", 1e9 / 2),
    (r"utilisation (?:of peak )?percent|percent (?:of )?peak|utilisation percent of peak", "utilisation_percent", 1),
    (r"utilisation share", "utilisation_percent", 1e-2),
    (r"speed ?up(?: x| factor| (?:over|vs) .+)?", "speedup", 1),
)
# No batch is larger.
MOST = 1_000_000
QUANTITIES = tuple(dict.fromkeys(quantity for _, quantity, _ in PATTERNS))


@dataclass(frozen=True)
class Column:
    """The meaning of a column: an axis, or a quantity and the factor from the column's unit to the quantity's."""

    name: str
    factor: float = 1.0


def understand(header: str) -> Column | None:
    """Return the Column that a header means, or None where the header is unknown or could mean two things.

    `latency` or `throughput` without a unit are such, and `GFLOPs`: operations, or operations in a second.
    """
    # A small s makes it a plural as often as a second, in units of which an image may need some.
    if re.search(r"[GM]FLOPs\b", header):
        return None
    text = re.sub(r"0 ?(?:\.\.+|-|–|to) ?1\b", " share ", header.strip().lower().replace("µ", "u").replace("μ", "u"))
    plain = " ".join(re.findall(r"[a-z0-9]+", text.replace("%", " percent ").replace("/", " per ")))
    for axis, names in AXES.items():
        if plain in names:
            return Column(axis)
    words = " ".join(WORDS.get(word, word) for word in plain.split() if word not in STATISTICS)
    for pattern, quantity, unit in PATTERNS:
        if found := re.fullmatch(pattern, words):
            return Column(quantity, _unit(found.groupdict()) / unit)
    return None


def _unit(groups: dict[str, str | None]) -> float:
    for key, value in groups.items():
        if value is not None:
            return SECONDS[value] if key.startswith("time") else PREFIXES[value]
    return 1.0


def precision(text: str) -> str:
    """Return this project's name of a precision; one that it does not know stays as it is."""
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    return next((name for name, others in PRECISION_WORDS.items() if plain in others), text.strip())


def whole(figure: Figure | None) -> int | None:
    """Return a figure as a whole number from 1 to MOST, or None if it is none."""
    return int(figure.value) if figure and figure.value == int(figure.value) and 0 < figure.value <= MOST else None


def side(text: str) -> int | None:
    """Return the side in pixels of a square image, written as `224`, `224 px` or `224x224`."""
    found = re.fullmatch(r"(\d{1,5})(?:\s*[x×*]\s*(\d{1,5}))?(?:\s*(?:px|pixels))?", text.strip().lower())
    return int(found[1]) or None if found and found[2] in (None, found[1]) else None
