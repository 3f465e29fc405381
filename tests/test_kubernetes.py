"""Manifests for Kubernetes: held against the schemas of its API, offline; no cluster has run them."""

import copy
import shlex

import kubernetes_validate
import pytest
import yaml
from processes import script as call

from speedgrid import ROOT
from speedgrid.cluster import kubernetes
from speedgrid.cluster.machines import Machine, MachinesError

# The oldest and the newest of the API that the package has.
VERSIONS = tuple(kubernetes_validate.utils.all_versions()[one] for one in (0, -1))
LEAST = {"image": "registry.example:5000/speedgrid@sha256:abc", "volume": "results"}
MOST = {
    **LEAST,
    "gpus": 2,
    "gpu_product": "NVIDIA-H100-80GB-HBM3",
    "node": "node-1",
    "cpus": 16,
    "memory_mb": 64000,
    "minutes": 240,
    "namespace": "vision",
    "configfiles": ["config/quick.yaml"],
    "snakemake": ["--config", "report={language: ru}"],
}


def manifests(tmp_path, name="h100", **machine):
    """Return the documents that are written for a machine."""
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config/quick.yaml").write_text("timing:\n  rounds: 1  # ein Überblick\n")
    path = kubernetes.write(name, Machine(**machine), tmp_path)
    return list(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("machine", [LEAST, MOST, {**MOST, "exclusive": False}], ids=["least", "most", "shared"])
def test_manifests_are_what_the_api_takes(tmp_path, version, machine):
    documents = manifests(tmp_path, **machine)
    assert documents
    for one in documents:
        kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize(
    ("change", "value"), [("backoffLimit", "three"), ("activeDeadlineSeconds", "4h"), ("templates", {})]
)
def test_the_check_sees_what_the_api_would_refuse(tmp_path, change, value):
    wrong = copy.deepcopy(manifests(tmp_path, **MOST)[-1])
    wrong["spec"][change] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_gpus_are_limits_and_their_model_selects_the_node(tmp_path):
    config, job = manifests(tmp_path, **MOST)
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["resources"] == {"limits": {"nvidia.com/gpu": "2", "cpu": "16", "memory": "64000M"}}
    assert pod["nodeSelector"] == {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "kubernetes.io/hostname": "node-1",
    }
    assert job["spec"]["activeDeadlineSeconds"] == 240 * 60
    assert {one["metadata"]["namespace"] for one in (config, job)} == {"vision"}
    assert pod["affinity"]["podAntiAffinity"]


def test_what_is_not_asked_for_is_not_there(tmp_path):
    (job,) = manifests(tmp_path, **LEAST, exclusive=False)
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {"limits": {}}
    assert not {"nodeSelector", "tolerations", "affinity"} & set(pod)
    assert "activeDeadlineSeconds" not in job["spec"]


def test_results_are_the_machines_own_on_the_volume_where_the_image_writes_them(tmp_path):
    paths = {}
    for name in ("one", "two"):
        pod = manifests(tmp_path, name=name, **LEAST)[-1]["spec"]["template"]["spec"]
        mounts = pod["containers"][0]["volumeMounts"]
        assert {one["mountPath"] for one in mounts} >= {"/speedgrid/artifacts", "/speedgrid/report"}
        assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "results"}
        paths[name] = {one["subPath"] for one in mounts}
    assert not paths["one"] & paths["two"]
    # Where the image has the workflow.
    text = (ROOT / "envs/Containerfile").read_text(encoding="utf-8")
    assert f"WORKDIR {kubernetes.ROOT}" in text
    # Who it runs as there may write to the volume.
    assert f"--uid {pod['securityContext']['fsGroup']} " in text


def test_configurations_travel_with_the_job(tmp_path):
    config, job = manifests(tmp_path, **MOST)
    assert yaml.safe_load(config["data"]["0.yaml"]) == {"timing": {"rounds": 1}}
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][:2] == ["bash", "-c"]
    lines = container["command"][2].splitlines()
    ran = next(shlex.split(line) for line in lines if line.startswith("snakemake "))
    assert ran[1:] == [
        *("--config", "report={language: ru}", "--resources", "gpu=2", "--configfile", "/etc/speedgrid/0.yaml")
    ]
    mount = next(one for one in container["volumeMounts"] if one["mountPath"] == "/etc/speedgrid")
    volume = next(one for one in job["spec"]["template"]["spec"]["volumes"] if one["name"] == mount["name"])
    assert volume["configMap"]["name"] == config["metadata"]["name"]


@pytest.mark.parametrize(("name", "object_"), [("H100_a", "speedgrid-h100-a"), ("x-", "speedgrid-x")])
def test_names_become_those_that_kubernetes_takes(name, object_):
    assert kubernetes.object_name(name) == object_


@pytest.mark.parametrize(
    ("machines", "words"),
    [
        ({"a": {"volume": "v"}}, "machine a has no image, which Kubernetes needs"),
        ({"a": {"image": "i"}}, "machine a has no volume"),
        ({"a_b": LEAST, "a-b": LEAST}, "has the name speedgrid-a-b in Kubernetes, as another has"),
    ],
)
def test_what_is_lacking_is_one_sentence(machines, words):
    with pytest.raises(MachinesError) as caught:
        kubernetes.require({name: Machine(**one) for name, one in machines.items()}, "m.yaml")
    assert words in str(caught.value)


def test_a_configuration_that_is_gone_is_one_sentence(tmp_path):
    with pytest.raises(MachinesError, match=r"configfiles has none\.yaml, which is not there"):
        manifests(tmp_path, **LEAST, configfiles=["none.yaml"])
    (tmp_path / "latin.yaml").write_bytes(b"a: \xfc")
    with pytest.raises(MachinesError, match="is not UTF-8"):
        manifests(tmp_path, **LEAST, configfiles=["latin.yaml"])


def test_the_command_names_what_is_lacking_and_writes_nothing(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text("machines: {a: {partition: gpu}}")
    assert "has no image" in call("submit", path, "--scheduler", "kubernetes", code=1).stderr
