"""Each operation of each connector sends the request that its example says, and gives its output."""

import re

import orjson
import pytest
from connector_stub import HOST, Stub, aim, aim_back, values_of

from packs.connectors import connector_files
from packs.connectors.file_schema import check
from packs.connectors.node import make

FILES = {type_: connector_files.read(type_) for type_ in sorted(connector_files.types())}
OPERATIONS = [(type_, operation["id"]) for type_, file in FILES.items() for operation in file["operations"]]


@pytest.mark.parametrize("type_", FILES)
def test_a_file_is_a_valid_connector(type_):
    check(FILES[type_])


@pytest.mark.parametrize("type_", FILES)
def test_a_file_is_written_in_our_way(type_):
    """Its mark can be read on its colour, and its texts are sentences."""
    file = FILES[type_]
    red, green, blue = (int(file["icon"]["color"][at : at + 2], 16) / 255 for at in (1, 3, 5))
    light = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    assert 1.05 / (0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] + 0.05) >= 4.5, "white text needs contrast"
    for operation in file["operations"]:
        assert operation["description"].endswith("."), operation["id"]
        assert re.match(r"[A-Z]", operation["name"]), operation["id"]
        assert "example" in operation, operation["id"]


@pytest.mark.parametrize(("type_", "id_"), OPERATIONS)
def test_an_operation_sends_the_request_of_its_example(type_, id_, httpserver, make_ctx):
    operation = next(each for each in FILES[type_]["operations"] if each["id"] == id_)
    example = operation["example"]
    exchanges = example.get("requests") or [example]
    stub = Stub(httpserver, exchanges)
    file = aim(FILES[type_], stub.port)
    credentials = offer_credential(file)
    ctx, _ = make_ctx(credentials=credentials)
    for path, content in example.get("files", {}).items():
        ctx.files.write(path, content.encode())
    node = make(type_, file)
    config = {"operation": id_, **aim(example["config"], stub.port)}
    if credentials:
        config["credential"] = "mine"
    output = node.run(node.schema(config).load(config), None, ctx)
    for seen, told in zip(stub.seen, exchanges, strict=True):
        compare(seen, told["request"])
    assert aim_back(output, stub.port) == example["output"]


def offer_credential(file):
    """Return a credential that the connector accepts; for accounts that people connect, a token in their place."""
    if not file.get("auth"):
        return {}
    for way in file["auth"]:
        if (values := values_of(way)) is not None:
            return {"mine": (way["type"], values, [HOST])}
    file["auth"].append({"type": "http_bearer"})
    return {"mine": ("http_bearer", values_of({"type": "http_bearer"}), [HOST])}


def compare(seen, told):
    """Check a request against the one of the example."""
    assert (seen["method"], seen["url"]) == (told["method"], told["url"])
    assert seen["query"] == texts(told.get("query", {}))
    body = told.get("body")
    if isinstance(body, dict) and seen["headers"].get("content-type", "").startswith(
        ("multipart", "application/x-www")
    ):
        body = texts(body)
    assert seen["body"] == body
    for name, value in told.get("headers", {}).items():
        assert seen["headers"].get(name.lower()) == value, name


def texts(values):
    """Return the values as the texts that a query or a form has."""
    return {name: list(map(text, value)) if isinstance(value, list) else text(value) for name, value in values.items()}


def text(value):
    return value if isinstance(value, str) else orjson.dumps(value).decode()
