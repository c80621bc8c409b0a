"""Local servers for trials of templates: each template defines its services and results in its file (`trial`).

A trial is an object with any of these keys. `{name}` in its texts is replaced by an address of a local server: `{http}`
(http://127.0.0.1:…), `{host}`, `{smtp_port}`, `{messages}` (a service URL whose messages are received here).

- `http`: answers of a web server, `{"path", "method"?, "query"?, "status"?, "json" | "text", "headers"?, "times"?}`.
  Several answers to the same request are returned in turn, each `times` times (1); the last one is repeated
- `vars`: replaced variables of the flow
- `credentials`: the values of the template's credentials
- `files`: existing files of the workspace, `{path: text}`, or `{path: {"text" | "base64", "days"?}}`, for
  any bytes and for files that were changed so many days ago
- `databases`: existing SQLite files, `{path: [statement]}`
- `store`: existing entries of the store, `{key: value}`
- `flows`: other flows, `{id in the template: definition}`
- `answers`: the answers to waiting nodes, in turn, `{"node", "answer", "comment"?, "body"?}`
- `runs`: the number of runs (1), or a list of the differences of each run, `{"input"?, "answers"?, "output"?,
  "status"?, "error_text"?}`; the template's expected output applies to the last run, unless that run has its own
- `status`, `error_text`: the expected end of a run that must fail
- `calls`: calls of its webhook after the runs, with their expected results, `{"method"?, "query"?, "headers"?, "json"?,
  "status", "answer"?}`; the path, and the default of the method, come from the node
- `sent`: everything that was sent or stored: `http` requests `{"method", "path", "query", "json" | "text", "headers"}`,
  `mail` `{"to", "subject", "text", "html", "attachments"}`, `messages` `{"title", "message"}`, `files` `{path: text}`,
  `rows` `{path of a SQLite file: {query: [row]}}`, `store` `{key: value}`, `log` `[level, message]` of the runs
- `ssh`, `mqtt`, `s3`, `llm`: the initial content of those servers; `sent` has the data sent to them (stage_servers.py)

Any text may be a list of its lines. Retries have no delay here.

In expected values, `…` stands for anything: alone for any value, inside a text for any part of it.
"""

import base64
import email
import email.policy
import json
import re

import pytest
from aiosmtpd.controller import Controller


class Mailbox(Controller):
    """A real SMTP server that stores received mails in `messages`, as `email.message.EmailMessage`."""

    def __init__(self):
        self.messages = []
        super().__init__(self, hostname="127.0.0.1", port=0)
        self.start()

    async def handle_DATA(self, server, session, envelope):
        content = envelope.content.replace(b"\r\n", b"\n")
        self.messages.append(email.message_from_bytes(content, policy=email.policy.default))
        return "250 OK"

    def _trigger_server(self):
        # aiosmtpd connects to its port to check that it listens; the port is not known earlier.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class Stage:
    """The local servers of one test, each started when it is first named. `httpserver` is pytest-httpserver's."""

    def __init__(self, httpserver, request):
        self.httpserver, self.request = httpserver, request
        self.web = f"http://127.0.0.1:{httpserver.port}"
        self._mailbox = None

    @property
    def mailbox(self):
        if self._mailbox is None:
            self._mailbox = Mailbox()
        return self._mailbox

    def close(self):
        if self._mailbox is not None:
            self._mailbox.stop()

    def named(self, name):
        """Return the value of `{name}`; `{ssh_port}` is the attribute `port` of the server `ssh`."""
        if name == "http":
            return self.web
        if name == "host":
            return "127.0.0.1"
        if name == "messages":
            self.httpserver.expect_request("/messages", method="POST").respond_with_json({})
            return f"json://127.0.0.1:{self.httpserver.port}/messages"
        if name == "smtp_port":
            return self.mailbox.port
        kind, _, attribute = name.partition("_")
        return getattr(self.server(kind), attribute)

    def server(self, kind):
        """Return the server of stage_servers.py."""
        return self.request.getfixturevalue(f"stage_{kind}")

    def filled(self, value):
        """Return the value with every `{name}` replaced; a text of one name alone becomes its value."""
        if isinstance(value, dict):
            return {self.filled(key): self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if not isinstance(value, str):
            return value
        alone = re.fullmatch(r"\{(\w+)\}", value)
        return self.named(alone[1]) if alone else re.sub(r"\{([a-z_]+)\}", lambda m: str(self.named(m[1])), value)

    def serve(self, answers):
        """Make the web server return these responses."""
        answers = [answer for answer in answers for _ in range(answer.get("times", 1))]
        for number, answer in enumerate(answers):
            same = [other for other in answers[number + 1 :] if _asked(other) == _asked(answer)]
            expect = self.httpserver.expect_oneshot_request if same else self.httpserver.expect_request
            handler = expect(answer["path"], method=answer.get("method", "GET"), query_string=answer.get("query"))
            text = json.dumps(answer["json"]) if "json" in answer else joined(answer.get("text", ""))
            kind = "application/json" if "json" in answer else "text/html; charset=utf-8"
            handler.respond_with_data(
                self.filled(text) if "{http}" in text else text,
                status=answer.get("status", 200),
                headers=self.filled(answer.get("headers", {})),
                content_type=answer.get("headers", {}).get("Content-Type", kind),
            )

    def sent(self):
        """Return the received HTTP requests, messages and mails."""
        asked = [request for request, _ in self.httpserver.log]
        return {
            "http": [_request(request) for request in asked if request.path != "/messages"],
            "messages": [request.get_json() for request in asked if request.path == "/messages"],
            "mail": [_mail(message) for message in (self._mailbox.messages if self._mailbox else [])],
        }


def joined(text):
    """Return a text that may be a list of its lines."""
    return text if isinstance(text, str) else "\n".join(text)


def content(file):
    """Return the bytes of an existing file."""
    if isinstance(file, dict) and "base64" in file:
        return base64.b64decode(file["base64"])
    return joined(file["text"] if isinstance(file, dict) else file).encode()


def _asked(answer):
    return answer["path"], answer.get("method", "GET"), answer.get("query")


def _request(request):
    found = {"method": request.method, "path": request.path, "query": request.args.to_dict()}
    text = request.get_data(as_text=True)
    found |= {"text": text, "headers": dict(request.headers)}
    return found | ({"json": request.get_json()} if request.is_json and text else {})


def _mail(message):
    text, html = message.get_body(("plain", "html")), message.get_body(("html",))
    return {
        "to": str(message["To"]),
        "subject": str(message["Subject"]),
        "text": text.get_content() if text else "",
        "html": html.get_content() if html else "",
        "attachments": {part.get_filename(): _content(part) for part in message.iter_attachments()},
    }


def _content(part):
    """Return a file in comparable form: as text if it is text."""
    data = part.get_payload(decode=True)
    return data.decode() if part.get_content_maintype() == "text" else data


def differs(found, expected, where="it"):
    """Return the first difference between found and expected as text; None if there is none."""
    if expected == "…":
        return None
    if isinstance(found, str) and isinstance(expected, list):
        found = found.splitlines()
    if isinstance(expected, str) and "…" in expected and isinstance(found, str):
        pattern = ".*".join(map(re.escape, expected.split("…")))
        return None if re.fullmatch(pattern, found, re.DOTALL) else f"{where} is {found!r}, not {expected!r}"
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        return next(filter(None, (differs(found[key], expected[key], f"{where}.{key}") for key in expected)), None)
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return next(filter(None, (differs(a, b, f"{where}[{number}]") for number, (a, b) in pairs)), None)
    return None if found == expected else f"{where} is {found!r}, not {expected!r}"


def lacks(found, expected, where):
    """Do the same for a list of objects, each with at least the expected keys."""
    if len(found) != len(expected):
        return f"{where}: {len(found)}, not {len(expected)}: {found}"
    for number, (one, wanted) in enumerate(zip(found, expected, strict=True)):
        part = {key: one.get(key) for key in wanted}
        if "headers" in wanted:
            part["headers"] = {key: one["headers"].get(key) for key in wanted["headers"]}
        if wrong := differs(part, wanted, f"{where}[{number}]"):
            return wrong
    return None


@pytest.fixture
def stage(httpserver, request):
    stage = Stage(httpserver, request)
    yield stage
    stage.close()
