"""Write the weights of a checkpoint that also holds Python objects, or is a whole model, as plain tensors.

Nothing of the file is run or imported, whatever it holds. The original stays as it is.
"""

import argparse

from speedgrid.model.checkpoint import plain

parser = argparse.ArgumentParser(prog="python -m scripts.plain_weights", description=__doc__)
parser.add_argument("file", help="the checkpoint")
parser.add_argument("--output", help="file to write; by default FILE with .plain.pth in place of its ending")
asked = parser.parse_args()
print(plain.write(asked.file, asked.output))
