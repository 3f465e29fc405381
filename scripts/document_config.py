"""Write the generated parts of the documentation: keys of the configuration, backends, columns.

python -m scripts.document_config [FOLDER]
"""

import sys
from pathlib import Path

from speedgrid import settings
from speedgrid.backends import variants
from speedgrid.launcher.outputs import write_text
from speedgrid.table import columns

docs = Path(*sys.argv[1:] or ["docs"])
for page, name, table in (
    ("configuration.md", "config", settings.document()),
    ("backends.md", "backends", variants.document()),
):
    begin, end = f"<!-- {name} table: make docs -->\n", f"<!-- end of {name} table -->\n"
    before, rest = (docs / page).read_text(encoding="utf-8").split(begin)
    write_text(docs / page, before + begin + table + end + rest.split(end)[1])
write_text(docs / "columns.md", columns.document())
