"""Quantities of speed as headers and units name them, in the words of `speedgrid.published.reading.words`."""

import math
import re
from typing import NamedTuple

from speedgrid.published.reading.words import canonical

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12, "p": 1e15}
TIMES = {"latency_ms", "ms_per_image"}
RATES = {"fps", "calls_per_s", "throughput_fps", "throughput_calls_per_s"}
# Of headers without a unit: a time, a rate, or either.
OPEN = {"time", "time_per_image", "rate", "throughput", "speed", "cells"}
# Operations of an image, in one convention or another.
OPERATIONS = {"operations", "gflops", "gflop_per_image"}
# What a time or a rate may be called beside its unit.
HEADS = set(["latency", "time", "duration", "runtime", "delay", "speed", "inference", "forward", "elapsed"])
BESIDE = set(
    [
        "model",
        "gpu",
        "in",
        "the",
        "of",
        "pass",
        "execution",
        "exec",
        "predict",
        "prediction",
        "compute",
        "processing",
        "per",
        "call",
        "image",
        "step",
        "on",
        "with",
        "using",
        "at",
        "net",
        "one",
        "single",
        "input",
        "unit",
        "infer",
        "kernel",
        "host",
    ]
)
RATE_HEADS = set(["throughput", "rate", "speed", "performance", "perf", "inference", "bandwidth"])
BESIDE_RATE = set(
    [
        *("in", "the", "of", "model", "gpu", "processing", "frame", "image", "measured", "infer", "per", "framerate"),
        *("on", "with", "using", "at", "offline"),
    ]
)
RATE = re.compile(r"\b(?P<noun>image|call|query|inference) (?P<per>per )?s\b")
TIME = re.compile(r"\b(?P<unit>ns|us|ms|s)\b(?: (?:per )?(?P<noun>image|call|query|inference)\b)?")
FLOPS = r"(?P<flop>[mgtp]?)flop per s"
# (pattern of the whole header in the words above, quantity, its unit in units of the pattern's)
ARITHMETIC = (
    (rf"(?:achieved |effective |measured |compute )?{FLOPS}", "tflops", 1e12),
    (
        rf"(?:theoretical |stated |device |gpu )?peak {FLOPS}|{FLOPS.replace('flop>', 'flop2>')} peak",
        "tflops_peak",
        1e12,
    ),
    (r"(?:theoretical |stated |device |gpu )?peak (?P<flop>[mg])flops|(?P<flop2>[mg])flops peak", "tflops_peak", 1e12),
    (r"(?:achieved |effective |measured )(?P<flop>[mg])flops", "tflops", 1e12),
    (r"(?P<flop>[mgt]?)flop(?: per image)?", "gflop_per_image", 1e9),
    (
        r"(?:complexity )?(?P<mac>[mgb]?)mac(?: per image)?|mac (?P<mac2>[kmgbt])|"
        r"(?:infer|inference) (?P<mac3>[mg])mac",
        "gflop_per_image",
        1e9 / 2,
    ),
    (
        r"mult(?:iply)? adds? (?P<mac>[kmgbt])|multi adds? (?P<mac2>[kmgbt])|mult(?:iply)? adds?",
        "gflop_per_image",
        1e9 / 2,
    ),
    # Operations, in a convention that is not said: of two for a multiply-add, or one.
    (
        r"(?:model |total )?(?:flop|op)s? (?P<flop>[kmgbt])|(?P<flop2>[mg])flops? per image|"
        r"(?:model|encoder|backbone) (?P<flop3>[mg])flops",
        "operations",
        1e9,
    ),
    # Operations, or operations in a second: the figures decide.
    (r"(?P<flop>[mg])(?:fl)?ops|(?:model |total )?flops", "gflops", 1e9),
    (
        r"utilisation (?:of peak )?percent|percent (?:of )?peak|utilisation percent of peak|"
        r"utilisation percent utilisation",
        "utilisation_percent",
        1,
    ),
    (r"utilisation share", "utilisation_percent", 1e-2),
)
# An operation, or a multiply-add, in billions of operations; and what stands for the thousands of them.
ONE = (1e-9, 2e-9)
PREFIX = re.compile(r"(?P<prefix>[kmgbt])\s*(?:flops?|macs?|madds?|mult-?adds?)?", re.IGNORECASE)
GAINS = set(["gain", "improvement", "increase", "faster", "uplift", "boost"])
LOSSES = set(["reduction", "decrease", "saved", "saving", "savings", "reduced"])
RELATIVE = re.compile(
    r"(?P<head>(?:relative |rel |total |net |latency |throughput |fps |performance |perf |"
    r"inference |speed |time |int8 |fp16 )*"
    r"(?:speed ?-?_?up|speedups|acceleration|gain|improvement|increase|uplift|boost|faster|reduction|decrease|saved|"
    r"savings?|relative speed|relative performance|relative throughput))"
    r"(?P<rest>(?:[ _]*(?:\(?x\)?|×|ratio|factor|\(?%\)?|percent|\(times\)|in %|times))*)"
    r"(?:[ _(\[]*(?P<over>over|vs\.?|versus|against|relative to|compared (?:to|with)|w\.?r\.?t\.?|to|from|of)[ _]+"
    r"(?P<base>.+?)\)?\]?)?"
    r"(?P<end>(?:[ _]*(?:\(?x\)?|×|\(?%\)?))*)",
    re.IGNORECASE,
)


class Meaning(NamedTuple):
    """A quantity, and the factor to its unit from that of a header; None where there is no unit."""

    name: str
    factor: float | None = 1.0
    base: str | None = None


def meaning(words: str, with_statistic: bool = False) -> Meaning | None:
    """Return the meaning of a header that has these words, without its statistic."""
    for pattern, quantity, unit in ARITHMETIC:
        if found := re.fullmatch(pattern, words):
            return Meaning(quantity, _prefix(found.groupdict()) / unit)
    return _rate(words) or _time(words, with_statistic) or _open(words, with_statistic)


def _prefix(groups: dict[str, str | None]) -> float:
    return next((PREFIXES[value] for value in groups.values() if value is not None), 1.0)


def _rate(words: str) -> Meaning | None:
    found = RATE.search(words)
    if not found:
        return None
    left = RATE.sub(" ", words).split()
    # Tables of detectors have a time in frames per second: its unit says what it is. A time per image has one in s.
    if set(left) - RATE_HEADS - BESIDE_RATE - (HEADS if found["per"] else set()):
        return None
    # trtexec counts executions of a batch as queries; Triton's perf_analyzer counts images as inferences. Both keep
    # several requests in flight, as does anything called throughput: it need not follow from the latency.
    several = "throughput" in left or found["noun"] in ("query", "inference")
    calls = found["noun"] in ("call", "query")
    return Meaning(("throughput_" if several else "") + ("calls_per_s" if calls else "fps"))


def _time(words: str, with_statistic: bool) -> Meaning | None:
    found = TIME.search(words)
    if not found:
        return None
    left = f"{words[: found.start()]} {words[found.end() :]}".split()
    alone = not left and found["unit"] != "s"  # a header of `ms` and no more
    if set(left) - HEADS - BESIDE or not (with_statistic or found["noun"] or set(left) & HEADS or alone):
        return None
    if TIME.search(" ".join(one for one in left if one in SECONDS)):
        return None
    image = found["noun"] == "image" or (not found["noun"] and "image" in left)
    return Meaning("ms_per_image" if image else "latency_ms", SECONDS[found["unit"]] / 1e-3)


def _open(words: str, with_statistic: bool) -> Meaning | None:
    left = set(words.split())
    if left - HEADS - RATE_HEADS - BESIDE or (not left and not with_statistic):
        return None
    if words == "inference per s":
        return None
    if "throughput" in left or "rate" in left:
        return Meaning("throughput" if "throughput" in left else "rate", None)
    if "speed" in left or "performance" in left or "perf" in left:
        return Meaning("speed", None)
    per_image = "image" in left
    return Meaning("time_per_image" if per_image else "time", None) if left & HEADS or with_statistic else None


def of_unit(unit: str) -> Meaning | None:
    """Return the quantity of a unit in a cell: a time (`time`), a time of an image, a rate, a share or a ratio."""
    text = unit.strip().lower()
    if text in ("x", "×", "times"):
        return Meaning("ratio")
    words = canonical(unit)
    if words in ("percent",):
        return Meaning("percent")
    if words in SECONDS:
        return Meaning("time", SECONDS[words] / 1e-3)
    if found := re.fullmatch(r"(ns|us|ms|s) per (image|call|query|inference)", words):
        return Meaning("ms_per_image" if found[2] == "image" else "latency_ms", SECONDS[found[1]] / 1e-3)
    if (found := RATE.fullmatch(words)) or re.fullmatch(r"throughput", words):
        return _rate(words)
    for pattern, quantity, factor in ARITHMETIC:
        if found := re.fullmatch(pattern, words):
            return Meaning(quantity, _prefix(found.groupdict()) / factor)
    return None


def with_open(name: str, unit: Meaning) -> Meaning | None:
    """Return the meaning of a header without a unit by that of its cells, or None where they do not go together."""
    rate = unit.name in RATES
    if unit.name in ("ratio", "percent") or unit.name not in RATES | TIMES | {"time"}:
        return None
    if name in ("throughput", "rate", "speed", "cells") and rate:
        several = "throughput_" if name == "throughput" and not unit.name.startswith("throughput") else ""
        return Meaning(several + unit.name, unit.factor)
    if name in ("time", "speed", "cells") and not rate:
        return Meaning("latency_ms" if unit.name == "time" else unit.name, unit.factor)
    return Meaning("ms_per_image", unit.factor) if name == "time_per_image" and not rate else None


def in_cell(name: str, factor: float | None, unit: str) -> float | None:
    """Return the factor of a cell with a unit of its own in a column of a quantity, or None where they do not agree."""
    if name in OPERATIONS and factor and (letter := PREFIX.fullmatch(unit.strip())):
        return of_prefix(factor, PREFIXES[letter["prefix"].lower()])
    found = of_unit(unit)
    if found is None or found.factor is None:
        return None
    if name in TIMES and found.name in ("time", name):
        return found.factor
    if name in RATES and found.name.removeprefix("throughput_") == name.removeprefix("throughput_"):
        return found.factor
    same = name == found.name or {name, found.name} <= OPERATIONS
    if name in ("speedup", "gain_percent", "reduction_percent", "utilisation_percent"):
        return factor if found.name in ("ratio", "percent") else None
    return found.factor if same else None


def of_prefix(factor: float, prefix: float) -> float | None:
    """Return the factor of a cell of operations with a prefix; None where its header has another one.

    factor: of its column, of one operation for each or of two, times the header's prefix where it has one.
    """
    one = next((one for one in ONE if math.isclose(factor, one)), None)
    if one:
        return one * prefix
    return factor if any(math.isclose(factor, one * prefix) for one in ONE) else None


def relative(text: str) -> Meaning | None:
    """Return the meaning of a header of a speed-up, a gain or a reduction, with what it is over."""
    found = RELATIVE.fullmatch(text.strip())
    if not found:
        return None
    head = found["head"].lower()
    words = set(re.findall(r"[a-z]+", head))
    base = found["base"].strip() if found["base"] else None
    if found["over"] == "of" or (words & {"relative", "rel"} and words & {"time", "latency"}):
        return None
    percent = "%" in text or "percent" in text.lower()
    if words & LOSSES:
        return Meaning("reduction_percent", 1.0, base) if percent or words & {"latency", "time"} else None
    if "x" in re.findall(r"[a-z]+", f"{found['rest']} {found['end']}".lower()) or "×" in text:
        return Meaning("speedup", 1.0, base)
    gain = bool(words & GAINS) and not re.search("speed ?-?_?up", head)
    return Meaning("gain_percent" if gain else "percent_of_speed" if percent else "speedup", 1.0, base)
