"""A process that decodes a video again and again, when it is told to: one stream of a machine that decodes several.

`python -m speedgrid.serving.decoder VIDEO FRAMES [RESOLUTION ...]` writes a line when it is ready. For each line of
JSON that it then reads, a Task, it writes one with what its passes took. It ends with its input.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from speedgrid.data.preprocessing import preprocess
from speedgrid.data.resolution import Resolution, read, size_of
from speedgrid.serving import video
from speedgrid.serving.decoded import Pass, Task, Way

# Whole passes over the video of one task, at least.
FEWEST = 3


def main(path: str, frames: int, resolutions: list[Resolution]) -> None:
    """Answer tasks of standard input; each way was gone once before, so that none is the first."""
    ways: list[tuple[Way, Resolution | None]] = [("rgb", None), *(("input", size) for size in resolutions)]
    for way, resolution in ways:
        one_pass(path, frames, 1, taken(way, resolution))
    print("ready", flush=True)
    for line in sys.stdin:
        task: Task = json.loads(line)
        print(json.dumps(passes(path, frames, task)), flush=True)


def passes(path: str, frames: int, task: Task) -> list[Pass]:
    """Return the passes of a task."""
    take = taken(task["way"], task["resolution"])
    found: list[Pass] = []
    end = time.perf_counter() + task["seconds"]
    while len(found) < FEWEST or time.perf_counter() < end:
        found.append(one_pass(path, frames, task["threads"], take))
    return found


def one_pass(path: str, frames: int, threads: int, take: Callable[[Any], object]) -> Pass:
    """Decode the first frames of a video, do with each as asked, and return what that took."""
    wall, cpu = time.perf_counter(), time.process_time()
    seen = 0
    for frame in video.frames(path, threads, frames):
        take(frame)
        seen += 1
    return {
        "frames": seen,
        "wall_s": round(time.perf_counter() - wall, 6),
        "cpu_s": round(time.process_time() - cpu, 6),
    }


def taken(way: Way, resolution: Resolution | None) -> Callable[[Any], object]:
    """Return the function that takes a decoded frame so far, on one thread."""
    if way == "decode":
        return lambda frame: None
    if way == "rgb":
        return lambda frame: frame.to_ndarray(format="rgb24")
    import torch

    assert resolution is not None, "an input has a size"
    torch.set_num_threads(1)
    target = torch.empty(1, 3, *size_of(resolution))

    def to_input(frame: Any) -> None:
        with torch.inference_mode():
            preprocess(torch.from_numpy(frame.to_ndarray(format="rgb24"))[None], target)

    return to_input


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), [read(one) for one in sys.argv[3:]])
