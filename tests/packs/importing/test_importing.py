"""Importing by the API: responses, saved presets, and that no secret is returned or stored."""

import json

import pytest
from openapi_documents import GITHUB, PETSTORE
from query_plans import explain

from dispatch.process_limits import RequestLimit
from models import Preset
from packs.importing import api as importing
from packs.importing import presets as presets_table

pytestmark = pytest.mark.usefixtures("shared_server")

SECRET = "hunter2hunter2"


def load(who, document=PETSTORE, status=201):
    answer = who.post(
        "/api/import/openapi", {"document": document.decode() if isinstance(document, bytes) else document}
    )
    assert answer.status_code == status, answer.text
    return answer.json


def test_a_command_becomes_a_node_and_nothing_is_kept(owner, count_rows):
    before = count_rows()
    command = f"curl 'https://a.example/x?q=1' -u ada:{SECRET} -d '{{\"a\": 1}}' -k"
    answer = owner.post("/api/import/curl", {"command": command})
    assert answer.status_code == 200
    assert answer.json["node"]["config"] == {
        "method": "POST",
        "url": "https://a.example/x",
        "query": {"q": "1"},
        "headers": {"Content-Type": "application/x-www-form-urlencoded"},
        "body": {"a": 1},
        "body_type": "json",
        "credential": "a.example",
        "follow_redirects": False,
    }
    assert answer.json["credentials"] == [
        {
            "name": "a.example",
            "type": "http_basic",
            "data": {},
            "sources": {"username": "-u: before the colon", "password": "-u: after the colon"},
            "hosts": ["a.example"],
        }
    ]
    assert len(answer.json["notes"]) == 2 and SECRET not in answer.text and count_rows() == before


def test_a_credential_for_an_unknown_host_can_be_created(owner):
    (found,) = owner.post("/api/import/curl", {"command": f"curl https://[::1]/x -u ada:{SECRET}"}).json["credentials"]
    assert found["hosts"] is None
    body = {**found, "data": {"username": "ada", "password": SECRET}}
    del body["sources"]
    assert owner.post("/api/credentials", body).status_code == 201


def test_documents_are_imported_a_few_at_once_and_each_gives_its_place_back(owner, monkeypatch):
    places = RequestLimit("to import documents", 1, 1, 0.01)
    monkeypatch.setattr(importing, "IMPORTS", places)
    with places.taken(owner.user.id):
        load(owner, status=429)
    with places.taken("somebody else"):
        load(owner, status=503)
    load(owner, b"no document", status=400)
    load(owner)


def test_a_suggested_credential_is_accepted(owner):
    command = "curl https://a.example/?api_key=x -H 'X-Api-Key: y'"
    for found in owner.post("/api/import/curl", {"command": command}).json["credentials"]:
        sources = found.pop("sources")
        found["data"] |= dict.fromkeys(sources, SECRET)
        assert owner.post("/api/credentials", found).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"command": f"wget https://a.example -u ada:{SECRET}"},
        {"command": f"curl -H 'Authorization: Bearer {SECRET}'"},
        {"command": f"curl https://a.example -H Authorization: Bearer {SECRET}"},
        {"command": f"curl https://a.example -X {SECRET}"},
        {"command": f"curl https://a.example -u '{SECRET}"},
        {"command": f"curl https://a.example -m {SECRET}"},
        {"command": f"curl https://a.example/{SECRET}\0"},
        {"command": [SECRET]},
        {"command": SECRET * 20_000},
        {"command": ""},
        {},
    ],
)
def test_a_refused_command_is_400_and_no_secret_is_repeated_or_logged(owner, caplog, body):
    caplog.set_level("DEBUG")
    answer = owner.post("/api/import/curl", body)
    assert answer.status_code == 400 and set(answer.json) <= {"error", "details"}
    assert SECRET not in answer.text and SECRET not in caplog.text


def test_a_command_of_too_many_bytes_is_413(owner):
    answer = owner.post("/api/import/curl", {"command": "curl https://a.example -d '" + "é" * 150_000 + "'"})
    assert answer.status_code == 413


def test_a_document_fills_the_palette_in_its_own_order(owner):
    made = load(owner)
    assert (made["source"], made["title"], made["count"]) == ("pet-store", "Pet Store", 5)
    assert made["server"] == "https://petstore.example/api/v3" and made["notes"]
    assert made["credentials"][0]["type"] == "http_header" and made["credentials"][0]["data"] == {"name": "X-Api-Key"}
    listed = owner.get("/api/presets").json
    assert listed == {"items": made["presets"], "next_cursor": None}
    show = listed["items"][2]
    assert show["id"].startswith("pre_") and show["key"] == "GET /pets/{petId}" and show["tags"] == ["pets"]
    assert show["node"]["type"] == "http" and show["parameters"]["required"] == ["petId"]
    assert (show["credential_type"], show["source"], show["title"]) == ("http_header", "pet-store", "Pet Store")


def test_a_document_may_be_an_object(owner):
    document = {"openapi": "3.1.0", "info": {"title": "Mine"}, "paths": {"/a": {"get": {"operationId": "a"}}}}
    assert [preset["key"] for preset in load(owner, document)["presets"]] == ["a"]


def test_a_preset_makes_a_flow(owner, make_flow):
    node = load(owner)["presets"][0]["node"]
    node["config"].pop("credential")
    flow = make_flow({"nodes": [{"id": "call", **node}]}, status="active")
    assert flow["status"] == "active"


def test_a_second_import_replaces_the_presets_of_the_document(owner):
    load(owner, GITHUB)
    first = load(owner)
    shorter = json.loads(json.dumps({"openapi": "3.0.0", "info": {"title": "Pet store"}, "paths": {"/a": {"get": {}}}}))
    second = load(owner, shorter)
    assert second["source"] == first["source"] and second["count"] == 1
    listed = owner.get("/api/presets").json["items"]
    assert [preset["key"] for preset in listed] == ["GET /a", "issues/create", "PATCH /repos/{owner}/{repo}/merge"]


def test_a_refused_import_leaves_the_palette_unchanged(owner, monkeypatch):
    before = load(owner)["presets"]
    load(owner, b"openapi: 3.0.0", status=400)
    monkeypatch.setattr(presets_table, "MAX_PRESETS", 5)
    assert "delete some" in load(owner, GITHUB, status=409)["error"]
    assert owner.get("/api/presets").json["items"] == before
    assert load(owner)["count"] == 5  # what is replaced does not count


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("search=ADD", ["addPet", "addPhoto"]),
        ("search=show+pet", ["GET /pets/{petId}"]),
        ("search=with+owner", ["GET /pets/{petId}"]),
        ("search=code+issue", ["issues/create"]),
        ("search=%25", []),
        ("search=_", []),
        ("search=&source=code-hosting", ["issues/create", "PATCH /repos/{owner}/{repo}/merge"]),
        ("source=nothing", []),
    ],
)
def test_the_palette_can_be_searched(owner, query, keys):
    load(owner)
    load(owner, GITHUB)
    assert [preset["key"] for preset in owner.get(f"/api/presets?{query}").json["items"]] == keys


def test_the_palette_is_one_of_a_workspace(owner, other, member):
    load(owner)
    assert len(member("viewer").get("/api/presets").json["items"]) == 5
    assert other.get("/api/presets").json["items"] == []
    load(other, GITHUB)
    assert other.delete("/api/presets/pet-store").status_code == 404
    assert len(owner.get("/api/presets").json["items"]) == 5


def test_a_document_can_be_taken_out_of_the_palette(owner):
    load(owner)
    load(owner, GITHUB)
    assert owner.delete("/api/presets/pet-store").status_code == 204
    assert {preset["source"] for preset in owner.get("/api/presets").json["items"]} == {"code-hosting"}
    answer = owner.delete("/api/presets/pet-store")
    assert answer.status_code == 404 and "'pet-store'" in answer.json["error"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("swagger: '1.2'", "Swagger 2"),
        ("", "must be an object"),
        ("\ud800", ""),
        (5, "document: must be text or an object"),
        ({"openapi": "3.0.0", "paths": {"/a": {"$ref": "b.yaml"}}}, "'b.yaml' is outside"),
    ],
)
def test_a_document_that_cannot_be_is_400(owner, document, words):
    answer = owner.post("/api/import/openapi", {"document": document})
    assert answer.status_code == 400 and words in answer.json["error"]
    assert Preset.select().count() == 0


def test_the_catalogue_of_node_types_stays_as_it_is(owner):
    before = owner.get("/api/nodes").json
    load(owner)
    assert owner.get("/api/nodes").json == before


@pytest.mark.parametrize("filters", [{}, {"source": "pet-store"}, {"search": "pet"}])
def test_the_palette_is_read_from_an_index_in_order(owner, filters, caplog):
    plan = " ".join(
        step for _, step in explain(lambda: presets_table.select_where("ws_1", **filters).page(50, None), caplog)
    )
    assert "SCAN" not in plan and ("TEMP B-TREE" not in plan or "source" in filters), plan
