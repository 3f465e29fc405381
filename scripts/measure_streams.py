"""Measure how many streams a place serves, in fresh processes, and write the record."""

import argparse
import json

from speedgrid.launcher.reading import read_json
from speedgrid.measure import under_load
from speedgrid.measure.bench import Task
from speedgrid.serving import record

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--asked", type=json.loads, required=True, help="as speedgrid.serving.record.Asked, as JSON")
parser.add_argument("--artifacts", nargs="+", required=True, help="what is loaded, for each batch size in its order")
parser.add_argument("--builds", nargs="*", default=[], help="the records of their builds, in the same order")
for name in ("config", "images", "output"):
    parser.add_argument(f"--{name}", required=True)
given = parser.parse_args()
task = Task.of(given.asked, given.artifacts, given.builds, given.images, read_json(given.config, dict)["models"])
record.write(given.output, under_load.measure(task))
