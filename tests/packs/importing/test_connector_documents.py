"""OpenAPI and Swagger documents that become connectors: operations, inputs, authentication, and what is left out."""

import json
import time

import orjson
import pytest
from openapi_documents import GITHUB, PETSTORE, STRIPE, SWAGGER

from errors import BadInput, TooLarge
from packs.connectors.file_schema import check
from packs.importing import connector
from packs.importing.openapi import load_document


def operations(document, **options):
    """Return the operations of a document by id, after a check of the whole file."""
    found = connector.read(document, **options).connector
    check(orjson.loads(orjson.dumps(found)))
    return {operation["id"]: operation for operation in found["operations"]}


def document(paths, **parts):
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "Test API"},
            "servers": [{"url": "https://t.example"}],
            "paths": paths,
            **parts,
        }
    )


def one(operation, path="/a", verb="get", **parts):
    """Return the single operation of a document."""
    (found,) = operations(document({path: {verb: operation}}, **parts)).values()
    return found


def test_operations_have_ids_titles_and_typed_inputs():
    found = operations(PETSTORE)
    assert list(found) == ["list_pets", "add_pet", "get_pets_pet_id", "remove_pet", "add_photo"]
    assert found["list_pets"]["name"] == "List the pets" and found["list_pets"]["group"] == "Pets"
    assert found["list_pets"]["inputs"] == {
        "limit": {"title": "Limit", "type": "integer", "max": 100, "in": "query"},
        "status": {
            "title": "Status",
            "type": "choice",
            "choices": {"available": "Available", "sold": "Sold"},
            "required": True,
            "in": "query",
        },
        "tags": {"title": "Tags", "type": "list", "style": "comma", "in": "query"},
    }
    assert found["remove_pet"]["path"] == "/pets/{pet_id}"
    assert found["remove_pet"]["response"] == "none", "it answers 204"
    assert found["get_pets_pet_id"]["description"] == "With its owner."


def test_the_body_gives_an_input_for_each_writable_field_of_its_first_level():
    inputs = operations(PETSTORE)["add_pet"]["inputs"]
    assert {name: told.get("type", "string") for name, told in inputs.items()} == {
        "name": "string",
        "note": "string",
        "weight": "number",
        "owner": "object",
    }
    assert inputs["name"]["example"] == "Rex" and inputs["name"]["required"] is True


def test_bodies_are_json_forms_with_brackets_multipart_files_and_text():
    photo = operations(PETSTORE)["add_photo"]
    assert photo["body_type"] == "multipart" and photo["inputs"]["photo"] == {
        "title": "Photo",
        "type": "file",
        "required": True,
    }
    charges = operations(STRIPE)["post_charges"]
    assert (charges["body_type"], charges["brackets"]) == ("form", True)
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    assert one({"requestBody": {"required": True, "content": content}}, verb="put")["body_type"] == "file"
    text = one({"requestBody": {"content": {"text/plain": {"schema": {"type": "string"}}}}}, verb="post")
    assert (text["body_type"], text["body"], text["inputs"]["body"]["in"]) == ("text", "body", "none")
    listed = {"schema": {"type": "array", "items": {"type": "object"}}}
    whole = one({"requestBody": {"content": {"application/json": listed}}}, verb="post")
    assert whole["body"] == "body" and whole["inputs"]["body"]["type"] == "items"


@pytest.mark.parametrize(
    ("scheme", "way"),
    [
        ({"type": "http", "scheme": "Bearer"}, {"type": "http_bearer"}),
        ({"type": "http", "scheme": "basic"}, {"type": "http_basic"}),
        ({"type": "apiKey", "in": "header", "name": "X-Key"}, {"type": "http_header", "header": "X-Key"}),
        ({"type": "apiKey", "in": "query", "name": "key"}, {"type": "http_query", "names": ["key"]}),
        ({"type": "oauth2", "flows": {"authorizationCode": {}}}, {"type": "http_bearer"}),
        (
            {"type": "oauth2", "flows": {"clientCredentials": {"scopes": {"read": "Read"}}}},
            {"type": "oauth2_client_credentials", "scopes": ["read"]},
        ),
    ],
)
def test_security_schemes_are_ways_to_authenticate(scheme, way):
    paths = {"/a": {"get": {"security": [{"shopLogin": []}]}}}
    found = connector.read(document(paths, components={"securitySchemes": {"shopLogin": scheme}})).connector
    assert found["auth"] == [{**way, "title": "Shop login", "hosts": ["t.example"]}]


def test_authentication_is_optional_if_an_operation_needs_none():
    schemes = {"components": {"securitySchemes": {"k": {"type": "http", "scheme": "bearer"}}}, "security": [{"k": []}]}
    closed = {"/a": {"get": {}}}
    assert "auth_optional" not in connector.read(document(closed, **schemes)).connector
    opened = {**closed, "/b": {"get": {"security": []}}}
    assert connector.read(document(opened, **schemes)).connector["auth_optional"] is True


def test_a_document_without_schemes_says_that_no_credential_is_asked_for():
    notes = connector.read(document({"/a": {"get": {}}})).notes
    assert notes == ['The document names no way to authenticate: if the API needs one, add "auth" to the file']


def test_a_swagger_2_document_is_imported_too():
    found = connector.read(SWAGGER)
    assert found.connector["base"] == "https://shop.example/v2"
    assert found.connector["description"] == "Sells books. And more."
    assert [way["type"] for way in found.connector["auth"]] == ["http_query", "http_basic"]
    by_id = operations(SWAGGER)
    books = by_id["list_books"]
    assert books["path"] == "/shops/{shop_id}/books"
    assert list(books["inputs"]) == ["shop_id", "tags", "ids"]
    assert "style" not in books["inputs"]["tags"] and books["inputs"]["ids"]["style"] == "comma"
    assert books["pagination"] == {"type": "offset", "param": "offset", "size_param": "limit", "size": 50}
    assert books["list"] is True and books["poll"] == {"key": "id"}
    assert by_id["add_book"]["inputs"]["title"]["type"] == "text"
    assert by_id["add_book"]["inputs"]["genre"]["choices"] == {"crime": "Crime", "non_fiction": "Non fiction"}
    upload = by_id["upload"]
    assert upload["body_type"] == "multipart" and upload["inputs"]["alt_text"]["name"] == "alt-text"


def counted(*names, **schema):
    return [{"name": name, "in": "query", "schema": {"type": "integer", **schema}} for name in names]


LIST = {"200": {"content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}}}}


def test_pages_are_followed_only_where_the_parameters_leave_no_doubt():
    paged = one({"parameters": counted("page", "per_page", maximum=30), "responses": LIST})
    assert paged["pagination"] == {"type": "page", "param": "page", "size_param": "per_page", "size": 30}
    assert "inputs" not in paged
    assert one({"parameters": counted("page"), "responses": LIST})["pagination"] is None
    assert "list" not in one({"parameters": counted("page", "per_page")}), "the answer is not known to be a list"


def test_names_that_a_node_has_itself_are_changed_and_sent_as_they_are():
    names = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in ("operation", "a-b", "aB", "1st")]
    inputs = one({"parameters": names})["inputs"]
    assert {id_: told["name"] for id_, told in inputs.items()} == {
        "query_operation": "operation",
        "a_b": "a-b",
        "a_b_2": "aB",
        "input_1st": "1st",
    }


def test_schemas_extended_by_all_of_are_merged_and_recursive_ones_end():
    schemas = {
        "Base": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        "Leaf": {"allOf": [{"$ref": "#/components/schemas/Base"}, {"$ref": "#/components/schemas/Leaf"}],
                 "properties": {"next": {"$ref": "#/components/schemas/Leaf"}}},
    }  # fmt: skip
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Leaf"}}}}
    inputs = one({"requestBody": body}, verb="post", components={"schemas": schemas})["inputs"]
    assert {name: told.get("type") for name, told in inputs.items()} == {"name": None, "next": "object"}


def test_what_is_left_out_is_told():
    cookie = {"name": "sid", "in": "cookie", "schema": {"type": "string"}}
    filter_ = {"name": "filter", "in": "query", "style": "deepObject", "schema": {"type": "object"}}
    paths = {
        "/a": {"get": {"parameters": [cookie, filter_]}, "trace": {}, "put": {"deprecated": True}},
        "/b": {"get": {"parameters": [{"$ref": "other.yaml#/p"}]}},
    }
    found = connector.read(document(paths))
    told = "\n".join(found.notes)
    assert [operation["id"] for operation in found.connector["operations"]] == ["get_a"]
    for words in (
        "the cookie 'sid'",
        "'filter' is an object",
        "TRACE /a is left out",
        "1 deprecated",
        "GET /b is left",
    ):
        assert words in told


def test_operations_are_chosen_by_id_path_or_tag():
    assert list(operations(PETSTORE, pattern="*pet")) == ["add_pet", "remove_pet"]
    assert len(operations(PETSTORE, pattern="/pets")) == 2
    assert list(operations(PETSTORE, pattern="PETS")) == ["list_pets", "get_pets_pet_id"]
    with pytest.raises(BadInput, match="No operation"):
        connector.read(PETSTORE, pattern="order*")


def test_a_server_is_found_relative_to_the_document_or_given():
    relative = orjson.dumps({"openapi": "3.0.0", "servers": [{"url": "/v1"}], "paths": {"/a": {"get": {}}}})
    with pytest.raises(BadInput, match="--base"):
        connector.read(relative)
    assert (
        connector.read(relative, source="https://s.example/docs/api.json").connector["base"] == "https://s.example/v1"
    )
    assert connector.read(relative, base="https://own.example/v1/").connector["base"] == "https://own.example/v1"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"", "must be an object"),
        (b'{"a": 1}', "OpenAPI 3.0, 3.1, 3.2 or Swagger 2"),
        (b'{"openapi": "4.0"}', "OpenAPI 3.0, 3.1, 3.2 or Swagger 2"),
        (document({}), "No operation"),
        (document({"/a": {"$ref": "https://x.example/a"}}), "outside of the document"),
    ],
)
def test_an_invalid_document_is_refused(given, words):
    with pytest.raises(BadInput) as caught:
        connector.read(given)
    assert words in str(caught.value)


def test_bounds_hold_for_large_documents():
    with pytest.raises(TooLarge):
        connector.read(b" " * (connector.MAX_BYTES + 1))
    fields = {f"field{n}": {"type": "string"} for n in range(70)}
    body = {"content": {"application/json": {"schema": {"type": "object", "properties": fields}}}}
    paths = {f"/{n}": {"post": {"requestBody": body, "summary": "x" * 5_000}} for n in range(210)}
    began = time.process_time()
    found = connector.read(document(paths))
    assert time.process_time() - began < 8
    assert len(found.connector["operations"]) == connector.MAX_OPERATIONS
    assert any("10 operations are left out" in note for note in found.notes)
    inputs = found.connector["operations"][0]["inputs"]
    assert len(inputs) == 60 and inputs["more_fields"]["name"] == ""
    assert len(found.notes) <= 51


@pytest.mark.parametrize(
    "document", [STRIPE, pytest.param(SWAGGER, marks=pytest.mark.slow)], ids=["openapi", "swagger"]
)
def test_damaged_parts_are_no_more_than_left_out(document):
    """Each value of a document is replaced by others; the result is a valid connector or a plain refusal."""
    whole = orjson.dumps(load_document(document), option=orjson.OPT_NON_STR_KEYS)
    for at, place in enumerate(_places(json.loads(whole))):
        for value in (None, "x", [7], {"$ref": "#/paths"})[at % 2 :: 2]:
            damaged = json.loads(whole)
            _put(damaged, place, value)
            try:
                check(connector.read(orjson.dumps(damaged)).connector)
            except BadInput:
                continue


def _places(value, place=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*place, key)
        yield from _places(inner, (*place, key))


def _put(value, place, new):
    *above, last = place
    for key in above:
        value = value[key]
    value[last] = new


def test_headers_and_constants_of_a_media_type_are_kept():
    merge = operations(GITHUB)["patch_repos_owner_repo_merge"]
    assert merge["headers"] == {"Content-Type": "application/merge-patch+json"}
    version = merge["inputs"]["x_git_hub_api_version"]
    assert (version["in"], version["choices"]) == ("header", {"2022-11-28": "2022-11-28"})
