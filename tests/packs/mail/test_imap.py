"""The IMAP session with malicious and broken servers; test_mail_trigger.py uses a real server."""

import contextlib
import socket
import threading
import time

import orjson
import pytest

from errors import NodeError
from nodes import REGISTRY
from packs.mail.mailbox import MAX_LINES, about_of, session

PASSWORD = "secret-of-the-mailbox"


@pytest.fixture
def poll(make_ctx):
    """`poll(credential)` polls this mailbox with the state of the previous poll; `poll.lines` is its log."""

    def poll_once(credential):
        ctx, poll_once.lines = make_ctx(
            seconds=60, credentials={"box": ("imap", credential)}, scope={"workflow": {"id": "wf_1"}}
        )
        node = REGISTRY["email_trigger"]
        polled = node.poll(node.Config().load({"credential": "box"}), poll_once.state, ctx)
        poll_once.state = orjson.loads(orjson.dumps(polled.state))
        return polled

    poll_once.state = None
    return poll_once


@pytest.fixture
def fake():
    """`fake(answer)` starts a server for one connection and returns a credential for it.

    `answer(command, tag)` returns the answer to a command, or None to close the connection. The command has no tag; it
    is `""` for the greeting. `fake.heard` has the received commands.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)

    def talk(answer):
        connection, _ = listener.accept()
        connection.settimeout(20)
        with connection, connection.makefile("rb") as lines:
            try:
                connection.sendall(answer("", ""))
                while line := lines.readline():
                    tag, _, command = line.decode().strip().partition(" ")
                    start.heard.append(command)
                    said = answer(command, tag)
                    if said is None:
                        return
                    connection.sendall(said)
            except OSError:
                return

    def start(answer):
        start.heard = []
        thread = threading.Thread(target=talk, args=(answer,), daemon=True)
        thread.start()
        return {"host": "127.0.0.1", "port": listener.getsockname()[1], "username": "ada", "password": PASSWORD}

    yield start
    listener.close()


def polite(command, tag, **more):
    """Return the answer of a server with an empty folder; `more` replaces answers."""
    word = command.partition(" ")[0]
    says = {
        "": "* OK hello\r\n",
        "CAPABILITY": "* CAPABILITY IMAP4rev1\r\n",
        "STATUS": '* STATUS "INBOX" (UIDVALIDITY 1 UIDNEXT 1)\r\n',
        "SELECT": "* 0 EXISTS\r\n",
        "EXAMINE": "* 0 EXISTS\r\n",
        "LOGOUT": "* BYE\r\n",
        **more,
    }
    end = "" if not command else f"{tag} OK done\r\n"
    return (says.get(word, "") + end).encode()


def test_the_fake_server_can_be_polled(poll, fake):
    assert poll({**fake(polite), "security": "none"}).items == []
    assert fake.heard[-1] == "LOGOUT"


def test_no_password_is_sent_after_a_preauth_greeting(poll, fake):
    """An attacker in the middle may greet with PREAUTH (already logged in), which does not permit STARTTLS."""
    given = {**fake(lambda command, tag: polite(command, tag, **{"": "* PREAUTH hello\r\n"})), "security": "starttls"}
    with pytest.raises(NodeError, match="STARTTLS illegal in state AUTH"):
        poll(given)
    assert not any(PASSWORD in command for command in fake.heard)


def test_data_received_before_tls_starts_is_an_error(poll, fake):
    def answer(command, tag):
        said = polite(command, tag)
        return said + b"* OK injected\r\n" if command == "STARTTLS" else said

    with pytest.raises(NodeError, match="before TLS was started"):
        poll({**fake(answer), "security": "starttls"})


def test_no_password_is_sent_to_a_server_without_starttls(poll, fake):
    def answer(command, tag):
        return f"{tag} BAD no\r\n".encode() if command == "STARTTLS" else polite(command, tag)

    with pytest.raises(NodeError):
        poll({**fake(answer), "security": "starttls"})
    assert not any(PASSWORD in command for command in fake.heard)


def test_a_slow_server_does_not_extend_the_deadline(make_ctx, serve_bytes):
    dripping = serve_bytes([b"*"] * 1_000)
    port = int(dripping.url.rstrip("/").rpartition(":")[2])
    given = {"host": "127.0.0.1", "port": port, "security": "none", "username": "ada", "password": "x"}
    ctx, _ = make_ctx(seconds=0.5, credentials={"box": ("imap", given)})
    began = time.monotonic()

    def open_session():
        # The server of the fixture sends nothing before it has received something.
        with session(ctx.credential("box"), ctx):
            raise AssertionError("there is no session")

    with pytest.raises(NodeError, match="timed out waiting for"):
        open_session()
    assert time.monotonic() - began < 15


@pytest.mark.slow
@pytest.mark.parametrize(
    "greeting",
    [
        "* OK hello\r\n" * (MAX_LINES + 1),
        "* OK " + "x" * (11 * 2**20),
        "* OK {9999999999}\r\n",
        "* OK {1" + "1" * 5_000 + "}\r\n",
    ],
    ids=["endless lines", "an endless line", "a literal longer than its data", "an endless number"],
)
def test_an_endless_or_oversized_answer_is_an_error(poll, fake, greeting):
    def answer(command, tag):
        return polite(command, tag, CAPABILITY=greeting)

    with pytest.raises(NodeError, match=r"^127\.0\.0\.1:\d+: "):
        poll({**fake(answer), "security": "none"})


def test_the_error_for_a_closed_connection_names_the_server(poll, fake):
    with pytest.raises(NodeError, match=r"^127\.0\.0\.1:\d+: "):
        poll(
            {
                **fake(lambda command, tag: None if command.startswith("STATUS") else polite(command, tag)),
                "security": "none",
            }
        )


def test_messages_read_before_the_timeout_are_returned(poll, fake, monkeypatch):
    monkeypatch.setattr("packs.mail.mailbox.RESERVED_SECONDS", 0.0)
    over, asked = threading.Event(), []
    raw = "Message-ID: <{0}@a>\r\nSubject: Mail {0}\r\n\r\n"

    def literal(uid, part):
        text = raw.format(uid)
        return f"* {uid} FETCH (UID {uid} RFC822.SIZE 50 {part} {{{len(text)}}}\r\n{text})\r\n"

    def answer(command, tag):
        said = polite(command, tag, STATUS='* STATUS "INBOX" (UIDVALIDITY 1 UIDNEXT 3)\r\n')
        if command.startswith("UID SEARCH"):
            return f"* SEARCH 1 2\r\n{tag} OK done\r\n".encode()
        if command.startswith("UID FETCH 1,2"):
            return f"{literal(1, 'BODY[HEADER]')}{literal(2, 'BODY[HEADER]')}{tag} OK done\r\n".encode()
        if command.startswith("UID FETCH 1 "):
            return f"{literal(1, 'BODY[]<0>')}{tag} OK done\r\n".encode()
        if command.startswith("UID FETCH 2 "):
            asked.append(command)
            over.wait(60)
        return said

    try:
        for seconds in (1.0, 4.0, 16.0, 40.0):
            monkeypatch.setattr("packs.mail.mailbox.SESSION_SECONDS", seconds)
            poll.state = {"validity": 1, "uid": 0, "marks": []}
            with contextlib.suppress(NodeError):  # a busy machine may not reach the second message
                polled = poll({**fake(answer), "security": "none"})
            if asked:
                break
    finally:
        over.set()
    assert [item.value["subject"] for item in polled.items] == ["Mail 1"]
    assert poll.state["uid"] == 1 and polled.more


def test_a_read_only_folder_is_logged_once(poll, fake):
    def answer(command, tag):
        words = command.split()
        if command.startswith("SELECT"):
            return f"* 1 EXISTS\r\n* OK [READ-ONLY] no\r\n{tag} OK [READ-ONLY] done\r\n".encode()
        if words[:2] == ["UID", "STORE"]:
            raise AssertionError("the folder is read-only")
        return polite(command, tag, STATUS='* STATUS "INBOX" (UIDVALIDITY 1 UIDNEXT 9)\r\n')

    poll.state = {"validity": 1, "uid": 8, "marks": [7, 8]}
    poll({**fake(answer), "security": "none"})
    assert poll.state["marks"] == [] and poll.state["told"]
    assert [line[0] for line in poll.lines] == ["warning"]
    poll.state["marks"] = [9]
    poll({**fake(answer), "security": "none"})
    assert poll.lines == []


def test_the_attributes_of_a_fetch_answer_can_have_any_order():
    mark = b"Message-ID: <1@a>\r\nSubject: x\r\n\r\n"
    at = b'INTERNALDATE " 2-Mar-2026 13:00:00 +0100"'
    first = about_of(b"1 (UID 7 RFC822.SIZE 512 " + at + b" BODY[HEADER.FIELDS (A)] {30})", mark)
    other = about_of(
        b"1 (BODY[HEADER.FIELDS (A)] {30} " + at + b" RFC822.SIZE 512 UID 7)", mark.replace(b"\r\n", b"\n")
    )
    assert first == other and (first.uid, first.size, first.arrived) == (7, 512, 1_772_452_800)
    assert about_of(b"1 (FLAGS ())", b"") is None
    assert about_of(b'1 (UID 7 INTERNALDATE "yesterday")', mark).arrived is None
