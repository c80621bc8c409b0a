"""Registration: adds the webhooks of app triggers in their services by their APIs, and removes them again.

Rows of `registered_hooks` have the work that is left. The leader does it, a few rows at a time in threads of their own,
so that a slow service delays nothing else. A failure is logged in the workspace and retried with backoff; a removal is
retried until it succeeds, or until a user confirms that there is nothing to remove. After a crash the work of a row is
repeated: see database/queries/registered_hooks.py.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode

import orjson

from constants import FORM
from database import execute, write
from database.base import now_ms
from database.queries import logs
from dispatch import Dispatcher
from dispatch.publishing import NO_ADDRESS
from errors import NodeError
from models import RegisteredHook
from net.egress import HttpResponse, get_host
from nodes import REGISTRY
from nodes.base import Context
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import TYPES
from nodes.http.body import RequestBody, is_permanent, kind_of_status
from nodes.http.client import HTTPClient, HttpRequest
from nodes.http.pagination import find_next_link
from packs.connectors.app_triggers import hook_queries
from packs.oauth.settings import CLIENT_CREDENTIALS
from packs.polls.poller import run_in_thread

AT_ONCE = 4
CHECK_MS = 86_400_000  # between two checks that the service still has the webhook
WORK_SECONDS = 45.0  # timeout for one row; shorter than a claim
FIRST_BACKOFF_MS, MAX_BACKOFF_MS = 30_000, 3_600_000
MANY = 100  # attempts, which take about four days; after them, one a day
SELDOM_MS = 86_400_000
TICK_SECONDS = 1.0
Start = Callable[[Callable[[], None]], None]


class ServerKey(Protocol):
    """The server's key (`security.vault.Vault`)."""

    def sign(self, *parts: str) -> str: ...

    def seal(self, value: Any) -> str: ...


class HookKeeper:
    """Registers hooks while this process leads, see `leads`. Call `tick` every second.

    `start` runs the work of one row.
    """

    def __init__(
        self, dispatcher: Dispatcher, vault: ServerKey, leads: Callable[[], bool], start: Start = run_in_thread
    ) -> None:
        self.dispatcher, self.vault, self.leads, self.start = dispatcher, vault, leads, start

    def tick(self) -> None:
        """Begin due work, if this process leads."""
        if self.dispatcher.is_paused or not self.leads():
            return
        for row in hook_queries.claim_due(now_ms(), AT_ONCE):
            self.start(lambda row=row: self.work(row))  # type: ignore[misc]

    def work(self, row: RegisteredHook) -> None:
        """Add or remove the webhook of a claimed row."""
        keyring = self.dispatcher.resources.keyring_of(row.workspace_id)
        try:
            if row.state == row.REMOVING:
                self._remove(row, keyring)
            else:
                self._add(row, keyring)
        except NodeError as error:
            self._fail(row, keyring.clean_text(error.message))
        except Exception:
            log.exception("the registered hook %s could not be worked on", row.id)
            self._fail(row, "an internal error; the server's log has the details")
        finally:
            hook_queries.give_back(row)

    def _add(self, row: RegisteredHook, keyring: Any) -> None:
        base = self.dispatcher.config.public_url.rstrip("/")
        if not base:
            raise NodeError(NO_ADDRESS, permanent=True)
        url = f"{base}/api/webhooks/{row.path}"
        registration = self._open(row, keyring)
        if row.state == row.ADDED and row.url == url and registration.has(url):
            hook_queries.put(row, next_at=now_ms() + CHECK_MS, claimed_until=0, attempts=0, last_error=None)
            return
        if row.url not in (None, url):
            registration.remove(str(row.url))  # the address of the server has changed
        # Known before the service is asked: whatever happens from here on, the hook can be found and removed.
        if not hook_queries.put(row, url=url):
            return
        secret = registration.add(
            url, make_secret(self.vault, row.id), orjson.loads(row.events), row.id.replace("_", "-")
        )
        sealed = None if secret is None else self.vault.seal(secret)
        done = {"state": row.ADDED, "secret": sealed, "attempts": 0, "last_error": None}
        if hook_queries.put(row, **done, next_at=now_ms() + CHECK_MS, claimed_until=0):
            self._log(row, "info", "The webhook was added in the service")

    def _remove(self, row: RegisteredHook, keyring: Any) -> None:
        if row.url is not None:
            if hook_queries.hand_over(row):
                return
            self._open(row, keyring).remove(row.url)
            hook_queries.check_others(row)
        if hook_queries.end(row) and row.url is not None:
            self._log(row, "info", "The webhook was removed from the service")

    def _open(self, row: RegisteredHook, keyring: Any) -> Any:
        """Return the registration at the service. Raises: NodeError if the account or the service is unknown."""
        node: Any = REGISTRY.get(row.type)
        if node is None:
            raise NodeError(f"the node type {row.type!r} no longer exists", permanent=True)
        scope: Mapping[str, str] = orjson.loads(row.scope)
        register = node.preset["register"]
        resources = self.dispatcher.resources
        ctx = Context(
            row.node_id, {}, {}, row.id, time.monotonic() + WORK_SECONDS, services=resources.services, keyring=keyring
        )
        account = keyring.use(row.account_id, *register["account"])
        return Registration(node.preset["name"], register, scope, account, ctx)

    def _fail(self, row: RegisteredHook, message: str) -> None:
        """Note a failure, and when to try again."""
        attempts = row.attempts + 1
        wait = SELDOM_MS if attempts >= MANY else min(FIRST_BACKOFF_MS * 2 ** min(attempts - 1, 20), MAX_BACKOFF_MS)
        is_new = message != row.last_error or attempts == MANY
        if (
            hook_queries.put(row, attempts=attempts, last_error=message, next_at=now_ms() + wait, claimed_until=0)
            and is_new
        ):
            done = "removed" if row.state == row.REMOVING else "added"
            self._log(row, "error", f"The webhook could not be {done}; it is tried again: {message}")

    def _log(self, row: RegisteredHook, level: str, message: str) -> None:
        data = {"workflow_id": row.workflow_id, "service": row.type, "address": row.url or row.path}
        with write():
            text = orjson.dumps(data).decode()
            execute(*logs.entry(row.workspace_id, None, row.node_id, level, message, text))


def make_jobs(server: Any) -> dict[Callable[[], object], float]:
    """Return what the scheduler of this `Server` calls, and after how many seconds each time."""
    return {HookKeeper(server.dispatcher, server.vault, lambda: server.scheduler.leads()).tick: TICK_SECONDS}


def make_secret(vault: ServerKey, hook_id: str) -> str:
    """Return the secret with which a service signs, if we choose it: it needs to be stored nowhere."""
    return vault.sign("registered hook", hook_id)


# The API of a service, as the file of an app trigger describes it. Every webhook of a service is found by its address,
# so adding and removing can be repeated after a crash at any point.

REQUEST_SECONDS = 10.0
PLACE = re.compile(r"\{([a-z_]{1,30})\}")
WHOLE = re.compile(r"\{([a-z_]{1,30})\}\Z")
GONE = (404, 410)
MAX_PAGES = 50


class ServiceWebhook(NamedTuple):
    """A webhook that the service has."""

    id: str
    url: str


class Registration:
    """The webhooks of one account and place in a service. `settings` has the params of the node.

    All methods raise NodeError with what the service answered.
    """

    def __init__(
        self,
        name: str,
        register: Mapping[str, Any],
        settings: Mapping[str, str],
        account: DecryptedCredential,
        ctx: Context,
    ) -> None:
        if account.type == CLIENT_CREDENTIALS and "token_header" in register:
            account = replace(account, data={**account.data, "token_header": register["token_header"]})
        self.name, self.register, self.account, self.ctx = name, register, account, ctx
        # A credential that is no header is part of the address.
        self.is_in_url = "{account}" in register["base"]
        self.client = HTTPClient(ctx, None if self.is_in_url else account, may_wait=False)
        self.base = str(register["base"])
        if settings.get("api_url"):
            rest = self.base.split("/", 3)[3:]
            self.base = "/".join((settings["api_url"].rstrip("/"), *rest))
        given = next((param for param in register.get("one_of", {}) if settings.get(param)), None)
        scope = "" if given is None else _fill_text(register["one_of"][given], settings)
        self.values: dict[str, Any] = {**settings, "scope": scope}

    def add(self, url: str, secret: str, events: Sequence[str], name: str) -> str | None:
        """Have the service send these events to the address, and to no older webhook with it.

        Return the secret if the service makes its own.
        """
        found = self._list()
        if self.register.get("only_one"):
            others = [hook.url for hook in found if hook.url not in ("", url)]
            if others:
                raise NodeError(
                    f"{self.name} sends to another address already, and can have only one. Use another account, or "
                    "remove that webhook",
                    permanent=True,
                )
        else:
            self._remove(hook for hook in found if hook.url == url)
        values: dict[str, Any] = {"url": url, "secret": secret, "hook": name, "events": list(events)}
        values["events_as_flags"] = dict.fromkeys(events, True)
        call = self.register["create"]
        for event in events if self.register.get("each_event") else [""]:
            answer = self._call(call, {**values, "event": event})
            made = _find(answer, call["secret"]) if "secret" in call else None
        return made if isinstance(made, str) else None

    def has(self, url: str) -> bool:
        """Return True if the service has a webhook with this address."""
        return any(hook.url == url for hook in self._list())

    def remove(self, url: str) -> None:
        """Remove all webhooks with this address. There may be none."""
        self._remove(hook for hook in self._list() if hook.url == url)

    def _remove(self, hooks: Any) -> None:
        # An id may be a position that the next removal would change: the last one goes first.
        for hook in reversed(list(hooks)):
            self._call(self.register["remove"], {"id": hook.id, "id_end": hook.id.rpartition("/")[2]}, may_be_gone=True)

    def _list(self) -> list[ServiceWebhook]:
        """Return all webhooks. Raises: NodeError if the answer is not a list: then there may be webhooks."""
        call, found, url = self.register["find"], [], self._make_url(self.register["find"], self.values)
        origin = _origin_of(url)
        for _ in range(MAX_PAGES):
            answer = self._send(call["method"], url)
            if answer.status in GONE:
                text = "what the webhook belongs to was deleted there, or the account may not see it any more"
                raise NodeError(f"{_describe(answer)}: {text}", True, kind=kind_of_status(answer.status))
            data = self._read(answer)
            found += _read_hooks(call, data, answer)
            link = find_next_link(answer) or ("next" in call and _find(data, call["next"]))
            if not link:
                return found
            url = str(link)
            if _origin_of(url) != origin:
                raise NodeError(f"{answer.who}: the link to the next page of webhooks leads elsewhere", permanent=True)
        raise NodeError(f"{self.name} has more than {MAX_PAGES} pages of webhooks, which is the limit", permanent=True)

    def _call(self, call: Mapping[str, Any], values: Mapping[str, Any], may_be_gone: bool = False) -> Any:
        """Return the JSON of the answer; None if it has none."""
        all_values = {**self.values, **values}
        body = self._encode(_fill(call["body"], all_values)) if "body" in call else RequestBody()
        answer = self._send(call["method"], self._make_url(call, all_values), body, fail_on_error=not may_be_gone)
        return None if answer.status in GONE else self._read(answer)

    def _make_url(self, call: Mapping[str, Any], values: Mapping[str, Any]) -> str:
        base = self.base
        if self.is_in_url:
            base = base.replace("{account}", quote(str(TYPES[self.account.type].shown(self.account.data)), safe=":"))
        return _fill_url(base, values) + _fill_url(call["path"], values)

    def _send(
        self, method: str, url: str, body: RequestBody | None = None, fail_on_error: bool = False
    ) -> HttpResponse:
        """Return the answer; it may be that something is gone, unless `fail_on_error`."""
        if self.is_in_url:
            self.account.check_host(get_host(url))
        headers = {"Accept": "application/json", **self.register.get("headers", {})}
        sent = HttpRequest(
            method, url, REQUEST_SECONDS, headers=headers, body=body or RequestBody(), fail_on_error=fail_on_error
        )
        answer = self.client.answer(sent)
        if answer.status >= 400 and answer.status not in GONE:
            raise NodeError(_describe(answer), is_permanent(answer.status), kind=kind_of_status(answer.status))
        return answer

    def _read(self, answer: HttpResponse) -> Any:
        try:
            return orjson.loads(answer.content) if answer.content else None
        except orjson.JSONDecodeError:
            return None

    def _encode(self, body: dict[str, Any]) -> RequestBody:
        if not self.register.get("form"):
            return RequestBody(orjson.dumps(body), {"Content-Type": "application/json"})
        pairs = [
            (f"{name}[]" if isinstance(value, list) else name, item)
            for name, value in body.items()
            for item in (value if isinstance(value, list) else [value])
        ]
        return RequestBody(urlencode(pairs).encode(), {"Content-Type": FORM})


def _read_hooks(call: Mapping[str, Any], data: Any, answer: HttpResponse) -> list[ServiceWebhook]:
    """Return the webhooks of a page: of a list, of one object, or of addresses by id."""
    items = _find(data, call["items"])
    place, _, name = call["items"].rpartition(".")
    parent = _find(data, place)
    if not items and name and isinstance(parent, dict) and name in parent:
        return []  # some say null or "" if there is none
    if isinstance(items, dict) and "url" in call and "id" not in call:
        items = [items]  # there can be only one
    if isinstance(items, dict) and "url" not in call:
        return [ServiceWebhook(str(id_), url) for id_, url in items.items() if isinstance(url, str)]
    if not isinstance(items, list):
        raise NodeError(f"{answer.who} answered with something else than its webhooks", permanent=True)
    return [
        ServiceWebhook(str(_find(item, call["id"]) if "id" in call else ""), str(_find(item, call["url"]) or ""))
        for item in items
        if isinstance(item, dict)
    ]


def _describe(answer: HttpResponse) -> str:
    return f"{answer.who} answered {answer.status} {answer.reason}".rstrip()


def _fill(template: Any, values: Mapping[str, Any]) -> Any:
    """Return the template with values: `{events}` alone keeps its type."""
    if isinstance(template, dict):
        return {name: _fill(value, values) for name, value in template.items()}
    if not isinstance(template, str):
        return template
    whole = WHOLE.match(template)
    return values[whole[1]] if whole else _fill_text(template, values)


def _fill_text(template: str, values: Mapping[str, Any]) -> str:
    return PLACE.sub(lambda found: str(values[found[1]]), template)


def _fill_url(template: str, values: Mapping[str, Any]) -> str:
    return PLACE.sub(lambda found: quote(str(values[found[1]]), safe="/" if found[1] == "scope" else ""), template)


def _origin_of(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _find(data: Any, path: str) -> Any:
    for part in path.split(".") if path else ():
        data = data.get(part) if isinstance(data, dict) else None
    return data


log = logging.getLogger("headrace.scheduler")
