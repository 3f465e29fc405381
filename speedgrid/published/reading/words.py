"""The words of headers and units in one spelling each."""

import re

WORDS = {
    **dict.fromkeys(
        (
            "images",
            "img",
            "imgs",
            "im",
            "ims",
            "sample",
            "samples",
            "frame",
            "frames",
            "pic",
            "pics",
            "picture",
            "pictures",
        ),
        "image",
    ),
    **dict.fromkeys(
        ("calls", "batch", "batches", "it", "its", "iter", "iters", "iteration", "iterations", "step", "steps"), "call"
    ),
    **dict.fromkeys(("request", "requests", "req", "reqs", "run", "runs"), "call"),
    **dict.fromkeys(("queries",), "query"),
    **dict.fromkeys(("infer", "inferences", "infs", "inf", "infers"), "inference"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("msec", "msecs", "millis", "millisec", "millisecs", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("usec", "usecs", "microsecond", "microseconds", "microsec"), "us"),
    **dict.fromkeys(("nanosecond", "nanoseconds", "nsec"), "ns"),
    **dict.fromkeys(("pct", "percentage"), "percent"),
    "fraction": "share",
    "lat": "latency",
    "tput": "throughput",
    "thruput": "throughput",
    **dict.fromkeys(("utilization", "util", "mfu", "use"), "utilisation"),
    "fps": "image per s",
    "ips": "image per s",
    "qps": "query per s",
    "rps": "call per s",
    **{f"{prefix}flops": f"{prefix}flop per s" for prefix in "tp"},
    **{f"{prefix}macs": f"{prefix}mac" for prefix in ("", "m", "g")},
    **dict.fromkeys(("madds", "madd", "multiadds", "multadds"), "mac"),
    **{f"{prefix}madds": f"{prefix}mac" for prefix in "mg"},
}
# Which statistic of many timings a figure is.
STATISTICS = {
    **dict.fromkeys(("median", "p50", "med"), "median"),
    **dict.fromkeys(("mean", "avg", "average"), "mean"),
    **{f"p{share}": f"p{share}" for share in (90, 95, 99)},
    **dict.fromkeys(("min", "minimum", "best", "fastest"), "min"),
    **dict.fromkeys(("max", "maximum", "worst", "slowest"), "max"),
}
PERCENTILE = re.compile(
    r"\b(50|90|95|99)(?: ?th)? ?(?:(?:percentile|percent ile|pctl|%ile|percent)\b|%)|"
    r"\b(?:percentile|p) ?(50|90|95|99)\b"
)


def canonical(text: str) -> str:
    """Return the words of a header or a unit in lower case, each in its one spelling, with `per` for a stroke."""
    text = re.sub(r"\b0 ?(?:\.\.+|-|–|to) ?1\b", " share ", text.strip().lower().replace("µ", "u").replace("μ", "u"))
    text = re.sub(r"(?<=[a-z])\s*(?:\^\s*-1|⁻¹)", " per unit", text)
    text = PERCENTILE.sub(lambda found: f" p{found[1] or found[2]} ", text)
    text = re.sub(r"\b(images?|imgs?|frames?|samples?|batch(?:es)?)\s+s per unit\b", r"\1 per s", text)
    text = re.sub(r"\bs per unit\b", "per s", text)
    words = re.findall(r"[a-z0-9]+", text.replace("%", " percent ").replace("/", " per "))
    return " ".join(WORDS.get(word, word) for word in words)
