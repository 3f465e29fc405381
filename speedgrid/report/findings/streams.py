"""Streams under load, as the report's table and claims: how many cameras a setting serves in time."""

from typing import TypedDict

from speedgrid.data.resolution import in_words
from speedgrid.report.findings.decoding import PLACE as DECODED
from speedgrid.serving.claims import Claim, claim
from speedgrid.serving.decoded import Decoding
from speedgrid.serving.seen import PERCENTS, Streams
from speedgrid.serving.verdict import FAILED, Verdict
from speedgrid.table.decoding import to_input
from speedgrid.text.language import N_
from speedgrid.text.markup import Markdown, _, ngettext
from speedgrid.text.words import backend_name, number

WORDS = {"passes": N_("passes"), "fails": N_("missed"), "undecided": N_("undecided"), "diverges": N_("diverges")}
QUEUES = {"keep": N_("no frame dropped"), "latest": N_("a frame that a newer one replaces is missed")}


class Section(TypedDict):
    """The claims on streams under load of one model, and their table; see `section`."""

    answers: list[Markdown]
    claims: list[Markdown]
    head: list[str]
    rows: list[list[str]]


def section(records: list[Streams], model: str, decoding: Decoding | None = None) -> Section | None:
    """Return the claims on a model and their table: `claims`, `head` and `rows`; None where nothing was served.

    `answers` has the claim on each place that has one, in short.

    records: of all places, in the order of the report: of each resolution the recommended setting before its
    runner-up. decoding: its cost, for the cores that decode as many streams.
    """
    own = [one for one in records if one["place"]["model"] == model]
    if not own:
        return None
    head = [
        _("setting"),
        _("pixels"),
        _("cameras"),
        _("frames missed, % (interval)"),
        _("one camera more"),
        _("synchronised"),
        _("Poisson"),
        _("at twice the deadline"),
        _("p99 of wait, ms"),
        _("p99 of latency, ms"),
        _("busy, %"),
    ]
    return {
        "answers": [Markdown(" ").join([full(one, main), name(one)]) for one in own if (main := main_claim(one))],
        "claims": [told(one) for one in own],
        "head": [*head, *([_(DECODED)] if decoding else [])],
        # What has no claim is told of above, and has no figure.
        "rows": [row(one, main, decoding) for one in own if (main := main_claim(one))],
    }


def main_claim(found: Streams) -> Claim | None:
    """Return the claim on periodic streams within the deadline; None where no run of it counts."""
    return claim(found) if found["status"] == "ok" else None


def told(found: Streams) -> Markdown:
    """Return the claim on a place in full, with what was seen beside it; or why there is none."""
    main = main_claim(found)
    sentences = [full(found, main), conditions(found), beside(found, main)] if main else without(found)
    return Markdown(" ").join(sentences)


def without(found: Streams) -> list[Markdown]:
    """Return the sentences on why a place has no claim: its reason, else the last doubt about the last of its runs."""
    words = _("{setting}: streams under load were not measured: {reason}.")
    if found["reason"]:
        return [words.format(setting=name(found), reason=found["reason"])]
    doubts = [_("Of the last one: {doubt}.").format(doubt=one) for run in found["runs"] for one in run["doubts"]]
    return [words.format(setting=name(found), reason=_("no run under load can be relied on")), *doubts[-1:]]


def full(found: Streams, main: Claim) -> Markdown:
    """Return the claim on a place: how many cameras, which share of frames in which time, with which confidence."""
    words = ngettext(
        "**{count} camera of {fps} FPS**: at least {share} % of the frames have their result within {deadline} ms of "
        "arrival ({confidence} % confidence).",
        "**{count} cameras of {fps} FPS**: at least {share} % of the frames have their result within {deadline} ms of "
        "arrival ({confidence} % confidence).",
        main.streams,
    )
    if not main.streams:
        words = _(
            "**Not one camera of {fps} FPS** was shown to have {share} % of its frames within {deadline} ms of arrival "
            "({confidence} % confidence)."
        )
    asked = found["asked"]
    return words.format(
        count=main.streams,
        fps=f"{asked['fps']:g}",
        share=f"{100 * asked['quantile']:g}",
        deadline=milliseconds(main.deadline_ms),
        confidence=f"{100 * asked['confidence']:g}",
    )


def conditions(found: Streams) -> Markdown:
    """Return the sentence on what a claim holds for."""
    words = _(
        "{setting}; periodic arrivals with random phases; {queue}; {batching} batching up to {batch}; decoding "
        "excluded."
    )
    if found["asked"].get("in_flight", 1) > 1:
        words = _(
            "{setting}; periodic arrivals with random phases; {queue}; {batching} batching up to {batch}, two calls in "
            "flight; decoding excluded."
        )
    asked, batch = found["asked"], max(found["place"]["batch_sizes"])
    queue = QUEUES[asked["queue"]]
    return words.format(setting=name(found), queue=_(queue), batching=asked["batching"], batch=batch)


def beside(found: Streams, main: Claim) -> Markdown:
    """Return the sentence on what was seen beside a claim: one more camera, other arrivals, twice the deadline."""
    words = ngettext(
        "{more} camera: {verdict}. Synchronised cameras: {synchronised}; Poisson arrivals at their rate: {poisson}; "
        "within {twice} ms: {late}.",
        "{more} cameras: {verdict}. Synchronised cameras: {synchronised}; Poisson arrivals at their rate: {poisson}; "
        "within {twice} ms: {late}.",
        main.streams + 1,
    )
    return words.format(
        more=main.streams + 1,
        verdict=said(main.beyond),
        synchronised=shown(claim(found, "synchronised")),
        poisson=shown(claim(found, "poisson")),
        twice=milliseconds(2 * found["asked"]["deadline_ms"]),
        late=shown(claim(found, times=2.0)),
    )


def shown(found: Claim | None) -> str:
    """Write the number of streams of a claim in a sentence; where the search found none to confirm, that."""
    return count(found) if found else _("none shown")


def row(found: Streams, main: Claim, decoding: Decoding | None) -> list[str]:
    """Return the row of one place. main: its claim."""
    place, loaded = found["place"], found["loaded"]
    texts = [_setting(found), str(place["resolution"]), count(main), missed(main), said(main.beyond)]
    others = (claim(found, "synchronised"), claim(found, "poisson"), claim(found, times=2.0))
    texts += [count(one) for one in others]
    p99 = PERCENTS.index(99)
    for times in (loaded["distribution"]["wait_ms"], loaded["distribution"]["latency_ms"]) if loaded else ((), ()):
        texts.append(number(times[p99]) if times else "-")
    texts.append(number(100 * loaded["utilisation"]) if loaded else "-")
    if decoding:
        rate = to_input(decoding, place["resolution"])
        texts.append(str(rate.cores(main.streams, found["asked"]["fps"])) if rate else "-")
    return texts


def missed(found: Claim) -> str:
    """Write the share of missed frames with its bounds, each of which holds with the confidence that was asked for."""
    if found.verdict is None:
        return "-"
    percents = (f"{100 * one:.2f}" for one in (found.verdict.rate, found.verdict.low, found.verdict.high))
    return _("{value} ({low} to {high})").format(**dict(zip(("value", "low", "high"), percents, strict=True)))


def count(found: Claim | None) -> str:
    """Write the number of streams of a claim; where none passed, and the least that was tried may have, that."""
    if found and not found.streams and found.stopped:
        return "0" if found.stopped.word in FAILED else said(found.stopped)
    return "-" if found is None else str(found.streams)


def said(verdict: Verdict | None) -> str:
    """Write a verdict in a word; what was not tried has none."""
    return _(WORDS[verdict.word]) if verdict else _("not tried")


def milliseconds(value: float) -> str:
    """Write a deadline, to a tenth."""
    return f"{round(value, 1):g}"


def _setting(found: Streams) -> str:
    return f"{backend_name(found['place']['backend'])} {found['place']['precision']}"


def name(found: Streams) -> str:
    """Return the setting and the resolution of a place in words."""
    size = in_words(found["place"]["resolution"])
    return _("{setting}, {size} pixels").format(setting=_setting(found), size=size)
