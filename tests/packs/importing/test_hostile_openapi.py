"""OpenAPI documents that are rejected, limited or damaged."""

import json
import random
import time

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from openapi_documents import GITHUB, PETSTORE, STRIPE, SWAGGER
from properties import examples
from test_openapi import document, one, parameter, planned

from errors import BadInput, HeadraceError, TooLarge
from packs.importing.json_document import MAX_BYTES, load_document
from packs.importing.palette import MAX_OPERATIONS, read

# Rejections and limits


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"", "must be an object"),
        (b"[]", "must be an object"),
        (b"{", "not JSON"),
        (b"a: [", "neither JSON nor YAML"),
        (b"a: !!python/object/apply:os.system [id]", "neither JSON nor YAML"),
        (b"a: \x00", "neither JSON nor YAML"),
        (b"a: 1\n---\nb: 2", "several YAML documents"),
        (b"info: {}", 'no key "openapi"'),
        (b'{"swagger": "2.0", "info": {}}', "describes no operation"),
        (b'{"swagger": "1.2", "info": {}}', "OpenAPI 3.0, 3.1, 3.2 or Swagger 2"),
        (b"openapi: 4.0.0", "'4.0.0' is not supported"),
        (b"openapi: 3.1.0", "describes no operation"),
        (b"openapi: 3.0\npaths: []", "describes no operation"),
        (b"openapi: 3.1.0\npaths:\n  /a: {$ref: 'other.yaml#/a'}", "'other.yaml#/a' is outside of the document"),
        (b"openapi: 3.1.0\npaths: {/a: {get: {parameters: [{$ref: 'https://b.example/p'}]}}}", "outside"),
        (b"a: &a [*a]", "alias a contains itself"),
        (b"a: \xff", "not UTF-8"),
        (b"- " * 150, "nested more than 100 levels deep"),
        (b"[" * 100_000, "neither JSON nor YAML"),
        (b'{"a":' * 120 + b"1" + b"}" * 120, "nested more than 100 levels deep"),
        (b"? [a]\n: 1", "neither JSON nor YAML"),
    ],
)
def test_an_invalid_document_is_rejected(given, words):
    with pytest.raises(BadInput) as caught:
        read(given)
    assert words in str(caught.value)


def test_aliases_that_expand_too_much_are_rejected():
    names = "abcdefghij"
    lines = [
        f"{name}: &{name} [{','.join(['*' + before] * 9)}]" for before, name in zip(names, names[1:], strict=False)
    ]
    bomb = "\n".join([f"a: &a [{','.join('x' * 9)}]", *lines])
    began = time.process_time()
    with pytest.raises(BadInput, match="neither JSON nor YAML"):
        load_document(bomb.encode())
    assert time.process_time() - began < 5


def test_an_alias_is_expanded():
    text = (
        b"openapi: 3.0.0\npaths:\n  /a: {get: &op {summary: Same}, put: *op}\n  /b: {post: {<<: *op, summary: Other}}"
    )
    assert [preset.name for preset in read(text).presets] == ["Same", "Same", "Other"]


def test_a_document_has_a_size_limit():
    with pytest.raises(TooLarge):
        read(b" " * (MAX_BYTES + 1))


def test_the_number_of_operations_is_limited_with_a_note():
    palette = read(document(*[("get", f"/{number}", {}) for number in range(MAX_OPERATIONS + 5)]))
    assert len(palette.presets) == MAX_OPERATIONS and "first 1,000 operations" in palette.notes[-1]


def test_an_unsupported_method_is_noted():
    palette = read(document(("trace", "/a", {}), ("get", "/a", {})))
    assert len(palette.presets) == 1 and "TRACE /a" in palette.notes[0]


def test_an_operation_too_large_for_a_node_is_noted():
    palette = read(document(("get", "/" + "/".join(f"{{p{n}}}" for n in range(250)), {}), ("get", "/a", {})))
    assert [preset.key for preset in palette.presets] == ["GET /a"] and "too many parameters" in palette.notes[0]


def test_a_ref_without_a_target_is_noted_and_ignored():
    operation = {
        "parameters": [{"$ref": "#/components/parameters/none"}, {"$ref": "#/components/a~1b"}],
        "requestBody": {"$ref": "#/components/loop"},
    }
    components = {"loop": {"$ref": "#/components/loop"}, "a/b": parameter("q", required=True)}
    preset, palette = one(operation, components=components)
    assert preset.node["config"]["query"] == {"q": "{{ input.q }}"} and "body" not in preset.node["config"]
    assert (
        "$ref '#/components/parameters/none' has no target" in palette.notes[0]
        and "refers to itself" in palette.notes[1]
    )


def test_a_schema_is_self_contained_and_bounded():
    tree = {"type": "object", "properties": {f"p{n}": {"$ref": "#/components/schemas/t"} for n in range(50)}}
    wide = {"properties": {f"w{n}": {"type": "string", "description": "x" * 900} for n in range(5_000)}}
    for schema in (tree, wide, {"allOf": [wide] * 30}, {"enum": ["x" * 100] * 5_000, "default": "y" * 9_000}):
        body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/t"}}}}
        preset, _ = one({"requestBody": body}, verb="post", components={"schemas": {"t": schema}})
        assert len(json.dumps(preset.parameters)) < 20_000 and "$ref" not in json.dumps(preset.parameters)
        Draft202012Validator(preset.parameters)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape", ["properties", "readOnly", "description", "example", "media", "parameters", "security"]
)
def test_a_hostile_document_is_fast(shape):
    big = 60_000
    schema = {
        "properties": {"properties": {f"p{n}": {"$ref": "#/components/schemas/s"} for n in range(big)}},
        "readOnly": {"properties": {f"p{n}": {"readOnly": True} for n in range(big)}},
        "description": {"description": "x " * 1_000_000},
        "example": {"example": ["x"] * 400_000},
        "names": {"properties": {"p" * 1_000_000: {}}, "required": ["p" * 1_000_000], "type": ["q" * 1_000_000]},
    }.get(shape, {})
    operation = {
        "parameters": [parameter(f"q{n}", schema={"$ref": "#/components/schemas/s"}) for n in range(3)],
        "requestBody": {"$ref": "#/components/requestBodies/b"},
    }
    media = {f"text/x{n}": {} for n in range(big)} if shape == "media" else {"application/json": {"schema": schema}}
    item = {"get": operation, "parameters": [parameter(f"r{n}") for n in range(big if shape == "parameters" else 1)]}
    hostile = document(
        components={"schemas": {"s": schema}, "requestBodies": {"b": {"content": media}}, "pathItems": {"i": item}},
        security=[{f"s{n}": []} for n in range(big if shape == "security" else 0)],
    )
    if shape == "names":
        long = "n" * 500_000
        item["parameters"] += [parameter(long), parameter(long, "path"), parameter("o", style=long, explode=long)]
        item["get"]["security"] = [{"s": [long]}, {long: []}]
        item["get"]["servers"] = [{"url": "https://{h}", "variables": {"h": {"default": long}}}]
        hostile["components"]["securitySchemes"] = {"s": {"type": "apiKey", "in": "query", "name": long}}
    hostile["paths"] = {f"/{n}": {"$ref": "#/components/pathItems/i"} for n in range(MAX_OPERATIONS)}
    began = time.process_time()
    presets = read(orjson.dumps(hostile)).presets
    assert len(presets) == MAX_OPERATIONS
    assert max(len(orjson.dumps([preset.node, preset.parameters])) for preset in presets) < 40_000
    assert time.process_time() - began < 30


@pytest.mark.slow
def test_a_hostile_swagger_document_is_fast():
    many = 10_000
    schema = {"$ref": "#/definitions/wide"}
    operation = {
        "parameters": [{"in": "formData", "name": f"f{n}", "type": "string"} for n in range(many)],
        "responses": {str(n): {"schema": schema} for n in range(200, 200 + many)},
        "consumes": [f"a/b{n}" for n in range(many)],
    }
    item = {"get": operation, "parameters": [{"in": "query", "name": f"q{n}", "type": "array"} for n in range(many)]}
    paths = {f"/{n}": {"$ref": "#/x-item"} for n in range(MAX_OPERATIONS)}
    schemes = {f"s{n}": {"type": "oauth2", "flow": "application", "scopes": schema} for n in range(many)}
    hostile = {"swagger": "2.0", "paths": paths, "x-item": item, "securityDefinitions": schemes}
    hostile["definitions"] = {"wide": {"properties": {f"p{n}": {} for n in range(many)}}}
    began = time.process_time()
    assert len(read(orjson.dumps(hostile)).presets) == MAX_OPERATIONS
    assert time.process_time() - began < 30


# Arbitrary input

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("a/{}$#~", max_size=4) | st.sampled_from(["#/paths", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["$ref", "a", "name"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = [
    "type",
    "schema",
    "content",
    "properties",
    "items",
    "required",
    "name",
    "in",
    "security",
    "servers",
    "url",
    "style",
]


def damaged(value, chance, junk):
    """Return the value with a few parts replaced by junk."""
    if chance.random() < 0.03:
        return junk[chance.randrange(len(junk))]
    if isinstance(value, dict):
        return {
            (chance.choice(KEYS) if chance.random() < 0.02 else key): damaged(item, chance, junk)
            for key, item in value.items()
        }
    return [damaged(item, chance, junk) for item in value] if isinstance(value, list) else value


@given(st.integers(0, 2**32), st.lists(JSON, min_size=1, max_size=3))
@settings(max_examples=examples(300), deadline=None)
def test_a_damaged_document_is_imported_as_far_as_possible_or_rejected(seed, junk):
    chance = random.Random(seed)
    whole = load_document(chance.choice([PETSTORE, STRIPE, GITHUB, SWAGGER]))
    broken = {**whole, **{key: damaged(whole[key], chance, junk) for key in whole if key not in ("openapi", "swagger")}}
    try:
        palette = read(broken)
    except HeadraceError:
        return
    for preset in palette.presets:
        assert orjson.dumps([preset.node, preset.parameters]) and len(preset.name) <= 200
        planned(preset)


@given(st.binary(max_size=60) | st.text("{}[]:,-&*!?'\"\n a1", max_size=60).map(str.encode))
@settings(max_examples=examples(500), deadline=None)
def test_any_bytes_are_imported_or_rejected(given_bytes):
    try:
        load_document(given_bytes)
    except BadInput as error:
        assert "\n" not in str(error)
