"""What the headers of other people's tables mean: their names and units, in the conventions of common tools.

A header that could mean two things means nothing here: it is named in the report, and not guessed. A header without a
unit, such as `latency`, means what the units in its cells say.
"""

import re
from dataclasses import dataclass, field, replace

from speedgrid.published.names import precisions, settings
from speedgrid.published.reading import speeds
from speedgrid.published.reading.text import plain
from speedgrid.published.reading.words import STATISTICS, canonical

AXES = {
    "backend": {
        "backend",
        "runtime",
        "framework",
        "engine",
        "inference engine",
        "inference backend",
        "execution provider",
        "provider",
        "ep",
    },
    "precision": {
        "precision",
        "dtype",
        "data type",
        "datatype",
        "compute precision",
        "infer precision",
        "numeric precision",
        "quantization",
        "quantisation",
        "prec",
    },
    "resolution": {
        *("resolution", "image size", "img size", "imgsz", "input size", "input resolution", "image resolution"),
        *(
            "input shape",
            "input image size",
            "size pixels",
            "size px",
            "input",
            "infer img size",
            "input dim",
            "input dims",
        ),
        *("input dimensions", "image shape", "inputsize", "imagesize", "test size", "shape", "input px", "crop", "res"),
    },
    "batch_size": {
        *(
            "batch size",
            "batchsize",
            "batch",
            "bs",
            "batch sizes",
            "infer batch size",
            "minibatch size",
            "mini batch size",
        ),
        *("b", "n batch", "num batch", "images per batch", "max batch size", "bsize", "batch sz"),
    },
    "model": {
        *("model", "network", "architecture", "arch", "model name", "models", "backbone", "net", "dnn", "cnn"),
        *("model architecture", "neural network", "network name", "network architecture", "dnn model", "modelname"),
        *("name of model", "model id", "model type", "networks", "backbone model", "cnn model"),
    },
    "device": {
        *(
            "device",
            "gpu",
            "hardware",
            "platform",
            "card",
            "accelerator",
            "gpu model",
            "device name",
            "gpu name",
            "board",
        ),
        *(
            "gpu type",
            "graphics card",
            "machine",
            "target",
            "hw",
            "processor",
            "chip",
            "gpu card",
            "soc",
            "hardware platform",
        ),
    },
    # Of devices that work together.
    "count": {
        *("gpus", "num gpus", "n gpus", "number of gpus", "of gpus", "gpu count", "no of gpus", "ngpu", "ngpus"),
        *("devices", "num devices", "number of devices", "accelerators", "of accelerators", "num accelerators"),
        *("number of accelerators", "accelerator count", "device count", "num gpu", "n gpu", "of devices"),
    },
}
# Words by which a header may name models though it is none of the above.
MODEL_WORDS = {
    "model",
    "models",
    "network",
    "net",
    "backbone",
    "arch",
    "architecture",
    "variant",
    "detector",
    "classifier",
    "cnn",
    "dnn",
}


# Words that name models, or whatever else a line is of: alone they may be of either.
NAMES = {
    *("name", "names", "method", "methods", "modell", "modelle", "modelo", "modello", "modèle", "modele"),
    *("модель", "модели", "сеть", "模型", "模型名称", "网络", "モデル"),
}
# The size of the images that operations were counted at.
AT = re.compile(r"\s*(?:@|\bat)\s*(?P<side>\d{2,4})(?:\s*[x×]\s*(?P=side))?(?:\s*(?:px|pixels|p))?\b", re.IGNORECASE)
SPREAD = re.compile(r"\s*[(\[]?(?:±|\+/-|\+-)\s*(?:std\.? ?dev\.?|stderr|std|sd|sem|σ)[)\]]?", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """The meaning of a column: an axis or a quantity.

    factor: from the column's unit to the quantity's, None where the units in its cells say. statistic: of many timings,
    such as p95, or None. place: values of axes that the header names. base: what a speed-up is over, as written.
    at: the size of the images that operations are of, where the header says it.
    """

    name: str
    factor: float | None = 1.0
    statistic: str | None = None
    place: dict[str, str] = field(default_factory=dict)
    base: str | None = None
    at: int | None = None

    @property
    def key(self) -> str:
        """The name of the column's figures in a row: that of its quantity, with the statistic where it says one."""
        return f"{self.name}:{self.statistic}" if self.statistic else self.name


def understand(header: str) -> Column | None:
    """Return the Column that a header means, or None where the header is unknown or could mean two things.

    `GFLOPS` is such a quantity of its own: operations, or operations in a second, as the figures of a table decide.
    """
    text = SPREAD.sub(" ", plain(header))
    if found := _as_written(text):
        return found
    if (size := AT.search(text)) and (counted := _as_written(AT.sub(" ", text))):
        return replace(counted, at=int(size["side"])) if counted.name in speeds.OPERATIONS else None
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return _as_written(apart) if apart != text and " " not in text else None


def _as_written(text: str) -> Column | None:
    if axis := _axis(text):
        return Column(axis)
    if relative := speeds.relative(text):
        return Column(relative.name, relative.factor, base=relative.base)
    place, rest = settings.in_header(text)
    if place and (relative := speeds.relative(rest)):
        return Column(relative.name, relative.factor, place=place, base=relative.base)
    for candidate, taken in ((text, {}), (rest, place)):
        words = canonical(candidate)
        statistic = next((STATISTICS[word] for word in words.split() if word in STATISTICS), None)
        kept = " ".join(word for word in words.split() if word not in STATISTICS)
        found = speeds.meaning(kept, with_statistic=statistic is not None or bool(taken and kept))
        if found and (statistic is None or found.name in speeds.TIMES | speeds.RATES | speeds.OPEN):
            return Column(found.name, found.factor, statistic, dict(taken))
        if not place:
            return None
    # Nothing but where it was measured: the description of the table may say what its cells hold.
    return Column("cells", None, place=place) if not canonical(rest) else None


def _axis(text: str) -> str | None:
    words = " ".join(re.findall(r"[a-z0-9]+", text.lower()))
    bracket = re.search(r"[(\[](.*?)[)\]]", text)
    if bracket and speeds.of_unit(bracket[1]):  # a runtime in ms is a time
        bracket = None
    bare = " ".join(re.findall(r"[a-z0-9]+", text.replace(bracket[0], " ").lower())) if bracket else words
    return next((axis for axis, names in AXES.items() if words in names or bare in names), None)


def names_something(header: str) -> bool:
    """Say whether a header is one of a column of names, which may be of models."""
    return plain(header).lower() in NAMES


def may_name_models(header: str) -> bool:
    """Say whether a header that is not understood may be of a column that names models."""
    return names_something(header) or bool(MODEL_WORDS & set(re.findall(r"[a-z]+", plain(header).lower())))


def cells_as(column: Column, unit: str) -> Column | None:
    """Return the meaning of a column that does not say its unit where its description, or its cells, say `unit`."""
    found = speeds.of_unit(unit)
    if not found:
        return None
    wide = speeds.with_open(column.name, found)
    return wide and replace(column, name=wide.name, factor=wide.factor)


__all__ = ["AXES", "Column", "cells_as", "may_name_models", "names_something", "precisions", "understand"]
