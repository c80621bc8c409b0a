"""Rows written by the fast writer equal those written by marshmallow."""

from types import SimpleNamespace

import orjson
import pytest
from marshmallow import Schema

import fields
import schemas
from api import catalogue, credentials, logs, metrics, people, schedules, sessions, workflows
from api.http.paging import listed
from fields import Json, Milliseconds, Out, Time, iso
from models import Run
from packs.agents import api

SCHEMAS = [
    made
    for module in (
        *(schemas, api, catalogue, credentials, logs, metrics, people, schedules, sessions),
        workflows,
    )
    for made in vars(module).values()
    if isinstance(made, type) and issubclass(made, Out) and made.__module__ == module.__name__
]
FLAT = [made for made in SCHEMAS if made().flat is not None]
SAMPLES = {
    fields.String: ["", "text", "ü"],
    fields.Integer: [0, 7, -(2**53)],
    fields.Float: [0.0, 0.25, 1e300],
    fields.Boolean: [True, False, 1, 0],  # SQLite has no boolean
    Time: [0, 1_795_615_061_232, 999],
    Milliseconds: [0, 0.4, 1_240.5, 3_600_000.0],
    Json: ['{"a":[1,null]}', b"[]", "null", {"a": 1}, [1]],
}


def samples(schema):
    """Yield rows as dicts: with each sample in turn, and with None for each field."""
    names = {field.attribute or name: SAMPLES[type(field)] for name, field in schema.fields.items()}
    for turn in range(5):
        yield {name: values[turn % len(values)] for name, values in names.items()}
    for missing in names:
        yield {name: None if name == missing else values[0] for name, values in names.items()}


def computed(schema):
    """Return the fields that functions compute from a row; a dict has their values."""
    return [name for name, field in schema.fields.items() if field.from_row is not None]


def by_marshmallow(schema, row):
    return orjson.dumps(Schema._serialize(schema, row))


def test_the_rows_of_the_long_lists_are_flat():
    wanted = {"RunOut", "StepOut", "LogOut", "FlowOut", "VersionOut", "DayOut", "FlowCountOut", "MemoryOut"}
    assert wanted <= {made.__name__ for made in FLAT}


@pytest.mark.parametrize("made", FLAT, ids=lambda made: made.__name__)
def test_a_row_goes_out_as_marshmallow_has_it(made):
    schema = made()
    for row in samples(schema):
        assert orjson.dumps(schema.dump(row)) == by_marshmallow(schema, row)
        if not computed(schema):
            assert orjson.dumps(schema.dump(SimpleNamespace(**row))) == by_marshmallow(schema, row)


@pytest.mark.parametrize("made", FLAT, ids=lambda made: made.__name__)
def test_missing_values_are_left_out(made):
    schema = made()
    row = next(samples(schema))
    for name in row:
        rest = {key: value for key, value in row.items() if key != name}
        assert len(schema.dump(rest)) == len(schema.fields) - 1
        assert orjson.dumps(schema.dump(rest)) == by_marshmallow(schema, rest)


def test_a_list_has_the_rows_in_their_order():
    rows = list(samples(schemas.RunOut()))
    answer = listed(schemas.RunOut).dump({"items": rows, "next_cursor": None})
    assert answer["next_cursor"] is None
    assert orjson.dumps(answer["items"]) == orjson.dumps([schemas.RunOut().dump(row) for row in rows])


def test_a_row_of_the_database_goes_out_like_a_dict():
    run = Run(id="run_1", workflow_id="wf_1", duration_ms=1.5, created_at=1_000, cancelled=False)
    found = schemas.RunOut().dump(run)
    shown = (found["id"], found["duration_ms"], found["duration_us"], found["created_at"])
    assert shown == ("run_1", 2, 1_500, "1970-01-01T00:00:01.000Z")
    assert found["cancelled"] is False and found["output"] is None


def test_a_boolean_is_never_a_number():
    flat = Out.from_dict({"a": fields.Boolean(), "b": fields.String()})()
    slow = Out.from_dict({"a": fields.Boolean(), "b": fields.List(fields.Boolean())})()
    assert flat.flat is not None and slow.flat is None
    for value in (0, 1, False, True):
        assert repr(flat.dump({"a": value, "b": ""})["a"]) == repr(bool(value))
        assert repr(slow.dump({"a": value, "b": [value]})) == repr({"a": bool(value), "b": [bool(value)]})


def test_a_custom_field_is_left_to_marshmallow():
    class Loud(fields.String):
        def _serialize(self, value, attr, obj, **options):
            return value.upper()

    schema = Out.from_dict({"a": Loud(), "b": fields.String()})()
    assert schema.flat is None and schema.dump({"a": "x", "b": "y"}) == {"a": "X", "b": "y"}


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600_007, "2026-01-01T00:00:00.007Z"),
        (999, "1970-01-01T00:00:00.999Z"),
    ],
)
def test_a_time_has_milliseconds_and_z(ms, text):
    assert iso(ms) == text
