"""speedgrid: which inference backend, precision, image size and batch size to deploy for a vision model."""

from pathlib import Path

__version__ = "0.1.0"
# The folder that the workflow runs from: templates, languages and configuration lie there, beside the library.
ROOT = Path(__file__).parent.parent
