"""Runs that are planned on one machine and measured on another: what is refused, and what is described where."""

import json
import os
import shutil

import pytest
import yaml
from processes import script as call
from workflow import ROOT, SMOKE, Workflow

from speedgrid.backends.fingerprint import fingerprint
from speedgrid.cluster import elsewhere
from speedgrid.launcher import ADDRESS_VARIABLE
from speedgrid.machine import environment

# As the executor's plugin has it, which need not be installed to plan.
PROFILE = {"executor": "slurm", "jobs": 1, "cores": 4}
NODE = {"device": "cpu", "device_name": "Big CPU (64 CPUs)", "cpu": "Big CPU (64 CPUs)", "packages": {"torch": "2.0"}}


@pytest.fixture
def head(tmp_path, monkeypatch):
    """Return a folder of results that this process works in, with nothing of another run in its environment."""
    monkeypatch.chdir(tmp_path)
    for name in (ADDRESS_VARIABLE, elsewhere.VARIABLE):
        monkeypatch.setenv(name, "@left")
    (tmp_path / "artifacts").mkdir()
    return tmp_path


def describe(folder, machine=NODE):
    (folder / elsewhere.DESCRIPTION).write_text(json.dumps(machine))


def test_a_device_that_would_be_found_out_at_the_head_is_refused():
    with pytest.raises(elsewhere.ElsewhereError, match="config key device is 'auto'"):
        elsewhere.require_device("auto")
    for device in ("cpu", "cuda"):
        elsewhere.require_device(device)


def test_the_machine_is_what_a_job_has_described_and_never_this_one(head):
    assert environment.cpu_name() not in fingerprint(elsewhere.described("cpu"))
    describe(head)
    assert elsewhere.described("cpu") == NODE
    assert elsewhere.described("cuda")["device_name"] == elsewhere.UNKNOWN
    (head / elsewhere.DESCRIPTION).write_text("{")
    with pytest.raises(ValueError, match=f"{elsewhere.DESCRIPTION} cannot be read"):
        elsewhere.described("cpu")


def test_jobs_get_no_address_of_the_head_and_are_told_the_machine_of_the_plan(head):
    describe(head)
    elsewhere.begin(elsewhere.described("cpu"), ["time_cell", "all"])
    assert ADDRESS_VARIABLE not in os.environ
    assert os.environ[elsewhere.VARIABLE] == "Big CPU (64 CPUs), torch 2.0"
    # The job that describes is held against nothing.
    elsewhere.begin(elsewhere.described("cpu"), [elsewhere.RULE])
    assert not {ADDRESS_VARIABLE, elsewhere.VARIABLE} & set(os.environ)


def test_nothing_is_measured_on_a_machine_that_no_job_has_described(head):
    with pytest.raises(elsewhere.ElsewhereError, match=r"run `snakemake --profile .* --force describe_machine` first"):
        elsewhere.begin(elsewhere.described("cpu"), ["time_cell"])
    elsewhere.begin(elsewhere.described("cpu"), [elsewhere.RULE, "all"])


@pytest.mark.parametrize(
    "change",
    [
        {"device_name": "Other CPU (64 CPUs)"},
        {"cpus_allowed": 8},
        {"cpu_quota": 2.0},
        {"packages": {"torch": "2.1"}},
        {"device": "cuda", "driver": "600.1"},
    ],
)
def test_a_job_on_another_machine_ends_before_it_measures(head, change):
    describe(head)
    elsewhere.begin(elsewhere.described("cpu"), ["time_cell"])
    elsewhere.require_same(NODE)
    with pytest.raises(elsewhere.ElsewhereError) as caught:
        elsewhere.require_same({**NODE, **change})
    for part in (fingerprint(NODE), fingerprint({**NODE, **change}), "--nodelist", "--force describe_machine"):
        assert part in str(caught.value)


def test_a_job_that_is_told_nothing_is_held_against_nothing(monkeypatch):
    monkeypatch.delenv(elsewhere.VARIABLE, raising=False)
    elsewhere.require_same(NODE)


def test_the_script_describes_the_machine_that_it_runs_on(head):
    call("describe_machine", "--device", "cpu", "--output", elsewhere.DESCRIPTION)
    assert elsewhere.described("cpu") == json.loads(json.dumps(environment.describe("cpu")))


def test_the_profile_asks_for_what_a_cluster_needs():
    profile = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text(encoding="utf-8"))
    assert (profile["executor"], profile["jobs"], profile["slurm-status-command"]) == ("slurm", 1, "squeue")
    assert {"gpu", "slurm_partition", "slurm_extra"} <= set(profile["default-resources"])
    # One machine must look alike to whoever describes it and to whoever measures: by the CPUs that they are left, too.
    assert set(profile["set-threads"].values()) == {profile["cores"]}
    measuring = {"time_cell", "measure_accuracy", "measure_peaks", "measure_decoding"}
    assert {elsewhere.RULE, *measuring} == set(profile["set-threads"])


def test_plans_for_another_machine_are_by_that_machine(tmp_path, executor):
    tree = Workflow.fresh(tmp_path / "tree")
    (tree / "profile").mkdir()
    (tree / "profile/profile.yaml").write_text(yaml.safe_dump(PROFILE))
    asked = ("--profile", "profile", *SMOKE)
    refused = tree.snakemake("-n", "--quiet", *asked, "--config", "device=auto", **executor)
    assert refused.code != 0
    assert "config key device is 'auto', but jobs run on other machines" in refused.log
    if not shutil.which("sbatch"):
        return  # nothing is submitted, but the executor looks for it
    undescribed = tree.snakemake(*asked, **executor)
    assert undescribed.code != 0
    assert "no job has described the machine that is measured" in undescribed.log
    assert not (tree / "artifacts/timings").exists()
