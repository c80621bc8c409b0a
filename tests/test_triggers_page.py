"""What docs/triggers.md shows is what there is."""

import json
import re
from pathlib import Path

import engine
from nodes.base import REGISTRY, Item, Node, Polled
from triggers import triggers_of

PAGE = (Path(__file__).parent.parent / "docs" / "triggers.md").read_text(encoding="utf-8")


def test_the_nodes_that_it_shows_can_be_polled():
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    wanted = triggers_of(engine.plan({"nodes": [{**node, "id": f"n{at}"} for at, node in enumerate(shown)]}))
    assert [trigger.config["type"] for trigger in wanted] == ["rss_trigger", "email_trigger"]
    assert [trigger.config["every"] for trigger in wanted] == [900, 60]


def test_the_keys_that_it_names_are_those_of_the_nodes():
    for type_ in ("rss_trigger", "email_trigger"):
        (example,) = REGISTRY[type_].examples
        named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
        assert set(example["output"]) <= named, type_


def test_a_trigger_of_your_own_is_as_it_says():
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    rows = [{"id": 1}, {"id": 2}, {"id": 3}]
    names = {"Node": Node, "Item": Item, "Polled": Polled, "rows_after": lambda id_: rows[id_:]}
    try:
        exec(source, names)  # noqa: S102
        node = REGISTRY["new_rows"]
        first = node.poll({}, None, None)
        assert first == Polled([Item("1", rows[0]), Item("2", rows[1]), Item("3", rows[2])], 3)
        assert node.poll({}, 3, None) == Polled([], 3)
        (wanted,) = triggers_of(engine.plan({"nodes": [{"id": "a", "type": "new_rows"}]}))
        assert wanted.config["every"] == 900
    finally:
        REGISTRY.pop("new_rows", None)
