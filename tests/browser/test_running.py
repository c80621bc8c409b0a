"""Runs started in the editor: progress, runs up to or from a node, failure, cancellation and retry."""

import json
import re
import threading

import pytest
from playwright.sync_api import expect
from servers import PATIENCE, until
from test_editor import placed
from werkzeug import Response
from world import chain, flow, node

# The opacities of an element and of the elements around it.
OPACITIES = """(element) => {
  const found = new Set();
  for (let one = element; one !== null; one = one.parentElement) found.add(getComputedStyle(one).opacity);
  return [...found];
}"""


@pytest.fixture
def remote(httpserver):
    """Serve `/slow`, which waits for `remote.gate`, `/sick`, which returns 500 until `remote.well`, and `/quick`."""
    httpserver.gate, httpserver.well = threading.Event(), threading.Event()

    def slow(request):
        httpserver.gate.wait(PATIENCE)
        return Response('{"came": true}', content_type="application/json")

    def sick(request):
        return Response(
            "at last" if httpserver.well.is_set() else "not today", 200 if httpserver.well.is_set() else 500
        )

    httpserver.expect_request("/slow").respond_with_handler(slow)
    httpserver.expect_request("/sick").respond_with_handler(sick)
    httpserver.expect_request("/quick").respond_with_json({"n": 1})
    yield httpserver
    httpserver.gate.set()


def asked(remote, path):
    """Return the number of requests for the path."""
    return sum(request.path == path for request, _ in remote.log)


def get(remote, path, id_="fetch", **more):
    return node(id_, "http", {"url": remote.url_for(path)}, **more)


def values(id_, **values):
    return node(id_, "set", {"values": values})


def shown(editor, title):
    """Return a region of the selected node's run data; only the region, since the times contain digits too."""
    return editor.panel.get_by_role("region", name=title, exact=True)


def test_each_node_shows_its_status_during_a_run(editor, remote):
    editor.open(placed(chain(node("start", "manual"), get(remote, "/slow"), "after"))).run()
    editor.ran("start", "success")
    editor.ran("fetch", "running")
    editor.ran("after", None)
    expect(editor.run_panel.get_by_text("1 of 3")).to_be_visible()
    expect(editor.run_panel.get_by_role("progressbar", name="Progress of the run")).to_be_visible()
    remote.gate.set()
    editor.ended("Succeeded")
    for id_ in ("start", "fetch", "after"):
        editor.ran(id_, "success")


def test_the_output_of_a_node_is_in_sight_and_its_input_one_click_away(editor, axe):
    editor.page.set_viewport_size({"width": 1024, "height": 768})
    ask = node("ask", "if", {"condition": "{{ input.twice > 1 }}"})
    editor.open(placed(chain(node("start", "manual"), values("double", twice="{{ input.n * 2 }}"), ask)))
    editor.run_with({"n": 21})
    editor.ended()
    editor.click("double")
    editor.panel.get_by_role("button", name="Run this node").click()
    output = shown(editor, "Output")
    expect(output).to_contain_text("42")
    expect(output).to_be_in_viewport(ratio=1)
    assert output.bounding_box()["height"] > 200
    editor.page.set_viewport_size({"width": 1440, "height": 900})
    expect(output).to_be_in_viewport(ratio=1)
    assert output.bounding_box()["height"] > 300
    expect(shown(editor, "Input")).to_have_count(0)
    editor.panel.get_by_role("button", name="Input", exact=True).click()
    expect(shown(editor, "Input")).to_contain_text("21")
    axe(editor.page)
    editor.click("ask")
    editor.panel.get_by_role("button", name="Run this node").click()
    expect(shown(editor, "Output").get_by_role("heading")).to_have_text("Output branch true")


def test_a_panel_shows_input_and_output_above_each_other_side_by_side_or_below_the_canvas(editor, axe):
    editor.open(placed(chain(node("start", "manual"), values("double", twice="{{ input.n * 2 }}"))))
    editor.run_with({"n": 21})
    editor.ended()
    editor.click("double")
    editor.tab("Run data")
    editor.panel.get_by_role("button", name="Input", exact=True).click()
    shown = [editor.panel.get_by_role("region", name=name, exact=True) for name in ("Output", "Input")]

    def places():
        return [place.bounding_box() for place in shown]

    above, below = places()
    assert above["x"] == below["x"] and above["y"] < below["y"]
    editor.panel.get_by_role("button", name="Widen panel").click()
    expect(editor.panel.get_by_role("button", name="Narrow panel")).to_be_focused()
    right, left = places()
    assert abs(left["y"] - right["y"]) < 10 and left["x"] < right["x"]
    # The width is stored on this device.
    editor.page.reload()
    editor.is_open()
    editor.panel.get_by_role("button", name="Narrow panel").click()
    expect(editor.panel.get_by_role("button", name="Widen panel")).to_be_visible()

    editor.page.set_viewport_size({"width": 1024, "height": 768})
    editor.click("double")
    editor.panel.get_by_role("button", name="Dock below the canvas").click()
    expect(editor.panel.get_by_role("button", name="Dock at the right")).to_be_focused()
    names = ("Data of the node", "Settings of the node", "Result of the node")
    columns = [editor.panel.get_by_role("region", name=name, exact=True) for name in names]
    left, middle, right = (editor.box(column) for column in columns)
    canvas = editor.canvas.bounding_box()
    assert canvas["y"] + canvas["height"] < left["y"] == middle["y"] == right["y"]
    assert left["x"] < middle["x"] < right["x"] and min(one["width"] for one in (left, middle, right)) > 280
    expect(editor.field("Values: twice")).to_be_visible()
    axe(editor.page)
    edge = editor.panel.get_by_role("separator", name="Panel height")
    before = int(edge.get_attribute("aria-valuenow"))
    edge.press("ArrowUp")
    expect(edge).to_have_attribute("aria-valuenow", str(before + 20))
    place = editor.box(edge)
    editor.drag(edge, (place["x"] + place["width"] / 2, place["y"] + 104))
    expect(edge).to_have_attribute("aria-valuenow", str(before - 80))
    editor.page.reload()
    editor.is_open()
    expect(edge).to_have_attribute("aria-valuenow", str(before - 80))
    assert editor.panel.bounding_box()["height"] == before - 80
    editor.panel.get_by_role("button", name="Dock at the right").click()
    expect(editor.panel.get_by_role("button", name="Widen panel")).to_be_visible()


def test_the_last_run_is_shown_when_the_editor_opens(editor):
    definition = placed(
        chain(node("start", "manual"), values("double", twice="{{ input.n * 2 }}"), values("last", a=1))
    )
    flow = editor.add(definition)
    editor.server.run(flow, {"n": 21}, wait=60)
    editor.open(flow).click("double")
    editor.tab("Run data")
    expect(editor.panel.get_by_text(re.compile("^Last run"))).to_contain_text("succeeded")
    expect(shown(editor, "Output")).to_contain_text("42")
    expect(editor.panel.get_by_text("changed since")).to_have_count(0)
    editor.ran("double", None)
    editor.click("last")
    editor.tab("Options")
    editor.panel.get_by_role("switch").first.click(force=True)
    editor.tab("Run data")
    expect(editor.panel.get_by_text("This node has changed since then")).to_be_visible()
    editor.click("double")
    expect(editor.panel.get_by_text("Other parts of the flow have changed since then")).to_be_visible()
    editor.panel.get_by_role("button", name="Show on canvas").click()
    editor.ran("double", "success")


def test_a_run_up_to_a_node_stops_there(editor):
    editor.open(placed(chain(node("start", "manual"), values("one", a=1), values("two", b=2))))
    editor.click("one")
    editor.run_by("Run up to “Set values”")
    run = editor.ended()
    assert run["until"] == "one" and run["output"] == {"a": 1}
    editor.ran("one", "success")
    editor.ran("two", None)
    expect(editor.run_panel.get_by_text("up to “Set values”")).to_be_visible()


def test_one_node_runs_alone_with_the_data_of_the_last_run(editor, remote, axe):
    """Run a node from the panel, by keys and from its card, while the node before it is executed once only."""
    definition = chain(node("start", "manual"), get(remote, "/quick"), values("two", n="{{ input.body.n + 1 }}"))
    editor.open(placed(definition)).run()
    first = editor.ended()
    editor.click("two")
    editor.panel.get_by_role("button", name="Run this node").click()
    expect(editor.run_panel.get_by_text("only “Set values”")).to_be_visible()
    run = editor.ended()
    assert (run["only"], run["retry_of"], run["output"]) == ("two", first["id"], {"n": 2})
    expect(shown(editor, "Output")).to_contain_text("2")
    for id_ in ("start", "fetch", "two"):
        editor.ran(id_, "success")
    axe(editor.page, "section[aria-label=Run]")
    editor.click("start")
    editor.node("two").hover()
    editor.node("two").get_by_role("button", name="Run Set values").click()
    until(lambda: editor.ended()["retry_of"] == run["id"], "the run of the card has the data of the one before")
    editor.selected("two")
    again = editor.ended()
    editor.press("Control+Shift+Enter")
    until(lambda: editor.ended()["retry_of"] == again["id"], "the keys have run the node")
    assert asked(remote, "/quick") == 1


def test_running_a_node_without_data_runs_what_is_before_it(editor, watch, axe):
    watch.allow(409, "/run")
    ways = node("if", "if", {"condition": "{{ input.n > 1 }}"})
    definition = chain(node("start", "manual"), values("one", n=1), values("two", n="{{ input.n + 1 }}"), ways)
    definition["nodes"] += [values("yes", a=1), values("no", a=2)]
    definition["edges"] += [{"from": "if", "to": to, "branch": way} for to, way in (("yes", "true"), ("no", "false"))]
    editor.open(placed(definition)).click("two")
    expect(editor.panel.get_by_text("Start of flow")).to_have_count(0)
    run_node = editor.panel.get_by_role("button", name="Run this node")
    run_node.click()
    assert editor.ended()["output"] == {"n": 2}
    editor.selected("two")
    expect(shown(editor, "Output")).to_contain_text("2")
    expect(editor.panel.get_by_text("Shown: run of")).to_contain_text("succeeded")
    # That run has no output of the node before this one, so it runs now, too.
    editor.click("yes")
    run_node.click()
    until(lambda: editor.ended()["until"] == "yes", "the nodes before it have run")
    editor.click("no")
    expect(editor.panel.get_by_text("Not executed in this run").first).to_be_visible()
    # The branch to it was not taken: running the same again would not help.
    run_node.click()
    alert = editor.run_panel.get_by_role("alert")
    expect(alert).to_contain_text("The last run took another branch")
    axe(editor.page, "section[aria-label=Run]")
    editor.page.get_by_role("button", name="Zoom to fit").click()
    editor.click("start")
    expect(run_node).to_have_count(0)
    editor.panel.get_by_role("button", name="Test trigger").click()
    until(lambda: editor.ended()["until"] == "start", "the trigger has run")


def test_a_half_built_flow_can_be_run(editor, watch):
    watch.allow(400, "/run")
    half = chain(node("start", "manual"), values("one", a=1), node("ask", "http", {"url": ""}))
    half["nodes"].append(node("beside", "http", {"url": ""}))
    editor.open(placed(half)).click("one")
    editor.run_by("Run up to “Set values”")
    assert editor.ended()["output"] == {"a": 1}
    editor.run()
    expect(editor.run_panel.get_by_text("The flow cannot run")).to_be_visible()
    editor.click("ask")
    editor.page.keyboard.press("Delete")
    editor.run()
    assert editor.ended()["output"] == {"a": 1}
    editor.ran("beside", None)


def test_the_editor_listens_for_a_test_call_and_shows_its_run(editor, axe):
    hook = node("hook", "webhook", {"path": "orders", "auth": "none", "respond": "last"})
    editor.open(placed(chain(hook, values("double", twice="{{ input.body.n * 2 }}"))))
    editor.run_by("Listen for a test call")
    panel = editor.page.get_by_role("region", name="Test call")
    path = f"/api/webhooks-test/{editor.flow}/orders"
    expect(panel.get_by_text(f"POST {editor.server.url}{path}")).to_be_visible()
    axe(editor.page, "section[aria-label='Test call']")
    assert editor.server.call("POST", path, {"n": 21}) == {"twice": 42}
    run = editor.ended()
    assert (run["triggered_by"], run["output"], run["input"]["body"]) == ("manual", {"twice": 42}, {"n": 21})
    expect(panel).to_have_count(0)
    editor.ran("double", "success")
    editor.run_by("Listen for a test call")
    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_have_count(0)


def test_a_flow_can_be_run_with_the_input_of_a_webhook_call(editor, axe):
    hook = node("hook", "webhook", {"path": "orders", "methods": ["POST"], "auth": "none"})
    definition = placed(chain(hook, values("double", twice="{{ input.body.n * 2 }}")))
    flow = editor.add(definition, status="active")
    for n in (20, 21):
        editor.server.call("POST", "/api/webhooks/orders", {"n": n})
    until(lambda: len(editor.server.call("GET", "/api/runs?status=success")["items"]) >= 2, "both calls have run")
    editor.open(flow)
    editor.run()
    dialog = editor.page.get_by_role("dialog", name="Run with input")
    written = dialog.get_by_role("textbox", name="Input as JSON")
    expect(written).to_contain_text('"n": 21')
    dialog.get_by_role("button", name="Use input of a webhook call").click()
    calls = editor.page.get_by_role("menuitem")
    expect(calls).to_have_count(2)
    axe(editor.page, "[role=menu]")
    calls.last.click()
    expect(written).to_contain_text('"n": 20')
    dialog.get_by_role("button", name="Run", exact=True).click()
    assert editor.ended()["output"] == {"twice": 40}
    # The next run uses it as the last input.
    editor.run()
    expect(editor.run_panel.get_by_text("Succeeded", exact=True)).to_be_visible()


def test_a_pinned_output_replaces_the_execution_of_the_node(editor, remote):
    editor.open(placed(chain(node("start", "manual"), get(remote, "/quick"), values("last", got="{{ input.body.n }}"))))
    editor.run()
    editor.ended()
    editor.click("fetch")
    editor.tab("Run data")
    editor.panel.get_by_role("button", name="Pin", exact=True).click()
    expect(editor.node("fetch").get_by_label("Output pinned")).to_be_visible()
    editor.write(editor.panel.get_by_role("textbox", name="Pinned output"), json.dumps({"body": {"n": 7}}))
    editor.run()
    expect(editor.run_panel.get_by_text("1 pinned")).to_be_visible()
    assert editor.ended()["output"] == {"got": 7} and asked(remote, "/quick") == 1


def test_a_run_from_a_node_reuses_the_outputs_before_it(editor, remote):
    editor.open(placed(chain(node("start", "manual"), get(remote, "/quick"), values("last", got="first"))))
    editor.run()
    editor.ended()
    editor.click("last")
    editor.tab("JSON")
    editor.write(
        editor.panel.get_by_role("textbox", name="Settings as JSON"),
        json.dumps({"values": {"got": "second", "n": "{{ input.body.n }}"}}),
    )
    editor.tab("Run data")
    editor.panel.get_by_role("button", name="Run from here").click()
    expect(editor.run_panel.get_by_text("2 pinned")).to_be_visible()
    assert editor.ended()["output"] == {"got": "second", "n": 1} and asked(remote, "/quick") == 1


def test_unpublished_changes_can_be_run(editor):
    flow = editor.add(placed(chain(node("start", "manual"), values("say", word="old"))), status="active")
    editor.open(flow).click("say")
    editor.tab("JSON")
    editor.write(editor.panel.get_by_role("textbox", name="Settings as JSON"), json.dumps({"values": {"word": "new"}}))
    expect(editor.page.get_by_text("Draft saved")).to_be_visible()
    editor.run()
    run = editor.ended()
    assert run["draft"] and run["output"] == {"word": "new"}
    assert editor.published["nodes"][1]["config"] == {"values": {"word": "old"}}


def test_a_failure_is_shown_at_its_node_and_can_be_retried_from_there(editor, remote):
    editor.open(placed(chain(node("start", "manual"), get(remote, "/quick", "first"), get(remote, "/sick"), "last")))
    editor.run()
    editor.ended("Failed")
    editor.ran("first", "success")
    editor.ran("fetch", "failed")
    editor.ran("last", None)
    editor.selected("fetch")
    expect(editor.run_panel.get_by_role("alert")).to_contain_text("500")
    editor.run_panel.get_by_role("link", name="Open run").click()
    expect(editor.page.get_by_role("alert", name="“HTTP request” failed")).to_be_visible()
    failed = editor.page.url
    remote.well.set()
    editor.page.get_by_role("button", name="Retry from here").click()
    expect(editor.page).not_to_have_url(failed)
    expect(editor.page.locator("header").get_by_text("Succeeded")).to_be_visible()
    assert asked(remote, "/quick") == 1 and asked(remote, "/sick") == 2


def test_a_run_can_be_cancelled_in_the_editor(editor, remote):
    editor.open(placed(chain(node("start", "manual"), get(remote, "/slow"), "after"))).run()
    editor.ran("fetch", "running")
    with editor.page.expect_response("**/cancel"):
        editor.page.get_by_role("button", name="Cancel run").click()
    remote.gate.set()
    assert editor.ended("Cancelled")["cancelled"]
    expect(editor.page.get_by_role("button", name="Run", exact=True)).to_be_visible()


def test_a_late_cancellation_shows_the_result(editor, remote, watch):
    watch.allow(409, "/cancel")
    editor.open(placed(chain(node("start", "manual"), get(remote, "/slow"), values("last", got="all of it")))).run()
    editor.ran("fetch", "running")

    def after_its_end(route):
        remote.gate.set()
        run = re.search(r"/api/runs/(\w+)/cancel", route.request.url)[1]
        until(lambda: editor.server.call("GET", f"/api/runs/{run}")["finished_at"], "the run ends")
        route.continue_()

    editor.page.route("**/cancel", after_its_end)
    with editor.page.expect_response("**/cancel") as answer:
        editor.page.get_by_role("button", name="Cancel run").click()
    assert answer.value.status == 409
    editor.ended("Succeeded")
    expect(editor.run_panel.get_by_text("all of it")).to_be_visible()
    expect(editor.page.get_by_text("Something went wrong")).to_have_count(0)


def test_a_run_can_be_cancelled_on_its_page(editor, remote):
    page = editor.page
    editor.flow = editor.add(chain(node("start", "manual"), get(remote, "/slow"), "after"))
    run = editor.server.run(editor.flow)["id"]
    page.goto(f"/runs/{run}")
    page.get_by_role("button", name="Cancel run").click()
    page.get_by_role("dialog", name="Cancel this run?").get_by_role("button", name="Cancel run").click()
    expect(page.get_by_role("alert", name="The run was cancelled")).to_be_visible()
    step = page.get_by_role("region", name="Step HTTP request")
    expect(step.get_by_text("cancelled while this step ran")).to_be_visible()
    remote.gate.set()
    # The step has completed, and its output is shown.
    expect(step.get_by_text("cancelled while this step ran")).to_have_count(0)
    expect(step.get_by_role("region", name="Output")).to_contain_text("came")


def test_an_invalid_flow_gives_the_reason_and_selects_the_node(editor, watch):
    watch.allow(400, "/run")
    watch.allow(422, "/run")
    editor.open(placed(chain(node("start", "manual"), node("fetch", "http"), "last"))).run()
    expect(editor.run_panel).to_contain_text("URL is required")
    editor.selected("fetch")


def test_no_edge_is_seen_through_the_name_of_a_branch_of_a_skipped_node(editor):
    nodes = [node("start", "manual"), *(node(id_, "if", {"condition": "{{ false }}"}) for id_ in ("first", "second"))]
    editor.open(placed(flow(*nodes, "last", edges=["start first", "first second true", "second last true"]))).run()
    editor.ran("second", "skipped")
    name = editor.node("second").get_by_text("true", exact=True)
    expect(name).to_have_css("background-color", re.compile(r"^rgb\("))
    assert name.evaluate(OPACITIES) == ["1"]
