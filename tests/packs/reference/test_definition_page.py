"""The page about the definition matches the schema, and each of its examples runs as shown."""

import json
import re
from pathlib import Path

from each import for_each
from world import run

import definition as definitions
from definition.node_graph import MAX_ID, MAX_NAME
from definition.schema import COMPONENTS
from packs.reference.definition_examples import EXAMPLES
from packs.reference.reference import complete

WRITTEN = (Path(__file__).parents[3] / "docs" / "definition.md").read_text(encoding="utf-8")
PAGE = complete("definition", WRITTEN)
NAMES = [(part, field) for part, fields in EXAMPLES.items() for field in fields]
# Keys of an example beside its definition, unless its run would wait or use the network.
ENDS = {"output", "error"}


def holds(value, field):
    """Return True if an object anywhere in the value has this field."""
    if isinstance(value, dict):
        return field in value or any(holds(item, field) for item in value.values())
    return isinstance(value, list) and any(holds(item, field) for item in value)


def test_the_page_names_the_limits_that_there_are():
    assert f"of at most {MAX_ID} characters" in WRITTEN and f"names have up to {MAX_NAME} characters" in WRITTEN


@for_each("part", COMPONENTS)
def test_every_field_has_an_example_using_it(part):
    fields = COMPONENTS[part].get("properties", {"": None})
    assert set(EXAMPLES[part]) == set(fields)
    assert all(holds(EXAMPLES[part][field]["definition"], field) for field in fields if field)


@for_each("part", COMPONENTS)
def test_every_field_has_a_description(part):
    for field in COMPONENTS[part].get("properties", {}).values():
        assert field["description"][0].isupper() and not field["description"].endswith(".")


@for_each("part, field", NAMES)
def test_an_example_is_a_flow_that_can_be_active(part, field):
    example = EXAMPLES[part][field]
    assert definitions.check(example["definition"])[1] == []


@for_each("part, field", NAMES)
def test_a_pure_example_has_the_output_shown(part, field):
    example = EXAMPLES[part][field]
    plan = definitions.plan(example["definition"])
    if any(not node.node.pure or node.type == "schedule" for node in plan.nodes):
        assert not ENDS & set(example)
        return
    outcome = run(example["definition"], example["input"])
    if "error" in example:
        assert (outcome.status, outcome.error_text) == ("failed", example["error"])
    else:
        assert (outcome.status, outcome.output) == ("success", example["output"])


def test_the_first_example_is_a_flow_that_can_be_active():
    (text, *_) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert definitions.check(json.loads(text))[1] == []


def test_every_definition_on_the_page_is_an_example():
    shown = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    assert shown[1:] == [EXAMPLES[part][field]["definition"] for part, field in NAMES]
