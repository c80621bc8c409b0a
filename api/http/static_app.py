"""Static files of the browser app, as built by `npm run build`. Compressed forms are built too, not made here.

The app is an index page and the hashed files beside it. The index page is sent for each address of the app (`/`,
`/flows/wf_x`), so that links and reloads work. Only listed files are sent, so no path leads outside the folder.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from flask import Flask, Response, current_app, request, send_file
from flask_login import current_user
from werkzeug.exceptions import MethodNotAllowed, NotFound

from api.http.auth import allow_anyone
from api.http.request_origin import get_session_token

# Content security policies: allowing inline scripts and styles of our pages by their hashes.


class FullPolicyResponse(Response):
    """A response with a complete policy and all security headers of its own: nothing is added to them."""


def hash_inline(page: str, tag: str) -> str:
    """Return the sources that allow the page's inline elements of this tag, in a policy: `'sha256-…' 'sha256-…'`."""
    texts = [part.partition(f"</{tag}>")[0] for part in page.split(f"<{tag}>")[1:]]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    return " ".join(f"'sha256-{digest}'" for digest in digests)


INDEX, ASSETS = "index.html", "assets"
# Texts in the index page that each response replaces: by its nonce, and by the id of the user who is logged in, if any.
NONCE_PLACEHOLDER = b"__CSP_NONCE__"
USER_PLACEHOLDER = b"__USER_ID__"
# First path parts that are never the app's: unknown paths below them are a 404.
RESERVED_PREFIXES = ("api", "docs", "forms", "forms-test", "metrics", "mcp", ASSETS)
# The compressed forms of a file, best first.
ENCODINGS = {"br": ".br", "gzip": ".gz"}
CACHE_FOREVER = "public, max-age=31536000, immutable"
# Content types of build files. Python's own table is read from the machine, which may lack some, and takes 0.4 MiB.
TYPES = {
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
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
POLICY = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'"
)
NOT_BUILT = Path(__file__).with_name("not_built.html").read_text(encoding="utf-8")
NOT_BUILT_POLICY = f"default-src 'none'; style-src {hash_inline(NOT_BUILT, 'style')}"


class StaticFile(NamedTuple):
    """A file of the build, and the encodings of its compressed forms, which lie beside it."""

    path: str
    encodings: tuple[str, ...]


@dataclass(slots=True)
class Build:
    """The build in a folder: the index page, the policy's sources of its inline scripts, and the files by path.

    A build may happen while the server runs: `refresh` notices it and reads the folder again. The last index page is
    kept until there is a new one, since a build empties the folder first.
    """

    folder: Path
    index: bytes | None = None
    scripts: str = ""
    files: dict[str, StaticFile] = field(default_factory=dict)
    seen: tuple[int, ...] | None = None

    def refresh(self) -> None:
        """Read the folder again if files were added, removed or replaced."""
        try:
            page, assets = (self.folder / INDEX).stat(), (self.folder / ASSETS).stat()
            seen = (page.st_mtime_ns, page.st_size, page.st_ino, assets.st_mtime_ns, assets.st_ino)
            if seen != self.seen:
                index = (self.folder / INDEX).read_bytes()
                scripts = "".join(f" {source}" for source in hash_inline(index.decode("utf-8"), "script").split())
                self.index, self.scripts, self.files, self.seen = index, scripts, list_files(self.folder), seen
        except OSError:
            # The folder has no build, or a build is in progress.
            self.seen = None

    def find(self, name: str) -> StaticFile | None:
        """Return the file at this path below the folder, or None."""
        if name not in self.files:
            self.refresh()
        return self.files.get(name)


def list_files(folder: Path) -> dict[str, StaticFile]:
    """Return the files that may be sent, by path: not hidden ones, and no links that lead out of the folder."""
    found = set(_list_inside(str(folder), folder.resolve()))
    return {
        name: StaticFile(
            f"{folder}/{name}", tuple(code for code, suffix in ENCODINGS.items() if name + suffix in found)
        )
        for name in found
        if name != INDEX and name.rpartition(".")[0] not in found
    }


def _list_inside(folder: str, root: Path, before: str = "") -> Iterator[str]:
    """Return the paths of the files below the folder, relative to it, as text: a `Path` for each took 5 ms at start."""
    for entry in os.scandir(f"{folder}/{before}"):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _list_inside(folder, root, f"{before}{entry.name}/")
        elif entry.is_file() and (not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(root)):
            yield before + entry.name


def install(app: Flask, folder: Path) -> None:
    """Serve the build in the folder, also one that is made later."""
    build = Build(folder.absolute())
    build.refresh()
    app.extensions["headrace_browser_app"] = build
    app.add_url_rule("/", "browser_app", show_index)
    app.add_url_rule(f"/{ASSETS}/<path:name>", "browser_app_asset", send_asset)
    app.before_request(_serve_other_paths)


@allow_anyone
def show_index() -> Response:
    """Send the index page with a new nonce, or instructions to build it."""
    build = _get_build()
    build.refresh()
    if build.index is None:
        headers = {"Cache-Control": "no-store", "Content-Security-Policy": NOT_BUILT_POLICY}
        return Response(NOT_BUILT, headers=headers, mimetype="text/html")
    nonce = secrets.token_urlsafe(18)
    # Other addresses send the page or not by the Accept header; and a nonce is for one reader only.
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept"}
    headers["Content-Security-Policy"] = POLICY.format(nonce=nonce, scripts=build.scripts)
    page = build.index.replace(NONCE_PLACEHOLDER, nonce.encode()).replace(USER_PLACEHOLDER, _get_user_id().encode())
    return Response(page, headers=headers, mimetype="text/html")


def _get_user_id() -> str:
    """Return the id of the logged-in user, with which the page requests its data early; empty if there is none.

    The page needs no database: without one the app is sent too, and shows the error.
    """
    try:
        return current_user.get_id() or "" if get_session_token() else ""
    except Exception:  # noqa: BLE001 - any failure leads to the page without the id
        return ""


@allow_anyone
def send_asset(name: str) -> Response:
    """Send a file whose name changes with its content, so it may be cached for ever."""
    file = _get_build().find(f"{ASSETS}/{name}")
    if file is None:
        raise NotFound
    return _send(file, CACHE_FOREVER)


def _serve_other_paths() -> Response | None:
    """Serve a path without a view: a file beside the index page, or the index page if a browser asks for a page."""
    if not isinstance(request.routing_exception, NotFound):
        return None
    first, _, rest = request.path[1:].partition("/")
    if not first or first in RESERVED_PREFIXES:
        return None
    build = _get_build()
    file = None if rest else build.files.get(first)
    # Browsers name HTML, while programs accept anything or say nothing.
    is_browser = any(kind.lower() == "text/html" and quality > 0 for kind, quality in request.accept_mimetypes)
    if file is None and (build.index is None or not is_browser):
        return None
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(["GET", "HEAD"])
    return show_index() if file is None else _send(file, "no-cache")


def _send(file: StaticFile, cache: str) -> Response:
    """Return a response with the file in the best encoding that the client accepts; 304 if the client has it.

    Raises: NotFound if the file is gone.
    """
    wanted = request.accept_encodings
    encoding = max(file.encodings, key=lambda encoding: float(wanted[encoding]), default=None)
    if encoding is not None and wanted[encoding] <= 0:
        encoding = None
    try:
        path = Path(file.path)
        sent = file.path if encoding is None else file.path + ENCODINGS[encoding]
        type_ = TYPES.get(path.suffix, "application/octet-stream")
        response = send_file(sent, type_, download_name=path.name, conditional=True)
    except OSError:
        raise NotFound from None
    response.headers["Cache-Control"] = cache
    if file.encodings:
        response.headers["Vary"] = "Accept-Encoding"
    if encoding is not None:
        response.headers["Content-Encoding"] = encoding
    return response


def _get_build() -> Build:
    build: Build = current_app.extensions["headrace_browser_app"]
    return build
