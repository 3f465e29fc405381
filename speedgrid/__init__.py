"""speedgrid: which inference backend, precision, image size and batch size to deploy for a vision model."""

from pathlib import Path

# The folder that the workflow runs from: templates, languages and configuration lie there, beside the library.
ROOT = Path(__file__).parent.parent


def in_one_line(text: str) -> str:
    """Return a text as one line that tells a terminal nothing: what cannot be printed is in Python's escapes."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class InputError(ValueError):
    """An input that cannot be used: what a user gave, or a file that somebody touched; all such errors derive from it.

    The message is one sentence that names the key or the file, what it has, and what would be right. Scripts print it
    and no traceback (speedgrid.launcher.ending). What it quotes may hold anything: each argument is shown as one line.
    """

    def __str__(self) -> str:
        return "\n".join(in_one_line(str(one)) for one in self.args)
