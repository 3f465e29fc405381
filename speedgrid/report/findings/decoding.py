"""What decoding video costs, as the report's table and sentences."""

from typing import TypedDict

from speedgrid.data.resolution import in_words
from speedgrid.serving.decoded import Clip, Decoding, Series
from speedgrid.table.decoding import find, rate, wall_fps
from speedgrid.text.language import N_
from speedgrid.text.markup import Markdown, _
from speedgrid.text.words import number, with_interval

# Frames a second of a camera where a video does not say how many it has.
USUAL_FPS = 30.0
# The column of the cores that decode as many streams as a setting serves.
PLACE = N_("cores to decode them")
# As many cameras as a sentence counts cores for: of one, most of the whole number would be rounding.
CAMERAS = 10


class Section(TypedDict):
    """The table of ways of decoding, and the sentences on it; see `section`."""

    head: list[str]
    rows: list[list[str]]
    sentences: list[Markdown]


def section(decoding: Decoding | None) -> Section | None:
    """Return the table of what decoding costs: `head`, `rows` and `sentences`; None where it was not asked for.

    rows: a text for each of `head`; there are none where nothing could be decoded, and a sentence says why.
    """
    if decoding is None:
        return None
    clip, cores = decoding["clip"], decoding["cores"]
    if decoding["status"] != "ok" or clip is None:
        why = _("Decoding was not measured: {reason}.").format(reason=decoding["reason"])
        return {"head": [], "rows": [], "sentences": [why]}
    fps = clip["fps"] or USUAL_FPS
    busy = [one for one in decoding["series"] if one["threads"] == 1 and len(one["passes"]) == cores]
    shown = _("{cameras} cameras of {fps} FPS: cores"), _("{cores} cores: cameras of {fps} FPS")
    words = {"cameras": CAMERAS, "fps": f"{fps:g}", "cores": cores}
    return {
        "head": [
            _("a frame is taken to"),
            _("frames/s of one core, one stream"),
            _("frames/s of one core, a stream on each"),
            *(text.format(**words) for text in shown),
        ],
        "rows": [row(decoding, one, fps) for one in busy],
        "sentences": [described(clip, decoding), *alone(decoding)],
    }


def row(decoding: Decoding, busy: Series, fps: float) -> list[str]:
    """Return the row of one way of decoding, of which one stream was measured and one on each core."""
    single, found = find(decoding, busy["way"], busy["resolution"]), rate(busy)
    one = rate(single) if single else found
    return [
        goal(busy),
        with_interval(one.middle, one.low, one.high),
        with_interval(found.middle, found.low, found.high),
        str(found.cores(CAMERAS, fps)),
        str(found.streams(decoding["cores"], fps)),
    ]


def goal(series: Series) -> str:
    """Return the name of the step to which a frame is taken."""
    if series["way"] == "input":
        return _("the input of a model, {size} pixels").format(size=in_words(series["resolution"] or 0))
    return {"decode": _("planes of brightness and colour, as it was sent"), "rgb": _("red, green and blue")}[
        series["way"]
    ]


def described(clip: Clip, decoding: Decoding) -> Markdown:
    """Return the sentence on what was decoded, and by what."""
    words = _(
        "Video: {source}; {codec} ({profile}), {width} x {height} pixels, {fps} frames/s, {mbit_s} Mbit/s, a key frame "
        "every {gop} frames at most. PyAV {version} decoded its first {frames} frames again and again."
    )
    return words.format(
        source=clip["source"],
        codec=clip["codec"],
        profile=clip["profile"] or "-",
        width=clip["width"],
        height=clip["height"],
        fps=f"{clip['fps']:g}" if clip["fps"] else "-",
        mbit_s=number(clip["mbit_s"]) or "-",
        gop=clip["gop"],
        frames=clip["frames"],
        version=decoding["versions"].get("av", "-"),
    )


def alone(decoding: Decoding) -> list[Markdown]:
    """Return the sentence on a single stream that FFmpeg decodes with all cores, where that was measured."""
    for one in decoding["series"]:
        if one["threads"] == 0:
            words = _("One stream alone, decoded with all cores, gives {fps} frames/s.")
            return [words.format(fps=number(wall_fps(one)))]
    return []
