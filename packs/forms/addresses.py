"""Addresses of forms. The pages and their templates are loaded at the first request for one."""

from __future__ import annotations

from flask import Flask, Response

from api.http.auth import allow_anyone


def install(app: Flask) -> None:
    """Add the addresses of forms to the app."""
    for rule, endpoint, view, method in (
        ("/forms/<slashes:path>", "form_show", show, "GET"),
        ("/forms/<slashes:path>", "form_send", send, "POST"),
        ("/forms-test/<flow>/<slashes:path>", "form_test_show", show_test, "GET"),
        ("/forms-test/<flow>/<slashes:path>", "form_test_send", send_test, "POST"),
    ):
        app.add_url_rule(rule, endpoint, view, methods=[method], provide_automatic_options=False)


def answer_error(error: Exception) -> Response:
    """Return a plain page for an error."""
    from packs.forms.public import answer_error

    return answer_error(error)


@allow_anyone
def show(path: str) -> Response:
    """Show a form of an active flow; or with a signed link the result of an answer: the next page, or the thanks."""
    from packs.forms.public import open_path

    return open_path(path)


@allow_anyone
def send(path: str) -> Response:
    """Take a page of a form: show the next one, or start the run."""
    from packs.forms.public import take_path

    return take_path(path)


@allow_anyone
def show_test(flow: str, path: str) -> Response:
    """Show editors a form of a flow that may be inactive, as the editor's test or as it was saved last."""
    from packs.forms.public import open_test

    return open_test(flow, path)


@allow_anyone
def send_test(flow: str, path: str) -> Response:
    """Take a page of the form under test. Sending it needs a listener of the editor."""
    from packs.forms.public import take_test

    return take_test(flow, path)


for _view in (show, send, show_test, send_test):
    setattr(_view, "answer_error", answer_error)  # noqa: B010 - functions have no declared attributes
