"""The session with a mail server, for servers that are not what they seem; those that are, see test_mailbox.py."""

import contextlib
import socket
import threading
import time

import orjson
import pytest

from errors import NodeError
from nodes import REGISTRY
from nodes.mail.imap import MAX_LINES, about_of, session

PASSWORD = "secret-of-the-mailbox"


@pytest.fixture
def poll(make_ctx):
    """`poll(credential)` is the next look at this mailbox; `poll.lines` is its log."""

    def look(credential):
        ctx, look.lines = make_ctx(
            seconds=60, credentials={"box": ("imap", credential)}, scope={"workflow": {"id": "wf_1"}}
        )
        node = REGISTRY["email_trigger"]
        polled = node.poll(node.Config().load({"credential": "box"}), look.state, ctx)
        look.state = orjson.loads(orjson.dumps(polled.state))
        return polled

    look.state = None
    return look


@pytest.fixture
def fake():
    """`fake(answer)` is a server of one connection. `answer(command)` gives what it says to each command, `None` ends
    it; the command is without its tag, `""` at first. `fake.heard` are the commands.
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
    """What a server with an empty folder says."""
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


def test_the_fake_is_good_enough(poll, fake):
    assert poll({**fake(polite), "security": "none"}).items == []
    assert fake.heard[-1] == "LOGOUT"


def test_a_server_that_skips_the_securing_gets_no_password(poll, fake):
    """Somebody in between may greet with PREAUTH, which says that there is nothing to log in to."""
    given = {**fake(lambda command, tag: polite(command, tag, **{"": "* PREAUTH hello\r\n"})), "security": "starttls"}
    with pytest.raises(NodeError, match="STARTTLS illegal in state AUTH"):
        poll(given)
    assert not any(PASSWORD in command for command in fake.heard)


def test_what_was_said_before_the_securing_is_not_believed_after_it(poll, fake):
    def answer(command, tag):
        said = polite(command, tag)
        return said + b"* OK injected\r\n" if command == "STARTTLS" else said

    with pytest.raises(NodeError, match="before TLS was started"):
        poll({**fake(answer), "security": "starttls"})


def test_a_server_without_securing_gets_no_password(poll, fake):
    def answer(command, tag):
        return f"{tag} BAD no\r\n".encode() if command == "STARTTLS" else polite(command, tag)

    with pytest.raises(NodeError):
        poll({**fake(answer), "security": "starttls"})
    assert not any(PASSWORD in command for command in fake.heard)


def test_a_server_that_drips_is_not_waited_for(make_ctx, serve_bytes):
    dripping = serve_bytes([b"*"] * 1_000)
    port = int(dripping.url.rstrip("/").rpartition(":")[2])
    given = {"host": "127.0.0.1", "port": port, "security": "none", "username": "ada", "password": "x"}
    ctx, _ = make_ctx(seconds=0.5, credentials={"box": ("imap", given)})
    began = time.monotonic()

    def hang_up():
        # The fixture's server waits for a word first.
        with session(ctx.credential("box"), ctx):
            raise AssertionError("there is no session")

    with pytest.raises(NodeError, match="timed out waiting for"):
        hang_up()
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
    ids=["lines without end", "a line without end", "more than there is", "a number without end"],
)
def test_a_server_that_says_too_much_is_not_listened_to(poll, fake, greeting):
    def answer(command, tag):
        return polite(command, tag, CAPABILITY=greeting)

    with pytest.raises(NodeError, match=r"^127\.0\.0\.1:\d+: "):
        poll({**fake(answer), "security": "none"})


def test_a_server_that_hangs_up_is_told_of(poll, fake):
    with pytest.raises(NodeError, match=r"^127\.0\.0\.1:\d+: "):
        poll(
            {
                **fake(lambda command, tag: None if command.startswith("STATUS") else polite(command, tag)),
                "security": "none",
            }
        )


def test_what_was_read_before_the_time_is_over_counts(poll, fake, monkeypatch):
    monkeypatch.setattr("nodes.mail.trigger.RESERVED_SECONDS", 0.0)
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
            monkeypatch.setattr("nodes.mail.imap.SESSION_SECONDS", seconds)
            poll.state = {"validity": 1, "uid": 0, "marks": []}
            with contextlib.suppress(NodeError):  # a busy machine has not come as far as the second mail
                polled = poll({**fake(answer), "security": "none"})
            if asked:
                break
    finally:
        over.set()
    assert [item.value["subject"] for item in polled.items] == ["Mail 1"]
    assert poll.state["uid"] == 1 and polled.more


def test_a_folder_that_may_not_be_changed_is_told_of_once(poll, fake):
    def answer(command, tag):
        words = command.split()
        if command.startswith("SELECT"):
            return f"* 1 EXISTS\r\n* OK [READ-ONLY] no\r\n{tag} OK [READ-ONLY] done\r\n".encode()
        if words[:2] == ["UID", "STORE"]:
            raise AssertionError("it may not be changed")
        return polite(command, tag, STATUS='* STATUS "INBOX" (UIDVALIDITY 1 UIDNEXT 9)\r\n')

    poll.state = {"validity": 1, "uid": 8, "marks": [7, 8]}
    poll({**fake(answer), "security": "none"})
    assert poll.state["marks"] == [] and poll.state["told"]
    assert [line[0] for line in poll.lines] == ["warning"]
    poll.state["marks"] = [9]
    poll({**fake(answer), "security": "none"})
    assert poll.lines == []


def test_what_fetch_says_is_found_wherever_the_server_puts_it():
    mark = b"Message-ID: <1@a>\r\nSubject: x\r\n\r\n"
    at = b'INTERNALDATE " 2-Mar-2026 13:00:00 +0100"'
    first = about_of(b"1 (UID 7 RFC822.SIZE 512 " + at + b" BODY[HEADER.FIELDS (A)] {30})", mark)
    other = about_of(
        b"1 (BODY[HEADER.FIELDS (A)] {30} " + at + b" RFC822.SIZE 512 UID 7)", mark.replace(b"\r\n", b"\n")
    )
    assert first == other and (first.uid, first.size, first.arrived) == (7, 512, 1_772_452_800)
    assert about_of(b"1 (FLAGS ())", b"") is None
    assert about_of(b'1 (UID 7 INTERNALDATE "yesterday")', mark).arrived is None
