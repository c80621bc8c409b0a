"""From where a webhook may be called: scripts of other sites (CORS), and networks."""

import pytest
from test_webhooks import STOP, definition, respond

from models import LogEntry, Run

pytestmark = pytest.mark.usefixtures("shared_server")

SHOP = "https://shop.example.com"
PATH = "/api/webhooks/orders"
ASKED = {"Origin": SHOP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-a"}


@pytest.fixture
def hook(make_flow):
    """`hook(*nodes, **config)` makes an active flow of them behind /api/webhooks/orders."""
    return lambda *nodes, **config: make_flow(definition(*nodes, **config), status="active", name="Orders")


def cors(answer):
    """Return the CORS headers of an answer without their common prefix, in lower case."""
    return {
        name.lower().removeprefix("access-control-"): value
        for name, value in answer.headers
        if name.lower().startswith("access-control-")
    }


def test_without_origins_no_script_of_another_site_may_read_the_answer(client, hook):
    hook()
    assert cors(client.options(PATH, headers=ASKED)) == cors(client.post(PATH, {}, headers=ASKED)) == {}


def test_a_preflight_request_is_answered_without_a_run(client, hook):
    hook(allow_origins=[SHOP + "/", "https://other.example:443"], methods=["POST", "PUT"])
    answer = client.options(PATH, headers=ASKED)
    assert (answer.status_code, answer.data) == (204, b"")
    assert cors(answer) == {
        "allow-origin": SHOP, "allow-methods": "POST, PUT", "allow-headers": "content-type,x-a", "max-age": "600",
    }  # fmt: skip
    assert set(answer.vary) == {"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}
    assert cors(client.options(PATH, headers={**ASKED, "Origin": "https://other.example"}))
    assert Run.select().count() == 0


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://shop.example.com", SHOP + ".evil.example", "null", ""]
)
def test_another_origin_may_not_read_the_answer(client, hook, origin):
    hook(allow_origins=[SHOP])
    headers = {**ASKED, "Origin": origin}
    preflight, answer = client.options(PATH, headers=headers), client.post(PATH, {}, headers=headers)
    assert cors(preflight) == cors(answer) == {} and "origin" in answer.vary and "origin" in preflight.vary


def test_the_answer_names_the_origin_and_what_its_scripts_may_read(client, hook):
    own = {"X-Total": "7", "Vary": "Accept", "Access-Control-Allow-Origin": "https://evil.example"}
    exposed = ["X-Total", "X-Page"]
    hook(respond(headers=own), respond="node", allow_origins=[SHOP], allow_credentials=True, expose_headers=exposed)
    answer = client.post(PATH, {}, headers={"Origin": SHOP})
    assert answer.headers["X-Total"] == "7" and set(answer.vary) == {"Accept", "Origin"}
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [SHOP]
    assert cors(answer) == {
        "allow-origin": SHOP, "allow-credentials": "true", "expose-headers": "X-Total, X-Page",
    }  # fmt: skip


def test_all_origins_may_read_without_credentials(client, hook):
    hook(allow_origins=["*"])
    assert cors(client.post(PATH, {}, headers={"Origin": "https://any.example"})) == {"allow-origin": "*"}


def test_errors_can_be_read_too(client, hook):
    hook(STOP, respond="last", allow_origins=[SHOP], max_body_bytes=10)
    too_large = client.post(PATH, {"x": "y" * 100}, headers={"Origin": SHOP})
    failed = client.post(PATH, {}, headers={"Origin": SHOP})
    assert (too_large.status_code, failed.status_code) == (413, 500)
    assert cors(too_large) == cors(failed) == {"allow-origin": SHOP}


@pytest.mark.parametrize("asked", ["x" * 5000, "a\x7fb", "é"])
def test_a_list_of_headers_that_is_none_is_not_repeated(client, hook, asked):
    hook(allow_origins=[SHOP])
    answer = client.options(PATH, headers={**ASKED, "Access-Control-Request-Headers": asked})
    assert "allow-headers" not in cors(answer) and "allow-origin" in cors(answer)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"allow_origins": ["https://shop.example.com/path"]}, "without a path"),
        ({"allow_origins": ["shop.example.com"]}, "Must be an origin"),
        ({"allow_origins": ["*", SHOP]}, "not both"),
        ({"allow_origins": ["*"], "allow_credentials": True}, "Name the origins"),
        ({"allow_credentials": True}, "Name the origins"),
        ({"allow_origins": []}, "must not be empty"),
        ({"expose_headers": ["no good"]}, "valid HTTP header"),
        ({"allow_ips": ["10.0.0.0/33"]}, "IP address or a network"),
        ({"allow_ips": ["shop.example.com"]}, "IP address or a network"),
    ],
)
def test_wrong_settings_are_refused(owner, config, text):
    body = {"name": "x", "status": "active", "definition": definition(**config)}
    answer = owner.post("/api/flows", body)
    assert answer.status_code == 400 and text.lower() in answer.json["error"].lower()


# Networks


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("203.0.113.9", 202),
        ("::ffff:203.0.113.9", 202),
        ("2001:db8:7::1", 202),
        ("198.51.100.7", 202),
        ("203.0.114.9", 403),
        ("2001:db9::1", 403),
        ("::cb00:7109", 403),
        ("", 403),
    ],
)
def test_only_the_networks_of_the_list_may_call(client, hook, address, status):
    hook(allow_ips=["203.0.113.5/24", "2001:db8::/32", "198.51.100.7"])
    answer = client.post(PATH, {}, environ_base={"REMOTE_ADDR": address})
    assert answer.status_code == status
    assert Run.select().count() == (status == 202)


def test_a_refused_address_is_in_the_log_of_the_flow_once_a_minute(app, client, hook):
    hook(allow_ips=["203.0.113.0/24"], auth="none")
    for _ in range(3):
        assert client.post(PATH, {}, environ_base={"REMOTE_ADDR": "198.51.100.1"}).status_code == 403
    app.extensions["headrace"].recorder.commit([])
    (entry,) = LogEntry.select().where(LogEntry.level == "warning")
    assert "198.51.100.1 was refused: this address may not call it" in entry.message


def test_a_header_of_a_proxy_that_is_not_trusted_does_not_count(client, hook):
    hook(allow_ips=["203.0.113.0/24"])
    headers = {"X-Forwarded-For": "203.0.113.9"}
    assert client.post(PATH, {}, headers=headers, environ_base={"REMOTE_ADDR": "198.51.100.1"}).status_code == 403


def test_the_list_holds_for_test_calls_too(owner, client, make_flow):
    flow = make_flow(definition(allow_ips=["203.0.113.0/24"], allow_origins=[SHOP], respond="last"))
    assert owner.post(f"/api/workflows/{flow['id']}/test-call", {}).status_code == 201
    path, headers = f"/api/webhooks-test/{flow['id']}/orders", {"Origin": SHOP}
    assert client.options(path, headers=ASKED).headers["Access-Control-Allow-Origin"] == SHOP
    refused = client.post(path, {}, headers=headers, environ_base={"REMOTE_ADDR": "198.51.100.1"})
    assert refused.status_code == 403 and cors(refused) == {"allow-origin": SHOP}
    answer = client.post(path, {}, headers=headers, environ_base={"REMOTE_ADDR": "203.0.113.1"})
    assert answer.status_code == 200 and cors(answer) == {"allow-origin": SHOP}
