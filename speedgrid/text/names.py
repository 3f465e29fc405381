"""Backends as their makers write them; read by the workflow, so importing it imports nothing heavy."""

from speedgrid.backends.variants import VARIANTS

NAMES = {name: variant.label for name, variant in VARIANTS.items()}
