"""The file of a fleet's user: what an hour of each machine costs, and what is demanded of every one of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speedgrid import InputError, settings
from speedgrid.grid import Config
from speedgrid.launcher.reading import as_number, read_yaml, short
from speedgrid.report.findings import demands
from speedgrid.report.findings.demands import Demand

PRICES, CURRENCY = "price_per_hour", "currency"
# A word for a currency, or its sign.
LONGEST = 12
# More than any machine's hour costs, in whatever currency.
MOST = 1_000_000_000


class WishError(InputError):
    """A file of prices that cannot be used; the message names the file, the key, and what would be right."""


@dataclass(frozen=True)
class Wishes:
    """The wishes of a user.

    prices: of an hour, by the name of a machine, its device, or its result. currency: what they are in, "" where
    nothing was said. demanded: keys of a configuration that every machine is held to, in place of those of its own.
    """

    prices: dict[str, float] = field(default_factory=dict)
    currency: str = ""
    demanded: dict[str, Any] = field(default_factory=dict)
    path: str = ""

    def prices_of(self, machines: Sequence[tuple[str, str, str]]) -> list[float | None]:
        """Return the price of each machine, given by its (name, device, result); the first of these that has one.

        Raises WishError for a price that is of none of them.
        """
        known = {one for names in machines for one in names}
        if strange := [one for one in self.prices if one not in known]:
            wanted = ", ".join(dict.fromkeys(name for name, _device, _result in machines))
            raise WishError(
                f"{self.path} has the price of {short(strange[0])} in {PRICES}, which is no machine of this fleet; "
                f"they are {wanted}."
            )
        return [next((self.prices[one] for one in names if one in self.prices), None) for names in machines]


def read(path: str | Path) -> Wishes:
    """Return the wishes in a YAML file. Raises WishError, and FileError for what is no YAML."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise WishError(f"{path} holds no keys; it wants {PRICES}, with the price of an hour of each machine.")
    known = (PRICES, CURRENCY, *demand_keys())
    if strange := [one for one in content if one not in known]:
        raise WishError(f"{path} has the key {short(strange[0])}; known are {', '.join(known)}.")
    prices, currency = content.get(PRICES) or {}, content.get(CURRENCY, "")
    if not isinstance(prices, dict):
        raise WishError(f"{path} has {PRICES} {short(prices)}; it wants a machine and a price on each line.")
    prices = {name: as_number(price) for name, price in prices.items()}
    for name, price in prices.items():
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 < price <= MOST:
            raise WishError(
                f"{path} has {PRICES} {short(price)} for {short(name)}; it must be a number above 0, {MOST:,} at most."
            )
    if not isinstance(currency, str) or len(currency) > LONGEST or not currency.isprintable():
        raise WishError(
            f"{path} has {CURRENCY} {short(currency)}; it must be a text of at most {LONGEST} letters, in one line."
        )
    demanded = {key: content[key] for key in demand_keys() if key in content}
    try:
        demand_config(demanded)  # refuses what is no demand
    except settings.SettingsError as error:
        raise WishError(f"{path}: {error}") from None
    return Wishes({str(name): float(price) for name, price in prices.items()}, currency, demanded, str(path))


def demand_keys() -> list[str]:
    """Return the keys of a configuration that demand something of a setting."""
    return [key for key in settings.read_schema()["properties"] if key == "budget" or key.startswith("minimum_")]


def demand_config(demanded: dict[str, Any]) -> Config:
    """Return a configuration that demands this and nothing else. Raises speedgrid.settings.SettingsError."""
    return settings.complete({"device": "cpu", **demanded})


def spoken(demanded: Iterable[Demand]) -> list[Demand]:
    """Return demands with their words in the language that is spoken now."""
    nested: dict[str, Any] = {}
    for one in demanded:
        outer, _, inner = one.key.partition(".")
        if inner:
            nested.setdefault(outer, {})[inner] = one.limit
        else:
            nested[outer] = one.limit
    return demands.demands(demand_config(nested))


def strictest(configs: Iterable[Config], wishes: Wishes) -> list[Demand]:
    """Return the demands that every machine is held to: of each the strictest of all runs, or what the user wishes.

    A machine that was measured for another purpose may not be let off what the others have to meet.
    """
    found: dict[str, Demand] = {}
    for config in configs:
        kept = {key: config[key] for key in demand_keys() if key in config and key not in wishes.demanded}
        for one in demands.demands(demand_config(kept)):
            other = found.get(one.key)
            if other is None or (one.limit < other.limit) == one.at_most:
                found[one.key] = one
    for one in demands.demands(demand_config(wishes.demanded)):
        found[one.key] = one
    return list(found.values())
