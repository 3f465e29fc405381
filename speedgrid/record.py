"""The record of one measurement: a JSON file that is written whole or not at all."""

import json
import os
import tempfile
from pathlib import Path

# From best to worst: a cell of several rounds has the worst one's.
STATUSES = (
    "ok",
    "unstable",
    "wrong_precision",
    "unavailable",
    "unsupported",
    "out_of_memory",
    "failed",
    "wrong_result",
)
# Those whose speed is shown; wrong_precision is a true speed of what `observed_precision` says.
SHOWN = ("ok", "unstable", "wrong_precision")
# The record's layout; a reader that finds another number says so instead of guessing.
FORMAT = 3


class RecordError(ValueError):
    """A record that cannot be read; the message names the file."""


def one_line(error: Exception) -> str:
    """Return an exception's type and text in one line, for a reason."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def unmade(output: str | Path, reason: str, status: str = "failed") -> dict:
    """Return the description of a file that could not be made, and leave it empty; its cells show the reason."""
    Path(output).write_bytes(b"")
    return {"status": status, "reason": reason}


def write_json(path: str | Path, content: dict) -> None:
    """Write `content` to `path` through a temporary file beside it, so that a killed process leaves no half file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(content, file, indent=1, allow_nan=False)
            file.write("\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read(path: str | Path) -> dict:
    """Return the record in `path`. Raises RecordError if it is not one of this format."""
    try:
        record = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} is not a readable record ({error}); delete it and run again.") from error
    if not isinstance(record, dict):
        raise RecordError(f"{path} is not a record but a {type(record).__name__}; delete it and run again.")
    if record.get("format") != FORMAT or record.get("status") not in STATUSES:
        raise RecordError(
            f"{path} has format {record.get('format')!r} and status {record.get('status')!r}; "
            f"this version reads format {FORMAT}: delete the file and run again."
        )
    return record
