"""Requests of the Pipedrive and Discord connectors are compared with packages that describe these services."""

import re
from urllib.parse import urlsplit

import published_apis
import published_routes as published
import pytest
from connector_requests import operations_of, requests_of

from packs.connectors import connector_files


@pytest.mark.parametrize(("type_", "id_"), operations_of("pipedrive"))
def test_pipedrive_knows_what_is_sent(type_, id_):
    for method, url, query, body in requests_of(type_, id_, all_choices=True):
        told = published_apis.find(published.pipedrive_methods(), method, urlsplit(url).path.removeprefix("/api/v2"))
        assert told is not None, (method, url)
        assert set(query) - told.query == set(), url
        assert list(published_apis.unknown_fields(body or {}, told.body)) == [], url


@pytest.mark.parametrize(("type_", "id_"), operations_of("discord", "discord_webhook"))
def test_discord_knows_what_is_sent(type_, id_):
    operation = next(each for each in connector_files.read(type_)["operations"] if each["id"] == id_)
    bodies, queries = published.discord_fields()
    for method, url, query, body in requests_of(type_, id_, all_choices=True):
        path = urlsplit(url).path.removeprefix("/api/v10")
        path = re.sub("^/webhooks/[^/]+", "/webhooks/123/ABC", path)  # its id and token are one secret
        is_message = method == "POST" and path.endswith("/messages")  # also the second request of a direct message
        place = "create-message" if is_message else operation["docs"].partition("#")[2]
        assert any(verb == method and pattern.match(path) for verb, pattern in published.discord_routes()), (
            method,
            url,
        )
        if query and place in queries:
            assert set(query) - queries[place] == set(), url
        if isinstance(body, dict) and place in bodies and "files[0]" not in body:
            assert set(body) - bodies[place] == set(), url
