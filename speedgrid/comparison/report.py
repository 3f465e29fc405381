"""Write what a comparison found: a report in Markdown, a table in CSV, and a plot."""

from pathlib import Path

import pandas as pd

from speedgrid import ROOT
from speedgrid.comparison import differences, plot, streams, verdicts
from speedgrid.comparison.cells import NOT_COMPARED, ONLY_A, ONLY_B, Comparison
from speedgrid.comparison.load import ComparisonError
from speedgrid.launcher.outputs import write_text
from speedgrid.table.run import Controls
from speedgrid.text import templates
from speedgrid.text.language import SOURCE, speaking
from speedgrid.text.markup import Markdown, _, ngettext
from speedgrid.text.words import number

TEMPLATE = ROOT / "templates" / "comparison.md.j2"


def write(comparison: Comparison, output: str | Path) -> list[Path]:
    """Write the report of a comparison to `output`, its table and plot beside it; return the paths of all.

    It is in the language of B's configuration. Raises ComparisonError if `output` is not named as Markdown is.
    """
    output = Path(output)
    if output.suffix != ".md":
        raise ComparisonError(
            f"the output is {output}; its name must end in .md, and its table and plot lie beside it."
        )
    table = output.with_suffix(".csv")
    write_text(table, comparison.cells.to_csv(index=False))
    with speaking(comparison.b.run["config"]["report"].get("language", SOURCE)):
        plots = plot.draw(comparison, output.with_suffix(""))
        write_text(output, markdown(comparison, table.name, plots[-1].name if plots else None))
    return [output, table, *plots]


def markdown(comparison: Comparison, table: str, picture: str | None) -> str:
    """Return the report of a comparison as Markdown. table, picture: names of the files beside it."""
    made = templates.markdown(TEMPLATE.parent, number=number, ratio=ratio, known=known)
    cells = comparison.cells
    fates = differences.fate(cells)
    compared = cells[cells.verdict.isin(verdicts.VERDICTS)]
    return made.get_template(TEMPLATE.name).render(
        a=comparison.a,
        b=comparison.b,
        summary=summary(comparison),
        regressions=[sentence(row, fates.get(name)) for name, row in comparison.regressions.iterrows()],
        compared=compared.iterrows(),
        clocks=compared.clock_ratio.notna().any(),
        fates=[(name, cells.loc[name], fates[name]) for name in fates.index],
        streams=streams.rows(comparison.a, comparison.b),
        only=[(word, one_sided(cells[cells.verdict == word])) for word in (ONLY_A, ONLY_B)],
        answers=list(differences.answers(cells).iterrows()),
        setup=differences.setup(comparison.a.run, comparison.b.run),
        controls=[control("A", comparison.a.run["controls"]), control("B", comparison.b.run["controls"])],
        notes=notes(comparison),
        method=method(comparison),
        table=table,
        picture=picture,
    )


def summary(comparison: Comparison) -> list[Markdown]:
    """Return the summary of a comparison in a few sentences, the gate's answer last."""
    counts = comparison.cells.verdict.value_counts()
    compared = sum(counts.get(word, 0) for word in verdicts.VERDICTS)
    share = f"{100 * comparison.threshold:g}"
    count = len(comparison.regressions)
    found = [
        _(
            "Of {cells} cells that both have with a speed, B is FASTER in {faster}, SLOWER in {slower} and the SAME "
            "within {share} % in {same}; {undecided} are UNDECIDED."
        ).format(cells=compared, share=share, **{word.lower(): counts.get(word, 0) for word in verdicts.VERDICTS})
    ]
    if without := counts.get(NOT_COMPARED, 0):
        found.append(
            ngettext(
                "{count} more cell has no speed on one side or both, or ran in different precisions.",
                "{count} more cells have no speed on one side or both, or ran in different precisions.",
                without,
            ).format(count=without)
        )
    if undecided := counts.get(verdicts.UNDECIDED, 0):
        text = ngettext(
            "The UNDECIDED cell is not cleared: more rounds would tell.",
            "The UNDECIDED cells are not cleared: more rounds would tell.",
            undecided,
        )
        found.append(text)
    if not count:
        none = _("No regression: no cell is SLOWER by {share} % or more, and none has lost its speed.")
        return [*found, none.format(share=share)]
    some = ngettext(
        "**{count} regression**: SLOWER by {share} % or more, or without the speed that it had.",
        "**{count} regressions**: cells SLOWER by {share} % or more, or without the speed that they had.",
        count,
    )
    return [*found, some.format(count=count, share=share)]


def one_sided(cells: pd.DataFrame) -> list[tuple[str, int, str]]:
    """Return (all of a cell's name but the batch size, number of cells, batch sizes) of cells that one side has."""
    groups = cells.groupby(["model", "backend", "precision", "resolution"], sort=False).batch_size
    return [(f"{m}-{b}-{p}-r{r}", len(sizes), ", ".join(map(str, sizes))) for (m, b, p, r), sizes in groups]


def sentence(row: pd.Series, fate: str | None) -> Markdown:
    """Return one regression in words."""
    if fate == differences.LOST:
        text = _("`{cell}` was `{before}` in A and is `{after}` in B: {reason}")
        return text.format(
            cell=row.name, before=row.status_a, after=row.status_b, reason=known(row.reason_b) or Markdown("-")
        )
    text = _("`{cell}` takes {ratio} times as long: {before} ms in A, {after} ms in B")
    return text.format(cell=row.name, ratio=ratio(row), before=number(row.latency_ms_a), after=number(row.latency_ms_b))


def ratio(row: pd.Series) -> str:
    """Write a ratio with its interval where there is one."""
    if pd.isna(row.ratio_low):
        return f"{row.ratio:.3f}"
    return _("{ratio} ({low} to {high})").format(
        ratio=f"{row.ratio:.3f}", low=f"{row.ratio_low:.3f}", high=f"{row.ratio_high:.3f}"
    )


def known(text) -> str:
    """Return a text of a table; empty for a missing one."""
    return "" if pd.isna(text) else str(text)


def control(side: str, controls: Controls) -> Markdown:
    """Return the sentence on the noise of one run, by its control cell."""
    drift, twin = controls["sentinel"], controls["twin"]
    if not drift or not twin:
        return _("{side} does not know its own noise: its control cell has too few speeds.").format(side=side)
    return _(
        "{side}: its control cell `{cell}` drifted by {drift} % at most, and measured under two names it differed by "
        "{floor} %."
    ).format(
        side=side,
        cell=controls["cell"],
        drift=f"{drift['drift_percent']:.1f}",
        floor=f"{controls['noise_floor_percent']:.1f}",
    )


def notes(comparison: Comparison) -> list[Markdown]:
    """Return the notes that a reader needs before the numbers of a comparison."""
    found = []
    for side, result in (("A", comparison.a), ("B", comparison.b)):
        if not result.samples:
            text = _("{side} is a table without samples: what its rounds were is taken from its intervals.")
            found.append(text.format(side=side))
    weights = [
        {(one["model"], one["resolution"]): one.get("sha256") for one in side.run["weights"]}
        for side in (comparison.a, comparison.b)
    ]
    if other := [key for key in weights[0] if key in weights[1] and weights[0][key] != weights[1][key]]:
        text = _("**The weights are not the same**, of {names} pixels: accuracy cannot be compared there.")
        found.append(text.format(names=", ".join(f"{model} at {size}" for model, size in other)))
    devices = [side.run["machine"]["device_name"] for side in (comparison.a, comparison.b)]
    if devices[0] != devices[1]:
        found.append(_("**Two devices**: {a} in A, {b} in B.").format(a=devices[0], b=devices[1]))
    both = comparison.cells[comparison.cells.verdict.isin(verdicts.VERDICTS)]
    if single := int(((both.rounds_a < 2) & (both.rounds_b < 2) & both.ratio_low.isna()).sum()):
        text = ngettext(
            "{count} cell has one round on both sides, which cannot tell a change from what differs between processes: "
            "it is UNDECIDED. Measure two rounds or more (`timing.rounds`).",
            "{count} cells have one round on both sides, which cannot tell a change from what differs between "
            "processes: they are UNDECIDED. Measure two rounds or more (`timing.rounds`).",
            single,
        )
        found.append(text.format(count=single))
    return found


def method(comparison: Comparison) -> list[Markdown]:
    """Return the paragraph on how the verdicts of a comparison are reached."""
    band = f"{1 / (1 + comparison.threshold):.3f}", f"{1 + comparison.threshold:.3f}"
    return [
        _(
            "`ratio` is the latency in B over that in A, with the 95 % interval of this cell by itself: above 1, B is "
            "slower."
        ),
        _(
            "FASTER and SLOWER: Welch's t-test on the logarithms of the rounds' medians. Three rounds tell little of "
            "their own spread, so each cell's variance is moved towards that of all cells as far as they agree (Smyth "
            "2004); a cell that waits for its host is never believed to be steadier than the usual one of them. A cell "
            "of one round has the spread of all others and of the controls. Cells closer than {close} % are neither."
        ).format(close=f"{100 * (verdicts.CLOSE - 1):.0f}"),
        _(
            "SAME: two one-sided tests show that the ratio lies between {low} and {high}. Too little data is "
            "UNDECIDED, never SAME."
        ).format(low=band[0], high=band[1]),
        _(
            "Many cells are looked at, so both kinds of p-values are corrected (Benjamini and Hochberg 1995), apart "
            "for cells that wait for their host: of the cells called FASTER or SLOWER, {share} % at most are wrong in "
            "the long run. No such correction fits intervals: theirs are narrower than a verdict needs."
        ).format(share=f"{100 * verdicts.FALSE_DISCOVERIES:.0f}"),
        _(
            "`clock` is the SM clock in A over that in B, and `cycles` what is left of the ratio, because a time is "
            "cycles over frequency. A cell that waits for its host does not follow the GPU's clock."
        ),
    ]
