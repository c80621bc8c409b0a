"""The browser app: the files that `npm run build` left in a folder, served as they are. Nothing is compressed here.

Everything of the app is in its index page and the hashed files beside it. The page goes out for each address that is
the app's own business (`/`, `/flows/wf_x`), so that a link and a reload get where the app was. What may be sent is in
a listing, so no path reaches beyond the folder.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask, Response, current_app, request, send_file
from werkzeug.exceptions import MethodNotAllowed, NotFound

from api.http.auth import everybody

INDEX, ASSETS = "index.html", "assets"
# What the index page has where the nonce of an answer comes.
PLACEHOLDER = b"__CSP_NONCE__"
# Never the app's: who asks here for what there is not is told so.
NOT_THE_APPS = ("api", "docs", "metrics", "mcp", ASSETS)
# The compressed forms that may lie beside a file, best first.
ENCODINGS = {"br": ".br", "gzip": ".gz"}
FOR_EVER = "public, max-age=31536000, immutable"
# Those that builds have; the tables of machines differ, and some lack a few.
TYPES = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".gif": "image/gif",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'"
)

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 36rem; margin: 14vh auto; padding: 0 1.25rem; color: #1c2733;
  background: #f7f9fa; }
h1 { font-size: 1.4rem; margin: 0 0 1rem; } a { color: #0b6e4f; }
pre { background: #e9eef1; padding: .75rem 1rem; border-radius: 8px; overflow-x: auto; }
code { font: .9em ui-monospace, monospace; }
@media (prefers-color-scheme: dark) {
  body { color: #dbe3ea; background: #12181e; } a { color: #5fd3ab; } pre { background: #1d262e; }
}
"""
NOT_BUILT = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Headrace</title><style>{STYLE}</style></head>
<body><main><h1>Headrace is running</h1>
<p>Its browser app is not built yet. In the folder of Headrace:</p>
<pre><code>make web</code></pre>
<p>or, with Node.js 20.19, 22.12 or newer:</p>
<pre><code>cd web &amp;&amp; npm ci &amp;&amp; npm run build</code></pre>
<p>and load this page again; the server need not start anew. The API is there already:
<a href="/api/docs/">its documentation</a>.</p></main></body></html>
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
NOT_BUILT_POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'"


@dataclass(frozen=True, slots=True)
class File:
    """A file of the build, and its compressed forms by encoding."""

    path: Path
    encoded: dict[str, Path]

    @property
    def type(self) -> str:
        """Its content type."""
        return TYPES.get(self.path.suffix, "application/octet-stream")


@dataclass(slots=True)
class Build:
    """What is in the folder: the index page, cut at the places of the nonce, and the files by their path below it.

    A build may be made, or made anew, while the server runs: `look_again` sees that and reads the folder again. The
    last index page stays until there is another, since a build empties the folder first.
    """

    folder: Path
    index: list[bytes] | None = None
    files: dict[str, File] = field(default_factory=dict)
    seen: tuple[int, ...] | None = None

    def look_again(self) -> None:
        """Read the folder if anything in it was added, removed or replaced since it was read."""
        try:
            page, assets = (self.folder / INDEX).stat(), (self.folder / ASSETS).stat()
            seen = (page.st_mtime_ns, page.st_size, page.st_ino, assets.st_mtime_ns, assets.st_ino)
            if seen != self.seen:
                self.index, self.files = (self.folder / INDEX).read_bytes().split(PLACEHOLDER), listing(self.folder)
                self.seen = seen
        except OSError:
            # There is no build, or one is being written at this moment.
            self.seen = None

    def find(self, name: str) -> File | None:
        """The file at this path below the folder."""
        if name not in self.files:
            self.look_again()
        return self.files.get(name)


def listing(folder: Path) -> dict[str, File]:
    """The files in the folder that may be sent, by path; neither hidden ones nor links that lead out of it."""
    paths = {path.relative_to(folder).as_posix(): path for path in _inside(folder, folder.resolve())}
    files = {}
    for name, path in paths.items():
        if name != INDEX and name.removesuffix(path.suffix) not in paths:
            forms = {encoding: paths.get(name + suffix) for encoding, suffix in ENCODINGS.items()}
            files[name] = File(path, {encoding: form for encoding, form in forms.items() if form is not None})
    return files


def _inside(folder: Path, root: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _inside(path, root)
        elif entry.is_file() and (not entry.is_symlink() or path.resolve().is_relative_to(root)):
            yield path


def install(app: Flask, folder: Path) -> None:
    """Serve what is built in the folder, now or later."""
    build = Build(folder.absolute())
    build.look_again()
    app.extensions["headrace_browser_app"] = build
    app.add_url_rule("/", "browser_app", index)
    app.add_url_rule(f"/{ASSETS}/<path:name>", "browser_app_asset", asset)
    app.before_request(_elsewhere)


@everybody
def index() -> Response:
    """The index page with a nonce of its own, or how to build it."""
    build = _build()
    build.look_again()
    if build.index is None:
        headers = {"Cache-Control": "no-store", "Content-Security-Policy": NOT_BUILT_POLICY}
        return Response(NOT_BUILT, headers=headers, mimetype="text/html")
    nonce = secrets.token_urlsafe(18)
    # What lies at the other addresses depends on whether a page is asked for; and a nonce is for one reader alone.
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept"}
    headers["Content-Security-Policy"] = POLICY.format(nonce=nonce)
    return Response(nonce.encode().join(build.index), headers=headers, mimetype="text/html")


@everybody
def asset(name: str) -> Response:
    """A file whose name changes with its content, so it may be kept for ever."""
    file = _build().find(f"{ASSETS}/{name}")
    if file is None:
        raise NotFound
    return _sent(file, FOR_EVER)


def _elsewhere() -> Response | None:
    """For an address that no view has: a file beside the index page, or that page where a browser asks for one."""
    if not isinstance(request.routing_exception, NotFound):
        return None
    first, _, rest = request.path[1:].partition("/")
    if not first or first in NOT_THE_APPS:
        return None
    build = _build()
    file = None if rest else build.files.get(first)
    if file is None and (build.index is None or not _asks_for_a_page()):
        return None
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(["GET", "HEAD"])
    return index() if file is None else _sent(file, "no-cache")


def _asks_for_a_page() -> bool:
    """Whether the request names HTML: browsers do, while programs take anything or say nothing."""
    return any(kind.lower() == "text/html" and quality > 0 for kind, quality in request.accept_mimetypes)


def _sent(file: File, cache: str) -> Response:
    """The file in the best form that the client takes. 304 where it has that already; NotFound where it is gone."""
    encoding = _chosen_encoding(file)
    path = file.path if encoding is None else file.encoded[encoding]
    try:
        response = send_file(path, file.type, download_name=file.path.name, conditional=True)
    except OSError:
        raise NotFound from None
    response.headers["Cache-Control"] = cache
    if file.encoded:
        response.headers["Vary"] = "Accept-Encoding"
    if encoding is not None:
        response.headers["Content-Encoding"] = encoding
    return response


def _chosen_encoding(file: File) -> str | None:
    wanted = request.accept_encodings
    best = max(file.encoded, key=lambda encoding: float(wanted[encoding]), default=None)
    return best if best is not None and wanted[best] > 0 else None


def _build() -> Build:
    build: Build = current_app.extensions["headrace_browser_app"]
    return build
