"""Write the tables of keys and of backends into a README. python -m scripts.document_config README.md"""

import sys
from pathlib import Path

from speedgrid import settings
from speedgrid.backends import variants

readme = Path(sys.argv[1])
for name, table in (("config", settings.document()), ("backends", variants.document())):
    begin, end = f"<!-- {name} table: make docs -->\n", f"<!-- end of {name} table -->\n"
    before, rest = readme.read_text().split(begin)
    readme.write_text(before + begin + table + end + rest.split(end)[1])
