"""A workspace like that of a small company after some weeks: flows, runs, members, agents, credentials, files.

The server must be started with HEADRACE_LLM_MODEL=test. No flow contacts another machine.
"""

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import world
from chosen_engine import ON_POSTGRES
from chromium import PASSWORD
from servers import until
from world import chain, flow, node

from database import execute, write
from database.base import now_ms
from database.queries import retention as rows
from database.queries import runs, steps
from database.queries.runs import execute_units
from database.queries.steps import STEP_COLUMNS
from dispatch.payloads import Kept
from models import Run, ServerFact, Step

DAYS = 6
PEOPLE = (("Bo Chen", "editor"), ("Cleo Martin", "operator"), ("Dana Okafor", "viewer"))


def at(item, x, y=0):
    """Return the node with a position on the canvas, in grid steps."""
    return item | {"position": {"x": 280 * x, "y": 140 * y}}


def webhook(path):
    return node("hook", "webhook", {"path": path, "methods": ["POST"], "auth": "none"}, name="New order")


CHECK = {
    "type": "object",
    "required": ["order_id", "customer", "total"],
    "properties": {
        "order_id": {"type": "string"},
        "customer": {"type": "string", "minLength": 1},
        "total": {"type": "number", "minimum": 0},
    },
}
ORDERS = flow(
    at(node("hook", "manual", name="New order"), 0),
    at(node("check", "validate", {"data": "{{ input }}", "schema": CHECK}, name="Is the order valid?"), 1),
    at(node("big", "if", {"condition": "{{ input.total >= 500 }}"}, name="Is it a big one?"), 2),
    at(
        node("ask", "approval", {"message": "Send {{ input.order_id }} for {{ input.total }} €?"}, name="Ask finance"),
        3,
        -0.8,
    ),
    at(node("keep", "store", {"operation": "set", "key": "o/{{ input.order_id }}", "value": "{{ input }}"}), 4, 0.5)
    | {"name": "Save the order"},
    at(node("tell", "log", {"message": "Pack order {{ steps.check.order_id }}"}, name="Tell the warehouse"), 5, 0.5),
    at(node("refuse", "log", {"level": "warning", "message": "Refused"}, name="Write to the customer"), 4, -1.2),
    edges=[
        "hook check",
        "check big valid",
        "big ask true",
        "big keep false",
        "ask keep approved",
        "ask refuse rejected",
        "keep tell",
    ],
)
REPORT_MAIL = {
    "credential": "Mail",
    "to": "team@example.com",
    "subject": "{{ input.orders }} orders yesterday",
    "body": "All of them are in the warehouse.",
}
REPORT = chain(
    at(node("night", "schedule", {"cron": "0 6 * * *"}, name="Every morning"), 0),
    at(node("list", "store", {"operation": "list", "key": "o/"}, name="Orders of the day"), 1),
    at(node("count", "set", {"values": {"orders": "{{ input | length }}"}}, name="Count"), 2),
    at(node("send", "email", REPORT_MAIL, name="Post the report"), 3),
    timezone="Europe/Berlin",
)
RATES = chain(
    at(node("hour", "schedule", {"cron": "15 * * * *"}, name="Every hour"), 0),
    at(node("fetch", "http", {"url": "http://127.0.0.1:9/rates"}, name="Ask the bank"), 1),
    at(node("keep", "store", {"operation": "set", "key": "rates", "value": "{{ input.body }}"}, name="Keep them"), 2),
)
MAILS = chain(
    at(node("hook", "webhook", {"path": "mail", "methods": ["POST"], "auth": "none"}, name="Mail came in"), 0),
    at(node("read", "agent", {"agent_id": "mail-triage", "task": "{{ input.body.text }}"}, name="Read the mail"), 1),
    at(node("file", "log", {"message": "{{ input }}"}, name="File it"), 2),
)
LEADS = chain(
    at(node("form", "webhook", {"path": "leads", "methods": ["POST"], "auth": "none"}, name="Contact form"), 0),
    at(node("score", "set", {"values": {"score": "{{ input.body.size * 2 }}"}}, name="Score the lead"), 1),
    at(node("crm", "http", {"url": "", "credential": "Shop API"}, name="Into the CRM"), 2),
)
BACKUP = chain(
    at(node("week", "schedule", {"cron": "0 3 * * 0"}, name="Sunday night"), 0),
    at(node("all", "store", {"operation": "list"}, name="All that is stored"), 1),
    at(node("zip", "code", {"source": "{'entries': len(input or [])}"}, name="Pack it"), 2),
)


class Seeded:
    """The ids of the created objects: `flow`, `run`, `failed`, `waiting`, `agent`, `draft`, …"""

    def __init__(self, server):
        self.server = server

    def call(self, method, path, body=None, **options):
        return self.server.call(method, path, body, **options)

    def add(self, name, definition, status="active"):
        return self.call("POST", "/api/flows", {"name": name, "status": status, "definition": definition})["id"]

    def ran(self, id_, input, **more):
        return self.call("POST", f"/api/workflows/{id_}/run?wait=10", {"input": input, **more})["id"]


def seed(server):
    """Fill the owner's workspace."""
    seeded = Seeded(server)
    people(seeded)
    flows(seeded)
    history(seeded)
    secrets(seeded)
    agents(seeded)
    files(seeded)
    tables(seeded)
    return seeded


def people(seeded):
    (workspace,) = seeded.call("GET", "/api/workspaces")["items"]
    session = seeded.server.session()
    seeded.call("PATCH", f"/api/workspaces/{workspace['id']}", {"name": "Harbour Coffee"}, headers=session)
    seeded.call("PATCH", "/api/profile", {"name": "Ada Brandt"}, headers=session)
    for name, role in PEOPLE:
        email = name.lower().replace(" ", ".") + "@example.com"
        seeded.call(
            "POST", "/api/members", {"email": email, "role": role, "password": PASSWORD, "name": name}, headers=session
        )
    for name, role in (("Shop", "operator"), ("Dashboards", "viewer")):
        seeded.call("POST", "/api/tokens", {"name": name, "role": role, "days": 90}, headers=session)


def flows(seeded):
    seeded.flow = seeded.add("Order intake", ORDERS)
    seeded.report = seeded.add("Morning report", REPORT)
    seeded.rates = seeded.add("Exchange rates", RATES)
    seeded.add("Weekly backup", BACKUP)
    seeded.mails = seeded.add("Support mail", MAILS)
    seeded.draft = seeded.add("Leads into the CRM", LEADS, "draft")
    config = {"condition": "{{ input.total >= 800 }}"}
    nodes = [item | {"config": config} if item["id"] == "big" else item for item in ORDERS["nodes"]]
    raised = ORDERS | {"nodes": nodes}
    seeded.call("PUT", f"/api/workflows/{seeded.flow}", {"definition": raised, "version": 1})


def history(seeded):
    """Add runs of the last days without steps, and start some real runs now."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for hours in range(24 * DAYS, 0, -1):
        when = now - timedelta(hours=hours)
        past(seeded, seeded.rates, when, 0.4 + hours % 7 / 10, "schedule", failed=hours % 24 < 2 or hours < 5)
        if when.hour == 6:
            past(seeded, seeded.report, when, 1.2 + hours % 5 / 4, "schedule")
        for number in range((hours * 7) % 5 if 7 < when.hour < 20 else 0):
            minute = when + timedelta(minutes=11 * number)
            past(
                seeded,
                seeded.flow,
                minute,
                0.2 + (hours + number) % 9 / 8,
                "webhook",
                failed=(hours + number) % 17 == 0,
            )
    seeded.failed = seeded.ran(seeded.rates, None)
    seeded.ran(seeded.flow, {"order_id": "A-1043", "customer": "", "total": 12})
    seeded.waiting = seeded.ran(seeded.flow, {"order_id": "A-1044", "customer": "Mina Okafor", "total": 1137.6})
    seeded.ran(seeded.flow, {"order_id": "A-1045", "customer": "Windmill Ltd", "total": 2400})
    seeded.run = seeded.ran(seeded.flow, {"order_id": "A-1046", "customer": "Hansen", "total": 61.5})


WHY = "fetch: 503 Service Unavailable from rates.example.com"


def past(seeded, flow, when, seconds, trigger, failed=False):
    body = {
        "workflow_id": flow,
        "triggered_by": trigger,
        "status": "failed" if failed else "success",
        "started_at": when.isoformat(),
        "finished_at": (when + timedelta(seconds=seconds)).isoformat(),
        "error_text": WHY if failed else None,
    }
    seeded.call("POST", "/api/runs", body)


def secrets(seeded):
    for name, type_, data, hosts in (
        ("Shop API", "http_bearer", {"token": "not-a-real-token"}, ["api.shop.example.com"]),
        ("Mail", "smtp", {"host": "smtp.example.com", "sender": "Harbour Coffee <hello@example.com>"}, None),
        ("Warehouse", "database_url", {"url": "postgresql://reader:secret@db.example.com/warehouse"}, None),
    ):
        body = {"name": name, "type": type_, "data": data, "hosts": hosts}
        seeded.call("POST", "/api/credentials", body)


def agents(seeded):
    seeded.agent = "order-helper"
    seeded.call(
        "POST",
        "/api/agents",
        {
            "id": seeded.agent,
            "name": "Order helper",
            "description": "Answers questions about orders and says what is still open.",
            "instructions": "Look up the order that is asked for. Answer in one sentence.",
            "tools": ["memory"],
            "memory": True,
        },
    )
    for question in ("Where is order A-1042?", "Which orders are still open?"):
        seeded.call("POST", "/api/agent/run", {"agent_id": seeded.agent, "task": question, "wait": 20})
    for key, content in (
        ("A-1042", "Sent on Monday with the bike courier; the customer asked for a call first."),
        ("Hansen", "Pays by invoice, within 30 days."),
    ):
        seeded.call(
            "POST", "/api/agent/memory", {"agent_id": seeded.agent, "key": key, "content": content, "tags": ["orders"]}
        )


def tables(seeded):
    """Add a table with rows, and keys of the store."""
    columns = [("email", "text"), ("name", "text"), ("orders", "number"), ("newsletter", "boolean"), ("since", "date")]
    columns = [{"name": name, "type": type_} for name, type_ in [*columns, ("notes", "json")]]
    made = seeded.call("POST", "/api/tables", {"name": "customers", "columns": columns})
    seeded.table = made["id"]
    names = ("Ada Brandt", "Mina Okafor", "Jonas Lind", "Priya Nair", "Tom Weaver", "Lucía Ferrer")
    rows = [
        {
            "email": f"{name.split()[0].lower()}@example.com",
            "name": name,
            "orders": 3 * at + 1,
            "newsletter": at % 2 == 0,
            "since": f"2026-0{at + 1}-12T09:30:00Z",
            "notes": {"city": "Hamburg"} if at == 1 else None,
        }
        for at, name in enumerate(names)
    ]
    seeded.call("POST", f"/api/tables/{made['id']}/rows", {"rows": rows})
    for key, value in (("rates/eur", 1.08), ("rates/gbp", 1.27), ("last-import", {"file": "may.csv", "rows": 412})):
        seeded.call("PUT", f"/api/store/{key}", {"value": value})


def files(seeded):
    """Write files into the workspace's folder, as nodes do."""
    (workspace,) = seeded.call("GET", "/api/workspaces")["items"]
    folder = seeded.server.data_dir / "files" / workspace["id"]
    for path, amount in (("price-list.csv", 400), ("reports/2026/may.csv", 40), ("reports/2026/june.csv", 60)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("order_id,total\n" + "A-1042,184.50\n" * amount, encoding="utf-8")


def settled(seeded):
    """Wait until every started run has ended or waits."""

    def quiet():
        return not seeded.call("GET", "/api/runs?status=running")["items"]

    until(quiet, "all runs have ended or wait")


# Rows of runs and steps, created without the engine


def accept(made, **values):
    """Insert a run and return it."""
    run = runs.accept(made, **{"triggered_by": "manual", **values})
    do([runs.insertion(run)])
    return run


def running(made, **values):
    return accept(made, status="running", lease_owner="me", claims=1, started_at=now_ms(), **values)


def do(writes):
    """Execute the writes and return their row counts."""
    with write():
        return execute_units([writes])[0]


def add_step(run, seq, **values):
    row = {
        **dict.fromkeys(STEP_COLUMNS), "run_id": run.id, "seq": seq, "node_id": f"n{seq}", "node_type": "noop",
        "node_name": "N", "status": "success", "attempt": 1, "started_at": 1, "final": False, **values,
    }  # fmt: skip
    do(steps.insertions([list(row.values())]))
    return Step.one("run_id = ? AND seq = ?", run.id, seq)


# Helpers for tests of retention: times, and the remaining rows and files


DAY = 86_400_000
NOW = 1_800_000_000_000
OLD = NOW - 31 * DAY
RECENT = NOW - 29 * DAY
A_LEASE = 10_000  # bytes in the emptied write-ahead log for the release of the lease


def kept():
    """Return the ids of the existing runs, oldest first."""
    return [id_ for (id_,) in execute("SELECT id FROM runs ORDER BY id").fetchall()]


def log_size(path):
    """Return the size of the write-ahead log in bytes."""
    return Path(f"{path}-wal").stat().st_size


def strays():
    """Return the number of rows without a run, by table."""
    tables = ("steps", "log_entries", "waits", "idempotency_keys", "run_options")
    sql = "SELECT COUNT(*) FROM {} WHERE run_id NOT IN (SELECT id FROM runs)"
    found = {table: execute(sql.format(table)).fetchone()[0] for table in tables}
    return {table: number for table, number in found.items() if number}


def check_consistent(payloads):
    """Check that every row has its run, every run is complete, and every value of a row can be read."""
    assert strays() == {} and ServerFact.find(rows.REMOVING) is None
    if not ON_POSTGRES:
        assert execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for run in Run.select():
        assert world.steps_of(run.id)
        if run.input_bytes is not None:
            assert len(payloads.load(run.id, "input", Kept(None, run.input_bytes))) == run.input_bytes


def tick(seconds):
    """Return a clock that advances by `seconds` at each reading."""
    times = count()
    return lambda: next(times) * seconds
