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
from nodes.credentials.checks import CHECKS
from nodes.mail.imap import Session, check
from nodes.mail.trigger import MAX_BATCH, safe_name
from parsers.process import Reader

pytestmark = pytest.mark.skipif(dovecot.why_not() is not None, reason=str(dovecot.why_not()))
USERS = count(1)


@pytest.fixture(scope="module")
def server():
    with dovecot.running() as made:
        yield made


@pytest.fixture
def box(server):
    """The mailbox of a user of its own."""
    made = server.mailbox(f"user{next(USERS)}")
    yield made
    made.close()


@pytest.fixture
def poll(make_ctx, box):
    """`poll(**config)` is the next look at the mailbox, which goes on from the last one; `poll.lines` is its log."""

    def look(credential=None, hosts=None, ca_file=None, **config):
        given = ("imap", credential or box.credential(), hosts)
        scope = {"workflow": {"id": "wf_1"}}
        ctx, look.lines = make_ctx(seconds=120, credentials={"box": given}, scope=scope, ca_file=ca_file)
        look.files = ctx.files
        node = REGISTRY["email_trigger"]
        polled = node.poll(node.Config().load({"credential": "box", **config}), look.state, ctx)
        look.state = orjson.loads(orjson.dumps(polled.state))
        return polled

    look.state = None
    return look


@pytest.fixture
def begun(poll):
    """The same, after its first look."""
    poll()
    return poll


def subjects(polled):
    return [item.value["subject"] for item in polled.items]


# What is new


def test_the_first_look_finds_what_is_there_and_the_next_what_came(box, poll):
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


def test_an_empty_folder_is_looked_at(box, poll):
    assert poll().items == [] and poll.state["uid"] == 0
    box.add(subject="First")
    assert subjects(poll()) == ["First"]


def test_many_come_in_several_looks(box, begun):
    for number in range(MAX_BATCH + 5):
        box.add(subject=f"Mail {number}")
    first = begun()
    assert subjects(first) == [f"Mail {number}" for number in range(MAX_BATCH)] and first.more
    assert subjects(begun()) == [f"Mail {number}" for number in range(MAX_BATCH, MAX_BATCH + 5)]


def test_a_mail_that_was_deleted_meanwhile_is_passed_over(box, begun, monkeypatch):
    box.add(subject="Gone")
    box.add(subject="There")
    about = Session.about

    def late(self, uids):
        found = about(self, uids)
        box.delete("Gone")
        return found

    monkeypatch.setattr(Session, "about", late)
    assert subjects(begun()) == ["There"]


def test_a_mail_in_another_folder_is_none_of_this_trigger(box, begun):
    box.create("Orders")
    box.add(subject="Elsewhere", folder="Orders")
    assert begun().items == []


@pytest.mark.parametrize("folder", ["Orders.New", "With blanks", 'A \\"quote\\"', "Entw&APw-rfe"])
def test_folders_may_have_any_name(box, poll, folder):
    box.create(folder)
    name = folder.replace("&APw-", "ü").replace("\\", "")
    poll(folder=name)
    box.add(subject="x", folder=folder)
    assert subjects(poll(folder=name)) == ["x"]


def test_a_folder_that_is_not_there_is_named(server, poll):
    with pytest.raises(NodeError, match=r"127\.0\.0\.1:\d+: .*doesn't exist: Nowhere"):
        poll(folder="Nowhere")


# Which are the same


def test_a_mail_that_goes_away_and_comes_back_is_known_by_its_key(box, begun):
    box.create("Archive")
    box.add(subject="Once")
    (first,) = begun().items
    box.move("Once", "INBOX", "Archive")
    box.move("Once", "Archive", "INBOX")
    (again,) = begun().items
    assert again.key == first.key and again.value["uid"] > first.value["uid"]


def test_mails_that_only_look_the_same_are_two(box, begun):
    for _ in range(2):
        box.add("the same", subject="Alarm")
    keys = [item.key for item in begun().items]
    assert len(set(keys)) == 2


def test_without_an_id_a_mail_is_known_by_when_it_came_and_its_size(box, begun):
    box.add("a", subject="Alarm", message_id=None, at='"02-Mar-2026 12:00:00 +0000"')
    box.add("a", subject="Alarm", message_id=None, at='"02-Mar-2026 12:00:01 +0000"')
    box.add("ab", subject="Alarm", message_id=None, at='"02-Mar-2026 12:00:00 +0000"')
    assert len({item.key for item in begun().items}) == 3


def recreate(box, *mails):
    """The folder as it is after a server has lost its numbering: the same mails under other numbers."""
    before = box.numbering("Orders")
    box.delete_folder("Orders")
    while True:
        box.create("Orders")
        if box.numbering("Orders") != before:
            break
        box.delete_folder("Orders")
    for raw in mails:
        box.add(raw, folder="Orders")


def test_a_folder_that_is_numbered_anew_starts_nothing_again(box, poll):
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


def test_of_a_folder_that_is_numbered_anew_only_what_came_lately_is_looked_at(box, poll):
    box.create("Orders")
    long_ago = box.add(subject="Long ago", folder="Orders", at='"02-Mar-2020 12:00:00 +0000"')
    box.add(subject="Lately", folder="Orders")
    poll(folder="Orders")
    recreate(box)
    box.add(long_ago, folder="Orders", at='"02-Mar-2020 12:00:00 +0000"')
    box.add(subject="New", folder="Orders")
    assert subjects(poll(folder="Orders")) == ["New"]


def test_numbers_that_go_back_are_a_numbering_of_their_own(box, begun):
    box.add(subject="One")
    begun()
    begun.state["uid"] = 1_000
    (item,) = begun().items
    assert item.value["subject"] == "One" and begun.state["uid"] == 1


# What is marked as seen


def test_reading_marks_nothing_and_the_look_after_it_does(box, begun):
    box.add(subject="One")
    first = begun()
    assert first.more and box.seen() == []
    assert not begun().more and box.seen() == ["One"]


def test_what_was_not_marked_since_somebody_died_is_marked_later(box, begun):
    box.add(subject="One")
    begun()
    state = begun.state
    begun()
    begun.state = state
    assert begun().items == [] and box.seen() == ["One"]


def test_nothing_is_marked_where_it_is_not_wanted(box, begun):
    box.add(subject="One")
    assert not begun(mark_seen=False).more
    begun(mark_seen=False)
    assert box.seen() == []


def test_marking_deletes_nothing_that_somebody_has_marked_as_deleted(box, begun):
    box.add(subject="One")
    box.add(subject="Perhaps")
    begun()
    box.delete("Perhaps", for_good=False)
    begun()
    assert box.subjects() == ["One", "Perhaps"]


# What a mail says


@pytest.fixture
def read(box, begun):
    """`read(mail)` is what becomes of a mail that comes."""

    def deliver(raw, **config):
        box.add(raw if isinstance(raw, bytes) else bytes(raw))
        (item,) = begun(**config).items
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


def test_where_there_is_only_html_the_text_is_taken_from_it(read):
    made = mail()
    made.set_content("<style>p {}</style><p>Fish &amp; <b>chips</b></p>", subtype="html")
    assert read(made)["text"] == "Fish & chips"


def test_headers_that_a_flow_may_need_are_there(read):
    found = read(mail(list_id="<news.example.com>", auto_submitted="auto-replied", x_spam="no"))
    assert found["headers"] == {"list-id": "<news.example.com>", "auto-submitted": "auto-replied"}


@pytest.mark.parametrize(
    ("date", "told"),
    [
        ("Mon, 02 Mar 2026 13:00:00 +0100", "2026-03-02T12:00:00Z"),
        ("Mon, 02 Mar 2026 12:00:00 -0000", "2026-03-02T12:00:00Z"),
        ("yesterday", None),
        (None, None),
    ],
)
def test_a_date_is_told_in_utc_or_not_at_all(read, date, told):
    raw = b"From: a@example.com\r\n" + (f"Date: {date}\r\n".encode() if date else b"") + b"Subject: x\r\n\r\nx\r\n"
    assert read(raw)["date"] == told


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
def test_a_mail_that_is_badly_written_is_read_as_far_as_it_can_be(read, raw):
    found = read(raw)
    assert found["uid"] and "traceback" not in str(found["note"]).lower()
    assert isinstance(found["to"], list) and isinstance(found["headers"], dict)


def test_a_text_of_great_length_is_cut(read):
    made = mail()
    made.set_content("x" * 70 + "\n" + "a long line\n" * 150_000)
    found = read(made)
    assert len(found["text"]) <= 1_000_000 and found["note"] == "its text is truncated after 1000000 characters"


@pytest.mark.slow
def test_of_a_mail_that_is_too_large_the_headers_are_read(box, begun):
    made = mail(subject="Large")
    made.add_attachment(b"x" * (20 * 2**20), maintype="application", subtype="octet-stream", filename="a.bin")
    box.add(bytes(made))
    box.add(subject="After")
    large, after = begun().items
    assert large.value["subject"] == "Large" and large.value["text"] == "" and large.value["attachments"] == []
    assert large.value["note"].startswith("the mail has more than 26214400 bytes")
    assert after.value["subject"] == "After"


# Attachments


def attached(*names, content=b"abc"):
    made = mail(subject="With files")
    for name in names:
        made.add_attachment(content, maintype="application", subtype="pdf", filename=name)
    return made


def test_attachments_are_files_of_the_workspace(read, begun):
    first, second = read(attached("order.pdf", "Rechnung März.pdf"))["attachments"]
    folder = first["path"].rpartition("/")[0]
    assert re.fullmatch(r"mail/wf_1/node/\d+-1", folder)
    assert first == {"path": f"{folder}/1-order.pdf", "name": "order.pdf", "size": 3, "content_type": "application/pdf"}
    assert (second["path"], second["name"]) == (f"{folder}/2-Rechnung März.pdf", "Rechnung März.pdf")
    assert begun.files.read(first["path"]) == begun.files.read(second["path"]) == b"abc"


def test_attachments_may_be_left_alone(read, begun):
    (found,) = read(attached("order.pdf"), attachments=False)["attachments"]
    assert found == {"path": None, "name": "order.pdf", "size": 3, "content_type": "application/pdf"}
    assert begun.files.list() == []


def test_no_more_attachments_are_kept_than_a_bound(read):
    found = read(attached(*(f"{number}.pdf" for number in range(60))))
    assert len(found["attachments"]) == 50
    assert found["note"] == "has more attachments than the limit; the rest is left out"


def test_an_attachment_that_is_too_large_for_a_file_is_told_of(read):
    (found,) = read(attached("a.pdf", content=b"x" * 1_100_000))["attachments"]
    assert found["path"] is None and "exceed the limit" in found["note"]


def test_a_disk_that_is_full_is_a_reason_to_come_again(box, begun, monkeypatch):
    box.add(bytes(attached("a.pdf")))
    state = begun.state

    def full(self, path, data):
        raise NodeError("the disk is full")

    monkeypatch.setattr("nodes.files.files.Files.write", full)
    with pytest.raises(NodeError, match="the disk is full"):
        begun()
    monkeypatch.undo()
    begun.state = state
    assert subjects(begun()) == ["With files"]


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
def test_a_name_of_a_file_is_harmless(name, safe):
    assert safe_name(name) == safe and len(safe.encode()) <= 200


def test_a_name_that_leads_elsewhere_leads_nowhere(read):
    raw = bytes(attached("NAME")).replace(b'"NAME"', b'"../../../etc/passwd"')
    raw = raw.replace(b"filename=NAME", b'filename="../../../etc/passwd"')
    (found,) = read(raw)["attachments"]
    assert found["name"] == "passwd" and found["path"].endswith("/1-passwd")


def test_a_mail_that_is_attached_is_a_file(read, begun):
    made = mail(subject="Forwarded")
    made.add_attachment(mail("the inner text", subject="Inner"))
    (found,) = read(made)["attachments"]
    assert found["content_type"] == "message/rfc822" and b"the inner text" in begun.files.read(found["path"])


# Mails that are meant to do harm


def nested(depth):
    head = "".join(f"--b{at}\r\nContent-Type: multipart/mixed; boundary=b{at + 1}\r\n\r\n" for at in range(depth))
    return f"Subject: x\r\nContent-Type: multipart/mixed; boundary=b0\r\n\r\n{head}".encode()


HARMFUL = {
    "very deep": nested(3_000),
    "deep, with many lines": nested(300) + b"a\n" * 2_000_000,
    "a header that takes quadratic time": b"Subject: " + b"=?a?q?b" * 100_000 + b"\r\n\r\nx",
    "many addresses": b"To: " + b"a@b, " * 200_000 + b"\r\n\r\nx",
    "a charset that takes quadratic time": b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a-" * 500_000,
    "a name that takes long": b"Content-Disposition: attachment; filename*0*=" + b"a;b*0*=" * 50_000 + b"\r\n\r\nx",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMFUL)
def test_a_mail_that_is_meant_to_do_harm_does_none(name):
    with Reader("mail") as reader:
        began = time.monotonic()
        try:
            reader.read({"attachments": 50}, HARMFUL[name], 3.0)
        except NodeError as error:
            assert error.message.startswith("the mail cannot be read: ")
        assert time.monotonic() - began < 20
        found, _ = reader.read({"attachments": 50}, bytes(mail(subject="Next")), 10.0)
        assert found["subject"] == "Next"


@pytest.mark.slow
def test_a_mail_that_nobody_can_read_starts_its_run_all_the_same(box, begun, monkeypatch):
    monkeypatch.setattr("nodes.mail.trigger.READ_SECONDS", 2.0)
    box.add(HARMFUL["deep, with many lines"])
    box.add(subject="After")
    harmful, after = begun().items
    assert harmful.value["note"].startswith("the mail cannot be read: ") and harmful.value["uid"] == 1
    assert after.value["subject"] == "After"


# The connection


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_the_connection_is_secured_as_the_credential_says(server, box, poll, security):
    port = server.tls_port if security == "tls" else server.port
    given = box.credential(security=security, port=port)
    poll(given, ca_file=server.ca)
    box.add(subject="x")
    assert subjects(poll(given, ca_file=server.ca)) == ["x"]


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_nobody_knows_is_refused_before_a_word_is_said(server, box, poll, security):
    port = server.tls_port if security == "tls" else server.port
    with pytest.raises(NodeError, match=r"127\.0\.0\.1:\d+: the certificate is not trusted: self-signed"):
        poll(box.credential(security=security, port=port))


def test_a_certificate_of_another_host_is_refused(server, box, poll, names):
    names["mail.example"] = ["127.0.0.1"]
    given = box.credential(security="tls", port=server.tls_port, host="mail.example")
    with pytest.raises(NodeError, match=r"not trusted: Hostname mismatch|not trusted: .*not valid for"):
        poll(given, hosts=["mail.example"], ca_file=server.ca)


@pytest.mark.parametrize("password", ["wrong", "wröng"])
def test_a_wrong_password_is_refused_and_not_told(box, poll, password):
    with pytest.raises(NodeError, match="AUTHENTICATIONFAILED|Authentication failed") as caught:
        poll(box.credential(password=password))
    assert password not in caught.value.message


def test_a_credential_goes_to_its_hosts_alone(box, poll):
    with pytest.raises(NodeError, match=r"may not be sent to 127.0.0.1: it is bound to example.com"):
        poll(hosts=["example.com"])


def test_only_hosts_that_may_be_reached_are(box, poll):
    with pytest.raises(NodeError, match="may not be reached") as caught:
        poll(box.credential(host="127.0.0.2"), hosts=["127.0.0.2"])
    assert caught.value.permanent


def test_a_server_that_is_not_there_is_named(box, poll):
    with pytest.raises(NodeError, match=r"127\.0\.0\.1:1: Connection refused"):
        poll(box.credential(port=1))


def test_a_credential_is_tried_out(server, box, make_ctx):
    box.create("Orders")
    assert CHECKS["imap"] is check
    ctx, _ = make_ctx(credentials={"box": ("imap", box.credential())})
    assert check(ctx.credential("box"), ctx, {}) == f"logged in as {box.user}; 2 folders"
    ctx, _ = make_ctx(credentials={"box": ("imap", box.credential(password="wrong"))})
    with pytest.raises(NodeError, match="the login was rejected"):
        check(ctx.credential("box"), ctx, {})


@pytest.mark.parametrize(
    "config", [{"folder": ""}, {"folder": "a\r\nb"}, {"every": 9}, {"credential": ""}, {"mark_seen": "perhaps"}]
)
def test_a_trigger_refuses_what_it_cannot_do(config):
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


def test_a_trigger_hands_on_the_mail(run):
    assert run("email_trigger", {"credential": "box"}, {"uid": 1}) == {"uid": 1}
