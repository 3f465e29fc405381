"""Files of configuration that cannot be used: one sentence, said before Snakemake reads them where `make` is asked."""

import pytest
from processes import ROOT, run

from speedgrid.settings import SettingsError, require_readable

# A file of `--configfile`, and the end of the sentence on it. Snakemake itself reads it, before the Snakefile.
FILES = {
    "missing": (None, "(no such file or directory)."),
    "folder": ("folder", "(it is a folder)."),
    "UTF-16": ("device: cpu\n".encode("utf-16"), "invalid start byte)."),
    "Latin-1": ("# Größe\ndevice: cpu\n".encode("latin-1"), "invalid start byte)."),
    "binary": (b"\x00\x01\x02", "special characters are not allowed"),
    "deep": (b"grid: " + 5000 * b"{a: ", "(it is nested too deeply)."),
    "deep, whole": (b"[" * 3000 + b"]" * 3000, "(it is nested too deeply)."),
    "long number": (b"timing: {rounds: " + 5000 * b"7" + b"}", "value has 5000 digits"),
    "no mapping": (b"- device\n", "is ['device']; it must have keys, such as `device: auto`."),
    "empty": (b"", "is None; it must have keys, such as `device: auto`."),
    "half": (b"grid: {cpu: [", "expected the node content, but found '<stream end>'"),
}


@pytest.fixture(params=FILES)
def bad_file(request, tmp_path):
    """Return a file of configuration that Snakemake ends on with a traceback or without its name, and the sentence."""
    content, end = FILES[request.param]
    path = tmp_path / "mine.yaml"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    return path, end


def test_a_file_of_configuration_that_cannot_be_used_is_one_sentence(bad_file):
    path, end = bad_file
    with pytest.raises(SettingsError) as found:
        require_readable(path)
    assert str(found.value).startswith(f"configuration {path} ")
    assert end in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("target", ["deploy", "example"])
def test_make_looks_at_a_configuration_before_snakemake_does(tmp_path, target):
    (tmp_path / "mine.yaml").write_bytes("device: cpu\n".encode("utf-16"))
    done = run("make", "--no-print-directory", "-o", "setup", target, f"CONFIG={tmp_path}/mine.yaml", code=2)
    assert f"configuration '{tmp_path}/mine.yaml' is no text in UTF-8 (byte 0)" in done.stdout
    assert "Traceback" not in done.stderr
    assert "snakemake" not in done.stdout


def test_configurations_that_come_along_can_be_read():
    for path in (ROOT / "config").glob("*.yaml"):
        require_readable(path)
