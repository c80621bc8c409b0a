"""OpenAPI documents as presets: imported parts, requests of the nodes, and rejections."""

import json
import random
import re
import time
from dataclasses import asdict
from urllib.parse import unquote

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from openapi_documents import GITHUB, PETSTORE, STRIPE, SWAGGER
from properties import examples
from werkzeug import Response
from world import flow, run

import engine
from api import openapi
from config import Config
from dispatch import make_services
from errors import BadInput, HeadraceError, TooLarge
from nodes.credentials.types import TYPES
from nodes.files.files import WorkspaceFiles
from packs.importing.openapi import MAX_BYTES, load_document
from packs.importing.palette import MAX_OPERATIONS, make_slug, read
from schemas import CredentialIn


def document(*operations, **root):
    """Return a document with these operations, `(verb, path, operation)`."""
    paths = {}
    for verb, path, operation in operations or [("get", "/things", {})]:
        paths.setdefault(path, {})[verb] = operation
    info = {"title": "Things", "version": "1"}
    return {
        "openapi": "3.1.0",
        "info": info,
        "servers": [{"url": "https://a.example/v1/"}],
        "paths": paths,
        **root,
    }


def one(operation, verb="get", path="/things", **root):
    """Return the single preset of a document with this operation, and the palette."""
    palette = read(document((verb, path, operation), **root))
    (preset,) = palette.presets
    return preset, palette


def config_of(operation, **more):
    return one(operation, **more)[0].node["config"]


def parameter(name, place="query", **more):
    return {"name": name, "in": place, "schema": {"type": "string"}, **more}


def planned(preset):
    """Return the node of a planned flow."""
    node = {"id": "call", **preset.node}
    engine.plan(flow(node))
    return node


# Whole documents


def test_the_pet_store_becomes_a_palette():
    palette = read(PETSTORE)
    assert (palette.title, palette.source, palette.server) == (
        "Pet Store",
        "pet-store",
        "https://petstore.example/api/v3",
    )
    assert [preset.key for preset in palette.presets] == [
        "listPets",
        "addPet",
        "GET /pets/{petId}",
        "removePet",
        "addPhoto",
    ]
    show = palette.presets[2]
    assert (show.name, show.description, show.tags, show.credential_type) == (
        "Show a pet", "With its owner.", ["pets"], "http_header",
    )  # fmt: skip
    assert show.node == {
        "type": "http",
        "name": "Show a pet",
        "config": {
            "method": "GET",
            "url": 'https://petstore.example/api/v3/pets/{{ input.petId | urlencode | replace("/", "%2F") }}',
            "credential": "pet-store",
        },
    }
    assert show.parameters == {
        "type": "object",
        "properties": {"petId": {"type": "integer", "description": "The pet's id", "x-in": "path"}},
        "required": ["petId"],
    }
    (key,) = palette.credentials
    assert (key.name, key.type, key.data, key.hosts) == (
        "pet-store", "http_header", {"name": "X-Api-Key"}, ("petstore.example",),
    )  # fmt: skip


def test_only_optional_inputs_may_be_missing():
    preset = read(PETSTORE).presets[0]
    assert preset.node["config"]["query"] == {
        "limit": "{{ input.limit | default(none) }}",
        "status": "{{ input.status }}",
        "tags": '{{ input.tags | join(",") if input.tags is defined and input.tags else none }}',
    }
    assert preset.parameters["required"] == ["status"]


def test_a_body_is_read_from_the_input_and_described_in_the_form():
    preset = read(PETSTORE).presets[1]
    config = preset.node["config"]
    assert (config["body"], config["body_type"]) == ("{{ input.body }}", "json")
    body = preset.parameters["properties"]["body"]
    assert body["required"] == ["name"] and "id" not in body["properties"]  # the id is read only
    assert body["properties"]["owner"]["properties"]["pets"]["items"] == {}  # pets have owners, who have pets
    assert body["properties"]["note"]["type"] == ["string", "null"]
    assert body["properties"]["weight"] == {"type": "number", "exclusiveMinimum": 0}
    assert any("recursive" in note for note in read(PETSTORE).notes)


def test_a_file_of_a_form_is_a_file_of_the_workspace():
    preset = read(PETSTORE).presets[4]
    config, asked = preset.node["config"], preset.parameters["properties"]
    assert (config["body_type"], config["body"]) == ("multipart", "{{ input.body | default(none) }}")
    assert config["files"] == {
        "photo": "{{ input.files.photo }}",
        "more": "{{ input.files.more | default(none) }}",
    }
    assert list(asked["body"]["properties"]) == ["caption"] and asked["files"]["required"] == ["photo"]
    assert asked["files"]["properties"]["photo"]["description"] == "Path in the workspace's files"
    assert preset.parameters["required"] == ["petId", "files"]


def test_a_swagger_2_document_becomes_presets_too():
    palette = read(SWAGGER)
    books, add, upload = palette.presets
    url = 'https://shop.example/v2/shops/{{ input.shopId | urlencode | replace("/", "%2F") }}/books'
    assert books.node["config"] == {
        "method": "GET",
        "url": url,
        "query": {
            "tags": "{{ input.tags | default(none) }}",
            "ids": '{{ input.ids | join(",") if input.ids is defined and input.ids else none }}',
            "offset": "{{ input.offset | default(none) }}",
            "limit": "{{ input.limit | default(none) }}",
            "api_key": "{{ secrets.old_shop_key }}",
        },
    }
    assert add.node["config"]["body"] == "{{ input.body }}" and add.parameters["required"] == ["shopId", "body"]
    assert list(add.parameters["properties"]["body"]["properties"]) == ["title", "genre"]
    assert upload.node["config"]["files"] == {"cover": "{{ input.files.cover }}"}
    assert list(upload.parameters["properties"]["body"]["properties"]) == ["alt-text"]


@pytest.mark.parametrize(
    ("schema", "keys"),
    [
        ({"properties": {"f": {"type": "string", "contentMediaType": "image/png"}}}, ["body_type", "files"]),
        ({"properties": {"t": {"type": "string"}}, "required": ["t"]}, ["body", "body_type"]),
        ({}, ["body", "body_type"]),
    ],
)
def test_a_form_has_texts_and_files_as_the_document_has_them(schema, keys):
    body = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    config = config_of({"requestBody": body}, verb="post")
    assert sorted(config.keys() - {"method", "url"}) == keys


def test_an_api_like_stripes_accepts_forms_and_a_token():
    palette = read(STRIPE)
    create, search = palette.presets
    assert (create.node["config"]["body"], create.node["config"]["body_type"]) == ("{{ input.body }}", "form")
    assert search.node["config"]["query"] == {
        "created[gte]": "{{ input.created.gte | default(none) }}",
        "created[lt]": "{{ input.created.lt | default(none) }}",
        "expand": "{{ input.expand | default(none) }}",
    }
    assert {preset.credential_type for preset in palette.presets} == {"http_bearer"}


def test_an_api_like_githubs_keeps_its_media_types_and_asks_clients_for_tokens():
    palette = read(GITHUB)
    issue, merge = palette.presets
    assert issue.node["config"]["url"].startswith("https://api.github.example/repos/{{ input.owner | urlencode")
    assert merge.node["config"]["headers"] == {
        "X-GitHub-Api-Version": '{{ input["X-GitHub-Api-Version"] }}',
        "Content-Type": "application/merge-patch+json",
    }
    (app,) = palette.credentials
    assert (app.type, app.data) == (
        "oauth2_client_credentials",
        {"token_url": "https://login.github.example/token", "scope": "repo issues:write"},
    )
    assert app.hosts == ("api.github.example", "login.github.example")


def test_our_own_description_becomes_a_palette_with_every_operation():
    spec = json.loads(openapi.make_text())
    palette = read(orjson.dumps(spec | {"servers": [{"url": "http://127.0.0.1:8000"}]}))
    verbs = [
        verb for item in spec["paths"].values() for verb in item if verb in ("get", "put", "post", "patch", "delete")
    ]
    assert len(palette.presets) == len(verbs) > 50
    for preset in palette.presets:
        planned(preset)


@pytest.mark.parametrize("text", [PETSTORE, STRIPE, GITHUB], ids=["petstore", "stripe", "github"])
def test_every_node_can_be_planned_and_every_form_is_a_schema(text):
    palette = read(text)
    for preset in palette.presets:
        Draft202012Validator(preset.parameters)
        planned(preset)
    for found in palette.credentials:
        body = {**asdict(found), "data": {**found.data, **dict.fromkeys(found.sources, "x")}}
        del body["sources"]
        TYPES[found.type].load(CredentialIn().load(body)["data"])


# Requests of the nodes


@pytest.fixture
def ask(httpserver, tmp_path):
    """`ask(preset, input)` runs the preset's node and returns method, path, query, content type and body."""
    seen = []

    def note(request):
        raw = request.environ["REQUEST_URI"].partition("?")[0]
        body = request.get_data(as_text=True)
        seen.append((request.method, raw, unquote(request.query_string.decode()), request.content_type, body))
        return Response("ok")

    httpserver.expect_request(re.compile(".*")).respond_with_handler(note)
    services = make_services(Config(egress_allow=("127.0.0.1",)))

    def send(preset, input):
        node = planned(preset)
        node["config"] = {key: value for key, value in node["config"].items() if key != "credential"}
        here = f"http://127.0.0.1:{httpserver.port}"
        node["config"]["url"] = re.sub(r"^https://[a-z.]+", here, node["config"]["url"])
        Draft202012Validator(preset.parameters).validate(input)
        outcome = run(flow(node), input, services=services, files=WorkspaceFiles(tmp_path, 2**20))
        assert outcome.status == "success", outcome.error_text
        return seen[-1]

    yield send
    services.close()


def test_the_node_of_an_operation_sends_the_request_of_the_document(ask):
    pets = read(PETSTORE).presets
    assert ask(pets[0], {"status": "sold"})[:3] == ("GET", "/api/v3/pets", "status=sold")
    assert ask(pets[0], {"status": "sold", "limit": 5, "tags": ["a", "b"]})[2] == "limit=5&status=sold&tags=a,b"
    assert ask(pets[1], {"body": {"name": "Rex"}}) == ("POST", "/api/v3/pets", "", "application/json", '{"name":"Rex"}')
    assert ask(pets[2], {"petId": 7})[1] == "/api/v3/pets/7"


def test_the_forms_of_an_api_like_stripes_are_sent_as_forms(ask):
    create, search = read(STRIPE).presets
    sent = ask(create, {"body": {"amount": 2000, "currency": "usd"}})
    assert sent[3:] == ("application/x-www-form-urlencoded", "amount=2000&currency=usd")
    assert ask(search, {"created": {"gte": 5}, "expand": ["a", "b"]})[2] == "created[gte]=5&expand=a&expand=b"
    assert ask(search, {})[2] == ""


def test_an_optional_body_may_be_missing(ask):
    preset, _ = one({"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}, verb="post")
    assert ask(preset, {})[3:] == (None, "")
    assert ask(preset, {"body": {"a": 1}})[3:] == ("application/json", '{"a":1}')


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("a/b", "/v1/things/a%2Fb"),
        ("ü ?#", "/v1/things/%C3%BC%20%3F%23"),
        ("{{ 1 }}", "/v1/things/%7B%7B%201%20%7D%7D"),
    ],
)
def test_a_value_in_a_path_stays_one_segment(ask, value, path):
    preset, _ = one({"parameters": [parameter("id", "path", required=True)]}, path="/things/{id}")
    assert ask(preset, {"id": value})[1] == path


def test_text_of_the_document_is_never_an_expression(ask):
    operation = {"parameters": [parameter("a{{b", required=True), parameter("{%")]}
    preset, _ = one(operation, path="/x{{y/{%")
    _, path, query, *_ = ask(preset, {"a{{b": "1", "{%": "2"})
    assert (unquote(path), query) == ("/v1/x{{y/{%", "a{{b=1&{%=2")


# Parameters


@pytest.mark.parametrize(
    ("given", "query"),
    [
        (parameter("q", required=True), {"q": "{{ input.q }}"}),
        (parameter("page-size"), {"page-size": '{{ input["page-size"] | default(none) }}'}),
        (parameter("__class__"), {"__class__": '{{ input["__class__"] | default(none) }}'}),
        (parameter('a"b', required=True), {'a"b': '{{ input["a\\"b"] }}'}),
        (parameter("a", schema={"type": "array"}, required=True), {"a": "{{ input.a }}"}),
        (parameter("a", schema={"type": "array"}, explode=False, required=True), {"a": '{{ input.a | join(",") }}'}),
        (
            parameter("a", schema={"type": "array"}, style="pipeDelimited", required=True),
            {"a": '{{ input.a | join("|") }}'},
        ),
        (
            parameter("f", schema={"type": "object", "properties": {"x": {}}}, style="deepObject"),
            {"f[x]": "{{ input.f.x | default(none) }}"},
        ),
        (parameter("f", schema={"type": "object", "properties": {"x": {}}}), {"x": "{{ input.f.x | default(none) }}"}),
        (
            {"name": "j", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}},
            {"j": "{{ input.j | tojson if input.j is defined and input.j else none }}"},
        ),
    ],
)
def test_a_query_parameter_is_serialized_by_its_style(given, query):
    assert config_of({"parameters": [given]})["query"] == query


def test_an_unsupported_query_object_is_noted():
    preset, palette = one({"parameters": [parameter("f", schema={"type": "object"}, required=True)]})
    assert "query" not in preset.node["config"] and preset.parameters["properties"] == {}
    assert "'f' is an object" in palette.notes[0]


def test_parameters_with_equal_names_are_distinct_and_the_operations_takes_precedence():
    operation = {
        "parameters": [
            parameter("id", "path", required=True),
            parameter("id", required=True),
            parameter("id", "header", required=True),
            parameter("body", required=True),
            parameter("q", schema={"type": "integer"}),
        ],
        "requestBody": {"required": True, "content": {"text/plain": {}}},
    }
    item = {"get": operation, "parameters": [parameter("q", description="overridden"), parameter("r")]}
    (preset,) = read(document() | {"paths": {"/{id}": item}}).presets
    assert list(preset.parameters["properties"]) == ["id", "q", "r", "query_id", "query_body", "header_id", "body"]
    assert preset.parameters["properties"]["q"] == {"type": "integer", "x-in": "query"}
    config = preset.node["config"]
    assert config["query"]["id"] == "{{ input.query_id }}" and config["headers"]["id"] == "{{ input.header_id }}"
    assert config["body_type"] == "text" and config["headers"]["Content-Type"] == "text/plain"


def test_required_headers_and_cookies_are_set():
    given = [
        parameter("X-Tenant", "header", required=True),
        parameter("X-Maybe", "header"),
        parameter("Accept", "header", required=True),
        parameter("Idempotency-Key", "header", required=True),
        parameter("Content-Length", "header", required=True),
        parameter("bad name", "header", required=True),
        parameter("lang", "cookie", required=True),
    ]
    preset, palette = one({"parameters": given})
    assert preset.node["config"]["headers"] == {
        "X-Tenant": '{{ input["X-Tenant"] }}',
        "Cookie": "lang={{ input.lang }}",
    }
    assert preset.parameters["required"] == ["X-Tenant", "lang"]
    assert palette.notes == ["The header 'X-Maybe' is optional, and not imported"]


@pytest.mark.parametrize(
    ("media", "kind", "header"),
    [
        ("application/json", "json", None),
        ("application/json; charset=utf-8", "json", None),
        ("application/vnd.api+json", "json", "application/vnd.api+json"),
        ("*/*", "json", None),
        ("application/x-www-form-urlencoded", "form", None),
        ("text/csv", "text", "text/csv"),
        ("application/xml", "text", "application/xml"),
        ("application/pdf", "file", "application/pdf"),
        ("image/*", "file", None),
    ],
)
def test_the_media_type_determines_the_serialization_of_the_body(media, kind, header):
    config = config_of({"requestBody": {"required": True, "content": {media: {}}}}, verb="put")
    assert (config["body"], config["body_type"]) == ("{{ input.body }}", kind)
    assert config.get("headers", {}).get("Content-Type") == header


def test_json_is_preferred_among_media_types():
    content = {"application/xml": {}, "multipart/form-data": {}, "application/json": {"example": {"a": 1}}}
    preset, _ = one({"requestBody": {"content": content}}, verb="post")
    assert preset.node["config"]["body_type"] == "json"
    assert preset.parameters["properties"]["body"]["examples"] == [{"a": 1}]


# Servers


@pytest.mark.parametrize(
    ("servers", "url"),
    [
        ([{"url": "https://a.example/"}], "https://a.example/things"),
        ([{"url": "/v1"}, {"url": "wss://b.example"}, {"url": "https://c.example"}], "https://c.example/things"),
        (
            [{"url": "https://{r}.a.example:{p}", "variables": {"r": {"default": "eu"}, "p": {"default": 8443}}}],
            "https://eu.a.example:8443/things",
        ),
        ([{"url": "https://{region}.a.example"}], "{{ vars.api_things_url }}/things"),
        ([{"url": "https://[::1"}], "{{ vars.api_things_url }}/things"),
        ([{"url": "https://user:pass@a.example"}], "{{ vars.api_things_url }}/things"),
        ([{"url": "/api"}], "{{ vars.api_things_url }}/things"),
        ([], "{{ vars.api_things_url }}/things"),
        ("nonsense", "{{ vars.api_things_url }}/things"),
    ],
)  # fmt: skip
def test_the_address_is_that_of_the_server(servers, url):
    assert config_of({}, servers=servers)["url"] == url


def test_an_operation_may_have_a_server_of_its_own():
    assert config_of({"servers": [{"url": "https://up.example"}]})["url"] == "https://up.example/things"


def test_servers_are_noted():
    several = [{"url": "https://{r}.a.example", "variables": {"r": {"default": "eu"}}}, {"url": "https://b.example"}]
    notes = " | ".join(one({}, servers=several)[1].notes)
    assert "names 2 servers" in notes and "variables" in notes
    assert "vars.api_things_url" in one({}, servers=[])[1].notes[0]


# Security

SCHEMES = {
    "basic": {"type": "http", "scheme": "Basic"},
    "token": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "api_key"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
    "client": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/token"}}},
    "people": {"type": "oauth2", "flows": {"authorizationCode": {"tokenUrl": "https://a.example/token"}}},
    "openid": {"type": "openIdConnect"},
    "digest": {"type": "http", "scheme": "digest"},
    "tls": {"type": "mutualTLS"},
}


def secured(*requirements):
    return one({"security": list(requirements)}, components={"securitySchemes": SCHEMES})


@pytest.mark.parametrize(
    ("scheme", "type_"),
    [
        ("basic", "http_basic"),
        ("token", "http_bearer"),
        ("key", "http_header"),
        ("client", "oauth2_client_credentials"),
        ("people", "http_bearer"),
        ("openid", "http_bearer"),
    ],
)
def test_a_security_scheme_is_a_credential_named_after_the_document(scheme, type_):
    preset, palette = secured({scheme: []})
    assert (preset.credential_type, preset.node["config"]["credential"]) == (type_, "things")
    (found,) = palette.credentials
    assert (found.name, found.type) == ("things", type_)
    assert bool(palette.notes) == (scheme in ("people", "openid"))


def test_the_token_url_may_be_relative_to_the_server():
    assert secured({"client": ["a", "b"]})[1].credentials[0].data == {
        "token_url": "https://a.example/token",
        "scope": "a b",
    }


def test_a_key_in_the_query_or_a_cookie_is_read_by_an_expression():
    preset, palette = secured({"query": []})
    assert preset.node["config"]["query"] == {"api_key": "{{ secrets.things_query }}"}
    assert palette.credentials[0].type == preset.credential_type == "secret" and "api_key" in palette.notes[0]
    preset, _ = secured({"cookie": []})
    assert preset.node["config"]["headers"] == {"Cookie": "sid={{ secrets.things_cookie }}"}


@pytest.mark.parametrize("url", ["https://[::1", "", 5, "ftp://a.example/token", "x" * 2_000])
def test_an_invalid_token_url_must_be_entered_by_the_user(url):
    schemes = {"client": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": url}}}}
    operation = {"security": [{"client": []}]}
    _, palette = one(operation, servers=[], components={"securitySchemes": schemes})
    (found,) = palette.credentials
    assert found.data == {} and set(found.sources) == {"client_id", "client_secret", "token_url"}


@pytest.mark.parametrize("scheme", ["digest", "tls", "unheard_of"])
def test_an_unsupported_scheme_is_noted(scheme):
    preset, palette = secured({scheme: []})
    assert preset.credential_type is None and "credential" not in preset.node["config"]
    assert repr(scheme) in palette.notes[0]


@pytest.mark.parametrize(
    ("requirements", "type_"),
    [
        ([{"digest": []}, {"basic": []}], "http_basic"),
        ([{"key": [], "token": []}, {"basic": []}], "http_basic"),
        ([{"key": [], "token": []}], "http_header"),
        ([{"basic": []}, {}], None),
        ([], None),
    ],
)
def test_a_supported_alternative_is_chosen(requirements, type_):
    assert secured(*requirements)[0].credential_type == type_


def test_security_applies_to_operations_without_their_own():
    many = document(
        ("get", "/a", {}), ("get", "/b", {"security": []}), ("get", "/c", {"security": [{"basic": []}]}),
        security=[{"token": []}], components={"securitySchemes": SCHEMES},
    )  # fmt: skip
    palette = read(many)
    assert [preset.credential_type for preset in palette.presets] == ["http_bearer", None, "http_basic"]
    assert [preset.node["config"].get("credential") for preset in palette.presets] == ["things", None, "things-basic"]
    assert [found.name for found in palette.credentials] == ["things", "things-basic"]


# Names


def test_names_and_keys():
    same = {"operationId": "op", "summary": " Do\n it "}
    palette = read(
        document(("get", "/a", same), ("post", "/a", same), ("get", "/b", {}), ("put", "/b", {"deprecated": True}))
    )
    assert [(preset.key, preset.name) for preset in palette.presets] == [
        ("op", "Do it"), ("op 2", "Do it"), ("GET /b", "GET /b"), ("PUT /b", "PUT /b (deprecated)"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Pet Store", "pet-store"),
        ("Größe & Maß (v2)", "groe-ma-v2"),
        ("日本", "api"),
        ("", "api"),
        ("x" * 99, "x" * 60),
    ],
)
def test_a_slug_is_plain(title, slug):
    assert make_slug(title) == slug


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
