"""Node types, templates and agents to build with."""

import json

import pytest

from api import openapi
from nodes import REGISTRY


def test_nodes_are_found_by_words_and_category(owner):
    def types(query):
        return {node["type"] for node in owner.get(f"/api/nodes?{query}").json["items"]}

    fired = {"manual", "webhook", "form", "schedule", "error", "called", "email_trigger", "poll"}
    fired |= {type_ for type_, node in REGISTRY.items() if node.trigger and type(node).__module__.startswith("packs.")}
    found = types("category=trigger")
    assert found >= fired and not found & {"set", "output", "http"}
    assert "http" in types("search=HTTP") and "http" not in types("search=http&category=logic")
    assert types("search=") == types("") and types("search=no+such+node") == set() == types("category=nothing")


def test_a_node_type_has_the_json_schema_of_its_config(owner):
    nodes = {node["type"]: node for node in owner.get("/api/nodes").json["items"]}
    assert nodes["set"]["config_schema"]["required"] == ["values"]
    assert nodes["if"]["branches"] == ["true", "false"] and nodes["manual"]["trigger"] is True


def test_every_template_makes_a_draft_that_can_be_read_and_changed(owner):
    for template in owner.get("/api/templates").json["items"]:
        made = owner.post(f"/api/templates/{template['id']}/use")
        assert made.status_code == 201, template["id"]
        assert (made.json["status"], made.json["version"], made.json["name"]) == ("draft", 1, template["name"])
        definition = json.loads(made.json["definition_json"])
        settings = definition.pop("settings")
        assert settings.pop("template") == template["id"]
        assert settings.pop("description") == template["description"]
        assert {**definition, "settings": settings} == {"settings": {}, **template["definition"]}
    assert owner.get("/api/flows?limit=200").json["items"]


def test_a_template_can_be_given_another_name(owner):
    template = owner.get("/api/templates").json["items"][0]
    assert owner.post(f"/api/templates/{template['id']}/use", {"name": "Mine"}).json["name"] == "Mine"


@pytest.mark.parametrize("name", ["", None, 1, "x" * 201, "a\0"])
def test_a_wrong_name_is_400_and_leaves_nothing(owner, count_rows, name):
    template = owner.get("/api/templates").json["items"][0]
    before = count_rows()
    assert owner.post(f"/api/templates/{template['id']}/use", {"name": name}).status_code == 400
    assert count_rows() == before


@pytest.mark.parametrize("name", ["nothing", "../agents/researcher", "%2e%2e%2fagents%2fresearcher", "agents"])
def test_a_template_that_is_not_there_is_404(owner, name):
    assert owner.post(f"/api/templates/{name}/use").status_code == 404


def test_every_agent_of_the_list_can_be_read_alone(owner):
    items = owner.get("/api/agents").json["items"]
    assert items and [owner.get(f"/api/agents/{item['id']}").json for item in items] == items


def test_the_api_describes_itself(client):
    answer = client.get("/api/openapi.json")
    assert answer.json["openapi"].startswith("3.") and "/api/flows" in answer.json["paths"]
    assert client.get("/api/docs/").status_code == 200


def test_the_page_about_the_api_leads_to_no_host_that_a_request_names(client):
    named = {"Host": "elsewhere.example"}
    answer = client.get("/api/docs", headers=named)
    assert (answer.status_code, answer.headers["Location"]) == (308, "/api/docs/")
    assert "elsewhere.example" not in client.get("/api/docs/", headers=named).text


def test_the_description_that_is_printed_without_a_server_is_the_servers(client):
    assert json.loads(openapi.make_document()) == client.get("/api/openapi.json").json
    assert openapi.make_document() == openapi.make_document()
