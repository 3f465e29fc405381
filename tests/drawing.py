"""What tests of plots share: the material of a made-up run, and one figure of it."""

import copy

from builders import ARITHMETIC, write_run
from matplotlib import pyplot

from speedgrid.report import plots
from speedgrid.report.plots.material import Material
from speedgrid.table import rounds


def make_material(folder, records, **changes) -> Material:
    """Return what a run with these records is drawn from; `changes` replace keys of its description."""
    table, run = write_run(folder, records)
    arithmetic = {model: copy.deepcopy(ARITHMETIC["resnet18"]) for model in table.model.unique()}
    return Material(table, rounds.tabulate(records), run | changes, arithmetic)


def draw(name: str, material: Material):
    """Return the figure of one plot, as draw_all draws it; pyplot no longer keeps it."""
    figure = plots.PLOTS[name].draw(material, plots.PLOTS[name].title)
    pyplot.close(figure)
    return figure


def texts(figure) -> list[str]:
    """Return every text in a figure."""
    return [one.get_text() for one in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
