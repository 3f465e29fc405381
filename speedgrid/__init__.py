"""speedgrid: which inference backend, precision, image size and batch size to deploy for a vision model."""

__version__ = "0.1.0"
