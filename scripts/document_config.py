"""Write the table of configuration keys into a README, from the schema. python -m scripts.document_config README.md"""

import sys
from pathlib import Path

from speedgrid.settings import document

BEGIN, END = "<!-- config table: make docs -->\n", "<!-- end of config table -->\n"
readme = Path(sys.argv[1])
before, rest = readme.read_text().split(BEGIN)
readme.write_text(before + BEGIN + document() + END + rest.split(END)[1])
