"""Choose the settings that serve camera streams under load, from the records of all timings."""

import argparse
from pathlib import Path

from speedgrid import grid
from speedgrid.launcher import rounds
from speedgrid.launcher.outputs import write_json
from speedgrid.launcher.reading import read_json
from speedgrid.report.findings import places
from speedgrid.table.description import Material, timings_in

parser = argparse.ArgumentParser(description=__doc__)
for name in ("weights", "accuracy"):
    parser.add_argument(f"--{name}", nargs="*", type=Path, default=[])
for name in ("config", "timings", "flops", "peaks", "output"):
    parser.add_argument(f"--{name}", type=Path, required=True)
given = parser.parse_args()
config = read_json(given.config, dict)
most, certain = rounds.most_rounds(config["timing"]), rounds.certain_rounds(config["timing"])
timings = timings_in(given.timings, grid.axes_of(config), most, certain)
material = Material.read(timings, given.weights, given.flops, given.peaks, given.accuracy)
write_json(given.output, places.of_run(material, config))
