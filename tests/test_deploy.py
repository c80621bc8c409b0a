"""The examples in deploy/: they pass on every setting, have limits, and are valid for their programs."""

import re
import shutil
import subprocess

import pytest
import yaml
from world import ROOT

import config

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICE = COMPOSE["services"]["headrace"]
UNIT = (ROOT / "deploy" / "headrace.service").read_text()
# Fixed by the image.
OF_THE_IMAGE = {"HOST", "PORT", "HEADRACE_DATA_DIR", "HEADRACE_FILES_DIR", "DATABASE_URL", "HEADRACE_WEB_DIR"}
# For several machines: compose.scale.yaml.
OF_SEVERAL_MACHINES = {"HEADRACE_ROLE", "CELERY_BROKER_URL"}


def test_compose_passes_on_every_setting_and_nothing_else():
    settings = {row.env for row in config.table()}
    assert set(SERVICE["environment"]) == settings - OF_THE_IMAGE - OF_SEVERAL_MACHINES


def test_compose_passes_on_a_setting_under_its_own_name():
    for name, value in SERVICE["environment"].items():
        assert value is None or value.startswith(f"${{{name}:-"), name


def test_a_start_by_compose_has_links_that_a_browser_can_open():
    published = re.fullmatch(r"127\.0\.0\.1:(\$\{PORT:-8000\}):8000", SERVICE["ports"][0])
    assert SERVICE["environment"]["HEADRACE_PUBLIC_URL"] == f"${{HEADRACE_PUBLIC_URL:-http://localhost:{published[1]}}}"


def test_the_container_has_limits():
    for name in ("mem_limit", "pids_limit", "cpus", "ulimits", "logging"):
        assert SERVICE[name], name
    assert SERVICE["read_only"] and SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["volumes"] == ["data:/data"] and "data" in COMPOSE["volumes"]


def test_the_unit_has_limits():
    rows = dict(line.split("=", 1) for line in UNIT.splitlines() if re.match(r"[A-Z]\w+=", line))
    for name in ("MemoryHigh", "MemoryMax", "TasksMax", "CPUWeight", "IOWeight", "LimitNOFILE", "LimitCORE"):
        assert rows[name], name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path):
    # The paths of an installation do not exist here.
    python = shutil.which("python3")
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={python}", UNIT, flags=re.M).replace("/opt/headrace", str(ROOT))
    unit = tmp_path / "headrace.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60
    )
    mine = [line for line in done.stderr.splitlines() if "headrace" in line]
    assert mine == [] and done.returncode == 0, done.stderr


def test_the_stop_timeout_is_longer_than_the_servers():
    needed = config.Config().grace + 5
    assert int(SERVICE["stop_grace_period"].removesuffix("s")) > needed
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.M)[1]) > needed
