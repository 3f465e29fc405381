"""What a device can do at most by its data sheet."""

import re

import yaml

from speedgrid import ROOT

HARDWARE_FILE = ROOT / "config" / "hardware.yaml"


def data_sheet(device_name: str) -> dict | None:
    """Return the entry of config/hardware.yaml for a device, or None if there is none.

    It has `tflops` by precision and their `source`, and where it is known `bandwidth_gb_s`. The most specific
    (longest) matching name wins.
    """
    entries = yaml.safe_load(HARDWARE_FILE.read_text())["devices"]
    matches = [entry for entry in entries if re.search(entry["match"], device_name)]
    return max(matches, key=lambda entry: len(entry["match"]), default=None)
