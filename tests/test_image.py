"""The image of envs/Containerfile for a CPU, built here and used with no network: a command of its own, of minutes.

Its base is made of Debian's packages, so that no registry of images is needed. All lies in a folder that is removed.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from processes import run

ROOT = Path(__file__).parent.parent
BASE, IMAGE, COMMIT = "localhost/base", "localhost/speedgrid", "0123abc"
CERTIFICATES = "/etc/ssl/certs"
RELEASE = "trixie"  # has Python 3.13
PACKAGES = "python3,python3-venv,python3-dev,ca-certificates,g++,git,make"
# With the system and its compiler; with CUDA it has 8.31 GB.
LARGEST = 4.5e9
TINY = {
    "device": "cpu",
    "data": {"images": "random"},
    "grid": {
        "cpu": {"backend": ["pytorch", "onnxruntime"], "precision": ["fp32"], "resolution": [64], "batch_size": [1, 2]}
    },
    "timing": {"rounds": 1, "min_seconds": 0.1, "max_seconds": 0.5, "patience_seconds": 0.5},
    "report": {"resolution": 64, "batch_size": 2},
    "published": [],
}
pytestmark = pytest.mark.image


def lacking() -> str | None:
    """Say why no image can be built here; None if one can."""
    if missing := [name for name in ("buildah", "mmdebstrap", "unshare") if not shutil.which(name)]:
        return f"{missing[0]} is not installed (Debian: buildah, mmdebstrap, util-linux)"
    if os.geteuid():
        return "the base of an image is made as root"
    if subprocess.run(["unshare", "--mount", "--net", "true"], check=False).returncode:
        return "this root may not make namespaces"
    return None


@pytest.fixture(scope="module")
def buildah(tmp_path_factory):
    """Return what a command of buildah begins with, images and containers in a folder of its own."""
    if reason := lacking():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("images")
    found = ["buildah", "--root", folder / "root", "--runroot", folder / "run"]
    yield found
    run(*found, "rm", "--all", code=None)
    run(*found, "rmi", "--all", "--force", code=None)


@pytest.fixture(scope="module")
def base(buildah, tmp_path_factory):
    """Return the name of an image of Debian with Python, as the official one has it: with venv and headers."""
    archive = tmp_path_factory.mktemp("base") / "base.tar"
    # A mirror may lag behind, or this machine's clock be ahead of it: what it has is signed all the same.
    options = ["--variant=minbase", f"--include={PACKAGES}", '--aptopt=Acquire::Check-Valid-Until "false"']
    run("mmdebstrap", *options, RELEASE, archive, timeout=1200)
    container = run(*buildah, "from", "scratch").stdout.strip()
    run(*buildah, "add", container, archive, "/", timeout=600)
    archive.unlink()
    run(*buildah, "commit", "--rm", container, BASE, timeout=600)
    return BASE


@pytest.fixture(scope="module")
def image(buildah, base):
    """Return the name of the image for a CPU, built with the certificates of this machine as documented."""
    given = ["--isolation", "chroot", "--network", "host", "--pull-never", "--layers=false"]
    given += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
    given += ["--env", f"SSL_CERT_FILE={CERTIFICATES}/ca-certificates.crt"]
    asked = {"BASE": base, "CPU": "1", "COMMIT": COMMIT}
    arguments = [word for name, value in asked.items() for word in ("--build-arg", f"{name}={value}")]
    run(*buildah, "bud", *given, *arguments, "-f", "envs/Containerfile", "-t", IMAGE, ROOT, timeout=3600)
    return IMAGE


@pytest.fixture(scope="module")
def inside(buildah, image, tmp_path_factory):
    """Return a function that runs a command in a container of the image, without any network, as the image's user."""
    results = tmp_path_factory.mktemp("results")
    mounts = []
    for name in ("artifacts", "report", "logs", ".snakemake"):
        (results / name).mkdir()
        os.chown(results / name, 1000, 1000)
        mounts += ["--volume", f"{results / name}:/speedgrid/{name}"]
    (results / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    mounts += ["--volume", f"{results / 'tiny.yaml'}:/speedgrid/tiny.yaml:ro"]
    container = run(*buildah, "from", image, timeout=600).stdout.strip()

    def call(*command):
        alone = ["unshare", "--net", *buildah, "run", "--isolation", "chroot", *mounts, container, "--"]
        return run(*alone, *command, timeout=1800).stdout

    call.results = results
    return call


def test_it_has_a_healthy_size(buildah, image):
    found = run(*buildah, "images", "--json", image).stdout
    [listed] = json.loads(found)
    amount, unit = listed["size"].split()
    assert float(amount) * {"MB": 1e6, "GB": 1e9}[unit] < LARGEST


def test_it_runs_as_a_user_who_owns_the_folder_and_reaches_nothing(inside):
    assert inside("id", "--user", "--name").strip() == "speedgrid"
    assert inside("stat", "--format=%U", "/speedgrid", "/speedgrid/.venv").split() == ["speedgrid"] * 2
    assert inside("sh", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1").split() == ["lo"]


def test_a_grid_is_measured_in_it_without_a_network(inside):
    inside("make", "report", "CONFIG=tiny.yaml")
    assert "resnet18" in (inside.results / "report/report.md").read_text()
    described = json.loads((inside.results / "artifacts/run.json").read_text())
    assert described["machine"]["commit"] == COMMIT
    # On a busy machine they are put aside, measured all the same.
    assert sum(described["statuses"].get(status, 0) for status in ("ok", "busy")) == 4
    # A second container goes on from what the first one has left.
    assert "Nothing to be done" in inside("sh", "-c", "snakemake --configfile tiny.yaml 2>&1")


def test_snakemakes_report_names_the_image(inside):
    inside("snakemake", "--configfile", "tiny.yaml", "--report", "report/snakemake.html")
    assert IMAGE in (inside.results / "report/snakemake.html").read_text()
