"""Performance limits: size of the first page, smoothness of a large flow, opening time of a long run.

The measurements depend little on other load of the machine: a page's work is measured in processor time, and frames
are compared with those of a nearly empty page. The results are printed.
"""

import statistics

import pytest
from playwright.sync_api import expect
from test_editor import placed
from world import chain, flow, node

MAX_BYTES = 200 * 1024
NODES, STEPS = 300, 1_000
FRAMES = """() => {
  window.frames_ = []; let last = performance.now();
  const next = (now) => { window.frames_.push(now - last); last = now; window.counting = requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""
STOP = "() => { cancelAnimationFrame(window.counting); return window.frames_.slice(2); }"


def test_a_first_visit_of_the_dashboard_is_small_and_takes_one_round_of_requests(page, context, server, log_in):
    server.run(server.add_flow(chain(node("start", "manual"), "one"), "One"), wait=30)
    log_in(page)
    client = context.new_cdp_session(page)
    client.send("Network.enable")
    client.send("Network.setCacheDisabled", {"cacheDisabled": True})
    begun, sizes = {}, {}
    client.on("Network.requestWillBeSent", lambda event: begun.setdefault(event["request"]["url"], event))
    client.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    page.goto("/")
    expect(page.get_by_role("img", name="Finished runs")).to_be_visible()
    page.wait_for_load_state("networkidle")
    requests = [event for url, event in begun.items() if not url.startswith("data:")]
    total = sum(sizes.values())
    print(f"The dashboard: {total / 1024:.0f} KB in {len(requests)} requests")
    assert total < MAX_BYTES
    # The page itself starts all of them, not a script that it must load first. Later ones repeat these.
    late = [event["request"]["url"] for event in requests if not started_by(page.url, event["initiator"])]
    assert late == []


def started_by(url, initiator):
    """Return True if the HTML of the page at this address, or a script within it, has started the request."""
    frames = initiator.get("stack", {}).get("callFrames", [])
    return initiator["type"] in ("other", "parser") or {frame["url"] for frame in frames} == {url}


def large():
    """Return a flow of 300 nodes in rows of 20; each row starts at the trigger."""
    nodes = [node("start", "manual") | {"position": {"x": 0, "y": 0}}]
    for number in range(NODES - 1):
        row, column = divmod(number, 20)
        place = {"position": {"x": 280 * (column + 1), "y": 100 * row}}
        nodes.append(node(f"n{number}", "set", {"values": {"n": number}}) | place)
    edges = [f"{'start' if at % 20 == 0 else f'n{at - 1}'} n{at}" for at in range(NODES - 1)]
    return flow(*nodes, edges=edges)


def frames(editor, move):
    """Return the milliseconds between frames during `move`."""
    editor.page.evaluate(FRAMES)
    move(editor)
    return editor.page.evaluate(STOP)


def pan(editor):
    """Pan the canvas with the wheel, there and back."""
    editor.page.mouse.move(*editor.spot(0.5, 0.6))
    for by in [40] * 25 + [-40] * 25:
        editor.page.mouse.wheel(by, by / 2)
        editor.page.evaluate("new Promise(requestAnimationFrame)")


def drag(editor):
    """Drag a node in many small steps."""
    box = editor.node("start").bounding_box()
    x, y = box["x"] + 70, box["y"] + 12
    editor.page.mouse.move(x, y)
    editor.page.mouse.down()
    for at in range(40):
        editor.page.mouse.move(x + 3 * at, y + 2 * at)
        editor.page.evaluate("new Promise(requestAnimationFrame)")
    editor.page.mouse.up()


@pytest.mark.parametrize("move", [pan, drag])
def test_a_flow_of_300_nodes_moves_as_smoothly_as_a_small_one(editor, move):
    editor.open(placed(chain(node("start", "manual"), "one")))
    small = statistics.median(frames(editor, move))
    editor.open(large())
    expect(editor.node("start")).to_be_visible()
    whole = statistics.median(frames(editor, move))
    print(
        f"{move.__name__}: a frame every {whole:.1f} ms with {NODES} nodes, {small:.1f} ms with 2, {whole / small:.2f}x"
    )
    assert whole < 20 or whole < 2 * small


def test_typing_in_a_flow_of_300_nodes_is_fast(editor):
    editor.open(large()).click("start")
    name = editor.panel.get_by_role("textbox", name="Node name")
    name.click()
    client = editor.page.context.new_cdp_session(editor.page)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = busy(client)
    name.press_sequentially("Twenty letters typed")
    spent = (busy(client) - before) / 20
    print(f"A letter in the name of a node among {NODES}: {1000 * spent:.1f} ms of work")
    assert spent < 0.1


def busy(client):
    """Return the page's processor time in seconds."""
    metrics = {item["name"]: item["value"] for item in client.send("Performance.getMetrics")["metrics"]}
    return metrics["TaskDuration"]


@pytest.fixture(scope="module")
def long_run(server):
    """Run a chain of 1,000 nodes and return the run's id."""
    definition = chain(node("start", "manual"), *[node(f"n{at}", name=f"n{at}") for at in range(STEPS - 1)])
    run = server.run(server.add_flow(definition, "A thousand steps"), wait=30)
    assert run["status"] == "success"
    return run["id"]


def test_a_run_of_1000_steps_opens_in_less_than_a_second(page, context, log_in, long_run):
    log_in(page)
    page.goto(f"/runs/{long_run}")
    expect(page.locator(".react-flow__node").first).to_be_visible()
    page.goto("/runs")
    link = page.locator(f'a[href="/runs/{long_run}"]').first
    expect(link).to_be_visible()
    page.wait_for_load_state("networkidle")
    client = context.new_cdp_session(page)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = busy(client)
    began = page.evaluate("performance.now()")
    link.click()
    expect(page.locator(".react-flow__node").first).to_be_visible()
    expect(page.get_by_text("n998").first).to_be_attached()
    took = page.evaluate("performance.now()") - began
    spent = busy(client) - before
    print(f"A run of {STEPS} steps: there after {took:.0f} ms, {1000 * spent:.0f} ms of work")
    assert spent < 1
