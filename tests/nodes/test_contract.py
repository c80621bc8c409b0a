"""What holds for every node type, whoever wrote it. For those with effects there is more in `contract.py`."""

import importlib
import json
from pathlib import Path

import pytest
from contract import Contract
from jsonschema import Draft202012Validator
from marshmallow import ValidationError, fields, missing

import engine
from nodes import REGISTRY, catalogue, search
from nodes.base import CATEGORIES, Node

ENTRIES = {entry["type"]: entry for entry in catalogue()}
TYPES = sorted(REGISTRY)


def field_of(type_, key):
    return REGISTRY[type_].Config().fields[key]


KEYS = [(type_, key) for type_ in TYPES for key in REGISTRY[type_].Config().fields]


class Alien:
    """A value that no field takes, for there is no such thing in JSON."""


@pytest.mark.parametrize("type_", TYPES)
def test_it_is_described_for_people(type_):
    entry = ENTRIES[type_]
    assert entry["name"] and entry["category"] in CATEGORIES
    assert entry["description"].endswith(".") and "``" not in entry["description"]
    assert 20 <= len(entry["description"]) <= 300


@pytest.mark.parametrize("type_", TYPES)
def test_its_config_schema_is_json_schema_with_a_description_of_every_key(type_):
    schema = ENTRIES[type_]["config_schema"]
    Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(REGISTRY[type_].Config().fields)
    for key, field in schema["properties"].items():
        assert field.get("description"), f"{type_}.{key} has no description"


@pytest.mark.parametrize("type_", TYPES)
def test_it_names_an_unknown_key(type_):
    with pytest.raises(ValidationError) as caught:
        REGISTRY[type_].Config().load({"no_such_key": 1})
    assert "no_such_key" in caught.value.messages


@pytest.mark.parametrize(("type_", "key"), [pair for pair in KEYS if type(field_of(*pair)) is not fields.Raw])
def test_it_names_the_key_of_a_bad_value(type_, key):
    schema = REGISTRY[type_].Config()
    with pytest.raises(ValidationError) as caught:
        schema.load({key: Alien()})
    assert key in caught.value.messages


@pytest.mark.parametrize(("type_", "key"), [pair for pair in KEYS if isinstance(field_of(*pair), fields.String)])
def test_text_has_a_greatest_length(type_, key):
    with pytest.raises(ValidationError) as caught:
        REGISTRY[type_].Config().load({key: "x" * 200_000})
    assert key in caught.value.messages


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("config", [{}, {"cases": 5}, {"cases": [None, [], {}]}, {"labels": 5}])
def test_its_branches_are_known_whatever_the_config(type_, config):
    branches = REGISTRY[type_].branches(config)
    assert isinstance(branches, tuple) and all(isinstance(name, str) for name in branches)
    assert len(set(branches)) == len(branches)


@pytest.mark.parametrize("type_", TYPES)
def test_only_triggers_are_in_the_category_of_triggers(type_):
    assert REGISTRY[type_].trigger == (REGISTRY[type_].category == "trigger")


@pytest.mark.parametrize(("type_", "key"), KEYS)
def test_a_default_passes_the_checks_of_its_own_key(type_, key):
    field = field_of(type_, key)
    if field.load_default is not missing and field.load_default is not None:
        assert field.deserialize(json.loads(json.dumps(field.load_default))) == field.load_default


EXAMPLES = [(type_, number) for type_ in TYPES for number in range(len(REGISTRY[type_].examples))]


@pytest.mark.parametrize(("type_", "number"), EXAMPLES)
def test_its_examples_do_what_they_say(type_, number, make_ctx):
    """What needs somebody or something to work on is planned alone; what it does, its own tests show."""
    example = REGISTRY[type_].examples[number]
    plan = engine.plan({"nodes": [{"id": "it", "type": type_, "config": example["config"]}]})
    assert example.keys() <= {"config", "input", "output", "branch"}
    alone = REGISTRY[type_].pure and not REGISTRY[type_].suspends
    if not alone or not example["config"].keys().isdisjoint({"file", "url", "credential"}):
        return
    ctx, _ = make_ctx()
    steps = []
    job = engine.Job("run_1", example.get("input"), on_step=steps.append, services=ctx.services, keyring=ctx.keyring)
    outcome = engine.run(plan, job)
    assert outcome.error_text is None and steps[-1].branch == example.get("branch")
    if "output" in example:
        assert outcome.output == example["output"]


def test_every_type_with_effects_keeps_the_contract():
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(path.stem)
    covered = {case.type_ for case in Contract.__subclasses__()}
    assert {type_ for type_ in TYPES if not REGISTRY[type_].pure} <= covered


def test_the_catalogue_is_json_and_stays_the_same():
    assert json.loads(json.dumps(catalogue())) == catalogue()
    assert [entry["type"] for entry in catalogue()] == [entry["type"] for entry in catalogue()]


def test_literal_keys_are_marked():
    assert ENTRIES["code"]["config_schema"]["properties"]["source"]["x-literal"] is True
    assert "x-literal" not in ENTRIES["http"]["config_schema"]["properties"]["url"]


def test_search_wants_every_word_and_the_category():
    assert [entry["type"] for entry in search("web service")] == ["http"]
    assert {entry["type"] for entry in search(category="output")} == {"respond", "log"}
    assert search("web", category="logic") == []
    assert search() == catalogue()


def test_a_node_type_without_a_title_is_named_after_its_type():
    class Made(Node):
        """Is here for one test only."""

        type = "made_here"
        category = "logic"

    try:
        assert [entry["name"] for entry in search("made_here")] == ["Made here"]
    finally:
        del REGISTRY["made_here"]
