"""What a script leaves behind: files that are written whole or not at all, and why one could not be made."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def one_line(error: Exception) -> str:
    """Return an exception's type and text in one line, for a reason."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def unmade(output: str | Path, reason: str, status: str = "failed") -> dict[str, Any]:
    """Return the description of a file that could not be made, and leave it empty; its cells show the reason."""
    Path(output).write_bytes(b"")
    return {"status": status, "reason": reason}


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write `content` to `path` through a temporary file beside it, so that a killed process leaves no half file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, allow_nan=False)
            file.write("\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
