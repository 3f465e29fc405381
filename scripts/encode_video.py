"""Encode a clip of photographs, for whoever has no video of their own; an empty file where there is no encoder."""

import argparse

from speedgrid.launcher.outputs import write_text
from speedgrid.machine import gpus
from speedgrid.serving import clip, video

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--output", required=True)
asked = parser.parse_args()
if lacking := video.lacking():
    write_text(asked.output, "")
    print(lacking)
else:
    with gpus.working():
        clip.encode(asked.output)
