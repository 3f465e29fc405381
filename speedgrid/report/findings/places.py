"""Which settings serve camera streams under load: by the table's own recommendation, or as the configuration says."""

from collections.abc import Iterator

from speedgrid.grid import Config, axes_of, cells
from speedgrid.launcher.rounds import certain_rounds, most_rounds
from speedgrid.report.findings import decision, demands
from speedgrid.report.findings.demands import Demand
from speedgrid.report.findings.objectives import margin_of
from speedgrid.serving.places import AXES, Chosen, cell_of, deadline_ms, name_of, named
from speedgrid.table.description import Material, finish
from speedgrid.table.run import Table
from speedgrid.text.words import measured

OBJECTIVE = "throughput"


def of_run(material: Material, config: Config) -> list[Chosen]:
    """Return the places of a run with these measurements that serve; see `choose`."""
    asked = (config["report"]["reference"], config["accuracy"]["max_top1_loss"])
    lending = certain_rounds(config["timing"]) < most_rounds(config["timing"])
    found = finish(cells(axes_of(config)), material, *asked, lending)
    return choose(found.table, config, margin_of(found.summary["controls"]["noise_floor_percent"]))


def choose(table: Table, config: Config, margin: float) -> list[Chosen]:
    """Return the places that serve, in the order of the table, the recommended one before its runner-up.

    Of their batch sizes those whose call ends within the deadline: a frame in a longer one is late whatever it waited
    for. Where none does, the smallest. margin: below it settings tie.
    """
    deadline = Demand("serving.deadline_ms", "latency_ms", deadline_ms(config), "")
    asked = named(config["serving"])
    names = asked or [name for rows in _apart(table) for name in recommended(rows, config, margin, deadline)]
    return [Chosen(place=name, batch_sizes=sizes(table, name, deadline)) for name in names]


def recommended(rows: Table, config: Config, margin: float, deadline: Demand) -> list[str]:
    """Return the names of the setting to recommend for throughput and of its runner-up; rows: of one model and size.

    Of settings that meet all demands and whose call ends within the deadline, where any does.
    """
    # How many cameras a setting serves is only known of what is chosen here.
    eligible = demands.meeting(measured(rows), demands.demands(demands.before_streams(config)))
    in_time = demands.meeting(eligible, [deadline])
    left, found = (eligible if in_time.empty else in_time), []
    for _place in range(2):
        winner = decision.chosen(OBJECTIVE, left, margin)
        if winner is None:
            break
        found.append(name_of(*(winner[axis] for axis in AXES)))
        left = left[(left.backend != winner.backend) | (left.precision != winner.precision)]
    return found


def sizes(table: Table, name: str, deadline: Demand) -> list[int]:
    """Return the batch sizes of a place that are loaded; of one without any figure the smallest of the table."""
    cell = cell_of(name, 1)
    of_place = table
    for axis in AXES:
        of_place = of_place[of_place[axis] == getattr(cell, axis)]
    known = measured(of_place)
    in_time = demands.meeting(known, [deadline])
    if not in_time.empty:
        return sorted(map(int, in_time.batch_size))
    return [int((of_place if known.empty else known).batch_size.min())]


def _apart(table: Table) -> Iterator[Table]:
    for _place, rows in table.groupby(["model", "resolution"], sort=False):
        yield rows
