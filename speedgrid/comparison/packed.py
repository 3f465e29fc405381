"""An archive that somebody else made, opened within limits: what is in it is neither unpacked nor believed.

The limits are some ten times what a run of a thousand cells has. A ZIP file of 2 MB can hold 2 GB, and one of 100 MB a
million members.
"""

import os
import struct
import zipfile
from pathlib import Path, PurePosixPath

from speedgrid import InputError
from speedgrid.launcher.reading import reason, short

# Members, bytes of one of them and of all, and how many times smaller one may lie there that has a million bytes.
MEMBERS, LARGEST, ALL, RATIO = 50_000, 64_000_000, 1_000_000_000, 200
LARGE = 1_000_000
# A member's entry in the directory of an archive, with a long name: the directory is read whole when it is opened.
ENTRY = 400
# The record that ends a ZIP file, before a comment of at most 65,535 bytes: number of members, bytes of the directory.
END = struct.Struct("<4s6xH2LH")


class ArchiveError(InputError):
    """An archive that cannot be used, or not be written; the message names it, the member, and what would be right."""


def open_archive(path: Path) -> zipfile.Path:
    """Return the root of an archive. Raises ArchiveError where it is none, or is beyond the limits."""
    try:
        refuse_too_many(path)
        archive = zipfile.ZipFile(path)
    except ArchiveError:
        raise
    except Exception as error:  # BadZipFile, and what its author did not expect: struct.error, NotImplementedError ...
        raise ArchiveError(f"{path} is neither a folder nor an archive of `make archive` ({reason(error)}).") from None
    for member in archive.infolist():
        if problem := wrong(member):
            raise ArchiveError(f"{path} has the member {short(member.filename)}, {problem}.")
    names = [member.filename for member in archive.infolist()]
    if len(set(names)) < len(names):
        twice = next(name for name, after in zip(sorted(names), sorted(names)[1:], strict=False) if name == after)
        raise ArchiveError(f"{path} has the member {short(twice)} twice; an archive has each file once.")
    if (total := sum(member.file_size for member in archive.infolist())) > ALL:
        raise ArchiveError(f"{path} holds {total:,} bytes; an archive of results holds at most {ALL:,}.")
    return zipfile.Path(archive)


def refuse_too_many(path: Path) -> None:
    """Raise ArchiveError if an archive says that it has more members than MEMBERS, or a directory too long for them."""
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - END.size - 65_535))
        tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < END.size:
        return  # no ZIP file, which zipfile says
    _, count, directory, _, _ = END.unpack_from(tail, place)
    if count > MEMBERS or directory > MEMBERS * ENTRY:
        raise ArchiveError(f"{path} has too many members; an archive of results has at most {MEMBERS:,}.")


def wrong(member: zipfile.ZipInfo) -> str | None:
    """Return the fault of a member of an archive with what would be right, or None."""
    name = member.orig_filename
    parts = PurePosixPath(name).parts
    if not name or name.startswith("/") or ".." in parts or "\\" in name or not name.isprintable():
        return "which leads out of it or is no name of a file; names are paths such as artifacts/run.json"
    if member.flag_bits & 0x1:
        return "which is encrypted; an archive of results has no password"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"which is compressed by method {member.compress_type}; it must be stored or deflated (0 or 8)"
    if member.file_size > LARGEST:
        return f"which has {member.file_size:,} bytes; a member has at most {LARGEST:,}"
    if member.file_size > LARGE and member.file_size > RATIO * member.compress_size:
        return f"which would be more than {RATIO} times as large as it lies there; results compress less"
    return None
