"""Requests of connectors are compared with clients that services publish, or generate from their descriptions."""

from urllib.parse import urlsplit

import published_apis
import published_clients as clients
import pytest
from connector_requests import operations_of, requests_of

HUBSPOT = {
    "contacts": "contacts",
    "companies": "companies",
    "deals": "deals",
    "notes": "objects/notes",
    "owners": "owners",
    "properties": "properties",
}


def hubspot(path):
    kind = path.split("/")[4 if "/objects/" in path else 3]
    return clients.swagger_methods("hubspot_api_client", f"hubspot/crm/{HUBSPOT[kind]}/api/*.py")


METHODS = {
    "airtable": lambda path: clients.airtable_methods(),
    "calendly": lambda path: clients.arcade_methods("arcade_calendly_api", "https://api.calendly.com"),
    "clickup": lambda path: clients.arcade_methods("arcade_clickup_api", "https://api.clickup.com/api/v2"),
    "elevenlabs": lambda path: clients.fern_methods("elevenlabs"),
    "facebook": lambda path: clients.graph_methods("page", "post", "comment", "iguser"),
    "hubspot": hubspot,
    "intercom": lambda path: clients.fern_methods("python_intercom"),
    "mailchimp": lambda path: clients.swagger_methods("mailchimp_marketing", "mailchimp_marketing/api/*.py"),
    "mattermost": lambda path: clients.mattermost_methods(),
    "perplexity": lambda path: clients.stainless_methods("perplexityai"),
    "twilio": lambda path: clients.twilio_methods("twilio/rest/api/v2010/account/[cm]*/__init__.py"),
    "x": lambda path: clients.x_methods(),
}
BEFORE = {
    "airtable": "/v0",
    "clickup": "/api/v2",
    "facebook": "/v26.0",
    "mailchimp": "/3.0",
    "twilio": "/2010-04-01",
}  # the paths of the clients follow these
FREE = {("facebook", "call"), ("facebook", "send")}  # requests that the user writes


@pytest.mark.parametrize(("type_", "id_"), [each for each in operations_of(*METHODS) if each not in FREE])
def test_clients_know_what_is_sent(type_, id_):
    for method, url, query, body in requests_of(type_, id_, all_choices=True):
        path = urlsplit(url).path.removeprefix(BEFORE.get(type_, ""))
        told = published_apis.find(METHODS[type_](path), method, path)
        assert told is not None, (method, url)
        assert {name.removesuffix("[]") for name in query} - told.query == set(), url
        assert list(published_apis.unknown_fields(body if isinstance(body, dict) else {}, told.body)) == [], url


@pytest.mark.parametrize(("type_", "id_"), operations_of("telegram"))
def test_telegram_knows_what_is_sent(type_, id_):
    for _, url, query, body in requests_of(type_, id_, all_choices=True):
        if "/file/" in url:
            continue  # the address of a file, which Telegram gave
        told = clients.telegram_methods()[url.rpartition("/")[2]]
        assert list(published_apis.unknown_fields({**query, **(body or {})}, told)) == [], url


@pytest.mark.parametrize(("type_", "id_"), operations_of("quickbooks"))
def test_quickbooks_knows_what_is_sent(type_, id_):
    for _, url, _, body in requests_of(type_, id_, all_choices=True):
        object_ = urlsplit(url).path.split("/")[4]  # after /v3/company/123
        assert object_ == "query" or object_.capitalize() in clients.quickbooks_classes(), url
        assert list(published_apis.unknown_fields(body or {}, clients.quickbooks_shape(object_.capitalize()))) == [], (
            url
        )
