"""Logins with access tokens (XOAUTH2): real servers for mail and for tokens, which accept the newest token only."""

import base64
import itertools
import json
import socket
import threading

import pytest
from aiosmtpd.smtp import AuthResult
from mail_servers import Mails, Server
from marshmallow import ValidationError
from werkzeug import Response

from errors import NodeError
from nodes import REGISTRY
from nodes.credentials.types import CHECKS, TYPES

pytestmark = pytest.mark.pack("oauth")

USER = "zoe@example.com"
HERE = ["127.0.0.1", "localhost"]
CLIENTS = itertools.count()


class TokenServer:
    """Issues `token-1-…`, `token-2-…`. `accepted` is the one that mail servers accept: by default the newest."""

    def __init__(self, httpserver):
        self.issued, self.accepted = 0, None
        self.url = httpserver.url_for("/token")
        self.client = f"client-{next(CLIENTS)}"
        httpserver.expect_request("/token").respond_with_handler(self.answer)

    def answer(self, request):
        self.issued += 1
        self.accepted = f"token-{self.issued}-{self.client}"
        token = {"access_token": self.accepted, "token_type": "Bearer", "expires_in": 3600}
        return Response(json.dumps(token), content_type="application/json")

    def admits(self, sent):
        return sent == f"user={USER}\x01auth=Bearer {self.accepted}\x01\x01".encode()

    def credentials(self, hosts=HERE, **mail):
        account = {"token_url": self.url, "client_id": self.client, "client_secret": "secret-of-the-client"}
        data = {"host": "127.0.0.1", "security": "none", "username": USER, "token_from": "account", **mail}
        type_ = "smtp" if "sender" in data else "imap"
        return {"account": ("oauth2_client_credentials", account, hosts), "mail": (type_, data)}


@pytest.fixture
def tokens(httpserver):
    return TokenServer(httpserver)


# SMTP


class TokenMails(Mails):
    """Mails of those who log in with the token. `says_why`: a refusal has a challenge with its reasons first."""

    def __init__(self, tokens):
        super().__init__()
        self.tokens, self.says_why, self.seen = tokens, True, []

    async def auth_XOAUTH2(self, server, args):
        sent = base64.b64decode(args[1])
        self.seen.append(sent)
        if self.tokens.admits(sent):
            return AuthResult(success=True, auth_data=USER)
        if self.says_why:
            assert await server.challenge_auth('{"status": "400"}') in (b"", "")
        await server.push("535 5.7.8 not accepted")
        return AuthResult(success=False, handled=True)


@pytest.fixture
def mails(tokens):
    return TokenMails(tokens)


@pytest.fixture
def send(run, make_ctx, mails, tokens):
    """`send(**credentials)` sends a mail through a server that accepts tokens; `send.lines` is its log."""
    server = Server(mails, auth_require_tls=False, auth_required=True)
    server.start()

    def mail(**options):
        credentials = tokens.credentials(port=server.port, sender="shop@example.com", **options)
        mail.ctx, mail.lines = make_ctx(credentials=credentials)
        return run("email", {"credential": "mail", "to": "jane@example.com", "body": "hello"}, ctx=mail.ctx)

    yield mail
    server.stop()


def test_a_mail_is_sent_with_a_token(send, mails, tokens):
    assert send()["accepted"] == ["jane@example.com"]
    send()
    assert len(mails.envelopes) == 2 and tokens.issued == 1


@pytest.mark.parametrize("says_why", [True, False])
def test_a_refused_token_is_replaced_once(send, mails, tokens, says_why):
    mails.says_why = says_why
    send()
    tokens.accepted = "revoked"
    send()
    assert (len(mails.envelopes), tokens.issued, len(mails.seen)) == (2, 2, 3)


def test_a_token_that_is_refused_twice_fails_the_login(send, mails, tokens):
    tokens.admits = lambda sent: False
    with pytest.raises(NodeError) as caught:
        send()
    assert "127.0.0.1 rejected the access token: 535 5.7.8 not accepted" in caught.value.message
    assert (caught.value.permanent, caught.value.kind, tokens.issued) == (True, "credential", 2)
    sent = mails.seen[-1]
    for written in (sent.decode(), base64.b64encode(sent).decode(), tokens.accepted):
        assert send.ctx.clean(f"it sent {written} then") == "it sent *** then"


def test_a_token_is_sent_to_the_hosts_of_its_credential_only(send, mails, tokens):
    with pytest.raises(NodeError) as caught:
        send(hosts=["smtp.example.com", "localhost"])
    assert "the credential 'account' may not be sent to 127.0.0.1" in caught.value.message
    assert not mails.seen and not tokens.issued


def test_the_check_of_the_credential_logs_in(make_ctx, mails, tokens):
    server = Server(mails, auth_require_tls=False, auth_required=True)
    server.start()
    ctx, _ = make_ctx(credentials=tokens.credentials(port=server.port, sender="shop@example.com"))
    assert f"accepts the login of {USER}" in CHECKS["smtp"](ctx.credential("mail"), ctx, {})
    server.stop()


# IMAP


@pytest.fixture
def mailbox(tokens):
    """An IMAP server with an empty folder that accepts tokens. `mailbox.seen` are the logins."""
    listener = socket.create_server(("127.0.0.1", 0))
    says = {
        "CAPABILITY": "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\n",
        "STATUS": '* STATUS "INBOX" (UIDVALIDITY 1 UIDNEXT 1)\r\n',
        "SELECT": "* 0 EXISTS\r\n",
        "EXAMINE": "* 0 EXISTS\r\n",
        "LIST": '* LIST () "/" INBOX\r\n',
        "LOGOUT": "* BYE\r\n",
    }

    def log_in(connection, lines, tag):
        connection.sendall(b"+ \r\n")
        start.seen.append(base64.b64decode(lines.readline()))
        if tokens.admits(start.seen[-1]):
            return f"{tag} OK in\r\n"
        connection.sendall(b"+ " + base64.b64encode(b'{"status":"400"}') + b"\r\n")
        assert lines.readline() == b"\r\n"
        return f"{tag} NO [AUTHENTICATIONFAILED] not accepted\r\n"

    def talk():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"* OK hello\r\n")
                for line in lines:
                    tag, _, command = line.decode().strip().partition(" ")
                    word = command.split(" ")[0]
                    answer = says.get(word, "") + f"{tag} OK done\r\n"
                    if word == "AUTHENTICATE":
                        answer = log_in(connection, lines, tag)
                    connection.sendall(answer.encode())

    def start():
        return {"host": "127.0.0.1", "port": listener.getsockname()[1]}

    start.seen = []
    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(20)


@pytest.fixture
def poll(make_ctx, tokens, mailbox):
    """`poll()` polls the mailbox."""

    def look(**options):
        credentials = tokens.credentials(**mailbox(), **options)
        ctx, _ = make_ctx(seconds=60, credentials=credentials, scope={"workflow": {"id": "wf_1"}})
        node = REGISTRY["email_trigger"]
        return node.poll(node.Config().load({"credential": "mail"}), None, ctx)

    return look


def test_a_mailbox_is_polled_with_a_token(poll, mailbox, tokens):
    assert poll().items == [] and poll().items == []
    assert tokens.issued == 1 and len(mailbox.seen) == 2


def test_a_token_that_a_mailbox_refuses_is_replaced_once(poll, mailbox, tokens):
    poll()
    tokens.accepted = "revoked"
    poll()
    assert (tokens.issued, len(mailbox.seen)) == (2, 3)
    tokens.admits = lambda sent: False
    with pytest.raises(NodeError) as caught:
        poll()
    assert "the access token was rejected: [AUTHENTICATIONFAILED] not accepted" in caught.value.message
    assert (caught.value.kind, tokens.issued, len(mailbox.seen)) == ("credential", 3, 5)


def test_a_mailbox_gets_tokens_of_its_hosts_only(poll, mailbox, tokens):
    with pytest.raises(NodeError, match="may not be sent to 127.0.0.1"):
        poll(hosts=["localhost"])
    assert not mailbox.seen and not tokens.issued


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("smtp", {"username": "zoe"}),
        ("smtp", {"token_from": "account"}),
        ("smtp", {"password": "secret"}),
        ("smtp", {"username": "zoe", "password": "secret", "token_from": "account"}),
        ("imap", {"username": "zoe"}),
        ("imap", {"username": "zoe", "password": "secret", "token_from": "account"}),
        ("imap", {"token_from": "account"}),
    ],
)
def test_a_mail_credential_has_one_way_to_log_in(type_, data):
    with pytest.raises(ValidationError):
        TYPES[type_].load({"host": "mail.example.com", **data})
