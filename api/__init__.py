"""The HTTP API: one blueprint file a resource, registered on an app by `install`."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Any

import orjson
from flask import Flask, Response, request
from flask_swagger_ui import get_swaggerui_blueprint
from werkzeug.datastructures import Headers

from api import (
    audit,
    catalogue,
    credentials,
    drafts,
    expressions,
    files,
    folders,
    logs,
    metrics,
    people,
    resume_links,
    run_answer,
    runs,
    saved_filters,
    schedules,
    sessions,
    store,
    test_calls,
    variables,
    webhooks,
    workflows,
)
from api.http import auth, caching, json_io, request_metrics, static_app
from api.http.caching import respond_once
from api.http.static_app import FullPolicyResponse, hash_inline
from registry import registry

RESOURCES = (
    sessions.blueprint,
    sessions.profile,
    people.blueprint,
    people.invited,
    audit.blueprint,
    workflows.blueprint,
    drafts.blueprint,
    folders.blueprint,
    runs.blueprint,
    saved_filters.blueprint,
    schedules.blueprint,
    logs.blueprint,
    catalogue.blueprint,
    metrics.blueprint,
    credentials.blueprint,
    webhooks.blueprint,
    test_calls.blueprint,
    resume_links.blueprint,
    expressions.blueprint,
    files.blueprint,
    store.blueprint,
    variables.blueprint,
)


def list_blueprints() -> list[Any]:
    """Return the blueprints of the core and of the packs, in the order of the OpenAPI document."""
    of_packs = [pkgutil.resolve_name(one) if isinstance(one, str) else one for one in registry.blueprints]
    return [*RESOURCES, *([] if "agents" in registry.packs else [catalogue.no_agents]), *of_packs]


def install(app: Flask, web_dir: Path | None = None) -> None:
    """Register the whole API on the app, and the browser app that is built in this folder."""
    app.url_map.merge_slashes = False  # otherwise a double slash is answered by an HTML redirect
    app.url_map.converters["slashes"] = webhooks.Slashes
    request_metrics.install(app)
    json_io.install(app)
    auth.install(app)
    for blueprint in list_blueprints():
        app.register_blueprint(blueprint)
    app.add_url_rule("/api/openapi.json", "openapi", _send_openapi)
    app.add_url_rule("/api/docs", "docs", _redirect_to_docs, provide_automatic_options=False)
    # By paths alone: otherwise Swagger UI would put the request's host into its page.
    config = {"app_name": "Headrace", "oauth2RedirectUrl": "/api/docs/oauth2-redirect.html"}
    app.register_blueprint(get_swaggerui_blueprint("/api/docs", "/api/openapi.json", config=config))
    for name in registry.pages:
        pkgutil.resolve_name(name)(app)
    if web_dir is not None:
        static_app.install(app, web_dir)
    app.after_request(_add_security_headers)
    app.after_request(caching.add_etag)
    app.after_request(auth.redact_links)  # Flask calls these in reverse order


@auth.allow_anyone
def _send_openapi() -> Response:
    """Send the OpenAPI document, which is made at its first request."""
    json_io.check()
    make_document = pkgutil.resolve_name("api.openapi:make_document")  # not at the start, which it would slow down
    return respond_once("openapi", lambda: orjson.dumps(make_document(list_blueprints())))


@auth.allow_anyone
def _redirect_to_docs() -> Response:
    """Redirect by path alone: Flask's own redirect would lead to any host that the request names."""
    return Response(status=308, headers={"Location": "/api/docs/"})


def _add_security_headers(response: Response) -> Response:
    """Add the headers that keep a browser from interpreting a response in an unintended way."""
    endpoint = request.endpoint
    if endpoint in caching.NO_ETAG:
        response.headers = Headers(run_answer.secure_headers(list(response.headers)))
        return response
    if isinstance(response, FullPolicyResponse):
        return response
    # Our pages set the policy for their own styles.
    policy = response.headers.get(run_answer.POLICY, "default-src 'none'")
    if endpoint == "swagger_ui.show":
        page = "" if response.is_streamed else response.get_data(as_text=True)
        # It has an inline script, which is allowed by its hash, and sets styles.
        policy = (
            f"default-src 'none'; script-src 'self' {hash_inline(page, 'script')}; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data:; connect-src 'self'"
        )
    response.headers[run_answer.POLICY] = f"{policy}; {run_answer.FIXED_POLICY}"
    for name, value in run_answer.SECURITY_HEADERS:
        response.headers[name] = value
    return response
