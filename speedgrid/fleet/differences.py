"""What differs between the machines of a fleet beside speed: each setting, and who has which value of it."""

from typing import NamedTuple

from speedgrid.comparison.differences import ABSENT, settings
from speedgrid.fleet.machines import Machine
from speedgrid.fleet.words import by_value


class Difference(NamedTuple):
    """One setting that is not the same everywhere: its dotted key, and the machines by what they have."""

    key: str
    values: dict[str, list[str]]


def differences(machines: list[Machine]) -> list[Difference]:
    """Return every setting, version and weight file that is not the same on all machines, in order of their keys."""
    known = [(one.name, dict(settings(one.run))) for one in machines]
    keys = dict.fromkeys(key for _name, values in known for key in values)
    found = [
        Difference(key, by_value([(name, values.get(key, str(ABSENT))) for name, values in known])) for key in keys
    ]
    return [one for one in found if len(one.values) > 1]
