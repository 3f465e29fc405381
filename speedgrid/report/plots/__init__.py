"""The plots of the report, each drawn by the function that its entry in PLOTS names.

The workflow reads PLOTS, so importing this package must not import matplotlib or pandas.
"""

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from speedgrid.grid import Config
from speedgrid.launcher.outputs import replacing, write_text
from speedgrid.launcher.rounds import most_rounds
from speedgrid.report.plots.style import COLOURS, SETTINGS, STYLES
from speedgrid.text.language import N_, _, speaking

__all__ = ["COLOURS", "PLOTS", "STYLES", "Plot", "asked", "draw_all"]


class Plot(NamedTuple):
    """A plot of the report: what its file is called after, its title, and what draws it.

    module, function: of this package; the function takes the Material of a model and the title and returns a figure.
    needs: whether a run, by its configuration, measured something to show here; None where every run does. of_run: the
    plot shows the run and not a model.
    """

    name: str
    title: str
    module: str
    function: str
    needs: Callable[[dict[str, Any]], object] | None = None
    of_run: bool = False

    def draw(self, material, title: str):
        """Return the figure of a model's Material, under a title."""
        return getattr(import_module(f"speedgrid.report.plots.{self.module}"), self.function)(material, title)


# Inches around what is drawn.
MARGIN = 0.1


def serves(config: Config) -> bool:
    """Say whether a run with this configuration serves streams under load."""
    return config.get("serving", {}).get("for") not in (None, False, "none", [])


# In the order of the report.
PLOTS = {
    plot.name: plot
    for plot in (
        Plot("fps_over_latency", N_("Throughput over latency"), "pareto", "draw_front"),
        Plot("fps_over_resolution", N_("Throughput over resolution"), "lines", "draw_fps_over_resolution"),
        Plot("fps_over_batch_size", N_("Throughput over batch size"), "lines", "draw_fps_over_batch_size"),
        Plot("latency_over_batch_size", N_("Latency over batch size"), "lines", "draw_latency_over_batch_size"),
        Plot("speedup_over_resolution", N_("Speed-up over resolution"), "lines", "draw_speedup_over_resolution"),
        Plot("speedup_over_batch_size", N_("Speed-up over batch size"), "lines", "draw_speedup_over_batch_size"),
        Plot("memory_over_batch_size", N_("Memory over batch size"), "lines", "draw_memory_over_batch_size"),
        Plot(
            "energy_over_batch_size",
            N_("Energy over batch size"),
            "lines",
            "draw_energy_over_batch_size",
            needs=lambda config: config["timing"]["energy_resolutions"],
        ),
        Plot("roofline", N_("Roofline"), "roofline", "draw_roofline"),
        Plot("utilisation_map", N_("Utilisation of the device"), "heatmap", "draw_utilisation"),
        Plot("build_time", N_("Build time"), "builds", "draw_builds"),
        Plot(
            "end_to_end",
            N_("A request end to end"),
            "requests",
            "draw_requests",
            needs=lambda config: config["timing"]["end_to_end"],
        ),
        Plot("stream_misses", N_("Missed frames over cameras"), "streams", "draw_misses", needs=serves),
        Plot("stream_latency", N_("Wait and call of a frame"), "streams", "draw_distribution", needs=serves),
        Plot("stream_timeline", N_("Queue and calls of one block"), "streams", "draw_timeline", needs=serves),
        # One cell controls the whole run.
        Plot("drift", N_("Drift of the control cell"), "repeats", "draw_drift", of_run=True),
        Plot(
            "round_spread",
            N_("Spread between rounds"),
            "repeats",
            "draw_spread",
            needs=lambda config: most_rounds(config["timing"]) > 1,
        ),
    )
}


def asked(config: Config) -> dict[str, str]:
    """Return name and title of each plot that a run with this configuration has something to show in."""
    return {name: plot.title for name, plot in PLOTS.items() if plot.needs is None or plot.needs(config)}


def draw_all(material, folder: str | Path) -> None:
    """Write the plots of one model that its run has something for to `folder`, as MODEL-NAME.svg and .png.

    In the language of the configuration. material: a speedgrid.report.plots.material.Material of one model; where the
    run has several, titles name it.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    prefix = "" if len(material.run["config"]["models"]) == 1 else f"{material.model}: "
    for name, title in asked(material.run["config"]).items():
        plot = PLOTS[name]
        with matplotlib.rc_context(SETTINGS), speaking(material.run["config"]["report"]["language"]):
            figure = plot.draw(material, ("" if plot.of_run else prefix) + _(title))
            # Asked for once, as each file would else lay the figure out and draw it twice.
            box = figure.get_tightbbox().padded(MARGIN)
            path = Path(folder) / f"{material.model}-{name}.svg"
            with replacing(path) as temporary:
                for suffix, options in ((".svg", {"metadata": {"Date": None}}), (".png", {"dpi": 160})):
                    figure.savefig(temporary.with_suffix(suffix), bbox_inches=box, **options)
                shorten(temporary)
        pyplot.close(figure)


def shorten(path: Path) -> None:
    """Write the coordinates of an SVG file to a hundredth of a point, as nobody sees more; texts stay as they are."""

    def attribute(found: re.Match[str]) -> str:
        return re.sub(r"\d+\.\d{3,}", lambda one: f"{float(one[0]):.2f}".rstrip("0").rstrip("."), found[0])

    text = path.read_text(encoding="utf-8")
    write_text(path, re.sub(r'\b(?:d|points|transform|x|y|width|height)="[^"]*"', attribute, text))
