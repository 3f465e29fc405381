"""Streams under load: misses over the number of cameras, how long frames waited, and one block of a run."""

import numpy as np

from speedgrid.report.plots import style
from speedgrid.serving.claims import verdicts
from speedgrid.serving.seen import PERCENTS, Loaded, Streams, Timeline
from speedgrid.serving.verdict import Verdict
from speedgrid.text.language import _

# The markers of verdicts; where none is drawn filled, the number of streams is not carried.
MARKERS = {"passes": "o", "undecided": "D", "fails": "X", "diverges": "X"}
# What waits has no colour of a backend; what runs has its own.
WAITING = "#999999"
# Ticks of missed frames, in multiples of what is allowed.
TICKS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100)


def places(material) -> list[Streams]:
    """Return the records of a model that have runs under load that count, in the order of the report."""
    found = [one for one in material.run.get("streams") or [] if one["place"]["model"] == material.model]
    return [one for one in found if one["status"] == "ok" and tried(one)]


def tried(found: Streams) -> dict[int, Verdict]:
    """Return the verdict on each number of periodic streams, of probes too."""
    return verdicts(found, "periodic", found["asked"]["deadline_ms"], confirmed=False)


def loads(material) -> list[tuple[Streams, Loaded]]:
    """Return each place of a model that served as many streams as were confirmed, with what was seen of that run."""
    pairs = ((one, one["loaded"]) for one in places(material))
    return [(one, loaded) for one, loaded in pairs if loaded and loaded["distribution"]["latency_ms"]]


def label(found: Streams) -> str:
    """Return the setting and the resolution of a place in words."""
    place = found["place"]
    return f"{style.setting(place['backend'], place['precision'])}, {style.pixels(place['resolution'])}"


def dashes(found: Streams):
    """Return the line style of a place's precision."""
    return style.LOOKS[found["place"]["precision"]].linestyle


def empty(axes) -> None:
    """Say in words that nothing was served under load."""
    style.say_nothing(axes, _("no streams were served under load"))


def blank(title: str, across: str, upwards: str):
    """Return a figure and its axes, named, with nothing drawn yet."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    style.name_plot(axes, title)
    axes.set_xlabel(across)
    axes.set_ylabel(upwards)
    return figure, axes


def draw_misses(material, title: str):
    """Return the figure of the share of missed frames over the number of cameras, with the bounds of each."""
    found = places(material)
    figure, axes = blank(title, _("cameras"), _("frames missed, %"))
    if not found:
        empty(axes)
        return figure
    for one in found:
        judged = tried(one)
        counts, seen = list(judged), list(judged.values())
        middle = np.array([100 * each.rate for each in seen])
        ends = np.array([[100 * each.low for each in seen], [100 * each.high for each in seen]])
        look = {"color": style.colour(one["place"]["backend"]), "capsize": 3, "linewidth": 1, "label": label(one)}
        bars = np.abs(ends - middle).clip(0)
        axes.errorbar(counts, middle, yerr=bars, marker="", linestyle=dashes(one), **look)
        for streams, each in judged.items():
            filled = look["color"] if each.word == "passes" else "white"
            axes.plot(streams, 100 * each.rate, MARKERS[each.word], color=look["color"], markerfacecolor=filled)
    limit = round(100 * (1 - found[0]["asked"]["quantile"]), 9)
    axes.axhline(limit, color=style.GREY, linewidth=0.8, linestyle="--")
    axes.set_yscale("symlog", linthresh=max(limit, 0.1))
    # Alike up to what is allowed, and from there by its multiples.
    axes.set_yticks([limit * times for times in TICKS if limit * times <= 100], minor=False)
    axes.yaxis.set_major_formatter(style.grouped)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(bottom=0)
    explain_misses(axes, limit)
    return figure


def explain_misses(axes, limit: float) -> None:
    """Explain colours, markers and the line beside the axes."""
    from matplotlib.lines import Line2D

    handles, _labels = axes.get_legend_handles_labels()
    words = {"passes": _("passes"), "undecided": _("undecided"), "fails": _("missed or diverges")}
    for word, text in words.items():
        face = style.GREY if word == "passes" else "white"
        look = {"color": style.GREY, "markerfacecolor": face, "linestyle": ""}
        handles.append(Line2D([], [], marker=MARKERS[word], label=text, **look))
    text = _("allowed: {limit} %").format(limit=f"{limit:g}")
    handles.append(Line2D([], [], color=style.GREY, linewidth=0.8, linestyle="--", label=text))
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def draw_distribution(material, title: str):
    """Return the figure of how long frames took at each share of them: the wait, and with the call the latency."""
    found = loads(material)
    figure, axes = blank(title, _("frames, % quickest first"), _("ms from the planned arrival"))
    if not found:
        empty(axes)
        return figure
    # Half of the axis for the last twentieth, where deadlines are missed.
    place = tail(np.array(PERCENTS, float))
    for one, loaded in found:
        times, colour = loaded["distribution"], style.colour(one["place"]["backend"])
        cameras = _("{label}: {count} cameras").format(label=label(one), count=loaded["streams"])
        axes.plot(place, times["latency_ms"], color=colour, label=cameras, linestyle=dashes(one))
        axes.plot(place, times["wait_ms"], color=colour, linewidth=0.9, alpha=0.6)
        axes.fill_between(place, times["wait_ms"], times["latency_ms"], color=colour, alpha=0.12, linewidth=0)
    shown = [0, 50, 90, 95, 99, 99.9, 100]
    axes.set_xticks(tail(np.array(shown, float)), [f"{one:g}" for one in shown])
    deadline = found[0][0]["asked"]["deadline_ms"]
    text = _("deadline: {ms} ms").format(ms=f"{round(deadline, 1):g}")
    axes.axhline(deadline, color=style.GREY, linewidth=0.8, linestyle="--", label=text)
    axes.plot([], [], color=style.GREY, linewidth=0.9, alpha=0.6, label=_("wait alone, below\nthe shaded call"))
    axes.set_ylim(bottom=0)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def tail(percents: np.ndarray) -> np.ndarray:
    """Return the places of percents on an axis on which each halving of what is left takes as much room."""
    return -np.log2((100.05 - percents) / 100.05)


def draw_timeline(material, title: str):
    """Return the figure of one block of the first place: the queue over time, and the calls that it went into."""
    from matplotlib import pyplot

    found, loaded = next(iter(loads(material)), (None, None))
    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    style.name_plot(above, title, label(found) if found else "")
    below.set_xlabel(_("ms since the block began"))
    if found is None or loaded is None:
        above.set_ylabel(_("frames that wait"))
        below.set_ylabel(_("batch size"))
        empty(above)
        empty(below)
        return figure
    line, colour = loaded["timeline"], style.colour(found["place"]["backend"])
    moments, waiting = queue(line)
    above.step(moments, waiting, where="post", color=WAITING, linewidth=1)
    above.fill_between(moments, waiting, step="post", color=WAITING, alpha=0.3, linewidth=0)
    arrived = line["arrived_ms"]
    above.plot(arrived, np.zeros(len(arrived)), "|", color="black", markersize=6, label=_("a frame comes"))
    above.set_ylabel(_("frames that wait"))
    above.yaxis.get_major_locator().set_params(integer=True)
    spans = [(call["start_ms"], call["end_ms"] - call["start_ms"]) for call in line["calls"]]
    for (start, length), call in zip(spans, line["calls"], strict=True):
        below.bar(start, call["batch_size"], length, align="edge", color="white", edgecolor=colour, linewidth=0.8)
        below.bar(start, call["frames"], length, align="edge", color=colour, alpha=0.7, linewidth=0)
    below.set_ylabel(_("batch size"))
    below.yaxis.get_major_locator().set_params(integer=True)
    below.set_xlim(0, line["milliseconds"])
    streams, fps = loaded["streams"], f"{found['asked']['fps']:g}"
    cameras = _("{count} cameras of {fps} FPS").format(count=streams, fps=fps)
    above.legend(title=cameras, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return figure


def queue(line: Timeline) -> tuple[list[float], list[int]]:
    """Return (moments in ms, frames that wait from then on): those that come, less those that a call takes."""
    changes: dict[float, int] = {0.0: line["waiting"]}
    for moment in line["arrived_ms"]:
        changes[moment] = changes.get(moment, 0) + 1
    for call in line["calls"]:
        changes[call["start_ms"]] = changes.get(call["start_ms"], 0) - call["frames"]
    moments = sorted(changes)
    return moments, np.cumsum([changes[one] for one in moments]).tolist()
