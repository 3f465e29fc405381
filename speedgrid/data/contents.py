"""Images that are the same by content: none of them may be in two parts, under whatever names."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


class Contents:
    """A set of files, by size and then, where sizes are equal, by SHA-256."""

    def __init__(self, root: Path):
        self.root = root
        self.by_size: dict[int, list[str]] = {}
        self.digests: dict[str, bytes] = {}

    def add(self, names: Iterable[str]) -> None:
        """Take files in."""
        for name in names:
            if (size := self.size(name)) is not None:
                self.by_size.setdefault(size, []).append(name)

    def __contains__(self, name: str) -> bool:
        size = self.size(name)
        alike = self.by_size.get(size, []) if size is not None else []
        return any(self.digest(one) == self.digest(name) for one in alike if one != name)

    def size(self, name: str) -> int | None:
        """Return the bytes of a file; None where it is empty, or cannot be read, which is said elsewhere."""
        try:
            return os.stat(self.root / name).st_size or None
        except (OSError, ValueError):
            return None

    def digest(self, name: str) -> bytes:
        """Return the checksum of a file, or its name where it cannot be read."""
        if name not in self.digests:
            try:
                with (self.root / name).open("rb") as file:
                    self.digests[name] = hashlib.file_digest(file, "sha256").digest()
            except OSError:
                self.digests[name] = name.encode(errors="surrogateescape")
        return self.digests[name]


def apart(root: Path, parts: dict[str, list[str]]) -> tuple[dict[str, list[str]], int]:
    """Return the parts without files that are in an earlier one by content, and how many were left out."""
    known, kept = Contents(root), {}
    for part, names in parts.items():
        kept[part] = [name for name in names if name not in known] if known.by_size else names
        known.add(kept[part])
    return kept, sum(map(len, parts.values())) - sum(map(len, kept.values()))
