"""Ways to authenticate requests, each with a server that checks it by code of its own."""

import base64
import hashlib
import hmac
import itertools
import re
import ssl
from types import SimpleNamespace
from urllib.parse import parse_qsl, quote, unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from marshmallow import ValidationError
from sites import Site, address, answering, echoing, failure
from werkzeug import Response

from constants import HTTP_CREDENTIALS, TOKEN_TYPES
from net import egress
from net.egress import HttpClient, Rule
from nodes.credentials.types import TYPES
from nodes.http.authorization import choose_challenge

HERE = ["127.0.0.1"]
SECRET = "hunter2+/=hunter2"


def test_the_types_are_those_with_an_authorization():
    assert {type_ for type_, kind in TYPES.items() if kind.authorization} == set(HTTP_CREDENTIALS) & set(TYPES)


# Headers and parameters

QUERY = {"key": ("http_query", {"parameters": {"api_key": SECRET, "app": "a-public-id"}}, HERE)}
HEADERS = {"key": ("http_headers", {"headers": {"X-App-Id": "an-app-id", "X-App-Key": SECRET}}, HERE)}


def test_several_headers_are_sent(run, httpserver):
    seen = run("http", {"url": echoing(httpserver), "credential": "key"}, credentials=HEADERS)["body"]["headers"]
    assert (seen["x-app-id"], seen["x-app-key"]) == ("an-app-id", SECRET)


def test_a_header_of_several_is_not_set_twice(run, httpserver):
    config = {"url": echoing(httpserver), "credential": "key", "headers": {"x-app-key": "mine"}}
    assert "X-App-Key is set by headers and by the credential" in failure(run, config, credentials=HEADERS).message
    with pytest.raises(ValidationError):
        TYPES["http_headers"].load({"headers": {"X-Key": "a", "x-key": "b"}})


def test_parameters_are_sent_in_the_url_in_place_of_others_with_their_names(run, httpserver):
    url = echoing(httpserver) + "?a=1%202&api_key=old"
    ask = {"url": url, "query": {"b": "ä"}, "credential": "key"}
    query = run("http", ask, credentials=QUERY)["body"]["query"]
    assert query.startswith("a=1%202&b=%C3%A4&")
    assert dict(parse_qsl(query)) == {"a": "1 2", "b": "ä", "api_key": SECRET, "app": "a-public-id"}


def test_a_parameter_is_redacted_wherever_the_url_is_shown(run, make_ctx, httpserver):
    httpserver.expect_request("/").respond_with_handler(lambda request: Response(request.url, 400))
    ctx, _ = make_ctx(credentials=QUERY)
    message = failure(run, {"url": address(httpserver), "credential": "key"}, ctx=ctx).message
    assert "api_key=***&app=***" in ctx.clean(message) and "hunter2" not in ctx.clean(message)


def test_parameters_follow_a_redirect_and_links_to_pages_on_the_same_host_only(run, names, httpserver):
    pages = [(200, {"Link": '</pages?p=2>; rel="next"'}, "[1]"), (200, {}, "[2]")]
    answering(httpserver, "/pages", *pages)
    httpserver.expect_request("/old").respond_with_data(status=307, headers={"Location": "/pages"})
    ask = {"url": address(httpserver, "/old"), "credential": "key", "pagination": {"type": "next_link"}}
    assert run("http", ask, credentials=QUERY)["body"] == [1, 2]
    assert [request.args.get("api_key") for request, _ in httpserver.log] == [SECRET] * 3

    names["other.example"] = ["127.0.0.1"]
    away = f"http://other.example:{httpserver.port}/pages"
    httpserver.expect_request("/away").respond_with_data(status=307, headers={"Location": away})
    run("http", {"url": address(httpserver, "/away"), "credential": "key"}, credentials=QUERY)
    assert "api_key" not in httpserver.log[-1][0].url


def test_a_redirect_that_repeats_a_parameter_to_another_host_is_refused(run, names, httpserver):
    names["other.example"] = ["127.0.0.1"]

    def redirect(request):
        return Response(status=307, headers={"Location": f"http://other.example:{httpserver.port}{request.full_path}"})

    httpserver.expect_request("/").respond_with_handler(redirect)
    error = failure(run, {"url": address(httpserver), "credential": "key"}, credentials=QUERY)
    assert "the credential 'key' may not be sent to other.example" in error.message and len(httpserver.log) == 1


@pytest.mark.parametrize("type_", [type_ for type_ in HTTP_CREDENTIALS if type_ not in TOKEN_TYPES])
def test_no_type_is_sent_to_a_host_that_it_is_not_bound_to(run, httpserver, identity, type_):
    given = {
        "http_basic": {"username": "zoe", "password": SECRET},
        "http_bearer": {"token": SECRET},
        "http_header": {"name": "X-Key", "value": SECRET},
        "http_headers": HEADERS["key"][1],
        "http_query": QUERY["key"][1],
        "http_digest": {"username": "zoe", "password": SECRET},
        "oauth1": {"consumer_key": "app", "consumer_secret": SECRET},
        "aws": {"access_key": "AKID", "secret_key": SECRET, "region": "us-east-1", "service": "x"},
        "mtls": identity.data,
    }
    credentials = {"key": (type_, given[type_], ["api.example.com"])}
    error = failure(run, {"url": address(httpserver), "credential": "key"}, credentials=credentials)
    assert "may not be sent to 127.0.0.1" in error.message and not httpserver.log


# Digest


class DigestServer:
    """Checks digests by the formula of RFC 7616. `lives` is the number of requests that a nonce is valid for."""

    def __init__(self, httpserver, algorithm, qop="auth", lives=1_000, others=()):
        self.algorithm, self.qop, self.lives, self.others = algorithm, qop, lives, others
        self.nonces, self.seen, self.count = itertools.count(1), [], 0
        self.nonce = None
        httpserver.expect_request(re.compile("/.*")).respond_with_handler(self.answer)

    def answer(self, request):
        given = dict(re.findall(r'(\w+)=(?:"?)([^",]*)', request.headers.get("Authorization", "")))
        if given.get("nonce") == self.nonce and self.nonce is not None and self.is_right(request, given):
            self.seen.append(given)
            self.count += 1
            if self.count <= self.lives:
                return Response(f'"{given["response"]}"', content_type="application/json")
        is_stale, self.nonce, self.count = self.nonce is not None, f"nonce-{next(self.nonces)}", 0
        qop = f', qop="{self.qop}"' if self.qop else ""
        ours = f'Digest realm="shop, and more", nonce="{self.nonce}", algorithm={self.algorithm}{qop}'
        ours += ", stale=true" if is_stale else ""
        return Response("who?", 401, [("WWW-Authenticate", one) for one in (*self.others, ours)])

    def is_right(self, request, given):
        def digest(text):
            return hashlib.new(self.algorithm.replace("-", "").lower(), text.encode()).hexdigest()

        first, second = digest(f"zoe:shop, and more:{SECRET}"), digest(f"{request.method}:{request.environ['RAW_URI']}")
        parts = [first, given["nonce"], second]
        if self.qop:
            parts = [first, given["nonce"], given["nc"], given["cnonce"], "auth", second]
        return given["username"] == "zoe" and given["response"] == digest(":".join(parts))


DIGEST = {"key": ("http_digest", {"username": "zoe", "password": SECRET}, HERE)}
OTHERS = ('Negotiate, Basic realm="a", Digest realm="x", nonce="y", algorithm=SHA-512-256',)


@pytest.mark.parametrize("qop", ["auth", "auth,auth-int", ""])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_challenge_is_answered(run, httpserver, algorithm, qop):
    server = DigestServer(httpserver, algorithm, qop, others=OTHERS)
    ask = {"url": address(httpserver, "/a%20b?c=d"), "method": "POST", "body": {"item": "tea"}, "credential": "key"}
    assert run("http", ask, credentials=DIGEST)["status"] == 200
    assert len(httpserver.log) == 2 and httpserver.log[1][0].json == {"item": "tea"} and server.seen


def test_a_nonce_is_used_again_with_a_higher_count_until_it_is_stale(run, httpserver):
    server = DigestServer(httpserver, "SHA-256", lives=2)
    pages = {"type": "page", "items": "[@]", "max_pages": 5}
    run("http", {"url": address(httpserver), "credential": "key", "pagination": pages}, credentials=DIGEST)
    counts = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (3, 1)]
    assert [(one["nonce"], one["nc"]) for one in server.seen] == [
        (f"nonce-{nonce}", f"{count:08x}") for nonce, count in counts
    ]


def test_a_wrong_password_fails_after_one_answer(run, httpserver):
    DigestServer(httpserver, "MD5")
    credentials = {"key": ("http_digest", {"username": "zoe", "password": "wrong"}, HERE)}
    error = failure(run, {"url": address(httpserver), "credential": "key"}, credentials=credentials)
    assert "answered 401" in error.message and error.kind == "credential" and len(httpserver.log) == 2


def test_a_digest_is_redacted(run, make_ctx, httpserver):
    server = DigestServer(httpserver, "SHA-256")
    ctx, _ = make_ctx(credentials=DIGEST)
    given = run("http", {"url": address(httpserver), "credential": "key"}, ctx=ctx)
    assert given["body"] == server.seen[0]["response"] and ctx.clean(given["body"]) == "***"


@pytest.mark.parametrize(
    "challenge", ["", "Basic realm=x", "Digest qop=auth-int, nonce=x, realm=y", "Digest algorithm=X"]
)
def test_a_challenge_that_cannot_be_answered_is_a_refusal(run, httpserver, challenge):
    httpserver.expect_request("/").respond_with_data("no", 401, {"WWW-Authenticate": challenge})
    error = failure(run, {"url": address(httpserver), "credential": "key"}, credentials=DIGEST)
    assert "answered 401" in error.message and len(httpserver.log) == 1


def test_a_challenge_without_its_parts_is_not_valid(run, httpserver):
    httpserver.expect_request("/").respond_with_data("no", 401, {"WWW-Authenticate": "Digest realm=x"})
    assert "challenge" in failure(run, {"url": address(httpserver), "credential": "key"}, credentials=DIGEST).message


def test_the_first_challenge_that_can_be_answered_is_chosen_in_linear_time():
    header = 'Basic realm="a, Digest b", Digest realm="c", nonce="1", algorithm=MD5, Digest realm="d", nonce="2"'
    assert choose_challenge(header) == 'Digest realm="c", nonce="1", algorithm=MD5'
    assert choose_challenge('Digest realm="' + "\\" * 1_000_000) == "Digest realm="


def test_the_challenge_of_another_host_is_not_answered(run, names, httpserver):
    names["other.example"] = ["127.0.0.1"]
    httpserver.expect_request("/other").respond_with_data("", 401, {"WWW-Authenticate": 'Digest realm="x", nonce="y"'})
    away = f"http://other.example:{httpserver.port}/other"
    httpserver.expect_request("/").respond_with_data(status=307, headers={"Location": away})
    failure(run, {"url": address(httpserver), "credential": "key"}, credentials=DIGEST)
    assert [request.path for request, _ in httpserver.log] == ["/", "/other"]


# OAuth 1


def is_signed(request, method, secret):
    """Return True if the signature is the one of RFC 5849, section 3.4."""
    header = request.headers["Authorization"]
    given = [(name, unquote(value)) for name, value in re.findall(r'(\w+)="([^"]*)"', header)]
    signed = [pair for pair in given if pair[0] not in ("realm", "oauth_signature")]
    signed += parse_qsl(request.query_string.decode(), True)
    if request.mimetype == "application/x-www-form-urlencoded":
        signed += parse_qsl(request.get_data(as_text=True), True)
    pairs = sorted((quote(name, "~"), quote(value, "~")) for name, value in signed)
    joined = "&".join(f"{name}={value}" for name, value in pairs)
    url = f"http://{request.host}{request.environ['RAW_URI'].partition('?')[0]}"
    text = "&".join(quote(part, "~") for part in (request.method, url, joined))
    digest = hmac.digest(secret.encode(), text.encode(), {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}[method])
    found = dict(given)
    return found["oauth_signature"] == base64.b64encode(digest).decode() and found["oauth_signature_method"] == method


KEYS = {"consumer_key": "app", "consumer_secret": "a&secret of the app"}
TOKENS = {"token": "user", "token_secret": "a+secret of the user"}
CALLS = [
    {},
    {"query": {"b": "ä ö+&='()", "a": ["2", "1"], "c": ""}},
    {"method": "POST", "body": {"item": "tea & cake", "b": ["1", "2"]}, "body_type": "form"},
    {"method": "POST", "body": {"item": "tea"}},
    {"method": "POST", "body": {"item": "tea"}, "body_type": "multipart"},
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("method", ["HMAC-SHA1", "HMAC-SHA256"])
@pytest.mark.parametrize("tokens", [TOKENS, {}])
def test_a_request_is_signed_with_the_keys_of_oauth1(run, make_ctx, httpserver, method, tokens, call):
    secret = quote(KEYS["consumer_secret"]) + "&" + quote(tokens.get("token_secret", ""))

    def answer(request):
        return Response(request.headers["Authorization"], 200 if is_signed(request, method, secret) else 401)

    httpserver.expect_request(re.compile("/shop.*")).respond_with_handler(answer)
    httpserver.expect_request("/old").respond_with_data(status=307, headers={"Location": "/shop?x=y"})
    data = {**KEYS, **tokens, "signature": method, "realm": "Shop"}
    ctx, _ = make_ctx(credentials={"key": ("oauth1", data, HERE)})
    for path in ("/shop%20a?d=1+2", "/old"):
        given = run("http", {"url": address(httpserver, path), "credential": "key", **call}, ctx=ctx)
        assert 'oauth_signature="***"' in ctx.clean(given["body"]) and 'realm="Shop"' in given["body"]


def test_keys_of_oauth1_come_in_pairs():
    with pytest.raises(ValidationError):
        TYPES["oauth1"].load({**KEYS, "token": "user"})


# Client certificates


def make_identity(authority, name, passphrase=None):
    """Return a certificate of the authority for a client, as the data of a credential."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = authority._signed(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), key, x509.BasicConstraints(False, None)
    )
    lock = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock).decode()
    chain = made.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    return {"certificate": chain, "private_key": private} | ({"passphrase": passphrase} if passphrase else {})


@pytest.fixture(scope="module")
def identity(authority):
    return SimpleNamespace(data=make_identity(authority, "shop"), locked=make_identity(authority, "till", SECRET))


@pytest.fixture
def secure(authority):
    """A server that demands a certificate of the authority, and tells whose it got."""
    context = authority.server("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)

    def answer(request):
        found = x509.load_pem_x509_certificate(request.environ["SSL_CLIENT_CERT"].encode())
        return Response(found.subject.rfc4514_string() + " " + request.headers.get("Authorization", ""))

    with Site("127.0.0.1", ssl_context=context) as server:
        server.expect_request("/").respond_with_handler(answer)
        yield server


@pytest.fixture
def trusting(authority):
    client = HttpClient(Rule(["127.0.0.1"]), ca_file=authority.file)
    yield client
    client.close()


def ask_with(run, server, http, data):
    url = f"https://127.0.0.1:{server.port}/"
    return run("http", {"url": url, "credential": "key"}, credentials={"key": ("mtls", data, HERE)}, http=http)["body"]


def test_a_client_certificate_is_presented(run, secure, trusting, identity):
    assert ask_with(run, secure, trusting, identity.data) == "CN=shop "
    assert ask_with(run, secure, trusting, identity.locked) == "CN=till "
    assert ask_with(run, secure, trusting, {**identity.data, "token": SECRET}) == f"CN=shop Bearer {SECRET}"
    login = ask_with(run, secure, trusting, {**identity.data, "username": "zoe", "password": SECRET})
    assert login == "CN=shop Basic " + base64.b64encode(f"zoe:{SECRET}".encode()).decode()


def test_without_the_certificate_the_server_refuses(run, secure, trusting):
    failure(run, {"url": f"https://127.0.0.1:{secure.port}/"}, http=trusting)
    assert not secure.log


def test_parts_of_a_certificate_that_do_not_fit_are_an_error(run, secure, trusting, identity):
    for data in (
        {**identity.data, "private_key": identity.locked["private_key"]},
        {**identity.locked, "passphrase": "wrong"},
        {**identity.data, "private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"},
    ):
        credentials = {"key": ("mtls", data, HERE)}
        config = {"url": f"https://127.0.0.1:{secure.port}/", "credential": "key"}
        error = failure(run, config, credentials=credentials, http=trusting)
        assert "the certificate and its private key cannot be used" in error.message and error.kind == "credential"


def test_a_certificate_is_not_presented_to_another_site_after_a_redirect(run, secure, trusting, authority, identity):
    context = authority.server("127.0.0.1")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(authority.file)
    with Site("127.0.0.1", ssl_context=context) as other:
        other.expect_request("/").respond_with_handler(
            lambda request: Response(str("SSL_CLIENT_CERT" in request.environ))
        )
        away = f"https://127.0.0.1:{other.port}/"
        assert ask_with(run, other, trusting, identity.data) == "True"
        secure.clear()
        secure.expect_request("/").respond_with_data(status=307, headers={"Location": away})
        assert ask_with(run, secure, trusting, {**identity.data, "token": SECRET}) == "False"
        assert "Authorization" not in other.log[-1][0].headers


def test_a_certificate_needs_tls(run, httpserver, identity):
    credentials = {"key": ("mtls", identity.data, HERE)}
    error = failure(run, {"url": address(httpserver), "credential": "key"}, credentials=credentials)
    assert "needs https://" in error.message and not httpserver.log


def test_the_egress_rule_holds_with_a_certificate(run, identity, secure, authority):
    strict = HttpClient(Rule([]), ca_file=authority.file)
    credentials = {"key": ("mtls", identity.data, HERE)}
    config = {"url": f"https://127.0.0.1:{secure.port}/", "credential": "key"}
    error = failure(run, config, credentials=credentials, http=strict)
    strict.close()
    assert error.kind == "egress" and not secure.log


def test_few_clients_are_kept_and_one_in_use_is_closed_after_its_use(monkeypatch, authority):
    monkeypatch.setattr(egress, "MAX_CLIENTS", 2)
    plain = HttpClient(Rule([]))
    made = [make_identity(authority, f"c{number}") for number in range(4)]
    given = [egress.Certificate(one["certificate"], one["private_key"], "") for one in made]
    with plain.with_certificate(given[0]) as first:
        for other in given[1:]:
            with plain.with_certificate(other) as client:
                assert not client._http.is_closed
        assert not first._http.is_closed
    assert first._http.is_closed and len(plain._certified._entries) == 2
    with plain.with_certificate(given[3]) as again:
        assert again is client
    plain.close()
    assert client._http.is_closed


@pytest.mark.parametrize(
    "more", [{"token": "a", "username": "b", "password": "c"}, {"username": "b"}, {"private_key": "x"}]
)
def test_a_certificate_with_two_logins_or_half_a_login_is_refused(identity, more):
    with pytest.raises(ValidationError):
        TYPES["mtls"].load({**identity.data, **more})
