"""The services with ready settings, in packs/oauth/providers.json."""

import json
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest
from werkzeug import Response

from nodes.credentials.types import TYPES
from packs.oauth.credential_types import OWN_PARAMETERS
from packs.oauth.settings import FILE, SCHEMA, providers, settings_of
from packs.oauth.token_requests import exchange_code, make_authorization_url

WANTED = {
    *("google", "microsoft", "github", "gitlab", "slack", "notion", "airtable", "hubspot", "linkedin", "x", "dropbox"),
    *("zoom", "salesforce", "xero", "quickbooks", "spotify", "discord", "atlassian"),
}


def test_the_file_has_the_form_of_its_schema():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(FILE.read_text(encoding="utf-8")), schema)


def test_the_services_people_use_most_are_there_once():
    listed = json.loads(FILE.read_text(encoding="utf-8"))["providers"]
    ids = [provider["id"] for provider in listed]
    assert set(ids) >= WANTED and len(ids) == len(set(ids)) == len(providers())
    assert len({provider["name"] for provider in listed}) == len(listed)


@pytest.mark.parametrize("id_", sorted(providers()))
def test_a_client_id_and_a_secret_are_enough(id_):
    provider = providers()[id_]
    data = TYPES["oauth2"].load({"provider": id_, "client_id": "me", "client_secret": "hunter2hunter2"})
    assert TYPES["oauth2"].hosts(data) == tuple(provider["hosts"])
    settings = settings_of("oauth2", data)
    url = make_authorization_url(settings, "the-state", "v" * 50, "https://flows.example.com/api/oauth/callback")
    asked = parse_qs(urlsplit(url).query)
    wanted = [scope["value"] for scope in provider["scopes"] if scope.get("default")]
    separator = "," if provider.get("separator") == "comma" else " "
    found = asked.get(provider.get("scope_parameter", "scope"), [""])[0]
    assert [scope for scope in found.split(separator) if scope] == wanted
    assert asked["state"] == ["the-state"] and asked["client_id"] == ["me"]
    assert ("code_challenge" in asked) == provider["pkce"]
    assert provider.get("parameters", {}).items() <= {name: values[0] for name, values in asked.items()}.items()
    assert "hunter2" not in url and not OWN_PARAMETERS & provider.get("parameters", {}).keys()
    assert len({scope["value"] for scope in provider["scopes"]}) == len(provider["scopes"])


def test_values_of_the_credential_come_before_those_of_the_service():
    url = "https://git.example.com/oauth/token"
    data = {"provider": "gitlab", "client_id": "me", "client_secret": "s", "token_url": url, "scope": "read_api"}
    settings = settings_of("oauth2", TYPES["oauth2"].load(data))
    assert (settings.token_url, settings.scopes) == (url, ("read_api",))
    assert settings.authorization_url == "https://gitlab.com/oauth/authorize"


def test_the_first_token_of_facebook_is_exchanged_for_a_lasting_one(httpserver, make_ctx):
    asked = []

    def answer(request):
        asked.append(request.form.to_dict())
        lasting = request.form["grant_type"] == "fb_exchange_token"
        token = {"access_token": "lasting-1" if lasting else "short-1", "expires_in": 5_184_000 if lasting else 3_600}
        return Response(json.dumps({**token, "token_type": "bearer"}), mimetype="application/json")

    httpserver.expect_request("/token", method="POST").respond_with_handler(answer)
    data = {
        "provider": "facebook",
        "client_id": "me",
        "client_secret": "s3cret-s3cret",
        "token_url": httpserver.url_for("/token"),
    }
    settings = settings_of("oauth2", TYPES["oauth2"].load(data))
    issued = exchange_code(settings, "code-1", "", "https://flows.example.com/api/oauth/callback", make_ctx()[0])
    assert (issued.access_token, issued.life, issued.renew_after) == ("lasting-1", 5_184_000, 86_400)
    client = {"client_id": "me", "client_secret": "s3cret-s3cret"}
    assert asked[1] == {"grant_type": "fb_exchange_token", "fb_exchange_token": "short-1", **client}


GOOGLE = {"provider": "google", "client_id": "me", "client_secret": "s"}


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"client_id": "me", "client_secret": "s"}, "authorization_url"),
        ({"provider": "nobody", "client_id": "me", "client_secret": "s"}, "provider"),
        ({"provider": "google", "client_id": "me"}, "client_secret"),
        ({"provider": "google", "client_secret": "s"}, "client_id"),
        (
            {**GOOGLE, "token_url": "http://example.com"},
            "token_url",
        ),
        ({**GOOGLE, "parameters": "state=x"}, "parameters"),
        ({**GOOGLE, "parameters": "x"}, "parameters"),
        (
            {**GOOGLE, "revocation_url": "file:///etc"},
            "revocation_url",
        ),
        (
            {**GOOGLE, "authorization_url": "javascript:alert(1)"},
            "authorization_url",
        ),
    ],
)
def test_a_credential_that_could_not_be_connected_is_refused(data, place):
    assert place in TYPES["oauth2"].validate(data)


def test_a_public_client_needs_no_secret():
    data = {"provider": "x", "client_id": "me", "auth": "none"}
    assert not TYPES["oauth2"].validate(data) and settings_of("oauth2", data).auth == "none"


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"scope": "a"}, "client_email"),
        ({"scope": "a", "key": "{}"}, "key"),
        ({"scope": "a", "key": "no json"}, "key"),
        ({"scope": "a", "key": '{"client_email": "a", "private_key": "b", "token_uri": "http://example.com"}'}, "key"),
        ({"key": '{"client_email": "a", "private_key": "b"}'}, "scope"),
    ],
)
def test_a_service_account_needs_its_key(data, place):
    assert place in TYPES["google_service_account"].validate(data)


def test_the_private_key_in_a_key_file_is_a_secret():
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END PRIVATE KEY-----\n"
    data = {"key": json.dumps({"client_email": "a@b.c", "private_key": key}), "scope": "a"}
    assert set(TYPES["google_service_account"].secrets(data)) == {data["key"], key}
