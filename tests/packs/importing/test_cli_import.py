"""`import` with cURL commands and OpenAPI documents, `import openapi`, and the examples of docs/importing.md."""

import json
import re
import subprocess
import sys
from pathlib import Path

import command_line
import pytest
from command_line import call, refused
from openapi_documents import GITHUB, PETSTORE

from database.queries import workspaces
from models import Preset, User, Workflow
from packs.connectors import connector_files
from packs.importing.curl_command import SHORT, USED

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/importing.md").read_text(encoding="utf-8")
SECRET = "hunter2hunter2"
folder, data_dir, file = command_line.folder, command_line.data_dir, command_line.file


def test_a_curl_command_is_printed_as_a_node_without_any_database(folder):
    result = call("import", "--curl", f"curl https://a.example/x -u ada:{SECRET} -k")
    assert json.loads(result.stdout)["config"]["credential"] == "a.example"
    assert result.stderr.splitlines() == [
        "Credential a.example (http_basic): username from -u: before the colon, password from -u: after the colon",
        "Certificates are always verified: -k is not imported",
    ]
    assert SECRET not in result.output and list(folder.iterdir()) == []


def test_a_curl_command_is_read_from_stdin():
    assert json.loads(call("import", "--curl", "-", input="curl 'https://a.example/ü'").stdout)["type"] == "http"
    assert "not valid text" in refused("import", "--curl", "-", input=b"curl https://a.example/\xff")
    assert "200,000 bytes" in refused("import", "--curl", "-", input="curl https://a.example/" + "ü" * 300_000)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ([], "--curl"),
        (["flow.json", "--curl", "curl https://a.example"], "--curl"),
        (["--curl", f"wget https://a.example -u ada:{SECRET}"], "must start with curl"),
        (["--curl", "curl https://a.example", "--name", "A"], "stores nothing"),
        (["--curl", "curl https://a.example", "--workspace", "ws_1"], "stores nothing"),
        (["--curl", "curl https://a.example", "--again"], "stores nothing"),
    ],
)
def test_an_invalid_import_is_rejected_without_repeating_a_secret(file, args, word):
    file({}, "flow.json")
    message = refused("import", *args)
    assert word in message and SECRET not in message


@pytest.mark.parametrize("name", ["pets.yaml", "pets.json", "pets"])
def test_an_openapi_document_fills_the_palette_whatever_its_file_name(data_dir, file, name):
    result = call("import", file(PETSTORE.decode(), name))
    lines = [line.split(" ", 1) for line in result.stdout.splitlines()]
    assert [name for _, name in lines] == ["List the pets", "Add a pet", "Show a pet", "removePet", "addPhoto"]
    assert [Preset.get_by_id(id_).name for id_, _ in lines] == [name for _, name in lines]
    assert "Credential pet-store (http_header): name X-Api-Key, value from the API's 'key'" in result.stderr
    assert Workflow.select().count() == 0


def test_a_document_as_json_is_recognized_too(data_dir, file):
    call("import", file({"openapi": "3.1.0", "info": {"title": "T"}, "paths": {"/a": {"get": {}}}}, "api.json"))
    assert [preset.key for preset in Preset.select()] == ["GET /a"]


def test_the_palette_is_that_of_the_given_workspace(data_dir, file):
    other = workspaces.found("Other", User.get())
    assert "--workspace" in refused("import", file(GITHUB.decode(), "api.yaml"))
    call("import", "api.yaml", "--workspace", other.id)
    assert {preset.workspace_id for preset in Preset.select()} == {other.id}


@pytest.mark.parametrize(
    ("text", "args", "word"),
    [
        ("swagger: '1.2'", [], "Swagger 2"),
        ("openapi: 3.1.0\npaths: [", [], "neither JSON nor YAML"),
        (PETSTORE.decode(), ["--name", "A"], "--name needs a flow"),
        (PETSTORE.decode(), ["--again"], "--again needs a flow"),
    ],
)
def test_an_invalid_document_is_rejected(data_dir, file, text, args, word):
    assert word in refused("import", file(text, "api.yaml"), *args)
    assert Preset.select().count() == 0


# The page


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def pasted(script, folder):
    """Run the lines that the page offers for pasting, and return their output."""
    script = script.replace("python workflow_server.py", f"{sys.executable} {ROOT / 'workflow_server.py'}")
    done = subprocess.run(["bash", "-e"], input=script, cwd=folder, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_the_pages_command_prints_the_output_that_the_page_shows(folder):
    done = pasted(blocks("sh")[0], folder)
    assert done.stdout == blocks("json")[0] and done.stderr == blocks("text")[0]


@pytest.mark.slow
def test_the_pages_document_becomes_the_preset_that_the_page_shows(data_dir, folder):
    (folder / "shop.yaml").write_text(blocks("yaml")[0])
    done = pasted(blocks("sh")[1], folder)
    assert done.stderr.strip() in PAGE and len(done.stdout.splitlines()) == 2
    shown, preset = json.loads(blocks("json")[1]), Preset.get(Preset.key == "getOrder")
    kept = {"node": preset.node_json, "parameters": preset.parameters_json, "tags": preset.tags}
    own = {name: getattr(preset, name) for name in ("key", "name", "credential_type")}
    assert {**own, **{name: json.loads(text) for name, text in kept.items()}} == shown


def test_the_page_lists_every_imported_option():
    letters = {name: f"-{letter}" for letter, name in SHORT.items()}
    shown = re.sub(r"\s+", " ", PAGE)
    missing = [
        name
        for name in USED
        if f"`{letters.get(name)}`" not in shown
        and f"`{letters.get(name)} " not in shown
        and f"`--{name}`" not in shown
    ]
    assert set(missing) == {"data-ascii", "location-trusted", "globoff"}


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
