"""The official templates: every file is well formed and plans, and the engine executes it as its description says, with
different inputs. `test_template_trials.py` runs each in a server, with the trial of its file.
"""

import copy
import json
import re

import pytest
from each import for_each

import engine
import nodes
from api import catalogue
from net.egress import HttpClient, Rule
from nodes.base import Services
from nodes.data.python_sandbox import Sandbox
from registry import registry

# Those of packs are tested with their packs.
TEMPLATES = [each for each in catalogue.read_templates() if (catalogue.FOLDER / f"{each['id']}.json").exists()]
IDS = [template["id"] for template in TEMPLATES]
CLOSED_PORT = "http://127.0.0.1:1"


class DictStore(dict):
    """The workspace's store over a dict, without expiry."""

    def set(self, key, value, ttl=None):
        self[key] = value

    def delete(self, key):
        return self.pop(key, self) is not self

    def increment(self, key, by=1, ttl=None):
        self[key] = self.get(key, 0.0) + by
        return self[key]

    def list(self, prefix="", limit=100):
        found = sorted(key for key in self if key.startswith(prefix))
        return [{"key": key, "value": self[key]} for key in found[:limit]]


@pytest.fixture(scope="module")
def services():
    sandbox, client = Sandbox(max_processes=1), HttpClient(Rule(["127.0.0.1"]))
    yield Services(lambda: client, lambda: sandbox, Rule(["127.0.0.1"]))
    client.close()
    sandbox.close()


@pytest.fixture
def run(services):
    """`run(id, input)` runs a template from its trigger; `variables` replace some of its vars.

    `run.store` lasts for the test, `run.log` has the (level, message) pairs of the latest run.
    """

    def execute(id_, input=..., **variables):
        template = copy.deepcopy(catalogue.find_template(id_))
        settings = template["definition"]["settings"]
        settings["vars"] = settings.get("vars", {}) | variables
        plan = engine.plan(template["definition"])
        trigger = next(node.id for node in plan.nodes if node.node.trigger)
        execute.log = []
        job = engine.Job(
            run_id=f"run_{id_}",
            input=template["sample_input"] if input is ... else input,
            trigger_node=trigger,
            store=execute.store,
            services=services,
            sleep=lambda seconds: None,
            log=lambda node_id, level, message, data: execute.log.append((level, message)),
        )
        return engine.run(plan, job)

    execute.store, execute.log = DictStore(), []
    return execute


def posted(id_, **changes):
    """Return the webhook's sample input with these fields of its body changed."""
    sample = catalogue.find_template(id_)["sample_input"]
    return {**sample, "body": {**sample["body"], **changes}}


def asked(id_, **query):
    return {**catalogue.find_template(id_)["sample_input"], "query": query}


# The files

TEXTS, LISTS = {"id", "name", "description", "category"}, {"tags", "needs"}
OPTIONAL = {"needs", "expected_output", "trial"}


def is_text(value):
    return isinstance(value, str) and bool(value.strip())


@for_each("path", sorted(catalogue.FOLDER.glob("*.json")))
def test_a_file_is_named_by_its_id_and_has_the_fields_of_a_template(path):
    template = json.loads(path.read_text(encoding="utf-8"))
    assert template.keys() - OPTIONAL == {*TEXTS, "tags", "credentials", "sample_input", "definition"}
    assert template["id"] == path.stem and all(is_text(template[name]) for name in TEXTS)
    for name in LISTS & template.keys():
        assert all(map(is_text, template[name])) and len(set(template[name])) == len(template[name])
    for item in template["credentials"]:
        assert item.keys() == {"name", "type", "for"} and all(map(is_text, item.values()))
    assert isinstance(template["definition"], dict) and isinstance(template.get("trial", {}), dict)


@pytest.mark.skipif(bool(registry.off), reason="some templates need packs that are off")
def test_there_are_at_least_thirty_templates():
    assert len(TEMPLATES) >= 30
    assert len({template["id"] for template in TEMPLATES}) == len(TEMPLATES)
    assert len({template["name"] for template in TEMPLATES}) == len(TEMPLATES)


@for_each("id_", IDS)
def test_a_template_is_complete(id_):
    template = catalogue.find_template(id_)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", template["id"])
    assert template["description"].count(".") >= 2 and template["description"].endswith(".")
    assert template["tags"] and "expected_output" in template


@for_each("id_", IDS)
def test_a_template_plans(id_):
    template = catalogue.find_template(id_)
    plan = engine.plan(template["definition"])
    assert [node.id for node in plan.nodes if not node.inputs] == [node.id for node in plan.nodes if node.node.trigger]


@for_each("id_", IDS)
def test_a_template_is_laid_out_from_left_to_right_with_different_names(id_):
    template = catalogue.find_template(id_)
    found = {node["id"]: node for node in template["definition"]["nodes"]}
    places = [(node["position"]["x"], node["position"]["y"]) for node in found.values()]
    assert len(set(places)) == len(places)
    assert len({node["name"] for node in found.values()}) == len(found)
    for edge in template["definition"]["edges"]:
        assert found[edge["from"]]["position"]["x"] < found[edge["to"]]["position"]["x"]


@for_each("id_", IDS)
def test_a_description_names_existing_nodes(id_):
    template = catalogue.find_template(id_)
    names = sorted((node["name"] for node in template["definition"]["nodes"]), key=len, reverse=True)
    for text in re.findall(r"\bnodes? ([A-Z].*)", template["description"]):
        rest = text
        while rest[:1].isupper() and not rest.startswith("Check …"):
            found = next((name for name in names if rest.startswith(name)), None)
            assert found, f"{template['id']}: no node is named {rest[:40]!r}"
            rest = re.sub(r"^(, | and )", "", rest.removeprefix(found))


@for_each("id_", IDS)
def test_a_sample_input_has_the_shape_of_the_triggers_output(id_):
    template = catalogue.find_template(id_)
    trigger = next(node for node in template["definition"]["nodes"] if nodes.REGISTRY[node["type"]].trigger)
    sample = template["sample_input"]
    if trigger["type"] == "webhook":
        assert set(sample) == {"method", "path", "query", "headers", "body"}
        assert sample["method"] in trigger["config"]["methods"] and sample["path"] == trigger["config"]["path"]
    elif trigger["type"] == "schedule":
        assert set(sample) == {"scheduled_for", "fired_at"}


def test_webhook_paths_are_unique():
    paths = [
        node["config"]["path"] for t in TEMPLATES for node in t["definition"]["nodes"] if node["type"] == "webhook"
    ]
    assert len(set(paths)) == len(paths)


# Running them


@pytest.mark.parametrize(
    ("id_", "input", "status", "body"),
    [
        ("order-intake", posted("order-intake", items=[]), 422, None),
        (
            "order-intake",
            posted("order-intake", items=[{"sku": "PEN", "quantity": 3, "price": 1.1}]),
            201,
            {"order_id": "A-1042", "total": 3.3, "status": "accepted"},
        ),
        ("lead-scoring", posted("lead-scoring", email=None), 422, None),
        ("contact-form", posted("contact-form", website="http://spam.example"), 422, None),
        ("contact-form", posted("contact-form", email="nobody"), 422, None),
        ("shipping-quote-api", asked("shipping-quote-api", country="Norway", weight_kg="1"), 400, None),
        ("shipping-quote-api", asked("shipping-quote-api", country="no"), 400, None),
        ("expense-approval", posted("expense-approval", amount=-1), 422, None),
        ("incident-triage", posted("incident-triage", title=""), 422, None),
        ("sensor-alarm", posted("sensor-alarm", value="hot"), 422, None),
        ("ticket-statistics", posted("ticket-statistics", closed_at="yesterday"), 422, None),
        ("round-robin-assignment", posted("round-robin-assignment", id=""), 422, None),
        ("short-links", asked("short-links", to="nowhere"), 404, {"error": "There is no such link"}),
        ("short-links", asked("short-links", to="../admin"), 404, None),
    ],
)
def test_a_webhook_answers_other_input(run, id_, input, status, body):
    outcome = run(id_, input)
    assert (outcome.status, outcome.response["status"]) == ("success", status)
    assert body is None or outcome.response["body"] == body


@pytest.mark.parametrize(
    ("changes", "grade", "next_step"),
    [
        ({"employees": 500, "asked_for_demo": False}, "hot", "call today"),
        ({"budget": 9_999}, "warm", "send the brochure"),
        ({"email": "jan@gmx.de", "budget": 0, "asked_for_demo": False}, "cold", "newsletter"),
    ],
)
def test_a_lead_is_graded_by_its_points(run, changes, grade, next_step):
    body = run("lead-scoring", posted("lead-scoring", **changes)).response["body"]
    assert (body["grade"], body["next_step"]) == (grade, next_step)
    assert [level for level, _ in run.log] == (["warning"] if grade == "hot" else [])


@pytest.mark.parametrize(
    ("changes", "status", "approver"),
    [
        ({"kind": "meal", "amount": 49.9}, "approved", "nobody, below the limit"),
        ({"amount": 1000.01}, "waiting", "director@example.com"),
        ({"receipt": False}, "receipt missing", "Kim"),
    ],
)
def test_an_expense_goes_to_the_right_approver(run, changes, status, approver):
    body = run("expense-approval", posted("expense-approval", **changes)).response["body"]
    assert (body["status"], body["approver"]) == (status, approver)


def test_a_contact_message_is_stored_once(run):
    run("contact-form")
    again = run("contact-form", posted("contact-form", message="Do you  deliver to NORWAY?"))
    assert again.response["status"] == 200 and again.response["body"]["duplicate"] is True
    assert [entry["value"]["email"] for entry in run.store.list("contact/messages/")] == ["ada@example.com"]


def test_a_repeated_alert_is_suppressed(run):
    run("incident-triage")
    assert run.log == [("error", "checkout: Error rate above 5 %")]
    again = run("incident-triage")
    assert again.response["body"] == {"taken": True, "repeat": True, "severity": "critical", "times": 2}
    assert run.log == []


@pytest.mark.parametrize(("severity", "level"), [("P2", "warning"), ("p3", "info"), ("odd", "info")])
def test_an_alert_is_reported_at_its_level(run, severity, level):
    run("incident-triage", posted("incident-triage", severity=severity))
    assert [entry[0] for entry in run.log] == [level]


def test_a_sensor_near_the_limit_raises_no_repeated_alarms(run):
    values = [-9.5, -13, -12, -16, -13, -11]
    events = [run("sensor-alarm", posted("sensor-alarm", value=value)).output["body"]["event"] for value in values]
    assert events == ["alarm", "none", "none", "clear", "none", "alarm"]


def test_tickets_add_up_month_by_month(run):
    run("ticket-statistics")
    run("ticket-statistics", posted("ticket-statistics", closed_by="Lee", minutes=6))
    run("ticket-statistics", posted("ticket-statistics", closed_at="2026-02-01"))
    body = run("ticket-statistics", posted("ticket-statistics", topic="Printer", minutes=30)).response["body"]
    assert (body["month"], body["closed"], body["minutes_on_average"]) == ("2026-01", 3, 18)
    assert (body["by_person"], body["by_topic"]) == ({"kim": 2, "lee": 1}, {"login": 2, "printer": 1})


def test_requests_are_assigned_in_turn_to_people_who_are_present(run):
    turns = [run("round-robin-assignment").response["body"]["assignee"] for _ in range(3)]
    assert turns == ["Ada", "Chidi", "Ada"]
    assert run("round-robin-assignment", away=["Ada", "Bo", "Chidi"]).response["status"] == 503


def test_a_link_in_the_store_takes_precedence_over_the_vars(run):
    run.store["links/docs"] = "https://intranet.example/handbook"
    assert run("short-links").response["headers"]["Location"] == "https://intranet.example/handbook"
    assert run.store["links-clicked/docs"] == 1


def test_bad_data_fails_the_run_with_a_reason(run):
    outcome = run("data-quality-gate", {"records": [{"id": "a", "email": "a@example.com"}, {"id": "a", "age": "old"}]})
    assert outcome.status == "failed"
    assert outcome.error_text == (
        "1 of 2 records are bad, the first: the id is there twice, no mail address, the age cannot be"
    )


def test_a_full_stock_needs_no_order(run):
    assert run("low-stock-order", {"stock": [{"on_hand": 5, "minimum": 5}]}).output == {"orders": []}


def test_an_empty_table_has_no_sales(run):
    assert run("csv-sales-summary", {"csv": "\n"}).output == {"regions": [], "total": 0, "lines_left_out": []}


def test_a_failed_delivery_is_repeated_later_with_the_same_key(run, httpserver):
    assert run("reliable-delivery", url=CLOSED_PORT).response["body"] == {"delivered": False, "kept": True}
    assert run("deliver-leftovers", url=CLOSED_PORT).output == {"arrived": 0, "left": 1}
    httpserver.expect_request("/events", "POST", json=posted("reliable-delivery")["body"]).respond_with_data("")
    url = f"http://127.0.0.1:{httpserver.port}/events"
    assert run("deliver-leftovers", url=url).output == {"arrived": 1, "left": 0}
    assert run.store == {}
    assert httpserver.log[0][0].headers["Idempotency-Key"] == "undelivered/run_reliable-delivery"


# Reading them


def test_a_template_is_found_by_its_id():
    assert catalogue.find_template("order-intake")["name"] == "Order intake"
    assert catalogue.find_template("no-such") is None
    assert catalogue.find_template("order-intake")["needs"] == []
