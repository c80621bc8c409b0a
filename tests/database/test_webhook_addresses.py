"""The table of webhook addresses: which flow has which, and that it changes with the flow or not at all."""

import pytest
from world import add_flow, at_once, chain, flow, node

import engine
from database import execute
from database.queries import credentials, webhooks, workflows
from database.queries.webhooks import WebhookTarget
from dispatch.publishing import Trigger, find_triggers
from errors import Conflict, DefinitionError, NotFound
from models import Credential, Workflow

pytestmark = pytest.mark.usefixtures("path", "way")


def hook(id_="hook", path="orders", **config):
    return node(id_, "webhook", {"path": path, **config})


def active(definition, **values):
    """A flow on record whose triggers are fired."""
    return add_flow(definition, triggers=find_triggers(engine.plan(definition)), **values)


def change(made, definition=None, **values):
    """Change the flow as the API does."""
    if definition is not None:
        values |= {"definition_json": engine.orjson.dumps(definition).decode()}
    wanted = None if definition is None else find_triggers(engine.plan(definition))
    return workflows.change(made, None, triggers=wanted, **values)


def rows(made=None):
    """Every address, or those of a flow: `METHOD path`."""
    found = execute("SELECT method || ' ' || path, workflow_id FROM webhooks ORDER BY path, method").fetchall()
    return [address for address, workflow_id in found if made is None or workflow_id == made.id]


def secret(name="key", type_="hmac", workspace="ws_1"):
    return credentials.keep(workspace, name=name, type=type_, data="encrypted")


# Triggers of a flow


def test_the_triggers_of_a_plan_are_its_enabled_ones_with_their_config():
    definition = flow(
        node("m", "manual"),
        hook("a"),
        hook("b", auth="header", credential="key"),
        hook("off") | {"disabled": True},
        node("daily", "schedule", {"cron": "0 8 * * *", "timezone": "Europe/Paris"}),
    )
    wanted = find_triggers(engine.plan(definition))
    assert [(item.node_id, item.type) for item in wanted] == [("a", "webhook"), ("b", "webhook"), ("daily", "schedule")]
    assert wanted[0].config["credential_types"] == ()
    assert wanted[1].config["credential_types"] == ("http_header", "http_bearer")
    assert wanted[2].config["timezone"] == "Europe/Paris"


# Rows and flows


def test_an_active_flow_has_a_row_for_each_method_of_its_webhooks():
    made = active(flow(hook("a", "orders/new", methods=["POST", "GET", "POST"]), hook("b", "stock")))
    assert rows() == ["GET orders/new", "POST orders/new", "POST stock"]
    found = WebhookTarget.at("orders/new", "GET")
    assert (found.node_id, found.flow.id, found.flow.version, found.flow.name) == ("a", made.id, 1, "Flow")
    assert (found.flow.workspace_id, found.flow.status, found.credential_id) == ("ws_1", "active", None)
    assert found.flow.definition_json == made.definition_json
    assert WebhookTarget.at("stock", "GET") is None and webhooks.methods_of("orders/new", ["orders", "new"]) == [
        "GET",
        "POST",
    ]


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_another_flow_has_none(status):
    made = add_flow(flow(hook()), status=status, triggers=None)
    assert rows() == []
    assert change(made, flow(hook()), status="active") and rows() == ["POST orders"]


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_a_paused_flow_keeps_its_address_and_does_not_answer_there(status):
    made = active(flow(hook(methods=["POST", "PUT"])), name="First")
    assert change(made, status=status)
    assert WebhookTarget.at("orders", "POST") is None and webhooks.methods_of("orders", ["orders"]) == []
    with pytest.raises(Conflict, match="POST orders.*'First'"):
        active(flow(hook()))
    with pytest.raises(Conflict) as refused:
        active(flow(hook()), workspace="ws_2")
    assert "First" not in refused.value.message
    assert change(made, flow(hook(methods=["POST", "PUT"])), status="active")
    assert WebhookTarget.at("orders", "POST").flow.id == made.id


def test_an_inactive_flow_with_a_new_address_frees_the_old_one():
    made = active(flow(hook(methods=["POST", "PUT"])))
    change(made, status="draft")
    assert change(made, flow(hook(path="/orders/"))) and rows(made) == ["POST orders"]
    assert change(made, flow(hook(path="parcels"))) and rows(made) == []
    assert active(flow(hook())) and rows() == ["POST orders"]


@pytest.mark.parametrize(
    "nodes",
    ["none", [7], [{"type": "webhook"}], [{"type": "webhook", "config": {"path": 7}}],
     [{"type": "webhook", "config": {"path": "orders", "methods": 7}}]],
)  # fmt: skip
def test_any_draft_without_the_address_frees_it(nodes):
    made = active(flow(hook()))
    change(made, status="draft")
    workflows.change(made, None, definition_json=engine.orjson.dumps({"nodes": nodes}).decode())
    assert rows() == []


def test_a_deleted_inactive_flow_frees_its_address():
    made = active(flow(hook()))
    change(made, status="draft")
    workflows.remove(made)
    assert rows() == [] and active(flow(hook()))


def test_a_new_definition_moves_the_flow_to_its_addresses():
    made = active(flow(hook()))
    assert change(made, flow(hook(path="parcels", methods=["PUT"])))
    assert rows() == ["PUT parcels"] and WebhookTarget.at("parcels", "PUT").flow.version == 2


def test_a_disabled_webhook_has_no_address():
    made = active(flow(hook()))
    change(made, flow(hook() | {"disabled": True}))
    assert rows() == []


def test_another_name_leaves_the_addresses_alone():
    made = active(flow(hook()))
    assert workflows.change(made, None, name="Renamed")
    assert rows() == ["POST orders"] and WebhookTarget.at("orders", "POST").flow.name == "Renamed"


def test_a_deleted_flow_frees_its_addresses():
    made = active(flow(hook()))
    workflows.remove(made)
    assert rows() == []
    active(flow(hook()))


def test_an_active_flow_without_its_triggers_is_an_error_and_not_written():
    with pytest.raises(ValueError, match="triggers"):
        add_flow(flow(hook()), triggers=None)
    assert Workflow.select().count() == 0
    made = add_flow(flow(hook()), status="draft", triggers=None)
    with pytest.raises(ValueError, match="triggers"):
        workflows.change(made, None, status="active")
    assert Workflow.find(made.id).status == "draft" and rows() == []


def test_a_call_has_the_definition_of_the_called_version():
    made = active(flow(hook()))
    found = WebhookTarget.at("orders", "POST")
    change(made, flow(hook(), "more"))
    assert (
        "more" not in found.flow.definition_json and "more" in WebhookTarget.at("orders", "POST").flow.definition_json
    )


def test_a_flow_deleted_during_a_call_is_not_found():
    made = active(flow(hook()))
    found = WebhookTarget.at("orders", "POST")
    workflows.remove(made)
    with pytest.raises(NotFound):
        assert found.flow.definition_json


# Addresses that are taken


def test_an_address_belongs_to_one_flow_and_a_change_for_a_taken_one_is_undone():
    active(flow(hook()), name="First")
    with pytest.raises(Conflict, match="POST orders.*'First'"):
        active(flow(hook(path="free"), hook("other")), name="Second")
    assert rows() == ["POST orders"] and Workflow.select().count() == 1
    second = active(flow(hook(path="free")), name="Second")
    with pytest.raises(Conflict):
        change(second, flow(hook(path="orders")), name="Changed")
    row = Workflow.find(second.id)
    assert (row.name, row.version, rows(second)) == ("Second", 1, ["POST free"])


def test_another_method_of_the_same_path_is_another_address():
    active(flow(hook()))
    active(flow(hook(methods=["GET"])))
    assert rows() == ["GET orders", "POST orders"]


def test_the_name_of_a_flow_in_another_workspace_is_not_revealed():
    active(flow(hook()), name="Secret plans")
    with pytest.raises(Conflict) as refused:
        active(flow(hook()), workspace="ws_2")
    assert "POST orders" in refused.value.message and "Secret plans" not in refused.value.message


def test_two_nodes_of_a_flow_cannot_have_the_same_address():
    with pytest.raises(DefinitionError) as refused:
        active(flow(hook("a", methods=["POST", "PUT"]), hook("b", methods=["GET", "PUT"])))
    (issue,) = refused.value.details
    assert issue.node_id == "b" and "'a'" in issue.message and "PUT orders" in issue.message
    assert rows() == []


def test_one_of_two_concurrent_flows_gets_an_address():
    def want(number):
        try:
            return active(flow(hook())).id
        except Conflict:
            return None

    won = [id_ for id_ in at_once(8, want) if id_ is not None]
    assert len(won) == 1 and WebhookTarget.at("orders", "POST").flow.id == won[0]
    assert Workflow.select().count() == 1


# Credentials


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_webhook_names_its_credential_by_name_or_id(by):
    key = secret()
    active(flow(hook(auth="hmac", credential=getattr(key, by))))
    found = WebhookTarget.at("orders", "POST")
    assert (found.credential_id, found.secret_type, found.secret) == (key.id, "hmac", "encrypted")
    assert found.secret_stamp == key.updated_at


@pytest.mark.parametrize(
    ("auth", "name", "complaint"),
    [
        ("hmac", "nothing", "there is no credential 'nothing'"),
        ("basic", "key", "'key' is of type hmac; auth takes http_basic"),
        ("header", "key", "auth takes http_header or http_bearer"),
        ("hmac", "foreign", "there is no credential 'foreign'"),
    ],
)
def test_an_unusable_credential_is_refused_and_named(auth, name, complaint):
    secret()
    secret("foreign", workspace="ws_2")
    with pytest.raises(DefinitionError) as refused:
        active(flow(hook(auth=auth, credential=name)))
    (issue,) = refused.value.details
    assert issue.node_id == "hook" and issue.path.endswith("config.credential") and complaint in issue.message
    assert rows() == []


def test_a_credential_in_another_workspace_is_not_used_by_its_id():
    foreign = secret(workspace="ws_2")
    with pytest.raises(DefinitionError):
        active(flow(hook(auth="hmac", credential=foreign.id)))


def test_a_credential_in_use_is_neither_deleted_nor_renamed():
    key = secret()
    made = active(flow(hook(auth="hmac", credential="key")), name="Orders")
    with pytest.raises(Conflict, match="'Orders'"):
        credentials.remove(key)
    with pytest.raises(Conflict, match="'Orders'"):
        credentials.change(key, name="other")
    credentials.change(key, name="key", data="new")
    assert WebhookTarget.at("orders", "POST").secret == "new"
    change(made, status="draft")
    credentials.change(key, name="other")
    credentials.remove(key)
    assert Credential.select().count() == 0


def test_a_changed_credential_has_a_later_stamp_each_time():
    key = secret()
    stamps = [key.updated_at]
    for number in range(5):
        credentials.change(key, data=str(number))
        stamps.append(key.updated_at)
    assert stamps == sorted(set(stamps))


def test_names_of_credentials_are_their_workspaces_own():
    secret()
    secret(workspace="ws_2")
    with pytest.raises(Conflict, match="'key'"):
        secret()
    other = secret("other")
    with pytest.raises(Conflict, match="'key'"):
        credentials.change(other, name="key")
    assert sorted(row.name for row in credentials.of("ws_1")) == ["key", "other"]


@pytest.mark.sqlite_only("it reads the plan of SQLite")
def test_the_lookup_of_an_address_uses_indexes_and_reads_no_definition():
    from database.queries.webhooks import AT

    plan = [row[3] for row in execute(f"EXPLAIN QUERY PLAN {AT}", ("orders", "POST")).fetchall()]
    assert len(plan) == 3 and all(step.startswith("SEARCH") for step in plan), plan
    assert "definition" not in AT


def test_triggers_of_an_unknown_kind_are_passed_over():
    made = add_flow(chain("a"), triggers=[Trigger("a", "rss_trigger", {})])
    assert made.status == "active" and rows() == []
