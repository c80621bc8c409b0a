"""The APIs of services that have webhooks, as their documentation describes them, in one local HTTP server."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

# Method and path to the function that answers.
ROUTES = []


def route(method, pattern):
    def decorate(function):
        ROUTES.append((method, re.compile(pattern + r"\Z"), function))
        return function

    return decorate


class HookService:
    """`hooks` maps the id of each webhook to `{url, …}`; `asked` lists the requests as `METHOD path`.

    `before` and `after` are called with each request that changes something, before and after it does. `fails` is a
    status that all requests get, and `says` is what all answers that list webhooks have instead, if it is set. With a
    `page_size`, lists have pages, which are said to be at `next_origin`.
    """

    def __init__(self):
        self.hooks, self.asked, self.headers, self.bodies, self.fails = {}, [], [], [], None
        self.says, self.page_size, self.next_origin = ..., None, None
        self.before = self.after = lambda text: None
        self.lock, self.number = threading.RLock(), 0
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    @property
    def urls(self):
        return sorted(hook["url"] for hook in self.hooks.values())

    def make_page(self, path, answer):
        """Return a page of a list, and the address of the next one: in the answer, too, as some services say it."""
        parts = urlsplit(path)
        begin = int(dict(parse_qsl(parts.query)).get("at", 0))
        end = begin + self.page_size
        name = None if isinstance(answer, list) else next(iter(answer))
        listed = answer if name is None else answer[name]
        link = f"{self.next_origin or self.url}{parts.path}?at={end}" if end < len(listed) else None
        page = listed[begin:end]
        return (page if name is None else {name: page, "pagination": {"next_page": link}}), link

    def add(self, url, id_=None, **values):
        self.number += 1
        id_ = id_ or str(self.number)
        self.hooks[id_] = {"url": url, **values}
        return id_

    def drop(self, id_):
        return (204, None) if self.hooks.pop(id_, None) else (404, {"message": "Not Found"})


@route("GET", r"/bot[^/]+/getWebhookInfo")
def _(service, match, body):
    (hook,) = service.hooks.values() or [{"url": ""}]
    return 200, {"ok": True, "result": {"url": hook["url"], "pending_update_count": 0}}


@route("POST", r"/bot[^/]+/setWebhook")
def _(service, match, body):
    service.hooks.clear()
    service.add(body["url"], "bot", secret=body["secret_token"], events=body["allowed_updates"])
    return 200, {"ok": True, "result": True}


@route("POST", r"/bot[^/]+/deleteWebhook")
def _(service, match, body):
    service.hooks.clear()
    return 200, {"ok": True, "result": True}


@route("GET", r"/(repos/[^/]+/[^/]+|orgs/[^/]+)/hooks")
def _(service, match, body):
    listed = [(id_, hook) for id_, hook in service.hooks.items() if hook["at"] == match[1]]
    return 200, [{"id": int(id_), "config": {"url": hook["url"]}} for id_, hook in listed]


@route("POST", r"/(repos/[^/]+/[^/]+|orgs/[^/]+)/hooks")
def _(service, match, body):
    config = body["config"]
    if any(hook["url"] == config["url"] and hook["at"] == match[1] for hook in service.hooks.values()):
        return 422, {"message": "Validation Failed", "errors": [{"message": "Hook already exists"}]}
    return 201, {"id": int(service.add(config["url"], secret=config["secret"], events=body["events"], at=match[1]))}


@route("DELETE", r"/(repos/[^/]+/[^/]+|orgs/[^/]+)/hooks/(\d+)")
def _(service, match, body):
    return service.drop(match[2])


@route("GET", r"/v1/webhook_endpoints")
def _(service, match, body):
    return 200, {"object": "list", "data": [{"id": id_, "url": hook["url"]} for id_, hook in service.hooks.items()]}


@route("POST", r"/v1/webhook_endpoints")
def _(service, match, body):
    service.number += 1
    secret = f"whsec_{service.number}"
    id_ = service.add(body["url"], f"we_{service.number}", secret=secret, events=body["enabled_events[]"])
    return 200, {"id": id_, "object": "webhook_endpoint", "url": body["url"], "secret": secret}


@route("DELETE", r"/v1/webhook_endpoints/(\w+)")
def _(service, match, body):
    return service.drop(match[1])


@route("GET", r"/admin/api/[\d-]+/webhooks.json")
def _(service, match, body):
    listed = service.hooks.items()
    return 200, {"webhooks": [{"id": int(id_), "address": hook["url"], "topic": hook["topic"]} for id_, hook in listed]}


@route("POST", r"/admin/api/[\d-]+/webhooks.json")
def _(service, match, body):
    hook = body["webhook"]
    return 201, {"webhook": {"id": int(service.add(hook["address"], topic=hook["topic"], secret=None))}}


@route("POST", r"/admin/oauth/access_token")
def _(service, match, body):
    return 200, {"access_token": "shpat_of_a_day", "scope": "read_orders", "expires_in": 86_399}


@route("DELETE", r"/admin/api/[\d-]+/webhooks/(\d+).json")
def _(service, match, body):
    return service.drop(match[1])


@route("GET", r"/forms/(\w+)/webhooks")
def _(service, match, body):
    return 200, {"items": [{"tag": id_, "url": hook["url"]} for id_, hook in service.hooks.items()]}


@route("PUT", r"/forms/(\w+)/webhooks/([\w-]+)")
def _(service, match, body):
    service.hooks[match[2]] = {"url": body["url"], "secret": body["secret"], "events": list(body["event_types"])}
    return 200, {"id": "01D1Y7DS", "tag": match[2], "url": body["url"], "enabled": True}


@route("DELETE", r"/forms/(\w+)/webhooks/([\w-]+)")
def _(service, match, body):
    return service.drop(match[2])


@route("GET", r"/form/(\d+)/webhooks")
def _(service, match, body):
    return 200, {"responseCode": 200, "content": {str(at): url for at, url in enumerate(service.urls)}}


@route("POST", r"/form/(\d+)/webhooks")
def _(service, match, body):
    service.add(body["webhookURL"], secret=None)
    return 200, {"responseCode": 200, "content": {str(at): url for at, url in enumerate(service.urls)}}


@route("DELETE", r"/form/(\d+)/webhooks/(\d+)")
def _(service, match, body):
    url = service.urls[int(match[2])]
    service.hooks.pop(next(id_ for id_, hook in service.hooks.items() if hook["url"] == url))
    return 200, {"responseCode": 200, "content": {}}


@route("GET", r"/webhook_subscriptions")
def _(service, match, body):
    listed = [{"uri": f"https://api.calendly.com/webhook_subscriptions/{id_}", "callback_url": hook["url"]}
              for id_, hook in service.hooks.items()]  # fmt: skip
    return 200, {"collection": listed}


@route("POST", r"/webhook_subscriptions")
def _(service, match, body):
    id_ = service.add(body["url"], secret=body["signing_key"], events=body["events"])
    return 201, {"resource": {"uri": f"https://api.calendly.com/webhook_subscriptions/{id_}"}}


@route("DELETE", r"/webhook_subscriptions/(\w+)")
def _(service, match, body):
    return service.drop(match[1])


class _Handler(BaseHTTPRequestHandler):
    service = None

    def answer(self):
        path = urlsplit(self.path).path
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_form = "urlencoded" in self.headers.get("Content-Type", "")
        body = _form(raw) if is_form else json.loads(raw or b"null")
        text, service = f"{self.command} {path}", self.service
        with service.lock:
            service.asked.append(f"{self.command} {self.path}")
            service.headers.append(dict(self.headers))
            service.bodies.append(body)
        if service.fails:
            self.send(service.fails, {"message": "no"})
            return
        is_change = self.command != "GET"
        if is_change:
            service.before(text)
        for method, pattern, function in ROUTES:
            match = pattern.match(path)
            if match and method == self.command:
                with service.lock:
                    status, answer = function(service, match, body)
                link = None
                if not is_change and service.says is not ...:
                    answer = service.says
                elif not is_change and service.page_size:
                    answer, link = service.make_page(self.path, answer)
                if is_change:
                    service.after(text)
                self.send(status, answer, {} if link is None else {"Link": f'<{link}>; rel="next"'})
                return
        self.send(404, {"message": "Not Found"})

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def send(self, status, answer, headers=None):
        raw = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args):
        pass


def _form(raw):
    found = {}
    for name, value in parse_qsl(raw.decode()):
        found.setdefault(name, []).append(value) if name.endswith("[]") else found.update({name: value})
    return found
