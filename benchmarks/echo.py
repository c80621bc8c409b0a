"""The least that Flask can do for a request with JSON: what benchmarks/requests.py sets Headrace's figures beside.

It is served with Headrace's own gunicorn.conf.py, whose hooks start and stop what stands under `headrace`.
"""

from __future__ import annotations

from flask import Flask, Response, jsonify, request


class Nothing:
    """In the place of the parts of a Headrace process."""

    first_login = shortcut = None

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


app = Flask(__name__, static_folder=None)
app.extensions["headrace"] = Nothing()


@app.route("/", methods=["GET", "POST"])
def echo() -> Response:
    """The JSON that came, or null."""
    return jsonify(request.get_json(silent=True))
