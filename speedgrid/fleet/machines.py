"""The machines of a fleet: the result of each under a name of its own, with what an hour of it costs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speedgrid import InputError
from speedgrid.comparison import cells, load
from speedgrid.comparison.load import Result
from speedgrid.comparison.noise import Rounds
from speedgrid.fleet.wishes import Wishes
from speedgrid.report.findings.objectives import margin_of
from speedgrid.table.columns import NAMES
from speedgrid.table.run import Description, Table
from speedgrid.text.markup import clean


class FleetError(InputError):
    """Results that are no fleet; the message names the result, and what would be right."""


@dataclass(frozen=True)
class Machine:
    """One machine of a fleet.

    name: its device, with its source where several have the same one. result: without samples. rounds: of the latency
    of each cell that has one. sampled: whether they are of samples, and not of the table's intervals. price: of an
    hour, None where nobody said.
    """

    name: str
    result: Result
    rounds: dict[str, Rounds]
    sampled: bool
    price: float | None

    @property
    def table(self) -> Table:
        """The rows of its table, with every column that there is today, by the names of their cells."""
        return self.result.table

    @property
    def run(self) -> Description:
        """The description of its run."""
        return self.result.run

    @property
    def margin(self) -> float:
        """The ratio below which its own settings are not told apart."""
        return margin_of(self.run["controls"]["noise_floor_percent"])


def read(sources: Sequence[str | Path], wishes: Wishes) -> list[Machine]:
    """Return the machines of a fleet: folders in which speedgrid ran, or archives, in their order.

    Raises FleetError for fewer than two or for one that is given twice, ComparisonError for one that cannot be read,
    and speedgrid.fleet.wishes.WishError for a price of a machine that is not there.
    """
    if len(sources) < 2:
        raise FleetError(f"a fleet is of two results or more, and {len(sources)} was given; see `make fleet`.")
    places = Counter(Path(one).resolve() for one in sources)
    if twice := [one for one in sources if places[Path(one).resolve()] > 1]:
        raise FleetError(f"{twice[0]} is given twice; give each result once.")
    found = [_read(one) for one in sources]
    devices = Counter(device(one.result) for one in found)
    named = [
        replace(one, name=one.name if devices[one.name] == 1 else f"{one.name} ({clean(one.result.name)})")
        for one in found
    ]
    prices = wishes.prices_of([(one.name, device(one.result), one.result.name) for one in named])
    return [replace(one, price=price) for one, price in zip(named, prices, strict=True)]


def device(result: Result) -> str:
    """Return the name of the device of a result."""
    return clean(result.run["machine"]["device_name"])


def _read(source: str | Path) -> Machine:
    """Return the machine of a result: its samples are let go, so that a thousand machines are not held."""
    result = load.read(source)
    table = result.table.reindex(columns=[*NAMES, *(name for name in result.table if name not in NAMES)])
    return Machine(
        name=device(result),
        result=replace(result, table=table, samples={}),
        rounds=cells.rounds(result),
        sampled=bool(result.samples),
        price=None,
    )
