"""The schemas' metaclass finds the same hooks as marshmallow's."""

import marshmallow
from marshmallow import post_load, pre_load, validates
from marshmallow.schema import SchemaMeta

import workflow_server  # noqa: F401 - it makes all schemas of the server
from fields import Schema


class WithHooks(Schema):
    @pre_load
    def change(self, data, **_):
        return data

    @validates("name")
    def check(self, value, **_):
        pass


class Inheriting(WithHooks):
    name = marshmallow.fields.String()


class Replacing(WithHooks):
    change = None


class Adding(WithHooks):
    @post_load
    def finish(self, data, **_):
        return data


class Mixin:
    @pre_load
    def mixed(self, data, **_):
        return data


class Mixed(Mixin, Inheriting):
    pass


class OfMixed(Mixed):
    pass


def below(cls):
    for one in cls.__subclasses__():
        yield one
        yield from below(one)


def test_every_schema_has_the_hooks_that_marshmallow_finds():
    classes = list(below(Schema))
    assert len(classes) > 200
    for cls in classes:
        found = {tag: hooks for tag, hooks in cls._hooks.items() if hooks}  # marshmallow adds empty ones when it looks
        assert found == SchemaMeta.resolve_hooks(cls), cls


def test_a_schema_is_one_of_its_bases_and_nothing_else():
    assert isinstance(Inheriting(), WithHooks) and isinstance(Inheriting(), marshmallow.Schema)
    assert issubclass(Mixed, WithHooks) and not issubclass(WithHooks, Mixed)
    assert not isinstance({}, Schema) and not isinstance(marshmallow.Schema(), Schema)


def test_hooks_are_inherited_replaced_added_and_mixed_in():
    def names(cls):
        return {name for hooks in cls._hooks.values() for name, *_ in hooks}

    assert names(Inheriting) == {"change", "check"}
    assert names(Replacing) == {"check"}
    assert names(Adding) == {"change", "check", "finish"}
    assert names(Mixed) == names(OfMixed) == {"change", "check", "mixed"}
