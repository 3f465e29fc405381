"""Hold published tables against arithmetic and physics. python -m scripts.audit_published my.csv --device T4

Prints the verdicts; what is said of a table goes before x.yaml beside x.csv. The workflow gives a configuration.
"""

import argparse

from speedgrid.launcher.outputs import write_json
from speedgrid.launcher.reading import read_json
from speedgrid.machine import gpus
from speedgrid.model.described import Arithmetic
from speedgrid.published import alone, verdict

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("tables", nargs="*", help="CSV or Markdown files")
for key, kind in {**alone.KEYS, "config": str, "flops": str, "output": str}.items():
    parser.add_argument(f"--{key.replace('_', '-')}", type=kind)
asked = vars(parser.parse_args())
if not asked["config"]:
    print(alone.report(asked["tables"] or parser.error("name a table"), {key: asked[key] for key in alone.KEYS}))
else:
    published, flops = read_json(asked["config"], dict)["published"], read_json(asked["flops"], Arithmetic)
    with gpus.working():
        write_json(asked["output"], verdict.audit_all(published, asked["model"], flops))
