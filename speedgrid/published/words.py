"""Verdicts, checks and slips of published tables in words."""

from speedgrid.published.hypotheses import About
from speedgrid.text.markup import Markdown, _


def verdict(name: str) -> Markdown:
    """Name a verdict."""
    return {
        "not_contradicted": _("not contradicted"),
        "inconsistent": _("inconsistent"),
        "impossible": _("impossible"),
        "unchecked": _("cannot be checked"),
    }[name]


def title(check: str) -> Markdown:
    """Return the sentence on what a failed check means."""
    return {
        "same": _("two columns of one quantity contradict each other"),
        "order": _("percentiles do not rise"),
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
        "traffic": _("faster than the memory can be read"),
        "positive": _("a figure that cannot be"),
    }[check]


def arithmetic(check: str, figures: dict[str, str]) -> Markdown:
    """Write out the arithmetic of a failed check."""
    if check == "traffic":
        return _traffic(figures) + _(", {times} times the {most} GB/s of {of}").format(of=_whose(figures), **figures)
    key = f"{check} by {figures['evidence']}" if "evidence" in figures else check
    return _sums()[key].format(**figures) + _limit(check, figures)


def held(check: str, figures: dict[str, str]) -> Markdown:
    """Write out the arithmetic of a check that holds."""
    if check in ("physics", "stated_peak") and figures["evidence"] != "use":
        sums = (
            _("{rate} x {flop} GFLOP = {computed} TFLOPS") if figures["evidence"] == "fps" else _("{computed} TFLOPS")
        )
        share = _("{percent} % of the {peak} of {of}")
        of = _whose(figures) if check == "physics" else _("the peak that the table states")
        return sums.format(**figures) + Markdown(", ") + share.format(of=of, **figures)
    if check == "traffic":
        return _traffic(figures) + _(" of {most} of {of}").format(of=_whose(figures), **figures)
    return _equal()[check].format(**figures)


def _whose(figures: dict[str, str]) -> Markdown:
    if figures["source"] == "fastest":
        return _("the fastest device in config/hardware.yaml")
    if figures["source"] == "stated":
        return _("the peak that the table states")
    precision = figures.get("precision")
    text = _("{device} in {precision}") if precision else _("{device}")
    return text.format(device=figures["device"], precision=precision)


def _traffic(figures: dict[str, str]) -> Markdown:
    text = _(
        "{rate} images/s at batch size {batch} move {megabytes} MB a call (beyond a cache of {cache} MB): {moved} GB/s"
    )
    return text.format(**figures)


def _equal() -> dict[str, Markdown]:
    return {
        "same": _("{quantity} is {one} and {other}"),
        "order": _("{lower} {small} ms, {upper} {large} ms"),
        "call_time": _("{image} ms/image x {batch} = {latency} ms"),
        "image_rate": _("{fps} FPS x {image} ms/image = 1000"),
        "call_rate": _("{fps} FPS x {latency} ms = {wanted}"),
        "calls": _("{calls} calls/s follow"),
        "arithmetic": _("{stated} GFLOP an image, counted {counted}"),
        "tflops": _("{flop} GFLOP x {fps} FPS = {tflops} TFLOPS"),
        "utilisation": _("{rate} of {peak} TFLOPS = {use} %"),
        "speedup": _("{reference} / {own} ms = {speedup} times line {line}"),
        "stated_peak": _("{use} % of the peak"),
    }


def _sums() -> dict[str, Markdown]:
    of_fps = _("{rate} FPS are {computed} TFLOPS, {times} times the {peak} TFLOPS")
    of_tflops = _("{computed} TFLOPS are {times} times the {peak} TFLOPS")
    return {
        "same": _("{quantity} is {one} in one column and {other} in another"),
        "order": _("{lower} is {small} ms, but {upper} is {large} ms"),
        "call_time": _("{latency} ms a batch, but {image} ms/image x {batch} = {product} ms"),
        "image_rate": _("{fps} FPS x {image} ms/image = {product}, not 1000"),
        "call_rate": _("{fps} FPS x {latency} ms a batch = {product}, not 1000 x batch size = {wanted}"),
        "calls": _("{calls} calls/s, but its other figures give {rate}"),
        "arithmetic": _("{stated} GFLOP an image, but the model has {counted}"),
        "tflops": _("{tflops} TFLOPS, but {flop} GFLOP x {fps} FPS = {computed} TFLOPS"),
        "utilisation": _("{use} % of the peak, but {rate} of {peak} TFLOPS are {share} %"),
        "speedup": _("speed-up {speedup}, but {reference} (line {line}) / {own} ms = {ratio}"),
        "stated_peak by fps": of_fps,
        "physics by fps": of_fps,
        "stated_peak by tflops": of_tflops,
        "physics by tflops": of_tflops,
        "stated_peak by use": _("{use} % of the peak is more than {most} times all of it"),
        "positive": _("{name} is {value}"),
    }


def _limit(check: str, figures: dict[str, str]) -> Markdown:
    possible = (
        _(". At most {most} times is possible for this model").format(**figures) if "most" in figures else Markdown()
    )
    if check == "stated_peak" and figures["evidence"] != "use":
        return _(" that the table states as peak") + possible
    if check == "physics":
        return _(" of {of}").format(of=_whose(figures)) + possible
    return Markdown()


def unmade(name: str, figures: dict[str, str]) -> Markdown:
    """Say which check could not be made of a row's figures, and why."""
    if name == "speedup" and "implied" in figures:
        return _("{speedup}x not checked: no row is 1x; it implies one of {implied} images/s").format(**figures)
    if name == "speedup" and "implied_ms" in figures:
        return _("{speedup}x not checked: no row is 1x; it implies one of {implied_ms} ms").format(**figures)
    if name == "speedup":
        return _("{speedup}x not checked: the row has no speed").format(**figures)
    if name == "call_rate":
        text = _("{fps} FPS x {latency} ms not checked: no batch size; they imply {images} images a call")
        return text.format(**figures)
    if name == "throughput":
        return _("{rate} not held against the time: several calls may be in flight").format(**figures)
    if name == "traffic":
        return _("bytes a second not checked: no one bandwidth is known of {device}").format(**figures)
    return _("{value} GFLOPS not checked: operations of an image or of a second").format(**figures)


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
    if name == "not_waited":
        return _("it was timed without waiting for the GPU: the time hardly grows with the batch")
    if name == "mean_of_rates":
        return _("a mean of rates stands beside a mean of times, which is never above what they give")
    if name == "taken_for_rate":
        return _("the operations of an image were taken for those of a second")
    if name == "gain":
        return (
            _("a gain stands where a ratio should")
            if about["way"] == "gain"
            else _("a ratio stands where a gain should")
        )
    columns = ", ".join(COLUMNS[one] for one in about["columns"])
    if name == "thousand":
        return _("{columns} is off by a thousand, a unit").format(columns=columns)
    if about["way"] == "too_fast":
        text = _("the batch size was counted twice, or the time of an image taken for that of a batch ({columns})")
    else:
        text = _("the time of a batch was taken for that of an image ({columns})")
    return text.format(columns=columns)


def unknown(reason: str) -> Markdown:
    """Say why a row could not be held against its own device, or its own model."""
    return {
        "device": _("the table does not say on which device; the fastest that is known bounds them"),
        "data_sheet": _("the device is not in config/hardware.yaml; the fastest that is known bounds them"),
        "precision": _("config/hardware.yaml has no peak of that precision; the device's other rates bound them"),
        "precision_unsaid": _("the table does not say in which precision; the fastest bounds them"),
        "speed": _("the row has no speed"),
        "model": _("the table does not say which model"),
        "resolution": _("the table does not say the size of the images"),
        "square": _("images that are not square are not counted here"),
        "flop": _("the operations of an image are not known for that model and resolution"),
        "batch_size": _("the table does not say the batch size"),
    }[reason]


# What the author of a table, or whoever audits it, can say in its description.
ASKED = {
    "device": "device",
    "precision_unsaid": "precision",
    "model": "model",
    "resolution": "resolution",
    "batch_size": "batch_size",
}
