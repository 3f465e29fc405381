"""What would explain a row that does not hold: slips that tables are known to have, each tried on the numbers.

A slip is named only where undoing it makes the arithmetic fit: a check that failed holds then, and none that held
fails.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypedDict

from speedgrid.published.checks import BOUNDS, NAMES, Check
from speedgrid.published.judged import check
from speedgrid.published.quantities import Figure
from speedgrid.published.relative import RATIOS
from speedgrid.published.rows import Row

# Each follows from those before it, and a slip in one is passed on: +1 rises with speed, -1 falls.
CHAIN = {"ms_per_image": -1, "fps": 1, "tflops": 1, "utilisation_percent": 1}
COMPUTING = ({"tflops": 1}, {"tflops": 1, "utilisation_percent": 1})
# Of what a row labelled so may have run instead, the likeliest first: TF32 is the default of most runtimes.
FASTER = {"fp32": ("tf32", "fp16", "bf16"), "tf32": ("fp16", "bf16")}


class About(TypedDict, total=False):
    """The facts that the sentence on a slip names.

    ran, label: precisions. columns: the figures that it is in. way: which way round. batch: the batch size.
    """

    ran: str
    label: str | None
    columns: list[str]
    way: str
    batch: str


class Suggestion(TypedDict):
    """A slip that would explain a row, and the checks that hold without it."""

    name: str
    about: About
    mended: list[str]


@dataclass(frozen=True)
class Slip:
    """One slip, undone: its name, what is said of it, and the row as it would be without it.

    Any figure fits below a bound if it is divided by enough, so that a bound alone is no reason to name a slip, but
    where `by_bounds` is not None and all of these checks hold.
    """

    name: str
    about: About
    row: Row
    by_bounds: tuple[str, ...] | None = None


def explain(row: Row) -> list[Suggestion]:
    """Return the slips that make most of a row's failed checks hold: `name`, `about` and the checks that are `mended`.

    Of speed-ups only what the row itself may have slipped in, because they hang on another row too.
    """
    before = _failed(row)
    found = []
    for slip in slips(row) if before else ():
        after = _failed(slip.row)
        mended = before - after
        fits = slip.by_bounds is not None and not after & set(slip.by_bounds)
        if after < before and (fits or mended - set(BOUNDS)):
            found.append((slip, mended))
    most = max((len(mended) for _, mended in found), default=0)
    best = [(slip, mended) for slip, mended in found if len(mended) == most]
    named: dict[tuple[str, str | None], Suggestion] = {}
    for slip, mended in best:  # of one slip in several columns the fewest
        suggestion = Suggestion(name=slip.name, about=slip.about, mended=sorted(mended))
        named.setdefault((slip.name, slip.about.get("way")), suggestion)
    return [*named.values(), *ratios(row)]


def _failed(row: Row) -> set[str]:
    return failed(check(row)) - {"speedup"}


def slips(row: Row) -> Iterator[Slip]:
    """Yield each slip that a row could have, with the row without it."""
    yield from precisions(row)
    yield from batches(row)
    yield from operations(row)
    yield from units(row)
    yield from taken_for_rate(row)
    yield Slip("cut_off", {}, replace(row, figures={name: one.cut_off() for name, one in row.figures.items()}))


def precisions(row: Row) -> Iterator[Slip]:
    """Yield the slips of a row that ran in a faster precision than its label, whose peak counts then."""
    own = row.peak
    own = own and own / row.limits.count
    for precision in FASTER.get(row.precision or "", ()):
        peak = row.limits.tflops.get(precision)
        if not own or not peak or peak <= own:
            continue
        # Its own peak, with no allowance: tensor cores have no use for Winograd.
        figures = row.figures | {"tflops_peak": Figure(f"{peak:g}", peak, 0.0)}
        stated = row.figures.get("tflops_peak")
        if stated and stated.value and "utilisation_percent" in figures:
            figures["utilisation_percent"] = figures["utilisation_percent"].times(stated.value / peak)
        elif not stated:
            figures.pop("utilisation_percent", None)
        ran = replace(row, precision=precision, figures=figures, cost=row.cost and replace(row.cost, winograd=0.0))
        yield Slip("precision", {"ran": precision, "label": row.precision}, ran, by_bounds=BOUNDS)
        if not _failed(ran) & set(BOUNDS):
            return  # what is faster still would fit as well, and say less


def batches(row: Row) -> Iterator[Slip]:
    """Yield the slips of a batch's time taken for an image's, or the batch size counted twice, from some figure on."""
    if not row.batch_size or row.batch_size == 1:
        return
    names = {key.partition(":")[0] for key in row.figures}
    chain = [name for name in CHAIN if name in names]
    runs: list[list[str]] = [chain[i:j] for i in range(len(chain)) for j in range(i + 1, len(chain) + 1)]
    runs += [[name] for name in ("latency_ms", "calls_per_s", "throughput_fps") if name in names]
    for run in sorted(runs, key=len):
        for way, factor in (("too_fast", 1 / row.batch_size), ("too_slow", row.batch_size)):
            factors = {name: factor ** CHAIN.get(name, -1 if name == "latency_ms" else 1) for name in run}
            about = About(columns=run, way=way, batch=str(row.batch_size))
            alone = len([name for name in run if name != "utilisation_percent"]) <= 1
            yield Slip("batch", about, row.scaled(factors), by_bounds=NAMES if alone else None)


def operations(row: Row) -> Iterator[Slip]:
    """Yield the slips of multiply-adds counted as one operation, or doubled twice."""
    stated = "gflop_per_image" in row.figures
    for way, factor in (("macs", 2.0), ("doubled", 0.5)):
        for names in COMPUTING if "tflops" in row.figures else ():
            yield Slip("macs", {"way": way}, row.scaled(dict.fromkeys(names, factor)))
            if stated:
                yield Slip("macs", {"way": way}, row.scaled(dict.fromkeys((*names, "gflop_per_image"), factor)))
        if stated:
            yield Slip("macs", {"way": way}, row.scaled({"gflop_per_image": factor}))


def units(row: Row) -> Iterator[Slip]:
    """Yield the slips of a share that stands for a percentage, and of a unit that is a thousand times another."""
    for factor in (100.0, 0.01):
        yield Slip("percent", {"way": str(factor)}, row.scaled({"utilisation_percent": factor}))
    for factor in (1000.0, 0.001):
        for names in ({"latency_ms": 1}, {"ms_per_image": 1}, *COMPUTING):
            if set(names) <= {key.partition(":")[0] for key in row.figures}:
                undone = row.scaled(dict.fromkeys(names, factor))
                yield Slip("thousand", {"way": str(factor), "columns": list(names)}, undone)


def taken_for_rate(row: Row) -> Iterator[Slip]:
    """Yield the slip of the operations of an image that stand for those of a second."""
    if stated := row.figures.get("tflops"):
        # A TFLOP is a thousand GFLOP, of which tables of models count each multiply-add once or twice.
        others = {name: figure for name, figure in row.figures.items() if name != "tflops"}
        moved = replace(row, figures=others | {"operations": stated.times(1e3)})
        if row.cost:
            yield Slip("taken_for_rate", {}, moved)


def ratios(row: Row) -> list[Suggestion]:
    """Return the slips of a gain that stands for a ratio, or the other way round, that make a speed-up hold."""
    found: list[Suggestion] = []
    if not any(one.name == "speedup" and not one.holds for one in check(row)):
        return found
    key, figure = next((key, one) for key, one in row.figures.items() if key.partition(":")[0] in RATIOS)
    others = {name: one for name, one in row.figures.items() if name != key}
    percent = key.startswith("gain_percent")
    ways = (
        ("gain", "gain_percent", figure.times(100.0)),  # 0.25 or 25 for 1.25
        ("gain", "gain_percent", figure),
        ("ratio", "speedup", figure.times(0.01)),
    )
    for way, name, read in ways[2:] if percent else ways[:2]:
        tried = replace(row, figures=others | {name: read})
        if all(one.holds for one in check(tried) if one.name == "speedup"):
            found.append(Suggestion(name="gain", about=About(way=way), mended=["speedup"]))
            break
    return found


def failed(made: list[Check]) -> set[str]:
    """Return the names of the checks that do not hold."""
    return {one.name for one in made if not one.holds}
