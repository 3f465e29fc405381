"""The section of the report on published tables: finished text and tables, which its template only lays out."""

from collections import defaultdict

import pandas as pd

from speedgrid.findings import number
from speedgrid.language import _, ngettext
from speedgrid.published import beside, words
from speedgrid.published.checks import NAMES
from speedgrid.published.layout import cell, name, pivot, place, table
from speedgrid.published.verdict import VERDICTS

# Up to so many rows a table has one line for each; longer ones are brought together, and unfold.
SHORT = 12


def sections(published: list[dict], results: pd.DataFrame, run: dict) -> list[dict]:
    """Return one section for each published table: `title`, `facts`, `findings` (both sentences) and `tables`.

    published: as of speedgrid.published.verdict.audit. results: as of speedgrid.table; run: as of speedgrid.run, with
    which they are compared. Each table has a `caption`, a `head`, `rows` of text, and `folded`.
    """
    return [
        {
            "title": one["title"],
            "facts": facts(one),
            "findings": findings(one),
            "tables": [*verdicts(one), *beside.tables(one, results, run, SHORT)],
        }
        for one in published
    ]


def facts(one: dict) -> list[str]:
    """Say where a table is from, what came of its rows, and what could not be checked."""
    rows = one["rows"]
    device = one["device"] or _("a device that it does not name")
    lines = [
        ngettext("`{file}`: {count} row, on {device}.", "`{file}`: {count} rows, on {device}.", len(rows)).format(
            file=one["file"], count=len(rows), device=device
        )
    ]
    lines.append(
        _("Source: {source}.").format(source=one["source"])
        if one["source"]
        else _("Source: not known; {origin}.").format(origin=one["origin"] or _("none was given"))
    )
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS}
    lines.append(
        _("Rows by verdict: {counts}.").format(
            counts=", ".join(f"**{words.verdict(verdict)}** {count}" for verdict, count in counts.items() if count)
        )
    )
    if one["unknown"]:
        headers = ", ".join(f"`{header}`" for header in one["unknown"])
        lines.append(_("Columns that are not understood, and not judged: {headers}.").format(headers=headers))
    reasons = defaultdict(int)
    for row in rows:
        for reason in row["unknown"]:
            reasons[reason] += 1
    lines += [
        ngettext(
            "Not held against the device, {count} row: {reason}.",
            "Not held against the device, {count} rows: {reason}.",
            count,
        ).format(count=count, reason=words.unknown(reason))
        for reason, count in reasons.items()
    ]
    unreadable = [(place(row), header, text) for row in rows for header, text in row["unreadable"].items()]
    lines += [
        _("{place}: `{header}` is {text!r}, no number.").format(place=p, header=h, text=t) for p, h, t in unreadable
    ]
    return lines


def letters(one: dict) -> dict[str, str]:
    """Return a letter for each check that does not hold somewhere in a table."""
    failed = {check["name"] for row in one["rows"] for check in row["failed"]}
    return {check: chr(ord("a") + index) for index, check in enumerate(check for check in NAMES if check in failed)}


def findings(one: dict) -> list[str]:
    """Say what does not hold, where it is worst, and what would explain it in how many rows."""
    lines = []
    for check, letter in letters(one).items():
        rows = [(row, _failed(row, check)) for row in one["rows"] if _failed(row, check)]
        row, worst = max(rows, key=lambda pair: max(pair[1]["ratio"], 1 / (pair[1]["ratio"] or 1e-9)))
        lines.append(
            ngettext(
                "**{letter}** {title}, in {count} row. {place}: {arithmetic}.",
                "**{letter}** {title}, in {count} rows. Furthest off is {place}: {arithmetic}.",
                len(rows),
            ).format(
                letter=letter,
                title=words.title(check),
                count=len(rows),
                place=place(row),
                arithmetic=words.arithmetic(check, worst["figures"]),
            )
            + explained(check, [row for row, _ in rows])
        )
    return lines


def explained(check: str, rows: list[dict]) -> str:
    """Say what would explain a check that does not hold, and in how many of its rows."""
    found = defaultdict(int)
    for row in rows:
        for text in {words.slip(one["name"], one["about"]) for one in row["suggestions"] if check in one["mended"]}:
            found[text] += 1
    if not found:
        return " " + _("None of the slips that were tried explains it.")
    parts = []
    for text, count in sorted(found.items(), key=lambda pair: -pair[1]):
        part = _("{slip} ({count} of {total} rows").format(slip=text, count=count, total=len(rows))
        parts.append(part + (_(", which may be chance)") if count < len(rows) / 4 else ")"))
    return " " + _("It would fit if {slips}.").format(slips=_("; or if ").join(parts))


def verdicts(one: dict) -> list[dict]:
    """Return the verdicts as tables: one line a row, and before it, where that is long, one cell a row."""
    code = letters(one)
    lines = [
        [
            name(row),
            cell(row["resolution"]),
            cell(row["batch_size"]),
            number(row["derived"]["fps"]),
            words.verdict(row["verdict"]),
            "; ".join(f"{code[c['name']]}: {words.arithmetic(c['name'], c['figures'])}" for c in row["failed"]),
            "; ".join(words.slip(s["name"], s["about"]) for s in row["suggestions"]),
        ]
        for row in one["rows"]
    ]
    head = ["", _("resolution"), _("batch size"), "FPS", _("verdict"), _("arithmetic"), _("would fit if")]
    if len(lines) <= SHORT:
        return [table(_("The verdict on each row:"), head, lines)]

    def text(row: dict) -> str:
        return " ".join([words.verdict(row["verdict"]), *sorted(code[check["name"]] for check in row["failed"])])

    short = pivot(_("The verdict on each row, by batch size; letters as above:"), one["rows"], text)
    return [short, table(_("Each row with its arithmetic"), head, lines, folded=True)]


def _failed(row: dict, check: str) -> dict | None:
    return next((one for one in row["failed"] if one["name"] == check), None)
