"""What is read that somebody may have damaged: JSON and YAML, whole and of their kind, or one sentence with the file.

Neither runs code, and neither takes more than it says: files are of LARGEST bytes at most.
"""

import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar, cast

from speedgrid import InputError
from speedgrid.launcher.outputs import checksum

# The largest JSON file of a run of this many cells is a tenth of that.
LARGEST = 256_000_000
# What a workflow made it makes again.
REMEDY = "it is damaged: delete it, and snakemake makes it again"
# YAML 1.1 takes a number with an exponent for text where it has no point, or its exponent no sign; JSON does not.
EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")

# YAML 1.1 reads such texts as other numbers than whoever wrote them: a size of no height, 010 (8), 1:30 (90).
NO_DECIMALS = {
    "a hexadecimal number": re.compile("[-+]?0x", re.IGNORECASE),
    "a binary number": re.compile("[-+]?0b", re.IGNORECASE),
    "an octal number": re.compile("[-+]?0_*[0-7][0-7_]*$"),
    "a number to base 60": re.compile("[^:]*:"),
}

# The letters of a text from elsewhere, such as a command line, that are shown.
MOST_LETTERS = 150

Kind = TypeVar("Kind")


class Readable(Protocol):
    """A path in a folder or in a ZIP file."""

    def read_text(self, encoding: str) -> str:
        """Return the text in it."""


class FileError(InputError):
    """A file that is not what it should be; the message names it and what would be right."""


def read_json(path: str | Readable, kind: type[Kind], remedy: str = REMEDY) -> Kind:
    """Return the value in a JSON file, which is of a `kind`: a class, or a TypedDict with all that it must have.

    What is there beside that stays. remedy: what to do about a file that is not so. Raises FileError.
    """
    try:
        found = load(path)
    except ValueError as error:
        raise FileError(f"{path} cannot be read as JSON ({error}); {remedy}.") from None
    return unchanged(of_kind(found, kind, str(path), remedy), str(path), remedy)


def load(path: str | Readable) -> Any:
    """Return the value in a JSON file, whatever it is. Raises ValueError if it cannot be read."""
    try:
        if isinstance(path, str | Path):
            require_regular(path)
        return decode((Path(path) if isinstance(path, str) else path).read_text(encoding="utf-8"))
    except MemoryError:
        raise
    except Exception as error:  # a path in a ZIP file has the errors of four libraries
        raise ValueError(reason(error)) from None


def require_regular(path: str | Path, largest: float = LARGEST) -> None:
    """Raise ValueError for what is no regular file, a pipe say, that nobody may ever write to, or has too many bytes.

    Raises OSError where there is nothing.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is a folder" if stat.S_ISDIR(found.st_mode) else "it is no regular file")
    if found.st_size > largest:
        raise ValueError(f"it has more than {largest:,} bytes")


def decode(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError, also for an infinite number and for depths."""
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"it has {name}, which is no number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"it has {text[:40]}, which is too large for a number")
    return number


def of_kind(content: Any, kind: type[Kind], name: str, remedy: str = REMEDY) -> Kind:
    """Return a JSON value that is of a kind. name: of what it was read from. Otherwise as `read_json`."""
    import msgspec  # 20 ms, which whoever reads nothing need not pay

    try:
        msgspec.convert(content, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise FileError(f"{name} is not what was written there ({reason(error)}); {remedy}.") from None
    return cast(Kind, content)


def unchanged(content: Kind, name: str, remedy: str = REMEDY) -> Kind:
    """Return a JSON value whose checksum, if it has one, is that of its content. Otherwise as `of_kind`."""
    if isinstance(content, dict) and "checksum" in content and content["checksum"] != checksum(content):
        raise FileError(f"{name} is not what was written there (its checksum is that of other content); {remedy}.")
    return content


def read_yaml(path: str | Path) -> Any:
    """Return the value in a YAML file. Raises FileError, also for a key that stands twice: YAML takes the last one."""
    import yaml

    try:
        require_regular(path)
        text = Path(path).read_text(encoding="utf-8")
        try:  # JSON is YAML but for its tabs
            return json.loads(text, object_pairs_hook=_each_once)
        except json.JSONDecodeError:
            loader = yaml.SafeLoader(text)  # parsed once: YAML is slow to read, and a plan waits for it
            node = loader.get_single_node()
            _refuse_repeats(node)
            return None if node is None else loader.construct_document(node)
    except RecursionError:
        problem = "it is nested too deeply"
    except OSError as error:
        problem = (error.strerror or reason(error)).lower()
    except (ValueError, TypeError, OverflowError, yaml.YAMLError) as error:
        problem = reason(error)
    raise FileError(f"{path} cannot be read as YAML in UTF-8 ({problem}).")


def read_own_yaml(path: str | Path) -> Any:
    """Return the value in a YAML file of the workflow's own, ten times as fast: its tests have read it as a user's."""
    import yaml

    text = Path(path).read_text(encoding="utf-8")
    # As yaml.safe_load does, but with libyaml where PyYAML was built with it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def as_number(value: Any) -> Any:
    """Return the number that YAML 1.1 takes for a text, such as 1e-3; whatever else there is as it is."""
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:60]!r} stands twice in one place; write it once")
        found[key] = value
    return found


def _refuse_repeats(root: Any) -> None:
    """Raise ValueError if a mapping in a tree of YAML nodes has one key twice."""
    seen, waiting = set(), [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an anchor may lead back to where it stands
            continue
        seen.add(id(node))
        _refuse_other_bases(node)
        lines: dict[tuple[str, Any], int] = {}
        for one in getattr(node, "value", ()):
            if isinstance(one, tuple):  # of a mapping
                key, value = one
                line = key.start_mark.line + 1
                if isinstance(key.value, str):
                    if (key.tag, key.value) in lines:
                        first = lines[key.tag, key.value]
                        raise ValueError(
                            f"the key {key.value[:60]!r} stands twice, in lines {first} and {line}; write it once"
                        )
                    lines[key.tag, key.value] = line
                waiting += key, value
            elif not isinstance(one, str):
                waiting.append(one)


def other_base(text: str) -> str | None:
    """Return the kind of number that YAML reads a text as, where it is not decimal; None of any other text."""
    return next((kind for kind, pattern in NO_DECIMALS.items() if pattern.match(text)), None)


def _refuse_other_bases(node: Any) -> None:
    """Raise ValueError if a YAML node is a number that is not written as a decimal one."""
    if not getattr(node, "tag", "").endswith((":int", ":float")) or not isinstance(node.value, str):
        return
    if kind := other_base(node.value):
        line, shown = node.start_mark.line + 1, node.value[:60]
        raise ValueError(f"line {line} has {shown}, in YAML {kind}; write it as a decimal one, or a text in quotes")


def reason(error: BaseException | str) -> str:
    """Return an error's text, or another one, in one line, for brackets."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def short(value: object) -> str:
    """Return a value in Python's spelling, as a sentence can name it: its beginning where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no numbers of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 100 else f"{text[:80]}... ({len(text)} characters)"


def printable(text: str, most: int = MOST_LETTERS) -> str:
    """Return the beginning of a text, `most` letters, as one line, in which nothing tells a terminal what to do."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def read_onnx(path: str | Path, remedy: str = REMEDY, external: bool = True) -> Any:
    """Return the model in an ONNX file (onnx.ModelProto). Raises FileError for one that is cut off or none.

    external: with the tensors that lie in files beside it. remedy: as of `read_json`.
    """
    import onnx

    try:
        require_regular(path, math.inf)
        return onnx.load(path, load_external_data=external)
    except MemoryError:
        raise
    except Exception as error:  # protobuf's, which do not name the file
        raise FileError(f"{path} cannot be read as ONNX ({reason(error)}); {remedy}.") from None
