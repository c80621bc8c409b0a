"""The email node, with real SMTP servers on this machine: messages, attachments, addresses, TLS and login."""

import contextlib
import time

import pytest
from contract import Case, Contract
from mail_servers import PASSWORD, Mails, Server

from errors import NodeError
from net.egress import Rule
from nodes import REGISTRY
from nodes.credentials.types import CHECKS
from packs.mail.message import MAX_BYTES, parse_mailbox, parse_mailboxes

HERE = {"host": "127.0.0.1", "security": "none"}
LOADED = REGISTRY["email"].Config().load({"credential": "mail"})


@pytest.fixture
def mails():
    return Mails()


@pytest.fixture
def serve(mails):
    """`serve(**options)` starts an SMTP server and returns its port."""
    started = []

    def start(**options):
        server = Server(mails, **options)
        server.start()
        started.append(server)
        return server.port

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def certificate(authority):
    """A TLS context with a certificate for 127.0.0.1."""
    return authority.server("127.0.0.1")


@pytest.fixture
def mail(run, make_ctx, serve):
    """`mail(**config)` sends through a server without TLS; `server` changes the credential, `context` the context.

    `mail.lines` is the log of the latest run.
    """

    def send(to="jane@example.com", server=(), context=(), **config):
        data = {**HERE, "sender": "Shop <shop@example.com>", **dict(server)}
        if "port" not in data:
            data["port"] = send.port = send.port or serve()
        data = {key: value for key, value in data.items() if value is not None}
        ctx, send.lines = make_ctx(credentials={"mail": ("smtp", data)}, **dict(context))
        return run("email", {"credential": "mail", "to": to, **config}, ctx=ctx)

    send.port, send.lines = None, []
    return send


def failure(send, permanent=True, **config):
    with pytest.raises(NodeError) as caught:
        send(**config)
    assert caught.value.permanent is permanent
    return caught.value.message


# Messages


def test_a_message_arrives_unchanged(mail, mails):
    output = mail(subject="Grüße", body="Hello Jane,\n\n.hidden dot\nyours\n")
    message, envelope = mails.latest(), mails.envelopes[-1]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@example.com", ["jane@example.com"])
    assert (message["from"], message["to"]) == ("Shop <shop@example.com>", "jane@example.com")
    assert (message["subject"], message.get_content_type()) == ("Grüße", "text/plain")
    assert message.get_content() == "Hello Jane,\n\n.hidden dot\nyours\n"
    assert abs(message["date"].datetime.timestamp() - time.time()) < 60
    assert message["auto-submitted"] == "auto-generated" and message.defects == []
    assert output == {"message_id": message["message-id"], "accepted": ["jane@example.com"], "refused": {}}


def test_text_and_html_are_alternatives_of_one_message(mail, mails):
    mail(body="Hello", html="<p>Hällo</p>")
    assert mails.latest().get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mails.latest().iter_parts()] == ["text/plain", "text/html"]
    assert mails.latest().get_body(("html",)).get_content() == "<p>Hällo</p>\n"


def test_a_message_can_have_html_only(mail, mails):
    mail(html="<p>Hello</p>")
    assert mails.latest().get_content_type() == "text/html"


def test_each_recipient_gets_one_copy_and_no_header_shows_bcc(mail, mails):
    output = mail(
        to='"Doe, Jane" <jane@example.com>, bob@example.com',
        cc=["Cem <cem@example.com>", "bob@example.com"],
        bcc="eve@example.com",
        reply_to="desk@example.com",
        **{"from": "Desk <me@example.org>"},
    )
    recipients = ["jane@example.com", "bob@example.com", "cem@example.com", "eve@example.com"]
    assert mails.envelopes[-1].rcpt_tos == output["accepted"] == recipients
    assert mails.envelopes[-1].mail_from == "me@example.org"
    message = mails.latest()
    assert addresses_of(message["to"]) == [("Doe, Jane", "jane@example.com"), ("", "bob@example.com")]
    assert addresses_of(message["cc"]) == [("Cem", "cem@example.com"), ("", "bob@example.com")]
    assert message["reply-to"] == "desk@example.com" and "bcc" not in message
    assert b"eve@" not in mails.envelopes[-1].original_content


def addresses_of(header):
    return [(each.display_name, each.addr_spec) for each in header.addresses]


def test_a_retry_keeps_the_message_id_and_another_step_has_a_different_one(mail, mails, make_ctx, run):
    first, second = mail(), mail()
    assert first["message_id"] == second["message_id"] and first["message_id"].endswith("@example.com>")
    assert "run" not in first["message_id"] and len(mails.envelopes) == 2
    data = {**HERE, "port": mail.port, "sender": "shop@example.com"}
    ctx, _ = make_ctx(credentials={"mail": ("smtp", data)})
    ctx.idempotency_key = "run:node:1"
    other = run("email", {"credential": "mail", "to": "jane@example.com"}, ctx=ctx)
    assert other["message_id"] != first["message_id"]


def test_the_sender_is_from_the_node_or_the_credential_or_its_user_name(mail, mails, serve):
    login = {"port": serve(authenticator=mails.let_in, auth_require_tls=False), "password": PASSWORD}
    mail(server={**login, "username": "me@example.org", "sender": None})
    mail(server={**login, "username": "me@example.org"})
    mail(server={**login, "username": "me@example.org"}, **{"from": "you@example.net"})
    assert [envelope.mail_from for envelope in mails.envelopes] == [
        "me@example.org",
        "shop@example.com",
        "you@example.net",
    ]
    message = failure(mail, server={**login, "username": "me", "sender": None})
    assert message == "from: is required, because the credential has no sender"


def test_a_recipient_name_can_be_in_any_script(mail, mails):
    mail(to='"Müller, Jürgen" <j@example.com>, 山田 太郎 <y@example.com>, "a \\"b\\" c" <q@example.com>')
    assert addresses_of(mails.latest()["to"]) == [
        ("Müller, Jürgen", "j@example.com"),
        ("山田 太郎", "y@example.com"),
        ('a "b" c', "q@example.com"),
    ]


def test_long_headers_are_folded_without_changing_their_value(mail, mails):
    name = "Ä, " * 60 + "!"
    for subject in ("word " * 190 + "end", "x" * 1_000, "Grüße " * 160 + "!", "=?utf-8?q?no?=", "two  spaces"):
        mail(to=[f'"{name}" <jane@example.com>'] * 20, subject=subject)
        assert mails.latest()["subject"] == subject
        assert addresses_of(mails.latest()["to"])[0][1] == "jane@example.com"
        assert max(map(len, mails.envelopes[-1].original_content.splitlines())) < 200


def test_international_domains_are_converted_to_ascii(mail, mails):
    mail(to="info@straße.example, post@MÜLLER.example")
    assert mails.envelopes[-1].rcpt_tos == ["info@xn--strae-oqa.example", "post@xn--mller-kva.example"]


def test_an_international_address_requires_a_server_with_smtputf8(mail, mails, serve):
    output = mail(to="Jürgen <jürgen@example.com>, bob@example.com", server={"port": serve(enable_SMTPUTF8=True)})
    assert output["accepted"] == mails.envelopes[-1].rcpt_tos == ["jürgen@example.com", "bob@example.com"]
    assert "?= <jürgen@example.com>,\r\n bob@example.com\r\n".encode() in mails.envelopes[-1].original_content
    message = failure(mail, to="jürgen@example.com", server={"port": serve(enable_SMTPUTF8=False)})
    assert "SMTPUTF8" in message and len(mails.envelopes) == 1


# Attachments


def test_files_of_the_workspace_and_texts_can_be_attached(mail, mails, make_ctx):
    ctx, _ = make_ctx()
    ctx.files.write("reports/today.csv", b"a,b\r\n1,2\r\n")
    ctx.files.write("raw", bytes(range(256)))
    listed = {"path": "raw", "name": "Übersicht.pdf", "size": 256, "content_type": "application/pdf"}
    mail(body="See", attachments=["reports/today.csv", listed, {"name": "notes.txt", "content": "Grüße"}])
    got = [(part.get_filename(), part.get_content_type()) for part in mails.latest().iter_attachments()]
    assert got == [
        ("today.csv", "text/csv"),
        ("Übersicht.pdf", "application/pdf"),
        ("notes.txt", "text/plain"),
    ]
    csv, pdf, notes = mails.latest().iter_attachments()
    assert csv.get_payload(decode=True) == b"a,b\r\n1,2\r\n"
    assert pdf.get_content() == bytes(range(256)) and notes.get_content() == "Grüße"
    assert mails.latest().get_body().get_content() == "See\n"


def test_a_single_attachment_can_be_given_without_a_list(mail, mails):
    mail(attachments={"name": "a.json", "content": "{}", "content_type": "application/json; charset=utf-8"})
    (part,) = mails.latest().iter_attachments()
    assert (part.get_filename(), part.get_content_type()) == ("a.json", "application/json")


def test_a_list_that_an_expression_returns_is_attached_beside_chosen_files(mail, mails, tmp_path):
    small = {"name": "a.txt", "content": "a"}
    mail(attachments=[[small, {**small, "name": "b.txt"}], {**small, "name": "c.txt"}])
    assert [part.get_filename() for part in mails.latest().iter_attachments()] == ["a.txt", "b.txt", "c.txt"]
    assert "attachments[0][1]: must be a path" in failure(mail, attachments=[[small, 7]])
    assert "there are 51; the limit is 50" in failure(mail, attachments=[[small] * 50, small])


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "C:\\etc\\passwd", "a/b/passwd"])
def test_an_attachment_name_keeps_only_the_last_part_of_a_path(mail, mails, name):
    mail(attachments=[{"name": name, "content": "x"}])
    assert next(mails.latest().iter_attachments()).get_filename() == "passwd"


@pytest.mark.parametrize("content_type", ["multipart/mixed", "message/rfc822"])
def test_an_attachment_cannot_have_a_composite_content_type(mail, mails, content_type):
    mail(attachments=[{"name": "a", "content": "To: b", "content_type": content_type}])
    assert next(mails.latest().iter_attachments()).get_content_type() == "application/octet-stream"


@pytest.mark.parametrize(
    ("attachment", "message"),
    [
        ("../secret", "attachments[0]: '../secret' leads out of the workspace's files"),
        ("/etc/passwd", "attachments[0]: '/etc/passwd' is not a valid path"),
        ("link", "attachments[0]: 'link': is a symbolic link"),
        ("linked/key", "attachments[0]: 'linked/key': leads through a file or a symbolic link"),
        ("missing", "attachments[0]: 'missing': the file does not exist"),
        (5, "attachments[0]: must be a path, a file"),
        ({"name": "a"}, "attachments[0]: must be a path, a file"),
        ({"content": "a"}, "attachments[0]: name is required"),
        ({"name": "..", "content": "a"}, "attachments[0]: '..' is not a file name"),
        ({"name": "a" * 201, "content": "a"}, "is not a file name"),
        ({"name": "a\r\nBcc: eve@example.com", "content": "a"}, "attachments[0].name: must not contain line breaks"),
        ({"name": "a", "content": "a", "content_type": "text"}, "attachments[0]: 'text' is not a content type"),
        ({"name": "a", "content": "a", "content_type": "a/b\r\nX: y"}, "is not a content type"),
    ],
)
def test_the_error_for_an_invalid_attachment_has_its_index(mail, mails, tmp_path, attachment, message):
    (tmp_path / "files").mkdir()
    (tmp_path / "key").write_text("secret")
    (tmp_path / "files" / "link").symlink_to(tmp_path / "key")
    (tmp_path / "files" / "linked").symlink_to(tmp_path)
    assert message in failure(mail, attachments=[attachment])
    assert not mails.envelopes


def test_the_number_and_size_of_attachments_are_limited(mail, mails, make_ctx, tmp_path):
    small = {"name": "a", "content": "a"}
    assert "the limit is 50" in failure(mail, attachments=[small] * 51)
    ctx, _ = make_ctx()
    ctx.files.max_bytes = MAX_BYTES + 1
    ctx.files.write("big", b"x" * (MAX_BYTES - 5))
    ctx.files.write("small", b"123456")
    for attachments in (["big", "small"], ["small", "big"], ["big"] * 50):
        ctx, _ = make_ctx(credentials={"mail": ("smtp", {**HERE, "port": mail.port or 1, "sender": "a@example.com"})})
        ctx.files.max_bytes = MAX_BYTES + 1
        with pytest.raises(NodeError, match=r"attachments\[1\]: the attachments exceed the limit of 26,214,400 bytes"):
            REGISTRY["email"].run({**LOADED, "to": "a@example.com", "attachments": attachments}, None, ctx)
    assert not mails.envelopes


@pytest.mark.slow
def test_the_size_limit_applies_to_the_encoded_message(mail, mails, make_ctx):
    ctx, _ = make_ctx(credentials={"mail": ("smtp", {**HERE, "port": 1, "sender": "a@example.com"})})
    ctx.files.max_bytes = MAX_BYTES
    ctx.files.write("big", b"x" * (MAX_BYTES - 5))
    with pytest.raises(NodeError, match="the message has 3[0-9,]+ bytes; the limit is 26,214,400"):
        REGISTRY["email"].run({**LOADED, "to": "a@example.com", "attachments": ["big"]}, None, ctx)


# Addresses


@pytest.mark.parametrize(
    "address",
    ["a", "a@", "@b.example", "a b@example.com", "a@b c", "Jane, Doe <j@example.com>", '"open <a@example.com>',
     "<a@example.com> <b@example.com>", "a@example.com>", "a@[127.0.0.1]", "a@-b.example", "(x) a@example.com",
     "x" * 65 + "@example.com", "a;b@example.com", "a@b..example", "a@example.com <b@example.com>", 5, {"a": 1}, [5],
     "x" * 201 + " <a@example.com>", "a@" + "b" * 64 + ".example", "," * 20_001, "a@\u3002.example", '"' * 300,
     '"\\' * 9_000],
)  # fmt: skip
def test_the_error_for_an_invalid_address_names_the_key(mail, mails, address):
    began = time.monotonic()
    for key in ("to", "cc", "bcc", "reply_to"):
        message = failure(mail, **{"to": "jane@example.com", key: address})
        assert message.startswith(f"{key}: ") and len(message) < 300
    assert not mails.envelopes and time.monotonic() - began < 15


@pytest.mark.parametrize("bad", ["\r\nBcc: eve@example.com", "\nX: y", "\r", "\0", "\x85", "\u2028X: y"])
def test_a_line_break_cannot_inject_a_header(mail, mails, bad):
    assert failure(mail, subject=f"Hello{bad}").startswith("subject: must not contain line breaks")
    for key in ("to", "cc", "bcc", "reply_to", "from"):
        for text in (f"Jane{bad} <jane@example.com>", f'"Jane{bad}" <jane@example.com>', f"jane@example.com{bad}"):
            assert failure(mail, **{key: text}).startswith(f"{key}: must not contain line breaks")
    assert not mails.envelopes


def test_a_body_cannot_inject_commands_or_headers(mail, mails):
    mail(body="\r\n.\r\nMAIL FROM:<eve@example.com>\r\n\nBcc: eve@example.com\n", subject="Hello")
    assert len(mails.envelopes) == 1 and mails.latest()["bcc"] is None
    assert "\n.\nMAIL FROM" in mails.latest().get_content()


def test_lone_surrogates_are_replaced(mail, mails):
    mail(subject="a\ud800b", body="c\ud800d", attachments=[{"name": "e\ud800", "content": "f\ud800"}])
    assert (mails.latest()["subject"], mails.latest().get_body().get_content()) == ("a?b", "c?d\n")


def test_a_message_has_1_to_100_recipients(mail, mails):
    hundred = [f"a{number}@example.com" for number in range(100)]
    assert len(mail(to=hundred[:60], bcc=hundred[50:])["accepted"]) == 100
    assert failure(mail, to=hundred, cc="one@example.com") == "to: there are 101 recipients; the limit is 100"
    for empty in ("", [], " , ", None):
        assert failure(mail, to=empty) == "to: at least one recipient is required"


def test_an_address_with_consecutive_dots_is_quoted(mail, mails):
    assert mail(to="a..b@example.com")["accepted"] == ['"a..b"@example.com']
    assert parse_mailboxes("O'Neil+x <o'neil+x@Example.COM>", "to") == [
        parse_mailbox("O'Neil+x <o'neil+x@example.com>", "to")
    ]


# TLS and login


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_the_login_and_the_message_are_encrypted(mail, mails, serve, authority, certificate, security):
    # aiosmtpd recognizes only encryption that began with STARTTLS.
    options = {"auth_required": True, "auth_require_tls": security == "starttls"}
    port = serve(**{security: certificate}, authenticator=mails.let_in, **options)
    server = {"port": port, "security": security, "username": "me", "password": PASSWORD}
    mail(server=server, context={"ca_file": authority.file})
    assert [encrypted for _, _, encrypted in mails.logins] == [True] and len(mails.envelopes) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_nothing_is_sent_to_a_server_with_an_invalid_certificate(mail, mails, serve, authority, certificate, security):
    login = {"security": security, "username": "me", "password": PASSWORD}
    unknown = {**login, "port": serve(**{security: certificate}, authenticator=mails.let_in)}
    assert "the certificate is not valid: " in failure(mail, server=unknown)
    other = {**login, "port": serve(**{security: authority.server("other.example")}, authenticator=mails.let_in)}
    message = failure(mail, server=other, context={"ca_file": authority.file})
    assert "the certificate is not valid: " in message and "127.0.0.1" in message
    assert not mails.envelopes and not mails.logins


def test_nothing_is_sent_if_the_server_lacks_the_required_starttls(mail, mails, serve):
    server = {"port": serve(authenticator=mails.let_in, auth_require_tls=False), "security": "starttls"}
    message = failure(mail, server={**server, "username": "me", "password": PASSWORD})
    assert message == "127.0.0.1 does not offer STARTTLS; nothing was sent. Use another security"
    assert not mails.envelopes and not mails.logins


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("password", [PASSWORD, "pässwörd ☃"])
def test_a_password_can_have_any_characters(mail, mails, serve, mechanism, password, monkeypatch):
    other = {"PLAIN": "LOGIN", "LOGIN": "PLAIN"}[mechanism]
    if not password.isascii() and mechanism == "LOGIN":
        pytest.skip("no standard says how LOGIN encodes a password")
    monkeypatch.setattr("mail_servers.PASSWORD", password)
    port = serve(authenticator=mails.let_in, auth_require_tls=False, auth_exclude_mechanism=[other])
    mail(server={"port": port, "username": "me", "password": password})
    assert [(used, name) for used, name, _ in mails.logins] == [(mechanism, b"me")]


def test_the_error_for_a_wrong_password_does_not_contain_it(mail, mails, serve):
    port = serve(authenticator=mails.let_in, auth_require_tls=False, auth_required=True)
    message = failure(mail, server={"port": port, "username": "me", "password": "not this one"})
    assert message.startswith(f"127.0.0.1:{port} rejected the user name or the password: 535 ")
    assert "not this one" not in message and not mails.envelopes
    assert "answered 530 " in failure(mail, server={"port": port})


def test_no_password_is_sent_to_a_server_without_login(mail, mails, serve):
    message = failure(mail, server={"port": serve(), "username": "me", "password": PASSWORD})
    assert message == "127.0.0.1 does not offer a login on this connection"


def test_a_server_outside_the_egress_rule_is_refused(mail, mails, serve):
    message = failure(mail, server={"port": serve()}, context={"rule": Rule([])})
    assert "127.0.0.1 is at an address that may not be reached" in message and not mails.envelopes


def test_a_credential_bound_to_other_hosts_is_not_sent(run, make_ctx, serve, mails):
    data = {**HERE, "port": serve(), "sender": "a@example.com"}
    ctx, _ = make_ctx(credentials={"mail": ("smtp", data, ["mail.example.com"])})
    with pytest.raises(NodeError, match="may not be sent to 127.0.0.1"):
        run("email", {"credential": "mail", "to": "a@example.com"}, ctx=ctx)
    assert not mails.envelopes


@pytest.mark.parametrize(
    "leak",
    [
        {"body": "the key is hunter2hunter2"},
        {"to": ["hunter2hunter2@example.com"]},
        {"attachments": [{"name": "a", "content": "hunter2hunter2"}]},
    ],
)
def test_a_secret_from_an_expression_is_not_mailed_to_an_unbound_host(run, make_ctx, serve, mails, leak):
    data = {**HERE, "port": serve(), "sender": "a@example.com"}
    known = {"mail": ("smtp", data), "key": ("secret", {"value": "hunter2hunter2"})}
    ctx, _ = make_ctx(credentials=known)
    assert ctx.keyring["key"] == "hunter2hunter2"
    with pytest.raises(NodeError, match="'key' may not be sent to 127.0.0.1"):
        run("email", {"credential": "mail", "to": "a@example.com", **leak}, ctx=ctx)
    ctx, _ = make_ctx(credentials={**known, "key": (*known["key"], ["127.0.0.1"])})
    assert ctx.keyring["key"] == "hunter2hunter2"
    run("email", {"credential": "mail", "to": "a@example.com", **leak}, ctx=ctx)
    assert len(mails.envelopes) == 1


# Credential check


def test_the_credential_check_sends_no_mail(make_ctx, mails, serve, authority, certificate):
    port = serve(starttls=certificate, authenticator=mails.let_in)
    login = {"host": "127.0.0.1", "port": port, "username": "me", "password": PASSWORD}
    known = {
        "good": ("smtp", login),
        "wrong": ("smtp", {**login, "password": "wrong"}),
        "plain": ("smtp", {**HERE, "port": serve()}),
    }
    ctx, _ = make_ctx(ca_file=authority.file, credentials=known)
    check = CHECKS["smtp"]
    assert check(ctx.credential("good"), ctx, {}) == "mail.example answers, and accepts the login of me"
    assert check(ctx.credential("plain"), ctx, {}) == "mail.example answers; the login was not tested"
    with pytest.raises(NodeError, match="rejected the user name or the password"):
        check(ctx.credential("wrong"), ctx, {})
    assert not mails.envelopes


# The contract


@pytest.fixture
def case_email(mails, serve, script):
    port = serve(authenticator=mails.let_in, auth_require_tls=False)
    login = {**HERE, "username": "me@example.org", "password": PASSWORD}
    mails.refuse = {"echo@example.com": f"550 you said {PASSWORD}"}
    return Case(
        config={"credential": "mail", "to": "jane@example.com, echo@example.com", "subject": "Hello", "body": "Hello"},
        credentials={"mail": ("smtp", {**login, "port": port}), "slow": ("smtp", {**HERE, "port": script({b"": b""})})},
        secret=PASSWORD,
        stalled={"credential": "slow", "from": "a@example.com"},
        count=lambda: len(mails.envelopes),
    )


class TestEmailKeepsTheContract(Contract):
    type_ = "email"


# Parsing of addresses


@pytest.mark.parametrize(
    "text",
    [
        " " * 19_990,
        " " * 9_000 + "x" + " " * 9_000,
        "a " * 9_000 + "<",
        '"' + "\\" * 19_000,
        '"\\' * 9_000,
        "<" * 19_000 + ">",
        '"' * 19_000 + "<a@example.com>",
        "a" * 19_000 + "@example.com",
        "a" * 19_000 + " <a@example.com>",
        "a@" + "a." * 9_000,
        "a@" + "é" * 9_000,
    ],
)
def test_no_address_takes_long_to_parse(text):
    begun = time.thread_time()
    with pytest.raises(NodeError):
        parse_mailbox(text, "to")
    with contextlib.suppress(NodeError):
        parse_mailboxes(text, "to")
    assert time.thread_time() - begun < 0.5


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("  ada@example.com ", "", "ada@example.com"),
        ("<ada@example.com>", "", "ada@example.com"),
        ("Ada < ada@example.com >", "Ada", "ada@example.com"),
        ('"Lovelace, Ada" <ada@example.com>', "Lovelace, Ada", "ada@example.com"),
        (r'"Ada \"Countess\" \\ <x@y>" <ada@example.com>', r'Ada "Countess" \ <x@y>', "ada@example.com"),
        ('"" <ada@example.com>', "", "ada@example.com"),
        ("A" * 200 + " <ada@example.com>", "A" * 200, "ada@example.com"),
    ],
)
def test_an_address_can_be_in_angle_brackets_after_a_name(text, name, address):
    found = parse_mailbox(text, "to")
    assert (found.name, found.address) == (name, address)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A" * 201 + " <ada@example.com>", "has more than 200 characters"),
        ("a" * 64 + "@" + "b" * 256, "has more than 320 characters"),
        ("Lovelace @ home <ada@example.com>", "in quotation marks"),
        ('Ada "Countess" <ada@example.com>', "in quotation marks"),
        ('"Ada" Countess" <ada@example.com>', "in quotation marks"),
        ('"Ada\\" <ada@example.com>', "in quotation marks"),
        ("Ada <bob@example.com> <ada@example.com>", "in quotation marks"),
        ("Ada <ada@example.com", "is not an e-mail address"),
        ("Ada <ada>", "is not an e-mail address"),
    ],
)
def test_the_error_for_an_invalid_address_has_the_reason(text, reason):
    with pytest.raises(NodeError, match=reason):
        parse_mailbox(text, "to")
