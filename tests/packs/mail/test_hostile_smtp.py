"""SMTP servers that reject mail, close the connection, send too much or never answer."""

# ruff: noqa: F811

import socket
import threading
import time

import pytest
from mail_servers import PASSWORD, Mails
from test_send import failure, mail, serve  # noqa: F401  (fixtures)

HERE = {"host": "127.0.0.1", "security": "none"}


@pytest.fixture
def mails():
    return Mails()


@pytest.fixture
def certificate(authority):
    """A TLS context with a certificate for 127.0.0.1."""
    return authority.server("127.0.0.1")


# Rejections


def test_rejected_recipients_are_in_the_output_and_in_the_log(mail, mails):
    mails.refuse = {"gone@example.com": "550 5.1.1 no such user", "full@example.com": "452 4.2.2 mailbox full"}
    output = mail(to="jane@example.com, gone@example.com, full@example.com")
    assert output["accepted"] == mails.envelopes[-1].rcpt_tos == ["jane@example.com"]
    assert output["refused"] == {
        "gone@example.com": "550 5.1.1 no such user",
        "full@example.com": "452 4.2.2 mailbox full",
    }
    assert mail.lines == [("warning", "the mail server rejected 2 of 3 recipients", output["refused"])]


def test_the_node_fails_if_all_recipients_are_rejected(mail, mails):
    mails.refuse = {"gone@example.com": "550 no such user", "full@example.com": "452 mailbox full"}
    message = failure(mail, to="gone@example.com")
    assert message == "the mail server rejected all recipients: gone@example.com: 550 no such user"
    failure(mail, permanent=False, to="gone@example.com, full@example.com")
    assert not mails.envelopes


def test_a_message_that_is_too_large_for_the_server_fails_permanently(mail, mails, serve):
    assert " answered 552 " in failure(mail, body="x" * 2_000, server={"port": serve(data_size_limit=1_000)})


# Malicious and broken servers


@pytest.mark.parametrize(
    "answers",
    [
        {b"": [b"2"]},
        {b"": [b"220-x\r\n"]},
        {b"EHLO": [b"250-x\r\n"]},
        {b"DATA": [b"3"]},
        {b"": b""},
        {b"MAIL": b""},
    ],
)
def test_a_slow_or_silent_server_does_not_extend_the_timeout(mail, script, answers):
    began = time.monotonic()
    message = failure(mail, permanent=False, server={"port": script(answers)}, timeout=0.3)
    assert message.endswith(": timed out after 0.3 s")
    assert 0.25 < time.monotonic() - began < 15


def test_a_deadline_before_the_timeout_applies(mail, script):
    began = time.monotonic()
    failure(mail, permanent=False, server={"port": script({b"": b""})}, context={"seconds": 0.3})
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_an_endless_handshake_times_out(mail, script, security):
    answers = {b"": b"" if security == "tls" else b"220 x\r\n", b"EHLO": b"250-x\r\n250 STARTTLS\r\n"}
    answers |= {b"STARTTLS": b"220 go ahead\r\n", b"*": b""}
    message = failure(mail, permanent=False, server={"port": script(answers), "security": security}, timeout=0.3)
    assert message.endswith(": timed out after 0.3 s")


def test_an_answer_received_before_tls_is_ignored(mail, authority, certificate):
    """An attacker in the middle injects an unencrypted answer to obtain the password."""
    listener, heard = socket.create_server(("127.0.0.1", 0)), []

    def converse():
        plain, _ = listener.accept()
        plain.sendall(b"220 hello\r\n")
        plain.recv(1000)
        plain.sendall(b"250-me\r\n250 STARTTLS\r\n")
        plain.recv(1000)
        plain.sendall(b"220 go\r\n250-me\r\n250 AUTH PLAIN\r\n")
        with certificate.wrap_socket(plain, server_side=True) as tls:
            heard.append(tls.recv(1000))
            tls.sendall(b"250 me\r\n")
            heard.append(tls.recv(1000))

    with listener:
        thread = threading.Thread(target=converse)
        thread.start()
        server = {"port": listener.getsockname()[1], "security": "starttls", "username": "me", "password": PASSWORD}
        message = failure(mail, server=server, context={"ca_file": authority.file})
        thread.join(60)
    assert message == "127.0.0.1 does not offer a login on this connection"
    assert heard == [b"ehlo [127.0.0.1]\r\n", b""]


@pytest.mark.parametrize(
    ("answers", "permanent", "words"),
    [
        ({b"": b"HTTP/1.1 400 Bad Request\r\n"}, False, "not SMTP"),
        ({b"": b"\xff\xfe\x00garbage\r\n"}, False, "not SMTP"),
        ({b"": b"x" * 100_000}, True, "Line too long"),
        ({b"": b"220-x\r\n" * 200_000}, False, "more than 1,048,576 bytes"),
        ({b"": b"421 busy\r\n"}, False, "answered 421 busy"),
        ({b"": b"554 not you\r\n"}, True, "answered 554 not you"),
        ({b"": None}, False, "closed"),
        ({b"EHLO": b"502 what\r\n", b"HELO": b"550 no\r\n"}, True, "answered 550 no"),
        ({b"MAIL": b"451 later\r\n"}, False, "answered 451 later"),
        ({b"MAIL": b"550 not from you\r\n"}, True, "answered 550 not from you"),
        ({b"RCPT": b"450 greylisted\r\n"}, False, "jane@example.com: 450 greylisted"),
        ({b"RCPT": b"421 going down\r\n"}, False, "jane@example.com: 421 going down"),
        ({b"DATA": b"554 spam\r\n"}, True, "answered 554 spam"),
        ({b"DATA": b"354 go\r\n", b".": b"452 full\r\n"}, False, "answered 452 full"),
        ({b"DATA": None}, False, "closed"),
        ({b"MAIL": b"550 \x1b[31mred\x00\r\n"}, True, "answered 550 [31mred"),
        ({b"EHLO": b"250-x\r\n250 STARTTLS\r\n"}, False, ""),
    ],
)
def test_an_error_has_the_answer_and_whether_a_retry_helps(mail, script, answers, permanent, words):
    answers = {b"DATA": b"354 go\r\n", b".": b"554 no\r\n", **answers}
    if not words:
        answers[b"."] = b"451 later\r\n"
    port = script(answers)
    message = failure(mail, permanent=permanent, server={"port": port}, timeout=5)
    assert message.startswith((f"127.0.0.1:{port}", "the mail server")) and words in message and len(message) < 400


def test_a_connection_closed_after_the_message_was_accepted_is_a_success(mail, script):
    answers = {b"DATA": b"354 go\r\n", b".": b"250 taken\r\n", b"QUIT": None}
    assert mail(server={"port": script(answers)})["accepted"] == ["jane@example.com"]


def test_the_error_for_a_refused_connection_names_the_server(mail):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert failure(mail, permanent=False, server={"port": port}) == f"127.0.0.1:{port}: Connection refused"


def test_the_client_greets_with_its_ip_address(mail, script):
    mail(server={"port": script({b"DATA": b"354 go\r\n"})})
    assert script.heard[0] == b"ehlo [127.0.0.1]"
