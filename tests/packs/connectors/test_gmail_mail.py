"""Gmail: mails that are sent as MIME, and received ones as data."""

import base64
from email import message_from_bytes
from email.policy import default

import pytest
from connector_stub import answer

from errors import NodeError

ME = answer({"emailAddress": "me@example.com"})
SENT = answer({"id": "m2", "threadId": "t1", "labelIds": ["SENT"]})


def encode(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def mail_of(request):
    """Return the mail in a request."""
    raw = request["body"].get("message", request["body"])["raw"]
    return message_from_bytes(base64.urlsafe_b64decode(raw), policy=default)


def received(*parts, **headers):
    given = {"From": "Ann <ann@example.com>", "Subject": "Offer", "Message-ID": "<1@example.com>", **headers}
    listed = [{"name": name.replace("_", "-"), "value": value} for name, value in given.items()]
    payload = {"mimeType": "multipart/mixed", "headers": listed, "parts": list(parts)}
    return answer({"id": "m1", "threadId": "t1", "internalDate": "1760000000000", "payload": payload})


def part(kind, text, **more):
    return {"mimeType": kind, "filename": "", "body": {"data": encode(text)}, **more}


def test_a_mail_has_text_html_and_files(call_service):
    config = {
        "to": "Ann <ann@example.com>, bob@example.com", "bcc": "archive@example.com", "subject": "Grüße",
        "text": "Hello", "html": "<p>Hello</p>", "attachments": ["report.csv", {"name": "a.txt", "content": "text"}],
    }  # fmt: skip
    _, seen = call_service("gmail", "send_message", config, SENT, files={"report.csv": b"a,b"})
    mail = mail_of(seen[0])
    assert [mail["To"], mail["Bcc"]] == ["Ann <ann@example.com>, bob@example.com", "archive@example.com"]
    assert mail["Subject"] == "Grüße"
    assert mail.get_body(("plain",)).get_content() == "Hello\r\n"
    assert mail.get_body(("html",)).get_content() == "<p>Hello</p>\r\n"
    assert [(each.get_filename(), each.get_content()) for each in mail.iter_attachments()][1] == ("a.txt", "text")


def test_a_sender_with_a_name_is_the_account(call_service):
    config = {"to": "ann@example.com", "subject": "Hi", "text": "x", "sender_name": "Shop, Berlin"}
    _, seen = call_service("gmail", "send_message", config, ME, SENT)
    assert mail_of(seen[1])["From"] == '"Shop, Berlin" <me@example.com>'


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "a\nBcc: x@example.com"},
        {"to": "ann@example.com\r\nX: y"},
        {"sender_name": "a\nb", "from": "m@example.com"},
    ],
)
def test_a_line_break_cannot_add_a_header(call_service, wrong):
    with pytest.raises(NodeError, match="line breaks"):
        call_service("gmail", "send_message", {"to": "ann@example.com", "subject": "Hi", "text": "x", **wrong})


def test_a_reply_to_all_leaves_out_the_account_and_the_sender(call_service):
    original = received(
        To="Me <me@example.com>, bob@example.com, Ann <ann@example.com>", Cc="Cid <cid@example.com>, broken",
        References="<0@example.com>",
    )  # fmt: skip
    config = {"message": "m1", "text": "Yes", "to_all": True}
    _, seen = call_service(
        "gmail", "reply_to_message", config, original, answer({"emailAddress": "me@example.com"}), SENT
    )
    mail = mail_of(seen[2])
    assert [mail["To"], mail["Cc"]] == ["Ann <ann@example.com>", "bob@example.com, Cid <cid@example.com>"]
    assert [mail["Subject"], mail["In-Reply-To"]] == ["Re: Offer", "<1@example.com>"]
    assert mail["References"] == "<0@example.com> <1@example.com>"
    assert seen[2]["body"]["threadId"] == "t1"


def test_a_reply_goes_where_the_mail_says_or_only_to_the_sender(call_service):
    original = received(Reply_To="desk@example.com", Subject="RE: Offer")
    _, seen = call_service("gmail", "reply_to_message", {"message": "m1", "text": "Yes"}, original, SENT)
    assert [mail_of(seen[1])["To"], mail_of(seen[1])["Subject"]] == ["desk@example.com", "RE: Offer"]


def test_a_reply_only_to_the_sender_ignores_the_address_for_answers(call_service):
    config = {"message": "m1", "text": "Yes", "only_sender": True}
    _, seen = call_service("gmail", "reply_to_message", config, received(Reply_To="list@example.com"), SENT)
    assert mail_of(seen[1])["To"] == "Ann <ann@example.com>"


def test_a_draft_that_answers_is_in_the_thread(call_service):
    config = {"answer_to": "m1", "text": "Dear Ann"}
    _, seen = call_service("gmail", "create_draft", config, received(), answer({"id": "d1"}))
    mail = mail_of(seen[1])
    assert [mail["To"], mail["Subject"], seen[1]["body"]["message"]["threadId"]] == [
        "Ann <ann@example.com>",
        "Re: Offer",
        "t1",
    ]


def test_a_mail_is_read_with_its_texts_and_files(call_service):
    file = {"mimeType": "text/csv", "filename": "../a,b.csv", "body": {"attachmentId": "A1", "size": 3}}
    texts = {
        "mimeType": "multipart/alternative",
        "parts": [part("text/plain", "Grüße"), part("text/html", "<p>Grüße</p>")],
    }
    config = {"message": "m1", "attachments": True, "save_to": "in/"}
    output, seen = call_service("gmail", "get_message", config, received(texts, file), answer({"data": encode("a,b")}))
    assert [output["text"], output["html"]] == ["Grüße", "<p>Grüße</p>"]
    assert output["attachments"] == [{"path": "in/a,b.csv", "name": "a,b.csv", "size": 3, "content_type": "text/csv"}]
    assert seen[1]["url"] == "https://gmail.googleapis.com/gmail/v1/users/me/messages/m1/attachments/A1"
    assert call_service.files.read("in/a,b.csv") == b"a,b"


def test_files_are_told_without_being_read(call_service):
    file = {"mimeType": "text/csv", "filename": "a.csv", "body": {"attachmentId": "A1", "size": 3}}
    output, _ = call_service("gmail", "get_message", {"message": "m1"}, received(part("text/plain", "Hi"), file))
    assert output["attachments"] == [{"id": "A1", "name": "a.csv", "content_type": "text/csv", "size": 3}]


def test_an_id_cannot_lead_to_another_address(call_service):
    with pytest.raises(NodeError, match="is not an id"):
        call_service("gmail", "get_message", {"message": "../settings"})


def test_ids_alone_need_one_request(call_service):
    found = answer({"messages": [{"id": "m1", "threadId": "t1"}]})
    output, _ = call_service("gmail", "list_messages", {"details": "ids"}, found)
    assert output == [{"id": "m1", "thread_id": "t1"}]


def test_a_time_that_is_none_is_told(call_service):
    with pytest.raises(NodeError, match="after: 'yesterday' is not a time"):
        call_service("gmail", "list_messages", {"after": "yesterday"})
