"""Feeds and mailboxes are polled while the polling processes are killed: every entry and mail has one run."""

import json
import threading
from collections import Counter
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import dovecot
import pytest
from effects import http_node
from engines import change
from record import ask, settled
from servers import PATIENCE, until
from test_killed_schedules import recovered, start_again

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

SHOWN = 30
USERS = count(1)
PAGE = '<?xml version="1.0"?><rss version="2.0"><channel><title>T</title>{}</channel></rss>'
ENTRY = '<item><guid isPermaLink="false">{0}</guid><title>{0}</title></item>'


class Feed:
    """A feed that shows only its newest entries; `entry 1` is the oldest of all.

    While `opened` is not set, requests wait for the rest of the response; `asked` counts them.
    """

    def __init__(self):
        self.last = 0
        self.asked = 0
        self.opened = threading.Event()
        self.opened.set()
        self._server = _Listener(("127.0.0.1", 0), type("Handler", (_Handler,), {"feed": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}/feed.xml"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.opened.set()
        self._server.shutdown()
        self._server.server_close()

    def add(self, count):
        self.last += count

    def text(self):
        newest = range(self.last, max(0, self.last - SHOWN), -1)
        return PAGE.format("".join(ENTRY.format(f"entry {number}") for number in newest))


class _Listener(ThreadingHTTPServer):
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    feed: Feed

    def handle(self):
        with suppress(ConnectionError):  # the client may have been killed
            super().handle()

    def do_GET(self):
        text = self.feed.text().encode()
        tag = f'"{self.feed.last}"'
        self.feed.asked += 1
        if self.headers.get("If-None-Match") == tag:
            self.send_response(304)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/rss+xml")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(text[:100])
        self.feed.opened.wait(2 * PATIENCE)
        self.wfile.write(text[100:])

    def log_message(self, *args):
        pass


@pytest.fixture
def feed():
    made = Feed()
    yield made
    made.close()


def polling(type_, act=None, **config):
    """Return a flow with one polling trigger, and a request to the address, if given."""
    end = http_node("act", act) if act else {"id": "act", "type": "noop"}
    return {"nodes": [{"id": "new", "type": type_, "config": config}, end], "edges": [["new", "act"]]}


def hurry(path):
    """Make everything due for polling now."""
    change(path, "UPDATE polls SET next_at = 0 WHERE next_at > 0 AND owner IS NULL")


def hurried(path, holds, what, **options):
    """Return when this holds, polling everything repeatedly."""

    def look():
        hurry(path)
        return holds()

    return until(look, what, **options)


def states(path):
    """Return the poll state of each polled flow."""
    rows = ask(path, "SELECT workflow_id, state FROM polls WHERE state IS NOT NULL AND owner IS NULL")
    return {row.workflow_id: json.loads(row.state) for row in rows}


def caught_up(path, flows, feed):
    """Return when each of these flows has seen the whole feed."""

    def holds():
        known = states(path)
        return all(known.get(flow, {}).get("etag") == f'"{feed.last}"' for flow in flows)

    hurried(path, holds, "all have seen the feed as it is")


def read_up(path, flow, last):
    """Return when the flow has read the mailbox up to this number and marked the mails."""

    def holds():
        state = states(path).get(flow, {})
        return state.get("uid") == last and not state["marks"]

    hurried(path, holds, "the mailbox is read")


def held(path, feed):
    """Return when a request for the feed waits for its response."""
    asked = feed.asked
    feed.opened.clear()
    hurried(path, lambda: feed.asked > asked, "the feed is asked for")


def found(path, flow, name):
    """Return this key of the inputs of the flow's runs."""
    runs = ask(path, "SELECT input FROM runs WHERE workflow_id = ? ORDER BY id", flow)
    return [json.loads(run.input)[name] for run in runs]


def has_runs_of(path, flow, subjects):
    return found(path, flow, "subject") == subjects


def check_runs(path):
    """Check that every run has succeeded and belongs to one entry, and that no entry has two."""
    runs = {run.id: run for run in ask(path, "SELECT * FROM runs")}
    broken = [(run.id, run.status, run.deaths, run.error_text) for run in runs.values() if run.status != "success"]
    assert not broken, broken
    entries = Counter(entry.run_id for entry in ask(path, "SELECT run_id FROM poll_entries WHERE run_id IS NOT NULL"))
    assert entries == dict.fromkeys(runs, 1)


@pytest.mark.nightly
@pytest.mark.soak
def test_each_entry_has_one_run_when_polling_processes_are_killed(serve, effects, seeded, rounds, feed):
    servers = [serve(), serve(WEB_CONCURRENCY=1)]
    path = servers[0].database
    feed.add(3)
    flows = [servers[0].add_flow(polling("rss_trigger", effects.url, url=feed.url)) for _ in range(6)]
    caught_up(path, flows, feed)

    def grow():
        feed.add(seeded.randint(1, 5))
        asked = feed.asked
        hurried(path, lambda: feed.asked > asked, "somebody polls")

    for _ in rounds(2):
        # One of three processes polls, and is killed at some point.
        for pid in servers[0].workers():
            grow()
            servers[0].kill_worker(pid)
        caught_up(path, flows, feed)
        recovered(path)
        grow()
        for each in reversed(servers):
            each.kill()
        start_again(servers)
        caught_up(path, flows, feed)
        recovered(path)
    settled(path)
    for flow in flows:
        assert found(path, flow, "id") == [f"entry {number}" for number in range(4, feed.last + 1)]
    check_runs(path)
    seen = effects.seen()
    for run in ask(path, "SELECT * FROM runs"):
        assert 1 <= seen[f"{run.id}:act:0"] <= run.claims


def test_a_kill_between_the_poll_and_its_record_loses_and_repeats_nothing(serve, feed):
    server = serve()
    flow = server.add_flow(polling("rss_trigger", url=feed.url))
    caught_up(server.database, [flow], feed)
    feed.add(2)
    held(server.database, feed)
    (poll,) = ask(server.database, "SELECT * FROM polls")
    assert poll.owner is not None
    server.kill()
    feed.opened.set()
    assert found(server.database, flow, "id") == []
    server.start()
    # The next leader does not wait for the dead one: it takes seconds, not the timeout of a poll.
    until(lambda: len(found(server.database, flow, "id")) == 2, "the entries have their runs")
    caught_up(server.database, [flow], feed)
    settled(server.database)
    assert found(server.database, flow, "id") == ["entry 1", "entry 2"]
    check_runs(server.database)


def test_a_stopping_server_releases_its_polls_immediately(serve, feed):
    first = serve(WEB_CONCURRENCY=1)
    flow = first.add_flow(polling("rss_trigger", url=feed.url))
    caught_up(first.database, [flow], feed)
    feed.add(1)
    held(first.database, feed)
    second = serve(WEB_CONCURRENCY=1)
    first.terminate()
    assert first.ended() == 0
    feed.opened.set()
    until(lambda: found(second.database, flow, "id") == ["entry 1"], "the other one polls")
    settled(second.database)
    check_runs(second.database)


def test_a_server_that_slept_during_a_poll_writes_nothing(serve, feed):
    servers = [serve(WEB_CONCURRENCY=1)]
    path = servers[0].database
    flow = servers[0].add_flow(polling("rss_trigger", url=feed.url))
    caught_up(path, [flow], feed)
    feed.add(2)
    held(path, feed)
    (pid,) = servers[0].workers()
    servers[0].freeze(pid)
    feed.opened.set()
    servers.append(serve(WEB_CONCURRENCY=1))
    until(lambda: len(found(path, flow, "id")) == 2, "the other one polls")
    servers[0].thaw(pid)
    servers[0].said("the claim was lost")
    caught_up(path, [flow], feed)
    settled(path)
    assert found(path, flow, "id") == ["entry 1", "entry 2"]
    check_runs(path)


def test_each_entry_is_collected_once_when_polling_processes_are_killed(serve, feed, seeded, rounds):
    servers = [serve(), serve(WEB_CONCURRENCY=1)]
    path = servers[0].database
    made = polling("rss_trigger", url=feed.url)
    made["nodes"][0]["debounce"] = {"seconds": 0.4, "key": "{{ input.id[-1] }}", "keep": "all"}
    feed.add(1)
    flow = servers[0].add_flow(made)
    caught_up(path, [flow], feed)
    for _ in rounds(3):
        for pid in servers[0].workers():
            feed.add(seeded.randint(1, 5))
            asked = feed.asked
            hurried(path, lambda asked=asked: feed.asked > asked, "somebody polls")
            servers[0].kill_worker(pid)
        feed.add(seeded.randint(1, 5))
        for each in servers:
            each.kill()
        start_again(servers)
        caught_up(path, [flow], feed)
    settled(path)
    lists = [json.loads(run.input) for run in ask(path, "SELECT input FROM runs ORDER BY id")]
    assert all(len({entry["id"][-1] for entry in found}) == 1 for found in lists)
    collected = Counter(entry["id"] for found in lists for entry in found)
    assert collected == {f"entry {number}": 1 for number in range(2, feed.last + 1)}
    assert {run.status for run in ask(path, "SELECT status FROM runs")} == {"success"}


@pytest.fixture(scope="module")
def mail_server():
    if (reason := dovecot.why_not()) is not None:
        pytest.skip(reason)
    with dovecot.running() as made:
        yield made


@pytest.fixture
def box(mail_server):
    made = mail_server.mailbox(f"user{next(USERS)}")
    yield made
    made.close()


def mail_flow(server, box, act=None):
    body = {"name": "box", "type": "imap", "data": box.credential()}
    server.call("POST", "/api/credentials", body)
    return server.add_flow(polling("email_trigger", act, credential="box"))


def test_a_kill_before_a_mail_is_marked_as_seen_starts_no_second_run(serve, box):
    server = serve()
    box.add(subject="Old")
    flow = mail_flow(server, box)
    read_up(server.database, flow, 1)
    unmarked = 0
    for number in range(1, 5):
        box.add(subject=f"Mail {number}")
        subjects = [f"Mail {at}" for at in range(1, number + 1)]
        begun = partial(has_runs_of, server.database, flow, subjects)
        hurried(server.database, begun, "the mail has its run")
        server.kill()
        unmarked += box.seen() != subjects
        server.start()
        read_up(server.database, flow, number + 1)
        assert box.seen() == subjects
    assert unmarked, "each mail was marked before the kill, so nothing was tried"
    settled(server.database)
    assert found(server.database, flow, "subject") == subjects
    check_runs(server.database)


def test_each_mail_has_one_run_with_attachments_when_polling_processes_are_killed(serve, effects, seeded, box):
    servers = [serve(), serve(WEB_CONCURRENCY=1)]
    path = servers[0].database
    flow = mail_flow(servers[0], box, effects.url)
    before, sent = len(box.subjects()), 0
    read_up(path, flow, before)

    def send():
        nonlocal sent
        for _ in range(seeded.randint(1, 5)):
            sent += 1
            made = dovecot.mail(subject=f"Order {sent}")
            made.add_attachment(f"order {sent}", filename="order.txt")
            box.add(bytes(made))

    for pid in servers[0].workers():
        send()
        asked = effects.count()
        hurried(path, lambda before=asked: effects.count() > before, "somebody polls")
        servers[0].kill_worker(pid)
    read_up(path, flow, before + sent)
    recovered(path)
    send()
    for each in reversed(servers):
        each.kill()
    start_again(servers)
    read_up(path, flow, before + sent)
    settled(path)
    orders = [f"Order {number}" for number in range(1, sent + 1)]
    assert found(path, flow, "subject") == orders
    assert [subject for subject in box.seen() if subject.startswith("Order")] == orders
    check_runs(path)
    (workspace,) = ask(path, "SELECT id FROM workspaces")
    for number, (attachment,) in enumerate(found(path, flow, "attachments"), start=1):
        kept = servers[0].data_dir / "files" / workspace.id / attachment["path"]
        assert kept.read_text().strip() == f"order {number}"
