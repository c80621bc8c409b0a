"""Signatures of AWS: the test suite that AWS publishes, and requests that botocore signs alike."""

import hashlib
import re
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from sites import address, failure
from werkzeug import Response

from nodes.http.authorization import AwsScope, encode_query, find_aws_scope, sign_for_aws

KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
GIVEN = {"access_key": KEYS[0], "secret_key": KEYS[1], "region": "us-east-1", "service": "service"}
FORM = "application/x-www-form-urlencoded"
HEAD = "Signature="
TWO = "/?Param2=value2&Param1=value1"
CASE = "/?Param1=value2&Param1=Value1"
SAME = "/?Param1=value2&Param1=value1"
LETTERS = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# Method, target, headers and body of requests of the suite, and their signatures.
# https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite
SUITE = [
    ("GET", "/", {}, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "/ሴ", {}, "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    ("GET", f"/{LETTERS}", {}, "", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    ("GET", f"/?{LETTERS}={LETTERS}", {}, "", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
    ("GET", "/?Param1=value1", {}, "", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    (
        "GET",
        TWO,
        {},
        "",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "GET",
        "/?Param1=value2&Param1=Value1",
        {},
        "",
        "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1",
    ),
    (
        "GET",
        "/?Param1=value2&Param1=value1",
        {},
        "",
        "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
    ),
    ("GET", "/?ሴ=bar", {}, "", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    (
        "GET",
        "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        {},
        "",
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    ("GET", "/example1/example2/../..", {}, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "/./", {}, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "/./example", {}, "", "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
    ("GET", "//", {}, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "//example//", {}, "", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    ("GET", "/example space/", {}, "", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
    ("GET", "/example/$delete", {}, "", "a853c9b21b528b19643d00910d35b83a10c366a10833ceefb45edd6c80e40f27"),
    (
        "GET",
        "/",
        {"My-Header1": " value1", "My-Header2": ' "a   b   c"'},
        "",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    ("POST", "/", {}, "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("POST", "/", {"My-Header1": "VALUE1"}, "", "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
    (
        "POST",
        "/",
        {"Content-Type": FORM},
        "Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
]


@pytest.mark.parametrize(("method", "target", "headers", "body", "signature"), SUITE)
def test_the_signatures_are_those_of_the_suite_of_aws(method, target, headers, body, signature):
    path, _, query = target.partition("?")
    headers = {"Host": "example.amazonaws.com", "X-Amz-Date": "20150830T123600Z", **headers}
    digest = hashlib.sha256(body.encode()).hexdigest()
    made = sign_for_aws(method, path, encode_query(query), headers, digest, AwsScope("us-east-1", "service"), KEYS)
    assert made.partition(HEAD)[2] == signature
    assert made.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, ")


def signed_by_botocore(request, service="service", token=None):
    """Return the Authorization that botocore makes for a received request, with the headers that it says are signed."""
    names = request.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: request.headers[name] for name in names}
    sent = AWSRequest(request.method, request.url, headers, request.get_data())
    # Werkzeug decodes the path; the request line has it as it was sent.
    sent.url = f"http://{request.host}{request.environ['RAW_URI']}"
    sent.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(*KEYS, token), service, "us-east-1")
    text = signer.string_to_sign(sent, signer.canonical_request(sent))
    return signer.signature(text, sent)


@pytest.fixture
def store(httpserver):
    """A server that lets in what botocore signs alike."""

    def answer(request):
        is_right = signed_by_botocore(request) == request.headers["Authorization"].partition(HEAD)[2]
        return Response("in" if is_right else "out", 200 if is_right else 403)

    httpserver.expect_request("/old").respond_with_data(status=307, headers={"Location": "/new path/?b=2&a=%2B"})
    httpserver.expect_request("/leak").respond_with_handler(lambda request: Response(request.headers["Authorization"]))
    httpserver.expect_request(re.compile("/.*")).respond_with_handler(answer)
    return httpserver


AWS = {"key": ("aws", {**GIVEN, "session_token": "a-session-token/+="}, ["127.0.0.1"])}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"query": {"b": "ä ö+&=", "a": ["2", "1"], "c": ""}},
        {"method": "POST", "body": {"item": "tea"}},
        {"method": "POST", "body": {"item": "tea & cake"}, "body_type": "form"},
        {"method": "PUT", "body": {"item": "tea"}, "body_type": "multipart"},
        {"method": "PUT", "body": "tea.txt", "body_type": "file"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/a b/ä/../$x%2Fy?z=1+2&y", "/old"])
def test_a_request_is_signed_as_botocore_signs_it(run, make_ctx, store, config, path):
    ctx, _ = make_ctx(credentials=AWS)
    ctx.files.write("tea.txt", b"tea" * 100_000)
    given = run("http", {"url": address(store, path), "credential": "key", **config}, ctx=ctx)
    assert given["body"] == "in"
    assert store.log[-1][0].headers["X-Amz-Security-Token"] == "a-session-token/+="


def test_a_signature_is_redacted(run, make_ctx, store):
    ctx, _ = make_ctx(credentials=AWS)
    said = ctx.clean(run("http", {"url": address(store, "/leak"), "credential": "key"}, ctx=ctx)["body"])
    assert said.endswith("Signature=***") and KEYS[0] in said


def test_headers_of_the_signature_are_not_set_twice(run, store):
    config = {"url": address(store), "credential": "key", "headers": {"x-amz-date": "20150830T123600Z"}}
    error = failure(run, config, credentials=AWS)
    assert "the header X-Amz-Date is set by headers and by the credential" in error.message and not store.log


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("dynamodb.eu-central-1.amazonaws.com", ("eu-central-1", "dynamodb")),
        ("a1b2.execute-api.us-gov-west-1.amazonaws.com", ("us-gov-west-1", "execute-api")),
        ("iam.amazonaws.com", ("us-east-1", "iam")),
        ("shop.s3.amazonaws.com", ("us-east-1", "s3")),
        ("amazonaws.com", None),
        ("dynamodb.eu-central-1.amazonaws.com.example.com", None),
    ],
)
def test_the_name_of_a_host_tells_region_and_service(host, scope):
    assert find_aws_scope(host) == scope


def test_a_host_that_tells_no_region_needs_one_in_the_credential(run, store):
    credentials = {"key": ("aws", {"access_key": KEYS[0], "secret_key": KEYS[1]}, ["127.0.0.1"])}
    error = failure(run, {"url": address(store), "credential": "key"}, credentials=credentials)
    assert "needs a region and a service" in error.message and error.permanent and not store.log
    assert urlsplit(address(store)).hostname in error.message
