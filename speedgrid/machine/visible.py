"""Which of a machine's GPUs CUDA_VISIBLE_DEVICES leaves visible, as CUDA itself reads it.

CUDA takes names up to the first that is none of its GPUs', and sees none after it; NVML, whose readings are recorded,
does not look at the variable at all. Here both agree, or one sentence says why not.
https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html
"""

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from speedgrid import InputError

VARIABLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
# What people write to hide all GPUs; CUDA knows no other than a name that is none.
NOTHING = ("", "-1", "none", "void", "nodevfiles")
# CUDA reads these as C's strtoul does and keeps 32 bits: +0, 0x0, 0abc and 4294967296 all are GPU 0 (driver 580).
PLAIN, NUMBER = re.compile(r"[0-9]{1,9}"), re.compile(r"\+?[0-9].*")
# A UUID may be cut short, but not to this.
PREFIX = "GPU-"


class GpuError(InputError):
    """GPUs that cannot be told apart or measured as they were chosen; the message names the variable and its value."""


@dataclass(frozen=True)
class Card:
    """One GPU as NVML has it. index: in the order of the PCI bus."""

    index: int
    uuid: str
    model: str


def chosen(cards: Sequence[Card], environment: Mapping[str, str] = os.environ) -> list[Card]:
    """Return the GPUs that CUDA sees, in its order: those before the first name that is none of theirs."""
    value = environment.get(VARIABLE)
    if value is None:
        return list(cards)
    return list(dict.fromkeys(card for _, card in _taken(value, cards)))


def _taken(value: str, cards: Sequence[Card]) -> Iterator[tuple[str, Card]]:
    """Yield the names of a value up to the first that is none of the GPUs', each with its GPU."""
    names = (name.strip() for name in value.split(","))
    found = ((name, _named(name, cards)) for name in names)
    return ((name, card) for name, card in itertools.takewhile(lambda one: one[1], found) if card)


def hidden(count: int, environment: Mapping[str, str] = os.environ) -> str | None:
    """Say in one clause that all of a machine's GPUs are hidden on purpose, or return None."""
    value = environment.get(VARIABLE)
    if not count or value is None or value.strip().lower() not in NOTHING:
        return None
    return f"{VARIABLE} is {value!r} and hides the {count} GPUs of this machine"


def require(api: Any, environment: Mapping[str, str] = os.environ) -> None:
    """Raise GpuError where CUDA would see no GPU by mistake, another one than NVML, or a part of one (MIG).

    api: pynvml, initialised, on a machine with a GPU of which not all are hidden.
    """
    divided, value = getattr(api, "nvmlDeviceGetMigMode", None), environment.get(VARIABLE)
    if not divided and value is None:
        return
    handles = [api.nvmlDeviceGetHandleByIndex(index) for index in range(api.nvmlDeviceGetCount())]
    cards = [
        Card(index, api.nvmlDeviceGetUUID(handle), api.nvmlDeviceGetName(handle))
        for index, handle in enumerate(handles)
    ]
    if value is not None:
        _refuse_names(value, cards, environment)
    if not divided:
        return
    for card in chosen(cards, environment):
        try:
            now, _ = divided(handles[card.index])
        except api.NVMLError:  # a GPU that cannot be divided
            continue
        if now:
            raise GpuError(
                f"the GPU {card.index} ({card.model}, {card.uuid}) is divided into instances (MIG), of which clocks, "
                f"power and memory are not known apart; choose another one with {VARIABLE}, or have MIG switched off."
            )


def _refuse_names(value: str, cards: Sequence[Card], environment: Mapping[str, str]) -> None:
    """Raise GpuError for a value of the variable with which CUDA and NVML would not see the same."""
    first, models = value.split(",")[0].strip(), {card.model for card in cards}
    text = f"{VARIABLE} is {value[:100]!r}"
    if first.upper().startswith("MIG-"):
        raise GpuError(
            f"{text}, which names an instance of a GPU (MIG), of which clocks, power and memory are not known apart; "
            f"name a GPU that is not divided, such as {cards[0].uuid}."
        )
    taken = list(_taken(value, cards))
    after = value.split(",")[len(taken) :]
    if after and NUMBER.fullmatch(odd := after[0].strip()) and not PLAIN.fullmatch(odd):
        raise GpuError(
            f"{text}, of which CUDA reads {odd[:40]!r} as another number than it looks like; write a plain one, such "
            "as 0."
        )
    repeated = [name for place, (name, card) in enumerate(taken) if card in [one for _, one in taken[:place]]]
    if repeated:
        raise GpuError(f"{text}, which names the GPU {repeated[0]} twice, so that CUDA sees none; name each once.")
    if not taken:
        listed = ", ".join(f"{card.index} ({card.model}, {card.uuid})" for card in cards[:8])
        raise GpuError(
            f"{text}, whose first name is no GPU of this machine, so that CUDA sees none; name one of {listed}, or "
            "unset it."
        )
    if first.isdecimal() and len(models) > 1 and environment.get(ORDER) != "PCI_BUS_ID":
        raise GpuError(
            f"{text}, and of different GPUs CUDA numbers the fastest first, but NVML by the bus; set "
            f"{ORDER}=PCI_BUS_ID, or name one by its UUID, such as {cards[0].uuid}."
        )


def _named(name: str, cards: Sequence[Card]) -> Card | None:
    """Return the GPU of a name: its number, its UUID in the driver's letters, or the beginning of that."""
    if PLAIN.fullmatch(name):
        return next((card for card in cards if card.index == int(name)), None)
    matching = [card for card in cards if len(name) > len(PREFIX) and card.uuid.startswith(name)]
    return matching[0] if len(matching) == 1 else None
