"""Bring the catalogue of a language up to date with the texts of this version. python -m scripts.update_language ru

Then translate in languages/ru.po what is empty there. A language that is not there yet begins as an empty catalogue.
"""

import sys

from speedgrid.table import columns
from speedgrid.text import language

for code in sys.argv[1:]:
    print(f"languages/{code}.po: {language.update(code, columns.TEXTS)} texts wait for their translation")
