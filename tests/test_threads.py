"""How many threads a computation gets, on a machine and in a container."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speedgrid import ROOT
from speedgrid.machine import cgroup, threads
from speedgrid.machine.threads import distinct_cores, physical_cores, session_threads


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """Make this a machine whose kernel tells nothing of control groups and cores; tests write what it tells."""
    monkeypatch.setattr(cgroup, "PROC", tmp_path / "proc")
    monkeypatch.setattr(threads, "CPUS", tmp_path / "cpus")
    (tmp_path / "proc").mkdir()


@pytest.fixture
def machine(monkeypatch):
    """Return a function that says how many cores this machine has, and how many logical CPUs this process."""

    def give(cores, allowed):
        monkeypatch.setattr(psutil, "cpu_count", lambda logical: cores)
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(allowed)), raising=False)

    return give


@pytest.mark.parametrize(
    ("cores", "allowed", "wanted"),
    [(4, 8, 4), (8, 2, 2), (4, 4, 4), (None, 3, 3)],
)
def test_threads_are_physical_cores_as_far_as_the_process_may_use_them(machine, cores, allowed, wanted):
    machine(cores, allowed)
    assert physical_cores() == wanted


def test_what_is_measured_on_a_cpu_has_the_threads_that_are_asked_for_and_on_a_gpu_few_to_load_it():
    assert session_threads("cpu", 16) == 16
    assert session_threads("cuda", 16) in (1, 2)


@pytest.mark.parametrize(("siblings", "cores"), [(["0,4", "1,5", "0,4", "1,5"], 2), (["0", "1", "2", "3"], 4)])
def test_two_hardware_threads_of_a_cpuset_are_one_core(machine, tmp_path, siblings, cores):
    machine(32, 4)
    for number, text in enumerate(siblings):
        folder = tmp_path / f"cpus/cpu{number}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{text}\n")
    assert physical_cores() == cores
    assert distinct_cores({0, 1, 99}) == 0  # the kernel tells nothing of the last


# What a process sees in /proc, and where it finds its quota: name of a file below the mount, and its text.
UNIFIED = "30 23 0:26 {root} {mount} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
LEGACY = (
    "31 24 0:27 {root} {mount} rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
    "32 24 0:28 / /no rw - cgroup cgroup rw,memory\n"
)
GROUPS = {
    "docker, version 2": (UNIFIED, "/", "0::/", {"cpu.max": "150000 100000"}, 1.5),
    "no limit, version 2": (UNIFIED, "/", "0::/", {"cpu.max": "max 100000"}, None),
    "a limit above its own group": (
        UNIFIED,
        "/",
        "0::/kubepods/pod7/box",
        {
            "kubepods/cpu.max": "800000 100000",
            "kubepods/pod7/cpu.max": "200000 100000",
            "kubepods/pod7/box/cpu.max": "max 1",
        },
        2.0,
    ),
    "the host's path, version 2": (UNIFIED, "/docker/1f", "0::/docker/1f", {"cpu.max": "50000 100000"}, 0.5),
    "docker, version 1": (
        LEGACY,
        "/docker/1f",
        "4:cpu,cpuacct:/docker/1f\n3:memory:/docker/1f",
        {"cpu.cfs_quota_us": "300000", "cpu.cfs_period_us": "100000"},
        3.0,
    ),
    "no limit, version 1": (
        LEGACY,
        "/",
        "4:cpuacct,cpu:/",
        {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"},
        None,
    ),
    "a slice of systemd, version 1": (
        LEGACY,
        "/",
        "4:cpu,cpuacct:/user.slice/7",
        {"user.slice/7/cpu.cfs_quota_us": "25000", "user.slice/7/cpu.cfs_period_us": "50000"},
        0.5,
    ),
    "another path than the mount's": (UNIFIED, "/other", "0::/box", {"cpu.max": "100000 100000"}, 1.0),
    "a damaged file": (UNIFIED, "/", "0::/", {"cpu.max": "x"}, None),
    "nothing": ("", "/", "", {}, None),
}


@pytest.mark.parametrize(("mounts", "root", "group", "files", "quota"), GROUPS.values(), ids=GROUPS)
def test_the_quota_of_a_container_is_found(tmp_path, machine, mounts, root, group, files, quota):
    for name, text in files.items():
        (tmp_path / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mount" / name).write_text(f"{text}\n")
    (tmp_path / "proc/mountinfo").write_text(mounts.format(root=root, mount=tmp_path / "mount"))
    (tmp_path / "proc/cgroup").write_text(f"{group}\n")
    assert cgroup.quota() == quota
    machine(8, 16)
    assert physical_cores() == (max(1, int(quota)) if quota else 8)


@pytest.fixture
def group():
    """Return the folder of a new control group for the CPU, and its file of processes; skip without the right."""
    for above, member in ((Path("/sys/fs/cgroup/cpu"), "tasks"), (Path("/sys/fs/cgroup"), "cgroup.procs")):
        folder = above / f"speedgrid-test-{os.getpid()}"
        with contextlib.suppress(OSError):
            folder.mkdir()
            if any((folder / name).exists() for name in ("cpu.max", "cpu.cfs_quota_us")):
                yield folder, folder / member
                folder.rmdir()
                return
            folder.rmdir()
    pytest.skip("no control group for the CPU can be made here")


CODE = (
    "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid()))\n"
    "from speedgrid.machine import cgroup, threads; print(cgroup.quota(), threads.physical_cores())"
)


@pytest.mark.parametrize(("quota", "told"), [(100_000, "1.0 1"), (50_000, "0.5 1")])
def test_the_kernels_own_quota_decides_the_threads(group, quota, told):
    folder, member = group
    files = {"cpu.max": f"{quota} 100000", "cpu.cfs_quota_us": f"{quota}"}
    name = next(name for name in files if (folder / name).exists())
    (folder / name).write_text(files[name])
    asked = [sys.executable, "-c", CODE, str(member)]
    assert subprocess.run(asked, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip() == told


@given(st.text(max_size=200), st.text(max_size=200))
def test_whatever_the_kernel_tells_is_a_quota_or_none(tmp_path_factory, mounts, group):
    folder = tmp_path_factory.mktemp("proc")
    (folder / "mountinfo").write_text(mounts, encoding="utf-8", errors="replace")
    (folder / "cgroup").write_text(group, encoding="utf-8", errors="replace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cgroup, "PROC", folder)
        assert cgroup.quota() is None
