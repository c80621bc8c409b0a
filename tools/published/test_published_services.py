"""Requests of connectors, and of triggers that register webhooks, are compared with more packages."""

import re
from urllib.parse import urlsplit

import published_apis
import published_services as services
import pytest
from connector_requests import operations_of, requests_of
from published_apis import ANY, Call
from published_packages import path_pattern
from typescript_types import Type

from packs.connectors.app_triggers import app_trigger

METHODS = {
    "baserow": services.baserow_methods,
    "jotform": services.jotform_methods,
    "shopify": services.shopify_methods,
    "typeform": services.typeform_methods,
    "whatsapp": services.whatsapp_methods,
    "wordpress": services.wordpress_methods,
    "zendesk": services.zendesk_methods,
}
BEFORE = re.compile(
    r"^(/admin/api/[\d-]+|/api(?=/database)|/wp-json|/(v[\d.]+|x)(?=/))"
)  # the paths of the packages follow these
NEWER = "wpapi has the routes of WordPress 4.9: developer.wordpress.org/rest-api/reference/"
SORTED = "Shopify does not document it for lists"
SALESFORCE = "developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/"
SENDGRID = "the package has mails only: www.twilio.com/docs/sendgrid/api-reference/"
ELSEWHERE = {  # what the packages do not know, and where it is from
    ("baserow", "create_row", "before"): "api.baserow.io/api/redoc/, create_database_table_row",
    ("baserow", "delete_row", "user_field_names"): "goes with all requests, also where it has no meaning",
    ("baserow", "list_fields", "user_field_names"): "goes with all requests, also where it has no meaning",
    ("sendgrid", "create_list", "/marketing/lists"): SENDGRID + "lists/create-list",
    ("sendgrid", "delete_contacts", "/marketing/contacts"): SENDGRID + "contacts/delete-contacts",
    ("sendgrid", "list_lists", "/marketing/lists"): SENDGRID + "lists/get-all-lists",
    ("sendgrid", "search_contacts", "/marketing/contacts/search"): SENDGRID + "contacts/search-contacts",
    ("sendgrid", "upsert_contacts", "/marketing/contacts"): SENDGRID + "contacts/add-or-update-a-contact",
    ("shopify", "list_customers", "order"): SORTED,
    ("shopify", "list_orders", "order"): SORTED,
    ("shopify", "list_products", "order"): SORTED,
    ("salesforce", "get_record", "fields"): SALESFORCE + "dome_get_field_values.htm",
    ("salesforce", "search", "/parameterizedSearch"): SALESFORCE + "resources_search_parameterized.htm",
    ("typeform", "create", "event_types"): "www.typeform.com/developers/webhooks/reference/create-or-update-webhook/",
    ("whatsapp", "get_media", "phone_number_id"): "developers.facebook.com/docs/whatsapp/cloud-api/reference/media",
    ("wordpress", "delete_page", "force"): NEWER + "pages/#delete-a-page",
    ("wordpress", "delete_post", "force"): NEWER + "posts/#delete-a-post",
    ("wordpress", "list_pages", "modified_after"): NEWER + "pages/#list-pages",
    ("wordpress", "list_posts", "modified_after"): NEWER + "posts/#list-posts",
    (
        "zendesk",
        "create_ticket",
        "ticket.requester",
    ): "developer.zendesk.com/api-reference/ticketing/tickets/tickets/#create-ticket",
}


def told_of(methods, method, path):
    """Return what the calls of this path say together; None if there is none."""
    found = [(len(pattern.pattern), told) for verb, pattern, told in methods if verb == method and pattern.match(path)]
    told = [each for length, each in found if length == max(found, key=lambda pair: pair[0])[0]]
    if not told:
        return None
    bodies = [each.body for each in told]
    body = ANY if ANY in bodies else {name: inner for each in bodies for name, inner in each.items()}
    return Call(set().union(*(each.query for each in told)), body)


@pytest.mark.parametrize(("type_", "id_"), operations_of(*METHODS))
def test_packages_know_what_is_sent(type_, id_):
    unknown = set()
    for method, url, query, body in requests_of(type_, id_, all_choices=True):
        if urlsplit(url).netloc == "lookaside.fbsbx.com":
            continue  # the address of a file, which Meta gave
        told = told_of(METHODS[type_](), method, BEFORE.sub("", urlsplit(url).path))
        assert told is not None, (method, url)
        sent = {name.partition("[")[0]: value for name, value in body.items()} if isinstance(body, dict) else {}
        unknown |= {(type_, id_, name) for name in {*query} - told.query}
        unknown |= {(type_, id_, name) for name in published_apis.unknown_fields(sent, told.body)}
    assert unknown == {key for key in ELSEWHERE if key[:2] == (type_, id_)}


@pytest.mark.parametrize(("type_", "id_"), operations_of("woocommerce"))
def test_woocommerce_has_the_fields_that_are_sent(type_, id_):
    names = {"orders": "Orders", "products": "Products", "customers": "Customers"}
    for _, url, _, body in requests_of(type_, id_, all_choices=True):
        kind = names[urlsplit(url).path.removeprefix("/wp-json/wc/v3/").partition("/")[0]]
        assert services.woocommerce_types().problems(body or {}, Type("name", (kind,)), optional=True) == [], url


@pytest.mark.parametrize(("type_", "id_"), operations_of("supabase"))
def test_supabase_knows_what_is_sent(type_, id_):
    names, operators = services.postgrest_words()
    for method, url, query, body in requests_of(type_, id_, all_choices=True):
        path = urlsplit(url).path
        if path.startswith("/storage/v1/"):
            path = re.sub("/[^/]+/[^/]+$", "/x", path) if "/invoices/" in path else path  # a path within the bucket
            path = path.removeprefix("/storage/v1").replace(
                "/object/authenticated/", "/object/"
            )  # the same with a token
            told = told_of(services.storage_methods(), method, path)
            assert told is not None, (method, url)
            assert list(published_apis.unknown_fields(body if isinstance(body, dict) else {}, told.body)) == []
            continue
        for name, value in query.items():
            assert name in names or value.partition(".")[0] in operators, (url, name)


@pytest.mark.parametrize(("type_", "id_"), operations_of("sendgrid"))
def test_sendgrid_knows_what_is_sent(type_, id_):
    unknown = set()
    for _, url, _, body in requests_of(type_, id_, all_choices=True):
        path = urlsplit(url).path.removeprefix("/v3")
        sent = published_apis.unknown_fields(body, services.sendgrid_fields()) if path == "/mail/send" else [path]
        unknown |= {(type_, id_, name) for name in sent}
    assert unknown == {key for key in ELSEWHERE if key[:2] == (type_, id_)}


@pytest.mark.parametrize(("type_", "id_"), operations_of("gemini"))
def test_gemini_knows_what_is_sent(type_, id_):
    paths, words = services.gemini_words()
    patterns = [
        path_pattern("/" + path.replace("{model}", "models/{x}").replace("{models_url}", "models")) for path in paths
    ]
    unknown = set()
    for _, url, query, body in requests_of(type_, id_, all_choices=True):
        path = urlsplit(url).path.removeprefix("/upload").removeprefix("/v1beta")
        names = {*query, *names_in(body, FREE_FIELDS)} - words
        unknown |= {(type_, id_, name) for name in names}
        unknown |= set() if any(pattern.match(path) for pattern in patterns) else {(type_, id_, path)}
    assert unknown == {key for key in ELSEWHERE if key[:2] == (type_, id_)}


FREE_FIELDS = {"responseSchema", "responseJsonSchema"}  # schemas of the user


def names_in(value, free):
    """Return the names of all fields in a body, without those in free fields."""
    if isinstance(value, list):
        return {name for item in value for name in names_in(item, free)}
    if not isinstance(value, dict):
        return set()
    return set(value) | {name for key, inner in value.items() if key not in free for name in names_in(inner, free)}


@pytest.mark.parametrize(("type_", "id_"), operations_of("reddit"))
def test_reddit_knows_what_is_sent(type_, id_):
    paths, words = services.reddit_paths()
    for _, url, query, body in requests_of(type_, id_, all_choices=True):
        path = urlsplit(url).path
        path, _, sort = path.rpartition("/") if id_ == "list_posts" else (path, "", "")  # PRAW adds the sort to a path
        assert any(pattern.match(path) for pattern in paths) and (not sort or sort in words), url
        assert {*query, *(body or {})} - words == set(), url


@pytest.mark.parametrize(("type_", "id_"), operations_of("salesforce"))
def test_salesforce_knows_what_is_sent(type_, id_):
    unknown = set()
    for method, url, query, _ in requests_of(type_, id_, all_choices=True):
        path = urlsplit(url).path.removeprefix("/services/data/v62.0")
        told = told_of(services.salesforce_methods(), method, path)
        unknown |= {(type_, id_, name) for name in ([path] if told is None else {*query} - told.query)}
    assert unknown == {key for key in ELSEWHERE if key[:2] == (type_, id_)}


@pytest.mark.parametrize("name", ["jotform", "shopify", "typeform"])
def test_services_know_how_their_triggers_register_webhooks(name):
    register, unknown = app_trigger.read(f"{name}_trigger")["register"], set()
    for call in ("find", "create", "remove"):
        path, _, query = register[call]["path"].partition("?")
        told = told_of(METHODS[name](), register[call]["method"], path)
        assert told is not None, path
        assert {part.partition("=")[0] for part in query.split("&") if part} - told.query == set(), path
        sent = published_apis.unknown_fields(register[call].get("body", {}), told.body)
        unknown |= {(name, call, field) for field in sent}
    assert unknown == {key for key in ELSEWHERE if key[0] == name and key[1] in register}
