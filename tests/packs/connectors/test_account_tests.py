"""Testing the account of a known service: a cheap request of its own, and its result in words."""

import pytest
from connector_stub import HOST, Stub, aim, answer, values_of

from errors import NodeError
from nodes.credentials.types import CHECKS
from packs.connectors import connector_files, trials
from packs.connectors.trials import Service, ask, find_service

FILES = {type_: connector_files.read(type_) for type_ in sorted(connector_files.types())}
KEYS = ("http_bearer", "http_header", "http_headers", "http_query", "http_basic", "secret")
WAYS = [(type_, way) for type_, file in FILES.items() for way in file.get("auth", ()) if way["type"] in KEYS]
IDS = [f"{type_} {way['type']}" for type_, way in WAYS]
ANSWERS: dict = {"woocommerce": []}
QUERY = {"parameters": {"key": "key-3c9f1e", "token": "tok-3c9f1e"}}


@pytest.mark.parametrize(("type_", "way"), WAYS, ids=IDS)
def test_a_key_is_tested_without_an_address(type_, way, httpserver, make_ctx):
    stub = Stub(httpserver, [answer(ANSWERS.get(type_, {"data": {}})), answer({"error": "no"}, 401)])
    file = aim(FILES[type_], stub.port)
    ctx, _ = make_ctx(credentials={"mine": (way["type"], values_of(way) or QUERY, [HOST])})
    aimed = next(each for each in file["auth"] if each["type"] == way["type"])
    said = ask(Service(type_, file, aimed), "mine", ctx)
    assert said.startswith(f"{file['name']} accepted the ")
    assert stub.seen[0]["method"] in ("GET", "POST") and "{" not in stub.seen[0]["url"]
    with pytest.raises(NodeError, match=f"^{file['name']} refused the .+ Check that it is complete"):
        ask(Service(type_, file, aimed), "mine", ctx)
    assert len(stub.seen) == 2


def ask_airtable(httpserver, make_ctx, *answers):
    file = aim(FILES["airtable"], Stub(httpserver, answers).port)
    ctx, _ = make_ctx(credentials={"mine": ("http_bearer", {"token": "pat-1"}, [HOST])})
    return ask(Service("airtable", file, file["auth"][0]), "mine", ctx)


def test_the_result_names_the_account(httpserver, make_ctx):
    said = ask_airtable(httpserver, make_ctx, answer({"id": "usr1", "email": "ada@example.com"}))
    assert said == "Airtable accepted the personal access token of ada@example.com"


def test_a_refused_token_is_told_in_plain_words(httpserver, make_ctx):
    with pytest.raises(NodeError) as caught:
        ask_airtable(httpserver, make_ctx, answer({"error": {"message": "Invalid token"}}, 401))
    assert caught.value.message == (
        "Airtable refused the personal access token. Check that it is complete and still valid "
        "(401 UNAUTHORIZED: Invalid token)"
    )


def test_another_failure_names_the_service_and_no_address(httpserver, make_ctx):
    with pytest.raises(NodeError) as caught:
        ask_airtable(httpserver, make_ctx, answer({"error": "over quota"}, 403))
    assert caught.value.message == "Airtable answered 403 FORBIDDEN: over quota"


def test_a_key_with_few_rights_is_accepted_all_the_same(httpserver, make_ctx):
    file = aim(FILES["stripe"], Stub(httpserver, [answer({"error": {"message": "Not permitted"}}, 403)]).port)
    ctx, _ = make_ctx(credentials={"mine": ("http_bearer", {"token": "rk_1"}, [HOST])})
    assert ask(Service("stripe", file, file["auth"][0]), "mine", ctx) == "Stripe accepted the secret key"


@pytest.mark.parametrize(
    ("given", "service"),
    [
        (("http_bearer", ("api.airtable.com",)), "airtable"),
        (("http_basic", ("acme.zendesk.com",)), "zendesk"),
        (("http_bearer", ("api.example.com",)), None),
        (("http_bearer", ()), None),
        (("http_basic", ("blog.example.com",)), None),
        (("secret", ("api.telegram.org",)), "telegram"),
        (("oauth2", (), "", "airtable"), "airtable"),
        (("oauth2", (), "", "google"), None),
        (("oauth2", (), "Google Sheets 2", "google"), "google_sheets"),
        (("http_bearer", ("graph.facebook.com",), "WhatsApp Business"), "whatsapp"),
        (("oauth2", (), "", "google", "google_drive"), "google_drive"),
        (("http_bearer", (), "", "", "no_such_service"), None),
    ],
)
def test_the_service_of_a_credential_is_found(given, service):
    found = find_service(*given)
    assert (found and found.type) == service


def test_credentials_of_other_services_still_ask_for_an_address(make_ctx):
    ctx, _ = make_ctx(credentials={"mine": ("http_bearer", {"token": "t"}, ["api.example.com"])})
    with pytest.raises(trials.Untested, match="Enter a URL"):
        CHECKS["http_bearer"](ctx.credential("mine"), ctx, {})
    ctx, _ = make_ctx(credentials={"mine": ("secret", {"value": "t"}, [])})
    with pytest.raises(trials.Untested, match="no server to log in to"):
        CHECKS["secret"](ctx.credential("mine"), ctx, {})


# An API that is switched off

PAGE = "https://console.cloud.google.com/apis/library/sheets.googleapis.com?project=123456789012"
BARE = PAGE.partition("?")[0]
INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED", "domain": "googleapis.com"}
DETAILS = [{**INFO, "metadata": {"consumer": "projects/123456789012", "service": "sheets.googleapis.com"}}]
OFF = "Google Sheets API has not been used in project 123456789012 before or it is disabled."
AT = "Enable it by visiting https://console.developers.google.com/apis/api/{}/overview?project=123456789012 then retry."


def off(**error):
    return {"error": {"code": 403, "message": OFF, **error}}


@pytest.mark.parametrize(
    ("body", "page"),
    [
        (off(status="PERMISSION_DENIED", details=DETAILS), PAGE),
        (off(message=f"{OFF} {AT.format('sheets.googleapis.com')}", errors=[{"reason": "accessNotConfigured"}]), PAGE),
        (
            off(details=[{**INFO, "metadata": {"service": "sheets.googleapis.com", "consumer": 'x"><b>'}}]),
            BARE,
        ),
        (off(details=[{**INFO, "metadata": {"service": "evil.example.com/sheets.googleapis.com"}}]), None),
        (off(message=AT.format("evil.example.com"), errors=[{"reason": "accessNotConfigured"}]), None),
        (off(details=[{"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]), None),
        (off(details="SERVICE_DISABLED", errors=7), None),
    ],
)
def test_an_api_that_is_switched_off_is_named_with_its_page(call_service, body, page):
    with pytest.raises(NodeError) as caught:
        call_service("google_sheets", "list_spreadsheets", {}, answer(body, 403))
    text = caught.value.message
    if page is None:
        assert "console.cloud.google.com" not in text
    else:
        assert f"The Google Sheets API is switched off in your Google Cloud project. Switch it on at {page} and" in text
