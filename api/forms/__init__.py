"""Forms: web pages that start runs, and pages on which people answer a waiting run. HTML without scripts or cookies.

Here are only the addresses. The pages and their templates are loaded at the first request for one.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response
from marshmallow import Schema

from api.http.auth import allow_anyone
from api.http.json_io import get_request
from definition import PlannedNode
from models import Run


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
    from api.forms.public import answer_error

    return answer_error(error)


@allow_anyone
def show(path: str) -> Response:
    """Show a form of an active flow; or with a signed link the result of an answer: the next page, or the thanks."""
    from api.forms.public import open_path

    return open_path(path)


@allow_anyone
def send(path: str) -> Response:
    """Take a page of a form: show the next one, or start the run."""
    from api.forms.public import take_path

    return take_path(path)


@allow_anyone
def show_test(flow: str, path: str) -> Response:
    """Show editors a form of a flow that may be inactive, as the editor's test or as it was saved last."""
    from api.forms.trial import open_test

    return open_test(flow, path)


@allow_anyone
def send_test(flow: str, path: str) -> Response:
    """Take a page of the form under test. Sending it needs a listener of the editor."""
    from api.forms.trial import take_test

    return take_test(flow, path)


# Pages of signed links to nodes with fields


def show_question(run: Run, node: PlannedNode) -> Response:
    """Show the form of a waiting node."""
    from api.forms.questions import show_question

    return show_question(run, node, get_request())


def take_question(run: Run, node: PlannedNode, by: str) -> Response:
    """Take a page of the form of a waiting node: show the next one, or answer the node."""
    from api.forms.questions import take_question

    return take_question(run, node, get_request(), by)


def show_closed_question(run: Run, problem: str) -> Response:
    """Show why a waiting node takes no answer."""
    from api.forms.questions import show_closed_question

    return show_closed_question(run, problem)


def take_member_form(run: Run, node: PlannedNode, by: str, shape: Schema) -> None:
    """Answer a waiting node with the multipart form of a member, which has files. Raises: BadInput."""
    from api.forms.questions import take_member_form

    take_member_form(run, node, get_request(), by, shape)


def check_answer(node: PlannedNode, comment: Any, body: Any) -> dict[str, Any]:
    """Return the answer to a node with fields, from JSON. Raises: BadInput."""
    from api.forms.questions import check_answer

    return check_answer(node, comment, body)


for _view in (show, send, show_test, send_test):
    setattr(_view, "answer_error", answer_error)  # noqa: B010 - functions have no declared attributes
