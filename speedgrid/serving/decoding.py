"""What decoding costs: frames of a video, and of as many at once as there are cores, up to a model's input.

Models are timed on images that are decoded already. Cameras send video, and who decodes it on the processor needs
cores for that, beside whatever the model runs on. Each stream is decoded in a process of its own (speedgrid.serving.
decoder), as one interpreter would not decode side by side; nothing else is measured meanwhile.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

from speedgrid.data.resolution import Resolution
from speedgrid.machine import cpu
from speedgrid.machine.threads import physical_cores
from speedgrid.serving import video
from speedgrid.serving.decoded import Decoding, Pass, Series, Task, Way
from speedgrid.serving.worker import worker

SECONDS = 1.0


class DecoderError(Exception):
    """A decoder that ended by itself; the message says with which code."""


def measure(path: str | Path, source: str, resolutions: list[Resolution], seconds: float = SECONDS) -> Decoding:
    """Return the cost of decoding a video on this machine, alone on its processor.

    source: what the video is, in words. resolutions: of models' inputs. seconds: of each way, at least.
    A decoder that ends early, for want of memory say, makes it `failed`. Raises speedgrid.serving.video.
    VideoError for a video that cannot be decoded.
    """
    found = Decoding(status="ok", reason="", clip=None, cores=physical_cores(), versions={}, series=[])
    if lacking := video.lacking():
        return {**found, "status": "unavailable", "reason": lacking}
    described = video.describe(path, source)
    found |= {"clip": described, "versions": versions()}
    try:
        with cpu.alone(), ExitStack() as stack:
            frames = described["frames"]
            started = [stack.enter_context(decoder(path, frames, resolutions)) for _ in range(found["cores"])]
            for one in started:
                answer(one)
            asked = tasks(found["cores"], resolutions, seconds)
            found["series"] = [series(started[:count], task) for count, task in asked]
    except DecoderError as error:
        return {**found, "status": "failed", "reason": str(error)}
    return found


def tasks(cores: int, resolutions: list[Resolution], seconds: float) -> Iterator[tuple[int, Task]]:
    """Yield (processes at once, task): one stream with all cores, one with one of them, and one on each core."""

    def task(way: Way, threads: int = 1, resolution: Resolution | None = None) -> Task:
        return {"way": way, "resolution": resolution, "threads": threads, "seconds": seconds}

    yield 1, task("decode", threads=0)
    for count in dict.fromkeys((1, cores)):
        yield count, task("decode")
        yield count, task("rgb")
        for resolution in resolutions:
            yield count, task("input", resolution=resolution)


def series(processes: list["subprocess.Popen[str]"], task: Task) -> Series:
    """Return the passes of some decoders that do the same at the same time."""
    for one in processes:
        assert one.stdin
        try:
            one.stdin.write(json.dumps(task) + "\n")
            one.stdin.flush()
        except BrokenPipeError:
            raise DecoderError(ended(one)) from None
    found: list[list[Pass]] = [json.loads(answer(one)) for one in processes]
    return {"way": task["way"], "resolution": task["resolution"], "threads": task["threads"], "passes": found}


@contextmanager
def decoder(path: str | Path, frames: int, resolutions: list[Resolution]) -> Iterator["subprocess.Popen[str]"]:
    """Start a decoder, and end it with the block, or with this process."""
    arguments = (str(Path(path).resolve()), str(frames), *map(str, resolutions))
    with worker("speedgrid.serving.decoder", *arguments) as process:
        yield process


def answer(process: "subprocess.Popen[str]") -> str:
    """Return the next line of a decoder. Raises DecoderError where it has ended instead."""
    assert process.stdout
    if line := process.stdout.readline():
        return line
    raise DecoderError(ended(process))


def ended(process: "subprocess.Popen[str]") -> str:
    """Return the end of a decoder in words, with its code."""
    return f"a decoder ended with code {process.wait()} before it had answered; the log says what it printed"


def versions() -> dict[str, str]:
    """Return the versions of PyAV and of the libraries of FFmpeg that decode and convert."""
    import av

    libraries = {name: av.library_versions[name] for name in ("libavcodec", "libswscale")}
    return {"av": version("av"), **{name: ".".join(map(str, numbers)) for name, numbers in libraries.items()}}
