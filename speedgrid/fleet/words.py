"""What a fleet says, in sentences without mark-up: the page in Markdown and the one in HTML have the same ones."""

from typing import NamedTuple

import pandas as pd

from speedgrid.data.resolution import Resolution
from speedgrid.fleet import streams
from speedgrid.fleet.goals import BEST, NOTHING, SAME, UNDECIDED, WORSE
from speedgrid.fleet.machines import Machine
from speedgrid.fleet.ranking import Fleet
from speedgrid.fleet.wishes import spoken
from speedgrid.report.findings.demands import written
from speedgrid.text.language import N_, _, ngettext
from speedgrid.text.words import label, listed, number, setting, with_interval


class Title(NamedTuple):
    """The words of one goal: its heading, its figure's, how its answer begins, and how far another one is off."""

    heading: str
    figure: str
    answer: str
    behind: str


TITLES = {
    "throughput": Title(
        N_("Throughput"),
        N_("images/s"),
        N_("For throughput: {machine} with {setting}, {figure} images/s."),
        N_("{machine} needs {ratio} times as long for an image."),
    ),
    "latency": Title(
        N_("Latency"),
        N_("ms a call"),
        N_("For latency: {machine} with {setting}, {figure} ms a call."),
        N_("{machine} needs {ratio} times as long for a call."),
    ),
    "energy": Title(
        N_("Energy"),
        N_("mJ an image"),
        N_("For energy: {machine} with {setting}, {figure} mJ an image."),
        N_("{machine} takes {ratio} times the energy for an image."),
    ),
    "cost": Title(
        N_("Cost"),
        N_("cost of a million images"),
        N_("For cost: {machine} with {setting}, {figure} for a million images."),
        N_("{machine} costs {ratio} times as much for an image."),
    ),
    streams.GOAL: Title(
        N_("Camera streams"),
        N_("cameras in time"),
        N_("For cameras: {machine} with {setting}, {figure} in time."),
        N_("{machine} serves {figure}, and fails with more."),
    ),
}
VERDICTS = {
    BEST: N_("best"),
    WORSE: N_("worse"),
    SAME: N_("the same"),
    UNDECIDED: N_("undecided"),
    NOTHING: N_("no setting"),
}


def answer(fleet: Fleet, rows: pd.DataFrame) -> list[str]:
    """Return the sentences on one goal in one place: the best machine, who is level with it, and who is behind.

    rows: of the place and the goal, the best one first.
    """
    top, title = rows.iloc[0], TITLES[rows.goal.iloc[0]]
    found = [_(title.answer).format(machine=top.machine, setting=setting_of(top), figure=figure_of(fleet, top))]
    if same := list(rows.machine[rows.verdict == SAME]):
        text = _("As many: {machines}.") if top.goal == streams.GOAL else _("The same within {share} %: {machines}.")
        found.append(text.format(share=f"{100 * fleet.threshold:g}", machines=listed(same)))
    if doubtful := list(rows.machine[rows.verdict == UNDECIDED]):
        found.append(_("Not to be told apart from it: {machines}.").format(machines=listed(doubtful)))
    if len(worse := rows[rows.verdict == WORSE]):
        one = worse.iloc[0]
        ratio = with_interval(one.ratio, one.ratio_low, one.ratio_high)
        found.append(_(title.behind).format(machine=one.machine, ratio=ratio, figure=figure_of(fleet, one)))
    if nothing := list(rows.machine[rows.verdict == NOTHING]):
        found.append(_("Without a setting to take: {machines}.").format(machines=listed(nothing)))
    return found if top.goal != streams.GOAL else [*found, *of_cameras(fleet, rows)]


def of_cameras(fleet: Fleet, rows: pd.DataFrame) -> list[str]:
    """Return the sentences on what cameras in time are, and on the machines where an hour of one costs least."""
    place = (rows.model.iloc[0], rows.resolution.iloc[0])
    [asked] = [one for at, one in fleet.cameras.items() if at[:2] == place]
    text = _(
        "Cameras of {fps} FPS, of which at least {share} % of the frames have their result within {deadline} ms of "
        "arrival ({confidence} % confidence)."
    )
    percents = {"share": f"{100 * asked['quantile']:g}", "confidence": f"{100 * asked['confidence']:g}"}
    deadline = f"{round(asked['deadline_ms'], 1):g}"
    found = [text.format(fps=f"{asked['fps']:g}", deadline=deadline, **percents)]
    if len(least := streams.cheapest(rows)):
        figure = with_currency(fleet, "cost", number(least.each.iloc[0]))
        text = _("An hour of a camera costs least on {machines}: {figure}.")
        found.append(text.format(machines=listed(list(least.machine)), figure=figure))
    return found


def setting_of(row) -> str:
    """Name the setting of a row; of cameras with the largest of the batch sizes that serve them together."""
    if row.goal != streams.GOAL:
        return setting(row)
    return _("{label}, batch sizes up to {batch_size}").format(label=label(row), batch_size=row.batch_size)


def figure_of(fleet: Fleet, row) -> str:
    """Write the figure of a row with its interval, its currency, and all digits of what is counted."""
    if row.goal == streams.GOAL:
        return brief(row)
    return with_currency(fleet, row.goal, with_interval(row.value, row.value_low, row.value_high))


def brief(row) -> str:
    """Write the figure of a row alone."""
    return f"{row.value:.0f}" if row.goal == streams.GOAL else number(row.value)


def with_currency(fleet: Fleet, goal: str, figure: str) -> str:
    """Write a figure with the currency of the prices, where it is of money and one was given."""
    return f"{figure} {fleet.currency}" if goal == "cost" and fleet.currency else figure


def cheapest(fleet: Fleet, model: str, resolution: Resolution) -> list[str]:
    """Return the sentence on the machine whose hour costs least, of those that meet the demands; none without a price.

    Prices are known exactly: machines of one price are level.
    """
    rows = fleet.at(model, resolution, "cost")
    able = rows[rows.value.notna()]
    if able.empty:
        return []
    least = able[able.price_per_hour == able.price_per_hour.min()]
    figure = with_currency(fleet, "cost", number(least.price_per_hour.iloc[0]))
    if fleet.demanded:
        text = _("An hour costs least, of machines that meet the demands, on {machines}: {figure}.")
    else:
        text = _("An hour costs least on {machines}: {figure}.")
    return [text.format(machines=listed(list(least.machine)), figure=figure)]


def demanded(fleet: Fleet) -> list[str]:
    """Return the sentence on what every machine is held to; nothing where nothing is demanded."""
    if not fleet.demanded:
        return []
    limits = ", ".join(f"{one.text} {written(one, one.limit)}" for one in spoken(fleet.demanded))
    return [_("Demanded of every machine: {limits}.").format(limits=limits)]


def notes(fleet: Fleet) -> list[str]:
    """Return the notes that a reader needs before the figures, from mixed versions to missing prices."""
    machines = fleet.machines
    found = [*unanswered(fleet), *versions(machines), *weights(machines)]
    if bare := [one.name for one in machines if not one.sampled]:
        text = _("Without samples: {machines}. What their rounds were is taken from intervals.")
        found.append(text.format(machines=listed(bare)))
    if single := [one.name for one in machines if (one.table.rounds.dropna() < 2).any()]:
        text = _("With cells of a single round: {machines}. These are decided only as far as others vary.")
        found.append(text.format(machines=listed(single)))
    if noisy := [one.name for one in machines if not tells(one)]:
        text = _("Not good enough to rank settings by their own controls: {machines}.")
        found.append(text.format(machines=listed(noisy)))
    free = [one.name for one in machines if one.price is None]
    if free and len(free) < len(machines):
        found.append(_("Without a price, and so without a cost: {machines}.").format(machines=listed(free)))
    if other := streams.otherwise(machines, fleet.cameras):
        text = _("With cameras that were asked for something else, which are not compared: {machines}.")
        found.append(text.format(machines=listed(other)))
    return found


def unanswered(fleet: Fleet) -> list[str]:
    """Return the sentence on models for which no machine has an answer at all."""
    models = dict.fromkeys(name for one in fleet.machines for name in one.table.model)
    left = [name for name in models if name not in set(fleet.rows.model)]
    text = _("No machine has a setting that meets what is demanded, with answers that are right: {models}.")
    return [text.format(models=listed(left))] if left else []


def tells(machine: Machine) -> bool:
    """Say whether a machine's negative control is narrow enough to rank its settings; one without is believed."""
    twin = machine.run["controls"]["twin"]
    return not twin or twin.get("tells", True)


def versions(machines: list[Machine]) -> list[str]:
    """Return the sentences on results of several versions, of speedgrid and of what it measures."""
    commits = by_value([(one.name, one.run["machine"].get("commit") or _("unknown")) for one in machines])
    found = []
    if len(commits) > 1:
        parts = "; ".join(f"{commit}: {listed(names)}" for commit, names in commits.items())
        found.append(_("Mixed versions of speedgrid: {parts}.").format(parts=parts))
    packages: dict[str, set[str]] = {}
    for one in machines:
        for name, version in (one.run["machine"].get("packages") or {}).items():
            packages.setdefault(name, set()).add(str(version))
    if mixed := [name for name, known in packages.items() if len(known) > 1]:
        found.append(_("Mixed versions of libraries: {names}.").format(names=listed(mixed, 8)))
    return found


def weights(machines: list[Machine]) -> list[str]:
    """Return the sentence on models whose weights differ between machines: their speed compares, their accuracy not."""
    known: dict[tuple[str, Resolution], set[str]] = {}
    for one in machines:
        for origin in one.run["weights"]:
            known.setdefault((origin["model"], origin["resolution"]), set()).add(str(origin.get("sha256")))
    other = list(dict.fromkeys(model for (model, _size), sums in known.items() if len(sums) > 1))
    text = ngettext(
        "The weights of {models} are not the same everywhere: its accuracy cannot be compared.",
        "The weights of {models} are not the same everywhere: their accuracy cannot be compared.",
        len(other),
    )
    return [text.format(models=listed(other))] if other else []


def by_value(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the names by what they have, from (name, value) of each."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(value, []).append(name)
    return found


def method(fleet: Fleet) -> list[str]:
    """Return the sentences on how the verdicts are reached."""
    share = f"{100 * fleet.threshold:g}"
    cameras = [
        _("Of cameras each machine shows the setting that serves most of them, of those that were tried."),
        _("With fewer cameras a machine is worse where it fails with as many as the best one serves, else undecided."),
    ]
    return [
        _("Each machine shows the setting that its own report recommends, if it meets the demands of all."),
        _("A ratio is the time, energy or cost of an image over that of the best machine, with its 95 % interval."),
        _(
            "Worse and the same are decided as in a comparison of two results: Welch's t-test on the logarithms of the "
            "rounds' medians, with moderated variances, and two one-sided tests within {share} %."
        ).format(share=share),
        _("What was measured in one round alone on both sides, as energy is, has no interval and decides nothing."),
        _("p-values are corrected for the number of machines and places, apart for each goal."),
        _("Rounds tell how far processes of one machine differ; another copy of the same machine may differ more."),
        _("A cost is that of a million images: of the price of an hour, what they take of it at full load."),
        *(cameras if fleet.cameras else []),
    ]
