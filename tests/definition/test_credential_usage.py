"""Credential usage: references in a definition, and warnings about missing credentials."""

import sys

import pytest
from marshmallow import Schema
from world import flow, node

import definition as definitions
from definition import Use
from nodes.base import REGISTRY, Node
from nodes.fields import credential, text
from registry import registry


@pytest.fixture(autouse=True)
def mailer():
    """A node type `mailer` that takes a credential of type smtp or imap."""

    class Mailer(Node):
        """A node for one test."""

        type = "mailer"
        category = "integration"

        class Config(Schema):
            account = credential("The account", "smtp", "imap", required=True)
            subject = text("The subject")

    yield
    del REGISTRY["mailer"]


def hook(**config):
    return node("h", "webhook", {"path": "p", **config})


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (node("a", "mailer", {"account": "office"}), [("config.account", "office", ("smtp", "imap"))]),
        (node("a", "mailer", {"account": "office"}, disabled=True), []),
        (node("a", "mailer", {"account": ""}), []),
        (node("a", "mailer", {"account": 5}), []),
        (
            node("a", "mailer", {"account": "{{ secrets.x }}"}),
            [("config.account", "{{ secrets.x }}", ("smtp", "imap"))],
        ),
        (
            node("a", "mailer", {"subject": "{{ secrets.b }}{{ secrets['a c'] }}"}),
            [("config.subject", "a c", ()), ("config.subject", "b", ())],
        ),
        (node("a", "http", {"headers": {"X": ["{{ secrets.key }}"]}}), [("config.headers", "key", ())]),
        (node("a", "set", {"values": {"a": "secrets.key"}}), []),
        (node("a", "code", {"source": "{{ secrets.key }}"}), []),
        (node("a", "set", {"values": {}}, foreach="{{ [secrets.key] }}"), [("foreach", "key", ())]),
        (node("a", "filter", {"keep": "{{ item == secrets.key }}"}), [("config.keep", "key", ())]),
        (hook(auth="basic", credential="till"), [("config.credential", "till", ("http_basic",))]),
        (hook(auth="header", credential="till"), [("config.credential", "till", ("http_header", "http_bearer"))]),
        (hook(auth="none", credential="till"), []),
        (hook(credential="till"), []),
        (hook(auth="unheard of", credential="till"), []),
        (hook(auth=["basic"], credential="till"), []),
        (node("a", "no such type", {"account": "office"}), []),
        (
            node("a", "set", {"values": {"a": "{{ secrets. }}", "b": "{{ secrets.key }}"}}),
            [("config.values", "key", ())],
        ),
        (node("a", "set", ["{{ secrets.key }}"]), []),
    ],
)
def test_credentials_are_found_in_settings_and_expressions(made, found):
    uses = definitions.find_credentials(flow(made))
    assert uses == [Use(made["id"], f"nodes[0].{path}", name, types) for path, name, types in found]


@pytest.mark.parametrize(
    "definition", [None, [], {}, {"nodes": None}, {"nodes": [None, {}, {"id": 1, "type": []}, {"id": "a", "type": {}}]}]
)
def test_malformed_parts_are_ignored(definition):
    assert definitions.find_credentials(definition) == []


def test_a_missing_credential_is_a_warning_with_its_path():
    made = flow(
        node("a", "mailer", {"account": "office"}),
        node("b", "mailer", {"account": "site"}),
        node("c", "mailer", {"account": "gone", "subject": "{{ secrets.key }} {{ secrets.lost }}"}),
    )
    types = {"office": "imap", "site": "hmac", "key": "secret"}
    issues = definitions.check_uses(definitions.find_credentials(made), types.get)
    assert [(issue.node_id, issue.path, issue.level) for issue in issues] == [
        ("b", "nodes[1].config.account", "warning"),
        ("c", "nodes[2].config.account", "warning"),
        ("c", "nodes[2].config.subject", "warning"),
    ]
    assert issues[0].message == "the credential 'site' is of type hmac; it must be smtp or imap"
    assert issues[1].message == "there is no credential 'gone' in this workspace"
    assert "'lost'" in issues[2].message


@pytest.mark.skipif(bool(registry.off), reason="some types are those of packs")
def test_every_credential_setting_accepts_only_existing_types():
    from nodes import catalogue
    from nodes.credentials.types import TYPES

    keys = [
        (entry["type"], name, schema["x-credential"])
        for entry in catalogue()
        for name, schema in entry["config_schema"]["properties"].items()
        if "x-credential" in schema
    ]
    assert ("webhook", "credential") in [key[:2] for key in keys]
    assert not [key for key in keys if not set(key[2]) <= set(TYPES)]


def test_reading_stops_at_the_limit_on_expressions(monkeypatch):
    monkeypatch.setattr(sys.modules["definition.builder"], "MAX_PARTS", 10)
    made = flow(*(node(f"n{at}", "set", {"values": {"a": f"{{{{ secrets.s{at} }}}}"}}) for at in range(20)))
    assert 1 < len(definitions.find_credentials(made)) < 10
