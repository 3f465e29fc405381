"""Jobs on other machines without a scheduler: what a user asks for, scripts, refusals, and what is told of a run."""

import os
import shlex
import subprocess
import time

import pytest
import yaml
from processes import script as call

from speedgrid.cluster import campaign, machines, place, progress, script, slurm
from speedgrid.cluster.campaign import Run
from speedgrid.cluster.machines import Machine, MachinesError

FULL = {
    "partition": "gpu",
    "account": "vision",
    "qos": "long",
    "node": "node[1-3]",
    "constraint": "[a100|h100]",
    "gpus": 2,
    "gpu_model": "h100",
    "cpus": 16,
    "memory_mb": 64000,
    "minutes": 240,
    "exclusive": False,
    "sbatch": ["--reservation=tuesday"],
    "configfiles": ["config/my grid.yaml"],
    "snakemake": ["--cores", "8"],
}


def written(tmp_path, content):
    path = tmp_path / "machines.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_every_key_is_read_and_each_has_its_sentence(tmp_path):
    assert set(machines.KEYS) == set(Machine.__struct_fields__)
    found = machines.read(written(tmp_path, {"machines": {"a": FULL, "b": None}}))
    assert found == {"a": Machine(**FULL), "b": Machine()}
    assert machines.choose(found, ["b"], "m.yaml") == {"b": Machine()}
    assert list(machines.choose(found, [], "m.yaml")) == ["a", "b"]


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ({"partion": "gpu"}, "has the key 'partion'; known keys are partition, account"),
        ({"partition": "gpu cpu"}, "partition is 'gpu cpu'; it must be the name of a partition of Slurm"),
        ({"partition": "a\n#SBATCH --uid=0"}, "partition is 'a\\n#SBATCH --uid=0'"),
        ({"partition": 3}, "partition is 3"),
        ({"partition": "gpu\n"}, "partition is 'gpu\\n'"),
        ({"node": "n1\n"}, "node is 'n1\\n'"),
        ({"sbatch": ["--nice\n"]}, "sbatch is ['--nice\\n']"),
        ({"configfiles": ["a.yaml\n"]}, "configfiles is ['a.yaml\\n']"),
        ({"snakemake": ["a\x85b"]}, "snakemake is"),
        ({"snakemake": ["a\u2028b"]}, "snakemake is"),
        ({"gpus": -1}, "gpus is -1; it must be a number of GPUs"),
        ({"gpus": True}, "gpus is True"),
        ({"gpus": "two"}, "gpus is 'two'"),
        ({"minutes": 0}, "minutes is 0; it must be the longest time of the job in minutes, at least 1"),
        ({"minutes": "1:00:00"}, "minutes is"),
        ({"minutes": "1e-1"}, "minutes is '1e-1'"),
        ({"cpus": float("inf")}, "cpus is inf"),
        ({"volume": "a/b"}, "volume is 'a/b'; it must be the name of a PersistentVolumeClaim"),
        ({"namespace": "Vision(1)"}, "namespace is 'Vision(1)'; it must be a namespace"),
        ({"gpu_product": "NVIDIA H100"}, "gpu_product is 'NVIDIA H100'"),
        ({"memory_mb": 1.5}, "memory_mb is 1.5"),
        ({"exclusive": "no way"}, "exclusive is 'no way'; it must be true for a whole node, or false"),
        ({"sbatch": "--nice"}, "sbatch is '--nice'; it must be a list"),
        ({"sbatch": ["nice"]}, "sbatch has 'nice'; it must be a list of further options"),
        ({"configfiles": ["a\nb"]}, "configfiles is"),
        ({"gpu_model": "h100"}, "gpu_model is h100 and gpus is 0"),
        ("gpu", "machine a is 'gpu'; it must have keys"),
    ],
)
def test_a_mistake_names_machine_key_value_and_what_is_right(tmp_path, machine, words):
    path = written(tmp_path, {"machines": {"a": machine}})
    with pytest.raises(MachinesError) as caught:
        machines.read(path)
    assert str(caught.value).startswith(f"{path}: machine a")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_are_numbers_however_they_are_written(tmp_path):
    path = written(tmp_path, "machines: {a: {minutes: 24e1, memory_mb: 6.4e+4, cpus: 16.0}}")
    assert machines.read(path)["a"] == Machine(minutes=240, memory_mb=64000, cpus=16)


@pytest.mark.parametrize("name", ["../up", "", "a b", "-x", "é", "a" * 41, "a/b", "a.b"])
def test_a_name_that_is_no_folder_is_refused(tmp_path, name):
    with pytest.raises(MachinesError, match="the name"):
        machines.read(written(tmp_path, {"machines": {name: {}}}))


@pytest.mark.parametrize(
    "content", ["", "[]", "machines: []", "machines: {}", "gpu: {}", "machines: {1: {}}", "a: b: c"]
)
def test_a_file_without_machines_is_refused_in_one_sentence(tmp_path, content):
    path = written(tmp_path, content)
    with pytest.raises(ValueError, match="machine") as caught:
        machines.read(path)
    assert str(path) in str(caught.value)


def test_names_that_differ_in_case_alone_would_be_one_folder_on_some_disks(tmp_path):
    with pytest.raises(MachinesError, match="differs from another only in its case"):
        machines.read(written(tmp_path, {"machines": {"a": {}, "A": {}}}))


def test_an_unknown_name_is_refused_with_those_that_are_there(tmp_path):
    with pytest.raises(MachinesError, match=r"has no machine 'c'; it has a, b\.$"):
        machines.choose({"a": Machine(), "b": Machine()}, ["a", "c"], "m.yaml")


def test_what_is_asked_for_becomes_lines_of_the_script():
    lines = slurm.directives("job", Machine(**FULL))
    assert all(line.startswith("#SBATCH --") for line in lines)
    options = {line.removeprefix("#SBATCH ") for line in lines}
    assert options == {
        *("--nodes=1", "--ntasks=1", "--requeue", "--open-mode=append", "--job-name=job", "--output=job.log"),
        *("--partition=gpu", "--account=vision", "--qos=long", "--nodelist=node[1-3]", "--constraint=[a100|h100]"),
        *("--gres=gpu:h100:2", "--cpus-per-task=16", "--mem=64000", "--time=240", "--reservation=tuesday"),
    }
    assert script.arguments(Machine(**FULL)) == [
        *("--cores", "8", "--resources", "gpu=2", "--configfile", "config/my grid.yaml")
    ]


def test_a_whole_node_is_asked_for_with_all_its_memory_unless_told_otherwise():
    lines = slurm.directives("job", Machine())
    assert {"#SBATCH --exclusive", "#SBATCH --mem=0"} < set(lines)
    assert not any("gres" in line for line in lines)
    assert script.arguments(Machine(gpus=1)) == []


@pytest.fixture
def tree(tmp_path):
    """Return a folder with what a workflow has, and what a user has put beside it."""
    root = tmp_path / "a folder's $name"
    for name in ("config", "photos", "artifacts", ".git", "runs"):
        (root / name).mkdir(parents=True)
    (root / "Snakefile").touch()
    return root


def test_a_run_has_its_own_results_and_shares_the_rest(tree):
    folder = place.prepare(tree, "a")
    assert folder == tree / "runs/a"
    assert {one.name for one in folder.iterdir()} == {"config", "photos", "Snakefile"}
    assert all(one.resolve() == tree / one.name for one in folder.iterdir())
    (folder / "artifacts").mkdir()
    (tree / "Snakefile").unlink()
    (tree / "new.onnx").touch()
    place.prepare(tree, "a")
    assert {one.name for one in folder.iterdir()} == {"config", "photos", "artifacts", "new.onnx"}


STAND_IN = """#!/bin/sh
echo "$@" >> called
echo "${SPEEDGRID_LAUNCHER:-no address}" >> called
[ "$1" != --unlock ] || rm -r .snakemake/locks
exit ${CODE:-0}
"""


def run_script(tree, monkeypatch, machine, **environment):
    """Run a job's script with something in the place of snakemake; return its exit code and the calls of it."""
    folder = place.prepare(tree, "a")
    (tree / "bin").mkdir(exist_ok=True)
    (tree / "bin/snakemake").write_text(STAND_IN)
    (tree / "bin/snakemake").chmod(0o755)
    monkeypatch.setattr(script.sys, "executable", str(tree / "bin/python"))
    text = script.whole(slurm.directives("job", machine), machine, folder)
    (folder / "job.sh").write_text(text)
    environment = {"PATH": os.environ["PATH"], "SPEEDGRID_LAUNCHER": "@head", **environment}
    done = subprocess.run(["bash", folder / "job.sh"], env=environment, capture_output=True, text=True, check=False)
    called = folder / "called"
    return done, called.read_text().splitlines() if called.exists() else []


def test_the_script_runs_the_workflow_in_its_folder_and_says_how_it_ended(tree, monkeypatch):
    machine = Machine(configfiles=["my grid's.yaml", "$HOME.yaml"], snakemake=["--config", "a={b: 1}"])
    done, called = run_script(tree, monkeypatch, machine, SLURM_JOB_ID="42")
    assert (done.returncode, done.stderr) == (0, "")
    assert called == ["--config a={b: 1} --configfile my grid's.yaml $HOME.yaml", "no address"]
    assert script.ended(tree / "runs/a") == (42, 0)


def test_a_failed_run_is_a_failed_job(tree, monkeypatch):
    done, _ = run_script(tree, monkeypatch, Machine(), SLURM_JOB_ID="42", CODE="3")
    assert done.returncode == 3
    assert script.ended(tree / "runs/a") == (42, 3)
    # Of no scheduler that has numbers.
    run_script(tree, monkeypatch, Machine())
    assert script.ended(tree / "runs/a") == (0, 0)


def test_what_a_lost_node_has_left_keeps_no_job_from_going_on(tree, monkeypatch):
    folder = place.prepare(tree, "a")
    (folder / ".snakemake/locks").mkdir(parents=True)
    _, called = run_script(tree, monkeypatch, Machine())
    assert called[::2] == [""]
    (folder / ".snakemake/locks/0.input.lock").touch()
    _, called = run_script(tree, monkeypatch, Machine())
    assert called[2::2] == ["--unlock", ""]


def test_the_name_of_a_job_is_that_of_its_folder_alone(tree, tmp_path):
    assert slurm.job_name("a", tree / "runs/a") == slurm.job_name("a", tree / "runs/../runs/a")
    assert slurm.job_name("a", tree / "runs/a") != slurm.job_name("a", tmp_path / "runs/a")


REFUSALS = [
    (
        "sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: "
        "Invalid partition name specified",
        slurm.SlurmError,
        "look at partition: gpu, account: vision",
    ),
    (
        "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
        slurm.SlurmError,
        "account: vision",
    ),
    (
        "sbatch: error: Batch job submission failed: Requested node configuration is not available",
        slurm.SlurmError,
        "gpus: 2",
    ),
    (
        "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
        slurm.SlurmError,
        "look at minutes: 240",
    ),
    ("sbatch: error: Batch job submission failed: Invalid feature specification", slurm.SlurmError, "constraint: ["),
    ("sbatch: error: Batch job submission failed: Invalid qos specification", slurm.SlurmError, "look at qos: long"),
    ("sbatch: error: Memory specification can not be satisfied", slurm.SlurmError, "look at memory_mb: 64000"),
    ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", slurm.FullError, "no more jobs"),
    (
        "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates "
        "accounting/QOS policy (job submit limit, user's size and/or time limits)",
        slurm.FullError,
        "no more jobs",
    ),
    (
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
        slurm.UnreachableError,
        "does not answer",
    ),
    ("slurm_load_jobs error: Socket timed out on send/recv operation", slurm.UnreachableError, "does not answer"),
    ("", slurm.UnreachableError, "no answer in time"),
    ("sbatch: error: something new\nand more", slurm.SlurmError, "look at what is asked for"),
]


@pytest.mark.parametrize(("said", "kind", "words"), REFUSALS)
def test_what_slurm_says_becomes_a_sentence_with_the_keys_to_look_at(said, kind, words):
    error = slurm.refusal("sbatch", said, Machine(**FULL))
    assert type(error) is kind
    assert words in str(error)
    assert "\n" not in str(error)


def stand_in(folder, monkeypatch, **commands):
    """Put commands of one's own in the place of Slurm's."""
    (folder / "commands").mkdir(exist_ok=True)
    for name, text in commands.items():
        path = folder / "commands" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'commands'}:{os.environ['PATH']}")


def test_a_full_queue_is_told_and_tried_again_and_again(tree, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, squeue="true", sbatch="echo temporarily unable to accept job >&2; sleep 60")
    monkeypatch.setattr(slurm, "SECONDS", 0.5)
    run = Run("a", Machine(), place.prepare(tree, "a"))
    campaign.begin([run])
    told = campaign.look([run])["a"]
    assert "the queue takes no more jobs now" in told.words
    assert not told.over
    # Not at each look.
    stand_in(tmp_path, monkeypatch, sbatch="echo 7")
    assert campaign.look([run])["a"] == told
    run.tried = time.monotonic() - campaign.TRY_SECONDS
    stand_in(tmp_path, monkeypatch, squeue=f"echo '7|{run.job_name}|PENDING|Resources|'")
    assert "job 7 waits: for free resources (Resources)" in campaign.look([run])["a"].words


def test_a_job_that_was_submitted_though_nobody_heard_is_not_submitted_twice(tree, tmp_path, monkeypatch):
    run = Run("a", Machine(), place.prepare(tree, "a"), wanted=True)
    stand_in(tmp_path, monkeypatch, squeue=f"echo '9|{run.job_name}|RUNNING|None|node7'", sbatch="exit 1")
    assert "job 9 runs on node7" in campaign.look([run])["a"].words


def test_a_machine_without_slurm_is_told_of_in_one_sentence(tree, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(slurm.SlurmError, match="squeue is not installed here"):
        slurm.jobs(["a"])


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder"])
def test_a_lock_is_a_file_of_the_folders_own(tree, tmp_path, kind):
    lock, other = place.prepare(tree, "a") / campaign.LOCK, tmp_path / "other"
    if kind == "folder":
        lock.mkdir()
    else:
        lock.symlink_to(other)
    if kind == "link":
        other.touch()
    with pytest.raises(OSError, match=r"\.submit\.lock"), campaign.alone(lock.parent):
        pass
    assert other.exists() == (kind == "link")


def test_a_folder_is_submitted_for_by_one_call_at_a_time(tree):
    folder = place.prepare(tree, "a")
    with campaign.alone(folder), pytest.raises(campaign.BusyError, match="another call"), campaign.alone(folder):
        pass
    with campaign.alone(folder):
        pass


@pytest.mark.parametrize(
    ("state", "reason", "words", "over"),
    [
        ("PENDING", "PartitionConfig", "no node of the partition has what is asked for", False),
        ("PENDING", "ReqNodeNotAvail, UnavailableNodes:n1", "is down, drained or reserved", False),
        ("PENDING", "AssocGrpGRES", "waits (AssocGrpGRES)", False),
        ("CONFIGURING", "None", "starts on n1", False),
        ("RUNNING", "None", "runs on n1, 3 of 9 done, 2 min left", False),
        ("COMPLETING", "None", "runs on n1", False),
        ("CANCELLED", "None", "was cancelled", True),
        ("TIMEOUT", "TimeLimit", "reached its limit of time (minutes)", True),
        ("OUT_OF_MEMORY", "OutOfMemory", "more memory than it had (memory_mb)", True),
        ("NODE_FAIL", "None", "lost its node", True),
        ("FAILED", "NonZeroExitCode", "ended (failed, NonZeroExitCode) (a ?[31mred end)", True),
    ],
)
def test_each_state_of_a_job_is_told_in_words(tree, state, reason, words, over):
    run = Run("a", Machine(), place.prepare(tree, "a"))
    run.remember(5)
    lines = "Job 4: Timing cell, round1 (2 of 9 done, 50 s left)\nTiming other, round1 (3 of 9 done, 2 min left)\n"
    (run.folder / script.LOG).write_text(f"{lines}a \x1b[31mred end\n")
    told = campaign.tell(run, [slurm.Job(5, run.job_name, state, reason, "n1")], "")
    assert words in told.words
    assert told.over == over
    assert not told.good
    assert not over or "goes on where it stopped" in told.words


def test_a_jobs_own_word_counts_once_the_queue_has_forgotten_it(tree):
    run = Run("a", Machine(), place.prepare(tree, "a"))
    run.remember(5)
    assert "did not say how it ended" in campaign.tell(run, [], "").words
    (run.folder / script.ENDED).write_text("4 0\n")  # of the job before
    assert not campaign.tell(run, [], "").good
    (run.folder / script.ENDED).write_text("5 0\n")
    assert campaign.tell(run, [], "").good
    assert campaign.tell(run, [], "the controller is gone").good
    (run.folder / script.ENDED).write_text("5 1\n")
    assert "failed with exit code 1" in campaign.tell(run, [], "").words
    # It was sent back to the queue after it had said so.
    assert not campaign.tell(run, [slurm.Job(5, run.job_name, "PENDING", "BeginTime", "")], "").over
    (run.folder / script.ENDED).write_text("five")
    assert script.ended(run.folder) is None


def test_steps_are_told_until_timings_are(tree):
    folder = place.prepare(tree, "a")
    assert progress.progress(folder) == ""
    (folder / script.LOG).write_text("1 of 20 steps (5%) done\n2 of 20 steps (10%) done\n")
    assert progress.progress(folder) == ", 2 of 20 steps"


def test_lines_of_a_file_are_written_when_they_change(capsys):
    screen = progress.Screen()
    for text in ("one", "one", "two"):
        screen.show({"a": text})
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()] == ["a: one", "a: two"]


def test_the_command_names_a_wrong_file_and_a_wrong_machine_in_one_sentence(tmp_path):
    assert f"{tmp_path}/none.yaml cannot be read as YAML" in call("submit", tmp_path / "none.yaml", code=1).stderr
    path = written(tmp_path, {"machines": {"a": {}}})
    assert "has no machine 'b'; it has a." in call("submit", path, "b", code=1).stderr


def test_arguments_are_quoted_as_the_shell_wants_them():
    words = shlex.split(script.body(Machine(snakemake=["--config", "a='b c'"]), place.Path("/x y")))
    assert "a='b c'" in words
    assert "/x y" in words


@pytest.mark.parametrize("said", ["true", "echo", "echo Submitted batch job", "echo; echo ²", "printf '\\033[2J'"])
def test_what_sbatch_answers_is_a_number_or_a_sentence(tree, tmp_path, monkeypatch, said):
    stand_in(tmp_path, monkeypatch, squeue="true", sbatch=said)
    run = Run("a", Machine(), place.prepare(tree, "a"), wanted=True)
    told = campaign.look([run])["a"]
    assert told.words.startswith("sbatch answers ")
    assert told.over
    assert told.words.isprintable()


@pytest.mark.parametrize("text", ["-1", "nan", "1e30", "0", "inf", "ten"])
def test_an_interval_that_is_none_is_refused_at_once(text):
    done = call("submit", "machines.yaml", "--seconds", text, code=2)
    assert f"it is '{text}'; it must be a number of seconds, 0.1 to 3600" in done.stderr


@pytest.mark.parametrize("name", [script.ENDED, script.LOG])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_a_job_left_is_a_file_or_nothing(tree, name, make):
    folder = place.prepare(tree, "a")
    make(folder / name)
    assert script.ended(folder) is None
    assert progress.tail(folder / script.LOG) == ""


def test_a_line_of_the_screen_tells_a_terminal_nothing(capsys):
    progress.Screen().show({"a": "runs on n1\x1b[2J\nb", "b": "x" * 2000})
    first, other = capsys.readouterr().out.splitlines()
    assert first.endswith(" a: runs on n1?[2J?b")
    assert len(other) < 1100
