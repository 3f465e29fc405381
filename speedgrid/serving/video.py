"""A video file as its frames: decoded by FFmpeg through PyAV, and described by what is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from speedgrid import InputError
from speedgrid.launcher.inputs import expanded, file_fault
from speedgrid.launcher.outputs import contents
from speedgrid.launcher.reading import reason
from speedgrid.serving.decoded import Clip

# The value of the configuration's key that means the clip of speedgrid.serving.clip, and the key.
PHOTOGRAPHS, KEY = "photographs", "serving.video"
# Frames that are decoded of a video, from its beginning: of 30 a second 20 s, some 3 s of one core's time.
MOST_FRAMES = 600
# Pixels of a frame, at most: 8192 x 4320, the largest level of HEVC.
MOST_PIXELS = 35_389_440
# A video is a local file, whatever is in it: a playlist would have FFmpeg open what it names.
ONLY_FILES = {"protocol_whitelist": "file"}
INSTALL = "decoding needs PyAV: pip install av"


class VideoError(InputError):
    """A video that cannot be decoded; the message names the file, and what would be right."""


def lacking() -> str | None:
    """Return the package that is to be installed before any video can be decoded, in words, or None."""
    return INSTALL if find_spec("av") is None else None


def require(video: str | None) -> str | None:
    """Return the path of the video that the configuration names; None for the clip of photographs, and for none.

    Raises VideoError, one sentence, for a file that is not there or may not be read; what is in it is seen later.
    """
    if video in (None, PHOTOGRAPHS):
        return None
    path = expanded(video)
    if fault := file_fault(path):
        raise VideoError(
            f"config key {KEY} is {video!r}, which {fault}; it must be {PHOTOGRAPHS} or a video that can be read."
        )
    return path


@contextmanager
def opened(path: str | Path, threads: int) -> Iterator[tuple[Any, Any]]:
    """Yield (container, stream) of a video file. threads: of the decoder; 0 is as many as FFmpeg takes by itself.

    Frames and slices are decoded side by side where there are several threads (`thread_type`; by default slices
    alone). Raises VideoError where there is no video in it, also while frames are being decoded.
    """
    import av

    try:
        # Its titles may be in any encoding, or damaged: nothing is made of them.
        with av.open(str(path), options=ONLY_FILES, metadata_errors="replace") as container:
            if not container.streams.video:
                raise VideoError(f"{path} has no video in it; {_remedy()}.")
            stream = container.streams.video[0]
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > MOST_PIXELS:
                raise VideoError(
                    f"{path} has frames of {width} x {height} pixels, more than {MOST_PIXELS:,}; {_remedy()}."
                )
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = threads
            yield container, stream
    except av.FFmpegError as error:
        raise VideoError(f"{path} cannot be decoded ({reason(error)}); {_remedy()}.") from None


def _remedy() -> str:
    return f"config key {KEY} must be {PHOTOGRAPHS} or a video that FFmpeg decodes"


def frames(path: str | Path, threads: int, most: int = MOST_FRAMES) -> Iterator[Any]:
    """Yield the first frames of a video, av.VideoFrame, decoded anew. Raises VideoError as `opened`."""
    with opened(path, threads) as (container, stream):
        yield from islice(container.decode(stream), most)


def describe(path: str | Path, source: str) -> Clip:
    """Return the description of a video by its packets and frames. Raises VideoError where nothing can be decoded."""
    seen = sum(1 for _ in frames(path, threads=0))
    if not seen:
        raise VideoError(f"{path} has no frame that can be decoded; {_remedy()}.")
    file = contents(path)
    with opened(path, threads=0) as (container, stream):
        packets = [(one.is_keyframe, one.size) for one in islice(container.demux(stream), seen) if one.size]
        rate = stream.average_rate or stream.guessed_rate
        context = stream.codec_context
        clip = Clip(
            source=source,
            codec=context.name,
            profile=stream.profile,
            width=context.width,
            height=context.height,
            pixel_format=context.pix_fmt,
            fps=round(float(rate), 4) if rate else None,
            frames=seen,
            gop=_longest([key for key, _ in packets]),
            mbit_s=round(8e-6 * sum(size for _, size in packets) / len(packets) * float(rate), 3) if rate else None,
            bytes=file["bytes"],
            sha256=file["sha256"],
        )
    return clip


def _longest(key: list[bool]) -> int:
    """Return the most packets from one key frame to the next, or to the end."""
    starts = [0, *(index for index, one in enumerate(key) if one and index), len(key)]
    return max(end - start for start, end in pairwise(starts))
