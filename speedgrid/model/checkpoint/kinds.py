"""What a file that is given as a checkpoint is by its bytes; what is none is refused in a sentence that says what.

Nothing is unpickled here, and no more is read than the file has.
"""

import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import Literal

from speedgrid.launcher.reading import REMEDY, reason, require_regular
from speedgrid.model.checkpoint import WeightsError

Kind = Literal["archive", "pickle", "safetensors"]

# A checkpoint has at most so many times the bytes of its model in float32 (in float64, with an optimiser's two moments
# and an average of the weights it has eight), and so many more; and what is in it is at most so many times its file.
TIMES_MODEL, BYTES_MORE, TIMES_FILE = 16, 64_000_000, 4
SAVE = "write it with torch.save(model.state_dict(), path)"
CUT = "it is cut off or damaged: fetch or copy it again"
# How files begin that people take for checkpoints, and what would make one of them.
BEGINNINGS = {
    b"version https://git-lfs": "is a Git LFS pointer and not the file that it points to; fetch that with git lfs pull",
    b"outs:": "is a pointer of DVC and not the file that it points to; fetch that with dvc pull",
    b"/annex/objects/": "is a pointer of git-annex and not the file that it points to; fetch that with git annex get",
    b"\x89HDF": f"is an HDF5 file, as Keras writes it; load it into the model, and {SAVE}",
    b"<": f"is a page of HTML or XML, as a server sends one in place of a file; fetch it again, or {SAVE}",
    b"GGUF": f"is a GGUF file; load it into the model, and {SAVE}",
    b"\x1f\x8b": "is compressed with gzip; unpack it",
    b"\xfd7zXZ": "is compressed with xz; unpack it",
    b"BZh": "is compressed with bzip2; unpack it",
    b"\x28\xb5\x2f\xfd": "is compressed with Zstandard; unpack it",
    b"\x04\x22\x4d\x18": "is compressed with LZ4; unpack it",
    b"7z\xbc\xaf": "is an archive of 7-Zip; unpack it",
    b"Rar!": "is an archive of RAR; unpack it",
    b'{"': "is a text of JSON: a server's answer in place of a file, or the list of a checkpoint's parts; fetch the "
    f"file itself, load all parts into the model, and {SAVE}",
    b"\x93NUMPY": f"is an array of numpy; load it into the model, and {SAVE}",
    b"\x08": f"is no checkpoint, but begins as files of ONNX and TensorFlow do; load it into the model, and {SAVE}",
}
# Of archives that torch.save did not write, what they are by a part of theirs.
PARTS = {
    "archive_format": "is a file of torch.export; give it as a model, `models: [{exported: FILE, trust: true}]`",
    "model.weights.h5": f"is a model of Keras; load it into the model, and {SAVE}",
    ".npy": f"holds arrays of numpy; load them into the model, and {SAVE}",
    ".pth": "is a ZIP file around a checkpoint; unpack it",
    ".pt": "is a ZIP file around a checkpoint; unpack it",
    ".ckpt": "is a ZIP file around a checkpoint; unpack it",
    ".safetensors": "is a ZIP file around a checkpoint; unpack it",
}
# Where a tar archive says that it is one.
TAR = slice(257, 262)
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def kind(path: str | Path, model_bytes: float = float("inf")) -> Kind:
    """Return the kind of a checkpoint's file. model_bytes: of its model in float32.

    Raises WeightsError, one sentence, for a file that its size, its first bytes or its table of contents show to be
    none of such a model.
    """
    try:
        require_regular(path, math.inf)
        size = Path(path).stat().st_size
        with open(path, "rb") as file:
            begin = file.read(512)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); {advice(path)}.") from None
    except ValueError as error:  # a pipe
        raise WeightsError(f"{path} cannot be read ({reason(error)}); {advice(path)}.") from None
    refuse_size(path, size, model_bytes)
    # Before all others: the length of its header, which may begin as any of them do, has zeros behind it.
    if begin[4:9] == b"\0\0\0\0{" and int.from_bytes(begin[:8], "little") > 1:
        return "safetensors"
    # JSON may have space behind its brace, too; nothing in braces tells of no server and of no list.
    text = re.sub(rb"\A\{\s+", b"{", begin.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n"))
    for beginning, problem in BEGINNINGS.items():
        if text.startswith(beginning):
            raise WeightsError(f"{path} {problem}.")
    if begin[:2] == b"PK":
        refuse_archive(path, size)
        return "archive"
    if begin[:2] in PICKLES:
        return "pickle"
    if begin[TAR] == b"ustar":
        raise WeightsError(f"{path} is an archive of tar; unpack it.")
    if not begin.strip(b"\0"):
        raise WeightsError(
            f"{path} begins with zeros alone, as a file does that was not fetched whole; fetch it again."
        )
    raise WeightsError(f"{path} is not a PyTorch checkpoint (it begins with {begin[:12]!r}); {advice(path)}.")


def advice(path: str | Path) -> str:
    """Return the advice about a file: the user wrote a checkpoint, and the workflow what is among its artifacts."""
    return REMEDY if "artifacts" in Path(path).parts else SAVE


def refuse_size(path: str | Path, size: int, model_bytes: float) -> None:
    """Raise WeightsError for an empty file, or one that is much larger than a checkpoint of its model."""
    most = TIMES_MODEL * model_bytes + BYTES_MORE
    if not size:
        raise WeightsError(f"{path} is empty; {advice(path)}.")
    if size > most:
        raise WeightsError(
            f"{path} has {size / 1e6:,.0f} MB, but a checkpoint of this model at most {most / 1e6:,.0f} MB "
            f"({TIMES_MODEL} times its weights, and {BYTES_MORE / 1e6:.0f} MB); save the weights alone, with "
            "torch.save(model.state_dict(), path)."
        )


def refuse_archive(path: str | Path, size: int) -> None:
    """Raise WeightsError for a ZIP file that torch.save did not write, that is damaged, or holds too much."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # BadZipFile, and what its author did not expect
        raise WeightsError(
            f"{path} is not a readable PyTorch checkpoint (a ZIP file that is cut off or damaged: "
            f"{reason(error)}); fetch or copy it again, or {advice(path)}."
        ) from None
    names = {member.filename.partition("/")[2] for member in members}
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        raise WeightsError(
            f"{path} is a TorchScript module, which is a program; save its weights alone, with "
            "torch.save(torch.jit.load(path).state_dict(), other_path)."
        )
    if "data.pkl" not in names:
        ends = [f"/{member.filename}" for member in members]
        for end, problem in PARTS.items():
            if any(name.endswith(end if end.startswith(".") else f"/{end}") for name in ends):
                raise WeightsError(f"{path} {problem}.")
        raise WeightsError(f"{path} is a ZIP file that torch.save did not write; {advice(path)}.")
    if (inside := sum(member.file_size for member in members)) > TIMES_FILE * size:
        raise WeightsError(
            f"{path} has {size / 1e6:,.1f} MB and holds {inside / 1e6:,.0f} MB; a checkpoint holds at most "
            f"{TIMES_FILE} times its own size, as torch.save compresses nothing."
        )
    refuse_damage(path, members)


def refuse_damage(path: str | Path, members: list[zipfile.ZipInfo]) -> None:
    """Raise WeightsError if a part of an archive differs from its checksum, which torch does not look at.

    torch.serialization.set_crc32_options(False) writes other numbers in the place of all checksums: nothing is known of
    such a file.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = [member.filename for member in members if not intact(archive, member)]
    if damaged and len(damaged) < len(members):
        raise WeightsError(
            f"{path} is damaged: {len(damaged)} of the {len(members)} parts in it, {damaged[0]!r} first, differ from "
            f"the checksum (CRC-32) that was written with them; fetch or copy it again."
        )


def intact(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Say whether a part of an archive is what its checksum says."""
    try:
        with archive.open(member) as part:
            while part.read(1 << 20):
                pass
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError):
        return False
    return True
