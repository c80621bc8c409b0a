"""Runs that programs start and wait for, with an API token, which the server's loop answers itself if they are quick.

The view `run` (api/workflows.py) describes them and answers every request. Left to it are sessions, keys against
repetition, anything in the body beside an input, and whoever may not run the flow.
"""

from __future__ import annotations

from functools import partial

import orjson

from api.http.json_io import parse_json
from api.run_answer import Answer, guarded
from api.runs import shown
from dispatch import QuickRuns
from engine import Outcome
from models import ROLES, Caller, Run, Startable
from schemas import RunOut

from .calls import Call, Manner, Reply, tell

PREFIX, SUFFIX = "/api/workflows/", "/run"
LEAST_WAIT, MOST_WAIT = 1.0, 60.0  # seconds; for less, an answer before the run is on the disk may be wanted
MAY_RUN = ROLES[ROLES.index("operator") :]
# Headers that the view has to look at.
NOT_HERE = {"X-WORKSPACE-ID"}
RUN = RunOut()
MANNER = Manner(guarded, lambda error: f"The run could not be recorded: {error}")


class RunCalls:
    """Answers requests for runs."""

    def __init__(self, runs: QuickRuns) -> None:
        self.runs = runs

    def take(self, call: Call, reply: Reply) -> bool:
        """Start the run. Return False, with nothing begun, if the view has to see to the request."""
        scheme, _, token = call.headers.get("AUTHORIZATION", "").partition(" ")
        if call.method != "POST" or scheme.lower() != "bearer" or not NOT_HERE.isdisjoint(call.headers):
            return False
        if not _waits(call.query):
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
        return self.runs.start(flow, plan, None, body.get("input"), "manual", partial(tell, reply, MANNER, _answer))


def _waits(query: str) -> bool:
    """Return True if the request wants to wait for the end of a run."""
    if not query:
        return True
    name, _, text = query.partition("=")
    try:
        return name == "wait" and len(text) < 10 and LEAST_WAIT <= float(text) <= MOST_WAIT
    except ValueError:
        return False


def _answer(run: Run, outcome: Outcome, text: bytes | None) -> Answer:
    return Answer(200, [("Content-Type", "application/json")], orjson.dumps(RUN.dump(shown(run))))
