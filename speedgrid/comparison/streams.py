"""How many cameras two results serve: place by place, with what both showed beside it."""

from speedgrid.comparison.load import REMEDY, Result
from speedgrid.launcher.reading import of_kind
from speedgrid.serving.claims import Claim, claim, verdicts
from speedgrid.serving.places import PATTERN
from speedgrid.serving.seen import Streams
from speedgrid.serving.verdict import FAILED
from speedgrid.text.markup import _

MORE, FEWER, SAME, UNDECIDED = "MORE", "FEWER", "SAME", "UNDECIDED"
# What must be the same for two numbers of cameras to mean the same.
PLACE = ("model", "backend", "precision", "resolution")
DEMANDS = ("fps", "deadline_ms", "quantile", "confidence", "queue")


def rows(a: Result, b: Result) -> list[list[str]]:
    """Return (place, demand, cameras in A, in B, verdict) of each place that both served with the same demand."""
    before, after = served(a), served(b)
    found = []
    for at in before.keys() & after.keys():
        one, other = claim(before[at]), claim(after[at])
        if one and other:
            place, demand = before[at]["place"], before[at]["asked"]
            name = PATTERN.format(**place)
            words = _("{fps} FPS, {ms} ms").format(fps=f"{demand['fps']:g}", ms=f"{demand['deadline_ms']:.1f}")
            said = verdict((before[at], one), (after[at], other))
            found.append([name, words, str(one.streams), str(other.streams), said])
    return sorted(found)


def served(result: Result) -> dict[tuple[object, ...], Streams]:
    """Return the records of a result by place and demand. Raises FileError for ones that are none."""
    records = of_kind(result.run.get("streams", []), list[Streams], f"{result.name}: streams", REMEDY)
    whole = [one for one in records if all(len(run["frames"]) == len(run["misses"]) > 0 for run in one["runs"])]
    return {key(one): one for one in whole if one["status"] == "ok"}


def key(found: Streams) -> tuple[object, ...]:
    """Return the place of a record and the demand on it."""
    place, asked = dict(found["place"]), dict(found["asked"])
    return (*(place[axis] for axis in PLACE), *(asked[name] for name in DEMANDS))


def verdict(before: tuple[Streams, Claim], after: tuple[Streams, Claim]) -> str:
    """Return MORE or FEWER where the side with fewer was shown to fail what the other one passes, else SAME or not."""
    (a, one), (b, other) = before, after
    if one.streams == other.streams:
        return SAME
    if other.streams > one.streams:
        return MORE if failed(a, one, other.streams) else UNDECIDED
    return FEWER if failed(b, other, one.streams) else UNDECIDED


def failed(found: Streams, main: Claim, most: int) -> bool:
    """Say whether a place was shown to fail with some number of cameras up to `most`."""
    seen = verdicts(found, main.kind, main.deadline_ms)
    return any(one.word in FAILED for streams, one in seen.items() if main.streams < streams <= most)
