"""The documentation at /docs: the Markdown pages of the folder docs/ as HTML, readable without a login or the internet.

A page is rendered at its first request, then cached. The pages are listed at the first request of any, so no path
reaches outside the folder. Decision records are pages such as `adr/0001-…`; their index is the page `adr`. Those of
connectors are pages such as `connectors/slack`, without a file; the page `connectors` lists them. reference.py
makes them, and the rest of pages such as `nodes`, from the catalog.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask, Response, current_app, render_template_string, send_file
from werkzeug.exceptions import NotFound

from api.http.auth import allow_anyone
from api.http.caching import respond_once

FOLDER = Path(__file__).parents[2] / "docs"
STYLE_FILE = Path(__file__).with_suffix(".css")
POLICY = "default-src 'none'; style-src 'self'; img-src 'self'"
IMAGES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".webp": "image/webp"}
# The pages in the order of their use. Pages that are not listed come last.
GROUPS = {
    "Build flows": (
        "definition",
        "nodes",
        "connectors",
        "expressions",
        "triggers",
        "webhooks",
        "app-triggers",
        "forms",
        "runs",
        "http",
        "sql",
        "files",
        "tables",
    ),
    "People and secrets": ("app", "people", "credentials", "credential-types"),
    "Agents": ("agents", "mcp"),
    "Bring in and extend": ("coming-from-n8n", "importing", "writing-a-node", "packs", "clients"),
    "Operate": ("operations", "environments", "monitoring", "settings", "cli", "scale", "reliability", "performance"),
    "Inside": ("architecture", "adr"),
}
LAYOUT = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")


class DocumentationPage(NamedTuple):
    """A page as HTML: title, body, and second-level headings as `(anchor, text)`."""

    title: str
    body: str
    headings: list[tuple[str, str]]


@dataclass(slots=True)
class Documentation:
    """The pages of a folder by name, None for one without a file, and its images by file name."""

    pages: dict[str, Path | None]
    images: dict[str, Path]

    @classmethod
    def of(cls, folder: Path) -> Documentation:
        """List the pages and images of a folder, without hidden files and links that lead out of it."""
        from packs.reference.reference import list_pages

        root = folder.resolve()

        def files(paths: Iterator[Path]) -> list[Path]:
            return sorted(path for path in paths if path.is_file() and path.resolve().parent.is_relative_to(root))

        pages: dict[str, Path | None] = {}
        for pattern in ("[!.]*.md", "adr/[!.]*.md"):
            pages |= {_get_page_name(path.relative_to(folder)): path for path in files(folder.glob(pattern))}
        pages |= {name: None for name in list_pages() if name.partition("/")[0] in pages}
        images = {path.name: path for path in files(folder.glob("img/[!.]*")) if path.suffix in IMAGES}
        return cls(pages, images)

    def list_groups(self) -> Iterator[tuple[str, list[str]]]:
        """Return the names of the pages in groups, without those that another page lists."""
        left = dict.fromkeys(name for name in self.pages if "/" not in name)
        for group, names in GROUPS.items():
            here = [name for name in names if name in left]
            for name in here:
                del left[name]
            if here:
                yield group, here
        if left:
            yield "More", list(left)

    def read_title(self, name: str) -> str:
        """Return the heading of a page."""
        return self.read_file(name).partition("\n")[0].lstrip("# ").strip() or name

    def read(self, name: str) -> str:
        """Return a page as Markdown."""
        from packs.reference.reference import complete

        return complete(name, self.read_file(name))

    def read_file(self, name: str) -> str:
        """Return the written part of a page as Markdown, empty for a page without a file."""
        path = self.pages[name]
        return path.read_text(encoding="utf-8") if path else ""


def install(app: Flask) -> None:
    """Serve the documentation in docs/."""
    app.extensions["headrace_documentation"] = cache(lambda: Documentation.of(FOLDER))
    for rule, view in (
        ("/docs", show_contents),
        ("/docs/", redirect_to_contents),
        ("/docs/style.css", send_style),
        ("/docs/<name>", show_page),
        ("/docs/adr/<name>", show_decision),
        ("/docs/connectors/<name>", show_connector),
        ("/docs/img/<name>", send_image),
    ):
        app.add_url_rule(rule, f"documentation_{view.__name__}", view)


@allow_anyone
def show_contents() -> Response:
    """Show the list of pages in groups."""
    documentation = _get_library()
    names = [name for _, names in documentation.list_groups() for name in names]

    def make() -> str:
        summaries = {name: _summarize(render(documentation.read_file(name), documentation.pages)) for name in names}
        return _render_layout("", DocumentationPage("Documentation", "", []), summaries)

    return _respond("", make)


@allow_anyone
def redirect_to_contents() -> Response:
    """Redirect to the list of pages, by path only: Flask's own redirect would use the host of the request."""
    return Response(status=308, headers={"Location": "/docs"})


@allow_anyone
def show_page(name: str) -> Response:
    """Show a page."""
    documentation = _get_library()
    if name not in documentation.pages:
        raise NotFound
    return _respond(name, lambda: _render_layout(name, render_page(documentation, name)))


@allow_anyone
def show_decision(name: str) -> Response:
    """Show a decision record."""
    return show_page(f"adr/{name}")


@allow_anyone
def show_connector(name: str) -> Response:
    """Show the page of a connector."""
    return show_page(f"connectors/{name}")


@allow_anyone
def send_style() -> Response:
    """Return the style sheet of all pages."""
    return _respond("style.css", lambda: STYLE_FILE.read_text(encoding="utf-8"), "text/css")


@allow_anyone
def send_image(name: str) -> Response:
    """Return an image of a page."""
    path = _get_library().images.get(name)
    if path is None:
        raise NotFound
    response = send_file(path, IMAGES[path.suffix], conditional=True)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = f"{POLICY}; sandbox"
    return response


def render_page(documentation: Documentation, name: str) -> DocumentationPage:
    """Return a page of the documentation as HTML."""
    folder = "adr" if name == "adr" else posixpath.dirname(name)  # the page `adr` is the index in its own folder
    return render(documentation.read(name), documentation.pages, folder)


def render(text: str, pages: Any, folder: str = "") -> DocumentationPage:
    """Return Markdown of this folder of docs/ as HTML. Links to `pages` lead to their address here."""
    from markdown_it import MarkdownIt

    from packs.reference.reference import make_anchor

    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    # The only HTML in the pages are comments, which tell tests what to run.
    markdown.add_render_rule("html_block", lambda *_: "")
    markdown.add_render_rule("html_inline", lambda _, tokens, at, *__: escape(tokens[at].content))
    markdown.add_render_rule("table_open", lambda *_: '<div class="table"><table>\n')
    markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = markdown.parse(text)
    title, headings, seen = "", [], dict[str, int]()
    for at, token in enumerate(tokens):
        for child in token.children or ():
            # Links lead to the page's address here; links to source files are removed.
            if child.type == "image":
                child.attrSet("src", f"/docs/{child.attrGet('src')}")
                child.attrSet("loading", "lazy")
            elif child.type == "link_open":
                target, _, fragment = str(child.attrGet("href")).partition("#")
                if re.match("https?:", target):
                    child.attrSet("rel", "noreferrer")
                elif target.endswith(".md") and (name := _get_page_name(Path(folder, target))) in pages:
                    child.attrSet("href", f"/docs/{name}" + (f"#{fragment}" if fragment else ""))
                elif target:
                    child.attrs.pop("href")
        if token.type == "heading_open":
            heading = "".join(child.content for child in tokens[at + 1].children or ())
            anchor = make_anchor(heading, seen)
            token.attrSet("id", anchor)
            if token.tag == "h1":
                title = heading
            elif token.tag == "h2":
                headings.append((anchor, heading))
    return DocumentationPage(title, str(markdown.renderer.render(tokens, markdown.options, {})), headings)


def _get_page_name(path: Path) -> str:
    """Return the name of a page by its path in docs/: `adr/README.md` is the page `adr`."""
    return posixpath.normpath(path.with_suffix("")).removesuffix("/README")


def _render_layout(name: str, page: DocumentationPage, summaries: Mapping[str, str] | None = None) -> str:
    """Return a page with its surroundings, and with the list of pages if there are summaries of them."""
    documentation = _get_library()
    groups = list(documentation.list_groups())
    return render_template_string(
        LAYOUT, documentation=documentation, groups=groups, here=name, page=page, summaries=summaries or {}
    )


def _summarize(page: DocumentationPage) -> str:
    """Return the first sentence of a page about its subject, as HTML without tags."""
    text = re.sub(r"<[^<>]*>", "", page.body.partition("<p>")[2].partition("</p>")[0])
    return re.split(r"(?<=\.)\s|:\s|:$", text, maxsplit=1)[0]


def _respond(name: str, make: Callable[[], str], mimetype: str = "text/html") -> Response:
    """Respond with a text that is made once."""
    response = respond_once(f"docs {name}", lambda: make().encode(), mimetype)
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _get_library() -> Documentation:
    documentation: Documentation = current_app.extensions["headrace_documentation"]()
    return documentation
