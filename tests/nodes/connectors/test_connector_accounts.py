"""Accounts of connectors: what a connector asks for is what its provider offers."""

from urllib.parse import urlsplit

import orjson
import pytest

from nodes.connectors import connector_files

PROVIDERS = {
    each["id"]: each
    for each in orjson.loads((connector_files.FOLDER / "oauth_providers.json").read_bytes())["providers"]
}
FILES = {type_: connector_files.read(type_) for type_ in sorted(connector_files.types())}
ACCOUNTS = [(type_, way) for type_, file in FILES.items() for way in file.get("auth", ()) if way["type"] == "oauth2"]


@pytest.mark.parametrize(("type_", "way"), ACCOUNTS, ids=[type_ for type_, _ in ACCOUNTS])
def test_the_scopes_can_be_chosen(type_, way):
    offered = {scope["value"] for scope in PROVIDERS[way["provider"]]["scopes"]}
    assert not offered or not set(way.get("scopes", ())) - offered


@pytest.mark.parametrize(("type_", "way"), ACCOUNTS, ids=[type_ for type_, _ in ACCOUNTS])
def test_the_token_may_be_sent_to_the_service(type_, way):
    file = FILES[type_]
    hosts = PROVIDERS[way["provider"]]["hosts"]
    for address in {file["base"], *(each["url"] for each in file["operations"] if "url" in each)}:
        host = urlsplit(address).netloc
        assert "{" in host or any(host == each or (each[0] == "*" and host.endswith(each[1:])) for each in hosts), host
