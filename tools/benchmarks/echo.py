"""A minimal Flask app that returns JSON: the baseline of requests.py.

It is served with Headrace's gunicorn.conf.py, whose hooks start and stop the object under `headrace`.
"""

from __future__ import annotations

from flask import Flask, Response, jsonify, request


class Nothing:
    """Stands for the parts of a Headrace process."""

    first_login = shortcut = None
    error_headers = ()

    def __init__(self) -> None:
        self.requests = self.dispatcher = self  # the metrics, and the runs: there are none

    def count(self, *_: object) -> None:
        pass

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def close(self, refuses: bool = True) -> None:
        pass

    def wait_for_the_grace_time(self) -> None:
        pass


app = Flask(__name__, static_folder=None)
app.extensions["headrace"] = Nothing()


@app.route("/", methods=["GET", "POST"])
def echo() -> Response:
    """Return the JSON of the request, or null."""
    return jsonify(request.get_json(silent=True))
