"""A published table as it was read: its rows, with what is known of the model and the device of each."""

from dataclasses import dataclass, field, replace

from speedgrid.published.cost import Cost
from speedgrid.published.names.devices import Device
from speedgrid.published.quantities import Figure, Interval

# Statistics that say how long a call or an image usually takes; others only bound them.
USUAL = (None, "mean", "median")


@dataclass(frozen=True)
class Base:
    """The base of a speed-up: a row's times of an image in ms, by what they were read from. where: its line."""

    line: int
    times: dict[str, Interval]


@dataclass(frozen=True)
class Row:
    """One measurement of a table, with what is known of its device and model from elsewhere.

    figures: by quantity of speedgrid.published.reading, with the statistic behind a colon where the header has one.
    model: torchvision's name where it is one of its. shape: of images that are not square, as written. bases: of its
    speed-up; sure: that it is over one of these. over: what the header says that is.
    """

    line: int
    backend: str | None = None
    precision: str | None = None
    resolution: int | None = None
    batch_size: int | None = None
    model: str | None = None
    device: str | None = None
    shape: str | None = None
    over: str | None = None
    figures: dict[str, Figure] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    cost: Cost | None = None
    limits: Device = field(default_factory=lambda: Device(None, most={"fp32": float("inf")}))
    bases: tuple[Base, ...] = ()
    sure: bool = False

    @property
    def peak(self) -> float | None:
        """The data sheet's TFLOP/s in the precision of the row, or None where either is not known."""
        rate = self.limits.tflops.get(self.precision) if self.precision else None
        return rate and rate * self.limits.count

    def named(self, name: str) -> dict[str, Figure]:
        """Return the usual figures of a quantity by statistic, without those of its tails."""
        found = {key: figure for key, figure in self.figures.items() if key.partition(":")[0] == name}
        return {key: figure for key, figure in found.items() if (key.partition(":")[2].strip("'") or None) in USUAL}

    def every(self, name: str) -> list[Interval]:
        """Return the intervals that the usual figures of a quantity stand for; none if the row has no such figure."""
        return [figure.interval for figure in self.named(name).values()]

    def get(self, name: str) -> Interval | None:
        """Return the interval of the first usual figure of a quantity, or None if the row has no such figure."""
        return next(iter(self.every(name)), None)

    def scaled(self, factors: dict[str, float]) -> "Row":
        """Return the row with the figures of some quantities multiplied by their factor."""
        changed = {
            key: figure.times(factors[key.partition(":")[0]])
            for key, figure in self.figures.items()
            if key.partition(":")[0] in factors
        }
        return replace(self, figures=self.figures | changed)


@dataclass(frozen=True)
class Table:
    """A published table. columns: header to quantity or axis. unknown: headers that are not understood.

    described_by: the file beside it that says more of it, or None. named: of names that are not known, the nearest.
    """

    file: str
    described_by: str | None
    title: str
    device: str | None
    source: str | None
    origin: str | None
    columns: dict[str, str]
    unknown: list[str]
    rows: list[Row]
    named: dict[str, list[str]] = field(default_factory=dict)
