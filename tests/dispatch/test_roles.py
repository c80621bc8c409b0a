"""Processes with roles: `web` leaves runs to workers; `worker` executes those of the broker, and looks for others."""

import threading

import pytest
from servers import until
from world import PATIENCE, Background, add_flow, chain, node, run_of, steps_of

from database import execute
from database.base import now_ms
from database.queries import runs as run_queries
from database.queries import waits
from dispatch import Start
from dispatch.dispatcher import DEAF_SECONDS
from dispatch.queues import QueueState
from models import Run


class Broker:
    """A broker within the test: it keeps what it is offered, and delivers when the test says so."""

    is_local = False

    def __init__(self):
        self.offers, self.missed = [], 0
        self.answer = QueueState(0)

    def start(self, execute):
        self.execute = execute

    def offer(self, run_id, lane):
        self.offers.append((run_id, lane))
        return True

    def note_missed(self):
        self.missed += 1

    def state(self):
        return self.answer

    def close(self):
        pass

    def stop(self, deadline):
        pass

    def deliver(self, run_id):
        """Deliver a message in a thread of its own, as Celery does, and wait until it is done."""
        Background(self.execute, run_id).result()


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def web(start, broker):
    return start(role="web", broker=broker)


@pytest.fixture
def worker(start, broker):
    return start(role="worker", broker=broker)


def pending(*nodes, count=1):
    """Record runs of a flow that no process executes. Return their ids."""
    made = add_flow(chain(*nodes))
    runs = [run_queries.accept(made, triggered_by="manual") for _ in range(count)]
    for run in runs:
        execute(*run_queries.insertion(run))
    return [run.id for run in runs]


ACT = node("a", "act")


# Web


def test_web_leaves_a_run_for_which_nobody_waits_and_offers_it_once_it_is_on_the_disk(web, broker):
    ticket = web.submit(Start(add_flow(chain(ACT)), 1, "webhook", is_awaited=False))
    ticket.durable()
    until(lambda: broker.offers)
    assert broker.offers == [(ticket.run.id, "runs")]
    assert run_of(ticket.run.id).status == "pending" and web.active_count() == 0


def test_web_executes_a_run_whose_caller_waits(web, broker):
    ticket = web.submit(Start(add_flow(chain(ACT)), 1, "webhook"))
    assert web.waiting.wait(ticket, PATIENCE).status == "success" and broker.offers == []


def test_web_executes_a_quick_run(web, broker):
    ticket = web.submit(Start(add_flow(chain(node("a", "noop"))), 1, "webhook", is_awaited=False))
    assert web.waiting.wait(ticket, PATIENCE).status == "success" and broker.offers == []


def test_a_run_of_a_slow_flow_is_offered_in_its_lane(web, broker, types):
    types.offer("slow", lambda config, input, ctx: input, slow=True, pure=False)
    web.submit(Start(add_flow(chain(node("a", "slow"))), 1, "manual", is_awaited=False)).durable()
    until(lambda: broker.offers)
    assert [lane for _, lane in broker.offers] == ["slow"]


def test_web_takes_no_pending_run_but_offers_each_once(web, broker):
    ids = pending(ACT, count=3)
    for _ in range(2):
        web.sweep()
        web.pick_up()
    assert sorted(id_ for id_, _ in broker.offers) == sorted(ids)
    assert {run_of(id_).status for id_ in ids} == {"pending"}


def test_web_leaves_a_retry_for_which_nobody_waits(web, broker):
    ended = web.waiting.wait(web.submit(Start(add_flow(chain(ACT)), 1, "manual")), PATIENCE)
    made = web.retry(run_of(ended.id), "start", None, is_awaited=False).run
    assert broker.offers == [(made.id, "runs")] and run_of(made.id).status == "pending"


def test_a_run_that_is_answered_on_web_is_offered(web, broker):
    ticket = web.submit(Start(add_flow(chain(node("w", "ask"))), 1, "manual"))
    assert web.waiting.wait(ticket, PATIENCE).waiting
    until(lambda: web.active_count() == 0)
    web.answer(run_of(ticket.run.id), "w", "yes", 1, "ann")
    assert broker.offers == [(ticket.run.id, "runs")]


def test_a_caller_of_web_gets_the_end_of_a_run_that_a_worker_continues(web, worker, broker):
    ticket = web.submit(Start(add_flow(chain(node("w", "ask"))), 1, "manual"))
    assert web.waiting.wait(ticket, PATIENCE).waiting
    until(lambda: web.active_count() == 0)
    caller = Background(web.waiting.wait, ticket._replace(active=None), 0)
    assert caller.result().status == "pending"
    web.answer(run_of(ticket.run.id), "w", "yes", 1, "ann")
    caller = Background(web.waiting.wait, ticket._replace(active=None), PATIENCE)
    broker.deliver(ticket.run.id)
    assert caller.result().status == "success"


def test_web_without_a_broker_leaves_runs_to_workers_that_ask_the_database(start):
    web, worker = start(role="web"), start(role="worker")
    ticket = web.submit(Start(add_flow(chain(ACT)), 1, "webhook", is_awaited=False))
    ticket.durable()
    worker.wake()
    assert worker.waiting.wait(ticket, PATIENCE).status == "success"


def test_runs_that_web_left_count_as_waiting(start, broker):
    web = start(role="web", broker=broker, max_pending=2)
    made = add_flow(chain(ACT))
    for _ in range(2):
        web.submit(Start(made, 1, "webhook", is_awaited=False)).durable()
    assert not web.is_open()


# Worker


def test_a_worker_executes_what_the_broker_names_and_holds_the_message_meanwhile(worker, broker, gate):
    (id_,) = pending(node("a", "gate"))
    message = Background(broker.execute, id_)
    assert gate.reached.wait(PATIENCE) and message.thread.is_alive()
    gate.opened.set()
    message.result()
    assert run_of(id_).status == "success"


def test_a_message_that_comes_three_times_is_executed_once(worker, broker, types):
    (id_,) = pending(ACT)
    for _ in range(3):
        broker.deliver(id_)
    assert run_of(id_).claims == 1 and len(steps_of(id_)) == 1 and len(types.effects) == 1


def test_a_message_that_comes_while_the_run_is_executed_waits_for_its_end(worker, broker, gate):
    (id_,) = pending(node("a", "gate"))
    first = Background(broker.execute, id_)
    assert gate.reached.wait(PATIENCE)
    again = Background(broker.execute, id_)
    gate.opened.set()
    first.result()
    again.result()
    assert run_of(id_).claims == 1


@pytest.mark.parametrize("id_", ["run_01J000000000000000000DELET", "", "nonsense", "wf_1"])
def test_a_message_of_a_deleted_or_foreign_run_does_nothing(worker, broker, id_):
    broker.deliver(id_)
    assert worker.active_count() == 0 and Run.select().count() == 0


def test_messages_out_of_order_are_all_executed(worker, broker):
    ids = pending(ACT, count=5)
    for id_ in reversed(ids):
        broker.deliver(id_)
    assert {run_of(id_).status for id_ in ids} == {"success"}


def test_a_message_of_a_run_that_waits_does_nothing(worker, broker):
    (id_,) = pending(node("w", "ask"))
    broker.deliver(id_)
    assert run_of(id_).waiting
    broker.deliver(id_)
    assert run_of(id_).claims == 1


def test_a_worker_whose_broker_brings_runs_does_not_look_for_them_at_each_tick(worker, broker):
    (id_,) = pending(ACT)
    worker.wake()
    assert run_of(id_).status == "pending" and worker.active_count() == 0


@pytest.mark.parametrize("state", [QueueState(0, is_down=True), QueueState(0, False, DEAF_SECONDS)])
def test_a_worker_asks_the_database_while_the_broker_is_down_or_deaf(worker, broker, state):
    (id_,) = pending(ACT)
    broker.answer = state
    worker.wake()
    until(lambda: run_of(id_).status == "success")


def test_a_sweep_finds_a_run_that_the_broker_has_lost_and_tells_it(worker, broker):
    (id_,) = pending(ACT)
    worker.sweep()
    until(lambda: run_of(id_).status == "success")
    worker.sweep()
    assert broker.missed == 1


def test_a_run_whose_time_has_come_is_continued_by_the_worker_that_sees_it(worker, broker):
    (id_,) = pending(node("w", "choose"))
    broker.deliver(id_)
    execute("UPDATE waits SET wake_at = ? WHERE run_id = ?", (now_ms() - 1, id_))
    assert waits.find_next_wake(id_) is not None
    worker.wake()
    until(lambda: run_of(id_).finished_at is not None)


def test_a_worker_of_one_lane_leaves_the_runs_of_the_other(worker, broker, types):
    types.offer("slow", lambda config, input, ctx: input, slow=True)
    worker.lanes = ("runs",)
    (slow,) = pending(node("a", "slow"))
    (other,) = pending(ACT)
    broker.deliver(slow)
    worker.sweep()
    until(lambda: run_of(other).status == "success")
    assert run_of(slow).status == "pending"


def test_slow_runs_without_a_place_give_their_message_back_at_once(start, broker, types):
    opened = threading.Event()
    types.offer("slow", lambda config, input, ctx: opened.wait(PATIENCE), slow=True)
    start(role="worker", broker=broker, run_threads=2)
    ids = pending(node("a", "slow"), count=6)
    held = [Background(broker.execute, id_) for id_ in ids[:2]]
    until(lambda: Run.select().where(Run.status == "running").count() == 2)
    for id_ in ids[2:]:
        broker.deliver(id_)
    opened.set()
    for message in held:
        message.result()
    until(lambda: Run.select().where(Run.finished_at.is_null()).count() in (0, 2))


def test_a_message_ends_when_its_worker_stops(start, broker, gate):
    worker = start(role="worker", broker=broker)
    (id_,) = pending(node("a", "gate"))
    message = Background(broker.execute, id_)
    assert gate.reached.wait(PATIENCE)
    worker.stop()
    message.result()
    assert run_of(id_).status == "pending"


def test_a_process_of_all_roles_offers_only_what_it_does_not_take(start, broker, gate):
    both = start(broker=broker, run_threads=2)
    ids = pending(node("a", "gate"), count=5)
    both.pick_up()
    until(lambda: both.active_count() == 2)
    assert len(broker.offers) == 3 and {id_ for id_, _ in broker.offers} < set(ids)
    gate.opened.set()
    until(lambda: Run.select().where(Run.finished_at.is_null()).count() == 0)
