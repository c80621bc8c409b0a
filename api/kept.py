"""Answers that are the same for everybody for as long as the server runs: made and compressed once, then kept."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from flask import Response, current_app, make_response, request

from api.freshness import digest_of, is_known, send_compressed, takes_gzip

View = TypeVar("View", bound=Callable[..., Any])


class Kept(NamedTuple):
    """An answer as it is sent: plain and by gzip."""

    plain: bytes
    packed: bytes
    digest: str


def kept(view: View) -> View:
    """Keep the JSON that the view answers to a request without a query. What it says must hang on nothing else."""

    @wraps(view)
    def answered(*args: Any, **options: Any) -> Any:
        if request.args:
            return view(*args, **options)
        return once(str(request.endpoint), lambda: make_response(view(*args, **options)).get_data())

    return answered


def once(name: str, make: Callable[[], bytes]) -> Response:
    """Answer with the JSON that `make` gives: it is called for the first answer of this name, which is kept."""
    answers: dict[str, Kept] = current_app.extensions["headrace"].kept_answers
    if name not in answers:
        plain = make()
        answers[name] = Kept(plain, gzip.compress(plain, 9, mtime=0), digest_of(plain))
    return answer(answers[name])


def answer(found: Kept, mimetype: str = "application/json") -> Response:
    """Answer with what is kept, in the form that the client takes; 304 if it has that already."""
    response = Response(found.plain, mimetype=mimetype)
    if not is_known(response, found.digest) and takes_gzip():
        send_compressed(response, found.packed)
    return response
