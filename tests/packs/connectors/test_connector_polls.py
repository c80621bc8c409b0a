"""Lists of connectors as triggers: a poll finds the newest entries, whatever the order of the list."""

from datetime import datetime, timedelta, timezone

import pytest
from connector_stub import HOST, Stub, aim, answer

from packs.connectors import connector_files
from packs.connectors.file_schema import check
from packs.connectors.node import MOST, WHOLE, describe_poll, make_trigger

FILES = {type_: connector_files.read(type_) for type_ in sorted(connector_files.types())}
POLLS = [(type_, each) for type_, file in FILES.items() for each in file["operations"] if "poll" in each]
NAMES = [f"{type_}.{operation['id']}" for type_, operation in POLLS]

# Lists that begin with the newest entry without being asked to, as the services say.
NEWEST_BY_THEMSELVES = {
    "clickup.list_tasks", "discord.list_messages", "facebook.list_posts", "github.list_pull_requests",
    "github.list_releases", "github.list_workflow_runs", "github.list_commits", "gitlab.list_issues",
    "gitlab.list_merge_requests", "gmail.list_messages", "intercom.list_conversations", "linear.list_issues",
    "microsoft_outlook.list_messages", "slack.channel_history", "slack.list_files", "stripe.list_customers",
    "stripe.list_payment_intents", "stripe.list_invoices", "stripe.list_subscriptions", "stripe.list_prices",
    "twilio.list_messages", "typeform.list_responses", "woocommerce.list_orders", "woocommerce.list_products",
    "wordpress.list_posts", "wordpress.list_pages", "wordpress.list_comments", "x.search_posts", "x.list_posts",
    "youtube.list_comments",
}  # fmt: skip
# Lists whose handler asks for the order.
BY_HANDLER = {"google_drive.search_files"}
ORDERS = {"sort", "order", "orderby", "order_by", "sort_by", "sort_field", "sorts"}


@pytest.mark.parametrize(("type_", "operation"), POLLS, ids=NAMES)
def test_a_list_that_is_a_trigger_says_its_order(type_, operation):
    """It begins with the newest, or people are told how much a poll reads."""
    poll = operation["poll"]
    assert poll.get("order") in ("newest_first", "oldest_first", "unordered")
    if poll["order"] != "newest_first":
        assert f"at most {WHOLE:,} entries" in describe_poll(poll)
        assert poll["order"] == "unordered" or "since" in poll, "new entries are at the end, which no poll would reach"


@pytest.mark.parametrize(("type_", "operation"), POLLS, ids=NAMES)
def test_the_newest_are_first_because_they_are_asked_for_or_the_service_says_so(type_, operation):
    poll, name = operation["poll"], f"{type_}.{operation['id']}"
    asked = {key.lower() for key in operation.get("query", {})} | {key.lower() for key in poll.get("inputs", {})}
    asked |= {key for key, told in operation.get("inputs", {}).items() if "default" in told}
    is_asked = bool(asked & ORDERS) or "order_by" in operation.get("body", "") or name in BY_HANDLER
    if poll["order"] == "newest_first":
        assert is_asked + (name in NEWEST_BY_THEMSELVES) + ("note" in poll) >= 1
    else:
        assert name not in NEWEST_BY_THEMSELVES


def shop(poll, **more):
    inputs = {"after": {"title": "After"}, "sort": {"title": "Sort"}}
    orders = {
        "id": "list_orders", "name": "List orders", "description": "Lists orders.", "path": "/orders", "list": True,
        "inputs": inputs, "pagination": {"type": "page", "size": 500, "size_param": "size"},
        "poll": {"key": "id", **poll}, **more,
    }  # fmt: skip
    return {
        "name": "Shop", "description": "A shop.", "category": "sales", "icon": {"text": "Sh", "color": "#1a5fb4"},
        "base": "https://api.example.com", "operations": [orders],
    }  # fmt: skip


@pytest.fixture
def poll(httpserver, make_ctx):
    """`poll(connector, state, *pages, **config)` returns the result of a poll, and the queries of its requests."""

    def execute(connector, state, *pages, **config):
        stub = Stub(httpserver, [answer(page) for page in pages])
        check(connector)
        node = make_trigger("shop_poll", aim(connector, stub.port))
        ctx, _ = make_ctx(credentials={})
        given = {"operation": connector["operations"][0]["id"], **config}
        return node.poll(node.schema(given).load(given), state, ctx), [one["query"] for one in stub.seen]

    return execute


def orders(first, last):
    step = 1 if last >= first else -1
    return [{"id": number} for number in range(first, last + step, step)]


def test_a_list_without_an_order_is_read_as_a_whole(poll):
    """New entries are behind more than a page of old ones."""
    polled, asked = poll(shop({"order": "unordered"}), None, orders(1, 500), orders(501, 700))
    assert len(polled.items) == 700 and polled.items[-1].value == {"id": 700} and polled.whole
    assert [one["page"] for one in asked] == ["1", "2"]


def test_a_list_that_begins_with_the_newest_is_read_as_far_as_its_first_entries(poll):
    polled, asked = poll(shop({"order": "newest_first"}), None, orders(700, 201))
    assert len(polled.items) == MOST == 500 and len(asked) == 1 and not polled.whole
    assert (polled.items[0].value, polled.items[-1].value) == ({"id": 201}, {"id": 700})


def test_the_first_poll_of_a_list_with_the_oldest_first_reaches_its_end(poll):
    """Otherwise the second poll would start runs for entries that were there before."""
    connector = shop({"order": "oldest_first", "since": {"input": "after", "value": "id"}})
    polled, asked = poll(connector, None, orders(1, 500), orders(501, 700))
    assert polled.state == {"since": 700} and len(asked) == 2
    polled, asked = poll(connector, polled.state, orders(700, 1199))
    assert polled.state == {"since": 1199} and [one["after"] for one in asked] == ["700"]


def test_with_a_backlog_a_list_with_the_oldest_first_is_read_part_by_part(poll):
    connector = shop({"order": "oldest_first", "since": {"input": "after", "value": "id"}})
    polled, asked = poll(connector, None, orders(1, 500), backlog=True)
    assert polled.state == {"since": 500} and len(asked) == 1


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(hours=5)], ids=["UTC", "another zone"])
def test_a_service_is_not_asked_for_a_time_that_it_takes_as_too_long_ago(poll, offset):
    """Google's calendar refuses a time before its last cleaning; a quiet calendar has no change since then."""
    connector = shop({"order": "oldest_first", "since": {"input": "after", "value": "at", "days": 14}})
    now = datetime.now(timezone(offset))
    (late, old) = [(now - timedelta(days=days)).isoformat() for days in (13, 15)]
    assert poll(connector, {"since": late}, [])[1][0]["after"] == late
    polled, [asked] = poll(connector, {"since": old}, [])
    age = datetime.now(timezone(offset)) - datetime.fromisoformat(asked["after"])
    assert timedelta(days=14) <= age < timedelta(days=14, minutes=5) and polled.state == {"since": old}


def test_the_calendar_is_not_asked_for_times_that_google_refuses():
    [told] = [each["poll"] for each in FILES["google_calendar"]["operations"] if each["id"] == "list_events"]
    assert told["since"]["days"] <= 14


def test_a_poll_asks_for_the_order_unless_the_setting_says_another(poll):
    connector = shop({"order": "newest_first", "inputs": {"sort": "-id"}})
    assert poll(connector, None, orders(2, 1))[1][0]["sort"] == "-id"
    assert poll(connector, None, orders(2, 1), sort="name")[1][0]["sort"] == "name"


def test_a_trigger_says_what_a_poll_reads():
    told = shop({"order": "unordered", "note": "Mind the gap."})["operations"][0]["poll"]
    assert describe_poll(told) == "Mind the gap. Each poll reads the whole list, at most 10,000 entries."
    (offered, *_) = make_trigger("trello_poll", FILES["trello"]).offered
    assert offered["description"].endswith("Each poll reads the whole list, at most 10,000 entries.")


@pytest.mark.parametrize(
    ("type_", "operation", "config", "asked"),
    [
        ("nocodb", "list_records", {"table": "m1"}, {"sort": "-Id"}),
        ("supabase", "list_rows", {"table": "orders"}, {"order": "id.desc"}),
        ("github", "list_issues", {"owner": "a", "repo": "b"}, {"sort": "updated", "direction": "desc"}),
        ("google_calendar", "list_events", {}, {"orderBy": "updated"}),
        ("youtube", "search", {"text": "tea"}, {"order": "date"}),
    ],
)
def test_services_are_asked_for_the_order(httpserver, make_ctx, type_, operation, config, asked):
    stub = Stub(httpserver, [answer({})])
    node = make_trigger(f"{type_}_poll", {**aim(FILES[type_], stub.port), "auth": [{"type": "http_bearer"}]})
    ctx, _ = make_ctx(credentials={"mine": ("http_bearer", {"token": "tok-1"}, [HOST])})
    given = {"operation": operation, "credential": "mine", **config}
    node.poll(node.schema(given).load(given), None, ctx)
    assert asked.items() <= stub.seen[0]["query"].items()
