"""Read a user's checkpoint: the plain state dict in it, or one sentence on what the file is and what would be right.

No code in it runs, and no more is read than its file has.
"""

import pickle
import zipfile
from pathlib import Path

import torch

from speedgrid import InputError
from speedgrid.launcher.reading import REMEDY, reason

# Where training scripts commonly put the state dict inside a checkpoint.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
# What data-parallel and compiled training put before every name.
PREFIXES = ("module.", "_orig_mod.")
# A checkpoint has at most so many times the bytes of its model in float32 (in float64, with an optimiser's two moments
# and an average of the weights it has eight), and so many more; and what is in it is at most so many times its file.
TIMES_MODEL, BYTES_MORE, TIMES_FILE = 16, 64_000_000, 4
SAVE = "write it with torch.save(model.state_dict(), path)"
# How files begin that people take for checkpoints, and what would make one of them.
BEGINNINGS = {
    b"version https://git-lfs": "is a Git LFS pointer and not the file that it points to; fetch that with git lfs pull",
    b"\x89HDF": f"is an HDF5 file, as Keras writes it; load it into the model, and {SAVE}",
    b"<": f"is a page of HTML or XML, as a server sends one in place of a file; fetch it again, or {SAVE}",
    b"GGUF": f"is a GGUF file; load it into the model, and {SAVE}",
}


class WeightsError(InputError):
    """Weights that cannot be used; the message names the file and what would be right."""


def read(path: str | Path, model_bytes: float = float("inf")) -> dict[str, torch.Tensor]:
    """Return the plain state dict of a checkpoint: a state dict, a wrapped one, or one with `module.` prefixes.

    model_bytes: of its model in float32. The file is read with `weights_only=True`, so no code in it can run. Raises
    WeightsError if it is unreadable, carries code, holds no tensors, or more than it may.
    """
    refuse_by_bytes(path, model_bytes)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds pickled Python objects, which could run code and are refused; "
            "save the weights alone, with torch.save(model.state_dict(), path)."
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        raise WeightsError(f"{path} is not a readable PyTorch checkpoint ({reason(error)}); {advice(path)}.") from error
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    items = content.items() if isinstance(content, dict) else ()
    state = {name: value for name, value in items if torch.is_tensor(value) and isinstance(name, str)}
    if not state:
        raise WeightsError(f"{path} holds no state dict; {advice(path)}.")
    while prefix := next((one for one in PREFIXES if state and all(name.startswith(one) for name in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    for name, value in state.items():
        if problem := odd(value):
            raise WeightsError(f"{path} has the tensor {name!r}, which {problem}; weights are plain real numbers.")
    return state


def advice(path: str | Path) -> str:
    """Return the advice about a file: the user wrote a checkpoint, and the workflow what is among its artifacts."""
    return REMEDY if "artifacts" in Path(path).parts else SAVE


def refuse_by_bytes(path: str | Path, model_bytes: float) -> None:
    """Raise WeightsError for a file that its size or its first bytes show to be no checkpoint of such a model."""
    try:
        size = Path(path).stat().st_size
        with open(path, "rb") as file:
            begin = file.read(64)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); {advice(path)}.") from None
    most = TIMES_MODEL * model_bytes + BYTES_MORE
    if not size:
        raise WeightsError(f"{path} is empty; {advice(path)}.")
    if size > most:
        raise WeightsError(
            f"{path} has {size / 1e6:,.0f} MB, but a checkpoint of this model at most {most / 1e6:,.0f} MB "
            f"({TIMES_MODEL} times its weights, and {BYTES_MORE / 1e6:.0f} MB); save the weights alone, with "
            "torch.save(model.state_dict(), path)."
        )
    for beginning, problem in BEGINNINGS.items():
        if begin.startswith(beginning):
            raise WeightsError(f"{path} {problem}.")
    if begin[8:9] == b"{" and 2 < int.from_bytes(begin[:8], "little") < size:
        raise WeightsError(
            f"{path} is a safetensors file; write it again with "
            "torch.save(safetensors.torch.load_file(path), other_path)."
        )
    if begin[:2] == b"PK":
        refuse_archive(path, size)
    elif begin[:2] not in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise WeightsError(f"{path} is not a PyTorch checkpoint (it begins with {begin[:12]!r}); {advice(path)}.")


def refuse_archive(path: str | Path, size: int) -> None:
    """Raise WeightsError for a ZIP file that torch.save did not write, or that holds much more than its own bytes."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # BadZipFile, and what its author did not expect
        raise WeightsError(
            f"{path} is not a readable PyTorch checkpoint (a ZIP file that is cut off or damaged: "
            f"{reason(error)}); copy it again, or {advice(path)}."
        ) from None
    names = {member.filename.partition("/")[2] for member in members}
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        raise WeightsError(
            f"{path} is a TorchScript module, which is a program; save its weights alone, with "
            "torch.save(torch.jit.load(path).state_dict(), other_path)."
        )
    if "data.pkl" not in names:
        raise WeightsError(f"{path} is a ZIP file that torch.save did not write; {advice(path)}.")
    if (inside := sum(member.file_size for member in members)) > TIMES_FILE * size:
        raise WeightsError(
            f"{path} has {size / 1e6:,.1f} MB and holds {inside / 1e6:,.0f} MB; a checkpoint holds at most "
            f"{TIMES_FILE} times its own size, as torch.save compresses nothing."
        )


def odd(value: torch.Tensor) -> str | None:
    """Return the reason why a tensor is no weights, or None."""
    if value.is_meta:
        return "has a shape and no numbers (device meta)"
    if value.layout != torch.strided or value.is_nested:
        return f"is not dense ({str(value.layout).removeprefix('torch.')})"
    if value.is_quantized or value.is_complex():
        return f"is of type {str(value.dtype).removeprefix('torch.')}"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"has {value.numel():,} numbers and stores fewer"
    return None


def refuse_numbers(path: str | Path, model: torch.nn.Module) -> None:
    """Raise WeightsError for the first weight of a model, read from `path`, with an infinite number or none."""
    for name, value in model.state_dict().items():
        if value.is_floating_point() and (count := int((~torch.isfinite(value)).sum())):
            raise WeightsError(
                f"{path} has {count:,} of {value.numel():,} numbers in {name!r} that are NaN or infinite in float32; "
                "take a checkpoint from before training diverged."
            )
