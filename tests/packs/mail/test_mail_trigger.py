import re
import time
from itertools import count

import dovecot
import orjson
import pytest
from dovecot import mail
from marshmallow import ValidationError

from errors import NodeError
from nodes import REGISTRY
from nodes.credentials.types import CHECKS
from packs.mail.mailbox import MAX_BATCH, ImapSession, safe_name, try_mailbox
from parsers.process import Reader

pytestmark = pytest.mark.skipif(dovecot.why_not() is not None, reason=str(dovecot.why_not()))
USERS = count(1)


@pytest.fixture(scope="module")
def server():
    with dovecot.running() as made:
        yield made


@pytest.fixture
def box(server):
    """A new mailbox, of a user that no other test has."""
    made = server.mailbox(f"user{next(USERS)}")
    yield made
    made.close()


@pytest.fixture
def poll(make_ctx, box):
    """`poll(**config)` polls the mailbox with the state of the previous poll; `poll.lines` is its log."""

    def poll_once(credential=None, hosts=None, ca_file=None, **config):
        given = ("imap", credential or box.credential(), hosts)
        scope = {"workflow": {"id": "wf_1"}}
        ctx, poll_once.lines = make_ctx(seconds=120, credentials={"box": given}, scope=scope, ca_file=ca_file)
        poll_once.files = ctx.files
        node = REGISTRY["email_trigger"]
        polled = node.poll(node.Config().load({"credential": "box", **config}), poll_once.state, ctx)
        poll_once.state = orjson.loads(orjson.dumps(polled.state))
        return polled

    poll_once.state = None
    return poll_once


@pytest.fixture
def poll_again(poll):
    """`poll`, after a first poll."""
    poll()
    return poll


def subjects(polled):
    return [item.value["subject"] for item in polled.items]


# New messages


def test_the_first_poll_records_existing_messages_and_the_next_returns_new_ones(box, poll):
    box.add(subject="Old")
    first = poll()
    assert [item.value for item in first.items] == [None] and not first.more and not first.whole
    box.add("Two of them, please", subject="New", cc="Bob <bob@example.com>", reply_to="shop@example.com")
    (item,) = poll().items
    message_id = item.value.pop("message_id")
    assert re.fullmatch(r"<[0-9a-f]{16}@example.com>", message_id)
    assert 300 < item.value.pop("size") < 600
    assert item.value == {
        "uid": 2,
        "from": {"name": "Ada", "address": "ada@example.com"},
        "to": [{"name": "", "address": "orders@example.org"}],
        "cc": [{"name": "Bob", "address": "bob@example.com"}],
        "subject": "New",
        "date": "2026-03-02T12:00:00Z",
        "text": "Two of them, please",
        "html": "",
        "headers": {"reply-to": "shop@example.com"},
        "attachments": [],
        "note": None,
    }
    assert poll().items == []


def test_with_backlog_existing_entries_start_runs_oldest_first(box, poll):
    for number in range(3):
        box.add(subject=f"Mail {number}")
    assert subjects(poll(backlog=True)) == ["Mail 0", "Mail 1", "Mail 2"]


def test_an_empty_folder_can_be_polled(box, poll):
    assert poll().items == [] and poll.state["uid"] == 0
    box.add(subject="First")
    assert subjects(poll()) == ["First"]


def test_many_messages_are_returned_by_several_polls(box, poll_again):
    for number in range(MAX_BATCH + 5):
        box.add(subject=f"Mail {number}")
    first = poll_again()
    assert subjects(first) == [f"Mail {number}" for number in range(MAX_BATCH)] and first.more
    assert subjects(poll_again()) == [f"Mail {number}" for number in range(MAX_BATCH, MAX_BATCH + 5)]


def test_a_message_deleted_during_the_poll_is_skipped(box, poll_again, monkeypatch):
    box.add(subject="Gone")
    box.add(subject="There")
    about = ImapSession.about

    def fetch_then_delete(self, uids):
        found = about(self, uids)
        box.delete("Gone")
        return found

    monkeypatch.setattr(ImapSession, "about", fetch_then_delete)
    assert subjects(poll_again()) == ["There"]


def test_a_message_in_another_folder_is_ignored(box, poll_again):
    box.create("Orders")
    box.add(subject="Elsewhere", folder="Orders")
    assert poll_again().items == []


@pytest.mark.parametrize("folder", ["Orders.New", "With blanks", 'A \\"quote\\"', "Entw&APw-rfe"])
def test_a_folder_can_have_any_name(box, poll, folder):
    box.create(folder)
    name = folder.replace("&APw-", "ü").replace("\\", "")
    poll(folder=name)
    box.add(subject="x", folder=folder)
    assert subjects(poll(folder=name)) == ["x"]


def test_the_error_for_a_missing_folder_names_it(server, poll):
    with pytest.raises(NodeError, match=r"127\.0\.0\.1:\d+: .*doesn't exist: Nowhere"):
        poll(folder="Nowhere")


# Duplicates


def test_a_message_moved_away_and_back_keeps_its_key(box, poll_again):
    box.create("Archive")
    box.add(subject="Once")
    (first,) = poll_again().items
    box.move("Once", "INBOX", "Archive")
    box.move("Once", "Archive", "INBOX")
    (again,) = poll_again().items
    assert again.key == first.key and again.value["uid"] > first.value["uid"]


def test_messages_with_the_same_content_have_different_keys(box, poll_again):
    for _ in range(2):
        box.add("the same", subject="Alarm")
    keys = [item.key for item in poll_again().items]
    assert len(set(keys)) == 2


def test_the_key_of_a_message_without_an_id_depends_on_its_arrival_and_size(box, poll_again):
    box.add("a", subject="Alarm", message_id=None, at='"02-Mar-2026 12:00:00 +0000"')
    box.add("a", subject="Alarm", message_id=None, at='"02-Mar-2026 12:00:01 +0000"')
    box.add("ab", subject="Alarm", message_id=None, at='"02-Mar-2026 12:00:00 +0000"')
    assert len({item.key for item in poll_again().items}) == 3


def recreate(box, *mails):
    """Recreate the folder as after the server lost its numbering: the same messages with new numbers."""
    before = box.numbering("Orders")
    box.delete_folder("Orders")
    while True:
        box.create("Orders")
        if box.numbering("Orders") != before:
            break
        box.delete_folder("Orders")
    for raw in mails:
        box.add(raw, folder="Orders")


def test_a_renumbered_folder_starts_no_run_twice(box, poll):
    box.create("Orders")
    old = [box.add(subject=f"Old {number}", folder="Orders") for number in range(3)]
    known = {item.key for item in poll(folder="Orders").items}
    old.append(box.add(subject="Fired", folder="Orders"))
    known |= {item.key for item in poll(folder="Orders").items}
    new = mail(subject="New")
    recreate(box, *old, bytes(new))
    found = poll(folder="Orders")
    assert subjects(found)[-1] == "New"
    assert [item.value["subject"] for item in found.items if item.key not in known] == ["New"]
    assert "renumbered the mails of Orders" in poll.lines[0][1]
    assert poll(folder="Orders").items == []
    box.add(subject="Later", folder="Orders")
    assert subjects(poll(folder="Orders")) == ["Later"]


def test_only_recent_messages_of_a_renumbered_folder_are_read(box, poll):
    box.create("Orders")
    long_ago = box.add(subject="Long ago", folder="Orders", at='"02-Mar-2020 12:00:00 +0000"')
    box.add(subject="Lately", folder="Orders")
    poll(folder="Orders")
    recreate(box)
    box.add(long_ago, folder="Orders", at='"02-Mar-2020 12:00:00 +0000"')
    box.add(subject="New", folder="Orders")
    assert subjects(poll(folder="Orders")) == ["New"]


def test_message_numbers_that_decrease_count_as_a_new_numbering(box, poll_again):
    box.add(subject="One")
    poll_again()
    poll_again.state["uid"] = 1_000
    (item,) = poll_again().items
    assert item.value["subject"] == "One" and poll_again.state["uid"] == 1


# Marking as seen


def test_messages_are_marked_by_the_poll_after_the_one_that_reads_them(box, poll_again):
    box.add(subject="One")
    first = poll_again()
    assert first.more and box.seen() == []
    assert not poll_again().more and box.seen() == ["One"]


def test_messages_not_marked_because_of_a_crash_are_marked_later(box, poll_again):
    box.add(subject="One")
    poll_again()
    state = poll_again.state
    poll_again()
    poll_again.state = state
    assert poll_again().items == [] and box.seen() == ["One"]


def test_without_mark_seen_nothing_is_marked(box, poll_again):
    box.add(subject="One")
    assert not poll_again(mark_seen=False).more
    poll_again(mark_seen=False)
    assert box.seen() == []


def test_marking_does_not_expunge_messages_flagged_as_deleted(box, poll_again):
    box.add(subject="One")
    box.add(subject="Perhaps")
    poll_again()
    box.delete("Perhaps", for_good=False)
    poll_again()
    assert box.subjects() == ["One", "Perhaps"]


# Content of a message


@pytest.fixture
def read(box, poll_again):
    """`read(mail)` delivers a message and returns the value that the trigger makes of it."""

    def deliver(raw, **config):
        box.add(raw if isinstance(raw, bytes) else bytes(raw))
        (item,) = poll_again(**config).items
        orjson.dumps(item.value)
        return item.value

    return deliver


def test_text_and_html_in_any_charset(read):
    made = mail("Grüße", subject="Übung", sender="Zoë <zoe@example.com>")
    made.add_alternative("<p>Grüße <b>aus</b> Köln</p>", subtype="html", charset="iso-8859-1")
    found = read(made)
    assert (found["subject"], found["text"]) == ("Übung", "Grüße")
    assert found["html"].strip() == "<p>Grüße <b>aus</b> Köln</p>"
    assert found["from"] == {"name": "Zoë", "address": "zoe@example.com"}


def test_the_text_of_an_html_message_is_taken_from_the_html(read):
    made = mail()
    made.set_content("<style>p {}</style><p>Fish &amp; <b>chips</b></p>", subtype="html")
    assert read(made)["text"] == "Fish & chips"


def test_the_output_has_only_the_headers_that_a_flow_may_need(read):
    found = read(mail(list_id="<news.example.com>", auto_submitted="auto-replied", x_spam="no"))
    assert found["headers"] == {"list-id": "<news.example.com>", "auto-submitted": "auto-replied"}


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Mon, 02 Mar 2026 13:00:00 +0100", "2026-03-02T12:00:00Z"),
        ("Mon, 02 Mar 2026 12:00:00 -0000", "2026-03-02T12:00:00Z"),
        ("yesterday", None),
        (None, None),
    ],
)
def test_the_date_is_in_utc_or_null(read, date, expected):
    raw = b"From: a@example.com\r\n" + (f"Date: {date}\r\n".encode() if date else b"") + b"Subject: x\r\n\r\nx\r\n"
    assert read(raw)["date"] == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n",
        b"no header\r\n\r\nx",
        b"Subject: =?utf-8?b?!!!?=\r\nFrom: =?x?q?=?=\r\nTo: ,,;<>\r\n\r\nx",
        b"Subject: =?no-such-charset?q?x?=\r\n\r\nx",
        b"From: \xff\xfe <\xff@\xff>\r\nSubject: \xff\r\n\r\n\xff\xff",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain; charset=nope\r\n\r\nx",
        b"Content-Type: text/plain; charset=punycode\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
        b'Content-Disposition: attachment; filename="=?utf-8?b?!?="\r\n\r\nx',
    ],
)
def test_a_malformed_message_is_read_as_far_as_possible(read, raw):
    found = read(raw)
    assert found["uid"] and "traceback" not in str(found["note"]).lower()
    assert isinstance(found["to"], list) and isinstance(found["headers"], dict)


def test_a_long_text_is_truncated(read):
    made = mail()
    made.set_content("x" * 70 + "\n" + "a long line\n" * 150_000)
    found = read(made)
    assert len(found["text"]) <= 1_000_000 and found["note"] == "its text is truncated after 1000000 characters"


@pytest.mark.slow
def test_only_the_headers_of_an_oversized_message_are_read(box, poll_again):
    made = mail(subject="Large")
    made.add_attachment(b"x" * (20 * 2**20), maintype="application", subtype="octet-stream", filename="a.bin")
    box.add(bytes(made))
    box.add(subject="After")
    large, after = poll_again().items
    assert large.value["subject"] == "Large" and large.value["text"] == "" and large.value["attachments"] == []
    assert large.value["note"].startswith("the mail has more than 26214400 bytes")
    assert after.value["subject"] == "After"


# Attachments


def mail_with_files(*names, content=b"abc"):
    made = mail(subject="With files")
    for name in names:
        made.add_attachment(content, maintype="application", subtype="pdf", filename=name)
    return made


def test_attachments_are_saved_as_files_of_the_workspace(read, poll_again):
    first, second = read(mail_with_files("order.pdf", "Rechnung März.pdf"))["attachments"]
    folder = first["path"].rpartition("/")[0]
    assert re.fullmatch(r"mail/wf_1/node/\d+-1", folder)
    assert first == {"path": f"{folder}/1-order.pdf", "name": "order.pdf", "size": 3, "content_type": "application/pdf"}
    assert (second["path"], second["name"]) == (f"{folder}/2-Rechnung März.pdf", "Rechnung März.pdf")
    assert poll_again.files.read(first["path"]) == poll_again.files.read(second["path"]) == b"abc"


def test_attachments_are_not_saved_if_the_option_is_off(read, poll_again):
    (found,) = read(mail_with_files("order.pdf"), attachments=False)["attachments"]
    assert found == {"path": None, "name": "order.pdf", "size": 3, "content_type": "application/pdf"}
    assert poll_again.files.list() == []


def test_attachments_over_the_limit_are_left_out(read):
    found = read(mail_with_files(*(f"{number}.pdf" for number in range(60))))
    assert len(found["attachments"]) == 50
    assert found["note"] == "has more attachments than the limit; the rest is left out"


def test_a_note_reports_an_attachment_that_is_too_large_to_save(read):
    (found,) = read(mail_with_files("a.pdf", content=b"x" * 1_100_000))["attachments"]
    assert found["path"] is None and "exceed the limit" in found["note"]


def test_a_message_is_read_again_after_a_full_disk(box, poll_again, monkeypatch):
    box.add(bytes(mail_with_files("a.pdf")))
    state = poll_again.state

    def fail(self, path, data):
        raise NodeError("the disk is full")

    monkeypatch.setattr("nodes.files.files.WorkspaceFiles.write", fail)
    with pytest.raises(NodeError, match="the disk is full"):
        poll_again()
    monkeypatch.undo()
    poll_again.state = state
    assert subjects(poll_again()) == ["With files"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("order.pdf", "order.pdf"),
        ("Rechnung März (1).pdf", "Rechnung März (1).pdf"),
        ("..", "file"),
        (".bashrc", "bashrc"),
        ("a\0b\nc<>|.txt", "a_b_c_.txt"),
        ("", "file"),
        ("x" * 300 + ".pdf", "x" * 40 + ".pdf"),
        ("日" * 300, "日" * 50),
        (".draft-1", "draft-1"),
    ],
)
def test_a_file_name_is_made_safe(name, safe):
    assert safe_name(name) == safe and len(safe.encode()) <= 200


def test_the_path_in_an_attachment_name_is_ignored(read):
    raw = bytes(mail_with_files("NAME")).replace(b'"NAME"', b'"../../../etc/passwd"')
    raw = raw.replace(b"filename=NAME", b'filename="../../../etc/passwd"')
    (found,) = read(raw)["attachments"]
    assert found["name"] == "passwd" and found["path"].endswith("/1-passwd")


def test_an_attached_message_is_saved_as_a_file(read, poll_again):
    made = mail(subject="Forwarded")
    made.add_attachment(mail("the inner text", subject="Inner"))
    (found,) = read(made)["attachments"]
    assert found["content_type"] == "message/rfc822" and b"the inner text" in poll_again.files.read(found["path"])


# Malicious messages


def nested_parts(depth):
    head = "".join(f"--b{at}\r\nContent-Type: multipart/mixed; boundary=b{at + 1}\r\n\r\n" for at in range(depth))
    return f"Subject: x\r\nContent-Type: multipart/mixed; boundary=b0\r\n\r\n{head}".encode()


HARMFUL = {
    "very deep": nested_parts(3_000),
    "deep, with many lines": nested_parts(300) + b"a\n" * 2_000_000,
    "a header that takes quadratic time": b"Subject: " + b"=?a?q?b" * 100_000 + b"\r\n\r\nx",
    "many addresses": b"To: " + b"a@b, " * 200_000 + b"\r\n\r\nx",
    "a charset that takes quadratic time": b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a-" * 500_000,
    "a name that takes long": b"Content-Disposition: attachment; filename*0*=" + b"a;b*0*=" * 50_000 + b"\r\n\r\nx",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMFUL)
def test_a_malicious_message_does_not_block_the_reader(name):
    with Reader("packs.mail.mail") as reader:
        began = time.monotonic()
        try:
            reader.read({"attachments": 50}, HARMFUL[name], 3.0)
        except NodeError as error:
            assert error.message.startswith("the mail cannot be read: ")
        assert time.monotonic() - began < 20
        found, _ = reader.read({"attachments": 50}, bytes(mail(subject="Next")), 10.0)
        assert found["subject"] == "Next"


@pytest.mark.slow
def test_an_unreadable_message_still_starts_a_run(box, poll_again, monkeypatch):
    monkeypatch.setattr("packs.mail.mailbox.READ_SECONDS", 2.0)
    box.add(HARMFUL["deep, with many lines"])
    box.add(subject="After")
    harmful, after = poll_again().items
    assert harmful.value["note"].startswith("the mail cannot be read: ") and harmful.value["uid"] == 1
    assert after.value["subject"] == "After"


# The connection


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_the_connection_has_the_security_of_the_credential(server, box, poll, security):
    port = server.tls_port if security == "tls" else server.port
    given = box.credential(security=security, port=port)
    poll(given, ca_file=server.ca)
    box.add(subject="x")
    assert subjects(poll(given, ca_file=server.ca)) == ["x"]


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_an_untrusted_certificate_is_refused(server, box, poll, security):
    port = server.tls_port if security == "tls" else server.port
    with pytest.raises(NodeError, match=r"127\.0\.0\.1:\d+: the certificate is not trusted: self-signed"):
        poll(box.credential(security=security, port=port))


def test_a_certificate_of_another_host_is_refused(server, box, poll, names):
    names["mail.example"] = ["127.0.0.1"]
    given = box.credential(security="tls", port=server.tls_port, host="mail.example")
    with pytest.raises(NodeError, match=r"not trusted: Hostname mismatch|not trusted: .*not valid for"):
        poll(given, hosts=["mail.example"], ca_file=server.ca)


@pytest.mark.parametrize("password", ["wrong", "wröng"])
def test_the_error_for_a_wrong_password_does_not_contain_it(box, poll, password):
    with pytest.raises(NodeError, match="AUTHENTICATIONFAILED|Authentication failed") as caught:
        poll(box.credential(password=password))
    assert password not in caught.value.message


def test_a_credential_is_only_sent_to_its_hosts(box, poll):
    with pytest.raises(NodeError, match=r"may not be sent to 127.0.0.1: it is bound to example.com"):
        poll(hosts=["example.com"])


def test_a_host_outside_the_egress_rule_is_refused(box, poll):
    with pytest.raises(NodeError, match="may not be reached") as caught:
        poll(box.credential(host="127.0.0.2"), hosts=["127.0.0.2"])
    assert caught.value.permanent


def test_the_error_for_a_refused_connection_names_the_server(box, poll):
    with pytest.raises(NodeError, match=r"127\.0\.0\.1:1: Connection refused"):
        poll(box.credential(port=1))


def test_the_credential_check_logs_in_and_counts_the_folders(server, box, make_ctx):
    box.create("Orders")
    assert CHECKS["imap"] is try_mailbox
    ctx, _ = make_ctx(credentials={"box": ("imap", box.credential())})
    assert try_mailbox(ctx.credential("box"), ctx, {}) == f"logged in as {box.user}; 2 folders"
    ctx, _ = make_ctx(credentials={"box": ("imap", box.credential(password="wrong"))})
    with pytest.raises(NodeError, match="the login was rejected"):
        try_mailbox(ctx.credential("box"), ctx, {})


@pytest.mark.parametrize(
    "config", [{"folder": ""}, {"folder": "a\r\nb"}, {"every": 9}, {"credential": ""}, {"mark_seen": "perhaps"}]
)
def test_an_invalid_config_is_refused(config):
    with pytest.raises(ValidationError):
        REGISTRY["email_trigger"].Config().load({"credential": "box", **config})


def test_a_trigger_has_defaults():
    assert REGISTRY["email_trigger"].Config().load({"credential": "box"}) == {
        "credential": "box",
        "folder": "INBOX",
        "every": 60.0,
        "mark_seen": True,
        "backlog": False,
        "attachments": True,
    }


def test_the_output_of_the_trigger_is_the_message(run):
    assert run("email_trigger", {"credential": "box"}, {"uid": 1}) == {"uid": 1}
