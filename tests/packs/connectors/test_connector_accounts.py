"""Accounts of connectors: what a connector asks for is what its provider offers."""

from urllib.parse import urlsplit

import orjson
import pytest
from connector_stub import answer

from errors import NodeError
from packs.connectors import connector_files
from packs.oauth import settings

PROVIDERS = {each["id"]: each for each in orjson.loads(settings.FILE.read_bytes())["providers"]}
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
    for address in {way.get("base", file["base"]), *(each["url"] for each in file["operations"] if "url" in each)}:
        host = urlsplit(address).netloc
        assert "{" in host or any(host == each or (each[0] == "*" and host.endswith(each[1:])) for each in hosts), host


# Jira: an account may have several sites, whose id is in the address

SITES = [
    {"id": "c1", "name": "acme", "scopes": ["read:jira-work"]},
    {"id": "c2", "name": "acme-wiki", "scopes": ["read:confluence-content.all"]},
]
SITE_URL = "https://api.atlassian.com/oauth/token/accessible-resources"
ISSUE_URL = "https://api.atlassian.com/ex/jira/{}/rest/api/3/issue/SHOP-7"


@pytest.fixture
def call_jira(call_service, monkeypatch):
    """`call_jira(config, *answers)` reads an issue with a connected account; a token takes the place of its grant."""

    def execute(config, *answers):
        file = connector_files.read("jira")
        account = next(way for way in file["auth"] if way["type"] == "oauth2")
        monkeypatch.setattr(
            connector_files, "read", lambda type_: {**file, "auth": [{**account, "type": "http_bearer"}]}
        )
        return call_service("jira", "get_issue", {"issue": "SHOP-7", **config}, *answers)

    return execute


def test_the_only_site_of_an_account_is_found(call_jira):
    output, seen = call_jira({}, answer(SITES), answer({"key": "SHOP-7"}))
    assert output == {"key": "SHOP-7"}
    assert [request["url"] for request in seen] == [SITE_URL, ISSUE_URL.format("c1")]


def test_a_chosen_site_is_not_asked_for(call_jira):
    _, (seen,) = call_jira({"site": "c2"}, answer({"key": "SHOP-7"}))
    assert seen["url"] == ISSUE_URL.format("c2") and not seen["query"]


@pytest.mark.parametrize(
    ("sites", "text"),
    [
        ([*SITES, {**SITES[0], "id": "c3", "name": "other"}], "Site: choose one of: acme, other"),
        ([], "Site: there is none"),
    ],
)
def test_without_one_site_the_account_has_to_say_which(call_jira, sites, text):
    with pytest.raises(NodeError, match=text) as caught:
        call_jira({}, answer(sites))
    assert caught.value.permanent


def test_an_api_token_of_jira_needs_no_site(call_service):
    token = ("http_basic", {"username": "ada@example.com", "password": "pass"})
    _, (seen,) = call_service("jira", "get_issue", {"issue": "SHOP-7"}, answer({}), credential=token)
    assert seen["url"] == "https://host.example.com/rest/api/3/issue/SHOP-7"
