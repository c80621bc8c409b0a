"""Web pages as text for models, like Markdown: headings, lists, tables and links. Runs in a process of its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, SelectolaxError

# Elements without readable content, or with content repeated on every page of a site.
SKIPPED = {
    *("script", "style", "template", "noscript", "svg", "math", "iframe", "object", "canvas", "video", "audio", "head"),
    *("nav", "button", "select", "input", "textarea", "dialog", "-comment"),
}
PARAGRAPHS = {
    *("article", "aside", "blockquote", "body", "details", "div", "dl", "fieldset", "figure", "footer", "form"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "ol", "p", "pre", "section", "table", "ul"),
}
LINES = {"br", "caption", "dd", "dt", "figcaption", "legend", "li", "option", "summary", "tr"}
HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
MAX_ADDRESS, MAX_TITLE, MAX_LIST_DEPTH = 500, 300, 6
MORE = "… (the page continues)"


class Full(Exception):
    """The text has reached its maximum length."""


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Return `{text}`, about `most` characters of the page at `url`; `{problem}` if it cannot be read."""
    try:
        document = LexborHTMLParser(data.decode("utf-8", "replace"))
        title = document.css_first("title")
        page = PageText(options["url"], options["most"])
        if title is not None:
            page.prefix = "# "
            page.text(title.text()[:MAX_TITLE])
        for selector in ("main", "article", "body"):
            found = document.css(selector)
            if len(found) == 1 and found[0].text().strip():
                page.write(found[0])
                break
        else:
            if document.root is not None:
                page.write(document.root)
        return {"text": page.read()}, ()
    except (SelectolaxError, UnicodeError, MemoryError) as error:
        return {"problem": f"the page cannot be read within the limits: {error}"}, ()


class PageText:
    """The text of a page, written piece by piece."""

    def __init__(self, url: str, most: int) -> None:
        self.url, self.left = url, most
        self.pieces: list[str] = []
        self.newlines, self.space, self.prefix = 0, False, ""
        self.lists: list[int | None] = []  # last item number of each open list, None for bullets
        self.verbatim = self.cells = 0
        self.links: list[tuple[int, str]] = []  # first piece of each open link, and its prefix
        self.is_first_cell = self.is_full = False

    def read(self) -> str:
        """Return the text."""
        text = "".join(self.pieces).strip()
        return f"{text}\n\n{MORE}" if self.is_full else text

    def write(self, root: Any) -> None:
        """Add the content of this element, as far as there is room."""
        todo = [(root, False)]
        try:
            while todo:
                node, is_end = todo.pop()
                if is_end:
                    self.close(node)
                elif node.is_text_node:
                    self.text(node.text_content or "")
                elif node.tag not in SKIPPED:
                    self.open(node)
                    todo.append((node, True))
                    todo += [(child, False) for child in reversed(list(node.iter(include_text=True)))]
        except Full:
            self.is_full = True

    def open(self, node: Any) -> None:
        tag = node.tag
        self.part(tag)
        if tag in HEADINGS:
            self.prefix = HEADINGS[tag]
        elif tag in ("ul", "ol"):
            self.lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self.prefix = self.bullet()
        elif tag == "pre":
            if not self.verbatim:
                self.add("```\n")
            self.verbatim += 1
        elif tag == "a":
            self.links.append((len(self.pieces), self.prefix))
        elif tag == "tr":
            self.is_first_cell = True
        elif tag in ("td", "th"):
            self.cell()
        elif tag == "img" and (node.attributes.get("alt") or "").strip():
            self.text(f"[image: {node.attributes['alt']}]")

    def close(self, node: Any) -> None:
        tag = node.tag
        if tag in ("ul", "ol") and self.lists:
            self.lists.pop()
        elif tag == "pre":
            self.verbatim -= 1
            if not self.verbatim:
                self.newlines = 0 if self.pieces[-1].endswith("\n") else 1
                self.add("```")
        elif tag == "a":
            self.link(*self.links.pop(), node.attributes.get("href") or "")
        elif tag in ("td", "th"):
            self.cells -= 1
        if tag in HEADINGS or tag == "li":
            self.prefix = ""
        self.part(tag)

    def part(self, tag: str) -> None:
        """Separate an element from its surroundings."""
        if self.cells:
            self.space = self.space or tag in PARAGRAPHS or tag in LINES
        elif tag in PARAGRAPHS:
            self.newlines = max(self.newlines, 1 if self.lists else 2)
        elif tag in LINES:
            self.newlines = max(self.newlines, 1)

    def cell(self) -> None:
        """Separate the cells of a row."""
        if not self.is_first_cell:
            self.space = False
            self.add(" |")
            self.space = True
        self.is_first_cell = False
        self.cells += 1

    def bullet(self) -> str:
        if not self.lists:
            return "- "
        indent = "  " * min(len(self.lists) - 1, MAX_LIST_DEPTH)
        number = self.lists[-1]
        if number is None:
            return f"{indent}- "
        self.lists[-1] = number + 1
        return f"{indent}{number + 1}. "

    def link(self, since: int, prefix: str, href: str) -> None:
        """Turn the text written since the piece `since`, without its line prefix, into a link."""
        written = "".join(self.pieces[since:])
        words = written.lstrip("\n").removeprefix(prefix).strip()
        address = _absolute(self.url, href.strip())
        if not words or not address:
            return
        lead = written[: written.index(words)]
        self.pieces[since:] = [f"{lead}[{' '.join(words.split())}]({address})"]
        self.take(len(address) + 4)

    def text(self, text: str) -> None:
        """Add text, collapsing whitespace unless it is preformatted."""
        if self.verbatim:
            self.add(text)
            return
        words = text.split()
        if not words:
            self.space = self.space or bool(text)
            return
        self.space = self.space or text[0].isspace()
        self.add(" ".join(words))
        self.space = text[-1].isspace()

    def add(self, text: str) -> None:
        """Add text as it is, after pending line breaks or a space."""
        if self.newlines or not self.pieces:
            lead = "\n" * (self.newlines if self.pieces else 0) + self.prefix
        else:
            lead = self.prefix or (" " if self.space else "")
        self.newlines, self.space, self.prefix = 0, False, ""
        room = max(0, self.left - len(lead))
        self.pieces.append(lead + text[:room])
        self.take(len(lead) + len(text))

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise Full


def _absolute(base: str, href: str) -> str:
    """Return the absolute URL of a link; empty if it does not lead to another web page."""
    if not href or href.startswith("#") or len(href) > MAX_ADDRESS:
        return ""
    try:
        found = urljoin(base, href)
        return found if urlsplit(found).scheme in ("http", "https") and len(found) <= MAX_ADDRESS else ""
    except ValueError:
        return ""
