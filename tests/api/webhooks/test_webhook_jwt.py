"""Webhooks whose callers send a token (JWT): which tokens prove something, and key sets that change or are down."""

import base64
import hmac
import time

import orjson
import pytest
from joserfc import jwk, jwt
from test_webhooks import definition

from api.webhooks.auth import (
    MAX_AGE,
    MAX_KEYS,
    MAX_STALE,
    MAX_TOKEN,
    MIN_PAUSE,
    KeySets,
    make_fetch,
    read_claims,
    read_key_set,
)
from errors import NodeError, Unavailable
from models import Credential, Run
from net.egress import HttpClient, Rule

pytestmark = [
    pytest.mark.usefixtures("shared_server"),
    pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning"),
]

NOW = 1_700_000_000
SECRET = "0123456789abcdef0123456789abcdef"
RSA = jwk.RSAKey.generate_key(2048, {"kid": "one"})
EC = jwk.ECKey.generate_key("P-256", {"kid": "two"})
ED = jwk.OKPKey.generate_key("Ed25519", {"kid": "three"})
CLAIMS = {"iss": "https://login.example.com", "aud": "orders", "sub": "ada", "exp": NOW + 60}


def pem(key):
    return key.as_pem(private=False).decode()


def token(key, algorithm, claims=CLAIMS, **header):
    return jwt.encode({"alg": algorithm, **header}, claims, key, algorithms=[algorithm])


def hs256(claims=CLAIMS, secret=SECRET, algorithm="HS256"):
    return token(jwk.OctKey.import_key(secret), algorithm, claims)


def read(secret, sent, now=NOW, key_sets=None):
    return read_claims({"algorithm": "HS256", "leeway": 0, **secret}, f"Bearer {sent}", now, key_sets)


# Tokens


def test_a_token_with_a_shared_secret_gives_its_claims():
    assert read({"secret": SECRET}, hs256()) == CLAIMS
    assert read({"secret": SECRET, "algorithm": "HS512"}, hs256(algorithm="HS512")) == CLAIMS
    assert read({"secret": SECRET, "issuer": CLAIMS["iss"], "audience": "orders"}, hs256()) == CLAIMS


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519")]
)
def test_a_token_with_a_public_key_gives_its_claims(key, algorithm):
    assert read({"public_key": pem(key)}, token(key, algorithm)) == CLAIMS


@pytest.mark.parametrize(
    "sent",
    [
        "", "x", "a.b.c", "a" * 9000, "é.é.é", hs256(secret="f" * 32), hs256(algorithm="HS384"), hs256() + "x",
        hs256()[:-2], hs256({**CLAIMS, "exp": NOW}), hs256({**CLAIMS, "exp": "tomorrow"}), hs256({"sub": "ada"}),
        hs256({**CLAIMS, "nbf": NOW + 1}), hs256({**CLAIMS, "iss": "https://evil.example"}),
        hs256({**CLAIMS, "aud": ["other"]}), hs256({name: CLAIMS[name] for name in ("exp", "aud")}),
        hs256({**CLAIMS, "big": 2**70}),
    ],
)  # fmt: skip
def test_any_other_token_proves_nothing(sent):
    assert read({"secret": SECRET, "issuer": CLAIMS["iss"], "audience": "orders"}, sent) is None


def test_the_token_does_not_choose_the_algorithm():
    none = ".".join((hs256().split(".")[0].replace("HS", "no"), hs256().split(".")[1], ""))
    unsigned = "eyJhbGciOiJub25lIn0." + hs256().split(".")[1] + "."
    # As some libraries would make it: the public key as the secret of an HMAC.
    signed = hs256().rpartition(".")[0]
    digest = hmac.digest(pem(RSA).encode(), signed.encode(), "sha256")
    as_secret = f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
    assert read({"public_key": pem(RSA)}, as_secret) is None
    assert read({"public_key": pem(RSA)}, token(EC, "ES256")) is None
    assert [read({"secret": SECRET}, sent) for sent in (none, unsigned)] == [None, None]


def test_clocks_may_differ_by_the_leeway():
    late = hs256({**CLAIMS, "exp": NOW - 30, "nbf": NOW - 60})
    assert read({"secret": SECRET, "leeway": 31}, late) and read({"secret": SECRET, "leeway": 29}, late) is None


def test_the_scheme_must_be_bearer():
    secret = {"secret": SECRET, "algorithm": "HS256", "leeway": 0}
    assert read_claims(secret, f"bearer  {hs256()}", NOW, None) == CLAIMS
    assert [read_claims(secret, text, NOW, None) for text in (hs256(), f"Basic {hs256()}", "Bearer")] == [None] * 3


def nested(levels):
    """Return the payload of a token whose claim `a` is nested this deeply."""
    return b'{"exp": %d, "a": %s1%s}' % (int(time.time()) + 60, b"[" * levels, b"]" * levels)


def signed(payload):
    """Return a token with this payload and a good signature."""
    head, body = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"alg":"HS256"}', payload))
    mark = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), head + b"." + body, "sha256")).rstrip(b"=")
    return b".".join((head, body, mark)).decode()


@pytest.mark.parametrize("levels", [300, 1_000, 1_500, 2_900])
def test_a_token_with_deeply_nested_claims_proves_nothing(levels):
    sent = signed(nested(levels))
    assert len(sent) <= MAX_TOKEN and read({"secret": SECRET}, sent, time.time()) is None
    head = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":%s1%s}' % (b"[" * levels, b"]" * levels)).decode()
    assert Issuer(RSA).read(f"{head}.e30.AAAA") is None


def test_a_token_that_is_too_long_is_not_read():
    assert read({"secret": SECRET}, signed(nested(3_000)), time.time()) is None


# Key sets


class Issuer:
    """Serves key sets, and counts requests. A clock in seconds."""

    def __init__(self, *keys):
        self.keys, self.asked, self.now, self.is_down = keys, 0, 0.0, False
        self.sets = KeySets(self.fetch, lambda: self.now)

    def fetch(self, url):
        self.asked += 1
        if self.is_down:
            raise NodeError("down")
        return orjson.dumps({"keys": [key.as_dict(private=False) for key in self.keys]})

    def read(self, sent):
        return read({"jwks_url": "https://login.example.com/jwks"}, sent, key_sets=self.sets)


def test_keys_of_a_set_are_found_by_their_id_and_fetched_once():
    issuer = Issuer(RSA, EC, ED)
    for key, algorithm in ((RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")):
        assert issuer.read(token(key, algorithm, kid=key.kid)) == CLAIMS
    assert issuer.read(token(RSA, "RS256", kid="two")) is None
    assert issuer.read(token(RSA, "RS256")) is None  # which of three?
    assert issuer.asked == 1
    assert Issuer(RSA).read(token(RSA, "RS256")) == CLAIMS


def test_a_new_key_is_fetched_at_most_once_a_minute():
    issuer = Issuer(RSA)
    assert issuer.read(token(RSA, "RS256", kid="one"))
    issuer.keys = (EC,)
    assert issuer.read(token(EC, "ES256", kid="two")) is None
    issuer.now += MIN_PAUSE
    assert issuer.read(token(EC, "ES256", kid="two")) == CLAIMS
    assert issuer.read(token(RSA, "RS256", kid="one")) is None
    for _ in range(20):
        assert issuer.read(token(EC, "ES256", kid="nobody's")) is None
    assert issuer.asked == 2


def test_a_key_counts_while_its_server_is_down_but_not_for_ever():
    issuer = Issuer(RSA)
    good = token(RSA, "RS256", kid="one")
    assert issuer.read(good)
    issuer.is_down, issuer.now = True, MAX_AGE + 1
    assert issuer.read(good) and issuer.asked == 2
    issuer.now = MAX_STALE + 1
    with pytest.raises(Unavailable):
        issuer.read(good)
    issuer.is_down, issuer.now = False, issuer.now + MIN_PAUSE
    assert issuer.read(good)


def test_without_any_keys_no_caller_is_authenticated():
    issuer = Issuer(RSA)
    issuer.is_down = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            issuer.read(token(RSA, "RS256", kid="one"))
    assert issuer.asked == 1


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{}", b'{"keys": 7}', b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AAAA"}]}',
        orjson.dumps({"keys": [{}] * (MAX_KEYS + 1)}),
        orjson.dumps({"keys": [RSA.as_dict(private=False) | {"alg": "HS256"}]}),
        orjson.dumps({"keys": [RSA.as_dict(private=False) | {"use": "enc"}]}),
        orjson.dumps({"keys": [RSA.as_dict(private=False) | {"n": RSA.as_dict(private=False)["n"][:171]}]}),
    ],
)  # fmt: skip
def test_what_is_not_a_set_of_public_keys_is_refused(content):
    with pytest.raises(NodeError):
        read_key_set(content)


@pytest.fixture
def client_of_keys():
    client = HttpClient(Rule(["127.0.0.1"]))
    yield client
    client.close()


def test_a_key_set_is_fetched_over_https_only(httpserver, client_of_keys):
    """Of this machine also over http, as other addresses of credentials."""
    fetch = make_fetch(lambda: client_of_keys)
    httpserver.expect_request("/jwks").respond_with_data(b"{}")
    assert fetch(httpserver.url_for("/jwks")) == b"{}"
    with pytest.raises(NodeError, match="must start with https://"):
        fetch("http://login.example.com/jwks")


def test_a_key_set_is_not_fetched_from_a_redirect_to_http(httpserver, client_of_keys):
    target = {"Location": "http://login.example.com/jwks"}
    httpserver.expect_request("/jwks").respond_with_data(status=302, headers=target)
    with pytest.raises(NodeError, match="its redirects must start with https://"):
        make_fetch(lambda: client_of_keys)(httpserver.url_for("/jwks"))


# Webhooks


@pytest.fixture
def hook(owner, make_flow):
    """`hook(data)` makes an active flow whose callers prove this credential."""

    def make(**data):
        body = {"name": "login", "type": "jwt", "data": data}
        assert owner.post("/api/credentials", body).status_code == 201
        config = {"auth": "jwt", "credential": "login", "respond": "last"}
        return make_flow(definition(**config), status="active")

    return make


def call(client, sent, **options):
    return client.post("/api/webhooks/orders", {}, headers={"Authorization": f"Bearer {sent}"}, **options)


def test_the_claims_are_in_the_input_and_the_token_is_not(client, hook):
    hook(secret=SECRET, audience="orders")
    claims = {**CLAIMS, "exp": int(time.time()) + 60}
    answer = call(client, hs256(claims))
    assert answer.status_code == 200 and answer.json["jwt"] == claims
    assert hs256(claims) not in answer.text


def test_a_caller_without_a_valid_token_is_refused(client, hook):
    hook(public_key=pem(EC))
    for sent in ("x", hs256({**CLAIMS, "exp": int(time.time()) + 60})):
        answer = call(client, sent)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert Run.select().count() == 0


@pytest.mark.parametrize("levels", [100, 250, 251, 252, 253, 254, 255, 1_500])
def test_deeply_nested_claims_are_no_error_of_the_server(client, hook, levels):
    hook(secret=SECRET)
    assert call(client, signed(nested(levels))).status_code in ((200,) if levels == 100 else (200, 400, 401))


def call_with_key(client, body=None, **claims):
    """Call with the key "1". Return the claims that the answer has; the answer is that of the first run of the key."""
    claims = {"iss": CLAIMS["iss"], "aud": "orders", "exp": int(time.time()) + 60, **claims}
    headers = {"Authorization": f"Bearer {hs256(claims)}", "Idempotency-Key": "1"}
    answer = client.post("/api/webhooks/orders", body or {}, headers=headers)
    return answer.json["jwt"] if answer.status_code == 200 else answer.status_code


def test_a_key_of_one_caller_does_not_answer_another(client, hook):
    hook(secret=SECRET)
    assert call_with_key(client, {"card": "alice-4111"}, sub="alice")["sub"] == "alice"
    assert call_with_key(client, {"card": "bob"}, sub="bob")["sub"] == "bob"
    assert call_with_key(client, {"card": "bob"}, sub="bob", iss="https://other.example.com")["iss"] != CLAIMS["iss"]
    assert Run.select().count() == 3


def test_a_callers_key_counts_for_their_next_token_and_one_body(client, hook):
    hook(secret=SECRET)
    first = call_with_key(client, {"card": 1}, sub="alice", jti="first", iat=1)
    assert call_with_key(client, {"card": 1}, sub="alice", jti="second", iat=2) == first
    assert call_with_key(client, {"card": 2}, sub="alice") == 422
    assert Run.select().count() == 1


def test_callers_without_a_subject_are_told_apart_by_their_other_claims(client, hook):
    hook(secret=SECRET)
    first = call_with_key(client, email="alice@example.org", jti="first")
    assert call_with_key(client, email="alice@example.org", jti="second") == first
    assert call_with_key(client, email="bob@example.org")["email"] == "bob@example.org"


def test_callers_whose_token_names_nobody_have_the_key_for_this_token(client, hook):
    hook(secret=SECRET)
    first = call_with_key(client, jti="first")
    assert call_with_key(client, jti="first", exp=first["exp"]) == first
    assert call_with_key(client, jti="second")["jti"] == "second"


def test_a_key_set_that_the_server_may_not_fetch_refuses_all_callers(client, hook):
    hook(jwks_url="http://127.0.0.1:9/jwks")
    answer = call(client, token(RSA, "RS256", {**CLAIMS, "exp": int(time.time()) + 60}))
    assert answer.status_code == 503 and "127.0.0.1" not in answer.text


def test_an_old_credential_whose_keys_come_over_http_refuses_all_callers(server, client, hook, caplog):
    hook(jwks_url="https://login.example.com/jwks")
    (row,) = Credential.select()
    sealed = server.vault.seal({"jwks_url": "http://login.example.com/jwks", "leeway": 60})
    Credential.update(data=sealed, updated_at=row.updated_at + 1).where(Credential.id == row.id).execute()
    assert call(client, token(RSA, "RS256", {**CLAIMS, "exp": int(time.time()) + 60})).status_code == 503
    assert "the JWKS URL and its redirects must start with https://" in caplog.text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, "either a secret"),
        ({"secret": SECRET, "jwks_url": "https://x.example/jwks"}, "either a secret"),
        ({"secret": "short"}, "32"),
        ({"public_key": "nothing"}, "public key in PEM"),
        ({"public_key": jwk.ECKey.generate_key("P-256").as_pem(private=True).decode()}, "the public key"),
        ({"jwks_url": "ftp://x"}, "must be a URL"),
        ({"jwks_url": "http://login.example.com/jwks"}, "must start with https://"),
    ],
)
def test_a_credential_without_a_usable_key_is_refused(owner, data, text):
    answer = owner.post("/api/credentials", {"name": "login", "type": "jwt", "data": data})
    assert answer.status_code == 400 and text.lower() in answer.json["error"].lower()
