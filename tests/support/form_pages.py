"""Forms for tests: a definition with one, and a person who fills in its pages with a browser without scripts."""

import re
from html import unescape
from io import BytesIO

from models import Run

NAME = {"kind": "text", "name": "name", "title": "Your name", "required": True, "max": 20, "prefill": True}
EMAIL = {"kind": "email", "name": "email", "title": "E-mail address", "required": True}
CV = {"kind": "file", "name": "cv", "title": "Your CV", "accept": [".pdf", ".txt"], "max_bytes": 2_000}


def make_definition(*nodes, fields=(NAME, EMAIL), **config):
    """Return a form at /forms/contact followed by these nodes."""
    form = {"path": "contact", "title": "Contact us", "fields": list(fields), "min_seconds": 0, **config}
    ids = ["form", *(node["id"] for node in nodes)]
    return {
        "nodes": [{"id": "form", "type": "form", "config": form}, *nodes],
        "edges": [list(pair) for pair in zip(ids, ids[1:], strict=False)],
    }


def inputs_of(page):
    """Return the hidden inputs of a page as pairs."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return [(name, unescape(value)) for name, value in found]


def fill(client, page, path="/forms/contact", go="send", files=(), **texts):
    """Send a page as a browser does, with its hidden inputs."""
    data = [*inputs_of(page.text), ("_website", ""), ("_go", go)]
    data += [(name, one) for name, text in texts.items() for one in ([text] if isinstance(text, str) else text)]
    fields = {}
    for name, value in [*data, *files]:
        fields.setdefault(name, []).append(value)
    kind = "multipart/form-data" if "multipart" in page.text else "application/x-www-form-urlencoded"
    return client.post(path, data=fields, content_type=kind)


def pdf(name="cv.pdf", size=100):
    return (BytesIO(b"x" * size), name)


def text_of(page):
    return unescape(re.sub(r"<style>.*</style>|<[^>]*>", " ", page.text, flags=re.DOTALL))


def only_run():
    (run,) = Run.select()
    return run
