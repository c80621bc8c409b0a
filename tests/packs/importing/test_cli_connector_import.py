"""`import openapi`: the file that it writes, the egress rule for URLs, and its messages."""

import json

import command_line
import pytest
from command_line import call, refused
from openapi_documents import PETSTORE

from packs.connectors import connector_files

folder, file = command_line.folder, command_line.file


def test_a_document_becomes_a_file_that_the_server_can_load(folder, file):
    result = call("import", "openapi", file(PETSTORE.decode(), "pets.yaml"), "--name", "our_pets", "--out", "own")
    assert result.stdout == "own/our_pets.json: Pet Store, 5 operations\n"
    assert "restart the server" in result.stderr
    assert connector_files.read_valid(folder / "own/our_pets.json")["name"] == "Pet Store"


def test_the_file_goes_into_the_folder_of_the_settings(folder, file, monkeypatch):
    monkeypatch.setenv("HEADRACE_CONNECTORS_DIR", str(folder / "team"))
    (folder / "team").mkdir()
    result = call("import", "openapi", file(PETSTORE.decode(), "pets.yaml"), "--operations", "list*")
    assert "1 operation\n" in result.stdout
    found = json.loads((folder / "team/pet_store.json").read_bytes())
    assert [operation["id"] for operation in found["operations"]] == ["list_pets"]


def test_an_existing_file_is_replaced_only_if_asked(folder, file):
    pets = file(PETSTORE.decode(), "pets.yaml")
    call("import", "openapi", pets)
    assert "exists already" in refused("import", "openapi", pets)
    call("import", "openapi", pets, "--replace", "--operations", "remove*")
    assert len(json.loads((folder / "pet_store.json").read_bytes())["operations"]) == 1


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["missing.yaml"], "missing.yaml"),
        (["pets.yaml", "--name", "Our Shop"], "lower-case letters"),
        (["pets.yaml", "--name", "http"], "is a node type already"),
        (["pets.yaml", "--operations", "nothing*"], "No operation"),
    ],
)
def test_wrong_input_is_refused_in_one_line(file, folder, args, word):
    file(PETSTORE.decode(), "pets.yaml")
    assert word in refused("import", "openapi", *args)
    assert [path.name for path in folder.iterdir()] == ["pets.yaml"]


def test_a_url_is_read_if_the_egress_rule_allows_it(folder, httpserver, monkeypatch):
    httpserver.expect_request("/pets.yaml").respond_with_data(PETSTORE)
    url = httpserver.url_for("/pets.yaml")
    assert "may not be reached" in refused("import", "openapi", url)
    monkeypatch.setenv("HEADRACE_EGRESS_ALLOW", "127.0.0.1,localhost")
    call("import", "openapi", url, "--name", "pets")
    assert json.loads((folder / "pets.json").read_bytes())["base"] == "https://petstore.example/api/v3"
    assert "answered 500" in refused("import", "openapi", httpserver.url_for("/missing"))
