"""Keep the result of this folder in one file: table, raw samples, environment, configuration and report."""

import argparse

from speedgrid import InputError
from speedgrid.comparison import archive
from speedgrid.launcher.outputs import Unwritable

parser = argparse.ArgumentParser(prog="python -m scripts.archive", description=__doc__)
parser.add_argument("name", help=f"the file to write, without {archive.SUFFIX}")
parser.add_argument("--folder", default=".", help="where artifacts/ and report/ are (here)")
asked = parser.parse_args()
try:
    print(archive.write(asked.folder, asked.name))
except (InputError, Unwritable) as error:
    parser.exit(2, f"{error}\n")
