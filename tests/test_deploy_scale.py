"""The examples in deploy/ for several machines: settings, commands and references exist, and images are pinned."""

import re
import shutil
import subprocess

import pytest
import yaml
from each import for_each
from world import ROOT

import cli
import config
from constants import VERSION
from database import fetch_value, write
from database.queries import runs
from models import Run, Workflow

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.scale.yaml").read_text(encoding="utf-8"))
OURS = ("web", "worker")  # services of Headrace itself
UNIT = (DEPLOY / "headrace-worker@.service").read_text(encoding="utf-8")
FILES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
OBJECTS = [one for file in FILES for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
SETTINGS = {row.env for row in config.table()}
PINNED = re.compile(r"[\w./-]+:\d+\.\d+(\.\d+)?")
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)")


def objects(kind):
    """Return the objects of this kind by name."""
    return {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == kind}


def check_command(command):
    """Check a command line: the program is ours, and the command has these options."""
    program, script, *rest = command
    assert (program.rpartition("/")[2], script) == ("python", "workflow_server.py")
    if rest:
        name, *arguments = rest
        cli.main.load()
        cli.main.commands[name].make_context(name, arguments)


def grace():
    return config.Config().grace


# Compose


@for_each("name", OURS)
def test_a_service_has_only_settings_that_exist(name):
    assert set(COMPOSE["services"][name]["environment"]) <= SETTINGS


@for_each("name", OURS)
def test_a_service_has_the_settings_that_several_processes_need(name):
    needed = {"DATABASE_URL", "CELERY_BROKER_URL", "HEADRACE_SECRET_KEY", "HEADRACE_PUBLIC_URL"}
    assert needed <= set(COMPOSE["services"][name]["environment"])


@for_each("name", OURS)
def test_a_service_has_limits_and_no_rights(name):
    service = COMPOSE["services"][name]
    for key in ("mem_limit", "pids_limit", "ulimits", "logging"):
        assert service[key], key
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert int(service["stop_grace_period"].removesuffix("s")) > grace() + 5


def test_every_variable_of_the_compose_file_is_a_setting_or_its_own():
    text = (DEPLOY / "compose.scale.yaml").read_text(encoding="utf-8")
    assert set(VARIABLE.findall(text)) <= SETTINGS | {"POSTGRES_PASSWORD", "HEADRACE_EXTRAS"}


def test_images_of_others_are_pinned():
    images = {name: service["image"] for name, service in COMPOSE["services"].items() if name not in OURS}
    assert len(images) == 3 and not [image for image in images.values() if not PINNED.fullmatch(image)]


def test_the_database_and_the_broker_are_not_published():
    published = {name for name, service in COMPOSE["services"].items() if "ports" in service}
    assert published == {"nginx"}
    assert all(port.startswith("127.0.0.1:") for name in published for port in COMPOSE["services"][name]["ports"])


def test_the_extra_of_the_broker_is_built_in():
    extras = COMPOSE["services"]["worker"]["build"]["args"]["EXTRAS"].split()[0]
    assert (ROOT / "packs" / extras / "requirements.txt").is_file()


def test_the_worker_of_compose_is_started_by_a_command_that_exists():
    check_command(COMPOSE["services"]["worker"]["command"])


@pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx")
def test_nginx_accepts_its_configuration(tmp_path):
    text = COMPOSE["configs"]["nginx"]["content"].replace("$$", "$").replace("server web:8000", "server 127.0.0.1:8000")
    file = tmp_path / "nginx.conf"
    text = text.replace("listen 80;", "listen 127.0.0.1:18080;")
    file.write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{text}\n}}\n")
    done = subprocess.run(
        ["nginx", "-t", "-p", str(tmp_path), "-c", str(file)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


# systemd


def test_the_unit_starts_a_worker_with_a_command_that_exists():
    check_command(re.search(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)[1].split())


def test_the_unit_has_limits_and_time_to_stop():
    rows = dict(line.split("=", 1) for line in UNIT.splitlines() if re.match(r"[A-Z]\w+=", line))
    for name in ("MemoryHigh", "MemoryMax", "TasksMax", "CPUWeight", "IOWeight", "LimitNOFILE", "LimitCORE"):
        assert rows[name], name
    assert int(rows["TimeoutStopSec"]) > grace() + 5
    assert {name for name in re.findall(r"(HEADRACE_\w+)=", UNIT)} <= SETTINGS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path):
    # The paths of an installation do not exist here.
    python = shutil.which("python3")
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={python}", UNIT, flags=re.M).replace("/opt/headrace", str(ROOT))
    unit = tmp_path / "headrace-worker@.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60
    )
    mine = [line for line in done.stderr.splitlines() if "headrace" in line]
    assert mine == [] and done.returncode == 0, done.stderr


# Kubernetes

PODS = {
    f"{one['kind']} {one['metadata']['name']}": one["spec"]["template"]
    for one in OBJECTS
    if one["kind"] in ("Deployment", "Job")
}


def test_every_object_has_a_kind_and_a_name():
    for one in OBJECTS:
        assert one["apiVersion"] and one["kind"]
        assert one["kind"] == "Kustomization" or re.fullmatch(r"[a-z0-9-]+", one["metadata"]["name"])


def test_the_kustomization_lists_every_file():
    (found,) = [one for one in OBJECTS if one["kind"] == "Kustomization"]
    assert {*found["resources"], "kustomization.yaml"} == {file.name for file in FILES}
    assert found["images"] == [{"name": "registry.example.com/headrace", "newTag": VERSION}]


def test_the_settings_exist_and_those_that_several_processes_need_are_there():
    plain, secret = objects("ConfigMap")["headrace"]["data"], objects("Secret")["headrace"]["stringData"]
    assert {*plain, *secret} <= SETTINGS
    assert {"DATABASE_URL", "CELERY_BROKER_URL", "HEADRACE_SECRET_KEY", "HEADRACE_PUBLIC_URL"} <= {*plain, *secret}
    kinds = {row.env for row in config.table() if row.kind.secret}
    assert not kinds & set(plain), "a secret belongs into the Secret"
    assert config.Config.from_env({**plain, **secret}).public_url


@for_each("pod", sorted(PODS))
def test_a_pod_runs_a_command_that_exists_with_the_settings(pod):
    (container,) = PODS[pod]["spec"]["containers"]
    check_command(container["command"])
    assert container["image"] == f"registry.example.com/headrace:{VERSION}"
    named = [reference["name"] for source in container["envFrom"] for reference in source.values()]
    assert named == ["headrace", "headrace"] and {env["name"] for env in container.get("env", ())} <= SETTINGS
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in PODS[pod]["spec"]["volumes"]
    }


@for_each("pod", sorted(PODS))
def test_a_pod_has_limits_and_no_rights(pod):
    spec = PODS[pod]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]


@for_each("name", ["headrace-web", "headrace-worker"])
def test_a_deployment_selects_its_pods_and_lets_them_stop(name):
    spec = objects("Deployment")[name]["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    given = int(objects("ConfigMap")["headrace"]["data"]["HEADRACE_GRACE"])
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > given + 10


def test_the_service_and_the_budget_select_the_web_pods():
    labels = objects("Deployment")["headrace-web"]["spec"]["selector"]["matchLabels"]
    assert objects("Service")["headrace"]["spec"]["selector"] == labels
    assert objects("PodDisruptionBudget")["headrace-web"]["spec"]["selector"]["matchLabels"] == labels


def test_probes_ask_addresses_that_answer(client):
    (container,) = PODS["Deployment headrace-web"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["http"] == int(objects("ConfigMap")["headrace"]["data"]["PORT"])
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[kind]["httpGet"]
        assert asked["port"] == "http" and client.get(asked["path"]).status_code == 200


def test_the_number_of_workers_follows_the_runs_in_the_database(server, make_flow):
    scaled = objects("ScaledObject")["headrace-worker"]["spec"]
    assert scaled["scaleTargetRef"]["name"] in objects("Deployment")
    (trigger,) = scaled["triggers"]
    assert trigger["authenticationRef"]["name"] in objects("TriggerAuthentication")
    server.dispatcher.is_paused = True
    flow = Workflow.find(make_flow({"nodes": [{"id": "a", "type": "noop"}]})["id"])
    with write():
        for status, values in (
            ("pending", {}), ("running", {}), ("pending", {"waiting": "a time"}), ("running", {"recorded": True}),
        ):  # fmt: skip
            Run.create(**runs.accept(flow, status=status, triggered_by="manual", **values).__data__)
    assert fetch_value(trigger["metadata"]["query"]) == 2
    worker = PODS["Deployment headrace-worker"]["spec"]["containers"][0]["command"]
    assert trigger["metadata"]["targetQueryValue"] == worker[worker.index("--concurrency") + 1]
