"""Measure what decoding a video costs on this machine: frames a second of a core, up to a model's input."""

import argparse
from pathlib import Path

from speedgrid.data import resolution
from speedgrid.launcher.outputs import write_checked
from speedgrid.launcher.reading import read_json
from speedgrid.serving import clip, decoding, video

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--config", type=Path, required=True, help="the configuration, which names the video")
parser.add_argument("--video", required=True)
parser.add_argument("--resolutions", type=resolution.read, nargs="+", required=True)
parser.add_argument("--output", required=True)
asked = parser.parse_args()
named = read_json(asked.config, dict)["serving"]["video"]
source = clip.SOURCE if named == video.PHOTOGRAPHS else named
write_checked(asked.output, decoding.measure(asked.video, source, asked.resolutions))
