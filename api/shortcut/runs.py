"""Runs started by programs with an API token that wait for the result; quick ones are served in the server's loop.

The view `run` (api/workflows.py) describes them and can serve every request. Left to it are sessions, idempotency keys,
bodies with more than an input, and callers who may not run the flow.
"""

from __future__ import annotations

from functools import partial

from api.http.json_io import parse_json
from api.run_answer import RunAnswer, make_json_answer, protect_headers
from api.runs import link_large_values
from constants import ROLES
from database.queries.sessions import Caller
from database.queries.workflows import Startable
from dispatch import QuickRuns, Start
from engine import Outcome
from models import Run
from schemas import RunOut

from .calls import Reply, ReplyPolicy, ShortcutCall, send_answer

PREFIX, SUFFIX = "/api/workflows/", "/run"
MIN_WAIT, MAX_WAIT = 1.0, 60.0  # seconds; a shorter wait may want a response before the run is on disk
MAY_RUN = ROLES[ROLES.index("operator") :]
# Requests with these headers are left to the view.
VIEW_HEADERS = {"X-WORKSPACE-ID"}
RUN = RunOut()
POLICY = ReplyPolicy(protect_headers, lambda error: f"The run could not be recorded: {error}")


class RunCalls:
    """Serves requests for runs."""

    def __init__(self, runs: QuickRuns) -> None:
        self.runs = runs

    def take(self, call: ShortcutCall, reply: Reply) -> bool:
        """Start the run. Return False, with nothing begun, if the view must serve the request."""
        scheme, _, token = call.headers.get("AUTHORIZATION", "").partition(" ")
        if call.method != "POST" or scheme.lower() != "bearer" or not VIEW_HEADERS.isdisjoint(call.headers):
            return False
        if not _wants_wait(call.query):
            return False
        caller = Caller.of_token(token.strip())
        flow = Startable.find(call.path[len(PREFIX) : -len(SUFFIX)]) if caller is not None else None
        if caller is None or flow is None or caller.roles.get(flow.workspace_id) not in MAY_RUN:
            return False
        body = {} if not call.body else parse_json(call.body, "the body") if call.is_json else None
        if not isinstance(body, dict) or body.keys() - {"input"} or flow.status == "archived":
            return False
        plan = self.runs.plan_of(flow)
        if plan is None:
            return False
        send = partial(send_answer, reply, POLICY, _make_answer)
        return self.runs.start(Start(flow, body.get("input"), "manual"), plan, send)


def _wants_wait(query: str) -> bool:
    """Return True if the request waits for the end of the run."""
    if not query:
        return True
    name, _, text = query.partition("=")
    try:
        return name == "wait" and len(text) < 10 and MIN_WAIT <= float(text) <= MAX_WAIT
    except ValueError:
        return False


def _make_answer(run: Run, outcome: Outcome, text: bytes | None) -> RunAnswer:
    return make_json_answer(RUN.dump(link_large_values(run)))
