"""Mail that the server itself sends, with real SMTP servers on this machine."""

import logging
import socket
from contextlib import ExitStack
from dataclasses import replace

import pytest
from mail_servers import Mails, Server

from config import Config
from dispatch import make_services
from packs.mail import send as sending


@pytest.fixture
def mails():
    return Mails()


@pytest.fixture
def serve(mails):
    """`serve(**options)` starts an SMTP server and returns its port."""
    with ExitStack() as stack:

        def start(**options):
            server = Server(mails, **options)
            server.start()
            stack.callback(server.stop)
            return server.port

        yield start


@pytest.fixture
def send(tmp_path, authority):
    """`send(url)` sends a mail with HEADRACE_SMTP_URL set to `url`; returns True if the mail server accepted it."""

    def go(url, to="jane@example.com"):
        settings = {"HEADRACE_SMTP_URL": url, "HEADRACE_CA_FILE": str(authority.file)}
        config = replace(Config.from_env(settings), data_dir=tmp_path)
        return sending.send_server_mail(config, make_services(config), to, "Hello", "Dear Jane,\nGrüße\n", "inv_1")

    return go


def test_a_mail_has_the_sender_of_the_setting(send, serve, mails):
    assert send(f"smtp://127.0.0.1:{serve()}?from=flows@example.org&starttls=false")
    message, envelope = mails.latest(), mails.envelopes[-1]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("flows@example.org", ["jane@example.com"])
    assert (message["from"], message["subject"]) == ("Headrace <flows@example.org>", "Hello")
    assert message.get_content() == "Dear Jane,\nGrüße\n" and message["auto-submitted"] == "auto-generated"


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_the_connection_is_encrypted_before_the_login(send, serve, mails, authority, scheme):
    context = authority.server("127.0.0.1")
    options = {"tls": context} if scheme == "smtps" else {"starttls": context}
    port = serve(**options, authenticator=mails.let_in, auth_require_tls=scheme == "smtp")
    assert send(f"{scheme}://ada:correct%20horse%20battery@127.0.0.1:{port}?from=flows@example.org")
    assert mails.logins[0][1:] == (b"ada", True) and len(mails.envelopes) == 1


def test_nothing_is_sent_to_a_server_without_starttls(send, serve, mails, caplog):
    assert not send(f"smtp://ada:hunter2-secret@127.0.0.1:{serve()}?from=flows@example.org")
    assert mails.envelopes == [] and "STARTTLS" in caplog.text and "hunter2" not in caplog.text


def test_nothing_is_sent_to_a_server_with_the_certificate_of_another_host(send, serve, mails, authority, caplog):
    port = serve(tls=authority.server("elsewhere.example"))
    assert not send(f"smtps://127.0.0.1:{port}?from=flows@example.org")
    assert mails.envelopes == [] and "certificate" in caplog.text


@pytest.mark.parametrize("refused", ["jane@example.com", "password"])
def test_a_rejection_is_logged_without_password_and_text(send, serve, mails, caplog, refused):
    mails.refuse[refused] = "550 no such person"
    port = serve(authenticator=mails.let_in, auth_require_tls=False)
    login = "ada:hunter2-secret@" if refused == "password" else ""
    assert not send(f"smtp://{login}127.0.0.1:{port}?from=flows@example.org&starttls=false")
    (record,) = [record for record in caplog.records if record.name == "headrace.mail"]
    assert record.levelno == logging.WARNING and "Could not send mail to jane@example.com" in record.getMessage()
    assert "hunter2" not in caplog.text and "Dear Jane" not in caplog.text


def test_a_refused_connection_is_logged(send, caplog):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert not send(f"smtp://127.0.0.1:{closed.getsockname()[1]}?from=flows@example.org&starttls=false")
    assert "Could not send mail to jane@example.com: 127.0.0.1:" in caplog.text


def test_a_silent_server_times_out(send, monkeypatch, caplog):
    monkeypatch.setattr(sending, "SERVER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not send(f"smtp://127.0.0.1:{silent.getsockname()[1]}?from=flows@example.org&starttls=false")
    assert "timed out after 0.2 s" in caplog.text


def test_without_the_setting_nothing_is_sent_or_logged(send, caplog):
    assert not send("") and "headrace.mail" not in {record.name for record in caplog.records}
