"""How every plot looks: one colour per backend, one marker and line style per precision, one way to say "nothing".

The workflow reads this module, so importing it must not import matplotlib or pandas.
"""

from typing import NamedTuple

from speedgrid.data.resolution import Resolution, in_words, side_of
from speedgrid.text.language import _, thousands
from speedgrid.text.names import NAMES

# Okabe and Ito's colours, which people with any colour vision tell apart (https://jfly.uni-koeln.de/color/), and for
# more variants of a runtime a lighter or darker one of its family, and two of Paul Tol's
# (https://sronpersonalpages.nl/~pault/): any two are more than 17 apart in CIELAB, seen by colour-blind people too.
COLOURS = {
    "pytorch": "#D55E00",
    "pytorch_tuned": "#E69F00",
    "pytorch_fused": "#FFC378",
    "inductor": "#222222",
    "inductor_tuned": "#7B68EE",
    "inductor_max_autotune": "#3A1FD6",
    "onnxruntime": "#0072B2",
    "onnxruntime_tuned": "#56B4E9",
    "onnxruntime_tensorrt": "#882255",
    "tensorrt": "#661100",
    "torch_tensorrt": "#009E73",
    "torch_tensorrt_graph": "#7FD6B0",
    "openvino": "#CC79A7",
}
GREY = "#555555"


class Look(NamedTuple):
    """The look of one precision. strength: the share of a backend's colour that a bar has, the rest is white.

    shape: the marker by the name that Vega gives it.
    """

    linestyle: str | tuple[int, tuple[float, float]]
    marker: str
    strength: float
    shape: str


LOOKS = {
    "fp32": Look("-", "o", 1.0, "circle"),
    "tf32": Look("--", "s", 0.7, "square"),
    "fp16": Look(":", "^", 0.45, "triangle-up"),
    "bf16": Look("-.", "D", 0.25, "diamond"),
    "int8": Look((0, (6, 1.5)), "v", 0.15, "triangle-down"),
    "fp8": Look((0, (1, 3)), "P", 0.1, "cross"),
}
# As arguments of a line.
STYLES = {name: {"linestyle": look.linestyle, "marker": look.marker} for name, look in LOOKS.items()}
SETTINGS = {
    # A dollar in a name from elsewhere begins no formula.
    "text.parse_math": False,
    "svg.hashsalt": "speedgrid",  # the same table gives the same bytes
    "svg.fonttype": "none",  # letters are text, which takes half the space, and can be found and copied
    "figure.figsize": (7.6, 4.2),
    "figure.dpi": 110,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.markersize": 5,
}
# Neighbours nearer than this would print over each other on a logarithmic axis: 32 and 33.
NEAR = 1.1


def grouped(value: float, _position=None) -> str:
    """Write the number of a tick, thousands apart as the language has them."""
    return f"{value:,.10g}".replace(",", thousands())


def colour(backend: str) -> str:
    """Return the colour of a backend."""
    return COLOURS.get(backend, GREY)


def setting(backend: str, precision: str) -> str:
    """Name a backend and a precision."""
    return f"{NAMES.get(backend, backend)} {precision}"


def pixels(resolution: Resolution) -> str:
    """Write the resolution that a plot over batch sizes holds fixed."""
    return _("{size} pixels").format(size=in_words(resolution))


def name_plot(axes, title: str, fixed: str = "") -> None:
    """Write the title over the axes, with the value that the plot holds fixed."""
    axes.set_title(f"{title} ({fixed})" if fixed else title, loc="left", fontsize=11)


def say_nothing(axes, text: str) -> None:
    """Say in words why there is nothing to see, in place of empty axes."""
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, transform=axes.transAxes, wrap=True)
    axes.set(xticks=[], yticks=[])


def tick_sizes(axis, sizes: list[Resolution]) -> None:
    """Put the ticks of a logarithmic axis at `sizes`; those that would print over each other lose their text.

    sizes: batch sizes, or resolutions, which are at the side of a square with as many pixels.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

    labelled = [size for i, size in enumerate(sizes) if i == 0 or side_of(size) / side_of(sizes[i - 1]) > NEAR]
    axis.set_major_locator(FixedLocator([side_of(size) for size in labelled]))
    axis.set_minor_locator(FixedLocator([side_of(size) for size in sizes if size not in labelled]))
    axis.set_major_formatter(FixedFormatter(list(map(str, labelled))))
    axis.set_minor_formatter(NullFormatter())


def tick_decades(axis) -> None:
    """Put the ticks of a logarithmic axis at 1, 2 and 5 of each decade, written as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(grouped))
    axis.set_minor_formatter(NullFormatter())


def relabelled(rows):
    """Return, row by row, whether another precision ran than the label says."""
    return rows.observed_precision.notna() & (rows.observed_precision != rows.precision)


def legend(axes, rows, lines: bool = True, more=(), beside=(1.01, 0.5)) -> None:
    """Explain colours and markers beside the axes, each once.

    rows: what was drawn. lines: precisions have line styles too. more: further handles. beside: where, in `axes`.
    """
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=colour(backend), linewidth=3, label=NAMES.get(backend, backend))
        for backend in rows.backend.unique()
    ]
    for precision in rows.precision.unique():
        style = STYLES[precision] if lines else {**STYLES[precision], "linestyle": ""}
        entries.append(Line2D([], [], color=GREY, label=precision, **style))
    if relabelled(rows).any():
        words = _("hollow: ran in\nanother precision")
        entries.append(Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="", label=words))
    axes.legend(handles=[*entries, *more], loc="center left", bbox_to_anchor=beside, frameon=False)
