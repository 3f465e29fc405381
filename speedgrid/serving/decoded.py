"""The types of the cost of decoding, as plain JSON values; importing this imports nothing that decodes."""

from typing import Literal, TypedDict

from speedgrid.data.resolution import Resolution

# How far a frame is taken: until it is decoded; as red, green and blue; as a model's input at a resolution.
Way = Literal["decode", "rgb", "input"]


class Clip(TypedDict):
    """A video by what is in it, as far as it is decoded.

    source: what it was made from, or the user's path. fps: as the container says, None where it does not. frames: that
    are decoded, the first ones of a long video. gop: the most frames from one key frame to the next. mbit_s: of the
    video stream at `fps`. bytes, sha256: of the whole file.
    """

    source: str
    codec: str
    profile: str | None
    width: int
    height: int
    pixel_format: str
    fps: float | None
    frames: int
    gop: int
    mbit_s: float | None
    bytes: int
    sha256: str


class Task(TypedDict):
    """The task of a decoder. threads: of FFmpeg's, 0 for as many as it takes. seconds: of all passes, at least."""

    way: Way
    resolution: Resolution | None
    threads: int
    seconds: float


class Pass(TypedDict):
    """One pass over a video: its frames, the time that passed, and the time of all cores together, in s."""

    frames: int
    wall_s: float
    cpu_s: float


class Series(TypedDict):
    """The passes of one way of decoding: a list of them for each process that went it at the same time.

    threads: of each decoder; 0 is as many as FFmpeg takes by itself.
    """

    way: Way
    resolution: Resolution | None
    threads: int
    passes: list[list[Pass]]


class Decoding(TypedDict):
    """The cost of decoding, as it was seen on a machine. status: `ok`, `unavailable` or `failed`, with its reason.

    cores: physical ones that may be used, and processes at once. versions: of PyAV and of FFmpeg's libraries.
    """

    status: str
    reason: str
    clip: Clip | None
    cores: int
    versions: dict[str, str]
    series: list[Series]
