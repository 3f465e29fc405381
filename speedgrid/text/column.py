"""A column of the table of results, as it is declared once: by the module that knows what is in it.

What declares columns may run on a device, so importing this imports nothing heavy.
"""

import re
from dataclasses import dataclass

from speedgrid.text.language import N_, _

# A size is an integer of a square, or a text.
TEXT, NUMBER, INTEGER, SIZE, YES_NO = KINDS = ("text", "number", "integer", "size", "yes-no")
HIGHER, LOWER = "higher", "lower"
# Units; "" is that of what has none: a ratio, a share from 0 to 1, a name, how many there are of something.
NONE, PIXELS, PERCENT, SECONDS, MS = "", N_("pixels"), "%", N_("s"), N_("ms")
RATE, TFLOPS, MB, DB, MHZ, WATT, MILLIJOULE = N_("images/s"), "TFLOPS", N_("MB"), N_("dB"), N_("MHz"), N_("W"), N_("mJ")


@dataclass(frozen=True)
class Column:
    """One column, or with `interval` three: `name`, and NAME_low and NAME_high, the ends of its 95 % interval.

    kind: one of KINDS. unit: in English, or NONE. better: HIGHER, LOWER, or None where neither is. label: as readers
    see it, in English and marked for translation; it may have {reference}, what speed-ups are relative to, and begins
    with the unit or has none. about: one sentence, of what it is and how it was measured. proven: a figure of speed,
    which a row whose answer is not proven must not have.
    """

    name: str
    kind: str
    unit: str
    better: str | None
    label: str
    about: str
    interval: bool = False
    proven: bool = False

    def names(self) -> tuple[str, ...]:
        """Return the names of its columns in the table."""
        return (self.name, f"{self.name}_low", f"{self.name}_high") if self.interval else (self.name,)

    def called(self, reference: str | None = None) -> str:
        """Return the label in the language that is spoken. reference: what a speed-up is relative to, by name."""
        return _(self.label).format(reference=reference or _("the reference"))

    def heading(self, reference: str | None = None) -> str:
        """Return the label with the unit, as an axis or a list has it, in the language that is spoken."""
        named = not self.unit or re.match(rf"{re.escape(self.unit)}(?![^ ,])", self.label)
        return self.called(reference) if named else f"{self.called(reference)}, {_(self.unit)}"
