"""Write the tables of keys and of backends into a README, and docs/columns.md beside it.

python -m scripts.document_config README.md
"""

import sys
from pathlib import Path

from speedgrid import settings
from speedgrid.backends import variants
from speedgrid.launcher.outputs import write_text
from speedgrid.table import columns

readme = Path(sys.argv[1])
for name, table in (("config", settings.document()), ("backends", variants.document())):
    begin, end = f"<!-- {name} table: make docs -->\n", f"<!-- end of {name} table -->\n"
    before, rest = readme.read_text(encoding="utf-8").split(begin)
    write_text(readme, before + begin + table + end + rest.split(end)[1])
write_text(readme.parent / "docs" / "columns.md", columns.document())
