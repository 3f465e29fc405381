"""What people call devices, and the most that each can do by config/hardware.yaml."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from speedgrid.machine import data_sheet
from speedgrid.machine.data_sheet import DataSheet
from speedgrid.published.names import precisions

# What says nothing of which device it is.
NEUTRAL = frozenset(
    re.findall(
        r"\w+",
        "nvidia geforce tesla quadro gpu gpus graphics card tensor core the amd radeon instinct apple jetson rtx gtx "
        "gt generation edition workstation desktop series module developer devkit kit dev single soc device",
    )
)
# What one device is sold with in several ways, and need not be said.
FORM = re.compile(r"pcie|sxm\d?|nvl|hbm\d?e?|\d+gb|oam|pascal|blackwell|maxq|reference")
# What the names that NVML gives do not say.
ALSO = {"NVIDIA H100 80GB HBM3": frozenset({"sxm5"}), "NVIDIA H200": frozenset({"sxm5", "141gb"})}
NO_FAMILY = {"super", "laptop", "ada", "pro", "max", "ultra", "titan"}
# Processors are bounded by the fastest device that is known, and are nobody's misspelling.
PROCESSOR = re.compile(
    r"\b(cpus?|xeon|epyc|ryzen|threadripper|intel|core i\d|i[3579]-?\d+|arm|cortex|graviton|snapdragon)\b",
    re.IGNORECASE,
)
COUNT = re.compile(
    r"^\s*(\d{1,4})\s*[x×*]\s*(?=\D)|\s+[x×*]\s*(\d{1,4})\s*$|\s*\(?\b(\d{1,4})\s+gpus?\)?\s*$", re.IGNORECASE
)
# A card may run above its rated boost clock: those of a data centre by a tenth (NVIDIA states the tensor rates of the
# H100 at 1830 MHz of its 1980), others by a quarter where they are cool (a GeForce RTX 2080 Ti is rated at 1545 MHz).
CLOCK_OF_SERVERS, CLOCK = 1.1, 1.25
SERVERS = re.compile(r"tesla|[ ^](t4|a10|a10g|a30|a40|a100|l4|l40s?|h100|h200|b200|gh200|mi\d+[ax]?)\b", re.IGNORECASE)
# NVIDIA's whitepapers: a GeForce card multiplies half-precision and 8-bit floats twice as fast where it adds them up in
# float16, which libraries may choose; the rates of the file are those with float32.
ACCUMULATED_IN_HALF = 2.0
# Of formats that the file does not have: with 4-bit numbers, and with every second weight left out, twice as fast each.
NARROWER = 4.0


@dataclass(frozen=True)
class Device:
    """The most that a device can do, or the fastest one of the file where it is not known.

    name: as its table has it. tflops: of the data sheet, by precision. most: what its arithmetic can reach beside that.
    count: of devices that work together. clock: by how much it may be faster than its data sheet.
    """

    name: str | None
    known: bool = False
    tflops: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    bandwidth_gb_s: float | None = None
    cache_mb: float | None = None
    count: int = 1
    clock: float = CLOCK

    def bound(self, precision: str | None) -> float:
        """Return the TFLOP/s that a row labelled so cannot exceed: in it, or in what is more exact than it."""
        names = precisions.at_least(precision or "")
        rate = max((self.most[name] for name in names if name in self.most), default=max(self.most.values()))
        unheard = precision and not precisions.known(precision) and re.search(r"4|sparse", precision.lower())
        return rate * self.count * (NARROWER if unheard else 1)


def find(name: str | None) -> Device:
    """Return the most that a device can do, by the name that people give it."""
    return _find(name or None, str(data_sheet.HARDWARE_FILE))


@cache
def _find(name: str | None, file: str) -> Device:
    sheets = _sheets(file)
    if name is None:
        return _of(None, sheets, known=False)
    counted = COUNT.search(name)
    count = int(next(one for one in counted.groups() if one)) if counted else 1
    bare = COUNT.sub(" ", name).strip()
    exact = [sheet for sheet in sheets if re.search(sheet["match"], bare)]
    matching = sorted(exact, key=lambda sheet: len(sheet["match"]))[-1:] or _matching(bare, sheets)
    return _of(name, matching or sheets, known=bool(matching), count=max(1, count))


@cache
def _sheets(file: str) -> list[DataSheet]:
    """Return the entries of a file, read once: a table asks for a hundred names."""
    return data_sheet.sheets()


def nearest(name: str) -> list[str]:
    """Return the names of known devices that are nearest to one that is not known; none of processors."""
    if PROCESSOR.search(name):
        return []
    sheets = _sheets(str(data_sheet.HARDWARE_FILE))
    names = {"".join(sorted(_tokens(sheet["match"]))): plain(sheet["match"]) for sheet in sheets}
    close = difflib.get_close_matches("".join(sorted(tokens(name))), list(names), n=3, cutoff=0.6)
    return [names[one] for one in close]


def _of(
    name: str | None, sheets: Iterable[DataSheet], known: bool, count: int = 1, near: tuple[str, ...] = ()
) -> Device:
    """Return the fastest of several devices in each thing."""
    tflops: dict[str, float] = {}
    most: dict[str, float] = {}
    for sheet in sheets:
        for precision, rate in sheet["tflops"].items():
            tflops[precision] = max(rate, tflops.get(precision, 0))
            halved = "GeForce" in sheet["match"] and precision in ("fp16", "fp8")
            most[precision] = max(rate * (ACCUMULATED_IN_HALF if halved else 1), most.get(precision, 0))
    bandwidths = [sheet.get("bandwidth_gb_s") for sheet in sheets]
    caches = [sheet.get("cache_mb") for sheet in sheets]
    servers = known and all(SERVERS.search(sheet["match"]) for sheet in sheets)
    return Device(
        name,
        known,
        tflops if known else {},
        most,
        max((one for one in bandwidths if one), default=None) if all(bandwidths) or not known else None,
        max((one for one in caches if one), default=None) if all(caches) or not known else None,
        count,
        CLOCK_OF_SERVERS if servers else CLOCK,
    )


def tokens(name: str) -> frozenset[str]:
    """Return the words of a device's name that say which one it is."""
    text = re.sub(r"(\d+)\s*gi?b?\b", r"\1gb", re.sub(r"max-q\b", "maxq", name.lower()))
    text = re.sub(r"\b([rg]tx|titan|jetson|tesla)(?=[a-z]*\d)", r"\1 ", text)
    text = re.sub(r"(?<=\b\d{4})(?=ti\b|super\b|ti super\b|m\b|d\b)|(?<=\b\d{3})(?=ti\b)|(?<=ti)(?=super\b)", " ", text)
    found = set(re.findall(r"[a-z0-9]+", text))
    return frozenset(found if "titan" in found else found - NEUTRAL) - {"nvidia", "geforce", "gpu", "graphics", "card"}


def _matching(name: str, sheets: list[DataSheet]) -> list[DataSheet]:
    """Return the devices that a name may mean: all forms of one, and where it is none's, the family of that name."""
    asked = tokens(name)
    needed = {one for one in asked if not FORM.fullmatch(one)}
    if not needed:
        return []
    found, family = [], []
    for sheet in sheets:
        own = _tokens(sheet["match"])
        required = {one for one in own if not FORM.fullmatch(one)}
        forms = own - required
        fits = all(_fits(one, forms) for one in asked - needed)
        if needed == required and fits:
            found.append(sheet)
        elif (
            needed < required
            and fits
            and all(len(one) > 2 and one not in NO_FAMILY and not one.isdigit() for one in needed)
        ):
            family.append(sheet)
    return found or family


def _fits(form: str, forms: frozenset[str]) -> bool:
    """Say whether a form may be of a device that has some: whichever is said of one that is sold in one form only."""
    alike = {one for one in forms if one.endswith("gb") == form.endswith("gb")}
    return not alike or any(one.startswith(form) for one in alike)


@cache
def _tokens(match: str) -> frozenset[str]:
    return tokens(plain(match)) | ALSO.get(plain(match), frozenset())


def plain(match: str) -> str:
    """Return the name that a pattern of config/hardware.yaml is of."""
    return re.sub(r"[\^$\\?]|\(\?:[^)]*\)", "", match)
