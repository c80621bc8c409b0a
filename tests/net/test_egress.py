"""Egress: which addresses may be reached, by our client and by libraries."""

import asyncio
import contextlib
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from each import for_each
from gunicorn.config import Config
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.http.wsgi import Response
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from sites import Site

from errors import ConfigError, NodeError
from net.egress import HttpClient, Rule, describe_url, get_host, is_public, parse_url, tls_context
from net.http_worker.connection import DatedResponse, format_date, parse_head
from net.library_sockets import dial, guard_connections


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


# Parts of gunicorn that are replaced, since they take long, do what gunicorn's own do


HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "version"),
    [([], (1, 1)), ([("Connection", "close")], (1, 1)), ([], (1, 0)), ([("Content-Length", "2")], (1, 1))],
)
def test_the_head_of_a_response_is_that_of_gunicorn(headers, version):
    request = SimpleNamespace(method="GET", version=version, should_close=lambda: version == (1, 0))
    heads = []
    for type_ in (Response, DatedResponse):
        response = type_(request, None, SimpleNamespace(protocol="http"))
        response.start_response("200 OK", headers)
        heads.append("".join(response.default_headers()))
    lines = [[line for line in head.split("\r\n") if not line.startswith("Date:")] for head in heads]
    assert lines[0] == lines[1] and all("\r\nDate: " in head for head in heads)


def test_the_date_is_made_anew_each_second():
    assert [format_date(0), format_date(1)] == ["Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:01 GMT"]


@pytest.mark.parametrize("trusted", ["127.0.0.1", "10.0.0.0/8", "*", ""])
@pytest.mark.parametrize("peer", [("127.0.0.1", 5), ("10.1.2.3", 5), ("::1", 5), ("", 0), ""])
def test_the_same_clients_as_with_gunicorn_are_trusted_proxies(trusted, peer):
    config = Config()
    config.set("forwarded_allow_ips", trusted)
    ours = [parse_head(config, HEAD, SimpleNamespace(client=peer, requests=0)) for _ in range(2)]
    assert {one.scheme for one in ours} == {Request(config, IterUnreader([HEAD]), peer, 1).scheme}


def test_each_config_has_its_own_trusted_proxies():
    schemes = []
    for trusted in ("127.0.0.1", "10.0.0.1"):
        config = Config()
        config.set("forwarded_allow_ips", trusted)
        schemes.append(parse_head(config, HEAD, SimpleNamespace(client=("127.0.0.1", 1), requests=0)).scheme)
    assert schemes == ["https", "http"]


# The egress rule for libraries that open their own connections, and for libraries that accept one


NOBODY, HERE = Rule([]), Rule(["127.0.0.1"])


@pytest.fixture
def port():
    """A listening port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_library_may_connect_only_to_permitted_addresses(httpserver):
    httpserver.expect_request("/").respond_with_data("hello")
    url = httpserver.url_for("/").replace("localhost", "127.0.0.1")
    with guard_connections(HERE), urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.read() == b"hello"
    with pytest.raises(NodeError, match="127.0.0.1 may not be reached") as caught, guard_connections(NOBODY):
        urllib.request.urlopen(url, timeout=60)
    assert caught.value.permanent and len(httpserver.log) == 1


def test_a_host_permitted_by_name_may_be_reached(port):
    with guard_connections(Rule(["localhost"])), socket.create_connection(("localhost", port), 60):
        pass
    with pytest.raises(NodeError), guard_connections(Rule(["elsewhere"])):
        socket.create_connection(("localhost", port), 60)


def test_a_refusal_that_a_library_swallows_is_still_raised(port):
    with pytest.raises(NodeError, match="may not be reached"), guard_connections(NOBODY):
        try:
            socket.create_connection(("127.0.0.1", port), 60)
        except OSError as error:
            assert "may not be reached" in str(error)


def test_a_refusal_that_a_library_replaces_is_raised_instead(port):
    with pytest.raises(NodeError, match="may not be reached"), guard_connections(NOBODY):
        try:
            socket.create_connection(("127.0.0.1", port), 60)
        except Exception:
            raise ssl.SSLError("something else") from None


def test_sockets_of_this_machine_are_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        server.listen()
        with (
            pytest.raises(NodeError, match="socket of this machine"),
            guard_connections(HERE),
            socket.socket(socket.AF_UNIX) as s,
        ):
            s.connect(str(tmp_path / "sock"))


def test_datagrams_are_refused_too(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for send in sock.sendto, lambda data, address: sock.sendmsg([data], (), 0, address):
            with pytest.raises(NodeError, match="127.0.0.1 may not be reached"), guard_connections(NOBODY):
                send(b"hello", ("127.0.0.1", port))
        with guard_connections(HERE):
            sock.connect(("127.0.0.1", port))
            sock.sendmsg([b"hello"])


def test_asyncio_connects_under_the_rule_of_its_thread(port):
    async def connect():
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()

    with guard_connections(HERE):
        asyncio.run(connect())
    with pytest.raises(NodeError), guard_connections(NOBODY):
        asyncio.run(connect())


def test_other_threads_are_not_affected(port):
    failures = []

    def connect():
        try:
            socket.create_connection(("127.0.0.1", port), 60).close()
        except OSError as error:
            failures.append(error)

    with guard_connections(NOBODY):
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join(60)
    assert failures == []


def test_dial_returns_a_connection_or_raises_the_reason(port):
    dial(HERE, "127.0.0.1", port, 5).close()
    dial(Rule(["localhost"]), "localhost", port, 5).close()
    with pytest.raises(NodeError, match="may not be reached") as caught:
        dial(NOBODY, "localhost", port, 5)
    assert caught.value.permanent
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    with pytest.raises(NodeError, match="refused") as caught:
        dial(HERE, "127.0.0.1", free, 5)
    assert not caught.value.permanent
    with pytest.raises(NodeError, match="cannot be resolved"):
        dial(HERE, "no-such-host.invalid", 80, 5)


# Deadlines


@pytest.fixture
def silent(authority):
    """`silent(tls)` is the port of a server that accepts a connection and sends nothing until the test ends."""
    over, listeners = threading.Event(), []

    def serve(listener, context):
        connection, _ = listener.accept()
        with connection if context is None else context.wrap_socket(connection, server_side=True):
            over.wait(30)

    def start(tls):
        listener = socket.create_server(("127.0.0.1", 0))
        context = authority.server("127.0.0.1") if tls else None
        thread = threading.Thread(target=serve, args=(listener, context))
        listeners.append((listener, thread))
        thread.start()
        return listener.getsockname()[1]

    yield start
    over.set()
    for listener, thread in listeners:
        thread.join(60)
        listener.close()


@pytest.mark.parametrize("tls", [False, True])
def test_a_call_that_waits_for_data_ends_at_the_deadline(silent, authority, tls):
    port, began = silent(tls), time.monotonic()
    with guard_connections(HERE, seconds=0.3), socket.create_connection(("127.0.0.1", port), timeout=None) as sock:
        if tls:
            sock = ssl.create_default_context(cafile=authority.file).wrap_socket(sock, server_hostname="127.0.0.1")
        with sock, contextlib.suppress(OSError):
            assert sock.recv(1) == b""
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", port), timeout=None)
    assert 0.25 < time.monotonic() - began < 10


def test_a_call_that_ends_in_time_is_not_affected(port):
    with guard_connections(HERE, seconds=30), socket.create_connection(("127.0.0.1", port), 60) as sock:
        sock.sendall(b"hello")
    before = threading.active_count()
    with guard_connections(HERE, seconds=30):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


# Threads kept away from this machine


@pytest.fixture
def folder(tmp_path):
    """A readable folder, with a link to a forbidden file beside it."""
    (tmp_path / "key").write_text("secret")
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "file").write_text("hello")
    (tmp_path / "open" / "link").symlink_to(tmp_path / "key")
    return tmp_path / "open"


def test_only_files_of_the_folders_and_of_python_can_be_read(folder):
    with guard_connections(NOBODY, folders=[folder]):
        assert (folder / "file").read_text() == "hello"
        assert "JSON" in Path(json.__file__).read_text()
        assert "pytest" in Path(pytest.__file__).read_text()
        for path in ("../key", "link", "../open/../key"):
            with pytest.raises(PermissionError):
                (folder / path).read_text()
            with pytest.raises(PermissionError):
                os.open(folder / path, os.O_RDONLY)
        with pytest.raises(PermissionError):
            Path("/etc/passwd").read_text()
    assert (folder.parent / "key").read_text() == "secret"


def test_a_folder_with_the_same_prefix_is_forbidden(folder):
    (folder.parent / "open too").write_text("secret")
    with guard_connections(NOBODY, folders=[folder]), pytest.raises(PermissionError):
        (folder.parent / "open too").read_text()


def test_nothing_can_be_written(folder):
    with guard_connections(NOBODY, folders=[folder]):
        for mode in ("w", "a", "r+", "x"):
            with pytest.raises(PermissionError):
                (folder / "file").open(mode)
        for change in (
            (folder / "file").unlink,
            (folder / "new").mkdir,
            lambda: (folder / "file").rename(folder / "new"),
        ):
            with pytest.raises(PermissionError):
                change()
    assert (folder / "file").read_text() == "hello" and len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    "run",
    [
        lambda: subprocess.run([sys.executable, "-c", ""], timeout=60),
        lambda: os.system("true"),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        pytest.param(
            lambda: threading.Thread(target=print).start(),
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 does not tell of threads"),
        ),
    ],
)
def test_starting_a_program_or_a_thread_is_refused_even_if_the_library_hides_it(run, port):
    with (
        pytest.raises(NodeError, match="may not use this machine itself") as caught,
        guard_connections(HERE, folders=[]),
    ):
        with pytest.raises(PermissionError):
            run()
        socket.create_connection(("127.0.0.1", port), 60).close()
    assert caught.value.permanent


def test_without_folders_files_and_programs_are_allowed(tmp_path):
    with guard_connections(NOBODY):
        (tmp_path / "file").write_text("hello")
        assert subprocess.run([sys.executable, "-c", ""], timeout=60).returncode == 0
