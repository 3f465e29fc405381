"""The answers of a run that is not finished: what they are so far, and what may still change."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from speedgrid import grid
from speedgrid.grid import Config, nearest
from speedgrid.launcher import rounds
from speedgrid.report import deciding
from speedgrid.report.deciding import Decision
from speedgrid.report.findings import trust
from speedgrid.report.findings.decision import answers
from speedgrid.report.findings.demands import before_streams
from speedgrid.report.findings.objectives import margin_of
from speedgrid.table.description import Material, finish
from speedgrid.table.run import Summary, Table
from speedgrid.text import language
from speedgrid.text.language import N_
from speedgrid.text.markup import Markdown, _, ngettext
from speedgrid.text.words import measured

# Why cells get another round, in the order in which a reader wants to know.
REASONS: Mapping[str, str] = {
    deciding.TIE: N_("they tie for a recommendation"),
    deciding.DEMAND: N_("it is open whether they meet a demand"),
    deciding.RECOMMENDED: N_("they are recommended"),
    deciding.REFERENCE: N_("a recommendation is compared with them"),
    deciding.LINE: N_("their intervals are wide, and a plot has a line of them"),
    deciding.UNSTABLE: N_("they were unstable, or measured beside others"),
    deciding.BESIDE: N_("they are the reference, beside others"),
    deciding.CONTROL: N_("they control the run"),
    deciding.KEPT: N_("they were measured in that round before"),
}


def page(table: Table, summary: Summary, config: Config, decision: Decision, most: int) -> str:
    """Return the provisional report as Markdown, in the language of the configuration. most: rounds at most."""
    with language.speaking(config["report"]["language"]):
        controls, done = summary["controls"], decision["round"]
        margin = margin_of(controls["noise_floor_percent"])
        title = _("Provisional answers after round {done} of at most {most}").format(done=done, most=most)
        doubts = trust.warnings(table, controls, summary["sessions"])
        parts = [Markdown("# {}").format(title), changing(decision, len(measured(table))), *doubts]
        models = list(table.model.unique())
        for model in models:
            rows = table[table.model == model]
            if len(models) > 1:
                parts.append(Markdown("## {}").format(model))
            resolution = nearest(rows.resolution, config["report"]["resolution"])
            parts += answers(rows, resolution, before_streams(config), margin)
        return "\n\n".join(map(str, [*parts, *later(config), *again(decision)])) + "\n"


def changing(decision: Decision, count: int) -> Markdown:
    """Return the sentence on how much may still change. count: the cells with a speed."""
    if not decision["cells"]:
        return _("No answer is open: nothing is measured again. The report follows in `report/report.md`.")
    text = ngettext(
        "{again} of {count} cell is measured again. A setting that ties with another one, and each figure, may still "
        "change; the report follows in `report/report.md`.",
        "{again} of {count} cells are measured again. A setting that ties with another one, and each figure, may still "
        "change; the report follows in `report/report.md`.",
        count,
    )
    return text.format(again=len(decision["cells"]), count=count)


def later(config: Config) -> list[Markdown]:
    """Return the sentence on a demand that no answer is held to yet."""
    least = config["minimum_streams"]
    text = ngettext(
        "Whether a setting serves {count} camera, as is demanded, is measured after the last round.",
        "Whether a setting serves {count} cameras, as is demanded, is measured after the last round.",
        least or 0,
    )
    return [text.format(count=least)] if least else []


def again(decision: Decision) -> list[Markdown]:
    """Return the list of why cells are measured again, with how many there are for each reason."""
    counts = Counter(kind for reasons in decision["cells"].values() for kind in {why.split(":")[0] for why in reasons})
    lines = [Markdown("* {}: {}").format(counts[kind], _(text)) for kind, text in REASONS.items() if counts[kind]]
    return (
        [_("What is measured again, and why; a cell may be counted twice:"), Markdown("\n").join(lines)]
        if lines
        else []
    )


def known(done: int, config: Config, timings: Path) -> list[Path]:
    """Return the records, in a folder of timings, that tell which cells get another round after some."""
    names = grid.timings(grid.axes_of(config), done, (path.stem for path in timings.glob("*.json")), certain=1)
    return [timings / f"{name}.json" for name in rounds.up_to(names, done)]


def after(done: int, config: Config, material: Material, timings: Path) -> tuple[Decision, str]:
    """Return which cells get another round after some, and the provisional report.

    material: the measurements of these rounds. timings: the folder of all that there are.
    """
    axes = grid.axes_of(config)
    cells, loss = grid.cells(axes), config["accuracy"]["max_top1_loss"]
    found = finish(cells, material, config["report"]["reference"], loss, lending=True)
    noise = found.summary["controls"]["noise_floor_percent"]
    there = {rounds.cell_name(path.stem) for path in timings.glob(f"*-round{done + 1}.json")}
    kept = there & {str(cell) for cell in cells}
    decision = deciding.decide(found.table, config, noise, done, grid.control_cell(axes), kept)
    return decision, page(found.table, found.summary, config, decision, rounds.most_rounds(config["timing"]))
