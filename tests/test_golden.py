"""One whole report, word for word: the one place where the wording of a report is pinned.

Other tests ask what a report decides, not how it says so. After a change of wording, write this one again and read the
difference: SPEEDGRID_WRITE_GOLDEN=1 pytest tests/test_golden.py
"""

import os
import re
from pathlib import Path

import pytest
from builders import make_record, make_records, make_refusal, write_run

from speedgrid.report import markdown as report

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden" / "report.md"
# One cell of another precision than its label, one that failed, one without a device; the others have a speed.
RECORDS = [
    *make_records()[2:],
    make_record("resnet18-pytorch-tf32-r64-b1", [3.0] * 50, ran="fp32"),
    make_refusal("resnet18-pytorch-fp32-r64-b1", "failed", "RuntimeError: boom"),
    make_refusal("resnet18-openvino-fp32-r64-b1", "unavailable", "openvino is not installed"),
]


def settled(text: str) -> str:
    """Return a report without what differs from one machine or minute to the next."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z)?", "TIME", text)
    # Versions of libraries, and the commit of this code.
    return re.sub(r"\b(speedgrid \d[\w.]*|[0-9a-f]{10,40})\b", "VERSION", text)


def test_the_report_is_the_golden_one_word_for_word(tmp_path):
    text = settled(report.markdown(*write_run(tmp_path, RECORDS), ROOT / "templates" / "report.md.j2"))
    if os.environ.get("SPEEDGRID_WRITE_GOLDEN") == "1":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)
        pytest.skip(f"{GOLDEN.relative_to(ROOT)} was written")
    advice = "SPEEDGRID_WRITE_GOLDEN=1 pytest tests/test_golden.py writes it again"
    assert text.splitlines() == GOLDEN.read_text().splitlines(), advice
