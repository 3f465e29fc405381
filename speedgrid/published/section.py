"""The section of the report on published tables: finished text and tables, which its template only lays out."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import TypedDict

from speedgrid.published import beside, words
from speedgrid.published.checks import BOUNDS, NAMES
from speedgrid.published.cost import WINOGRAD
from speedgrid.published.layout import TextTable, cell, full_name, name, pivot, place, sizes, table
from speedgrid.published.names import devices as known_devices
from speedgrid.published.source import sidecar
from speedgrid.published.verdict import VERDICTS, Audited, AuditedRow, Failed
from speedgrid.table.run import Description, Table
from speedgrid.text.markup import Markdown, _, address, code, ngettext
from speedgrid.text.words import number

# Up to so many rows a table has one line for each; longer ones are brought together, and unfold.
SHORT = 12
# So many rows that are off by one factor are no coincidence.
ALIKE = 3


class Part(TypedDict):
    """One published table in the report: sentences, and tables of text."""

    title: str
    facts: list[Markdown]
    findings: list[Markdown]
    tables: list[TextTable]


class Section(TypedDict, total=False):
    """The section of the report on published tables; without a key where there are none."""

    title: Markdown
    about: Markdown
    parts: list[Part]


def compose(published: Sequence[Audited], results: Table | None = None, run: Description | None = None) -> Section:
    """Return the section on published tables: `title`, `about` (a paragraph), and `parts`, one a table; empty for none.

    published: as of speedgrid.published.verdict.audit. results: as of speedgrid.table.cells; run: as of
    speedgrid.table.description, with which they are compared where they are given. Each part has a `title`, `facts`
    and `findings` (both sentences), and `tables`, each with a `caption`, a `head`, `rows` of text, and whether it is
    `folded`.
    """
    if not published:
        return {}
    return {
        "title": _("Published tables, audited"),
        "about": _(
            "A printed figure stands for every number that rounds to it. A row is *inconsistent* if its figures "
            "contradict each other or the peak that its table states. It is *impossible* if it computes faster than "
            "its device can in its precision, or reads its weights faster than its memory can. A share of the data "
            "sheet's peak may be above one by the clock. It may be above one, too, in 3 x 3 convolutions with a stride "
            "of 1, for which Winograd's algorithm needs {times} times fewer multiplications. *Not "
            "contradicted* says that every check that could be made holds, not that the figures are true. Neither says "
            "which of a row's figures is wrong. What would explain it is named only where undoing it makes the "
            "arithmetic fit."
        ).format(times=f"{WINOGRAD:g}"),
        "parts": [
            {
                "title": one["title"],
                "facts": facts(one),
                "findings": findings(one),
                "tables": [
                    *verdicts(one),
                    *(beside.tables(one, results, run, SHORT) if run and results is not None else []),
                ],
            }
            for one in published
        ],
    }


def facts(one: Audited) -> list[Markdown]:
    """Say where a table is from, what came of its rows, and what could not be checked."""
    rows = one["rows"]
    devices = list(dict.fromkeys(row["device"] for row in rows if row["device"]))
    device = ", ".join(devices[:SHORT]) or _("a device that it does not name")
    lines = [
        ngettext("`{file}`: {count} row, on {device}.", "`{file}`: {count} rows, on {device}.", len(rows)).format(
            file=one["file"], count=len(rows), device=device
        )
    ]
    lines.append(
        _("Source: {source}.").format(source=address(one["source"]))
        if one["source"]
        else _("Source: not known; {origin}.").format(origin=one["origin"] or _("none was given"))
    )
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS}
    lines.append(
        _("Rows by verdict: {counts}.").format(
            counts=Markdown(", ").join(
                Markdown("**{}** {}").format(words.verdict(name), count) for name, count in counts.items() if count
            )
        )
    )
    if stated := dict.fromkeys(row["figures"]["tflops_peak"] for row in rows if "tflops_peak" in row["figures"]):
        line = _("The table states a peak of {stated}; the data sheet's, in TFLOPS: {sheet}.")
        sheet = ", ".join(f"{precision} {rate:g}" for precision, rate in one["peaks"].items()) or _("not known")
        lines.append(line.format(stated=", ".join(stated), sheet=sheet))
    return lines + unjudged(one)


def unjudged(one: Audited) -> list[Markdown]:
    """Say which columns, rows and cells of a table could not be judged, and what is missing, all at once."""
    lines = []
    if one["unknown"]:
        headers = Markdown(", ").join(map(code, one["unknown"]))
        lines.append(_("Columns that are not understood, and not judged: {headers}.").format(headers=headers))
    for known, near in one["named"].items():
        text = _("`{name}` is not known here{near}.")
        nearest = _("; the nearest are {names}").format(names=", ".join(near)) if near else ""
        lines.append(text.format(name=known, near=nearest))
    reasons = Counter(reason for row in one["rows"] for reason in row["unknown"])
    for reason, count in reasons.items():
        text = ngettext(
            "Not all is known of {count} row: {reason}.",
            "Not all is known of {count} rows: {reason}.",
            count,
        )
        lines.append(text.format(count=count, reason=words.unknown(reason)))
    if asked := [words.ASKED[reason] for reason in reasons if reason in words.ASKED]:
        text = _("To say it: {keys}, in a column of the table, or of all of its rows in `{file}`.")
        keys = Markdown(", ").join(map(code, asked))
        lines.append(text.format(keys=keys, file=sidecar(one["file"])))
    for row in one["rows"]:
        for header, found in row["unreadable"].items():
            line = _("{place}: `{header}` is `{text}`, which is no number, or may be two.")
            lines.append(line.format(place=place(row, one["file"]), header=header, text=found))
    for alike in one["equal"]:
        line = _("Lines {lines} have the same speeds to every digit: one may be a copy of another.")
        lines.append(line.format(lines=", ".join(map(str, alike))))
    return lines


def letters(one: Audited) -> dict[str, str]:
    """Return a letter for each check that does not hold somewhere in a table."""
    failed = {check["name"] for row in one["rows"] for check in row["failed"]}
    return {check: chr(ord("a") + index) for index, check in enumerate(check for check in NAMES if check in failed)}


def findings(one: Audited) -> list[Markdown]:
    """Say which checks of a table do not hold, where each is worst, and which slips would explain how many rows."""
    lines = []
    for check, letter in letters(one).items():
        rows = [(row, found) for row in one["rows"] if (found := _failed(row, check))]
        row, worst = max(rows, key=lambda pair: max(pair[1]["ratio"], 1 / (pair[1]["ratio"] or 1e-9)))
        lines.append(
            ngettext(
                "**{letter}** {title}, in {count} row. It is {place}. {arithmetic}.",
                "**{letter}** {title}, in {count} rows. Furthest off is {place}. {arithmetic}.",
                len(rows),
            ).format(
                letter=letter,
                title=words.title(check),
                count=len(rows),
                place=named(row, one["rows"]),
                arithmetic=words.arithmetic(check, worst["figures"]),
            )
            + alike([found["ratio"] for row, found in rows])
            + explained(check, [row for row, found in rows])
            + no_faster(check, row)
        )
    return lines


def named(row: AuditedRow, rows: list[AuditedRow]) -> Markdown:
    """Name a row within its own table: its line, and where it was measured; a model or device only of several."""
    several = len({(one["model"], one["device"]) for one in rows}) > 1
    parts = [full_name(row) if several else name(row), *sizes(row)]
    return _("line {line} ({what})").format(line=row["line"], what=", ".join(part for part in parts if part))


def alike(ratios: list[float]) -> Markdown:
    """Say where a check is missed by one and the same factor: that is no accident."""
    middle = median(ratios)
    if len(ratios) < ALIKE or any(abs(one / middle - 1) > 0.01 for one in ratios):
        return Markdown()
    return Markdown(" ") + _("It is the same factor in all of them, {factor}.").format(factor=number(middle))


def no_faster(check: str, row: AuditedRow) -> Markdown:
    """Say where TF32, which is what most tables mean by fp32, cannot be why they are too fast."""
    peaks = known_devices.find(row["device"]).tflops
    if check not in BOUNDS or row["precision"] != "fp32" or "tf32" not in peaks or peaks["tf32"] > peaks["fp32"]:
        return Markdown()
    return Markdown(" ") + _("TF32 does not explain it: on this device it is no faster than fp32.")


def explained(check: str, rows: list[AuditedRow]) -> Markdown:
    """Say what would explain a check that does not hold, and in how many of its rows."""
    found: Counter[Markdown] = Counter()
    for row in rows:
        found.update({words.slip(one["name"], one["about"]) for one in row["suggestions"] if check in one["mended"]})
    if not found:
        return Markdown(" ") + _("No slip that was tried explains it.")
    parts = []
    for text, count in found.most_common():
        part = _("{slip} ({count} of {total} rows").format(slip=text, count=count, total=len(rows))
        parts.append(part + (_(", which may be chance)") if count < len(rows) / 4 else ")"))
    return Markdown(" ") + _("It would fit if {slips}.").format(slips=_("; or if ").join(parts))


def verdicts(one: Audited) -> list[TextTable]:
    """Return the verdicts on rows as tables: one line a row, and before a long table one with a cell a row."""
    letter, separator = letters(one), Markdown("; ")
    lines = [
        [
            cell(row["line"]),
            full_name(row),
            cell(row["resolution"] or row["shape"]),
            cell(row["batch_size"]),
            words.verdict(row["verdict"]),
            separator.join(
                Markdown("{}: {}").format(letter[c["name"]], words.arithmetic(c["name"], c["figures"]))
                for c in row["failed"]
            ),
            separator.join(words.held(c["name"], c["figures"]) for c in row["held"]),
            separator.join(words.unmade(c["name"], c["figures"]) for c in row["unmade"]),
            separator.join(words.slip(s["name"], s["about"]) for s in row["suggestions"]),
        ]
        for row in one["rows"]
    ]
    head = [_("line"), "", _("resolution"), _("batch size"), _("verdict")]
    head += [_("does not hold"), _("holds"), _("not checked"), _("would fit if")]
    if len(lines) <= SHORT:
        return [table(_("The verdict on each row:"), head, lines)]

    def text(row: AuditedRow) -> str:
        return " ".join([words.verdict(row["verdict"]), *sorted(letter[check["name"]] for check in row["failed"])])

    short = pivot(_("The verdict on each row, by batch size; letters as above:"), one["rows"], text)
    return [short, table(_("Each row with its arithmetic"), head, lines, folded=True)]


def _failed(row: AuditedRow, check: str) -> Failed | None:
    return next((one for one in row["failed"] if one["name"] == check), None)
