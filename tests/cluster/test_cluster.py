"""A real Slurm cluster of three nodes on this machine: jobs are submitted, lost, cancelled and found again.

All but two tests run a workflow of four short jobs in the place of the real one: what they hold is about jobs.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from launchers import wait_for
from processes import run
from workflow import Workflow

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
MARK = "ClusterName=test"
CONF = Path("/etc/slurm/slurm.conf")
PORT = 16817  # of slurm.conf
# What stands for the workflow: four timings, each of which waits until the file `go` is there; one after another.
SNAKEFILE = """
rule all:
    input: expand("artifacts/timings/{number}.json", number=range(4)), "report/report.md"

rule report:
    input: expand("artifacts/timings/{number}.json", number=range(4))
    output: "report/report.md"
    shell: "cat {input} > {output}"

rule time_cell:
    output: "artifacts/timings/{number}.json"
    priority: lambda wildcards: -int(wildcards.number)
    shell:
        "echo {wildcards.number} >> begun; "
        "until [ {wildcards.number} -lt 1 -o -e go ]; do sleep 0.1; done; "
        "echo ${{SLURMD_NODENAME:-nowhere}} ${{CUDA_VISIBLE_DEVICES:-none}} ${{SPEEDGRID_LAUNCHER:-alone}} > {output}"
"""
SMALL = {"memory_mb": 4000, "snakemake": ["--cores", "1", "--scheduler", "greedy"]}
MACHINES = {
    "one": {"partition": "cpu", "node": "cpu1"},
    "two": {"partition": "cpu", "node": "cpu2"},
    "gpu": {"partition": "gpu", "gpus": 1, "exclusive": False, "cpus": 1},
    "gpus": {"partition": "gpu", "gpus": 2},
    "many": {"partition": "gpu", "gpus": 3},
    "nowhere": {"partition": "nowhere"},
}


def answers() -> bool:
    """Say whether a controller of these tests runs on this machine."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", PORT)) == 0


def lacking(base: Path) -> str | None:
    """Say why there can be no cluster here; None if there can."""
    if missing := [name for name in ("slurmctld", "slurmd", "sbatch", "munge", "unshare") if not shutil.which(name)]:
        return f"{missing[0]} is not installed (Debian: slurm-wlm, munge)"
    if os.geteuid():
        return "a cluster of one machine is started as root"
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        return "this root may not make namespaces of mounts"
    if CONF.exists() and (MARK not in CONF.read_text(encoding="utf-8") or answers()):
        return "this machine belongs to another cluster, or to another run of these tests"
    if not base.is_relative_to("/tmp"):
        return "temporary files do not lie below /tmp"
    return None


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Return a function that calls the scripts which start and stop a cluster of nodes cpu1, cpu2 and gpu1."""
    base = tmp_path_factory.getbasetemp().resolve()
    if reason := lacking(base):
        assert "SPEEDGRID_SLURM_REQUIRED" not in os.environ, reason
        pytest.skip(reason)
    shared = [base, *(path for path in {ROOT, Path(sys.prefix).resolve()} if path.is_relative_to("/tmp"))]
    environment = os.environ | {"SLURM_FOLDER": str(base / "slurm"), "SHARED": " ".join(map(str, shared))}
    try:
        started = run("bash", HERE / "start.sh", env=environment, timeout=120, code=None)
        if started.returncode:  # not in every container, whatever it has
            assert "SPEEDGRID_SLURM_REQUIRED" not in os.environ, started.stderr
            pytest.skip(f"no cluster starts on this machine: {started.stderr.strip()[-200:]}")
        yield base / "slurm"
    finally:
        run("bash", HERE / "stop.sh", env=environment, timeout=60)


@pytest.fixture
def tree(cluster, tmp_path):
    """Return a workflow of four jobs that wait for a file, with the machines that it can be sent to."""
    workflow = Workflow(tmp_path / "tree")
    for folder in ("speedgrid", "scripts"):
        shutil.copytree(ROOT / folder, workflow / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (workflow / "Snakefile").write_text(SNAKEFILE)
    asked = {name: {**SMALL, **machine} for name, machine in MACHINES.items()}
    (workflow / "machines.yaml").write_text(yaml.safe_dump({"machines": asked}))
    yield workflow
    subprocess.run(["scancel", "--user", "root"], check=False)


def submit(tree, *arguments):
    """Call the command to its end."""
    return tree.call(sys.executable, "-m", "scripts.submit", "machines.yaml", "--seconds", "0.3", *arguments)


def begin(tree, *names):
    """Start the command, which follows its jobs, and write what it prints to a file."""
    with (tree / "followed").open("a") as output:
        command = [sys.executable, "-m", "scripts.submit", "machines.yaml", "--seconds", "0.3", *names]
        return subprocess.Popen(command, cwd=tree.folder, env=tree.environment(), stdout=output, stderr=output)


def go(tree, *names):
    for name in names:
        (tree / f"runs/{name}/go").touch()


def has_begun(tree, name):
    """Wait until the second timing of a run is at work: the first is done."""
    wait_for(lambda: len(begun(tree, name)) > 1)


def begun(tree, name):
    """Return the numbers of the timings that were begun, one for each time."""
    file = tree / f"runs/{name}/begun"
    return file.read_text().split() if file.exists() else []


def followed(tree):
    return (tree / "followed").read_text()


def queue(state="all"):
    """Return the numbers of the jobs in a state."""
    return run("squeue", "--noheader", "--format=%i", f"--states={state}").stdout.split()


def job_of(tree, name):
    return yaml.safe_load((tree / f"runs/{name}/job.json").read_text())["job"]


def test_jobs_on_two_nodes_end_well_and_a_second_call_submits_nothing(tree):
    following = begin(tree, "one", "two")
    has_begun(tree, "one")
    go(tree, "one", "two")
    assert following.wait(60) == 0, followed(tree)
    for name, node in (("one", "cpu1"), ("two", "cpu2")):
        assert (tree / f"runs/{name}/report/report.md").read_text().split()[::3] == [node] * 4
        assert f"{name}: done: {tree / f'runs/{name}/report/report.md'}" in followed(tree)
    assert "one: job" in followed(tree)
    before = queue()
    assert submit(tree, "one", "two").code == 0
    assert queue() == before
    # What is asked for again is made again where it is stale, and nothing else.
    (tree / "runs/one/report/report.md").unlink()
    assert submit(tree, "one", "--again").code == 0
    assert len(queue()) == len(before) + 1
    assert len(begun(tree, "one")) == 4


def test_a_call_that_is_closed_or_killed_is_taken_up_by_the_next(tree):
    for number in (signal.SIGINT, signal.SIGKILL):
        following = begin(tree, "one")
        has_begun(tree, "one")
        wait_for(lambda: f"job {job_of(tree, 'one')} runs on cpu1" in followed(tree))
        following.send_signal(number)
        following.wait(30)
    assert "The jobs go on." in followed(tree)
    # As if it had been killed before it could note its job: the queue knows it.
    (tree / "runs/one/job.json").unlink()
    assert submit(tree, "one", "--leave").code == 0
    assert len(queue("running")) == 1
    go(tree, "one")
    assert submit(tree, "one").code == 0
    assert sorted(begun(tree, "one")) == ["0", "1", "2", "3"]


def test_a_cancelled_job_is_told_and_the_same_command_goes_on(tree):
    following = begin(tree, "one")
    has_begun(tree, "one")
    subprocess.run(["scancel", str(job_of(tree, "one"))], check=True)
    assert following.wait(60) == 1
    assert "was cancelled" in followed(tree)
    assert "goes on where it stopped" in followed(tree)
    go(tree, "one")
    assert submit(tree, "one").code == 0
    assert begun(tree, "one").count("0") == 1


def test_the_command_cancels_its_jobs_and_no_other(tree):
    run("sbatch", "--nodelist=cpu2", "--mem=10", "--wrap=sleep 60", cwd=tree.folder)
    assert submit(tree, "one", "--leave").code == 0
    wait_for(lambda: len(queue("running")) == 2)
    outcome = submit(tree, "one", "--cancel")
    assert (outcome.code, "Cancelled: one." in outcome.log) == (0, True)
    wait_for(lambda: len(queue("running")) == 1)


def test_a_job_whose_node_is_lost_starts_again_and_keeps_what_it_has(tree):
    following = begin(tree, "one")
    has_begun(tree, "one")
    run("scontrol", "update", "nodename=cpu1", "state=down", "reason=test")
    wait_for(lambda: "waits" in followed(tree).rpartition("runs on")[2])
    # The lock that a node leaves which loses its power.
    (tree / "runs/one/.snakemake/locks").mkdir(exist_ok=True)
    (tree / "runs/one/.snakemake/locks/0.input.lock").write_text("artifacts/timings/1.json\n")
    go(tree, "one")
    run("scontrol", "update", "nodename=cpu1", "state=idle")
    assert following.wait(120) == 0, followed(tree)
    assert begun(tree, "one").count("0") == 1
    assert job_of(tree, "one") == int(queue()[-1])


def test_a_controller_that_is_killed_is_told_and_the_jobs_go_on(tree, cluster):
    following = begin(tree, "one", "two")
    has_begun(tree, "one")
    has_begun(tree, "two")
    time.sleep(7)  # a controller writes what it knows of jobs 5 s after it changed, at most; what it did not is lost
    os.kill(int((cluster / "run/slurmctld.pid").read_text()), signal.SIGKILL)
    wait_for(lambda: "one: Slurm's controller does not answer" in followed(tree), 120)
    go(tree, "one")
    # The job's own word counts while nobody else knows.
    wait_for(lambda: "one: done" in followed(tree), 120)
    outcome = submit(tree, "gpu")
    assert outcome.code == 1
    assert "Slurm's controller does not answer" in outcome.log
    assert "Traceback" not in outcome.log
    subprocess.run(["slurmctld"], check=True)
    go(tree, "two")
    assert following.wait(120) == 0, followed(tree)


@pytest.mark.parametrize(("name", "devices"), [("gpu", {"0", "1"}), ("gpus", {"0,1"})])
def test_a_job_sees_the_gpus_that_slurm_gave_it_and_no_address_of_the_head(tree, name, devices):
    os.environ["SPEEDGRID_LAUNCHER"] = "@head"
    try:
        assert submit(tree, name, "--leave").code == 0
    finally:
        del os.environ["SPEEDGRID_LAUNCHER"]
    go(tree, name)
    assert submit(tree, name).code == 0
    words = (tree / f"runs/{name}/report/report.md").read_text().split()
    assert set(words[::3]) == {"gpu1"}
    assert set(words[1::3]) <= devices
    assert set(words[2::3]) == {"alone"}


def test_what_slurm_refuses_names_the_keys_and_keeps_no_other_machine_back(tree):
    go_on = begin(tree, "one")
    has_begun(tree, "one")
    go(tree, "one")
    outcome = submit(tree, "nowhere", "many", "one")
    assert outcome.code == 1
    assert "invalid partition specified: nowhere" in outcome.log
    assert "look at partition: nowhere" in outcome.log
    assert "gpus: 3" in outcome.log
    assert "one: done" in outcome.log
    assert go_on.wait(60) == 0


def test_two_jobs_never_work_in_one_folder(tree):
    assert submit(tree, "one", "--leave").code == 0
    has_begun(tree, "one")
    impatient = tree / "runs/one/impatient.sh"
    impatient.write_text((tree / "runs/one/job.sh").read_text().replace("--timeout 60", "--timeout 1"))
    run("sbatch", "--nodelist=cpu2", "--mem=10", "--output=second.log", impatient.name, cwd=tree / "runs/one")
    second = tree / "runs/one/second.log"
    wait_for(lambda: second.exists() and second.read_text())
    assert "Another job works in" in second.read_text()
    go(tree, "one")
    assert submit(tree, "one").code == 0


# The smallest grid that a table can be made of: one setting, and the run's own controls.
GRID = {
    "device": "cpu",
    "data": {"images": "random"},
    "grid": {"cpu": {"backend": ["onnxruntime"], "precision": ["fp32"], "resolution": [32], "batch_size": [1]}},
    "timing": {"rounds": 1, "min_seconds": 0.05, "max_seconds": 0.1, "patience_seconds": 0.2},
    "report": {"resolution": 32, "batch_size": 1},
    "published": [],
}


def profile(tree, node):
    """Write profiles/slurm as a user does who has nodes of two CPUs and no GPU, for one of them."""
    found = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text(encoding="utf-8"))
    found |= {"cores": 2, "retries": 0, "set-threads": dict.fromkeys(found["set-threads"], 2)}
    found["default-resources"] |= {"gpu": 0, "mem_mb": 4000, "slurm_partition": "'cpu'"}
    found["default-resources"]["slurm_extra"] = f"'--exclusive --nodelist={node}'"
    (tree / node).mkdir(exist_ok=True)
    (tree / node / "profile.yaml").write_text(yaml.safe_dump(found))
    return ("--profile", node, "--configfile", "config/test.yaml")


@pytest.fixture(scope="module")
def measured(cluster, tmp_path_factory):
    """Return the workflow, and what the command said that ran it on two nodes of different processors."""
    tree = Workflow.fresh(tmp_path_factory.mktemp("measured") / "tree")
    tree.write_config("test.yaml", GRID)
    asked = {
        name: {"partition": "cpu", "node": node, "memory_mb": 8000, "configfiles": ["config/test.yaml"]}
        for name, node in (("one", "cpu1"), ("two", "cpu2"))
    }
    (tree / "machines.yaml").write_text(yaml.safe_dump({"machines": asked}))
    outcome = submit(tree)
    for name in asked:
        log = tree / f"runs/{name}/job.log"
        assert outcome.code == 0, outcome.log + (log.read_text()[-5000:] if log.exists() else "")
    yield tree
    shutil.rmtree(tree.folder)


def test_the_workflow_runs_on_two_nodes_and_a_fleet_is_made_of_them(measured):
    devices = {
        name: json.loads((measured / f"runs/{name}/artifacts/run.json").read_text())["machine"]["device_name"]
        for name in ("one", "two")
    }
    assert devices["two"] == "Other Processor 9000 (2 CPUs)"
    assert devices["one"] != devices["two"]
    for name in devices:
        # Warm, as on a workstation: the launcher is the job's own, and the machine's notes are the run's own.
        assert "status" in (measured / f"runs/{name}/artifacts/results.csv").read_text()
        assert (measured / f"runs/{name}/report/report.md").stat().st_size > 1000
    assert not (measured / "artifacts").exists()
    outcome = measured.call(sys.executable, "-m", "scripts.fleet", "runs/one", "runs/two")
    assert outcome.code == 0, outcome.log
    assert devices["two"] in (measured / "report/fleet.md").read_text()


def test_two_cells_are_timed_through_the_profile_on_the_node_that_was_described_and_on_no_other(measured, executor):
    tree = Workflow(measured / "runs/one")
    wanted = sorted((tree / "artifacts/timings").glob("*.json"))[:2]
    names = [str(one.relative_to(tree.folder)) for one in wanted]
    before = [one.read_bytes() for one in wanted]
    asked = profile(measured, "cpu1")
    for node in ("cpu1", "cpu2"):
        profile(measured, node)
        (tree / node).symlink_to(Path("..", "..", node))
    described = tree.snakemake(*asked, "--force", "describe_machine", **executor)
    assert described.code == 0, described.log
    # By that description nothing is stale that was measured there by one job.
    planned = tree.snakemake("-n", *asked, **executor)
    assert planned.code == 0, planned.log
    assert planned.jobs == {}
    for one in wanted:
        one.unlink()
    refusal = "this job is on Other Processor 9000 (2 CPUs)"
    for _ in range(2):  # on busy cores Slurm itself loses a job now and then, before it says a word
        other = tree.snakemake("--profile", "cpu2", *asked[2:], "--", names[0], **executor)
        assert other.code != 0
        assert not wanted[0].exists()
        if refusal in other.log:
            break
    assert refusal in other.log, other.log[-3000:]
    again = tree.snakemake(*asked, "--", *names, **executor)
    assert again.code == 0, again.log
    assert all(one.exists() and one.read_bytes() != old for one, old in zip(wanted, before, strict=True))
