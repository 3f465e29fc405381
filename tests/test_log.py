"""Where a script's output goes."""

from processes import python

SCRIPT = """
import os, sys
from speedgrid.launcher.log import log_to
log_to(sys.argv[1])
print("printed")
os.system("echo from another program")
os.write(2, b"from a native library\\n")
raise RuntimeError("the end")
"""


def test_everything_that_a_process_says_is_in_the_log_and_nowhere_else(tmp_path):
    log = tmp_path / "one.log"
    log.write_text("what an earlier run said")
    done = python("-c", SCRIPT, log, code=1)
    assert (done.stdout, done.stderr) == ("", "")
    text = log.read_text()
    for line in ("printed", "from another program", "from a native library", "RuntimeError: the end"):
        assert line in text
    assert "earlier run" not in text
