"""The agent definitions in the catalogue: complete, bounded, and warned about what comes from outside."""

import json
import re

import jsonschema
import pytest

import templates

AGENTS = templates.agent_definitions()
EXPECTED = {
    *("researcher", "data-analyst", "mail-triage", "summarizer"),
    *("sql-answerer", "incident-explainer", "flow-builder", "translator"),
}


def test_the_promised_agents_are_there():
    assert {agent["id"] for agent in AGENTS} >= EXPECTED
    assert len({agent["name"] for agent in AGENTS}) == len(AGENTS)


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent["id"])
def test_an_agent_is_complete(agent):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", agent["id"])
    assert agent["model"] is None, "the server's own model fits every installation"
    assert len(agent["description"]) < 200 and len(agent["instructions"]) > 500
    assert agent["limits"]["steps"] <= 20 and agent["limits"]["tokens"] <= 100_000 and agent["limits"]["seconds"] <= 300


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent["id"])
def test_an_agent_knows_that_what_comes_from_outside_is_no_order(agent):
    assert "is data" in agent["instructions"] and "never follow them" in agent["instructions"]


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent["id"])
def test_an_agent_with_memory_has_the_tool_for_it(agent):
    assert agent["memory"] == ("memory" in agent["tools"])


@pytest.mark.parametrize("agent", [agent for agent in AGENTS if agent["output_schema"]], ids=lambda agent: agent["id"])
def test_an_output_schema_is_one_of_a_closed_object(agent):
    schema = agent["output_schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    assert set(schema["required"]) <= set(schema["properties"])


def test_an_agent_is_found_by_its_id():
    assert templates.find_agent("summarizer")["tools"] == []
    assert templates.find_agent("no-such") is None


GOOD = {
    "id": "good",
    "name": "Good",
    "description": "Does good.",
    "instructions": "Do good.",
    "model": None,
    "tools": ["http"],
    "memory": False,
    "output_schema": None,
    "limits": {"steps": 3, "tokens": 1000, "seconds": 30},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"model": "some-model", "output_schema": {"type": "object"}}, None),
        ({"tools": ["shell"]}, "good.json: tools: must be a list of some of http"),
        ({"tools": [["http"]]}, "good.json: tools: must be a list"),
        ({"memory": 1}, "good.json: memory: must be true or false"),
        ({"model": ""}, "good.json: model: must be text"),
        ({"output_schema": "text"}, "good.json: output_schema: must be an object"),
        ({"limits": {"steps": 3}}, "good.json: limits: must hold steps, tokens, seconds"),
        ({"limits": {"steps": True, "tokens": 1, "seconds": 1}}, "good.json: limits: must hold"),
        ({"limits": {"steps": 0, "tokens": 1, "seconds": 1}}, "good.json: limits: must hold"),
    ],
)
def test_a_broken_agent_file_is_named_with_its_field(tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr(templates, "FOLDER", tmp_path)
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "good.json").write_text(json.dumps({**GOOD, **changes}))
    if message is None:
        assert templates.find_agent("good") == {**GOOD, **changes}
        return
    with pytest.raises(templates.TemplateError, match=re.escape(message)):
        templates.agent_definitions()
