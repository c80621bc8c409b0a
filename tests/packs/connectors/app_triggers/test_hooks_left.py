"""Webhooks that a service may still have are never forgotten, unless a person says that they are gone."""

import pytest
from test_registered_hooks import ACCOUNTS, SETTINGS, URL, due, keeper, logged, register, service

from database import execute, write
from database.base import now_ms
from models import AuditEntry, RegisteredHook
from packs.connectors.app_triggers import hook_queries
from packs.connectors.app_triggers.registration import MANY, SELDOM_MS

pytestmark = pytest.mark.usefixtures("shared_server")
__all__ = ["keeper", "register", "service"]


def deactivate(owner, flow):
    assert owner.put(f"/api/workflows/{flow['id']}", {"status": "draft"}).status_code == 200


def failing(owner):
    """Return the webhooks that the API shows as failing."""
    return owner.get("/api/registered-webhooks").json["items"]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("status", [401, 404, 410, 503])
def test_a_webhook_that_cannot_be_seen_is_not_taken_for_removed(owner, service, keeper, register, name, status):
    flow = register(name)
    keeper.tick()
    added = service.urls
    service.fails = status
    deactivate(owner, flow)
    keeper.tick()
    row = RegisteredHook.get()
    assert row.state == "removing" and str(status) in row.last_error and service.urls == added
    service.fails = None
    due()
    keeper.tick()
    assert service.urls == [] and RegisteredHook.select().count() == 0


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("answer", [{"status": "ok"}, "no", None])
def test_an_answer_that_is_no_list_does_not_say_that_there_is_none(owner, service, keeper, register, name, answer):
    flow = register(name)
    keeper.tick()
    service.says = answer
    deactivate(owner, flow)
    keeper.tick()
    assert service.urls and "something else than its webhooks" in RegisteredHook.get().last_error


@pytest.mark.parametrize("name", ["github", "shopify", "calendly"])
def test_a_webhook_on_a_later_page_is_found(owner, service, keeper, register, name):
    flow = register(name)
    keeper.tick()
    service.page_size = 1
    for number in range(3):
        more = {"url": f"https://{number}.example", "at": "repos/octocat/Hello-World", "topic": "t"}
        service.hooks = {str(900 + number): more, **service.hooks}
    deactivate(owner, flow)
    keeper.tick()
    assert service.urls == [f"https://{number}.example" for number in range(3)]
    assert RegisteredHook.select().count() == 0


def test_a_page_of_another_site_is_not_asked_for(owner, service, keeper, register):
    flow = register("calendly")
    keeper.tick()
    service.page_size, service.next_origin = 1, "https://elsewhere.example"
    service.hooks = {"other": {"url": "https://other.example"}, **service.hooks}
    deactivate(owner, flow)
    keeper.tick()
    assert "leads elsewhere" in RegisteredHook.get().last_error


def test_a_failed_removal_is_kept_and_tried_once_a_day(owner, service, keeper, register):
    flow = register("github")
    keeper.tick()
    service.fails = 500
    assert owner.delete(f"/api/workflows/{flow['id']}").status_code == 204
    keeper.tick()
    with write():
        RegisteredHook.update(next_at=0, attempts=MANY - 1).execute()
    keeper.tick()
    row = RegisteredHook.get()
    assert row.attempts == MANY and abs(row.next_at - now_ms() - SELDOM_MS) < 60_000
    assert len(logged("could not be removed")) == 2
    service.fails = None
    due()
    keeper.tick()
    assert service.urls == [] and RegisteredHook.select().count() == 0


def test_a_webhook_that_was_replaced_in_vain_is_removed(owner, service, keeper, register):
    flow = register("github", events=["push"])
    keeper.tick()
    definition = owner.get(f"/api/workflows/{flow['id']}").json["definition_json"].replace('"push"', '"issues"')
    assert owner.put(f"/api/workflows/{flow['id']}", {"definition_json": definition}).status_code == 200
    removing = RegisteredHook.get(RegisteredHook.state == "removing")
    keeper.work(hook_queries._claim(removing.id, now_ms()))
    (row,) = RegisteredHook.select()
    assert (row.state, row.url) == ("adding", URL) and service.urls == [URL]
    deactivate(owner, flow)
    keeper.tick()
    assert service.urls == [] and RegisteredHook.select().count() == 0


def test_a_webhook_of_another_account_that_is_removed_by_its_address_is_added_again(owner, service, keeper, register):
    flow = register("github")
    keeper.tick()
    body = {"name": "other", "type": "http_bearer", "data": ACCOUNTS["http_bearer"], "hosts": ["127.0.0.1"]}
    owner.post("/api/credentials", body)
    definition = owner.get(f"/api/workflows/{flow['id']}").json["definition_json"]
    changed = definition.replace('"account":"account"', '"account":"other"')
    assert owner.put(f"/api/workflows/{flow['id']}", {"definition_json": changed}).status_code == 200
    for row in sorted(RegisteredHook.select(), key=lambda row: row.state):  # adding before removing
        keeper.work(hook_queries._claim(row.id, now_ms()))
    assert service.urls == []
    keeper.tick()
    assert service.urls == [URL] and [row.state for row in RegisteredHook.select()] == ["added"]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_webhook_that_a_restored_server_does_not_know_goes_with_a_flow_at_its_address(
    owner, service, keeper, register, name
):
    """Its row was written after the backup. docs/app-triggers.md tells people to remove it so."""
    flow = register(name)
    keeper.tick()
    with write():
        execute("DELETE FROM registered_hooks")
    assert owner.delete(f"/api/workflows/{flow['id']}").status_code == 204
    keeper.tick()
    assert service.urls
    flow = register(name)
    keeper.tick()
    deactivate(owner, flow)
    keeper.tick()
    assert service.urls == [] and RegisteredHook.select().count() == 0


# What people do


def test_a_failure_is_shown_with_what_to_do(owner, service, keeper, register):
    flow = register("github")
    service.fails = 403
    keeper.tick()
    (shown,) = failing(owner)
    assert (shown["service"], shown["state"], shown["workflow_name"]) == ("GitHub", "adding", "github")
    assert shown["address"] == URL and shown["place"]["repository"] == "octocat/Hello-World"
    assert "403" in shown["error"] and shown["attempts"] == 1 and "Settings, Webhooks" in shown["by_hand"]
    assert owner.delete(f"/api/registered-webhooks/{shown['id']}").status_code == 409
    service.fails = None
    due()
    keeper.tick()
    assert failing(owner) == []
    service.fails = 404
    owner.delete(f"/api/workflows/{flow['id']}")
    keeper.tick()
    (shown,) = failing(owner)
    assert shown["state"] == "removing" and shown["workflow_name"] is None and "was deleted there" in shown["error"]


def test_a_person_confirms_that_a_webhook_is_gone(owner, other, service, keeper, register):
    flow = register("github")
    keeper.tick()
    service.fails = 404
    deactivate(owner, flow)
    keeper.tick()
    (shown,) = failing(owner)
    assert other.delete(f"/api/registered-webhooks/{shown['id']}").status_code == 404
    assert owner.delete(f"/api/registered-webhooks/{shown['id']}").status_code == 204
    assert RegisteredHook.select().count() == 0 and failing(owner) == []
    entry = AuditEntry.select().order_by(AuditEntry.id.desc()).get()
    assert (entry.action, entry.target_name) == ("webhook.forgotten", URL)
    assert owner.delete(f"/api/registered-webhooks/{shown['id']}").status_code == 404


def test_the_account_of_a_webhook_that_is_still_to_be_removed_stays(owner, service, keeper, register):
    flow = register("github")
    keeper.tick()
    service.fails = 503
    owner.delete(f"/api/workflows/{flow['id']}")
    keeper.tick()
    (row,) = owner.get("/api/credentials").json["items"]
    answer = owner.delete(f"/api/credentials/{row['id']}")
    assert answer.status_code == 409 and URL in answer.json["error"]
    service.fails = None
    due()
    keeper.tick()
    assert service.urls == [] and owner.delete(f"/api/credentials/{row['id']}").status_code == 204


def test_new_values_of_the_account_are_tried_at_once(owner, service, keeper, register):
    flow = register("github")
    keeper.tick()
    service.fails = 401
    deactivate(owner, flow)
    keeper.tick()
    service.fails = None
    keeper.tick()
    assert service.urls == [URL]
    (row,) = owner.get("/api/credentials").json["items"]
    body = {"data": {"token": "sk_new"}, "hosts": ["127.0.0.1"]}
    assert owner.put(f"/api/credentials/{row['id']}", body).status_code == 200
    keeper.tick()
    assert service.urls == [] and service.headers[-1]["Authorization"] == "Bearer sk_new"


def test_an_address_that_the_service_was_never_told_is_not_kept(owner, service, keeper, register):
    deactivate(owner, register("github", path="apps/other"))
    keeper.tick()
    assert service.asked == [] and RegisteredHook.select().count() == 0
