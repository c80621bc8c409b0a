import ipaddress
import socket

import pytest
from each import for_each
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from sites import Site

from errors import ConfigError, NodeError
from net.egress import HttpClient, Rule, describe_url, get_host, is_public, parse_url, tls_context


def address(text):
    return ipaddress.ip_address(text)


def fetch(client, url):
    return client.fetch("GET", url, seconds=5)


def refusal(client, url):
    with pytest.raises(NodeError) as caught:
        fetch(client, url)
    assert caught.value.permanent
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "168.63.129.15",
        "168.63.129.17",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_addresses_of_the_internet_are_public(text):
    assert is_public(address(text))


@for_each(
    "text",
    ["127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "192.88.99.1", "192.0.0.8",
     "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "100::1", "2001::1",
     "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
     "2002:7f00:1::1", "2002:a00:1::1", "::ffff:0:127.0.0.1", "4000::1"],
)  # fmt: skip
def test_addresses_outside_the_internet_are_refused(text):
    assert not is_public(address(text))
    assert not Rule([]).permits("a.example", address(text))


CLOUDS = {
    "most": "169.254.169.254", "AWS ECS": "169.254.170.2", "AWS EKS": "169.254.170.23", "AWS IPv6": "fd00:ec2::254",
    "AWS EKS IPv6": "fd00:ec2::23", "Azure host": "168.63.129.16", "Google IPv6": "fd20:ce::254",
    "Alibaba": "100.100.100.200", "Oracle classic": "192.0.0.192", "Tencent": "169.254.0.23",
    "Scaleway": "169.254.42.42", "Scaleway IPv6": "fd00:42::42", "Linode": "169.254.169.255",
    "Linode IPv6": "fd00:a9fe:a9fe::1", "Azure by NAT64": "64:ff9b::a83f:8110", "Azure mapped": "::ffff:168.63.129.16",
    "Azure by 6to4": "2002:a83f:8110::1", "Alibaba by NAT64": "64:ff9b::6464:64c8",
}  # fmt: skip


@pytest.mark.parametrize("text", CLOUDS.values(), ids=list(CLOUDS))
def test_no_cloud_gives_its_secrets_to_a_flow(text):
    assert not Rule([]).permits("a.example", address(text))


@pytest.mark.parametrize(
    ("allow", "host", "text", "permitted"),
    [
        ("db.internal", "DB.Internal.", "10.0.0.1", True),
        ("db.internal", "x.db.internal", "10.0.0.1", False),
        ("*.internal", "db.Internal", "10.0.0.1", True),
        ("*.internal", "internal", "10.0.0.1", False),
        ("*.internal", "evilinternal", "10.0.0.1", False),
        ("10.0.0.0/8", "a.example", "10.9.9.9", True),
        ("10.0.0.0/8", "a.example", "192.168.0.1", False),
        ("10.0.0.1", "a.example", "10.0.0.1", True),
        ("fd00::/8", "a.example", "fd00::1", True),
        ("[::1]", "localhost", "::1", True),
    ],
)
def test_the_allow_list_names_hosts_and_networks(allow, host, text, permitted):
    assert Rule([allow]).permits(host, address(text)) is permitted


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "http://a.example", "a.*.example", "*", "host:80", "a b"])
def test_an_entry_that_is_neither_host_nor_network_is_rejected_at_the_start(entry):
    with pytest.raises(ConfigError, match="HEADRACE_EGRESS_ALLOW"):
        Rule([entry])


def test_empty_entries_are_ignored():
    assert not Rule(["", " "]).permits("", address("127.0.0.1"))


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0", "LOCALHOST"],
)
def test_this_machine_is_refused_under_every_name(httpserver, host):
    client = HttpClient(Rule([]))
    assert "may not be reached" in refusal(client, f"http://{host}:{httpserver.port}/?token=hunter2")
    assert not httpserver.log
    client.close()


def test_a_name_that_resolves_to_a_private_address_is_refused_and_only_the_log_has_the_address(client, names, caplog):
    names["a.example"] = ["10.0.0.1", "fd00::7"]
    message = refusal(client, "http://a.example/?token=hunter2")
    assert message.startswith("GET a.example:80/: a.example is at an address that may not be reached;")
    assert "10.0.0.1" not in message and "fd00::7" not in message
    assert "a.example, which is at 10.0.0.1, fd00::7" in caplog.text and "hunter2" not in caplog.text
    assert "HEADRACE_EGRESS_ALLOW" in message and "hunter2" not in message


def test_the_checked_address_is_the_connected_address(client, names, httpserver):
    httpserver.expect_request("/").respond_with_data("here")
    names["a.example"] = ["10.0.0.1", "127.0.0.1"]
    assert fetch(client, f"http://a.example:{httpserver.port}/").content == b"here"
    assert names.asked == 1


def test_a_redirect_to_a_refused_address_is_refused(client, names, httpserver):
    names["b.example"] = ["10.0.0.1"]
    target = f"http://b.example:{httpserver.port}/secret"
    httpserver.expect_request("/").respond_with_data(status=302, headers={"Location": target})
    assert "b.example is at an address" in refusal(client, f"http://127.0.0.1:{httpserver.port}/")
    assert [request.path for request, _ in httpserver.log] == ["/"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a.example/", "http://"])
def test_a_redirect_out_of_http_is_refused(client, httpserver, target):
    httpserver.expect_request("/").respond_with_data(status=302, headers={"Location": target})
    with pytest.raises(NodeError):
        fetch(client, f"http://127.0.0.1:{httpserver.port}/")


def test_a_host_that_is_no_domain_name_is_refused(client, httpserver):
    for url in ("http://.xn--/", "http://%xn--/"):
        assert refusal(client, url) == "the host of the URL is not a valid domain name"
    httpserver.expect_request("/").respond_with_data(status=302, headers={"Location": "http://%xn--/"})
    assert "not valid" in refusal(client, httpserver.url_for("/"))


@pytest.mark.parametrize("url", ["http://xn--/", "http://XN--0/", "http://xn--a/", "http://xn--zz-zzz/"])
def test_a_host_in_broken_punycode_is_looked_up_as_it_is(client, httpserver, url):
    host = url[7:-1].lower()
    httpserver.expect_request("/").respond_with_data(status=302, headers={"Location": url})
    for address in (url, httpserver.url_for("/")):
        with pytest.raises(NodeError, match=f"{host} cannot be resolved: no host has this name"):
            fetch(client, address)


PIECES = [
    *(
        "://",
        "xn--",
        "XN--",
        "[",
        "]",
        "@",
        ":",
        "/",
        "?",
        "#",
        "a",
        "\u00e9",
        "\u2603",
        "\u2488",
        ".",
        "..",
        "%",
        "%41",
    ),
    *("::1", "0x7f", "99999", "\udc80", "\0", " ", "\\", "-", "localhost", "\u3002", "\xad", "\u200d", "127.0.0.1"),
]
URLS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["http://", "https://", "http://xn--", "HTTP:", ""]),
        st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=30),
    ),
)


@settings(max_examples=examples(1_000))
@given(URLS)
def test_a_text_is_a_url_that_can_be_described_or_refused(text):
    try:
        url = parse_url(text)
    except NodeError as error:
        assert error.permanent and error.message.startswith("the ")
    else:
        assert url.scheme in ("http", "https") and get_host(text) == url.host and describe_url(url)


def test_secrets_do_not_follow_a_redirect_to_another_host(client, names, httpserver):
    names["b.example"] = ["127.0.0.1"]
    httpserver.expect_request("/a").respond_with_data(
        status=307, headers={"Location": f"http://b.example:{httpserver.port}/b"}
    )
    httpserver.expect_request("/b").respond_with_data("there")
    headers = [("Authorization", "s"), ("X-Api-Key", "s"), ("Accept", "text/html")]
    url = f"http://user:pass@127.0.0.1:{httpserver.port}/a"
    client.fetch("POST", url, seconds=5, headers=headers, content=b"body")
    last = httpserver.log[-1][0]
    assert (last.path, last.method, last.get_data()) == ("/b", "POST", b"body")
    assert last.headers["Accept"] == "text/html" and last.headers["Host"].startswith("b.example")
    assert "X-Api-Key" not in last.headers and "Authorization" not in last.headers


def test_proxies_of_the_environment_are_ignored(client, httpserver, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    httpserver.expect_request("/").respond_with_data("here")
    other = HttpClient(Rule(["127.0.0.1"]))
    assert fetch(other, f"http://127.0.0.1:{httpserver.port}/").content == b"here"
    other.close()


def test_an_unknown_host_is_a_transient_failure(client, monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NodeError, match="nowhere.example cannot be resolved: no host has this name") as caught:
        fetch(client, "http://nowhere.example/")
    assert not caught.value.permanent


def test_urls_are_not_logged(client, httpserver, caplog):
    caplog.set_level("DEBUG")
    httpserver.expect_request("/").respond_with_data("x")
    fetch(client, f"http://127.0.0.1:{httpserver.port}/?token=hunter2")
    assert "hunter2" not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("http"))


@pytest.fixture
def secure(authority):
    """A server with a certificate from an authority of its own."""
    with Site("127.0.0.1", ssl_context=authority.server("127.0.0.1")) as server:
        server.expect_request("/").respond_with_data("here")
        yield server


def test_a_server_is_trusted_if_its_authority_is(client, authority, secure):
    url = secure.url_for("/")
    with pytest.raises(NodeError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(client, url)
    trusting = HttpClient(Rule(["127.0.0.1"]), ca_file=authority.file)
    assert fetch(trusting, url).content == b"here"
    trusting.close()


def test_the_certificate_must_name_the_server(authority, secure, names):
    names["other.example"] = ["127.0.0.1"]
    trusting = HttpClient(Rule(["127.0.0.1"]), ca_file=authority.file)
    with pytest.raises(NodeError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(trusting, f"https://other.example:{secure.port}/")
    trusting.close()


def test_additional_authorities_do_not_replace_the_default_ones(authority):
    usual, more = tls_context(None, "test"), tls_context(authority.file, "test")
    assert len(more.get_ca_certs()) == len(usual.get_ca_certs()) + 1 > 50
    assert tls_context(None, "test") is usual is not tls_context(None, "other")
