import pytest
from marshmallow import ValidationError

from definition.triggers import find_triggers
from engine import plan
from nodes import REGISTRY


def load(type_, **config):
    return REGISTRY[type_].Config().load(config)


def refused(type_, **config):
    with pytest.raises(ValidationError) as caught:
        load(type_, **config)
    return caught.value.messages


@pytest.mark.parametrize(("type_", "config"), [("manual", {}), ("webhook", {"path": "a"}), ("schedule", {"every": 60})])
def test_a_trigger_outputs_its_input(run, type_, config):
    assert run(type_, config, {"a": 1}) == {"a": 1}


def test_a_webhook_responds_immediately_by_default():
    assert load("webhook", path="a") == {
        "path": "a", "methods": ["POST"], "auth": "none", "respond": "immediately", "allow_credentials": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "path"), [("/orders/new/", "orders/new"), (" a ", "a"), ("a.b/~c_d-e", "a.b/~c_d-e")]
)
def test_the_path_of_a_webhook_has_no_slashes_around_it(given, path):
    assert load("webhook", path=given)["path"] == path


@pytest.mark.parametrize("path", ["", "/", "a//b", "a b", "a/../b", ".", "a?b", "ä", "a\nb", "a%2fb", "x" * 201])
def test_a_webhook_refuses_an_invalid_path(path):
    assert "path" in refused("webhook", path=path)


def test_a_webhook_refuses_unknown_methods():
    assert "methods" in refused("webhook", path="a", methods=["TRACE"])
    assert "methods" in refused("webhook", path="a", methods=[])


@pytest.mark.parametrize("auth", ["basic", "header", "hmac"])
def test_authentication_of_a_webhook_requires_a_credential(auth):
    assert "credential" in refused("webhook", path="a", auth=auth)
    assert load("webhook", path="a", auth=auth, credential="key")["credential"] == "key"


@pytest.mark.parametrize(
    "cron", ["* * * * *", "30 8 * * MON-FRI", "0 0 29 2 *", "0 9 * * 0,7", "*/5 0 1 JAN *", "0 0 L * *"]
)
def test_a_schedule_accepts_a_cron_expression(cron):
    assert load("schedule", cron=cron) == {"cron": cron, "catch_up": "last"}


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "* * * * * *", "60 * * * *", "x * * * *", "0 0 30 2 *", "@daily", "*/0 * * * *"]
)
def test_a_schedule_refuses_an_invalid_cron_expression(cron):
    assert "cron" in refused("schedule", cron=cron)


def test_a_schedule_requires_either_cron_or_an_interval():
    assert "cron" in refused("schedule")
    assert "cron" in refused("schedule", cron="* * * * *", every=60)


@pytest.mark.parametrize("every", [0, 0.5, -1, "often", True, float("inf"), float("nan")])
def test_a_schedule_runs_at_most_once_a_second(every):
    assert "every" in refused("schedule", every=every)


@pytest.mark.parametrize("zone", ["", "Nowhere/City", "../etc/passwd", "America", "/etc/localtime", "x\0y"])
def test_a_schedule_refuses_an_invalid_time_zone(zone):
    assert "timezone" in refused("schedule", every=60, timezone=zone)


def test_a_schedule_accepts_a_time_zone():
    assert load("schedule", every=60, timezone="Europe/Paris")["timezone"] == "Europe/Paris"


def test_schedules_of_a_flow_are_the_enabled_ones_in_their_own_or_the_flows_time_zone():
    nodes = [
        {"id": "own", "type": "schedule", "config": {"cron": "0 8 * * *", "timezone": "Asia/Tokyo"}},
        {"id": "flows", "type": "schedule", "config": {"every": 60, "catch_up": "none"}},
        {"id": "off", "type": "schedule", "config": {"every": 60}, "disabled": True},
        {"id": "start", "type": "manual"},
    ]
    made = plan({"nodes": nodes, "edges": [], "settings": {"timezone": "Europe/Paris"}})
    assert find_triggers(made) == [
        ("own", "schedule", {"cron": "0 8 * * *", "timezone": "Asia/Tokyo", "catch_up": "last"}),
        ("flows", "schedule", {"every": 60, "timezone": "Europe/Paris", "catch_up": "none"}),
    ]
