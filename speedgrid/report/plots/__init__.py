"""The plots of the report, each drawn by the function that DRAWERS names.

The workflow reads TITLES, so importing this package must not import matplotlib or pandas.
"""

import re
from importlib import import_module
from pathlib import Path

from speedgrid.report.plots.style import COLOURS, SETTINGS, STYLES
from speedgrid.text.language import N_, _, speaking

__all__ = ["COLOURS", "DRAWERS", "OF_RUN", "STYLES", "TITLES", "asked", "draw_all"]


# What the file of each model is called after, and its title, in the order of the report.
TITLES = {
    "fps_over_latency": N_("Throughput over latency"),
    "fps_over_resolution": N_("Throughput over resolution"),
    "fps_over_batch_size": N_("Throughput over batch size"),
    "latency_over_batch_size": N_("Latency over batch size"),
    "speedup_over_resolution": N_("Speed-up over resolution"),
    "speedup_over_batch_size": N_("Speed-up over batch size"),
    "memory_over_batch_size": N_("Memory over batch size"),
    "energy_over_batch_size": N_("Energy over batch size"),
    "roofline": N_("Roofline"),
    "utilisation_map": N_("Utilisation of the device"),
    "build_time": N_("Build time"),
    "end_to_end": N_("A request end to end"),
    "drift": N_("Drift of the control cell"),
    "round_spread": N_("Spread between rounds"),
}
# Those that show the run and not a model: one cell controls it.
OF_RUN = ("drift",)
# What a run must have been asked to measure, under `timing`, to have something to show in these.
NEEDS = {
    "energy_over_batch_size": lambda timing: timing["energy_resolutions"],
    "end_to_end": lambda timing: timing["end_to_end"],
    "round_spread": lambda timing: timing["rounds"] > 1,
}
# Name -> module and function, which takes the Material of a model and the title and returns a figure.
DRAWERS = {
    "fps_over_latency": ("pareto", "draw_front"),
    "fps_over_resolution": ("lines", "draw_fps_over_resolution"),
    "fps_over_batch_size": ("lines", "draw_fps_over_batch_size"),
    "latency_over_batch_size": ("lines", "draw_latency_over_batch_size"),
    "speedup_over_resolution": ("lines", "draw_speedup_over_resolution"),
    "speedup_over_batch_size": ("lines", "draw_speedup_over_batch_size"),
    "memory_over_batch_size": ("lines", "draw_memory_over_batch_size"),
    "energy_over_batch_size": ("lines", "draw_energy_over_batch_size"),
    "roofline": ("roofline", "draw_roofline"),
    "utilisation_map": ("heatmap", "draw_utilisation"),
    "build_time": ("builds", "draw_builds"),
    "end_to_end": ("requests", "draw_requests"),
    "drift": ("repeats", "draw_drift"),
    "round_spread": ("repeats", "draw_spread"),
}


def asked(config: dict) -> dict[str, str]:
    """Return name and title of each plot that a run with this configuration has something to show in."""
    return {name: title for name, title in TITLES.items() if name not in NEEDS or NEEDS[name](config["timing"])}


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
        module, function = DRAWERS[name]
        draw = getattr(import_module(f"speedgrid.report.plots.{module}"), function)
        with matplotlib.rc_context(SETTINGS), speaking(material.run["config"]["report"]["language"]):
            figure = draw(material, ("" if name in OF_RUN else prefix) + _(title))
            path = Path(folder) / f"{material.model}-{name}.svg"
            for suffix, options in ((".svg", {"metadata": {"Date": None}}), (".png", {"dpi": 160})):
                figure.savefig(path.with_suffix(suffix), **options)
        shorten(path)
        pyplot.close(figure)


def shorten(path: Path) -> None:
    """Write the coordinates of an SVG file to a hundredth of a point, as nobody sees more; texts stay as they are."""

    def attribute(found: re.Match) -> str:
        return re.sub(r"\d+\.\d{3,}", lambda one: f"{float(one[0]):.2f}".rstrip("0").rstrip("."), found[0])

    path.write_text(re.sub(r'\b(?:d|points|transform|x|y|width|height)="[^"]*"', attribute, path.read_text()))
