"""Rules for every node type. Those with side effects have more common tests in `support/contract.py`."""

import json
import re
from pathlib import Path

import pytest
from each import for_each
from jsonschema import Draft202012Validator
from marshmallow import Schema, ValidationError, fields, missing, validate

import engine
from nodes import REGISTRY, catalogue, categories, search
from nodes.base import CATEGORIES, Node
from nodes.credentials import types as credential_types
from nodes.credentials.keyring import Keyring
from nodes.fields import LANGUAGES, NAMES, setting, to_json_schema

ENTRIES = {entry["type"]: entry for entry in catalogue()}
TYPES = sorted(REGISTRY)
WEB = Path(__file__).parents[2] / "web" / "src"


def field_of(type_, key):
    return REGISTRY[type_].Config().fields[key]


KEYS = [(type_, key) for type_ in TYPES for key in REGISTRY[type_].Config().fields]


# The schemas of all forms: of node types and of credential types.
SCHEMAS = {type_: ENTRIES[type_]["config_schema"] for type_ in TYPES} | {
    f"credential {entry['type']}": entry["schema"] for entry in credential_types.catalogue()
}


def nested(schema, path=""):
    """Yield each part of a schema with its path: `pagination.type`, `methods[]`, `aggregate{}.op`."""
    yield path, schema
    for key, field in schema.get("properties", {}).items():
        yield from nested(field, f"{path}.{key}" if path else key)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from nested(schema[key], path + mark)


def properties_of(schema):
    return [(path, field) for path, field in nested(schema) if path and not path.endswith(("[]", "{}"))]


def choices_of(schema):
    return [(path, field) for path, field in nested(schema) if "enum" in field]


class Alien:
    """A value that no field accepts, because JSON has no such type."""


@for_each("type_", TYPES)
def test_a_type_has_a_description(type_):
    entry = ENTRIES[type_]
    assert entry["name"] and entry["category"] in CATEGORIES
    assert entry["description"].endswith(".") and "``" not in entry["description"]
    assert 20 <= len(entry["description"]) <= 300


@for_each("type_", TYPES)
def test_a_config_schema_is_json_schema_with_a_description_of_every_key(type_):
    schema = ENTRIES[type_]["config_schema"]
    Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(REGISTRY[type_].Config().fields)
    for key, field in schema["properties"].items():
        assert field.get("description"), f"{type_}.{key} has no description"


@for_each("name", SCHEMAS)
def test_every_property_of_a_form_has_a_title_and_a_description_and_every_choice_labels(name):
    schema = SCHEMAS[name]
    for path, field in properties_of(schema):
        assert field.get("title") and field.get("description"), f"{path} has no title or no description"
        assert not re.search(r"(^|: )whether\b", field["description"], re.I), f"{path}: say what On does"
    for path, field in choices_of(schema):
        labels = field.get("x-enum-labels", {})
        assert list(labels) == [str(value) for value in field["enum"]] and all(labels.values()), f"{path} lacks labels"


def test_a_choice_without_labels_or_a_property_without_a_title_would_be_found():
    class Config(Schema):
        kind = setting(fields.String, "The kind", validate=validate.OneOf(("a", "b")))
        size = setting(fields.Integer, "The size", title="Size", labels={1: "One"}, validate=validate.OneOf((1, 2)))

    schema = to_json_schema(Config())
    assert [path for path, field in properties_of(schema) if not field.get("title")] == ["kind"]
    assert [(path, field.get("x-enum-labels")) for path, field in choices_of(schema)] == [
        ("kind", None),
        ("size", {"1": "One"}),
    ]


@for_each("type_", TYPES)
def test_an_icon_has_a_valid_name(type_):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", ENTRIES[type_]["icon"])


def test_each_type_has_an_icon_of_its_own_which_the_app_has():
    icons = [ENTRIES[type_]["icon"] for type_ in TYPES]
    assert len(set(icons)) == len(icons)
    shown = set(re.findall(r"^  Icon(\w+),$", (WEB / "ui" / "nodeIcons.ts").read_text("utf-8"), re.MULTILINE))
    assert {"".join(word.capitalize() for word in icon.split("-")) for icon in icons} <= shown


def test_every_category_has_a_label_and_an_icon():
    found = categories()
    assert [item["category"] for item in found] == list(CATEGORIES)
    assert all(item["name"] and re.fullmatch(r"[a-z0-9-]+", item["icon"]) for item in found)


@for_each("type_, key", KEYS)
def test_forms_know_all_hints_of_a_setting(type_, key):
    hints = {name: value for name, value in field_of(type_, key).metadata.items() if name.startswith("x-")}
    known = {
        "x-literal", "x-credential", "x-per-item", "x-multiline", "x-language", "x-names", "x-holds", "x-enum-labels",
        "x-condition", "x-scope", "x-rules", "x-fields",
    }  # fmt: skip
    assert hints.keys() <= known
    assert hints.get("x-language", "json") in LANGUAGES and hints.get("x-names", "agent") in NAMES
    assert "x-language" not in hints or hints["x-multiline"] is True
    assert hints.get("x-holds", "json-schema") in ("json-schema", "form-fields")
    if "x-rules" in hints:
        assert ENTRIES[type_]["config_schema"]["properties"][hints["x-rules"]]["type"] == "array"
    if source := hints.get("x-fields"):
        named = source if isinstance(source, str) else source["setting"]
        assert field_of(type_, named).metadata["x-names"] in ("table", "workflow")
    shown = ENTRIES[type_]["config_schema"]["properties"][key]
    assert {name: shown[name] for name in hints} == hints


@pytest.mark.parametrize(
    "key",
    [
        "code.source",
        "called.input_schema",
        pytest.param("sql.statement", marks=pytest.mark.pack("sql")),
        pytest.param("email.html", marks=pytest.mark.pack("mail")),
        pytest.param("markdown.text", marks=pytest.mark.pack("formats")),
    ],
)
def test_a_setting_with_code_declares_its_language(key):
    type_, name = key.split(".")
    languages = {"source": "python", "statement": "sql", "input_schema": "json", "html": "html", "text": "markdown"}
    assert field_of(type_, name).metadata["x-language"] == languages[name]


@for_each("type_", TYPES)
def test_the_error_for_an_unknown_key_names_it(type_):
    with pytest.raises(ValidationError) as caught:
        REGISTRY[type_].Config().load({"no_such_key": 1})
    assert "no_such_key" in caught.value.messages


@for_each("type_, key", [pair for pair in KEYS if type(field_of(*pair)) is not fields.Raw])
def test_the_error_for_an_invalid_value_names_its_key(type_, key):
    schema = REGISTRY[type_].Config()
    with pytest.raises(ValidationError) as caught:
        schema.load({key: Alien()})
    assert key in caught.value.messages


@for_each("type_, key", [pair for pair in KEYS if isinstance(field_of(*pair), fields.String)])
def test_text_has_a_maximum_length(type_, key):
    validators = field_of(type_, key).validators
    bounds = [check.max or 0 for check in validators if isinstance(check, validate.Length)]
    with pytest.raises(ValidationError) as caught:
        REGISTRY[type_].Config().load({key: "x" * (1 + max([200_000, *bounds]))})
    assert key in caught.value.messages


@for_each("type_", TYPES)
def test_branches_are_known_for_any_config(type_):
    for config in ({}, {"cases": 5}, {"cases": [None, [], {}]}, {"labels": 5}):
        branches = REGISTRY[type_].branches(config)
        assert isinstance(branches, tuple) and all(isinstance(name, str) for name in branches), config
        assert len(set(branches)) == len(branches), config


@for_each("type_", TYPES)
def test_only_triggers_are_in_the_category_of_triggers(type_):
    assert REGISTRY[type_].trigger == (REGISTRY[type_].category == "trigger")


@for_each("type_, key", KEYS)
def test_a_default_passes_the_checks_of_its_own_key(type_, key):
    field = field_of(type_, key)
    if field.load_default is not missing and field.load_default is not None:
        assert field.deserialize(json.loads(json.dumps(field.load_default))) == field.load_default


EXAMPLES = [(type_, number) for type_ in TYPES for number in range(len(REGISTRY[type_].examples))]


# Types whose examples need other nodes, other flows or files.
NOT_ALONE = {"merge", "pdf", "rss"}
ALONE = [
    (type_, number)
    for type_, number in EXAMPLES
    if REGISTRY[type_].pure
    and not REGISTRY[type_].suspends
    and type_ not in NOT_ALONE
    # The other triggers get the input that fires them.
    and (not REGISTRY[type_].trigger or "input" in REGISTRY[type_].examples[number])
]


def test_a_test_of_many_cases_lists_all_that_fail():
    @for_each("number, name", [(1, "one"), (2, "two"), (3, "three")])
    def check(number, name):
        assert number == 2, f"{name} is not two"

    with pytest.raises(AssertionError) as caught:
        check()
    message = str(caught.value)
    assert message.startswith("2 of 3 failed") and "one is not two" in message and "three is not two" in message


def test_every_type_has_an_example():
    assert [type_ for type_ in TYPES if not REGISTRY[type_].examples] == []


@for_each("type_, number", EXAMPLES)
def test_an_example_can_be_planned(type_, number):
    example = REGISTRY[type_].examples[number]
    assert example.keys() <= {"config", "input", "output", "branch", "error"}
    engine.plan({"nodes": [{"id": "it", "type": type_, "config": example["config"]}]})


@pytest.fixture
def show(make_ctx):
    """`show(type, number, **job)` runs an example; returns the outcome and the steps. `timeout` is the node's."""

    def run(type_, number, timeout=None, **job):
        example = REGISTRY[type_].examples[number]
        node = {"id": "it", "type": type_, "config": example["config"]} | ({"timeout": timeout} if timeout else {})
        ctx, _ = make_ctx()
        steps = []
        lent = {"on_step": steps.append, "services": ctx.services, "keyring": ctx.keyring, "files": ctx.files}
        return engine.run(
            engine.plan({"nodes": [node]}), engine.Job("run_1", example.get("input"), **lent | job)
        ), steps

    return run


@for_each("type_, number", ALONE)
def test_an_example_has_the_documented_output(type_, number, show):
    example = REGISTRY[type_].examples[number]
    outcome, steps = show(type_, number)
    assert (outcome.error_text, steps[-1].branch) == (example.get("error"), example.get("branch"))
    if "output" in example:
        assert outcome.output == example["output"]


@for_each("type_, number", ALONE)
def test_recorded_steps_are_not_repeated_after_a_crash(type_, number, show):
    outcome, steps = show(type_, number)
    if outcome.status == "failed":
        assert steps[-1].final
        return
    settled = {("it", None): engine.Settled(outcome.output, steps[-1].branch)}
    again, more = show(type_, number, settled=settled, first_seq=1)
    assert (again.output, more) == (outcome.output, [])


@for_each("type_, number", ALONE)
def test_a_secret_in_an_output_is_not_recorded(type_, number, show):
    outcome, _ = show(type_, number)
    texts = [text for text in texts_in([outcome.output, outcome.error_text]) if len(text) > 5]
    if not texts:
        return  # the output has no text that could be a secret
    keyring = Keyring()
    keyring.hide(texts[0])
    cleaned, steps = show(type_, number, keyring=keyring)
    assert texts[0] not in repr((cleaned, [(step.output, step.error_text) for step in steps]))


def texts_in(value):
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts_in(item)


@for_each("type_, number", ALONE)
def test_the_error_of_a_timeout_names_it(type_, number, show):
    outcome, steps = show(type_, number, timeout=0.001)
    if outcome.status == "failed" and "error" not in REGISTRY[type_].examples[number]:
        assert re.search(r"time|longer|within", outcome.error_text), outcome.error_text
    assert len(steps) == 1


def test_every_type_with_side_effects_has_the_common_tests():
    """The test files are read: importing them would load every library of every node."""
    sources = [path.read_text("utf-8") for path in Path(__file__).parents[1].rglob("test_*.py")]
    case = re.compile(r'^class Test\w+\(Contract\):\n    type_ = "(\w+)"$', re.MULTILINE)
    covered = {type_ for source in sources for type_ in case.findall(source)}
    assert {type_ for type_ in TYPES if not REGISTRY[type_].pure} <= covered


def test_the_catalogue_is_json_and_stays_the_same():
    assert json.loads(json.dumps(catalogue())) == catalogue()
    assert [entry["type"] for entry in catalogue()] == [entry["type"] for entry in catalogue()]


def test_literal_keys_are_marked():
    assert ENTRIES["code"]["config_schema"]["properties"]["source"]["x-literal"] is True
    assert "x-literal" not in ENTRIES["http"]["config_schema"]["properties"]["url"]


def test_search_requires_every_word_and_the_category():
    assert [entry["type"] for entry in search("web service") if entry["type"] != "poll"] == ["http"]
    assert {entry["type"] for entry in search(category="output")} == {"respond", "log"}
    assert search("spreadsheet", category="logic") == []
    assert search() == catalogue()


@pytest.mark.parametrize(
    ("words", "type_"),
    [
        ("edit fields", "set"),
        ("javascript", "code"),
        ("stop and error", "stop"),
        ("split out", "split"),
        ("loop over items", "split"),
        ("summarize", "group"),
        ("execute workflow", "subflow"),
        ("cron", "schedule"),
        ("delay", "wait"),
        ("human in the loop", "approval"),
        ("router", "switch"),
        pytest.param("gmail", "email", marks=pytest.mark.pack("mail")),
        pytest.param("openai", "llm", marks=pytest.mark.pack("agents")),
        ("data table", "store"),
        ("rest api", "http"),
    ],
)
def test_search_finds_a_node_by_its_name_in_other_tools(words, type_):
    assert type_ in [entry["type"] for entry in search(words)]


def test_a_node_type_without_a_title_is_named_after_its_type():
    class Made(Node):
        """Exists for one test only."""

        type = "made_here"
        category = "logic"

    try:
        assert [entry["name"] for entry in search("made_here")] == ["Made here"]
    finally:
        del REGISTRY["made_here"]
