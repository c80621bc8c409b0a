"""Which credentials a definition names, and the warnings about those that are missing."""

import sys

import pytest
from marshmallow import Schema
from world import flow, node

import definition as definitions
from definition import Use
from nodes.base import REGISTRY, Node
from nodes.fields import credential, text


@pytest.fixture(autouse=True)
def mailer():
    """A node type `mailer` that takes a credential of type smtp or imap."""

    class Mailer(Node):
        """Is here for one test."""

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
def test_a_node_names_credentials_in_keys_for_them_and_in_expressions(made, found):
    uses = definitions.uses(flow(made))
    assert uses == [Use(made["id"], f"nodes[0].{path}", name, types) for path, name, types in found]


@pytest.mark.parametrize(
    "definition", [None, [], {}, {"nodes": None}, {"nodes": [None, {}, {"id": 1, "type": []}, {"id": "a", "type": {}}]}]
)
def test_what_is_malformed_names_none(definition):
    assert definitions.uses(definition) == []


def test_what_the_workspace_lacks_is_a_warning_that_says_where():
    made = flow(
        node("a", "mailer", {"account": "office"}),
        node("b", "mailer", {"account": "site"}),
        node("c", "mailer", {"account": "gone", "subject": "{{ secrets.key }} {{ secrets.lost }}"}),
    )
    types = {"office": "imap", "site": "hmac", "key": "secret"}
    issues = definitions.missing(made, types.get)
    assert [(issue.node_id, issue.path, issue.level) for issue in issues] == [
        ("b", "nodes[1].config.account", "warning"),
        ("c", "nodes[2].config.account", "warning"),
        ("c", "nodes[2].config.subject", "warning"),
    ]
    assert issues[0].message == "the credential 'site' is of type hmac; it must be smtp or imap"
    assert issues[1].message == "there is no credential 'gone' in this workspace"
    assert "'lost'" in issues[2].message


def test_every_key_for_a_credential_names_types_that_there_are():
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


def test_no_more_expressions_are_read_than_may_be_in_a_definition(monkeypatch):
    monkeypatch.setattr(sys.modules["definition.credential_usage"], "MOST_PARTS", 10)
    made = flow(*(node(f"n{at}", "set", {"values": {"a": f"{{{{ secrets.s{at} }}}}"}}) for at in range(20)))
    assert 1 < len(definitions.uses(made)) < 10
