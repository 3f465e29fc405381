"""The columns of video: what reaches a model from cameras costs before the model's call."""

from speedgrid.text.column import HIGHER, NUMBER, Column
from speedgrid.text.language import N_

FRAMES = N_("frames/s")
DECODING = (
    Column(
        "decode_fps_per_core",
        NUMBER,
        FRAMES,
        HIGHER,
        N_("frames/s that one core decodes"),
        "Frames of a video that one CPU core takes to a model's input in a second of its time, with a stream on each "
        "core: decoded, as RGB, preprocessed; measured once for each resolution, beside no model.",
        interval=True,
    ),
)
