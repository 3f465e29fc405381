"""Verdicts, checks and slips of published tables in words."""

from speedgrid.published.hypotheses import About
from speedgrid.text.markup import Markdown, _


def verdict(name: str) -> Markdown:
    """Name a verdict."""
    return {
        "consistent": _("consistent"),
        "inconsistent": _("inconsistent"),
        "impossible": _("impossible"),
        "unchecked": _("cannot be checked"),
    }[name]


def title(check: str) -> Markdown:
    """Return the sentence on what a failed check means."""
    return {
        "call_time": _("the time of a batch is not that of an image times the batch size"),
        "image_rate": _("FPS and the time of an image contradict each other"),
        "call_rate": _("FPS and the time of a batch contradict each other"),
        "calls": _("calls/s do not follow from the time or the rate of images"),
        "arithmetic": _("the operations of an image are not those of this model"),
        "tflops": _("TFLOPS do not follow from FPS"),
        "utilisation": _("the share of the peak does not follow from TFLOPS"),
        "speedup": _("the speed-up does not follow from the times"),
        "stated_peak": _("faster than the peak that the table states"),
        "physics": _("faster than the device can be"),
        "positive": _("a figure that cannot be"),
    }[check]


def arithmetic(check: str, figures: dict[str, str]) -> Markdown:
    """Write out the arithmetic of a failed check."""
    key = f"{check} by {figures['evidence']}" if "evidence" in figures else check
    return _sums()[key].format(**figures) + _limit(check, figures)


def _sums() -> dict[str, Markdown]:
    of_fps = _("{rate} FPS are {computed} TFLOPS, {times} times the {peak} TFLOPS")
    of_tflops = _("{computed} TFLOPS are {times} times the {peak} TFLOPS")
    return {
        "call_time": _("{latency} ms a batch, but {image} ms/image x {batch} = {product} ms"),
        "image_rate": _("{fps} FPS x {image} ms/image = {product}, not 1000"),
        "call_rate": _("{fps} FPS x {latency} ms a batch = {product}, not 1000 x batch size = {wanted}"),
        "calls": _("{calls} calls/s, but its other figures give {rate}"),
        "arithmetic": _("{stated} GFLOP an image, but the model has {counted}"),
        "tflops": _("{tflops} TFLOPS, but {flop} GFLOP x {fps} FPS = {computed} TFLOPS"),
        "utilisation": _("{use} % of the peak, but {rate} of {peak} TFLOPS are {share} %"),
        "speedup": _("speed-up {speedup}, but {reference} / {own} ms an image = {ratio}"),
        "stated_peak by fps": of_fps,
        "physics by fps": of_fps,
        "stated_peak by tflops": of_tflops,
        "physics by tflops": of_tflops,
        "stated_peak by use": _("{use} % of the peak is more than all of it"),
        "positive": _("{name} is {value}"),
    }


def _limit(check: str, figures: dict[str, str]) -> Markdown:
    if check == "stated_peak" and figures["evidence"] != "use":
        return _(" that the table states as peak")
    if check == "physics" and figures["source"] == "sheet":
        return _(" of the data sheet in {precision}; at most {most} times is possible").format(**figures)
    if check == "physics":
        return _(" that the table states as peak; at most {most} times is possible").format(**figures)
    return Markdown()


COLUMNS = {
    "ms_per_image": "ms/image",
    "latency_ms": "ms",
    "fps": "FPS",
    "calls_per_s": "calls/s",
    "throughput_fps": "images/s",
    "tflops": "TFLOPS",
    "utilisation_percent": "%",
}


def slip(name: str, about: About) -> Markdown:
    """Return the sentence on a slip that would explain a row."""
    if name == "precision":
        return _("it ran in {ran}, labelled {label}").format(**about)
    if name == "cut_off":
        return _("digits were cut off instead of rounded")
    if name == "macs" and about["way"] == "macs":
        return _("a multiply-add was counted as one operation (MACs, not FLOPs)")
    if name == "macs":
        return _("operations were doubled twice (FLOPs taken for MACs)")
    if name == "percent":
        return _("a share stands where a percentage should, or the other way round")
    columns = ", ".join(COLUMNS[one] for one in about["columns"])
    if name == "thousand":
        return _("{columns} is off by a thousand, a unit").format(columns=columns)
    if about["way"] == "too_fast":
        text = _("the batch size was counted twice, or the time of an image taken for that of a batch ({columns})")
    else:
        text = _("the time of a batch was taken for that of an image ({columns})")
    return text.format(columns=columns)


def unknown(reason: str) -> Markdown:
    """Say why a row could not be held against its device."""
    return {
        "device": _("the table does not say on which device"),
        "data_sheet": _("the device is not in config/hardware.yaml, and the table states no peak"),
        "precision": _("config/hardware.yaml has no peak of that precision"),
        "speed": _("the row has no speed"),
        "flop": _("the operations of an image are not known for that model and resolution"),
    }[reason]
