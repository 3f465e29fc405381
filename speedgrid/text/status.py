"""What can become of a cell: one table of the statuses that a row has, from best to worst."""

from typing import NamedTuple


class Outcome(NamedTuple):
    """One status of a row.

    shown: whether the row shows a speed; that of `wrong_precision` is one of what `observed_precision` says. colour:
    in the explorer, apart for anybody (https://jfly.uni-koeln.de/color/), greys where nothing was to run. about: what
    it means, one sentence.
    """

    shown: bool
    colour: str
    about: str


# A cell of several rounds has the worst one's.
OUTCOMES = {
    "ok": Outcome(True, "#56B4E9", "Measured, and every check passed."),
    "unstable": Outcome(True, "#F0E442", "Measured and right, but it would not be repeated well; the reason says why."),
    "busy": Outcome(
        True, "#CC79A7", "Measured and right, but other programs had the machine throughout: its speed is not its own."
    ),
    "wrong_precision": Outcome(True, "#E69F00", "Measured, but it ran another precision than its label says."),
    "unavailable": Outcome(False, "#DDDDDD", "The backend cannot run on this machine."),
    "unsupported": Outcome(False, "#BBBBBB", "The backend or the device cannot do this cell."),
    "out_of_memory": Outcome(False, "#777777", "Memory did not suffice."),
    "failed": Outcome(False, "#222222", "It ended in an error, or its record cannot be true."),
    "wrong_result": Outcome(False, "#B2182B", "It ran, but its answers are wrong: its speed is withheld."),
}
STATUSES = tuple(OUTCOMES)
SHOWN = tuple(name for name, outcome in OUTCOMES.items() if outcome.shown)
# Those whose speed is one of the precision that their label says.
TRUE_TO_LABEL = ("ok", "unstable", "busy")
